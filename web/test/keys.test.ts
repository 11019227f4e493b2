import { expect, test } from 'vitest';
import { commandOf, type Focus } from '../src/keys.ts';

const command = (key: string, focus: Focus = 'other', more = {}) =>
  commandOf({ key, altKey: false, ctrlKey: false, metaKey: false, ...more }, focus);

test('keys mean the same wherever the focus is, but for those that a control uses itself', () => {
  for (const focus of ['other', 'control', 'range'] as const) {
    expect(command('k', focus)).toBe('toggle');
    expect(command('S', focus)).toBe('stats');
  }
  expect(command(' ')).toBe('toggle');
  expect(command(' ', 'control')).toBeNull();
  expect(command('ArrowLeft', 'control')).toBe('back');
  expect(command('ArrowLeft', 'range')).toBeNull();
});

test('what belongs to the browser, or to nobody, is left alone', () => {
  expect(command('f', 'other', { ctrlKey: true })).toBeNull();
  expect(command('s', 'other', { metaKey: true })).toBeNull();
  expect(command('Tab')).toBeNull();
  expect(command('toString')).toBeNull();
});
