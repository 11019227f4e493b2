import { expect, test } from 'vitest';
import { messageOf, type Situation } from '../src/message.ts';
import { textsFor } from '../src/texts/texts.ts';

const en = textsFor(['en']);
const NOW = new Date(2026, 10, 21, 9, 58, 30).getTime();

const said = (situation: Partial<Situation>) =>
  messageOf(en, {
    state: 'live',
    info: null,
    fallbackReason: null,
    refusal: null,
    retryInMs: null,
    draining: false,
    soundOnly: false,
    nowMs: NOW,
    ...situation,
  });

test('a live picture needs no words, sound alone does', () => {
  expect(said({})).toBeNull();
  expect(said({ soundOnly: true })?.title).toBe('Sound only');
});

test('who waits for a host sees when it begins, and how long that is, until then', () => {
  const at = (startsAtMs: number) => ({ startsAtMs, title: null, replay: null });
  for (const state of ['waiting', 'unknown'] as const) {
    const soon = said({ state, info: at(NOW + 90_000) });
    expect(soon?.title).toMatch(/^Begins at 10:00/);
    expect(soon?.detail).toContain('In 1:30.');
    expect(soon?.pending).toBe(true);
  }
  expect(said({ state: 'waiting', info: at(NOW + 26 * 3_600_000) })?.title).toContain('22');
  expect(said({ state: 'waiting', info: at(NOW - 1) })?.title).toBe('Waiting for the host…');
  expect(said({ state: 'waiting' })?.pending).toBe(true);
});

test('what has ended offers its recording, where there is one', () => {
  const info = { startsAtMs: null, title: null, replay: 'https://edge.example/vod/1' };
  expect(said({ state: 'ended', info })).toMatchObject({ replay: info.replay, pending: false });
  expect(said({ state: 'ended' })?.replay).toBeNull();
});

test('full and refused say why, and when it is tried again', () => {
  const full = said({ state: 'full', refusal: 'full', retryInMs: 7_200 });
  expect(full?.title).toBe('No place at the moment');
  expect(full?.detail).toMatch(/tried again in 8 s/);
  const refused = said({ state: 'refused', refusal: 'token', retryInMs: 30_000 });
  expect(refused?.detail).toContain('token');
  expect(said({ state: 'refused', refusal: 'not-allowed' })?.detail).toContain('who');
});

test('an edge that stops says that another takes over', () => {
  expect(said({ state: 'reconnecting', draining: true })?.detail).toContain('takes over');
  expect(said({ state: 'reconnecting' })?.detail).toContain('interrupted');
});

test('who is not let in is told why, and not that anything is waited for', () => {
  const expired = said({ state: 'expired', refusal: 'token-expired', retryInMs: 40_000 });
  expect(expired).toMatchObject({ title: 'Your link has expired', pending: false, counts: false });
  expect(expired?.detail).toContain('a new one');
  const missing = said({ state: 'refused', refusal: 'token-missing', retryInMs: 40_000 });
  expect(missing).toMatchObject({ pending: false, counts: false });
  expect(missing?.detail).toContain('a link of their own');
  const full = said({ state: 'full', refusal: 'broadcast-full', retryInMs: 9_000 });
  expect(full?.detail).toMatch(/the host lets in\. It is tried again in 9 s/);
});
