import { expect, test } from 'vitest';
import { Edges, edgeList, LOOK_MS, LOST_MS } from '../src/edges.ts';

test('an edge that is lost is left for another, and comes into question again later', () => {
  const edges = new Edges('https://a', ['https://b', 'https://c'], () => 0);
  expect(edges.current).toBe('https://a');
  expect(edges.next(0)).toBe('https://b');
  expect(edges.next(1_000)).toBe('https://c');
  expect(edges.next(2_000), 'all were left a moment ago').toBeNull();
  expect(edges.current).toBe('https://c');
  expect(edges.askable(LOOK_MS), 'the other was left a moment ago').toEqual(['https://a']);
  expect(edges.askable(LOOK_MS + 1_000)).toEqual(['https://a', 'https://b']);
  expect(edges.next(LOST_MS)).toBe('https://a');
});

test('viewers of one edge go to different ones', () => {
  const to = [0, 0.4, 0.99, 1].map((random) =>
    new Edges('https://a', ['https://b', 'https://c'], () => random).next(0),
  );
  expect(to).toEqual(['https://b', 'https://b', 'https://c', 'https://c']);
});

test('the others are asked in an order of each viewer, but for those that were lost a moment ago', () => {
  const edges = new Edges('https://a', ['https://b', 'https://c', 'https://d'], () => 0.5);
  expect(edges.others(0)).toEqual(['https://c', 'https://d', 'https://b']);
  expect(edges.next(0, 'https://d'), 'one that is known to be better').toBe('https://d');
  expect(edges.current).toBe('https://d');
  expect(edges.others(1)).toEqual(['https://c', 'https://b']);
});

test('an edge that is alone has nowhere to send anybody, until another is known', () => {
  const edges = new Edges('https://a', [], () => 0.5);
  expect(edges.next(0)).toBeNull();
  edges.learn(['https://b', 'https://a']);
  expect(edges.all).toEqual(['https://a', 'https://b']);
  expect(edges.next(1)).toBe('https://b');
});

test('the list of an attribute is read with care', () => {
  const page = 'https://uni.example/course';
  expect(edgeList(' https://a.example/  /live2 javascript:x https:// //b.example', page)).toEqual([
    'https://a.example',
    'https://uni.example/live2',
    'https://b.example',
  ]);
  expect(edgeList('', page)).toEqual([]);
});
