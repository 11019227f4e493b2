// What is known of a broadcast and of its picture, second by second: the answers for them, and then each piece
// of news put into them. Pure.

import type { Broadcast, Finding, Live, Point } from './model.ts';

/** Five minutes, as the server keeps them. */
const POINTS_MAX = 300;

/** A broadcast after news of it, which has not the key of its moderators, whoever hears it. */
export function withNewsOf(before: Broadcast | null, news: Broadcast): Broadcast {
  return { ...news, moderator_key: news.moderator_key ?? before?.moderator_key ?? null };
}

/** What is known after the news: the history goes on, and begins anew with another publisher. */
export function withNews(before: Live | null, news: Live): Live {
  if (!news.report) return news;
  const goesOn = before?.publisher?.since === news.publisher?.since;
  const known = goesOn ? (before?.report?.history ?? []) : [];
  return { ...news, report: { ...news.report, history: joined(known, news.report.history) } };
}

function joined(known: readonly Point[], told: readonly Point[]): readonly Point[] {
  const last = known.at(-1)?.at ?? '';
  const more = told.filter(({ at }) => at > last);
  return more.length === 0 ? known : [...known, ...more].slice(-POINTS_MAX);
}

const SEVERITIES = ['problem', 'warning', 'hint'] as const;

/** The worst first, and of those the oldest. */
export function byWeight(findings: readonly Finding[]): Finding[] {
  return [...findings].sort(
    (a, b) =>
      SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
      a.since.localeCompare(b.since),
  );
}

export type Check = 'done' | 'open' | 'trouble';

export interface Checks {
  readonly key: Check;
  readonly encoder: Check;
  readonly picture: Check;
  readonly viewers: Check;
}

/**
 * How far one has come on the way to being live. A picture is good once it has been looked at a while; of who
 * watches, `own` are previews of this page, which are nobody.
 */
export function checksOf(
  keys: number | null,
  live: Live | null,
  nowMs: number,
  own: number = 0,
): Checks {
  const on = live?.state === 'live' && live.publisher !== null;
  const findings = live?.report?.findings.filter(({ severity }) => severity !== 'hint') ?? [];
  const seen = on && nowMs - Date.parse(live.publisher?.since ?? '') >= LOOK_MS;
  const picture = !on
    ? 'open'
    : findings.length > 0
      ? 'trouble'
      : seen && live.report
        ? 'done'
        : 'open';
  return {
    key: (keys ?? 0) > 0 || on ? 'done' : 'open',
    // What is found without an encoder is why one was sent away.
    encoder: on ? 'done' : live?.state === 'away' || findings.length > 0 ? 'trouble' : 'open',
    picture,
    viewers: on && live.viewers.total > own ? 'done' : 'open',
  };
}

/** What is wrong with a picture shows within this (docs of the doctor). */
const LOOK_MS = 10_000;
