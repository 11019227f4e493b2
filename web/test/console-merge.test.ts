import { expect, test } from 'vitest';
import { aboutOf, BLANK, moved, tidy, withTopics } from '../src/console/draft.ts';
import { merge, patchOf, same, settle } from '../src/console/merge.ts';

const BASE = { title: 'A', topics: ['x'], max: 10 as number | null };

test('what only one of two changed is kept from both', () => {
  const { merged, taken, clashes } = merge(
    BASE,
    { ...BASE, title: 'Mine' },
    { ...BASE, topics: ['x', 'theirs'] },
  );
  expect(merged).toEqual({ title: 'Mine', topics: ['x', 'theirs'], max: 10 });
  expect(taken).toEqual(['topics']);
  expect(clashes).toEqual([]);
});

test('the same change twice is no clash', () => {
  const both = { ...BASE, topics: ['x', 'y'] };
  expect(merge(BASE, both, { ...both, topics: ['x', 'y'] }).clashes).toEqual([]);
});

test('what both changed is for people to say', () => {
  const outcome = merge(
    BASE,
    { ...BASE, title: 'Mine', max: null },
    { ...BASE, title: 'Theirs', max: 20 },
  );
  expect(outcome.clashes).toEqual([
    { field: 'title', base: 'A', mine: 'Mine', theirs: 'Theirs' },
    { field: 'max', base: 10, mine: null, theirs: 20 },
  ]);
  expect(outcome.merged).toMatchObject({ title: 'Theirs', max: 20 });
  expect(settle(outcome, new Map([['title', 'mine'] as const]))).toMatchObject({
    title: 'Mine',
    max: 20,
  });
});

test('a patch has what differs, and null for what is gone', () => {
  expect(patchOf(BASE, { ...BASE, max: null })).toEqual({ max: null });
  expect(patchOf(BASE, { ...BASE, topics: ['x'] })).toEqual({});
});

test('things are the same by what they hold', () => {
  expect(same({ a: [1, { b: null }] }, { a: [1, { b: null }] })).toBe(true);
  expect(same([], {})).toBe(false);
  expect(same({ a: undefined }, {})).toBe(false);
  expect(same(null, {})).toBe(false);
});

test('a draft is saved without what was left empty', () => {
  const field = {
    name: '',
    label: ' Your name ',
    kind: 'text' as const,
    required: true,
    options: [],
  };
  const tidied = tidy({
    ...BLANK,
    title: '  Algebra ',
    description: '   ',
    links: [
      { title: ' Slides ', url: 'https://a.example' },
      { title: '', url: ' ' },
    ],
    registration: {
      notice: '',
      fields: [field, { ...field, label: 'Your name' }, { ...field, label: ' ' }],
    },
  });
  expect(tidied).toMatchObject({
    title: 'Algebra',
    description: null,
    links: [{ title: 'Slides', url: 'https://a.example' }],
    registration: {
      notice: null,
      fields: [
        { name: 'your-name', label: 'Your name' },
        { name: 'your-name-2', label: 'Your name' },
      ],
    },
  });
});

test('what a broadcast is beside what may be said of it stays out of a draft', () => {
  const given = { ...BLANK, title: 'A', id: 'a', rev: 3, state: 'live' };
  expect(aboutOf(given)).toEqual({ ...BLANK, title: 'A' });
});

test('topics are made of what is written, each once, and no more than ten', () => {
  expect(withTopics(['a'], ' b, a ,, c;d')).toEqual(['a', 'b', 'c', 'd']);
  expect(withTopics([], Array.from({ length: 20 }, (_, i) => `t${i}`).join(','))).toHaveLength(10);
});

test('the order of a list changes by one', () => {
  expect(moved(['a', 'b', 'c'], 2, -1)).toEqual(['a', 'c', 'b']);
  expect(moved(['a', 'b'], 0, -1)).toEqual(['a', 'b']);
  expect(moved(['a', 'b'], 1, 1)).toEqual(['a', 'b']);
});
