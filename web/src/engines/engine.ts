// The one interface behind which every way of playing stands. An engine turns a broadcast into a
// picture in the video element it is given, and says what happens; which engine runs, and when
// another takes over, is the ladder's decision.

import type { Headers as Said } from '../access.ts';
import { isWords } from '../captions.ts';
import type { Endpoints } from '../endpoints.ts';
import type { Failure, Path } from '../ladder.ts';

/** What an engine says while it runs. */
export type EngineEvent =
  /** The edge has answered an attempt that it was asked to hold. */
  | { readonly type: 'answered' }
  /** The transport stands, though no picture may have come. */
  | { readonly type: 'connected' }
  /** Pictures are being presented: at the first, and then a few times a second while they move. */
  | { readonly type: 'frame' }
  /** It cannot go on, and has stopped trying. */
  | { readonly type: 'failed'; readonly failure: Failure };

/** What can be measured now; null where it is not known (yet). */
export interface EngineStats {
  /** Media time of the picture on screen, ms since T0. */
  readonly mediaMs: number | null;
  /** T0, Unix ms by the server's clock. */
  readonly t0Ms: number | null;
  /** How far behind live the picture is, ms. */
  readonly latencyMs: number | null;
  /** What the media comes over, where that is the engine's to know. */
  readonly transport: Transport | null;
}

export type Transport = 'udp' | 'tcp';

/** What only those ask for who want to know; null where it is not known, or has no meaning. */
export interface EngineDetails {
  /** How long the browser holds packets back, ms. */
  readonly jitterBufferMs: number | null;
  readonly packetsLost: number | null;
  /** Of those lost, what came when it was sent again. */
  readonly packetsRecovered: number | null;
  /** Measured, or else what the rendition on screen states, bits per second. */
  readonly bitrateBps: number | null;
  readonly framesDropped: number | null;
}

export const NO_DETAILS: EngineDetails = {
  jitterBufferMs: null,
  packetsLost: null,
  packetsRecovered: null,
  bitrateBps: null,
  framesDropped: null,
};

export interface EngineSource {
  readonly endpoints: Endpoints;
  /** What each request to the edge has: the viewer's token, if there is one. */
  readonly headers: Said;
  /** The same of the first request, which says who begins to watch. */
  readonly first: Said;
  /** The viewer's token; empty for none. */
  readonly token: string;
  /** The Unix ms that T0 plus media time would say of a picture taken now; null while unknown. */
  readonly captureNowMs: () => number | null;
  /** T0 as the edge's status has it, Unix ms, for a path that does not carry it; null while unknown. */
  readonly t0Ms: () => number | null;
  /** How long the edge may hold its answer until there is media; 0 for not at all. */
  readonly waitMs: number;
  /** Where to begin, media time in ms; null for live. A path without a window is never asked for more. */
  readonly startMs: number | null;
  /** The rendition that the viewer wants, by its track's name; null leaves the choice to the path. */
  readonly rendition: string | null;
}

/** One attempt to play. Started once, stopped once. */
export interface Engine {
  readonly path: Path;
  /**
   * Plays into `video` until `stop` or until `signal` aborts. Never rejects: what goes wrong is
   * reported as `failed`.
   */
  start(video: HTMLVideoElement, source: EngineSource, signal: AbortSignal): Promise<void>;
  /** Leaves, politely where the protocol has a way, and lets go of the video element. */
  stop(): void;
  /** Goes back to the live edge after a pause. */
  goLive(): void;
  stats(): EngineStats;
  details(): EngineDetails;
  /** Goes to this media time, and stays as far behind live as that is. A path without a window does not. */
  seek(mediaMs: number): void;
  /** Plays this rendition, by its track's name, and no other; null gives the choice back. */
  choose(rendition: string | null): void;
  /** Shows these captions, which are the video's own, and no others. */
  caption(track: TextTrack | null): void;
  /** How the manifest calls a text track of the video. */
  labelOf(track: TextTrack): string;
  /** The network is another: whatever ends a connection by itself should not wait for that. */
  network(): void;
}

/** Shows one text track of a video, and no other that holds captions. */
export function showOnly(video: HTMLVideoElement | null, track: TextTrack | null): void {
  for (const each of video?.textTracks ?? []) {
    if (!isWords(each)) continue;
    const mode = each === track ? 'showing' : 'disabled';
    if (each.mode !== mode) each.mode = mode;
  }
}

export type Listener = (event: EngineEvent) => void;

/** Whether a page may feed the decoder here: by Media Source Extensions, of either kind. */
export function canFeedDecoder(): boolean {
  return 'MediaSource' in globalThis || 'ManagedMediaSource' in globalThis;
}

/** Seconds of a `Retry-After` header in ms (RFC 9110 §10.2.3); null for none, or for a date. */
export function retryAfterMs(headers: Headers): number | null {
  const value = headers.get('Retry-After')?.trim() ?? '';
  return /^\d{1,5}$/.test(value) ? Number(value) * 1000 : null;
}

/**
 * The failure that a refusal by the edge means: 404 unknown, 409 not live yet, 410 ended, 406, 415
 * and 422 cannot work for this viewer or this broadcast (`Lectern-Reason` says why), 429 and 503
 * full, if they say so, else 503 not there yet; 401, 403 and 451 not for this viewer; anything else a
 * server in trouble.
 */
export function refusal(status: number, headers: Headers): Failure {
  const retry = retryAfterMs(headers);
  const reason = headers.get('Lectern-Reason');
  switch (status) {
    case 404:
      return { kind: 'unknown' };
    case 409:
      return { kind: 'not-live', retryAfterMs: retry };
    case 410:
      return { kind: 'ended' };
    case 400:
    case 406:
    case 413:
    case 415:
    case 422:
      return { kind: 'unsuitable', reason: reason ?? 'refused' };
    case 401:
    case 403:
    case 451:
      return { kind: 'refused', reason: reason ?? 'not-allowed', retryAfterMs: retry };
    case 503:
      if (reason === null) return { kind: 'not-live', retryAfterMs: retry };
      // It cannot reach its upstream: no path is any better there.
      if (reason === 'unheard') return { kind: 'unreachable' };
      return { kind: 'unsuitable', reason, retryAfterMs: retry };
    case 429:
      return { kind: 'unsuitable', reason: reason ?? 'full', retryAfterMs: retry };
    default:
      return { kind: 'unreachable' };
  }
}
