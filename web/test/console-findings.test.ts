import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { Finding } from '../src/console/model.ts';
import {
  type Findings,
  type FindingWords,
  findingText,
  type Words,
} from '../src/console/texts/findings/findings.ts';
import { loadTexts } from '../src/console/texts/texts.ts';

const LANGS = ['en', 'de', 'pt', 'es', 'zh'];
const DOCTOR = new URL('../../origin/src/doctor/', import.meta.url);

/** The code behind each constant of the server. */
async function serverCodes(): Promise<Map<string, string>> {
  const source = await readFile(new URL('code.rs', DOCTOR), 'utf8');
  const pairs = source.matchAll(/^ {4}([A-Z0-9_]+) = "([a-z0-9-]+)";$/gm);
  return new Map([...pairs].map(([, name, code]) => [name ?? '', code ?? '']));
}

/** The parameters that the server sends with each code: those named after it, up to the next code. */
async function serverParams(): Promise<Map<string, Set<string>>> {
  const codes = await serverCodes();
  const all = new Map([...codes.values()].map((code) => [code, new Set<string>()]));
  const rules = await readdir(new URL('rules/', DOCTOR));
  for (const file of ['refusal.rs', ...rules.map((name) => `rules/${name}`)]) {
    const source = await readFile(new URL(file, DOCTOR), 'utf8');
    const [plain = ''] = source.split('#[cfg(test)]');
    let code: string | undefined;
    for (const [, name, param] of plain.matchAll(/code::([A-Z0-9_]+)|\.with(?:_text)?\("(\w+)"/g)) {
      if (name) code = codes.get(name);
      if (param) all.get(code ?? '')?.add(param);
    }
  }
  return all;
}

const findingsOf = async (lang: string): Promise<Findings> => (await loadTexts([lang])).findings;
const sentences = (words: Words): string[] =>
  typeof words === 'string' ? [words] : Object.values(words.forms);
const allWords = ({ title, detail, remedy }: FindingWords): Words[] => [title, detail, remedy];

const finding = (code: string, params: Finding['params']): Finding => ({
  ...{ code, severity: 'warning', since: '2026-11-22T10:00:00.000Z', params },
  ...{ title: 'A title', detail: 'A detail', remedy: 'A remedy' },
});

test('the codes and parameters of the server are found where they are looked for', async () => {
  const params = await serverParams();
  expect(params.size).toBeGreaterThanOrEqual(26);
  expect([...(params.get('av-apart') ?? [])].sort()).toEqual(['late', 'seconds']);
  expect([...(params.get('video-beyond-phones') ?? [])].sort()).toEqual(['fps', 'height', 'width']);
  expect([...(params.get('b-frames') ?? [])].sort()).toEqual(['delay_ms', 'mending']);
});

test.each(LANGS)(
  'each code of the server has words in %s, of what the server sends',
  async (lang) => {
    const [params, findings] = [await serverParams(), await findingsOf(lang)];
    expect(Object.keys(findings).sort()).toEqual([...params.keys()].sort());
    for (const [code, words] of Object.entries(findings)) {
      const sent = [...(params.get(code) ?? [])];
      for (const each of allWords(words)) {
        if (typeof each !== 'string') expect(sent, code).toContain(each.by);
        for (const sentence of sentences(each)) {
          expect(sentence.trim(), code).not.toBe('');
          expect(sentence, code).not.toMatch(/<\/?[a-z]/);
          for (const [, name] of sentence.matchAll(/\{([^}]*)\}/g))
            expect(sent, code).toContain(name);
        }
      }
    }
  },
);

test('each language speaks of the same figures, and no sentence was left in English', async () => {
  const english = await findingsOf('en');
  const names = (words: Words) =>
    [...new Set(sentences(words).flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();
  for (const lang of LANGS.slice(1)) {
    const findings = await findingsOf(lang);
    for (const [code, words] of Object.entries(english)) {
      const own = findings[code] as FindingWords;
      expect(allWords(own).map(names), `${lang} ${code}`).toEqual(allWords(words).map(names));
      const left = new Set(allWords(words).flatMap(sentences));
      expect(
        allWords(own)
          .flatMap(sentences)
          .filter((text) => left.has(text)),
      ).toEqual([]);
    }
  }
});

test('figures are written as the reader writes them', async () => {
  const title = async (lang: string, code: string, params: Finding['params']) =>
    findingText(lang, await findingsOf(lang), finding(code, params)).title;
  const drop = { usual_kbps: 2500, kbps: 900 };
  expect(await title('en', 'bitrate-drop', drop)).toBe(
    'Your video has dropped from 2,500 to 900 kbit/s',
  );
  expect(await title('de', 'bitrate-drop', drop)).toContain('von 2.500 auf 900 kbit/s');
  expect(await title('de', 'av-apart', { late: 'sound', seconds: 1.3 })).toBe(
    'Ihr Ton kommt 1,3 s zu spät an',
  );
  expect(await title('es', 'av-apart', { late: 'picture', seconds: 1 })).toBe(
    'Su imagen llega 1 s tarde',
  );
  expect(await title('pt', 'clock-jump', { jumps: 1 })).toBe(
    'O relógio do seu codificador deu um salto',
  );
  expect(await title('pt', 'clock-jump', { jumps: 4 })).toContain('deu 4 saltos');
  expect(await title('zh', 'clock-jump', { jumps: 2 })).toContain('2 次');
  const large = { width: 3840, height: 2160, fps: 30 };
  expect(await title('en', 'video-beyond-phones', large)).toContain('3840x2160');
  expect(await title('en', 'video-beyond-phones', { fps: 120 })).toContain('120 frames');
  expect(await title('en', 'video-refused', { codec: 'HEVC' })).toContain('sends HEVC');
  expect(await title('en', 'video-refused', { codec: 'H.264' })).not.toContain('sends');
});

test('what is not known is told in the English of the server', async () => {
  const german = await findingsOf('de');
  const told = (code: string, params: Finding['params'] = {}) =>
    findingText('de-AT', german, finding(code, params));
  const english = { lang: 'en', title: 'A title', detail: 'A detail', remedy: 'A remedy' };
  for (const code of ['lens-cap-on', 'toString', '__proto__']) expect(told(code)).toEqual(english);
  // A figure that is not there, or is no figure.
  expect(told('keyframes-far')).toEqual(english);
  expect(told('keyframes-far', { seconds: null })).toEqual(english);
  expect(told('b-frames').lang).toBe('de-AT');
});
