import { expect, test } from 'vitest';
import { NO_DETAILS } from '../src/engines/engine.ts';
import { between, countersOf } from '../src/engines/received.ts';
import { FrameRate, rowsText, type Seen, statsRows } from '../src/stats.ts';
import { textsFor } from '../src/texts/texts.ts';

const SEEN: Seen = {
  state: 'live',
  path: 'webrtc',
  fallbackReason: null,
  stats: { mediaMs: 1, t0Ms: 1, latencyMs: 62, transport: 'tcp' },
  details: {
    jitterBufferMs: 21.4,
    packetsLost: 12,
    packetsRecovered: 11,
    bitrateBps: 2_441_406,
    framesDropped: 0,
  },
  latencyMs: 62,
  behindMs: 0,
  window: { startMs: 0, endMs: 120_000 },
  width: 1280,
  height: 720,
  rendition: null,
  framesPerSecond: 30,
  bufferMs: null,
  edge: 'https://edge2.example/live-2',
  edges: 2,
  playedForMs: 65_000,
};

test('the panel says what is known, in its words and numbers', () => {
  expect(rowsText(statsRows(textsFor(['en']), SEEN))).toBe(
    [
      'Path: WebRTC over TCP · Live',
      'Behind the host: 62 ms',
      'Jitter buffer: 21 ms',
      'Packets lost: 12 · 11 recovered',
      'Bitrate: 2.44 Mbit/s',
      'Picture: 1280 × 720',
      'Frames per second: 30',
      'Frames dropped: 0',
      'Window: 2:00',
      'Server: edge2.example (1/2)',
      'Watching for: 1:05',
    ].join('\n'),
  );
});

test('below WebRTC it says why, also where it is the viewer who went back', () => {
  const why = (more: Partial<Seen>) => {
    const rows = statsRows(textsFor(['en']), {
      ...SEEN,
      path: 'dash',
      details: NO_DETAILS,
      ...more,
    });
    return Object.fromEntries(rows);
  };
  expect(why({ fallbackReason: 'b-frames' })['Why not WebRTC']).toContain('B-frames');
  const back = why({ behindMs: 42_000, latencyMs: null, bufferMs: 950 });
  expect(back['Why not WebRTC']).toContain('no past');
  expect(back['Back by choice']).toBe('0:42');
  expect(back['Buffer ahead']).toBe('950 ms');
  expect(back).not.toHaveProperty('Jitter buffer');
});

test('nothing plays: the panel says so, and where it was asked', () => {
  const rows = statsRows(textsFor(['de']), {
    ...SEEN,
    state: 'waiting',
    path: null,
    stats: null,
    details: NO_DETAILS,
    latencyMs: null,
    window: null,
    width: 0,
    framesPerSecond: null,
  });
  expect(rows.map(([name]) => name)).toEqual(['Weg', 'Server', 'Dabei seit']);
});

test('counters become rates between two looks, of sound and picture together', () => {
  const look = (bytes: number, emitted: number, delayS: number, atMs: number) =>
    countersOf(
      [
        { type: 'transport' },
        { type: 'inbound-rtp', kind: 'audio', bytesReceived: 1_000, packetsLost: 1 },
        {
          type: 'inbound-rtp',
          kind: 'video',
          bytesReceived: bytes,
          packetsLost: 5,
          retransmittedPacketsReceived: 4,
          jitterBufferEmittedCount: emitted,
          jitterBufferDelay: delayS,
          framesDropped: 2,
        },
      ],
      atMs,
    );
  const first = look(10_000, 100, 2, 1_000);
  expect(between(null, first)).toMatchObject({ bitrateBps: null, packetsLost: 6 });
  expect(between(first, look(260_000, 130, 3.2, 3_000))).toEqual({
    bitrateBps: 1_000_000,
    jitterBufferMs: expect.closeTo(40),
    packetsLost: 6,
    packetsRecovered: 4,
    framesDropped: 2,
  });
});

test('frames per second need two looks at the same video', () => {
  const rate = new FrameRate();
  expect(rate.push(100, 1_000)).toBeNull();
  expect(rate.push(130, 2_000)).toBe(30);
  rate.reset();
  expect(rate.push(5, 3_000)).toBeNull();
});
