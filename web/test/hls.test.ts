import { expect, test } from 'vitest';
import { positionIn } from '../src/engines/hls.ts';

/** Two takes of eight seconds with a pause of a minute between them, which the axis does not have. */
const TAKES = [
  { programDateTime: 100_000, start: 10, duration: 4 },
  { programDateTime: 104_000, start: 14, duration: 4 },
  { programDateTime: 168_000, start: 18, duration: 4 },
  { programDateTime: 172_000, start: 22, duration: 4 },
];

test('a moment is where the segment that holds it says', () => {
  expect(positionIn(TAKES, 105_500)).toBe(15.5);
  expect(positionIn(TAKES, 169_000)).toBe(19);
});

test('a moment between two takes is at the end of the first', () => {
  expect(positionIn(TAKES, 108_001)).toBe(18);
  expect(positionIn(TAKES, 167_999)).toBe(18);
});

test('a moment outside of all is at the nearest end', () => {
  expect(positionIn(TAKES, 0)).toBe(10);
  expect(positionIn(TAKES, 999_000)).toBe(26);
});

test('without dates there is no telling', () => {
  expect(positionIn([], 105_000)).toBeNull();
  expect(positionIn([{ programDateTime: null, start: 0, duration: 4 }], 105_000)).toBeNull();
});
