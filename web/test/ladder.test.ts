import { beforeEach, describe, expect, test } from 'vitest';
import {
  type Action,
  type Failure,
  FIRST_FRAME_MS,
  HOLD_MS,
  Ladder,
  type LadderEvent,
  type LadderOptions,
  type Path,
  RETRY_MS,
  STALL_DEAD_MS,
  type Status,
  UNKNOWN_GRACE_MS,
  UPGRADE_MS,
} from '../src/ladder.ts';

/** What the edge and the network would do, for a ladder in virtual time. */
class World {
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
          this.ladder.handle({ type: 'status', status: this.status }, this.now);
          this.settle();
        }
    }
  }
}

const NO_CONNECTION: Failure = { kind: 'unsuitable', reason: 'no-connection' };

describe('the first picture', () => {
  test('WebRTC is tried first and is live with its first frame', () => {
    const world = new World().start();
    expect(world.started).toEqual(['webrtc']);
    expect(world.ladder.state).toBe('connecting');
    world.frame();
    expect(world.ladder.state).toBe('live');
    expect(world.ladder.path).toBe('webrtc');
    expect(world.ladder.fallbackReason).toBeNull();
  });

  test('without a connection in time it falls back to DASH, and says why', () => {
    const world = new World().start();
    world.pass(FIRST_FRAME_MS.webrtc - 1);
    expect(world.started).toEqual(['webrtc']);
    world.pass(1);
    expect(world.started).toEqual(['webrtc', 'dash']);
    expect(world.running.map(({ path }) => path)).toEqual(['dash']);
    world.frame();
    expect(world.ladder.path).toBe('dash');
    expect(world.ladder.fallbackReason).toBe('no-connection');
  });

  test('connected but without media, while the edge has it, falls back with that reason', () => {
    const world = new World().start();
    world.connected();
    world.pass(FIRST_FRAME_MS.webrtc);
    expect(world.last.path).toBe('dash');
    expect(world.ladder.fallbackReason).toBe('no-media');
  });

  test('connected but without media, because the host pauses, stays on WebRTC and waits', () => {
    const world = new World().start();
    world.status = 'away';
    world.connected();
    world.pass(60_000);
    expect(world.started).toEqual(['webrtc']);
    expect(world.ladder.state).toBe('paused');
    world.frame();
    expect(world.ladder.state).toBe('live');
  });

  test.each(['b-frames', 'full', 'codec'])(
    'a refusal for %s falls back at once, with that reason',
    (reason) => {
      const world = new World().start();
      world.fail({ kind: 'unsuitable', reason });
      expect(world.started).toEqual(['webrtc', 'dash']);
      expect(world.ladder.fallbackReason).toBe(reason);
    },
  );

  test('a browser without WebRTC plays DASH and never tries WebRTC again', () => {
    const world = new World().start();
    world.fail({ kind: 'unsupported', reason: 'webrtc-unsupported' });
    world.frame();
    world.pass(UPGRADE_MS.last * 3, world.last.id);
    expect(world.started).toEqual(['webrtc', 'dash']);
  });

  test('a browser without WebRTC and Media Source Extensions plays HLS, and tries nothing else', () => {
    const world = new World().start();
    world.fail({ kind: 'unsupported', reason: 'webrtc-unsupported' });
    world.fail({ kind: 'unsupported', reason: 'mse-unsupported' });
    world.frame();
    expect(world.ladder.path).toBe('hls');
    world.pass(UPGRADE_MS.last * 3, world.last.id);
    expect(world.started).toEqual(['webrtc', 'dash', 'hls']);
  });

  test('a browser that can do nothing of it is told so', () => {
    const world = new World().start();
    for (const reason of ['webrtc-unsupported', 'mse-unsupported', 'hls-unsupported']) {
      world.fail({ kind: 'unsupported', reason });
    }
    expect(world.ladder.state).toBe('unplayable');
    expect(world.running).toEqual([]);
  });

  test('when every path fails again and again the viewer is told, and it goes on trying', () => {
    const world = new World().start();
    world.fail(NO_CONNECTION);
    world.fail({ kind: 'unsuitable', reason: 'dash-error' });
    expect(world.started).toEqual(['webrtc', 'dash', 'hls']);
    for (let i = 0; i < 3; i++) {
      expect(world.ladder.state).toBe('connecting');
      world.fail({ kind: 'unsuitable', reason: 'hls-error' });
      world.pass(RETRY_MS.last);
    }
    expect(world.ladder.state).toBe('unplayable');
    world.frame();
    expect(world.ladder.state).toBe('live');
  });
});

describe('a broadcast that is not there', () => {
  test.each([
    ['away', 'paused'],
    ['unbegun', 'waiting'],
    ['ended', 'ended'],
  ] as const)('a newcomer is told that it is %s, whatever the refusal', (status, state) => {
    const world = new World();
    world.status = status;
    world.start();
    for (const kind of ['not-live', 'unknown'] as const) {
      world.fail(kind === 'unknown' ? { kind } : { kind, retryAfterMs: 1_000 });
      expect(world.ladder.state).toBe(state);
      world.pass(1_000);
    }
    world.frame();
    expect(world.ladder.state).toBe('live');
  });

  test('an edge that lists it as live but has no keyframe yet is not asked in a loop', () => {
    const world = new World();
    world.start();
    for (let i = 0; i < 5; i++) {
      world.fail({ kind: 'not-live', retryAfterMs: 2_000 });
      expect(world.running).toEqual([]);
      world.pass(2_000);
    }
    expect(world.started).toHaveLength(6);
    expect(world.ladder.state).toBe('waiting');
  });

  test('not live yet: waits for the host, asking as often as the edge wishes, on WebRTC', () => {
    const world = new World().start();
    world.status = 'unknown';
    world.fail({ kind: 'not-live', retryAfterMs: 2_000 });
    expect(world.ladder.state).toBe('waiting');
    for (let i = 0; i < 30; i++) {
      world.pass(1_999);
      expect(world.running).toEqual([]);
      world.pass(1);
      world.fail({ kind: 'not-live', retryAfterMs: 2_000 });
    }
    expect(new Set(world.started)).toEqual(new Set(['webrtc']));
    world.pass(2_000);
    world.frame();
    expect(world.ladder.path).toBe('webrtc');
  });

  test('the edge is asked to hold the next offer, and its answer starts the clock', () => {
    const world = new World().start();
    expect(world.waits).toEqual([0]);
    world.status = 'away';
    world.fail({ kind: 'not-live', retryAfterMs: 2_000 });
    world.pass(2_000);
    expect(world.waits).toEqual([0, HOLD_MS]);
    world.pass(HOLD_MS - 1);
    expect(world.running).toHaveLength(1);
    expect(world.ladder.state).toBe('paused');
    // The host has come, and this network lets no UDP through: no longer than ever to the next rung.
    world.ladder.handle({ type: 'answered', attempt: world.last.id }, world.now);
    world.pass(FIRST_FRAME_MS.webrtc);
    expect(world.last.path).toBe('dash');
    expect(world.waits).toEqual([0, HOLD_MS, 0]);
    // Once it has played, nothing is held any more.
    world.frame();
    world.fail({ kind: 'unreachable' });
    world.pass(60_000);
    expect(world.waits.slice(3).every((wait) => wait === 0)).toBe(true);
  });

  test('unknown: says so, and asks ever less often', () => {
    const world = new World().start();
    world.status = 'unknown';
    for (let i = 0; i < 10; i++) {
      world.fail({ kind: 'unknown' });
      expect(world.ladder.state).toBe('unknown');
      world.pass(Math.min(RETRY_MS.first * 2 ** i, RETRY_MS.last));
    }
    expect(world.started).toHaveLength(11);
  });

  test('an edge that does not answer is retried on the same path: it serves both', () => {
    const world = new World().start();
    for (let i = 0; i < 5; i++) {
      world.fail({ kind: 'unreachable' });
      expect(world.ladder.state).toBe('connecting');
      world.pass(Math.min(RETRY_MS.first * 2 ** i, RETRY_MS.last));
    }
    expect(new Set(world.started)).toEqual(new Set(['webrtc']));
    expect(world.ladder.fallbackReason).toBeNull();
  });
});

describe('a picture that stops', () => {
  let world: World;
  let first: number;
  beforeEach(() => {
    world = new World().start();
    world.connected();
    first = world.last.id;
    world.frame();
    world.pass(10_000, first);
    expect(world.probes).toBe(0);
  });

  test('encoder restart: says paused, keeps the session, and goes on with it', () => {
    world.status = 'away';
    world.pass(20_000);
    expect(world.ladder.state).toBe('paused');
    expect(world.started).toEqual(['webrtc']);
    world.frame(first);
    expect(world.ladder.state).toBe('live');
    world.pass(60_000, first);
    expect(world.started).toEqual(['webrtc']);
  });

  test('edge restart: the last picture stays until a new session has its own', () => {
    world.status = 'unreachable';
    world.pass(8_000);
    expect(world.ladder.state).toBe('reconnecting');
    world.status = 'unknown';
    world.pass(3_000);
    expect(world.ladder.state).toBe('reconnecting');
    world.status = 'live';
    world.pass(4_000);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    expect(world.shown).toBe(first);
    expect(world.running.map(({ id }) => id)).toContain(first);
    world.frame();
    expect(world.shown).not.toBe(first);
    expect(world.running).toHaveLength(1);
    expect(world.ladder.state).toBe('live');
    expect(world.ladder.fallbackReason).toBeNull();
  });

  test('a dead connection while the edge has media: WebRTC anew, then DASH', () => {
    world.pass(STALL_DEAD_MS + 3_000);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    world.pass(FIRST_FRAME_MS.webrtc);
    expect(world.started).toEqual(['webrtc', 'webrtc', 'dash']);
    world.frame();
    expect(world.ladder.path).toBe('dash');
  });

  test('a session that the edge closes is replaced at once', () => {
    world.fail({ kind: 'unsuitable', reason: 'connection-lost' }, first);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    expect(world.ladder.state).toBe('reconnecting');
    world.frame();
    expect(world.ladder.state).toBe('live');
  });

  test('a short gap is nobody’s business', () => {
    world.status = null;
    world.pass(1_900);
    expect(world.probes).toBe(0);
    expect(world.ladder.state).toBe('live');
  });

  test('ended: says so, and comes back if the host does', () => {
    world.status = 'ended';
    world.pass(10_000);
    expect(world.ladder.state).toBe('ended');
    world.status = 'live';
    world.pass(10_000);
    world.frame();
    expect(world.ladder.state).toBe('live');
  });

  test('a broadcast that is gone is unknown only after the grace of a restarting edge', () => {
    world.status = 'unknown';
    world.pass(UNKNOWN_GRACE_MS - 2_000);
    expect(world.ladder.state).toBe('reconnecting');
    world.pass(10_000);
    expect(world.ladder.state).toBe('unknown');
  });

  test('while the viewer pauses, nothing is wrong', () => {
    world.ladder.handle({ type: 'hold', held: true }, world.now);
    world.pass(600_000);
    expect(world.probes).toBe(0);
    expect(world.started).toEqual(['webrtc']);
    world.ladder.handle({ type: 'hold', held: false }, world.now);
    world.pass(1_000);
    expect(world.probes).toBe(0);
  });

  test('the old picture that moves again makes its replacement needless', () => {
    world.pass(STALL_DEAD_MS + 3_000);
    expect(world.running).toHaveLength(2);
    world.frame(first);
    expect(world.running.map(({ id }) => id)).toEqual([first]);
    expect(world.ladder.state).toBe('live');
  });

  test('a question that the edge never answers does not stop the clock', () => {
    world.status = null;
    world.pass(60_000);
    expect(world.probes).toBe(1);
    world.ladder.handle({ type: 'status', status: 'unreachable' }, world.now);
    world.status = 'live';
    world.pass(10_000);
    expect(world.started.length).toBeGreaterThan(1);
  });
});

describe('back up the ladder', () => {
  function onDash() {
    const world = new World().start();
    world.fail(NO_CONNECTION);
    world.frame();
    return { world, dash: world.last.id };
  }

  test('WebRTC is tried behind the DASH picture, which stays until WebRTC has its own', () => {
    const { world, dash } = onDash();
    world.pass(UPGRADE_MS.first, dash);
    expect(world.started).toEqual(['webrtc', 'dash', 'webrtc']);
    expect(world.ladder.state).toBe('live');
    expect(world.shown).toBe(dash);
    world.frame();
    expect(world.ladder.path).toBe('webrtc');
    expect(world.ladder.fallbackReason).toBeNull();
    expect(world.running).toHaveLength(1);
  });

  test('in vain, it is tried ever less often, and DASH goes on untouched', () => {
    const { world, dash } = onDash();
    world.pass(20 * 60_000, dash);
    const upgrades = world.started.filter((path) => path === 'webrtc').length - 1;
    // After 30 s, 1, 2, 4 and 5, 5 min: never more than a handful in twenty minutes.
    expect(upgrades).toBeGreaterThanOrEqual(4);
    expect(upgrades).toBeLessThanOrEqual(6);
    expect(world.shown).toBe(dash);
    expect(world.ladder.state).toBe('live');
  });

  test('at once when the network changes', () => {
    const { world, dash } = onDash();
    world.pass(1_000, dash);
    world.ladder.handle({ type: 'network' }, world.now);
    world.pass(1, dash);
    expect(world.last.path).toBe('webrtc');
  });

  test('WebRTC that is only refused for a while keeps the reason shown', () => {
    const { world, dash } = onDash();
    world.pass(UPGRADE_MS.first, dash);
    world.fail({ kind: 'unreachable' });
    expect(world.ladder.fallbackReason).toBe('no-connection');
    world.pass(1_000, dash);
    expect(world.running.map(({ id }) => id)).toEqual([dash]);
  });
});

describe('on the lowest rung', () => {
  function onHls() {
    const world = new World().start();
    world.fail(NO_CONNECTION);
    world.pass(5_000);
    world.fail({ kind: 'unsuitable', reason: 'dash-error' });
    world.frame();
    return { world, hls: world.last.id };
  }

  test('better paths are tried again when their time has come, each by itself', () => {
    const { world, hls } = onHls();
    expect(world.ladder.path).toBe('hls');
    expect(world.ladder.fallbackReason).toBe('no-connection');
    world.pass(UPGRADE_MS.first - 5_000, hls);
    expect(world.started).toEqual(['webrtc', 'dash', 'hls', 'webrtc']);
    world.fail(NO_CONNECTION);
    world.pass(5_000, hls);
    expect(world.started).toEqual(['webrtc', 'dash', 'hls', 'webrtc', 'dash']);
    world.frame();
    expect(world.ladder.path).toBe('dash');
    world.pass(2 * UPGRADE_MS.first - 5_000, world.last.id);
    expect(world.last.path).toBe('webrtc');
    world.frame();
    expect(world.ladder.path).toBe('webrtc');
    expect(world.ladder.fallbackReason).toBeNull();
  });

  test('when the network changes the best comes first', () => {
    const { world, hls } = onHls();
    world.ladder.handle({ type: 'network' }, world.now);
    world.pass(1, hls);
    expect(world.last.path).toBe('webrtc');
  });

  test('a picture that dies there is replaced there, until others may be tried', () => {
    const { world, hls } = onHls();
    world.pass(10_000, hls);
    world.fail({ kind: 'unsuitable', reason: 'hls-error' }, hls);
    expect(world.started).toEqual(['webrtc', 'dash', 'hls', 'hls']);
    expect(world.ladder.state).toBe('reconnecting');
    world.frame();
    expect(world.ladder.state).toBe('live');
  });
});

describe('a picture that goes as soon as it came', () => {
  test('its path has failed, and the next is played', () => {
    const world = new World().start();
    world.connected();
    world.frame();
    expect(world.ladder.fallbackReason).toBeNull();
    world.pass(STALL_DEAD_MS + 3_000);
    expect(world.started).toEqual(['webrtc', 'dash']);
    expect(world.ladder.fallbackReason).toBe('no-media');
    world.frame();
    expect(world.ladder.path).toBe('dash');
  });

  test('but not if the edge was away meanwhile', () => {
    const world = new World().start();
    world.connected();
    world.frame();
    world.status = 'unreachable';
    world.pass(6_000);
    world.fail({ kind: 'unsuitable', reason: 'connection-lost' }, world.shown ?? 0);
    world.status = 'live';
    world.pass(5_000);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
  });

  test('on the last rung it is asked for ever less often', () => {
    const world = new World({ pin: 'hls' }).start();
    const from = world.now;
    while (world.now < from + 60_000) {
      if (world.running.length > 0 && world.shown !== world.last.id) {
        world.frame();
        world.fail({ kind: 'unsuitable', reason: 'hls-error' });
      }
      world.pass(100);
    }
    expect(world.started.length).toBeLessThan(15);
    expect(world.started.length).toBeGreaterThan(5);
  });

  test('an upgrade that comes to nothing does not cost the good path', () => {
    const world = new World().start();
    world.fail(NO_CONNECTION);
    world.frame();
    world.pass(UPGRADE_MS.first, world.last.id);
    expect(world.last.path).toBe('webrtc');
    world.frame();
    expect(world.ladder.path).toBe('webrtc');
    world.pass(STALL_DEAD_MS + 3_000);
    expect(world.last.path).toBe('dash');
    world.frame();
    const dash = world.last.id;
    world.pass(20_000, dash);
    expect(world.shown).toBe(dash);
  });
});

describe('a pinned path', () => {
  test('hls: no other is ever played', () => {
    const world = new World({ pin: 'hls' }).start();
    world.fail({ kind: 'unsuitable', reason: 'hls-error' });
    world.pass(60_000);
    expect(new Set(world.started)).toEqual(new Set(['hls']));
    expect(world.started.length).toBeGreaterThan(2);
  });

  test('webrtc: never falls back', () => {
    const world = new World({ pin: 'webrtc' }).start();
    world.pass(120_000);
    expect(new Set(world.started)).toEqual(new Set(['webrtc']));
    expect(world.started.length).toBeGreaterThan(3);
  });

  test('dash: never goes up', () => {
    const world = new World({ pin: 'dash' }).start();
    world.frame();
    world.pass(20 * 60_000, world.last.id);
    expect(world.started).toEqual(['dash']);
    expect(world.ladder.fallbackReason).toBeNull();
  });
});

describe('back in the window', () => {
  const shift = (world: World, behind: boolean) => world.send({ type: 'shift', behind });
  const onWebRtc = () => {
    const world = new World().start();
    world.connected();
    world.frame();
    return { world, webrtc: world.last.id };
  };

  test('from WebRTC another path is begun behind the picture, which stays until there is one', () => {
    const { world, webrtc } = onWebRtc();
    shift(world, true);
    expect(world.started).toEqual(['webrtc', 'dash']);
    world.pass(1_000, webrtc);
    expect(world.shown).toBe(webrtc);
    expect(world.running).toHaveLength(2);
    world.frame();
    expect(world.ladder.path).toBe('dash');
    expect(world.ladder.fallbackReason).toBeNull();
  });

  test('nobody is pulled up the ladder, however long it lasts', () => {
    const { world } = onWebRtc();
    shift(world, true);
    world.frame();
    world.ladder.handle({ type: 'network' }, world.now);
    world.pass(20 * 60_000, world.last.id);
    expect(world.started).toEqual(['webrtc', 'dash']);
  });

  test('the return to live goes back up at once, and leaves the picture until then', () => {
    const { world } = onWebRtc();
    shift(world, true);
    world.frame();
    const dash = world.last.id;
    world.pass(60_000, dash);
    shift(world, false);
    expect(world.last.path).toBe('webrtc');
    expect(world.shown).toBe(dash);
    world.frame();
    expect(world.ladder.path).toBe('webrtc');
  });

  test('where WebRTC does not get through, going back and returning changes no path', () => {
    const world = new World().start();
    world.fail(NO_CONNECTION);
    world.frame();
    shift(world, true);
    world.pass(5_000, world.last.id);
    shift(world, false);
    expect(world.started).toEqual(['webrtc', 'dash']);
  });

  test('the next path is tried where the first does not come, and else it is given up', () => {
    const { world, webrtc } = onWebRtc();
    world.pass(10_000, webrtc);
    shift(world, true);
    world.fail({ kind: 'unsuitable', reason: 'dash-error' });
    expect(world.last.path).toBe('hls');
    expect(world.ladder.behind).toBe(true);
    world.fail({ kind: 'unsuitable', reason: 'hls-error' });
    expect(world.ladder.behind).toBe(false);
    expect(world.shown).toBe(webrtc);
    expect(world.ladder.state).toBe('live');
  });

  test('a path that dies there is replaced by one that has a window', () => {
    const { world } = onWebRtc();
    shift(world, true);
    world.frame();
    const dash = world.last.id;
    world.pass(20_000, dash);
    world.fail({ kind: 'unsuitable', reason: 'dash-error' }, dash);
    world.pass(5_000);
    expect(world.last.path).not.toBe('webrtc');
  });

  test('with WebRTC alone there is no going back', () => {
    const world = new World({ pin: 'webrtc' }).start();
    world.frame();
    expect(world.ladder.canShift).toBe(false);
    shift(world, true);
    expect(world.ladder.behind).toBe(false);
    expect(world.started).toEqual(['webrtc']);
  });
});

describe('another edge', () => {
  const move = (world: World) => world.send({ type: 'edge' });

  test('of an edge that stops, the picture stays until the other has one', () => {
    const world = new World().start();
    world.frame();
    const first = world.last.id;
    world.pass(20_000, first);
    move(world);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    world.pass(400, first);
    expect(world.running).toHaveLength(2);
    expect(world.ladder.state).toBe('live');
    world.frame();
    expect(world.shown).not.toBe(first);
    expect(world.running).toHaveLength(1);
  });

  test('of an edge that is gone, the other is asked at once', () => {
    const world = new World().start();
    world.frame();
    world.pass(20_000, world.last.id);
    world.status = 'unreachable';
    world.pass(3_000);
    expect(world.ladder.state).toBe('reconnecting');
    move(world);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    world.frame();
    expect(world.ladder.state).toBe('live');
  });

  test('what the former was asked is not waited for', () => {
    const world = new World().start();
    world.frame();
    world.pass(20_000, world.last.id);
    world.status = null;
    world.fail({ kind: 'unsuitable', reason: 'connection-lost' });
    expect(world.probes).toBe(1);
    move(world);
    world.connected();
    world.status = 'away';
    world.pass(FIRST_FRAME_MS.webrtc);
    expect(world.probes).toBe(2);
    expect(world.ladder.state).toBe('paused');
    expect(world.running, 'its attempt goes on').toHaveLength(2);
  });

  test('what was the edge’s fault is forgotten there, and what was the network’s is not', () => {
    for (const [reason, path] of [
      ['full', 'webrtc'],
      ['no-connection', 'dash'],
    ] as const) {
      const world = new World().start();
      world.fail({ kind: 'unsuitable', reason });
      world.frame();
      world.pass(1_000, world.last.id);
      move(world);
      expect(world.last.path, reason).toBe(path);
    }
  });
});

describe('an edge that does not let in', () => {
  test('another network does not shorten what the edge asked for', () => {
    const full: Failure = { kind: 'unsuitable', reason: 'full', retryAfterMs: 20_000 };
    const world = new World({ pin: 'webrtc' }).start();
    world.fail(full);
    world.pass(5_000);
    world.send({ type: 'network' });
    expect(world.ladder.retryAt).toBe(20_000);
    // Another edge has asked for nothing.
    world.send({ type: 'edge' });
    world.fail({ kind: 'unreachable' });
    world.send({ type: 'network' });
    expect(world.ladder.retryAt).toBe(world.now);
  });

  test('nor is a path tried at once that the edge had no place on', () => {
    const world = new World().start();
    world.fail({ kind: 'unsuitable', reason: 'full', retryAfterMs: 20_000 });
    world.frame();
    world.send({ type: 'network' });
    world.pass(10_000, world.last.id);
    expect(world.started).toEqual(['webrtc', 'dash']);
  });

  test('full on the only path: says so, and asks again when it was told to', () => {
    const world = new World({ pin: 'webrtc' }).start();
    world.fail({ kind: 'unsuitable', reason: 'full', retryAfterMs: 20_000 });
    expect(world.ladder.state).toBe('full');
    expect(world.ladder.refusal).toBe('full');
    expect(world.ladder.retryAt).toBe(20_000);
    world.pass(20_000);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    world.frame();
    expect(world.ladder.state).toBe('live');
    expect(world.ladder.refusal).toBeNull();
  });

  test('refused: no path is tried in a loop, and the reason is known', () => {
    const world = new World().start();
    world.fail({ kind: 'refused', reason: 'token', retryAfterMs: null });
    expect(world.ladder.state).toBe('refused');
    expect(world.ladder.refusal).toBe('token');
    world.pass(29_000);
    expect(world.started).toEqual(['webrtc']);
    world.pass(1_000);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
  });
});

test('a thousand viewers of a restarted edge do not return as one', () => {
  const times = [0, 0.25, 0.5, 0.75, 1].map((random) => {
    const world = new World({ random: () => random }).start();
    world.fail({ kind: 'unreachable' });
    return world.ladder.deadline();
  });
  expect(new Set(times).size).toBe(times.length);
  expect(Math.min(...times.map(Number))).toBeGreaterThanOrEqual(RETRY_MS.first / 2);
});

test('what a stopped attempt still says is ignored', () => {
  const world = new World().start();
  const stale = world.last.id;
  world.fail(NO_CONNECTION);
  world.frame(stale);
  expect(world.ladder.path).toBeNull();
  world.fail({ kind: 'ended' }, stale);
  expect(world.ladder.state).toBe('connecting');
  expect(world.last.path).toBe('dash');
});
