import { afterEach, expect, test, vi } from 'vitest';
import { attemptName, rememberedName, rememberName, secretFor } from '../src/comments/identity.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

const SECRET = /^[A-Za-z0-9_-]{32}$/;

test('a secret is kept for its edge, and another edge gets another', () => {
  const kept = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  const secret = secretFor('wss://a.example');
  expect(secret).toMatch(SECRET);
  expect([...kept.values()]).toEqual([secret]);
  expect(secretFor('wss://a.example')).toBe(secret);
  expect(secretFor('wss://b.example')).not.toBe(secret);
  // Whatever else may stand there is not said to an edge.
  for (const key of kept.keys()) kept.set(key, 'no secret');
  expect(secretFor('wss://a.example')).toMatch(SECRET);
});

test('where nothing may be kept it lasts as long as the page', () => {
  const refuse = () => {
    throw new DOMException('no', 'SecurityError');
  };
  vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse });
  const secret = secretFor('wss://c.example');
  expect(secret).toMatch(SECRET);
  expect(secretFor('wss://c.example')).toBe(secret);
  rememberName('Ada');
  expect(rememberedName()).toBe('Ada');
});

test('each attempt has a name of its own', () => {
  expect(attemptName()).toMatch(/^[a-zA-Z0-9-]{1,64}$/);
  expect(attemptName()).not.toBe(attemptName());
});
