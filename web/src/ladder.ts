// Which path plays, and what the viewer is told: a pure state machine. Events and the time go in,
// actions come out; engines, timers and the network are the player's.
//
// Every attempt runs behind the picture that is shown and comes to the front with its own first
// frame, so a change of path, or a reconnect, keeps the last picture until there is a better one.

import {
  type Action,
  above,
  type Failure,
  type LadderEvent,
  PATHS,
  type Path,
  type State,
  type Status,
} from './rungs.ts';

export * from './rungs.ts';

export interface LadderOptions {
  /** Only this path, and no other, ever. */
  readonly pin: Path | null;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
}

/**
 * How long an attempt may take to its first frame. WebRTC: measured, 80 ms to connect and 75 ms to
 * the picture on a clean network; four seconds leave room for three lost DTLS flights (1 s, then 2 s)
 * and are about as long as people look at a black rectangle before they reload. The others load their
 * engine first, and may be held for six seconds until there is something to play.
 */
export const FIRST_FRAME_MS: Record<Path, number> = { webrtc: 4_000, dash: 12_000, hls: 12_000 };
/** How long the edge is asked to hold an attempt at a broadcast that has no media; it grants 30 s. */
export const HOLD_MS = 20_000;
/** Frames missing for this long make the ladder ask the edge; a keyframe's burst is far shorter. */
export const STALL_ASK_MS = 2_000;
/** Frames missing for this long, while the edge has them, mean that the connection is dead. */
export const STALL_DEAD_MS = 5_000;
/** A picture that goes sooner than this was none: its path has failed like one without a picture. */
export const SETTLED_MS = 10_000;
/** Between two questions to the edge while frames are missing. */
export const PROBE_MS = 1_500;
/** After an edge's restart it takes a moment to learn which broadcasts exist: no "unknown" before this. */
export const UNKNOWN_GRACE_MS = 10_000;
/** Retries back off from the first to the last, doubling, with half of it random. */
export const RETRY_MS = { first: 500, last: 10_000 } as const;
/** A better path that failed is tried again after the first, doubling up to the last. */
export const UPGRADE_MS = { first: 30_000, last: 300_000 } as const;

/** The longest that an edge that is full, or refuses, may put a viewer off. */
export const PUT_OFF_MAX_MS = 60_000;
/** A viewer who is refused, and not told for how long, asks again after this. */
export const REFUSED_MS = 30_000;

/** A viewer whose token is no good asks again after this: only another link helps, or the host. */
export const TOKEN_MS = 60_000;

/** What a viewer who is turned away can do about it, other than ask whoever gave them the link. */
const TURNED_AWAY: Readonly<Record<string, State>> = {
  'token-expired': 'expired',
  'registration-required': 'registering',
};

/** Reasons of an edge, which another may not have; all others are the path's, or the broadcast's. */
export const OF_THE_EDGE: ReadonlySet<string> = new Set([
  'busy',
  'client-busy',
  'draining',
  'egress',
  'full',
  'refused',
]);

/** Reasons that mean that all places are taken, at the edge or of the broadcast. */
const NO_PLACE: ReadonlySet<string> = new Set(['full', 'egress', 'broadcast-full']);

/** So many failures of every path without a first picture, and the viewer is told that it is no use. */
export const FAILURES_UNPLAYABLE = 2;

interface Attempt {
  readonly id: number;
  readonly path: Path;
  /** No first frame by then, and it has failed. */
  deadline: number;
  connected: boolean;
  /** It is wanted even if the picture on screen is well: from elsewhere, or of another moment. */
  readonly wanted: boolean;
}

interface Block {
  readonly reason: string;
  until: number;
  readonly waitMs: number;
}

interface Front {
  readonly id: number;
  readonly path: Path;
  readonly since: number;
  lastFrameAt: number;
  /** The engine gave up; its last picture stands until another takes its place. */
  dead: boolean;
  /** Why it gave up, as far as it said. */
  reason: string | null;
  /** The edge or the host was away while no frames came: it is not the path's fault. */
  excused: boolean;
}

export class Ladder {
  readonly #options: LadderOptions;
  readonly #unsupported = new Set<Path>();
  #actions: Action[] = [];
  #ids = 0;
  #state: State = 'connecting';
  #front: Front | null = null;
  #trying: Attempt | null = null;
  #retryAt: number | null = null;
  /** Until then the edge has asked not to be tried again. */
  #putOffUntil = 0;
  #failures = 0;
  /** The edge said that there is no media yet: it may answer when there is. */
  #awaiting = false;
  #held = false;
  /** The viewer watches what was. */
  #behind = false;
  #refusal: string | null = null;
  #probing = false;
  #probeAt: number | null = null;
  #unknownSince: number | null = null;
  /** What an engine's refusal alone would mean, until the edge's list has been asked. */
  #absence: State | null = null;
  /** Why paths are not played that could be, and when they may be tried again. */
  readonly #blocked = new Map<Path, Block>();

  constructor(options: LadderOptions) {
    this.#options = options;
  }

  get state(): State {
    return this.#state;
  }

  /** The path whose picture is shown. */
  get path(): Path | null {
    return this.#front?.path ?? null;
  }

  /** Why it is not WebRTC; null while it is, or while nothing speaks against it. */
  get fallbackReason(): string | null {
    if (this.#alive() && this.#front?.path === 'webrtc') return null;
    return this.#blocked.get('webrtc')?.reason ?? null;
  }

  /** Why the edge refuses this viewer, or has no place; null while it does neither. */
  get refusal(): string | null {
    const told = ['refused', 'registering', 'expired', 'full'].includes(this.#state);
    return told ? this.#refusal : null;
  }

  /** When the next attempt is made by itself; null while none is waited for. */
  get retryAt(): number | null {
    return this.#retryAt;
  }

  /** Whether the viewer is back in the window, as far as a path could be found that has one. */
  get behind(): boolean {
    return this.#behind;
  }

  /** Whether any path that may be played here has a window: WebRTC has none. */
  get canShift(): boolean {
    const { pin } = this.#options;
    return PATHS.some(
      (path) => path !== 'webrtc' && (pin ?? path) === path && !this.#unsupported.has(path),
    );
  }

  /** Takes what is to be done since the last call, in order. */
  drain(): Action[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** When `timeout` wants to be called next; null for not at all. */
  deadline(): number | null {
    const times = [this.#trying?.deadline, this.#retryAt, this.#probeDue(), this.#upgrade()?.at];
    const due = times.filter((time): time is number => typeof time === 'number');
    return due.length > 0 ? Math.min(...due) : null;
  }

  handle(event: LadderEvent, now: number): void {
    switch (event.type) {
      case 'start':
        return this.#try(now);
      case 'answered':
        if (this.#trying?.id === event.attempt) {
          this.#trying.deadline = now + FIRST_FRAME_MS[this.#trying.path];
        }
        return;
      case 'connected':
        if (this.#trying?.id === event.attempt) this.#trying.connected = true;
        return;
      case 'frame':
        return this.#frame(event.attempt, now);
      case 'failed':
        return this.#failed(event.attempt, event.failure, now);
      case 'status':
        this.#probing = false;
        return this.#status(event.status, event.reason, now);
      case 'hold':
        this.#held = event.held;
        if (this.#front) this.#front.lastFrameAt = now;
        return;
      case 'shift':
        return this.#shift(event.behind, now);
      case 'edge':
        return this.#otherEdge(now);
      case 'network':
        this.#failures = 0;
        // What the edge asked for holds on every network.
        if (this.#retryAt !== null) this.#retryAt = Math.max(now, this.#putOffUntil);
        for (const block of this.#blocked.values()) {
          if (!OF_THE_EDGE.has(block.reason)) block.until = now;
        }
        return;
    }
  }

  /** Does what is due at `now`. */
  timeout(now: number): void {
    if (this.#trying && now >= this.#trying.deadline) this.#late(this.#trying, now);
    const upgrade = this.#upgrade();
    if (upgrade && now >= upgrade.at) this.#start(upgrade.path, now);
    if (this.#retryAt !== null && now >= this.#retryAt) this.#try(now);
    const probe = this.#probeDue();
    if (probe !== null && now >= probe) this.#probe(now);
  }

  /** When to ask the edge why no frames come. */
  #probeDue(): number | null {
    if (this.#probing || this.#held) return null;
    if (this.#probeAt !== null) return this.#probeAt;
    const front = this.#front;
    if (!front || front.dead || this.#trying || this.#retryAt !== null) return null;
    return front.lastFrameAt + STALL_ASK_MS;
  }

  /** Which better path to try behind a healthy picture, and when. */
  #upgrade(): { readonly path: Path; readonly at: number } | null {
    const front = this.#front;
    if (!front || this.#state !== 'live' || this.#held || this.#trying) return null;
    // What is above has no window, or would have to find the place again.
    if (this.#behind) return null;
    let next: { path: Path; at: number } | null = null;
    for (const [path, { until }] of this.#blocked) {
      if (!above(path, front.path) || !this.#allowed(path)) continue;
      const sooner = !next || until < next.at || (until === next.at && above(path, next.path));
      if (sooner) next = { path, at: until };
    }
    return next;
  }

  #allowed(path: Path): boolean {
    const pinned = this.#options.pin;
    if (this.#behind && path === 'webrtc') return false;
    return (pinned === null || pinned === path) && !this.#unsupported.has(path);
  }

  #shift(behind: boolean, now: number): void {
    if (behind === this.#behind || (behind && !this.canShift)) return;
    this.#behind = behind;
    const front = this.#front;
    // What is on its way is of another moment, or on a path that has no such moment.
    if (this.#trying && front) this.#stop(this.#trying.id);
    if (behind) {
      if (front && !front.dead && this.#allowed(front.path)) return;
      const path = this.#best(now) ?? PATHS.find((path) => this.#allowed(path));
      if (path) this.#start(path, now, true);
      return;
    }
    const path = this.#best(now);
    if (path && (!front || front.dead || above(path, front.path))) this.#start(path, now, true);
  }

  /** An attempt behind a healthy picture came to nothing: if it was to go back, that is over too. */
  #unshifted(failed: Path, now: number): void {
    const front = this.#front;
    if (!this.#behind || !front || this.#allowed(front.path)) return;
    const next = this.#best(now);
    if (next && next !== failed) this.#start(next, now, true);
    else this.#behind = false;
  }

  #otherEdge(now: number): void {
    for (const [path, { reason }] of this.#blocked) {
      if (OF_THE_EDGE.has(reason)) this.#blocked.delete(path);
    }
    if (this.#front) this.#front.excused = true;
    this.#unknownSince = null;
    this.#absence = null;
    this.#putOffUntil = 0;
    // What the former was asked is not answered any more.
    this.#probing = false;
    const path = this.#best(now) ?? PATHS.find((path) => this.#allowed(path));
    if (path) this.#start(path, now, true);
  }

  /** The best path that may be tried now. */
  #best(now: number): Path | null {
    const free = (path: Path) =>
      this.#options.pin !== null || now >= (this.#blocked.get(path)?.until ?? now);
    return PATHS.find((path) => this.#allowed(path) && free(path)) ?? null;
  }

  #try(now: number): void {
    this.#retryAt = null;
    const path = this.#best(now);
    if (path) return this.#start(path, now);
    // What is possible here has failed, and may not later: the only hope there is.
    const hopes = [...this.#blocked].filter(([path]) => this.#allowed(path));
    if (hopes.length > 0) this.#retryAt = Math.min(...hopes.map(([, { until }]) => until));
    this.#state = 'unplayable';
  }

  #start(path: Path, now: number, wanted = false): void {
    if (this.#trying) this.#stop(this.#trying.id);
    const id = ++this.#ids;
    const waitMs = this.#awaiting && path === 'webrtc' ? HOLD_MS : 0;
    const deadline = now + waitMs + FIRST_FRAME_MS[path];
    this.#trying = { id, path, deadline, connected: false, wanted };
    this.#retryAt = null;
    this.#probeAt = null;
    this.#actions.push({ type: 'start', attempt: id, path, waitMs });
  }

  #stop(attempt: number): void {
    this.#actions.push({ type: 'stop', attempt });
    if (this.#trying?.id === attempt) this.#trying = null;
  }

  #frame(attempt: number, now: number): void {
    const trying = this.#trying;
    if (trying?.id === attempt) {
      this.#trying = null;
      this.#front = {
        id: attempt,
        path: trying.path,
        since: now,
        lastFrameAt: now,
        dead: false,
        reason: null,
        excused: false,
      };
      this.#actions.push({ type: 'promote', attempt });
    } else if (this.#front?.id === attempt && !this.#front.dead) {
      this.#front.lastFrameAt = now;
      this.#front.excused = false;
      // It moves again by itself: a replacement on its way is not needed, a step up still is.
      if (trying && !trying.wanted && !above(trying.path, this.#front.path)) this.#stop(trying.id);
    } else {
      return;
    }
    this.#state = 'live';
    if (this.#settled(this.#front)) {
      this.#blocked.delete(this.#front.path);
      this.#failures = 0;
    }
    this.#awaiting = false;
    this.#retryAt = null;
    this.#probeAt = null;
    this.#unknownSince = null;
    this.#absence = null;
  }

  #failed(attempt: number, failure: Failure, now: number): void {
    if (this.#trying?.id === attempt) {
      const { path } = this.#trying;
      this.#stop(attempt);
      this.#resolve(path, failure, now);
    } else if (this.#front?.id === attempt && !this.#front.dead) {
      this.#front.dead = true;
      this.#probeAt = null;
      if ('reason' in failure) this.#front.reason = failure.reason;
      this.#reconnecting();
      if (this.#trying || this.#retryAt !== null) return;
      // A picture was here: whatever the engine says of its end, the edge knows better.
      this.#probe(now);
    }
  }

  /** An attempt has had no frame in its time. */
  #late(trying: Attempt, now: number): void {
    if (trying.connected && !this.#alive()) {
      // The way is open and nothing comes: most likely the encoder pauses. Only the edge knows.
      trying.deadline = now + FIRST_FRAME_MS[trying.path];
      if (!this.#probing) this.#probe(now);
      return;
    }
    this.#stop(trying.id);
    const reason = trying.connected ? 'no-media' : 'no-connection';
    this.#resolve(trying.path, { kind: 'unsuitable', reason }, now);
  }

  /** Whether a picture has been there for long enough to say that its path works. */
  #settled({ since, lastFrameAt }: Front): boolean {
    return lastFrameAt - since >= SETTLED_MS;
  }

  /** A picture that moves is on the screen. */
  #alive(): boolean {
    return this.#front !== null && !this.#front.dead && this.#state === 'live';
  }

  /** Decides what follows the failure of an attempt on `path`. */
  #resolve(path: Path, failure: Failure, now: number): void {
    if (failure.kind === 'unsupported') this.#unsupported.add(path);
    const block = this.#blocked.get(path);
    if ('reason' in failure) this.#block(path, failure.reason, now);
    else if (block) block.until = now + block.waitMs;
    if (this.#alive()) return this.#unshifted(path, now);
    if (failure.kind !== 'unknown') this.#unknownSince = null;
    this.#awaiting = failure.kind === 'not-live';

    switch (failure.kind) {
      case 'unsupported':
        return this.#try(now);
      case 'unsuitable': {
        const next = this.#best(now);
        if (next && next !== path) return this.#try(now);
        this.#reconnecting();
        if (NO_PLACE.has(failure.reason)) {
          if (!this.#front) this.#state = 'full';
          this.#refusal = failure.reason;
        } else if (!this.#front && this.#failures >= FAILURES_UNPLAYABLE) {
          // Every path has failed, and more than once: say so, and keep trying all the same.
          this.#state = 'unplayable';
        }
        return this.#putOff(now, failure.retryAfterMs, undefined, PUT_OFF_MAX_MS);
      }
      case 'not-live':
        this.#absent(this.#front ? 'paused' : 'waiting');
        this.#failures = 0;
        return this.#putOff(now, failure.retryAfterMs, PROBE_MS);
      case 'ended':
        this.#state = 'ended';
        return this.#retry(now, RETRY_MS.last);
      case 'refused':
        this.#turnedAway(failure.reason);
        return this.#putOff(now, failure.retryAfterMs, patience(failure.reason), PUT_OFF_MAX_MS);
      case 'unknown':
        this.#absent(this.#unknownState(now));
        return this.#retry(now);
      case 'unreachable':
        this.#reconnecting();
        return this.#retry(now);
    }
  }

  /** Leaves a path alone for a while, unless it is the last resort; WebRTC even then. */
  #block(path: Path, reason: string, now: number): void {
    const others = PATHS.some((other) => above(path, other) && this.#allowed(other));
    if (!others && path !== 'webrtc') return;
    const before = this.#blocked.get(path)?.waitMs;
    const waitMs = before ? Math.min(before * 2, UPGRADE_MS.last) : UPGRADE_MS.first;
    this.#blocked.set(path, { reason, until: now + this.#jittered(waitMs), waitMs });
  }

  #reconnecting(): void {
    this.#state = this.#front ? 'reconnecting' : 'connecting';
  }

  #unknownState(now: number): State {
    this.#unknownSince ??= now;
    const known = this.#front !== null && now - this.#unknownSince < UNKNOWN_GRACE_MS;
    return known ? 'reconnecting' : 'unknown';
  }

  /** An engine was told that there is nothing to play. Its list may say more: paused, or ended. */
  #absent(state: State): void {
    if (this.#state !== 'paused' && this.#state !== 'ended') this.#state = state;
    this.#absence = state;
    if (this.#probing) return;
    this.#probing = true;
    this.#actions.push({ type: 'probe' });
  }

  #retry(now: number, afterMs?: number, maxMs: number = RETRY_MS.last): void {
    const backoff = Math.min(RETRY_MS.first * 2 ** this.#failures, RETRY_MS.last);
    this.#failures++;
    const wait = afterMs === undefined ? backoff : Math.min(afterMs, maxMs);
    this.#retryAt = now + this.#jittered(wait);
  }

  /** Tries again when the edge asks for it, if it does, or else after `otherwiseMs`. */
  #putOff(now: number, askedMs?: number | null, otherwiseMs?: number, maxMs?: number): void {
    this.#retry(now, askedMs ?? otherwiseMs, maxMs);
    if (askedMs != null) this.#putOffUntil = this.#retryAt ?? now;
  }

  /** Half fixed, half random: a thousand viewers of a restarted edge must not return as one. */
  #jittered(ms: number): number {
    return ms / 2 + (ms / 2) * this.#options.random();
  }

  #probe(now: number): void {
    this.#probing = true;
    this.#probeAt = null;
    if (this.#front && now - this.#front.lastFrameAt >= STALL_DEAD_MS) this.#reconnecting();
    this.#actions.push({ type: 'probe' });
  }

  /** The edge does not let this viewer in, or no longer. */
  #turnedAway(reason: string): void {
    this.#state = TURNED_AWAY[reason] ?? 'refused';
    this.#refusal = reason;
  }

  /** The edge has said what it knows, because frames are missing or an engine was refused. */
  #status(status: Status, reason: string | undefined, now: number): void {
    if (this.#alive() && this.#front && now - this.#front.lastFrameAt < STALL_ASK_MS) return;
    if (status !== 'unknown') this.#unknownSince = null;
    if (this.#front && status !== 'live') this.#front.excused = true;
    if (this.#retryAt !== null) return this.#refine(status, reason);
    const trying = this.#trying;
    switch (status) {
      case 'live':
        return this.#stalled(now);
      case 'away':
      case 'unbegun':
        this.#state = status === 'away' ? 'paused' : 'waiting';
        // An engine that gave up hears of no return: ask for a new one until there is media.
        if (this.#front?.dead && !trying) return this.#retry(now, PROBE_MS);
        break;
      case 'ended':
        this.#state = 'ended';
        break;
      case 'unknown':
        this.#state = this.#unknownState(now);
        break;
      case 'refused':
        this.#turnedAway(reason ?? 'not-allowed');
        if (trying) this.#stop(trying.id);
        // What is on its way to nobody is not waited for.
        if (this.#front) this.#front.dead = true;
        return this.#retry(now, patience(reason), PUT_OFF_MAX_MS);
      case 'unreachable':
        this.#reconnecting();
        break;
    }
    if (!trying) this.#probeAt = now + this.#jittered(PROBE_MS * 2);
  }

  /** What the viewer is told while a retry is pending. */
  #refine(status: Status, reason: string | undefined): void {
    if (status === 'refused') this.#turnedAway(reason ?? 'not-allowed');
    else if (status === 'away') this.#state = 'paused';
    else if (status === 'unbegun') this.#state = 'waiting';
    else if (status === 'ended') this.#state = 'ended';
    else if (status === 'unknown' && this.#absence === 'unknown') this.#state = 'unknown';
    // A picture was here, and the edge says nothing of a pause: it has lost what it knew.
    else if (this.#front) this.#reconnecting();
    else if (status === 'unknown' && this.#absence) this.#state = this.#absence;
  }

  /** No frames come although the edge has media. */
  #stalled(now: number): void {
    const trying = this.#trying;
    if (trying) {
      // Its transport stands, so this path is no good; without one it still has its time.
      if (trying.connected) this.#overdue(trying, now);
      return;
    }
    const silent = this.#front ? now - this.#front.lastFrameAt : STALL_DEAD_MS;
    if (!this.#front?.dead && silent < STALL_DEAD_MS) {
      this.#probeAt = now + this.#jittered(PROBE_MS * 2);
      return;
    }
    this.#reconnecting();
    const front = this.#front;
    if (front && !front.excused && !this.#settled(front)) {
      const { path, reason } = front;
      this.#block(path, reason ?? 'no-media', now);
      const next = this.#best(now);
      if (!next || next === path) return this.#retry(now);
    }
    this.#try(now);
  }

  #overdue(trying: Attempt, now: number): void {
    this.#stop(trying.id);
    this.#resolve(trying.path, { kind: 'unsuitable', reason: 'no-media' }, now);
  }
}

/** How long whoever is refused for this waits before they ask again, unless the edge says when. */
function patience(reason = ''): number {
  return reason.startsWith('token-') || reason in TURNED_AWAY ? TOKEN_MS : REFUSED_MS;
}
