// What viewers feel, at the second of the lecture at which they felt it: pure. The edge tells how many
// felt what in which second; each is shown once the picture has come so far, and what a viewer feels
// themself at once, and not again when the edge tells of it.

import type { Reaction } from './protocol.ts';

/** Viewers on slower paths feel later. What is told later than this is over, as for who joins. */
export const LATE_MS = 15_000;
/** So many seconds and kinds wait for their moment. */
export const QUEUE_MAX = 256;
/** One's own that the edge has not told of after this, it will not. */
const OWN_MS = 30_000;
/** What is counted beside a reaction was felt within this. */
export const RECENT_MS = 10_000;
/** So many of one kind rise at once; that they are more is for the number beside to say. */
export const RISING_MAX = 6;

/** What is to be shown now. */
export interface Felt {
  readonly emoji: string;
  readonly count: number;
}

export class Reactions {
  /** By the moment at which they are due. */
  #queue: Reaction[] = [];
  #own: { readonly emoji: string; readonly second: number | null; readonly atMs: number }[] = [];
  #recent: (Felt & { readonly atMs: number })[] = [];

  /** The media time of the first that is not due yet; null if there is none. */
  get nextMs(): number | null {
    return this.#queue[0]?.mt ?? null;
  }

  /**
   * The edge told of these; `live`: as they were felt, and not of what was missed. The picture is that
   * of `mediaMs`; null: nobody knows.
   */
  take(reactions: readonly Reaction[], mediaMs: number | null, live: boolean): void {
    for (const { mt, emoji, count } of reactions) {
      const over = mt !== null && (mediaMs === null ? !live : mt < mediaMs - (live ? LATE_MS : 0));
      const others = count - this.#takeOwn(emoji, mt, count);
      if (!over && others > 0) this.#queue.push({ mt, emoji, count: others });
    }
    this.#queue.sort((a, b) => (a.mt ?? 0) - (b.mt ?? 0));
    this.#queue = this.#queue.slice(-QUEUE_MAX);
  }

  /** The viewer felt this when the picture was that of `mt`. */
  own(emoji: string, mt: number | null, nowMs: number): void {
    const second = mt === null ? null : Math.floor(mt / 1000) * 1000;
    this.#own = this.#own.filter(({ atMs }) => nowMs - atMs < OWN_MS);
    this.#own.push({ emoji, second, atMs: nowMs });
    this.#recent.push({ emoji, count: 1, atMs: nowMs });
  }

  /** What is due, and was not before. */
  due(mediaMs: number | null, nowMs: number): readonly Felt[] {
    const isDue = ({ mt }: Reaction) => mt === null || mediaMs === null || mt <= mediaMs;
    const due = this.#queue.filter(isDue);
    if (due.length === 0) return due;
    this.#queue = this.#queue.filter((reaction) => !isDue(reaction));
    // A page that was in the background has nothing to make up for.
    const felt = due.filter(({ mt }) => mt === null || mediaMs === null || mediaMs - mt <= LATE_MS);
    this.#recent.push(...felt.map(({ emoji, count }) => ({ emoji, count, atMs: nowMs })));
    return felt;
  }

  /** How often each was felt of late. */
  recent(nowMs: number): ReadonlyMap<string, number> {
    this.#recent = this.#recent.filter(({ atMs }) => nowMs - atMs < RECENT_MS);
    const counts = new Map<string, number>();
    for (const { emoji, count } of this.#recent)
      counts.set(emoji, (counts.get(emoji) ?? 0) + count);
    return counts;
  }

  /** How many of these are one's own, which have been shown. */
  #takeOwn(emoji: string, mt: number | null, count: number): number {
    let taken = 0;
    this.#own = this.#own.filter((own) => {
      const same = own.emoji === emoji && (own.second ?? mt) === (mt ?? own.second);
      if (!same || taken === count) return true;
      taken++;
      return false;
    });
    return taken;
  }
}

/** How many rise for so many that were felt: each of a few, and of many so that one sees them grow. */
export function risingFor(count: number): number {
  if (count <= 2) return count;
  return Math.min(RISING_MAX, 2 + Math.ceil(Math.log2(count / 2)));
}
