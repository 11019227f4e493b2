// What the doctor finds, in the reader's language: the shape of the words for each code, and how the figures
// that the server sends are put into them. Pure.

import { numberText } from '../../format.ts';
import type { Finding } from '../../model.ts';

/** A sentence in which `{name}` stands for a parameter, or one for each value of a parameter. */
export type Words = string | Choice;

/** Which sentence: by the value of a parameter, else by its plural form (CLDR), else `other`. */
export interface Choice {
  readonly by: string;
  readonly forms: Readonly<Record<string, string>> & { readonly other: string };
}

export interface FindingWords {
  readonly title: Words;
  readonly detail: Words;
  readonly remedy: Words;
}

/** By the codes of `origin/src/doctor/code.rs`. */
export type Findings = Readonly<Record<string, FindingWords>>;

/** A finding in words, and the language that they are in. */
export interface FindingText {
  readonly lang: string;
  readonly title: string;
  readonly detail: string;
  readonly remedy: string;
}

/** The words for a finding: those of the language, or the server's English where it has none that fit. */
export function findingText(lang: string, all: Findings, finding: Finding): FindingText {
  const { code, params } = finding;
  const words = Object.hasOwn(all, code) ? all[code] : undefined;
  if (words) {
    const [title, detail, remedy] = [words.title, words.detail, words.remedy].map((each) =>
      filled(lang, each, params),
    );
    if (title && detail && remedy) return { lang, title, detail, remedy };
  }
  const { title, detail, remedy } = finding;
  return { lang: 'en', title, detail, remedy };
}

type Params = Finding['params'];

/** The sentence; null if it speaks of something that the server has not sent. */
function filled(lang: string, words: Words, params: Params): string | null {
  const sentence = typeof words === 'string' ? words : chosen(lang, words, params);
  let whole = true;
  const text = sentence.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = Object.hasOwn(params, name) ? params[name] : undefined;
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return figure(lang, name, value);
    whole = false;
    return '';
  });
  return whole ? text : null;
}

function chosen(lang: string, { by, forms }: Choice, params: Params): string {
  const value = Object.hasOwn(params, by) ? params[by] : undefined;
  const named = typeof value === 'string' && Object.hasOwn(forms, value) ? forms[value] : undefined;
  if (named !== undefined) return named;
  const plural = typeof value === 'number' ? new Intl.PluralRules(lang).select(value) : 'none';
  return (Object.hasOwn(forms, plural) ? forms[plural] : undefined) ?? forms.other;
}

/** Sizes of pictures are written as encoders write them: 1920, not 1,920. */
function figure(lang: string, name: string, value: number): string {
  return name === 'width' || name === 'height' ? String(value) : numberText(lang, value, 1);
}
