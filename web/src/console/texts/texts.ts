// The console's words by language. Each is a file of its own that only its readers load.

import type { ApiError } from '../api.ts';
import type { Texts } from './en.ts';

export type { Texts } from './en.ts';

const LANGUAGES: Readonly<Record<string, () => Promise<Texts>>> = {
  en: () => import('./en.ts').then(({ en }) => en),
  de: () => import('./de.ts').then(({ de }) => de),
  pt: () => import('./pt.ts').then(({ pt }) => pt),
  es: () => import('./es.ts').then(({ es }) => es),
  zh: () => import('./zh.ts').then(({ zh }) => zh),
};

/** The words for who reads these languages, the one liked best first. */
export async function loadTexts(languages: readonly string[]): Promise<Texts> {
  const primary = (tag: string) => tag.toLowerCase().split('-')[0] ?? '';
  const found = languages.find((tag) => Object.hasOwn(LANGUAGES, primary(tag))) ?? 'en';
  const texts = await (LANGUAGES[primary(found)] as () => Promise<Texts>)();
  // Dates and numbers as they are written where the reader is; but these are simplified characters.
  return primary(found) === 'zh' ? texts : { ...texts, lang: canonical(found) ?? texts.lang };
}

function canonical(tag: string): string | undefined {
  try {
    return Intl.getCanonicalLocales(tag)[0];
  } catch {
    return undefined;
  }
}

/** Why something did not work, in the reader's language as far as there are words for it. */
export function errorText({ errors: T }: Texts, error: ApiError): string {
  if (error.code === 'too-many-requests' && error.retryAfter !== null) {
    return `${T['too-many-requests']} ${T.waitSeconds(error.retryAfter)}`;
  }
  // What the server says of this very case is better than what can be said of all such cases.
  if (error.detail && /^(invalid|conflict|unavailable)$/.test(error.code)) return error.detail;
  const known: Readonly<Record<string, unknown>> = T;
  const text = Object.hasOwn(known, error.code) ? known[error.code] : null;
  return typeof text === 'string' ? text : error.detail || T.other;
}

/** Why nobody was signed in, by the code that the address came back with; words for those that are unknown. */
export function refusalText({ signIn: { refusals }, errors }: Texts, code: string): string {
  for (const known of [refusals, errors] as readonly Readonly<Record<string, unknown>>[]) {
    const text = Object.hasOwn(known, code) ? known[code] : null;
    if (typeof text === 'string') return text;
  }
  return refusals.other;
}
