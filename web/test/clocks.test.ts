import { describe, expect, test } from 'vitest';
import { endpoints } from '../src/endpoints.ts';
import { latencyMs, mediaTimeMs, Smoothed } from '../src/media-clock.ts';
import { offsetMs } from '../src/server-clock.ts';

describe('media time of an RTP timestamp', () => {
  const WRAP_MS = (2 ** 32 * 1000) / 90_000;
  const rtp = (ms: number) => Math.round(ms * 90) % 2 ** 32;

  test('is the timestamp itself in the first turn', () => {
    expect(mediaTimeMs(90_000, 1_100)).toBe(1_000);
  });

  test('survives wraps, on either side of them', () => {
    for (const ms of [WRAP_MS - 20, WRAP_MS + 20, 5 * WRAP_MS - 1, 5 * WRAP_MS + 1]) {
      for (const late of [-3_000, 0, 140, 60_000]) {
        expect(Math.abs(mediaTimeMs(rtp(ms), ms + late) - ms)).toBeLessThan(0.02);
      }
    }
  });

  test('never lies before T0', () => {
    expect(mediaTimeMs(2 ** 32 - 90, 0)).toBeGreaterThanOrEqual(0);
  });

  test('latency is the server time minus the wall clock of the picture', () => {
    expect(latencyMs(10_500, 10_000, 360)).toBe(140);
  });
});

describe('server clock', () => {
  test('the exchange with the shortest round trip decides', () => {
    const slow = { sentMs: 0, serverMs: 1_900, receivedMs: 1_000 };
    const quick = { sentMs: 2_000, serverMs: 3_005, receivedMs: 2_010 };
    expect(offsetMs([slow, quick])).toBe(1_000);
  });

  test('no exchange, no offset', () => {
    expect(offsetMs([])).toBeNull();
  });
});

describe('the latency shown', () => {
  test('smooths jitter and takes a jump at once', () => {
    const smoothed = new Smoothed();
    smoothed.push(100);
    expect(smoothed.push(200)).toBe(140);
    expect(smoothed.push(1_500)).toBe(1_500);
  });
});

describe('endpoints', () => {
  test('follow from /live/<id>, relative to the page', () => {
    expect(endpoints('/live/demo', 'https://edge.example/watch/demo')).toEqual({
      base: 'https://edge.example',
      id: 'demo',
      whep: 'https://edge.example/whep/demo',
      manifest: 'https://edge.example/live/demo/manifest.mpd',
      playlist: 'https://edge.example/live/demo/index.m3u8',
      registration: 'https://edge.example/live/demo/registration',
      experience: 'https://edge.example/live/demo/experience',
      comments: 'wss://edge.example/live/demo/comments',
      time: 'https://edge.example/time',
      access: 'https://edge.example/live/demo/access',
      status: 'https://edge.example/live/demo',
    });
  });

  test('follow from another site, below a prefix', () => {
    const { whep } = endpoints('https://cdn.example/eu/live/a-1', 'https://school.example/');
    expect(whep).toBe('https://cdn.example/eu/whep/a-1');
  });

  test('refuse what is not a broadcast', () => {
    for (const src of ['', '/demo', '/live/', '/live/a b', '/live/a/b', 'ftp://h/live/a']) {
      expect(() => endpoints(src, 'https://edge.example/')).toThrow(TypeError);
    }
  });
});
