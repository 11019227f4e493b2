// One broadcast being played in one page: drives the ladder with real time, real engines and the
// real network. Owns the attempts, their video elements, the place in the window and which edge is
// asked; what it looks like, and what the viewer wants, is the element's.

import { type Headers, isElsewhere, tokenHeaders } from './access.ts';
import { askInfo, askStatus, firstWithMedia, nextThatIsWell } from './edge-status.ts';
import { Edges, edgeList } from './edges.ts';
import { type Endpoints, endpoints } from './endpoints.ts';
import { DashEngine } from './engines/dash.ts';
import type { Engine, EngineDetails, EngineStats, Listener } from './engines/engine.ts';
import { NO_DETAILS } from './engines/engine.ts';
import { HlsEngine } from './engines/hls.ts';
import { WhepEngine } from './engines/whep.ts';
import { Experience, REPORT_MS, randomViewer, watchedPath } from './experience.ts';
import { type Info, infoOf } from './info.ts';
import {
  type Action,
  Ladder,
  type LadderEvent,
  OF_THE_EDGE,
  type Path,
  type State,
} from './ladder.ts';
import { ServerClock } from './server-clock.ts';
import { placeAt, type Window, windowAt } from './window.ts';

/** How often to ask after the encoder's clock: at 50 ppm it drifts by 2 ms meanwhile. */
const INFO_MS = 30_000;
/** How often to ask while something is waited for: a beginning, a replay, T0. */
const INFO_WAITING_MS = 5_000;
const T0_RETRY_MS = 2_000;
/** Frames are reported by the engines twice a second and more; the ladder's clock needs no finer. */
const TIMER_MIN_MS = 20;
/** Viewers of an edge that is gone, or about to go, leave within so long, each at a moment of its own. */
const LEAVE_LOST_MS = 400;
const LEAVE_DRAINING_MS = 3_000;
/** While no other is well and the current edge is about to stop, they are asked again within so long. */
const LOOK_AGAIN_MS = 4_000;
/** Who paused for less than this goes on live; for longer, where the picture was stopped. */
const HELD_MS = 5_000;

/** States in which no picture should move. */
const RESTING: ReadonlySet<State> = new Set([
  'waiting',
  'paused',
  'ended',
  'unknown',
  'full',
  'refused',
  'registering',
  'expired',
]);

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
  /** Of the edge that its picture is from, which may have been left meanwhile. */
  readonly endpoints: Endpoints;
}

/** What the element is told. */
export interface SessionHost {
  /** A new picture takes the place of the old (null for the first), which is removed after this. */
  promoted(video: HTMLVideoElement, old: HTMLVideoElement | null): void;
  /** A video element for an attempt, in the document, behind the picture, muted. */
  createVideo(): HTMLVideoElement;
  /** State, path, reason or what the edge says may have changed. */
  changed(): void;
}

export interface SessionOptions {
  /** `/live/<id>` of an edge. */
  readonly src: string;
  /** Only this path. */
  readonly pin: Path | null;
  /** Other edges, base URLs separated by spaces. */
  readonly edges: string;
  /** The viewer's token; empty for none. */
  readonly token: string;
}

export class Session {
  readonly #host: SessionHost;
  #endpoints: Endpoints;
  #src: string;
  readonly #edges: Edges;
  #clock: ServerClock;
  #info: Info = infoOf(null, '');
  #infoAskedAtMs = Number.NEGATIVE_INFINITY;
  readonly #ladder: Ladder;
  readonly #attempts = new Map<number, Attempt>();
  #front: number | null = null;
  #heldAt: number | null = null;
  /** Where the viewer is in the window, media time in ms; null while at live. */
  #placeMs: number | null = null;
  #window: Window | null = null;
  #rendition: string | null = null;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  /** The edge said that it is about to stop. */
  #drained = false;
  /** From where others are being asked whether they are well. */
  #looking: string | null = null;
  #lookAgain: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #openedAt = performance.now();
  /** For the edge, which tells viewers apart by it. */
  readonly #viewer = randomViewer();
  readonly #experience = new Experience(performance.now(), this.#viewer);
  readonly #token: string;
  readonly #headers: Headers;
  readonly #reporter: ReturnType<typeof setInterval>;
  readonly #hidden = new AbortController();
  #closed = false;

  /** Throws a `TypeError` where `src` is not one of a broadcast. */
  constructor({ src, pin, edges, token }: SessionOptions, host: SessionHost) {
    this.#host = host;
    this.#src = src;
    this.#token = token;
    this.#headers = tokenHeaders(token);
    this.#endpoints = endpoints(src, document.baseURI);
    const others = edgeList(edges, document.baseURI);
    this.#edges = new Edges(this.#endpoints.base, others, Math.random);
    this.#clock = new ServerClock(this.#endpoints.time);
    this.#ladder = new Ladder({ pin, random: Math.random });
    void this.#clock.sync();
    this.#reporter = setInterval(() => this.#report(), REPORT_MS);
    const { signal } = this.#hidden;
    document.addEventListener('visibilitychange', () => this.#experience.rest(), { signal });
    this.#handle({ type: 'start' });
  }

  get state(): State {
    const { state } = this.#ladder;
    // What is known to begin at some time exists, though no media of it has come.
    return state === 'unknown' && this.#info.startsAtMs !== null ? 'waiting' : state;
  }

  get path(): Path | null {
    return this.#ladder.path;
  }

  get fallbackReason(): string | null {
    return this.#ladder.fallbackReason;
  }

  /** Why the edge has no place, or lets this viewer not in. */
  get refusal(): string | null {
    return this.#ladder.refusal;
  }

  /** In how many ms it is tried again by itself; null while nothing is waited for. */
  get retryInMs(): number | null {
    const at = this.#ladder.retryAt;
    return at === null ? null : Math.max(0, at - performance.now());
  }

  /** What the edge says of the broadcast. */
  get info(): Info {
    return this.#info;
  }

  /** Where the broadcast is now: as it was given, or of the edge that was gone to. */
  get src(): string {
    return this.#src;
  }

  /** Where the pieces of the broadcast are now. */
  get endpoints(): Endpoints {
    return this.#endpoints;
  }

  /** The edge that is asked, and those that could be. */
  get edge(): string {
    return this.#edges.current;
  }

  get edges(): readonly string[] {
    return this.#edges.all;
  }

  /** The edge said that it is about to stop. */
  get draining(): boolean {
    return this.#drained;
  }

  /** Whether the viewer is back in the window. */
  get behind(): boolean {
    return this.#placeMs !== null;
  }

  /** The rendition that the viewer pinned. */
  get rendition(): string | null {
    return this.#rendition;
  }

  get playedForMs(): number {
    return performance.now() - this.#openedAt;
  }

  stats(): EngineStats | null {
    void this.#clock.sync();
    void this.#ask();
    const front = this.#frontAttempt();
    const stats = front?.engine.stats() ?? null;
    const there = front !== undefined && front.engine.path !== 'webrtc';
    if (this.#placeMs !== null && there && stats?.mediaMs != null) this.#placeMs = stats.mediaMs;
    return stats;
  }

  details(): EngineDetails {
    return this.#frontAttempt()?.engine.details() ?? NO_DETAILS;
  }

  /** What can be gone back to; null where there is nothing, or no path that could. */
  window(): Window | null {
    if (this.#front === null || !this.#ladder.canShift) return null;
    // While nothing is sent there is no newer moment than there was.
    if (this.#window && RESTING.has(this.state)) return this.#window;
    const { t0Ms, oldestMs, windowMs } = this.#info;
    const now = this.#captureNowMs();
    const liveMs = now === null || t0Ms === null ? null : now - t0Ms;
    this.#window = windowAt(liveMs, oldestMs, windowMs);
    return this.#window;
  }

  /** Where the viewer is, or will be as soon as there is a picture of it, media time in ms. */
  position(): number | null {
    return this.#placeMs ?? this.stats()?.mediaMs ?? null;
  }

  /** Goes to a moment in the window, or to live if it is that close. */
  seek(mediaMs: number): void {
    const window = this.window();
    if (!window) return;
    const placeMs = placeAt(mediaMs, window);
    if (placeMs === null) return this.goLive();
    this.#placeMs = placeMs;
    // Waiting for another moment is no stall.
    this.#experience.rest();
    const front = this.#frontAttempt();
    this.#handle({ type: 'shift', behind: true });
    if (front && front.engine.path !== 'webrtc') front.engine.seek(placeMs);
  }

  goLive(): void {
    this.#placeMs = null;
    this.#experience.rest();
    this.#frontAttempt()?.engine.goLive();
    this.#handle({ type: 'shift', behind: false });
  }

  /** Plays one rendition, by its track's name, and no other; null lets the path choose. */
  choose(rendition: string | null): void {
    this.#rendition = rendition;
    for (const { engine } of this.#attempts.values()) engine.choose(rendition);
  }

  /** Shows these captions of the picture on screen. */
  caption(track: TextTrack | null): void {
    this.#frontAttempt()?.engine.caption(track);
  }

  /** How the manifest calls a text track of the picture on screen. */
  labelOf(track: TextTrack): string {
    return this.#frontAttempt()?.engine.labelOf(track) ?? track.label;
  }

  /** The viewer paused or resumed. */
  hold(held: boolean): void {
    const now = performance.now();
    const heldFor = this.#heldAt === null ? 0 : now - this.#heldAt;
    const stoppedAt = this.position();
    this.#heldAt = held ? now : null;
    this.#handle({ type: 'hold', held });
    if (held) return;
    const goesOn = this.behind || heldFor > HELD_MS;
    if (goesOn && stoppedAt !== null && this.window()) this.seek(stoppedAt);
    else this.goLive();
  }

  /** The network came back, or is another. */
  network(): void {
    this.#frontAttempt()?.engine.network();
    this.#handle({ type: 'network' });
  }

  close(): void {
    this.#report(this.#frontAttempt(), null);
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#leaving);
    clearTimeout(this.#lookAgain);
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
    const shifted = this.#ladder.behind;
    this.#ladder.handle(event, now);
    // The ladder found no path that has a window.
    if (shifted && !this.#ladder.behind) this.#placeMs = null;
    this.#settle();
    if (lostEdge(event)) this.#lost(event);
    // A page in the background is given too few turns to tell what its viewer does not see.
    const held = this.#heldAt !== null;
    const resting = held || document.hidden || RESTING.has(this.#ladder.state);
    if (resting) this.#experience.rest();
    else if (event.type === 'frame' && event.attempt === this.#front) this.#experience.frame(now);
    // At once, so that whoever comes or goes over to another path is counted there and nowhere else.
    if (this.#watched() !== this.#experience.toldOn) this.#report();
  }

  /** The path that the viewer watches by now. */
  #watched(): Path | null {
    const pausedMs = this.#heldAt === null ? null : performance.now() - this.#heldAt;
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
    const endpoints = this.#endpoints;
    const video = this.#host.createVideo();
    const attempt = { engine, video, abort: new AbortController(), endpoints };
    this.#attempts.set(id, attempt);
    const source = {
      endpoints,
      headers: this.#headers,
      first: this.#first(),
      token: this.#token,
      captureNowMs: () => this.#captureNowMs(),
      t0Ms: () => this.#info.t0Ms,
      waitMs,
      startMs: this.#placeMs,
      rendition: this.#rendition,
    };
    // In a task of its own: a failure at once must not re-enter the ladder in the middle of a step.
    queueMicrotask(() => {
      if (!attempt.abort.signal.aborted) {
        void engine.start(attempt.video, source, attempt.abort.signal);
      }
    });
  }

  /** What the first request of an attempt has, by which the edge knows who watches already. */
  #first(): Headers {
    const elsewhere = isElsewhere(this.#endpoints.base, document.baseURI);
    // It costs a question there, and matters only where places are limited.
    if (elsewhere && this.#info.viewersMax === null) return this.#headers;
    return { ...this.#headers, 'Lectern-Viewer': this.#viewer };
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
    // What has been until now was on the path before, and of the edge before, which it leaves.
    const moved = old?.endpoints.base !== attempt.endpoints.base;
    if (old) this.#report(old, moved ? null : attempt.engine.path);
    this.#front = id;
    this.#host.promoted(attempt.video, old?.video ?? null);
    if (oldId !== null) this.#stop(oldId);
    // Asked for while this one was on its way.
    if (this.#placeMs === null) return;
    const { mediaMs } = attempt.engine.stats();
    if (mediaMs !== null && Math.abs(mediaMs - this.#placeMs) > HELD_MS) {
      attempt.engine.seek(this.#placeMs);
    }
  }

  /** Tells the edge of `attempt` what that has shown, and what is played of that edge from now on. */
  #report(attempt = this.#frontAttempt(), on = this.#watched()): void {
    if (!attempt) return;
    const { engine, endpoints } = attempt;
    const stats = engine.stats();
    // Being behind by choice says nothing of how well it plays.
    const unseen = this.#heldAt !== null || this.behind || document.hidden;
    const shown = {
      path: engine.path,
      transport: stats.transport,
      latencyMs: unseen ? null : stats.latencyMs,
      fallbackReason: this.fallbackReason,
    };
    const report = this.#experience.report(shown, on, performance.now());
    if (!report) return;
    // As text, which other sites' pages may send without asking first; and it may outlive the page.
    const body = JSON.stringify(report);
    const headers = this.#headers;
    fetch(endpoints.experience, { method: 'POST', body, headers, keepalive: true })
      .then(({ headers, ok }) => {
        if (headers.get('Lectern-Reason') === 'draining') this.#drain(endpoints.base);
        else if (ok) this.#stay(endpoints.base);
      })
      // An edge that is lost is told nothing any more; the next hears how the picture stood.
      .catch(() => this.#experience.unheard(report));
  }

  /** The edge cannot serve this viewer, though another may. */
  #lost(event: LadderEvent): void {
    if (this.#front !== null && isDraining(event)) return this.#drain(this.#endpoints.base);
    if (this.#leave(LEAVE_LOST_MS)) return;
    // Of an edge that has no place, or refuses this viewer alone, another that is well may do the same: it is
    // not gone back to for saying that it is.
    if (event.type === 'status') void this.#look(LEAVE_LOST_MS);
  }

  /** The edge at `base` is about to stop. It goes on saying so, for whom there was no other edge yet. */
  #drain(base: string): void {
    if (this.#closed) return;
    if (base !== this.#endpoints.base) return this.#tryAgain(base);
    this.#drained = true;
    // It plays on until it stops, and is left only for one that is known to be better.
    void this.#look(LEAVE_DRAINING_MS);
    this.#host.changed();
  }

  /** The edge that was gone to has refused, and that at `former`, which is about to stop, plays on. */
  #tryAgain(former: string): void {
    const refused = this.#frontAttempt()?.endpoints.base === former && this.#attempts.size === 1;
    if (refused && !this.#leave(LEAVE_DRAINING_MS)) this.#handle({ type: 'edge' });
  }

  /** The edge at `base` is not about to stop: it was, and another process is there. */
  #stay(base: string): void {
    if (this.#closed || !this.#drained || base !== this.#endpoints.base) return;
    this.#drained = false;
    clearTimeout(this.#lookAgain);
    this.#host.changed();
  }

  /** Goes to another edge, to `to` or any that was not left a moment ago, within so long; whether there is one. */
  #leave(withinMs: number, to: string | null = null): boolean {
    if (this.#closed || this.#leaving !== undefined || navigator.onLine === false) return false;
    const next = this.#edges.next(performance.now(), to);
    if (next === null) return false;
    this.#leaving = setTimeout(() => {
      this.#leaving = undefined;
      clearTimeout(this.#lookAgain);
      this.#drained = false;
      this.#src = `${next}/live/${this.#endpoints.id}`;
      this.#endpoints = endpoints(this.#src, next);
      this.#clock = new ServerClock(this.#endpoints.time);
      this.#infoAskedAtMs = Number.NEGATIVE_INFINITY;
      void this.#clock.sync();
      void this.#ask();
      this.#handle({ type: 'edge' });
    }, Math.random() * withinMs);
    return true;
  }

  /** Goes to an edge that says that it is well, also if it was left a moment ago and there is no other. */
  async #look(withinMs: number): Promise<void> {
    const { base, id } = this.#endpoints;
    if (this.#closed || this.#looking === base || this.#leaving !== undefined) return;
    this.#looking = base;
    clearTimeout(this.#lookAgain);
    const drained = this.#drained;
    const askable = this.#edges.askable(performance.now());
    const well = drained
      ? await nextThatIsWell(askable, id, this.#headers, RESTING.has(this.#ladder.state))
      : await firstWithMedia(askable, id, this.#headers);
    if (this.#looking === base) this.#looking = null;
    const stays = drained && !this.#drained;
    if (this.#closed || base !== this.#endpoints.base || stays) return;
    if (well !== null && this.#leave(withinMs, well)) return;
    // One that is lost is tried again by the ladder, one that drains plays on.
    if (!this.#drained || this.#leaving !== undefined) return;
    const wait = (LOOK_AGAIN_MS * (1 + Math.random())) / 2;
    this.#lookAgain = setTimeout(() => void this.#look(withinMs), wait);
  }

  #captureNowMs(): number | null {
    const now = this.#clock.nowMs();
    return now === null ? null : now - (this.#info.captureOffsetMs ?? 0);
  }

  /** Asks now and then what the edge says of the broadcast. */
  async #ask(): Promise<void> {
    const now = performance.now();
    // What has begun to play has a T0, though it had none when it was asked for.
    const wanting = this.#info.t0Ms === null && this.#front !== null;
    const every = wanting ? T0_RETRY_MS : RESTING.has(this.state) ? INFO_WAITING_MS : INFO_MS;
    if (this.#closed || now - this.#infoAskedAtMs < every) return;
    this.#infoAskedAtMs = now;
    const { base } = this.#endpoints;
    const info = await askInfo(this.#endpoints, this.#headers);
    if (!info || this.#closed || base !== this.#endpoints.base) return;
    this.#info = { ...info, captureOffsetMs: info.captureOffsetMs ?? this.#info.captureOffsetMs };
    this.#edges.learn(info.edges);
    if (info.draining) this.#drain(base);
    else this.#stay(base);
    this.#host.changed();
  }

  async #probe(): Promise<void> {
    const { base, id } = this.#endpoints;
    const { cutOff, ...standing } = await askStatus(this.#endpoints, this.#headers);
    // Not anywhere: where all edges have lost their origin, each keeps its viewers for when it is back.
    const others = cutOff ? this.#edges.askable(performance.now()) : [];
    const better = await firstWithMedia(others, id, this.#headers);
    // Of an edge that is not asked any more nothing follows, and the ladder does not wait for it.
    if (base !== this.#endpoints.base) return;
    if (better !== null) this.#leave(LEAVE_LOST_MS, better);
    this.#handle({ type: 'status', ...standing });
  }
}

function isDraining(event: LadderEvent): boolean {
  const failure = event.type === 'failed' ? event.failure : null;
  return failure?.kind === 'unsuitable' && failure.reason === 'draining';
}

/** Whether what happened says that the edge cannot serve this viewer, though another may. */
export function lostEdge(event: LadderEvent): boolean {
  if (event.type === 'status') return event.status === 'unreachable';
  if (event.type !== 'failed') return false;
  const { failure } = event;
  if (failure.kind === 'unsuitable') return OF_THE_EDGE.has(failure.reason);
  return failure.kind === 'unreachable';
}
