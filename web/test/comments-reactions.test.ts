import { describe, expect, test } from 'vitest';
import {
  LATE_MS,
  QUEUE_MAX,
  RECENT_MS,
  Reactions,
  RISING_MAX,
  risingFor,
} from '../src/comments/reactions.ts';

const felt = (mt: number | null, count = 1, emoji = '👏') => ({ mt, emoji, count });

describe('what is felt', () => {
  test('is shown when the picture has come to it, and once', () => {
    const reactions = new Reactions();
    reactions.take([felt(62_000, 2), felt(61_000)], 60_000, true);
    expect(reactions.nextMs).toBe(61_000);
    expect(reactions.due(60_999, 0)).toEqual([]);
    expect(reactions.due(61_000, 0)).toEqual([felt(61_000)]);
    expect(reactions.due(62_500, 0)).toEqual([felt(62_000, 2)]);
    expect(reactions.due(63_000, 0)).toEqual([]);
    expect(reactions.nextMs).toBeNull();
  });

  test('is shown at once by who is ahead of those who felt it, or sees no picture', () => {
    const reactions = new Reactions();
    reactions.take([felt(61_000)], 65_000, true);
    expect(reactions.due(65_000, 0)).toHaveLength(1);
    reactions.take([felt(99_000), felt(null)], null, true);
    expect(reactions.due(null, 0)).toHaveLength(2);
  });

  test('is not shown again to who joins, nor long after', () => {
    const reactions = new Reactions();
    reactions.take([felt(10_000), felt(61_000)], 60_000, false);
    expect(reactions.due(61_000, 0)).toEqual([felt(61_000)]);
    reactions.take([felt(61_000)], 61_001 + LATE_MS, true);
    reactions.take([felt(61_000)], null, false);
    expect(reactions.due(null, 0)).toEqual([]);
    // A page that was in the background while it was due.
    reactions.take([felt(70_000)], 69_000, true);
    expect(reactions.due(70_001 + LATE_MS, 0)).toEqual([]);
  });

  test('of one’s own is not told twice', () => {
    const reactions = new Reactions();
    reactions.own('👏', 61_250, 0);
    reactions.own('👏', 61_900, 0);
    reactions.own('🎉', null, 0);
    reactions.take([felt(61_000, 3), felt(61_000, 1, '🎉')], 61_950, true);
    expect(reactions.due(61_950, 0)).toEqual([felt(61_000, 1)]);
    reactions.take([felt(61_000, 1)], 62_000, true);
    expect(reactions.due(62_000, 0), 'by another edge').toEqual([felt(61_000, 1)]);
  });

  test('is counted for a while', () => {
    const reactions = new Reactions();
    reactions.own('👏', null, 1_000);
    reactions.take([felt(null, 4)], null, true);
    reactions.due(null, 2_000);
    // One of the four is one's own.
    expect(reactions.recent(2_000)).toEqual(new Map([['👏', 4]]));
    expect(reactions.recent(1_000 + RECENT_MS)).toEqual(new Map([['👏', 3]]));
    expect(reactions.recent(2_000 + RECENT_MS).size).toBe(0);
  });

  test('is bounded', () => {
    const reactions = new Reactions();
    const many = Array.from({ length: QUEUE_MAX * 2 }, (_, i) => felt(i * 1_000));
    reactions.take(many, 0, true);
    expect(reactions.due(Number.MAX_SAFE_INTEGER, 0).length).toBeLessThanOrEqual(QUEUE_MAX);
    expect(risingFor(1)).toBe(1);
    expect(risingFor(2)).toBe(2);
    expect(risingFor(40)).toBe(RISING_MAX);
    expect(risingFor(1_000_000)).toBe(RISING_MAX);
  });
});
