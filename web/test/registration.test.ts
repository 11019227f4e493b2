import { expect, test } from 'vitest';
import { autocompleteOf, faultsOf, formOf, outcomeOf } from '../src/registration.ts';

const field = (name: string, kind = 'text', required = false) => ({
  name,
  label: name,
  kind,
  required,
  options: kind === 'select' ? ['One', 'Two'] : [],
});

const form = formOf({
  title: 'A talk',
  notice: 'Kept a week.',
  fields: [
    field('full-name', 'text', true),
    field('mail', 'email'),
    field('year', 'select', true),
    field('terms', 'checkbox', true),
  ],
});

test('a form is read with care', () => {
  expect(form.fields.map(({ name }) => name)).toEqual(['full-name', 'mail', 'year', 'terms']);
  expect(form).toMatchObject({ title: 'A talk', notice: 'Kept a week.' });
  for (const strange of [null, 5, 'x', [], {}, { fields: {} }, { fields: [null, 5, {}] }]) {
    expect(formOf(strange)).toEqual({ title: null, notice: null, fields: [] });
  }
  // A newer edge may ask in ways that this player does not know.
  const [newer] = formOf({ fields: [{ name: 'x', kind: 'colour', options: [1, 'a'] }] }).fields;
  expect(newer).toEqual({ name: 'x', label: 'x', kind: 'text', required: false, options: ['a'] });
});

test('what is obviously wrong is said before it is sent', () => {
  const right = { 'full-name': 'Ada', mail: 'ada@uni.example', year: 'One', terms: true };
  const faults = (more: Record<string, string | boolean>) => faultsOf(form, { ...right, ...more });
  expect(faults({})).toEqual({});
  expect(faults({ mail: '' })).toEqual({});
  expect(faults({ 'full-name': ' ', terms: false })).toEqual({
    'full-name': 'required',
    terms: 'required',
  });
  expect(faultsOf(form, {})).toEqual({
    'full-name': 'required',
    year: 'required',
    terms: 'required',
  });
  expect(faults({ 'full-name': '😀'.repeat(500) })).toEqual({});
  expect(faults({ 'full-name': '😀'.repeat(501) })).toEqual({ 'full-name': 'too-long' });
  for (const mail of ['ada', 'ada@uni', 'a b@uni.example', '@uni.example', 'a@b@uni.example']) {
    expect(faults({ mail }), mail).toEqual({ mail: 'email' });
  }
});

test('a browser is told what it may fill in', () => {
  const asked = (name: string, kind: 'text' | 'email' = 'text') =>
    autocompleteOf({ name, kind, label: '', required: false, options: [] });
  expect(asked('name')).toBe('name');
  expect(asked('first-name')).toBe('given-name');
  expect(asked('surname')).toBe('family-name');
  expect(asked('contact', 'email')).toBe('email');
  expect(asked('university')).toBe('organization');
  expect(asked('why-are-you-here')).toBe('on');
});

test('each answer of the edge means one thing to do', () => {
  const check = (http: number, said: unknown, expected: object, after: string | null = null) =>
    expect(outcomeOf(http, said, after), `${http}`).toEqual(expected);
  check(200, { token: 'a.b.c', expires_at: 5 }, { outcome: 'registered', token: 'a.b.c' });
  check(404, { code: 'no-registration' }, { outcome: 'open' });
  check(409, { code: 'registration-full' }, { outcome: 'full' });
  const errors = [{ field: 'mail', code: 'email' }, { field: 'x', code: 'newer' }, 'strange'];
  check(422, { errors }, { outcome: 'invalid', faults: { mail: 'email', x: 'kind' } });
  check(503, { code: 'unavailable' }, { outcome: 'later', afterMs: 4_000 }, '4');
  check(429, null, { outcome: 'later', afterMs: 1_000 }, '1');
  for (const http of [200, 404, 500, 502]) check(http, null, { outcome: 'later', afterMs: 5_000 });
  check(503, null, { outcome: 'later', afterMs: 5_000 }, 'Fri, 31 Dec 1999 23:59:59 GMT');
});
