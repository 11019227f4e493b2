// What a viewer is asked before they watch, and what they answer (docs/access.md): read with care, checked
// as the edge does it so that most faults are said at once, and sent nowhere but to the edge. Pure, except
// for `askForm` and `register`.

import type { Endpoints } from './endpoints.ts';
import type { Fault } from './texts/texts.ts';

const ANSWER_CHARS_MAX = 500;
/** A question to the edge that takes longer is not answered: it gives its origin five seconds. */
const TIMEOUT_MS = 12_000;
/** When to try again where the edge does not say. */
const AGAIN_MS = 5_000;

export type Kind = 'text' | 'email' | 'select' | 'checkbox';

export interface Question {
  readonly name: string;
  readonly label: string;
  readonly kind: Kind;
  readonly required: boolean;
  readonly options: readonly string[];
}

export interface Form {
  readonly title: string | null;
  readonly notice: string | null;
  readonly fields: readonly Question[];
}

export type Answers = Readonly<Record<string, string | boolean>>;

/** What is wrong with which answer, by the name of the question. */
export type Faults = Readonly<Record<string, Fault>>;

export type Outcome =
  | { readonly outcome: 'registered'; readonly token: string }
  | { readonly outcome: 'invalid'; readonly faults: Faults }
  /** Nobody is asked any more. */
  | { readonly outcome: 'open' }
  | { readonly outcome: 'full' }
  | { readonly outcome: 'later'; readonly afterMs: number };

const FAULTS: ReadonlySet<string> = new Set<Fault>([
  'required',
  'kind',
  'too-long',
  'line',
  'email',
  'option',
  'unknown',
]);

const KINDS: ReadonlySet<string> = new Set<Kind>(['text', 'email', 'select', 'checkbox']);

type Said = Record<string, unknown>;

const object = (value: unknown): Said =>
  typeof value === 'object' && value !== null ? (value as Said) : {};
const text = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Reads a form. A question of a kind that is not known here is asked for as text. */
export function formOf(answer: unknown): Form {
  const said = object(answer);
  const question = (value: unknown): Question[] => {
    const { name, label, kind, required, options } = object(value);
    const called = text(name);
    if (called === null) return [];
    return [
      {
        name: called,
        label: text(label) ?? called,
        kind: KINDS.has(String(kind)) ? (kind as Kind) : 'text',
        required: required === true,
        options: list(options).flatMap((option) => (typeof option === 'string' ? [option] : [])),
      },
    ];
  };
  return {
    title: text(said.title),
    notice: text(said.notice),
    fields: list(said.fields).flatMap(question),
  };
}

/** What is wrong with these answers, as far as that can be told here. */
export function faultsOf({ fields }: Form, answers: Answers): Faults {
  const faults: Record<string, Fault> = {};
  for (const field of fields) {
    const fault = faultOf(field, answers[field.name]);
    if (fault) faults[field.name] = fault;
  }
  return faults;
}

function faultOf({ kind, required }: Question, answer: string | boolean | undefined): Fault | null {
  if (kind === 'checkbox') return required && answer !== true ? 'required' : null;
  const given = typeof answer === 'string' ? answer.trim() : '';
  if (given === '') return required ? 'required' : null;
  if ([...given].length > ANSWER_CHARS_MAX) return 'too-long';
  // The edge looks closer; what is obviously none need not go there.
  return kind === 'email' && !/^[^\s@]+@[^\s@]+\.[^\s@.]+$/.test(given) ? 'email' : null;
}

/** What a browser may fill in by itself, by what the question is called. */
export function autocompleteOf({ name, kind }: Question): string {
  if (kind === 'email') return 'email';
  const known: readonly [RegExp, string][] = [
    [/^(full-)?name$/, 'name'],
    [/^(first|given)-?name$/, 'given-name'],
    [/^(last|family|sur)-?name$/, 'family-name'],
    [/^(e-?)?mail$/, 'email'],
    [/^(phone|tel|telephone|mobile)$/, 'tel'],
    [/^(organi[sz]ation|company|institution|university|affiliation)$/, 'organization'],
    [/^(job-?)?title$/, 'organization-title'],
    [/^(city|town)$/, 'address-level2'],
    [/^country$/, 'country-name'],
  ];
  return known.find(([named]) => named.test(name))?.[1] ?? 'on';
}

/** What viewers are asked; `null` if nobody is; throws if the edge does not say. */
export async function askForm({ registration }: Endpoints): Promise<Form | null> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await fetch(registration, { cache: 'no-store', signal });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`the edge answered ${answer.status}`);
  return formOf(await answer.json());
}

/** Sends the answers. `attempt` names them, so that sending them again does no harm. */
export async function register(
  { registration }: Endpoints,
  answers: Answers,
  attempt: string,
): Promise<Outcome> {
  try {
    const answer = await fetch(registration, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      // For the cookie, by which the next visit needs no form.
      credentials: 'include',
      body: JSON.stringify({ answers, attempt }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const said: unknown = await answer.json().catch(() => null);
    return outcomeOf(answer.status, said, answer.headers.get('Retry-After'));
  } catch {
    return { outcome: 'later', afterMs: AGAIN_MS };
  }
}

/** What the edge's answer means. */
export function outcomeOf(http: number, said: unknown, retryAfter: string | null): Outcome {
  const { token, code, errors } = object(said);
  if (http === 200 && typeof token === 'string') return { outcome: 'registered', token };
  if (http === 404 && code === 'no-registration') return { outcome: 'open' };
  if (http === 409) return { outcome: 'full' };
  if (http === 422) {
    const faults = list(errors).flatMap((error): [string, Fault][] => {
      const { field, code } = object(error);
      if (typeof field !== 'string') return [];
      return [[field, FAULTS.has(String(code)) ? (code as Fault) : 'kind']];
    });
    return { outcome: 'invalid', faults: Object.fromEntries(faults) };
  }
  const seconds = Number(retryAfter ?? Number.NaN);
  return { outcome: 'later', afterMs: seconds > 0 ? seconds * 1000 : AGAIN_MS };
}
