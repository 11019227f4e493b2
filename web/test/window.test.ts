import { expect, test } from 'vitest';
import {
  clockText,
  LIVE_WITHIN_MS,
  MARGIN_MS,
  placeAt,
  SHORTEST_MS,
  windowAt,
} from '../src/window.ts';

test('the window grows with the broadcast and then goes along with it', () => {
  expect(windowAt(60_000, 1_000, 120_000)).toEqual({ startMs: 1_000, endMs: 60_000 });
  expect(windowAt(600_000, 1_000, 120_000)).toEqual({ startMs: 480_000, endMs: 600_000 });
  expect(windowAt(600_000, 1_000 + 600_000 - SHORTEST_MS, 120_000), 'too short').toBeNull();
  expect(windowAt(null, 0, 120_000)).toBeNull();
  expect(windowAt(60_000, null, 120_000)).toBeNull();
  expect(windowAt(60_000, 0, null), 'an edge that does not say').toBeNull();
});

test('a place is in the window, clear of what is about to go, and next to live is live', () => {
  const window = { startMs: 100_000, endMs: 220_000 };
  expect(placeAt(150_000, window)).toBe(150_000);
  expect(placeAt(0, window)).toBe(100_000 + MARGIN_MS);
  expect(placeAt(220_000 - LIVE_WITHIN_MS + 1, window)).toBeNull();
  expect(placeAt(1e9, window)).toBeNull();
});

test('a time is told as a clock tells it', () => {
  expect([0, 999, 42_000, 725_000, 3_753_000].map(clockText)).toEqual([
    '0:00',
    '0:01',
    '0:42',
    '12:05',
    '1:02:33',
  ]);
});
