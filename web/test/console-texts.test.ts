import { expect, test } from 'vitest';
import { ApiError } from '../src/console/api.ts';
import { SCOPES, WEBHOOK_EVENTS } from '../src/console/model.ts';
import { BROADCAST_TABS, SETTINGS_TABS } from '../src/console/route.ts';
import { errorText, loadTexts, refusalText } from '../src/console/texts/texts.ts';

const LANGS = ['en', 'de', 'pt', 'es', 'zh'];

function leaves(value: unknown, path = ''): [path: string, text: string][] {
  if (typeof value === 'string') return [[path, value]];
  if (typeof value === 'function') return [[path, String(value('7', '8', '9'))]];
  return Object.entries(value as object).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`));
}

test.each([
  [['de-AT', 'en'], 'de-AT'],
  [['fr', 'pt-BR'], 'pt-BR'],
  [['zh-TW'], 'zh-Hans'],
  [['fr'], 'en'],
  [['en-GB'], 'en-GB'],
  [['es-nonsense-tag-that-is-none'], 'es'],
])('%j reads %s', async (languages, lang) => {
  expect((await loadTexts(languages)).lang).toBe(lang);
});

/** All but findings, which have forms of their own in each language (console-findings.test.ts). */
async function textsOf(lang: string): Promise<[path: string, text: string][]> {
  const { findings: _, ...texts } = await loadTexts([lang]);
  return leaves(texts);
}

test('each language says all, and nothing with markup', async () => {
  const english = (await textsOf('en')).map(([path]) => path);
  for (const lang of LANGS) {
    const all = await textsOf(lang);
    expect(all.map(([path]) => path).sort(), lang).toEqual([...english].sort());
    for (const [path, text] of all) {
      expect(text.trim(), `${lang}${path}`).not.toBe('');
      expect(text, `${lang}${path}`).not.toMatch(/<\/?[a-z]|undefined|NaN/);
    }
  }
});

test('no sentence was left in English', async () => {
  const english = new Map(await textsOf('en'));
  for (const lang of LANGS.slice(1)) {
    const left = (await textsOf(lang)).filter(
      ([path, text]) => text.split(' ').length > 3 && english.get(path) === text,
    );
    expect(left, lang).toEqual([]);
  }
});

test('what the server has names for has words', async () => {
  for (const lang of LANGS) {
    const { tokens, webhooks, tabs, settings } = await loadTexts([lang]);
    for (const scope of SCOPES) expect(tokens.scopeNames[scope]).toBeTruthy();
    for (const event of WEBHOOK_EVENTS) expect(webhooks.eventNames[event]).toBeTruthy();
    for (const tab of BROADCAST_TABS) expect(tabs[tab]).toBeTruthy();
    for (const tab of SETTINGS_TABS) expect(settings[tab]).toBeTruthy();
  }
});

test('an error is told in words, whatever its code', async () => {
  const texts = await loadTexts(['en']);
  const told = (status: number, code: string, detail = '', wait: number | null = null) =>
    errorText(texts, new ApiError(status, code, detail, [], wait));
  expect(told(0, 'network')).toBe(texts.errors.network);
  expect(told(429, 'too-many-requests', '', 7)).toContain('7 seconds');
  expect(told(409, 'conflict', 'There is one already.')).toBe('There is one already.');
  expect(told(409, 'conflict')).toBe(texts.errors.conflict);
  expect(told(418, 'teapot', 'Short and stout.')).toBe('Short and stout.');
  for (const code of ['toString', '__proto__', 'waitSeconds', 'teapot']) {
    expect(told(400, code)).toBe(texts.errors.other);
  }
});

test('why nobody was signed in is told in words, whatever stands in the address', async () => {
  const texts = await loadTexts(['en']);
  const { refusals } = texts.signIn;
  expect(refusalText(texts, 'no-account')).toBe(refusals['no-account']);
  expect(refusalText(texts, 'unavailable')).toBe(texts.errors.unavailable);
  for (const code of ['', 'call-this-number', 'toString', '__proto__', 'waitSeconds']) {
    expect(refusalText(texts, code)).toBe(refusals.other);
  }
});
