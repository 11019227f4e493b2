// What is known of a live broadcast, second by second: the answer of `/live`, and then each piece of news put
// into it. Pure.

import type { Finding, Live, LiveNews, Point } from './model.ts';

/** Five minutes, as the server keeps them. */
const POINTS_MAX = 300;

/** What is known after the news: the history goes on, and begins anew with another publisher. */
export function withNews(before: Live | null, news: LiveNews): Live {
  const { point, ...live } = news;
  if (!live.report) return live;
  const goesOn = before?.publisher?.since === live.publisher?.since;
  const history = goesOn ? (before?.report?.history ?? []) : [];
  return { ...live, report: { ...live.report, history: withPoint(history, point ?? null) } };
}

function withPoint(history: readonly Point[], point: Point | null): readonly Point[] {
  if (!point || (history.at(-1)?.at ?? '') >= point.at) return history;
  return [...history, point].slice(-POINTS_MAX);
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
