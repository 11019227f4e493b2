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
export function loadTexts(languages: readonly string[]): Promise<Texts> {
  const primary = languages.map((tag) => tag.toLowerCase().split('-')[0] ?? '');
  const found = primary.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? 'en';
  return (LANGUAGES[found] as () => Promise<Texts>)();
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
