// Which questions a viewer wants answered, and what that makes of their counts until the edge's own
// count has it: pure. A vote counts at once, and is taken back where the edge refuses it.

import type { Comment } from './protocol.ts';

/**
 * A vote that is stored is in the next form of its question. If none comes within this, the edge had
 * counted it before, as after a browser forgot that it voted.
 */
export const SETTLED_MS = 3_000;
/** So many votes of one viewer's are remembered. */
export const KEPT_MAX = 500;

interface Cast {
  readonly id: number;
  readonly up: boolean;
  /** The form of the question that was voted on. */
  readonly seq: number;
  /** Null until it is stored. */
  settledMs: number | null;
}

export class Votes {
  /** What the edge has, as far as this browser knows. */
  readonly #standing: Set<number>;
  /** By the name of the attempt, in the order of the attempts. */
  readonly #casts = new Map<string, Cast>();

  constructor(standing: Iterable<number> = []) {
    this.#standing = new Set(standing);
  }

  /** What is to be remembered, newest last. */
  get standing(): readonly number[] {
    return [...this.#standing].slice(-KEPT_MAX);
  }

  /** Whether the viewer wants it answered. */
  has(id: number): boolean {
    let has = this.#standing.has(id);
    for (const cast of this.#casts.values()) if (cast.id === id) has = cast.up;
    return has;
  }

  /** How many want it answered, this viewer among them. */
  count({ id, seq, votes }: Pick<Comment, 'id' | 'seq' | 'votes'>): number {
    let count = votes;
    for (const cast of this.#casts.values()) {
      const told = cast.settledMs !== null && seq > cast.seq;
      if (cast.id === id && !told) count += cast.up ? 1 : -1;
    }
    return Math.max(0, count);
  }

  cast(client: string, { id, seq }: Pick<Comment, 'id' | 'seq'>, up: boolean): void {
    this.#casts.set(client, { id, up, seq, settledMs: null });
  }

  /** Says whether this was a vote. */
  stored(client: string, nowMs: number): boolean {
    const cast = this.#casts.get(client);
    if (!cast) return false;
    cast.settledMs = nowMs + SETTLED_MS;
    this.#standing.delete(cast.id);
    if (cast.up) this.#standing.add(cast.id);
    return true;
  }

  /** Says whether this was a vote, which counts no longer. */
  refused(client: string): boolean {
    return this.#casts.delete(client);
  }

  isVote(client: string): boolean {
    return this.#casts.has(client);
  }

  /** Forgets what is in the edge's own counts by now. Says whether there was any. */
  settle(nowMs: number): boolean {
    const before = this.#casts.size;
    for (const [client, { settledMs }] of this.#casts) {
      if (settledMs !== null && settledMs <= nowMs) this.#casts.delete(client);
    }
    return this.#casts.size !== before;
  }
}

/** What a browser kept, as far as it is what was kept. */
export function readIds(kept: string | null): readonly number[] {
  try {
    const ids: unknown = JSON.parse(kept ?? '[]');
    return Array.isArray(ids) ? ids.filter((id) => Number.isSafeInteger(id)).slice(-KEPT_MAX) : [];
  } catch {
    return [];
  }
}
