// What a viewer experiences, as the edge is told of it: start-up, latency, stalls, falling back, and
// that there is a viewer at all, by what path. Pure: moments go in, a report of what has been since the
// last one comes out.

import type { Transport } from './engines/engine.ts';
import type { Path, State } from './ladder.ts';

/** Between two reports. */
export const REPORT_MS = 10_000;
/** Pictures are reported several times a second while they move; missing for longer, they stand. */
export const STALL_MS = 1_000;

/** A gap that is still open counts as a stall after so long: the host may have paused, which the player
 * learns within this time. */
const OPEN_MS = 4_000;
/** Who has paused for so long does not watch any more. */
const PAUSED_MS = 60_000;
/** The longest that the edge believes a span since the last report, and an age, to be. */
const SPAN_MAX_MS = 60_000;
const AGE_MAX_MS = 120_000;

/** The body of `POST /live/<id>/experience`. */
export interface Report {
  readonly path: 'webrtc-udp' | 'webrtc-tcp' | 'dash' | 'hls';
  readonly startup_ms?: number;
  readonly latency_ms?: number;
  readonly played_ms: number;
  readonly stalls: number;
  readonly stalled_ms: number;
  readonly fallback?: string;
  readonly viewer: Viewer;
}

/** Who watches, so that the edge can count. */
export interface Viewer {
  /** Tells viewers apart, and nothing of them: 16 hexadecimal digits. */
  readonly id: string;
  /** How many reports came before this one. */
  readonly n: number;
  /** What it plays by from now on; null if it leaves. */
  readonly on: Path | null;
}

/** What is on the screen when a report is made. */
export interface Shown {
  readonly path: Path;
  readonly transport: Transport | null;
  readonly latencyMs: number | null;
  /** Why it is not WebRTC. */
  readonly fallbackReason: string | null;
}

export class Experience {
  /** When the viewer began to wait for a picture; null once it came, or where the host was waited for. */
  #openedAt: number | null;
  #frameAt: number | null = null;
  #startupMs: number | null = null;
  #playedMs = 0;
  #stalls = 0;
  #stalledMs = 0;
  /** Of the present gap, what has been counted. */
  #standingMs = 0;
  #toldFallback: string | null = null;
  readonly #viewer: string;
  #reports = 0;
  #toldOn: Path | null = null;

  /** `viewer` is a name for this viewer of this broadcast, as `randomViewer` makes it. */
  constructor(now: number, viewer: string) {
    this.#openedAt = now;
    this.#viewer = viewer;
  }

  /** The path that the viewer plays by, as far as the edge was told; null if it is not told of any. */
  get toldOn(): Path | null {
    return this.#toldOn;
  }

  /** A picture moves. */
  frame(now: number): void {
    if (this.#openedAt !== null) {
      this.#startupMs = now - this.#openedAt;
      this.#openedAt = null;
    }
    if (this.#frameAt !== null) {
      const gap = now - this.#frameAt;
      if (gap <= STALL_MS) this.#playedMs += gap;
      else this.#stand(gap);
    }
    this.#frameAt = now;
    this.#standingMs = 0;
  }

  /** No picture has moved for so long. */
  #stand(gapMs: number): void {
    if (this.#standingMs === 0) this.#stalls++;
    this.#stalledMs += gapMs - this.#standingMs;
    this.#standingMs = gapMs;
  }

  /** No picture moves, nor should it: the viewer paused, or the host has. */
  rest(): void {
    this.#openedAt = null;
    this.#frameAt = null;
    this.#standingMs = 0;
  }

  /**
   * What has been since the last report, and what the viewer plays by from now on, null if it leaves.
   * Null if nothing has been shown, and the edge need not be told that somebody is there: of whom its
   * sessions tell it.
   */
  report(
    { path, transport, latencyMs, fallbackReason }: Shown,
    on: Path | null,
    now: number,
  ): Report | null {
    const gap = this.#frameAt === null ? 0 : now - this.#frameAt;
    if (gap > OPEN_MS) this.#stand(gap);
    const fell = path !== 'webrtc' && fallbackReason !== this.#toldFallback;
    // Of the first picture nobody can say yet how far behind it will be.
    const measured = this.#playedMs + this.#stalledMs > 0;
    const counts = on === 'dash' || on === 'hls' || on !== this.#toldOn;
    if (!measured && this.#startupMs === null && !counts) return null;
    const report: Report = {
      path: path === 'webrtc' ? (transport === 'tcp' ? 'webrtc-tcp' : 'webrtc-udp') : path,
      ...(this.#startupMs !== null && { startup_ms: rounded(this.#startupMs, AGE_MAX_MS) }),
      ...(measured && latencyMs !== null && { latency_ms: rounded(latencyMs, AGE_MAX_MS) }),
      played_ms: rounded(this.#playedMs, SPAN_MAX_MS),
      stalls: this.#stalls,
      stalled_ms: rounded(this.#stalledMs, SPAN_MAX_MS),
      ...(fell && fallbackReason !== null && { fallback: fallbackReason }),
      viewer: { id: this.#viewer, n: this.#reports++, on },
    };
    this.#toldOn = on;
    this.#toldFallback = path === 'webrtc' ? null : fallbackReason;
    this.#startupMs = null;
    this.#playedMs = 0;
    this.#stalls = 0;
    this.#stalledMs = 0;
    return report;
  }

  /** A report did not arrive: what it said of the past is said with the next. */
  unheard({ startup_ms, played_ms, stalls, stalled_ms }: Report): void {
    this.#startupMs ??= startup_ms ?? null;
    this.#playedMs += played_ms;
    this.#stalls += stalls;
    this.#stalledMs += stalled_ms;
  }
}

/** The path that a viewer watches by; `path` is that of the picture on the screen. */
export function watchedPath(path: Path | null, state: State, pausedMs: number | null): Path | null {
  const there = state === 'live' || state === 'paused' || state === 'reconnecting';
  return there && (pausedMs ?? 0) < PAUSED_MS ? path : null;
}

/** A name for one viewer of one broadcast, kept nowhere: nobody can tell who had it. */
export function randomViewer(): string {
  // Not `randomUUID`, which a page over plain HTTP does not have.
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function rounded(ms: number, max: number): number {
  return Math.min(Math.max(0, Math.round(ms)), max);
}
