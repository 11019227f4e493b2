import { expect, test } from 'vitest';
import { Experience, type Shown } from '../src/experience.ts';

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
  const experience = new Experience(1_000);
  expect(experience.report(ON_WEBRTC, 1_000), 'nothing to tell').toBeNull();
  play(experience, 1_200, 10_200);
  expect(experience.report(ON_WEBRTC, 10_200)).toEqual({
    path: 'webrtc-udp',
    startup_ms: 200,
    latency_ms: 62,
    played_ms: 9_000,
    stalls: 0,
    stalled_ms: 0,
  });
  play(experience, 10_450, 20_200);
  expect(experience.report({ ...ON_WEBRTC, transport: 'tcp', latencyMs: null }, 20_200)).toEqual({
    path: 'webrtc-tcp',
    played_ms: 10_000,
    stalls: 0,
    stalled_ms: 0,
  });
});

test('a picture that stands has stalled, unless it should stand', () => {
  const experience = new Experience(0);
  play(experience, 100, 5_100);
  play(experience, 7_100, 8_100);
  experience.rest();
  play(experience, 60_000, 61_000);
  expect(experience.report(ON_WEBRTC, 61_000)).toMatchObject({
    played_ms: 7_000,
    stalls: 1,
    stalled_ms: 2_000,
  });
});

test('who waits for the host has no start-up', () => {
  const experience = new Experience(0);
  experience.rest();
  play(experience, 600_000, 601_000);
  expect(experience.report(ON_WEBRTC, 601_000)).not.toHaveProperty('startup_ms');
});

test('a fallback is told once', () => {
  const experience = new Experience(0);
  const onDash: Shown = { ...ON_WEBRTC, path: 'dash', fallbackReason: 'no-connection' };
  let at = 0;
  const told = (shown: Shown) => {
    play(experience, at, at + 1_000);
    at += 1_000;
    return experience.report(shown, at);
  };
  expect(told(onDash)).toMatchObject({ path: 'dash', fallback: 'no-connection' });
  expect(told(onDash)).not.toHaveProperty('fallback');
  expect(told(ON_WEBRTC)).not.toHaveProperty('fallback');
  expect(told({ ...onDash, path: 'hls' })).toMatchObject({ fallback: 'no-connection' });
});

test('a stall that does not end is told as far as it goes, once, and no more than is believed', () => {
  const experience = new Experience(0);
  play(experience, 100, 1_100);
  // It may be the host who pauses, of which the player does not know yet.
  expect(experience.report(ON_WEBRTC, 4_100)).toMatchObject({ stalls: 0, stalled_ms: 0 });
  expect(experience.report(ON_WEBRTC, 14_100)).toMatchObject({ stalls: 1, stalled_ms: 13_000 });
  expect(experience.report(ON_WEBRTC, 24_100)).toMatchObject({ stalls: 0, stalled_ms: 10_000 });
  experience.frame(26_100);
  expect(experience.report(ON_WEBRTC, 26_100)).toMatchObject({ stalls: 0, stalled_ms: 2_000 });
  expect(experience.report({ ...ON_WEBRTC, latencyMs: 1e9 }, 226_100)).toMatchObject({
    latency_ms: 120_000,
    stalled_ms: 60_000,
  });
});
