// Elsewhere in the window, and at another edge.

import { describe, expect, test } from 'vitest';
import { type Failure, FIRST_FRAME_MS } from '../src/ladder.ts';
import { NO_CONNECTION, World } from './world.ts';

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

  test('asked to register: said as such, asked again now and then, and let in without that', () => {
    const world = new World().start();
    world.fail({ kind: 'refused', reason: 'registration-required', retryAfterMs: null });
    expect(world.ladder.state).toBe('registering');
    expect(world.ladder.refusal).toBe('registration-required');
    world.pass(59_000);
    expect(world.started).toEqual(['webrtc']);
    world.pass(1_000);
    expect(world.started).toEqual(['webrtc', 'webrtc']);
    // What was typed is not to go while that is under way.
    expect(world.ladder.state).toBe('registering');
    world.frame();
    expect(world.ladder.state).toBe('live');
  });
});
