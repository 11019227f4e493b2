// What a form holds of a broadcast before it is saved. Pure.

import type { About, Registration, RegistrationField } from './model.ts';
import { nameOfLabel, uniqueName } from './names.ts';

/** The bounds that the server holds. */
export const TITLE_MAX = 200;
export const DESCRIPTION_MAX = 2_000;
export const TOPICS_MAX = 10;
export const TOPIC_MAX = 40;
export const LINKS_MAX = 8;
export const FIELDS_MAX = 12;
export const LABEL_MAX = 120;
export const OPTIONS_MAX = 50;

export const BLANK: About = {
  title: null,
  description: null,
  topics: [],
  language: null,
  starts_at: null,
  visibility: 'public',
  logo: null,
  links: [],
  viewers_max: null,
  attendance: false,
  registration: null,
};

/** Only what a host may say of it. */
export function aboutOf(given: About): About {
  const keys = Object.keys(BLANK) as (keyof About)[];
  return Object.fromEntries(keys.map((key) => [key, given[key] ?? BLANK[key]])) as unknown as About;
}

/** As it is to be saved: without blanks around words, and without what was begun and left empty. */
export function tidy(about: About): About {
  return {
    ...about,
    title: text(about.title),
    description: text(about.description),
    topics: [...new Set(about.topics.map((topic) => topic.trim()).filter(Boolean))],
    logo: text(about.logo),
    links: about.links
      .map(({ title, url }) => ({ title: title.trim(), url: url.trim() }))
      .filter(({ title, url }) => title !== '' || url !== ''),
    registration: about.registration && tidyRegistration(about.registration),
  };
}

function text(value: string | null): string | null {
  return value?.trim() || null;
}

function tidyRegistration({ notice, fields }: Registration): Registration {
  const names: string[] = [];
  const tidied = fields
    .filter(({ label, options }) => label.trim() !== '' || options.some(Boolean))
    .map((field): RegistrationField => {
      const label = field.label.trim();
      const name = uniqueName(field.name || nameOfLabel(label) || 'field', names);
      names.push(name);
      const options = [...new Set(field.options.map((each) => each.trim()).filter(Boolean))];
      return { ...field, name, label, options: field.kind === 'select' ? options : [] };
    });
  return { notice: text(notice), fields: tidied };
}

/** The topics after something was written in the field for them, with or without commas. */
export function withTopics(topics: readonly string[], written: string): readonly string[] {
  const added = written
    .split(/[,;\n]/)
    .map((topic) => topic.trim().slice(0, TOPIC_MAX))
    .filter(Boolean);
  return [...new Set([...topics, ...added])].slice(0, TOPICS_MAX);
}

/** Moves one of a list up or down. */
export function moved<T>(items: readonly T[], from: number, by: -1 | 1): readonly T[] {
  const to = from + by;
  if (to < 0 || to >= items.length) return items;
  const changed = [...items];
  const [item] = changed.splice(from, 1);
  changed.splice(to, 0, item as T);
  return changed;
}
