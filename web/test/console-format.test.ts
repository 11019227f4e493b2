import { expect, test } from 'vitest';
import { areaPath, linePath, niceMax, thin } from '../src/console/chart.ts';
import { BLANK } from '../src/console/draft.ts';
import * as format from '../src/console/format.ts';
import type { Broadcast } from '../src/console/model.ts';
import { idOfTitle, isId, nameOfLabel, strengthOf, uniqueName } from '../src/console/names.ts';
import { QUIET, qrFile, qrOf } from '../src/console/qr.ts';

test.each([
  ['Linear Algebra I', 'linear-algebra-i'],
  ['Größe & Maß: Übung 3', 'groesse-mass-uebung-3'],
  ["L'été à Évry — cours n°1", 'lete-a-evry-cours-n-1'],
  ['Smørrebrød, Łódź', 'smorrebrod-lodz'],
  ['线性代数', ''],
  ['  --  ', ''],
])('the title %j suggests %j', (title, id) => {
  expect(idOfTitle(title)).toBe(id);
});

test('an id of a long title ends with a word', () => {
  const id = idOfTitle('An Introduction to the Theory of Everything That Moves Slowly');
  expect(id).toBe('an-introduction-to-the-theory-of-everything-that');
  expect(isId(id)).toBe(true);
  expect(idOfTitle('x'.repeat(90))).toHaveLength(48);
  expect(isId('')).toBe(false);
  expect(isId('a b')).toBe(false);
  expect(isId('x'.repeat(65))).toBe(false);
});

test('names of fields differ', () => {
  const name = nameOfLabel('Matrikelnummer (falls vorhanden) und Studiengang');
  expect(name.length).toBeLessThanOrEqual(32);
  expect(uniqueName(name, [name])).not.toBe(name);
  expect(uniqueName(name, [name]).length).toBeLessThanOrEqual(32);
  expect(uniqueName('a', ['a', 'a-2'])).toBe('a-3');
});

test.each([
  ['short', 'short'],
  ['aaaaaaaaaaaaaaaa', 'weak'],
  ['qwertyuiop12', 'weak'],
  ['lovelace-is-me-42', 'weak'],
  ['plum kettle', 'fair'],
  ['correct horse battery', 'strong'],
  ['Tr4y!windowsill', 'strong'],
])('%j is %s', (password, strength) => {
  expect(strengthOf(password, ['Ada Lovelace', 'lovelace'])).toBe(strength);
});

test('figures read as people say them', () => {
  expect(format.bitrateText('en', 2_480_000)).toBe('2.5 Mbit/s');
  expect(format.bitrateText('de', 12_300_000)).toBe('12 Mbit/s');
  expect(format.bitrateText('de', 2_480_000)).toBe('2,5 Mbit/s');
  expect(format.bitrateText('en', 128_000)).toBe('128 kbit/s');
  expect(format.clockText(65_000)).toBe('1:05');
  expect(format.clockText(3_725_999)).toBe('1:02:05');
  expect(format.clockText(-5)).toBe('0:00');
});

test('times are told from now', () => {
  const now = Date.parse('2026-11-22T10:00:00.000Z');
  expect(format.agoText('en', '2026-11-22T09:55:30.000Z', now)).toBe('4 minutes ago');
  expect(format.agoText('en', '2026-11-22T12:00:00.000Z', now)).toBe('in 2 hours');
  expect(format.agoText('en', '2026-11-22T09:59:59.000Z', now)).toBe('now');
  expect(format.agoText('en', 'nonsense', now)).toBe('nonsense');
});

test('what is entered as local time comes back as it was', () => {
  const at = '2026-11-22T10:30:00.000Z';
  expect(format.timeOfInput(format.localInput(at))).toBe(at);
  expect(format.localInput(null)).toBe('');
  expect(format.timeOfInput('')).toBeNull();
  expect(format.timeOfInput('yesterday')).toBeNull();
});

test('viewers are sent to where they watch, wherever that is', () => {
  const at = (watch: string) => format.watchUrl({ watch }, 'a-1', 'https://o.example/console#/');
  expect(at('/watch/')).toBe('https://o.example/watch/a-1');
  const far = at('https://edge.example/x/watch/');
  expect(far).toBe('https://edge.example/x/watch/a-1');
  expect(format.siblingUrl(far, 'live')).toBe('https://edge.example/x/live/a-1');
  const code = format.embedCode(far, 'A "quoted" <title>');
  expect(code).toContain('src="https://edge.example/x/embed/a-1"');
  expect(code).toContain('title="A &quot;quoted&quot; &lt;title>"');
});

test('a command is safe to paste', () => {
  expect(format.rtmpUrl({ rtmp_port: 1935 }, 'o.example')).toBe('rtmp://o.example/live');
  const url = format.rtmpUrl({ rtmp_port: 1936 }, '[::1]');
  expect(url).toBe('rtmp://[::1]:1936/live');
  expect(format.ffmpegCommand('rtmp://o/live', 'k3y')).toMatch(/-f flv rtmp:\/\/o\/live\/k3y$/);
  expect(format.ffmpegCommand('rtmp://o/live', "a'b; rm")).toMatch(
    /'rtmp:\/\/o\/live\/a'\\''b; rm'$/,
  );
});

test('the list has first what is live, then what is coming, then the rest', () => {
  const now = Date.parse('2026-11-22T10:00:00.000Z');
  const one = (id: string, more: Partial<Broadcast>): Broadcast => ({
    ...BLANK,
    id,
    blocked: false,
    source: 'console',
    rev: 1,
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    state: 'unbegun',
    live_since: null,
    viewers: 0,
    findings: 0,
    role: 'host',
    moderator_key: null,
    ...more,
  });
  const fromFile = { source: 'config', created_at: null, updated_at: null } as const;
  const all = [
    one('file-b', fromFile),
    one('file-a', fromFile),
    one('later', { starts_at: '2026-11-23T10:00:00.000Z' }),
    one('plain', {}),
    one('ended', { state: 'ended', starts_at: '2026-11-22T09:00:00.000Z' }),
    one('newer', { created_at: '2026-02-01T00:00:00.000Z' }),
    one('sooner', { starts_at: '2026-11-22T09:50:00.000Z' }),
    one('lost', { state: 'away' }),
    one('crowd', { state: 'live', viewers: 9 }),
    one('missed', { starts_at: '2026-11-01T10:00:00.000Z' }),
  ];
  expect(format.inOrder(all, now).map(({ id }) => id)).toEqual([
    'crowd',
    'lost',
    'sooner',
    'later',
    'newer',
    'ended',
    'missed',
    'plain',
    'file-a',
    'file-b',
  ]);
});

const FRAME = { width: 100, height: 50, fromMs: 0, toMs: 10_000, max: 10 };
const at = (seconds: number, value: number | null) => ({ atMs: seconds * 1_000, value });

test('a line goes through what was measured, and not over gaps', () => {
  expect(linePath([at(0, 0), at(1, 10), at(2, 5)], FRAME)).toBe('M0,50L10,0 20,25');
  expect(linePath([at(0, 0), at(1, null), at(2, 5)], FRAME)).toBe('M0,50h0M20,25h0');
  expect(linePath([at(0, 0), at(9, 20)], FRAME)).toBe('M0,50h0M90,0h0');
  expect(linePath([], FRAME)).toBe('');
  expect(areaPath([at(0, 0), at(1, 10)], FRAME)).toBe('M0,50L0,50 10,0 10,50Z');
});

test('an axis ends at a round number that nothing exceeds', () => {
  for (const value of [0.3, 1, 30, 31, 2_480_000, 7_999_999]) {
    expect(niceMax(value)).toBeGreaterThanOrEqual(value);
    expect(niceMax(value)).toBeLessThanOrEqual(value * 2);
  }
  expect(niceMax(30)).toBe(30);
  expect(niceMax(0)).toBe(1);
  expect(niceMax(Number.NaN)).toBe(1);
});

test('a table has the newest, and not too many', () => {
  const all = Array.from({ length: 300 }, (_, index) => index);
  const some = thin(all, 30);
  expect(some).toHaveLength(30);
  expect(some.at(-1)).toBe(299);
  expect(thin([1, 2], 30)).toEqual([1, 2]);
});

test('a code has its quiet zone, and the three corners that phones look for', () => {
  const { size, path } = qrOf('https://edge.example/watch/algebra-1');
  const modules = size - 2 * QUIET;
  expect((modules - 17) % 4).toBe(0);
  const [left, right] = [QUIET, QUIET + modules - 7];
  for (const [x, y] of [
    [left, left],
    [right, left],
    [left, right],
  ]) {
    expect(path).toContain(`M${x},${y}h7v1h-7z`);
  }
  expect(qrFile(qrOf('x'))).toMatch(/^<svg .*<\/svg>\n$/);
});
