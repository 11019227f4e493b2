// What an edge is asked of a broadcast while it plays, or does not.

import type { Endpoints } from './endpoints.ts';
import { type Info, infoOf } from './info.ts';
import type { Status } from './ladder.ts';

/** A question to the edge that takes longer is a "no". */
const PROBE_TIMEOUT_MS = 3_000;

/** What the edge says of the broadcast; null for nothing. */
export async function askInfo({ base, id, live }: Endpoints): Promise<Info | null> {
  try {
    const answer = await fetch(`${live}/${id}`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    // Of one that has not begun there may be no more than when it will, whatever the status.
    return infoOf(await answer.json(), base);
  } catch {
    return null;
  }
}

/** What the edge says of the broadcast in its list of those it knows. */
export async function askStatus({ id, live }: Endpoints): Promise<Status> {
  try {
    const answer = await fetch(live, {
      cache: 'no-store',
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    return answer.ok ? listedStatus(await answer.json(), id) : 'unreachable';
  } catch {
    return 'unreachable';
  }
}

/**
 * The status of one broadcast in the edge's list; whatever is not understood counts as live. An edge
 * that cannot reach its upstream does not know what is missing in it.
 */
export function listedStatus(list: unknown, id: string): Status {
  const { broadcasts, complete } = (list ?? {}) as { broadcasts?: unknown; complete?: unknown };
  const entry = (Array.isArray(broadcasts) ? broadcasts : []).find((entry) => entry?.id === id);
  if (!entry) return complete === false ? 'unreachable' : 'unknown';
  // It has no T0 before its first frame: nobody has paused what nobody has begun.
  if (entry.state === 'away' && entry.t0_ms === 0) return 'unbegun';
  return entry.state === 'away' || entry.state === 'ended' ? entry.state : 'live';
}
