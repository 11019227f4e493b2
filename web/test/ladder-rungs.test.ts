// From one path to another: down when one fails, and back up when it becomes possible.

import { describe, expect, test } from 'vitest';
import { STALL_DEAD_MS, UPGRADE_MS } from '../src/ladder.ts';
import { NO_CONNECTION, World } from './world.ts';

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
