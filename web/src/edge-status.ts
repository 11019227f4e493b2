// What an edge is asked of a broadcast while it plays, or does not.

import type { Headers } from './access.ts';
import { type Endpoints, endpoints } from './endpoints.ts';
import { type Info, infoOf } from './info.ts';
import type { Status } from './ladder.ts';

/** A question to the edge that takes longer is a "no". */
const PROBE_TIMEOUT_MS = 3_000;
/** How a broadcast stands of which there is nothing to be had now. */
const RESTING: ReadonlySet<Status> = new Set(['unbegun', 'away', 'ended']);
/** Of the other edges, so many are asked whether they have what this one has not. */
const ASKED_MAX = 3;

/** How a broadcast stands, and why this viewer may not watch it. */
export interface Standing {
  readonly status: Status;
  readonly reason?: string;
  /** The edge has lost its upstream, and another may know more. */
  readonly cutOff?: boolean;
  /** The edge is about to stop. */
  readonly draining?: boolean;
}

/** What the edge says of the broadcast; null for nothing. */
export async function askInfo({ base, status }: Endpoints, headers: Headers): Promise<Info | null> {
  try {
    const answer = await ask(status, headers);
    // What went wrong has a title as well.
    if (answer.headers.get('Content-Type')?.includes('problem')) return null;
    // Of one that has not begun there may be no more than when it will, whatever the status.
    return infoOf(await answer.json(), base);
  } catch {
    return null;
  }
}

/** How the broadcast stands, as far as the edge knows. */
export async function askStatus({ status }: Endpoints, headers: Headers): Promise<Standing> {
  try {
    const answer = await ask(status, headers);
    const said = answer.ok ? await answer.json() : null;
    return standingOf(answer.status, answer.headers.get('Lectern-Reason'), said);
  } catch {
    return { status: 'unreachable' };
  }
}

function ask(url: string, headers: Headers): Promise<Response> {
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  return fetch(url, { cache: 'no-store', headers, signal });
}

/**
 * What the edge's answer means; whatever is not understood counts as live. An edge that cannot reach its
 * upstream does not know what is missing there, and one that has just heard of a broadcast knows nothing
 * of it.
 */
export function standingOf(http: number, reason: string | null, said: unknown): Standing {
  if (http === 401 || http === 403 || http === 451) {
    return { status: 'refused', reason: reason ?? 'not-allowed' };
  }
  if (http === 404) return { status: 'unknown' };
  if (http === 503 && reason !== 'unheard') return { status: 'unknown' };
  if (http !== 200) return { status: 'unreachable' };
  const told = (said ?? {}) as Readonly<Record<string, unknown>>;
  const { state, t0_ms } = told;
  const ofTheEdge = {
    ...(told.cut_off === true && { cutOff: true }),
    ...(told.draining === true && { draining: true }),
  };
  // It has no T0 before its first frame: nobody has paused what nobody has begun.
  if (state === 'away' && t0_ms === 0) return { status: 'unbegun', ...ofTheEdge };
  return { status: state === 'away' || state === 'ended' ? state : 'live', ...ofTheEdge };
}

/** The first of these edges that has media of the broadcast, and stays; null where none says so in time. */
export async function firstWithMedia(
  edges: readonly string[],
  id: string,
  headers: Headers,
): Promise<string | null> {
  const told = edges.slice(0, ASKED_MAX).map(async (edge) => {
    if (!(await isWell(edge, id, headers))) throw new Error(`${edge} has none`);
    return edge;
  });
  return Promise.any(told).catch(() => null);
}

/**
 * The same, asked one after the other: who is not in a hurry goes where its order says, and not with everybody to
 * the edge that answers first. While the broadcast rests an edge is well that knows of it.
 */
export async function nextThatIsWell(
  edges: readonly string[],
  id: string,
  headers: Headers,
  rests: boolean,
): Promise<string | null> {
  for (const edge of edges.slice(0, ASKED_MAX)) {
    if (await isWell(edge, id, headers, rests)) return edge;
  }
  return null;
}

/** Whether the edge has media of the broadcast, or at least knows of it where that rests, and stays. */
async function isWell(edge: string, id: string, headers: Headers, rests = false): Promise<boolean> {
  const at = endpoints(`${edge}/live/${id}`, edge);
  const { status, cutOff, draining } = await askStatus(at, headers);
  if (cutOff || draining) return false;
  return status === 'live' || (rests && RESTING.has(status));
}
