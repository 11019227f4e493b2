import { expect, test } from 'vitest';
import { arrange, found, inText, readList, topicsOf } from '../src/lobby-list.ts';

const NOW = Date.UTC(2026, 10, 22, 9);
const HOUR = 3_600_000;

const { entries } = readList({
  broadcasts: [
    {
      id: 'rings',
      title: 'Rings',
      state: 'live',
      t0_ms: NOW - HOUR,
      viewers: 3,
      topics: ['algebra'],
    },
    { id: 'fields', state: 'live', t0_ms: NOW - HOUR, viewers: 30, topics: ['Algebra', 'proofs'] },
    { id: 'later', state: 'away', t0_ms: 0, starts_at: NOW + 5 * HOUR },
    { id: 'soon', title: 'Época de ouro', state: 'away', t0_ms: 0, starts_at: NOW + HOUR },
    { id: 'again', state: 'ended', t0_ms: NOW - 24 * HOUR, starts_at: NOW + 2 * HOUR },
    { id: 'someday', state: 'away', t0_ms: 0 },
    { id: 'late', state: 'away', t0_ms: 0, starts_at: NOW - 60_000 },
    { id: 'over', state: 'ended', t0_ms: NOW - HOUR, description: 'On Galois.' },
    { id: 'pause', state: 'away', t0_ms: NOW - HOUR },
    { title: 'without an id', state: 'live' },
    null,
  ],
  complete: false,
});
const ids = (some: readonly { id: string }[]) => some.map(({ id }) => id);

test('live ones first, then what is coming in its order, then the others', () => {
  const { live, coming, others } = arrange(entries, NOW);
  expect(ids(live)).toEqual(['fields', 'rings']);
  expect(ids(coming)).toEqual(['late', 'soon', 'again', 'later', 'someday']);
  expect(ids(others)).toEqual(['over', 'pause']);
});

test('each word is found wherever it stands, however it is written', () => {
  expect(ids(found(entries, 'galois', null))).toEqual(['over']);
  expect(ids(found(entries, '  EPOCA ouro ', null))).toEqual(['soon']);
  expect(ids(found(entries, 'algebra field', null))).toEqual(['fields']);
  expect(ids(found(entries, '', 'ALGEBRA'))).toEqual(['rings', 'fields']);
  expect(ids(found(entries, 'rings', 'proofs'))).toEqual([]);
  expect(found(entries, '', null)).toHaveLength(entries.length);
});

test('topics are offered once, those of the most broadcasts first', () => {
  expect(topicsOf(entries)).toEqual(['algebra', 'proofs']);
});

test('what an edge leaves out or gets wrong is not shown', () => {
  expect(readList(null)).toEqual({ entries: [], complete: true });
  const [only] = readList({
    broadcasts: [{ id: 'x', logo: 'http://a/b', viewers: 'many' }],
  }).entries;
  expect(only).toMatchObject({ name: 'x', state: 'unbegun', logo: null, viewers: 0, topics: [] });
});

test('how soon is said in a unit that fits', () => {
  expect(inText('en', NOW + 59_000, NOW)).toBe('in 1 minute');
  expect(inText('en', NOW + 59 * 60_000, NOW)).toBe('in 59 minutes');
  expect(inText('de', NOW + 2 * HOUR, NOW)).toBe('in 2 Stunden');
  expect(inText('en', NOW + 30 * HOUR, NOW)).toBe('in 30 hours');
  expect(inText('en', NOW + 72 * HOUR, NOW)).toBe('in 3 days');
});
