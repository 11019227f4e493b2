import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { latencyText, pathText, reasonText, refusalText, textsFor } from '../src/texts/texts.ts';

test.each([
  [['en-GB', 'de'], 'en'],
  [['de-AT'], 'de'],
  [['pt-BR'], 'pt'],
  [['fr-CA', 'es-MX', 'en'], 'es'],
  [['zh-CN'], 'zh-Hans'],
  [['ZH-Hant-TW'], 'zh-Hans'],
  [['fr', 'tlh'], 'en'],
  [[], 'en'],
  [['*', ''], 'en'],
])('%j reads %s', (languages, lang) => {
  expect(textsFor(languages).lang).toBe(lang);
});

test('what is put together is so in each language', () => {
  const all = ['en', 'de', 'pt', 'es', 'zh'].map((lang) => textsFor([lang]));
  expect(all.map((texts) => latencyText(texts, 950))).toEqual([
    '0.95 s behind live',
    '0,95 s hinter live',
    '0,95 s de atraso',
    '0,95 s por detrás del directo',
    '延迟 0.95 秒',
  ]);
  expect(latencyText(all[0] as (typeof all)[0], 12_340)).toBe('12.3 s behind live');
  for (const texts of all) {
    expect(pathText(texts, 'webrtc', 'tcp')).toContain('TCP');
    expect(pathText(texts, 'hls', null)).toBe('LL-HLS');
    // Such as a newer edge may give, or a stranger's.
    for (const code of ['carrier-pigeon', 'toString', '__proto__']) {
      expect(reasonText(texts, code)).toContain(code);
      expect(refusalText(texts, code)).toContain(code);
    }
  }
});

test('each refusal of docs/comments.md has words in each language', async () => {
  const docs = await readFile(new URL('../../docs/comments.md', import.meta.url), 'utf8');
  const reasons = /^Reasons: ([^.]*)\./m.exec(docs)?.[1]?.match(/[a-z-]+/g) ?? [];
  expect(reasons).toContain('too-fast');
  for (const lang of ['en', 'de', 'pt', 'es', 'zh']) {
    const { refusals } = textsFor([lang]).comments;
    expect(Object.keys(refusals).sort(), lang).toEqual([...reasons].sort());
  }
});

test('no text is missing, and only the lobby has markup, of two kinds', () => {
  const leaves = (value: unknown, path: string): [string, string][] => {
    if (typeof value === 'string') return [[path, value]];
    if (typeof value === 'function') return [[path, String(value('x'))]];
    const entries = Object.entries((value ?? {}) as object);
    return entries.flatMap(([key, inner]) => leaves(inner, `${path}.${key}`));
  };
  const keys = (lang: string) => leaves(textsFor([lang]), '').map(([path]) => path);
  for (const lang of ['en', 'de', 'pt', 'es', 'zh']) {
    expect(keys(lang)).toEqual(expect.arrayContaining(keys('en')));
    for (const [path, text] of leaves(textsFor([lang]), '')) {
      if (!/^\.states\.(connecting|ended)\.detail$/.test(path)) expect(text, path).not.toBe('');
      const tags = text.match(/<[^>]*>/g) ?? [];
      const allowed = path.startsWith('.lobby.') ? /^<\/?(b|code)>$/ : /^$/;
      for (const tag of tags) expect(tag, path).toMatch(allowed);
    }
  }
});
