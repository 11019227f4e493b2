// What the panel for those who want to know says, as rows of a name and a value; the same rows are what
// is copied. Pure.

import type { EngineDetails, EngineStats } from './engines/engine.ts';
import type { Path, State } from './ladder.ts';
import type { Session } from './session.ts';
import { pathText, reasonText, type Texts } from './texts/texts.ts';
import { clockText, type Window } from './window.ts';

export interface Seen {
  readonly state: State;
  readonly path: Path | null;
  readonly fallbackReason: string | null;
  readonly stats: EngineStats | null;
  readonly details: EngineDetails;
  readonly latencyMs: number | null;
  /** How far back by choice. */
  readonly behindMs: number;
  readonly window: Window | null;
  readonly width: number;
  readonly height: number;
  /** The name of the rendition on screen; null where there is but one. */
  readonly rendition: string | null;
  /** Presented in the last second; null while that is not known. */
  readonly framesPerSecond: number | null;
  /** Media ahead of the picture, of a path that buffers. */
  readonly bufferMs: number | null;
  readonly edge: string;
  readonly edges: number;
  readonly playedForMs: number;
}

/** What of the player itself is looked at. */
type Shown = Pick<Seen, 'state' | 'path' | 'fallbackReason' | 'latencyMs'> & {
  readonly behindMs: number | null;
  readonly video: HTMLVideoElement | null;
};

/** Looks at everything at once. */
export function lookAt(
  session: Session,
  { state, path, fallbackReason, latencyMs, behindMs, video }: Shown,
  frameRate: FrameRate,
  rendition: string | null,
): Seen {
  const frames = video?.getVideoPlaybackQuality?.().totalVideoFrames;
  const ranges = video && path !== 'webrtc' ? video.buffered : null;
  const endS = ranges && ranges.length > 0 ? ranges.end(ranges.length - 1) : null;
  return {
    state,
    path,
    fallbackReason,
    latencyMs,
    behindMs: behindMs ?? 0,
    rendition,
    stats: session.stats(),
    details: session.details(),
    window: session.window(),
    width: video?.videoWidth ?? 0,
    height: video?.videoHeight ?? 0,
    framesPerSecond: frames === undefined ? null : frameRate.push(frames, performance.now()),
    bufferMs: endS === null || !video ? null : (endS - video.currentTime) * 1000,
    edge: session.edge,
    edges: session.edges.length,
    playedForMs: session.playedForMs,
  };
}

export type Row = readonly [name: string, value: string];

export function statsRows(texts: Texts, seen: Seen): Row[] {
  const { stats: names, words } = texts;
  const rows: Row[] = [];
  const row = (name: string, value: string | null) => {
    if (value !== null) rows.push([name, value]);
  };
  const number = (value: number, digits = 0) =>
    value.toLocaleString(texts.lang, { maximumFractionDigits: digits });
  const { path, details } = seen;
  const transport = seen.stats?.transport ?? null;
  const by = path === null ? null : pathText(texts, path, transport);
  row(names.path, by === null ? words[seen.state] : `${by} · ${words[seen.state]}`);
  if (path !== null && path !== 'webrtc') {
    const shifted = seen.behindMs > 0 && seen.fallbackReason === null;
    const reason = seen.fallbackReason && reasonText(texts, seen.fallbackReason);
    row(names.why, shifted ? names.shifted : reason);
  }
  row(names.latency, seen.latencyMs === null ? null : `${number(seen.latencyMs)} ms`);
  row(names.behind, seen.behindMs > 0 ? clockText(seen.behindMs) : null);
  row(names.jitterBuffer, milliseconds(details.jitterBufferMs, number));
  if (details.packetsLost !== null) {
    const recovered = `${number(details.packetsRecovered ?? 0)} ${names.recovered}`;
    row(names.packets, `${number(details.packetsLost)} · ${recovered}`);
  }
  row(names.bitrate, details.bitrateBps === null ? null : rateText(details.bitrateBps, number));
  row(names.picture, seen.width > 0 ? `${seen.width} × ${seen.height}` : null);
  row(names.rendition, seen.rendition);
  row(names.frameRate, seen.framesPerSecond === null ? null : number(seen.framesPerSecond));
  row(names.dropped, details.framesDropped === null ? null : number(details.framesDropped));
  row(names.buffer, milliseconds(seen.bufferMs, number));
  const { window } = seen;
  row(names.window, window && clockText(window.endMs - window.startMs));
  const host = URL.canParse(seen.edge) ? new URL(seen.edge).host : seen.edge;
  row(names.edge, seen.edges > 1 ? `${host} (1/${seen.edges})` : host);
  row(names.session, clockText(seen.playedForMs));
  return rows;
}

function milliseconds(ms: number | null, number: (value: number) => string): string | null {
  return ms === null ? null : `${number(Math.max(0, ms))} ms`;
}

function rateText(bps: number, number: (value: number, digits?: number) => string): string {
  return bps < 1_000_000 ? `${number(bps / 1000)} kbit/s` : `${number(bps / 1_000_000, 2)} Mbit/s`;
}

/** The rows as text, for a message to whoever helps. */
export function rowsText(rows: readonly Row[]): string {
  return rows.map(([name, value]) => `${name}: ${value}`).join('\n');
}

/** Frames per second from what a video has counted. */
export class FrameRate {
  #atMs = 0;
  #frames = 0;

  /** `null` at the first look, and after another video took over. */
  push(frames: number, nowMs: number): number | null {
    const seconds = (nowMs - this.#atMs) / 1000;
    const rate =
      this.#atMs > 0 && frames >= this.#frames ? (frames - this.#frames) / seconds : null;
    [this.#atMs, this.#frames] = [nowMs, frames];
    return rate === null ? null : Math.round(rate);
  }

  reset(): void {
    this.#atMs = 0;
  }
}
