// One broadcast being played in one page: drives the ladder with real time, real engines and the
// real network. Owns the attempts, their video elements and the probes; what it looks like, and
// what the viewer wants, is the element's.

import { type Endpoints, endpoints } from './endpoints.ts';
import { DashEngine } from './engines/dash.ts';
import type { Engine, EngineStats, Listener } from './engines/engine.ts';
import { HlsEngine } from './engines/hls.ts';
import { WhepEngine } from './engines/whep.ts';
import { Experience, REPORT_MS, randomViewer, watchedPath } from './experience.ts';
import {
  type Action,
  Ladder,
  type LadderEvent,
  type Path,
  type State,
  type Status,
} from './ladder.ts';
import { ServerClock } from './server-clock.ts';

/** How often to ask after the encoder's clock: at 50 ppm it drifts by 2 ms meanwhile. */
const CAPTURE_RESYNC_MS = 30_000;
/** How often to ask while it has not said yet when its T0 was. */
const T0_RETRY_MS = 2_000;
/** A question to the edge that takes longer is a "no". */
const PROBE_TIMEOUT_MS = 3_000;
/** Frames are reported by the engines twice a second and more; the ladder's clock needs no finer. */
const TIMER_MIN_MS = 20;

/** States in which no picture should move. */
const RESTING: ReadonlySet<State> = new Set(['waiting', 'paused', 'ended', 'unknown']);

/** What plays each path. */
const ENGINES: Record<Path, new (listener: Listener) => Engine> = {
  webrtc: WhepEngine,
  dash: DashEngine,
  hls: HlsEngine,
};

interface Attempt {
  readonly engine: Engine;
  readonly video: HTMLVideoElement;
  readonly abort: AbortController;
}

/** What the element is told. */
export interface SessionHost {
  /** A new picture takes the place of the old (null for the first), which is removed after this. */
  promoted(video: HTMLVideoElement, old: HTMLVideoElement | null): void;
  /** A video element for an attempt, in the document, behind the picture, muted. */
  createVideo(): HTMLVideoElement;
  /** State, path or reason may have changed. */
  changed(): void;
}

export class Session {
  readonly #host: SessionHost;
  readonly #endpoints: Endpoints;
  readonly #clock: ServerClock;
  #captureOffsetMs = 0;
  #t0Ms: number | null = null;
  #captureAskedAtMs = Number.NEGATIVE_INFINITY;
  readonly #ladder: Ladder;
  readonly #attempts = new Map<number, Attempt>();
  #front: number | null = null;
  #held = false;
  #heldAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #experience = new Experience(performance.now(), randomViewer());
  readonly #reporter: ReturnType<typeof setInterval>;
  readonly #hidden = new AbortController();
  #closed = false;

  /** Throws a `TypeError` where `src` is not one of a broadcast. */
  constructor(src: string, pin: Path | null, host: SessionHost) {
    this.#host = host;
    this.#endpoints = endpoints(src, document.baseURI);
    this.#clock = new ServerClock(this.#endpoints.time);
    this.#ladder = new Ladder({ pin, random: Math.random });
    void this.#clock.sync();
    this.#reporter = setInterval(() => this.#report(), REPORT_MS);
    const { signal } = this.#hidden;
    document.addEventListener('visibilitychange', () => this.#experience.rest(), { signal });
    this.#handle({ type: 'start' });
  }

  get state(): State {
    return this.#ladder.state;
  }

  get path(): Path | null {
    return this.#ladder.path;
  }

  get fallbackReason(): string | null {
    return this.#ladder.fallbackReason;
  }

  stats(): EngineStats | null {
    void this.#clock.sync();
    void this.#syncCapture();
    return this.#frontAttempt()?.engine.stats() ?? null;
  }

  /** The viewer paused or resumed. */
  hold(held: boolean): void {
    if (held && !this.#held) this.#heldAt = performance.now();
    this.#held = held;
    if (!held) this.#frontAttempt()?.engine.goLive();
    this.#handle({ type: 'hold', held });
  }

  /** The network came back. */
  network(): void {
    this.#handle({ type: 'network' });
  }

  close(): void {
    this.#report(this.#frontAttempt()?.engine, null);
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#reporter);
    this.#hidden.abort();
    for (const { abort, video } of this.#attempts.values()) {
      abort.abort();
      video.remove();
    }
    this.#attempts.clear();
  }

  #frontAttempt(): Attempt | undefined {
    return this.#front === null ? undefined : this.#attempts.get(this.#front);
  }

  #handle(event: LadderEvent): void {
    if (this.#closed) return;
    const now = performance.now();
    this.#ladder.handle(event, now);
    this.#settle();
    // A page in the background is given too few turns to tell what its viewer does not see.
    const resting = this.#held || document.hidden || RESTING.has(this.#ladder.state);
    if (resting) this.#experience.rest();
    else if (event.type === 'frame' && event.attempt === this.#front) this.#experience.frame(now);
    // At once, so that whoever comes or goes over to another path is counted there and nowhere else.
    if (this.#watched() !== this.#experience.toldOn) this.#report();
  }

  /** The path that the viewer watches by now. */
  #watched(): Path | null {
    const pausedMs = this.#held ? performance.now() - this.#heldAt : null;
    return watchedPath(this.#ladder.path, this.#ladder.state, pausedMs);
  }

  /** Does what the ladder asks for and sets the timer for when it wants to be asked again. */
  #settle(): void {
    for (const action of this.#ladder.drain()) this.#act(action);
    this.#host.changed();
    clearTimeout(this.#timer);
    const deadline = this.#ladder.deadline();
    if (deadline === null) return;
    const wait = Math.max(TIMER_MIN_MS, deadline - performance.now());
    this.#timer = setTimeout(() => {
      this.#ladder.timeout(performance.now());
      this.#settle();
    }, wait);
  }

  #act(action: Action): void {
    switch (action.type) {
      case 'start':
        return this.#start(action.attempt, action.path, action.waitMs);
      case 'stop':
        return this.#stop(action.attempt);
      case 'promote':
        return this.#promote(action.attempt);
      case 'probe':
        void this.#probe();
        return;
    }
  }

  #start(id: number, path: Path, waitMs: number): void {
    const listener: Listener = (event) => {
      if (this.#attempts.has(id)) this.#handle({ ...event, attempt: id });
    };
    const engine = new ENGINES[path](listener);
    const attempt = { engine, video: this.#host.createVideo(), abort: new AbortController() };
    this.#attempts.set(id, attempt);
    const captureNowMs = () => this.#captureNowMs();
    const t0Ms = () => this.#t0Ms;
    const source = { endpoints: this.#endpoints, captureNowMs, t0Ms, waitMs };
    // In a task of its own: a failure at once must not re-enter the ladder in the middle of a step.
    queueMicrotask(() => {
      if (!attempt.abort.signal.aborted) {
        void engine.start(attempt.video, source, attempt.abort.signal);
      }
    });
  }

  #stop(id: number): void {
    const attempt = this.#attempts.get(id);
    this.#attempts.delete(id);
    attempt?.abort.abort();
    attempt?.video.remove();
  }

  #promote(id: number): void {
    const attempt = this.#attempts.get(id);
    if (!attempt) return;
    const [oldId, old] = [this.#front, this.#frontAttempt()];
    // What has been until now was on the path before.
    if (old) this.#report(old.engine, attempt.engine.path);
    this.#front = id;
    this.#host.promoted(attempt.video, old?.video ?? null);
    if (oldId !== null) this.#stop(oldId);
  }

  /** What `engine` has shown, and what is played from now on. */
  #report(engine = this.#frontAttempt()?.engine, on = this.#watched()): void {
    if (!engine) return;
    const stats = engine.stats();
    const shown = {
      path: engine.path,
      transport: stats.transport,
      latencyMs: this.#held || document.hidden ? null : stats.latencyMs,
      fallbackReason: this.fallbackReason,
    };
    const report = this.#experience.report(shown, on, performance.now());
    if (!report) return;
    // As text, which other sites' pages may send without asking first; and it may outlive the page.
    const body = JSON.stringify(report);
    const options = { method: 'POST', body, keepalive: true, credentials: 'omit' } as const;
    fetch(this.#endpoints.experience, options).catch(() => {});
  }

  #captureNowMs(): number | null {
    const now = this.#clock.nowMs();
    return now === null ? null : now - this.#captureOffsetMs;
  }

  /** Asks now and then how far media time is from the time at which pictures are taken. */
  async #syncCapture(): Promise<void> {
    const now = performance.now();
    // What has begun to play has a T0, though it had none when it was asked for.
    const wanting = this.#t0Ms === null && this.#front !== null;
    if (now - this.#captureAskedAtMs < (wanting ? T0_RETRY_MS : CAPTURE_RESYNC_MS)) return;
    this.#captureAskedAtMs = now;
    const { captureOffsetMs, t0Ms } = await askTimes(this.#endpoints);
    this.#captureOffsetMs = captureOffsetMs ?? this.#captureOffsetMs;
    this.#t0Ms = t0Ms ?? this.#t0Ms;
  }

  async #probe(): Promise<void> {
    this.#handle({ type: 'status', status: await askStatus(this.#endpoints) });
  }
}

interface Times {
  /** What to add to T0 plus media time to get the time at which a picture was taken, ms. */
  readonly captureOffsetMs: number | null;
  /** T0, Unix ms. */
  readonly t0Ms: number | null;
}

/** What the edge says of the broadcast's times; null for what it does not say. */
async function askTimes({ id, live }: Endpoints): Promise<Times> {
  try {
    const answer = await fetch(`${live}/${id}`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    return timesOf(await answer.json());
  } catch {
    return timesOf(null);
  }
}

/** The times in the edge's status of a broadcast. */
export function timesOf(status: unknown): Times {
  const { capture_offset_ms: offset, t0_ms: t0 } = (status ?? {}) as Record<string, unknown>;
  const number = (value: unknown) => (Number.isFinite(value) ? (value as number) : null);
  return { captureOffsetMs: number(offset), t0Ms: number(t0) };
}

/** What the edge says of the broadcast in its list of those it knows. */
async function askStatus({ id, live }: Endpoints): Promise<Status> {
  try {
    const answer = await fetch(live, {
      cache: 'no-store',
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    return answer.ok ? listedStatus(await answer.json(), id) : 'unreachable';
  } catch {
    return 'unreachable';
  }
}

/**
 * The status of one broadcast in the edge's list; whatever is not understood counts as live. An edge
 * that cannot reach its upstream does not know what is missing in it.
 */
export function listedStatus(list: unknown, id: string): Status {
  const { broadcasts, complete } = (list ?? {}) as { broadcasts?: unknown; complete?: unknown };
  const entry = (Array.isArray(broadcasts) ? broadcasts : []).find((entry) => entry?.id === id);
  if (!entry) return complete === false ? 'unreachable' : 'unknown';
  return entry.state === 'away' || entry.state === 'ended' ? entry.state : 'live';
}
