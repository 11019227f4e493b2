// The way to a picture, and what is said while there is none.

import { beforeEach, describe, expect, test } from 'vitest';
import {
  FIRST_FRAME_MS,
  HOLD_MS,
  RETRY_MS,
  STALL_ASK_MS,
  STALL_DEAD_MS,
  TOKEN_MS,
  UNKNOWN_GRACE_MS,
  UPGRADE_MS,
} from '../src/ladder.ts';
import { NO_CONNECTION, World } from './world.ts';

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

describe('a viewer who is not let in', () => {
  const refused = (reason: string) => ({ kind: 'refused', reason, retryAfterMs: null }) as const;

  test('has a link that expired, which is a state of its own, or none that is good', () => {
    for (const [reason, state] of [
      ['token-expired', 'expired'],
      ['token-missing', 'refused'],
      ['token-wrong-broadcast', 'refused'],
    ] as const) {
      const world = new World().start();
      world.fail(refused(reason));
      expect(world.ladder.state).toBe(state);
      expect(world.ladder.refusal).toBe(reason);
      world.pass(TOKEN_MS - 1);
      expect(world.running).toEqual([]);
      // The host may have opened it.
      world.pass(1);
      world.frame();
      expect([world.ladder.state, world.ladder.refusal]).toEqual(['live', null]);
    }
  });

  test.each(['connection-lost', null])('is told so when the picture goes: %s', (reason) => {
    const world = new World().start();
    world.frame();
    world.pass(20_000, world.last.id);
    world.status = 'refused';
    world.reason = 'token-expired';
    if (reason) world.fail({ kind: 'unsuitable', reason });
    else world.pass(STALL_ASK_MS);
    expect(world.ladder.state).toBe('expired');
    const { started } = world;
    world.pass(TOKEN_MS - STALL_ASK_MS - 1);
    expect(world.ladder.state).toBe('expired');
    expect(world.started).toBe(started);
  });

  test('for want of a place the host is waited for, and no other path is left alone for long', () => {
    const world = new World().start();
    for (const _ of ['webrtc', 'dash', 'hls']) {
      world.fail({ kind: 'unsuitable', reason: 'broadcast-full', retryAfterMs: 8_000 });
    }
    expect([world.ladder.state, world.ladder.refusal]).toEqual(['full', 'broadcast-full']);
    world.pass(8_000);
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
