// What the lobby shows, and in which order. Pure: what the edge said and the time go in.

/** What it shows of a broadcast. */
export interface Entry {
  readonly id: string;
  readonly name: string;
  readonly state: 'live' | 'unbegun' | 'away' | 'ended';
  readonly description: string | null;
  readonly topics: readonly string[];
  readonly language: string | null;
  readonly logo: string | null;
  /** T0, Unix ms; null before it has begun. */
  readonly beganMs: number | null;
  /** When it is to begin, Unix ms. */
  readonly startsAtMs: number | null;
  readonly viewers: number;
}

export interface List {
  readonly entries: readonly Entry[];
  /** Whether the edge knows that there are no others. */
  readonly complete: boolean;
}

/** Entries by what they are to somebody who looks for one. */
export interface Groups {
  readonly live: readonly Entry[];
  readonly coming: readonly Entry[];
  readonly others: readonly Entry[];
}

/** So many are seen at a glance; of more, one wants to search. */
export const FEW = 5;
/** So many topics are offered, those of the most broadcasts. */
const TOPICS_MAX = 12;

const text = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
const number = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Reads what `GET /live` says; whatever is missing is not shown. */
export function readList(said: unknown): List {
  const { broadcasts, complete } = (said ?? {}) as Record<string, unknown>;
  return { entries: list(broadcasts).flatMap(entry), complete: complete !== false };
}

function entry(said: unknown): Entry[] {
  const of = (said ?? {}) as Record<string, unknown>;
  const id = text(of.id);
  if (id === null) return [];
  const beganMs = number(of.t0_ms);
  const state = of.state === 'live' || of.state === 'ended' ? of.state : 'away';
  const logo = text(of.logo);
  return [
    {
      id,
      name: text(of.title) ?? id,
      // Nobody has paused what nobody has begun.
      state: state === 'away' && beganMs === null ? 'unbegun' : state,
      description: text(of.description),
      topics: list(of.topics).flatMap((topic) => text(topic) ?? []),
      language: text(of.language),
      logo: logo?.startsWith('https://') ? logo : null,
      beganMs,
      startsAtMs: number(of.starts_at),
      viewers: number(of.viewers) ?? 0,
    },
  ];
}

/** Live ones first, of which those that most people watch; then what is coming, the next one first. */
export function arrange(entries: readonly Entry[], nowMs: number): Groups {
  const byName = (a: Entry, b: Entry) => a.name.localeCompare(b.name);
  const live = entries.filter(({ state }) => state === 'live');
  const isComing = ({ state, startsAtMs }: Entry) =>
    state !== 'live' && (state === 'unbegun' || (startsAtMs ?? 0) > nowMs);
  const coming = entries.filter(isComing);
  const others = entries.filter((each) => each.state !== 'live' && !isComing(each));
  const at = ({ startsAtMs }: Entry) => startsAtMs ?? Number.POSITIVE_INFINITY;
  const sooner = (a: Entry, b: Entry) => (at(a) === at(b) ? 0 : at(a) - at(b));
  return {
    live: [...live].sort((a, b) => b.viewers - a.viewers || byName(a, b)),
    coming: [...coming].sort((a, b) => sooner(a, b) || byName(a, b)),
    others: [...others].sort(byName),
  };
}

/** Those in which each word of `query` is found, and that are of `topic`; null for any. */
export function found(
  entries: readonly Entry[],
  query: string,
  topic: string | null,
): readonly Entry[] {
  const words = folded(query).split(/\s+/).filter(Boolean);
  return entries.filter(({ id, name, description, topics }) => {
    const all = folded([id, name, description ?? '', ...topics].join('\n'));
    const of = topic === null || topics.some((each) => folded(each) === folded(topic));
    return of && words.every((word) => all.includes(word));
  });
}

/** The topics that there are, those of the most broadcasts first. */
export function topicsOf(entries: readonly Entry[]): readonly string[] {
  const counts = new Map<string, { topic: string; count: number }>();
  for (const topic of entries.flatMap(({ topics }) => topics)) {
    const known = counts.get(folded(topic)) ?? { topic, count: 0 };
    known.count++;
    counts.set(folded(topic), known);
  }
  return [...counts.values()]
    .sort((a, b) => b.count - a.count || a.topic.localeCompare(b.topic))
    .slice(0, TOPICS_MAX)
    .map(({ topic }) => topic);
}

/** In how long, in the largest unit that says something; `now` is not in the future. */
export function inText(lang: string, atMs: number, nowMs: number): string {
  const format = new Intl.RelativeTimeFormat(lang, { numeric: 'auto' });
  const minutes = Math.ceil((atMs - nowMs) / 60_000);
  if (minutes < 60) return format.format(Math.max(0, minutes), 'minute');
  if (minutes < 36 * 60) return format.format(Math.round(minutes / 60), 'hour');
  return format.format(Math.round(minutes / (24 * 60)), 'day');
}

/** As one searches: without case, and without accents. */
function folded(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}
