import { expect, test } from 'vitest';
import { Experience, randomViewer, type Shown, watchedPath } from '../src/experience.ts';

const VIEWER = '0011223344556677';
const ON_WEBRTC: Shown = {
  path: 'webrtc',
  transport: 'udp',
  latencyMs: 61.6,
  fallbackReason: null,
};

/** Pictures four times a second. */
function play(experience: Experience, fromMs: number, toMs: number): void {
  for (let at = fromMs; at <= toMs; at += 250) experience.frame(at);
}

test('the first report has the start-up, and later ones have not', () => {
  const experience = new Experience(1_000, VIEWER);
  expect(experience.report(ON_WEBRTC, null, 1_000), 'nothing to tell').toBeNull();
  play(experience, 1_200, 10_200);
  expect(experience.report(ON_WEBRTC, 'webrtc', 10_200)).toEqual({
    path: 'webrtc-udp',
    startup_ms: 200,
    latency_ms: 62,
    played_ms: 9_000,
    stalls: 0,
    stalled_ms: 0,
    viewer: { id: VIEWER, n: 0, on: 'webrtc' },
  });
  play(experience, 10_450, 20_200);
  expect(
    experience.report({ ...ON_WEBRTC, transport: 'tcp', latencyMs: null }, 'webrtc', 20_200),
  ).toEqual({
    path: 'webrtc-tcp',
    played_ms: 10_000,
    stalls: 0,
    stalled_ms: 0,
    viewer: { id: VIEWER, n: 1, on: 'webrtc' },
  });
});

test('a picture that stands has stalled, unless it should stand', () => {
  const experience = new Experience(0, VIEWER);
  play(experience, 100, 5_100);
  play(experience, 7_100, 8_100);
  experience.rest();
  play(experience, 60_000, 61_000);
  expect(experience.report(ON_WEBRTC, 'webrtc', 61_000)).toMatchObject({
    played_ms: 7_000,
    stalls: 1,
    stalled_ms: 2_000,
  });
});

test('who waits for the host has no start-up', () => {
  const experience = new Experience(0, VIEWER);
  experience.rest();
  play(experience, 600_000, 601_000);
  expect(experience.report(ON_WEBRTC, 'webrtc', 601_000)).not.toHaveProperty('startup_ms');
});

test('a fallback is told once', () => {
  const experience = new Experience(0, VIEWER);
  const onDash: Shown = { ...ON_WEBRTC, path: 'dash', fallbackReason: 'no-connection' };
  let at = 0;
  const told = (shown: Shown) => {
    play(experience, at, at + 1_000);
    at += 1_000;
    return experience.report(shown, shown.path, at);
  };
  expect(told(onDash)).toMatchObject({ path: 'dash', fallback: 'no-connection' });
  expect(told(onDash)).not.toHaveProperty('fallback');
  expect(told(ON_WEBRTC)).not.toHaveProperty('fallback');
  expect(told({ ...onDash, path: 'hls' })).toMatchObject({ fallback: 'no-connection' });
});

test('a stall that does not end is told as far as it goes, once, and no more than is believed', () => {
  const experience = new Experience(0, VIEWER);
  play(experience, 100, 1_100);
  // It may be the host who pauses, of which the player does not know yet.
  expect(experience.report(ON_WEBRTC, 'webrtc', 4_100)).toMatchObject({ stalls: 0, stalled_ms: 0 });
  expect(experience.report(ON_WEBRTC, 'webrtc', 14_100)).toMatchObject({
    stalls: 1,
    stalled_ms: 13_000,
  });
  expect(experience.report(ON_WEBRTC, 'webrtc', 24_100)).toMatchObject({
    stalls: 0,
    stalled_ms: 10_000,
  });
  experience.frame(26_100);
  expect(experience.report(ON_WEBRTC, 'webrtc', 26_100)).toMatchObject({
    stalls: 0,
    stalled_ms: 2_000,
  });
  expect(experience.report({ ...ON_WEBRTC, latencyMs: 1e9 }, 'webrtc', 226_100)).toMatchObject({
    latency_ms: 120_000,
    stalled_ms: 60_000,
  });
});

test('the edge is told at once by what path a viewer watches, and for as long', () => {
  const experience = new Experience(0, VIEWER);
  const on = (path: 'webrtc' | 'dash'): Shown => ({ ...ON_WEBRTC, path, latencyMs: 900 });
  expect(experience.toldOn).toBeNull();
  experience.frame(1_000);
  // How far behind it is has yet to settle.
  const first = experience.report(on('dash'), 'dash', 1_000);
  expect(first).toMatchObject({ startup_ms: 1_000, played_ms: 0, viewer: { n: 0, on: 'dash' } });
  expect(first).not.toHaveProperty('latency_ms');
  expect(experience.toldOn).toBe('dash');
  // Nobody looks at the page, but somebody listens.
  experience.rest();
  const quiet = { path: 'dash', played_ms: 0, stalls: 0, viewer: { id: VIEWER, n: 1, on: 'dash' } };
  expect(experience.report(on('dash'), 'dash', 11_000)).toMatchObject(quiet);
  // What was shown was shown on the path before.
  const over = { path: 'dash', viewer: { n: 2, on: 'webrtc' } };
  expect(experience.report(on('dash'), 'webrtc', 12_000)).toMatchObject(over);
  expect(experience.report(on('webrtc'), 'webrtc', 22_000), 'its session tells').toBeNull();
  const left = { path: 'webrtc-udp', viewer: { n: 3, on: null } };
  expect(experience.report(on('webrtc'), null, 23_000)).toMatchObject(left);
  expect(experience.report(on('webrtc'), null, 33_000), 'once').toBeNull();
});

test('who waits for a host that is away watches; who paused long ago does not', () => {
  expect(watchedPath('hls', 'live', null)).toBe('hls');
  expect(watchedPath('hls', 'paused', null)).toBe('hls');
  expect(watchedPath('hls', 'reconnecting', null)).toBe('hls');
  expect(watchedPath('hls', 'ended', null)).toBeNull();
  expect(watchedPath('hls', 'unknown', null)).toBeNull();
  expect(watchedPath(null, 'connecting', null)).toBeNull();
  expect(watchedPath('dash', 'live', 59_000)).toBe('dash');
  expect(watchedPath('dash', 'live', 60_000)).toBeNull();
});

test('viewers have names that tell nothing', () => {
  const names = Array.from({ length: 100 }, randomViewer);
  expect(new Set(names).size).toBe(100);
  for (const name of names) expect(name).toMatch(/^[0-9a-f]{16}$/);
});

test('what a report said that did not arrive is said with the next', () => {
  const experience = new Experience(0, VIEWER);
  play(experience, 100, 5_100);
  const lost = experience.report(ON_WEBRTC, 'webrtc', 10_100);
  expect(lost).toMatchObject({ startup_ms: 100, played_ms: 5_000, stalls: 1, stalled_ms: 5_000 });
  if (lost) experience.unheard(lost);
  play(experience, 11_100, 12_100);
  expect(experience.report(ON_WEBRTC, 'webrtc', 12_100)).toMatchObject({
    startup_ms: 100,
    played_ms: 6_000,
    stalls: 1,
    stalled_ms: 6_000,
  });
});
