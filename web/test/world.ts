import { expect } from 'vitest';
import {
  type Action,
  type Failure,
  Ladder,
  type LadderEvent,
  type LadderOptions,
  type Path,
  type Status,
} from '../src/ladder.ts';

/** What the edge and the network would do, for a ladder in virtual time. */
export class World {
  now = 0;
  ladder: Ladder;
  /** Attempts that are running, oldest first. */
  running: { id: number; path: Path }[] = [];
  started: Path[] = [];
  /** How long the edge may hold each. */
  waits: number[] = [];
  probes = 0;
  shown: number | null = null;
  /** The answer to probes; null lets them hang. */
  status: Status | null = 'live';
  reason: string | undefined;

  constructor(options: Partial<LadderOptions> = {}) {
    this.ladder = new Ladder({ pin: null, random: () => 1, ...options });
  }

  start() {
    this.ladder.handle({ type: 'start' }, this.now);
    this.settle();
    return this;
  }

  /** The newest attempt. */
  get last() {
    const last = this.running.at(-1);
    if (!last) throw new Error('nothing runs');
    return last;
  }

  frame(id = this.last.id) {
    this.ladder.handle({ type: 'frame', attempt: id }, this.now);
    this.settle();
  }

  send(event: LadderEvent) {
    this.ladder.handle(event, this.now);
    this.settle();
  }

  connected(id = this.last.id) {
    this.ladder.handle({ type: 'connected', attempt: id }, this.now);
  }

  fail(failure: Failure, id = this.last.id) {
    this.ladder.handle({ type: 'failed', attempt: id, failure }, this.now);
    this.settle();
  }

  /** Lets time pass, with frames of `moving` twice a second, doing everything when it is due. */
  pass(ms: number, moving: number | null = null) {
    const end = this.now + ms;
    let frameAt = moving === null ? Number.POSITIVE_INFINITY : this.now;
    while (true) {
      const due = Math.max(this.now, this.ladder.deadline() ?? Number.POSITIVE_INFINITY);
      const next = Math.min(due, frameAt);
      if (next > end) break;
      this.now = next;
      if (frameAt <= next) {
        frameAt += 500;
        this.ladder.handle({ type: 'frame', attempt: moving ?? 0 }, this.now);
      } else {
        this.ladder.timeout(this.now);
        expect(this.ladder.deadline() ?? Number.POSITIVE_INFINITY).toBeGreaterThan(this.now);
      }
      this.settle();
    }
    this.now = end;
  }

  private settle() {
    for (const action of this.ladder.drain()) this.act(action);
  }

  private act(action: Action) {
    switch (action.type) {
      case 'start':
        this.running.push({ id: action.attempt, path: action.path });
        this.started.push(action.path);
        this.waits.push(action.waitMs);
        return;
      case 'stop':
        this.running = this.running.filter(({ id }) => id !== action.attempt);
        return;
      case 'promote': {
        const old = this.shown;
        this.shown = action.attempt;
        this.running = this.running.filter(({ id }) => id !== old);
        return;
      }
      case 'probe':
        this.probes++;
        if (this.status !== null) {
          const { status, reason } = this;
          this.ladder.handle({ type: 'status', status, reason }, this.now);
          this.settle();
        }
    }
  }
}

/** No way to the media port, by UDP or TCP. */
export const NO_CONNECTION: Failure = { kind: 'unsuitable', reason: 'no-connection' };
