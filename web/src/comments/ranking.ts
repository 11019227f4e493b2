// In which order questions stand: pure. What most want answered is first, the older of two before the
// newer, and what has been answered below. The order rests between changes, because nobody can read, or
// hit, what moves with every vote.

import type { Comment } from './protocol.ts';

/** Votes change the order this often at most. */
export const RESTS_MS = 2_000;

export class Ranking {
  #places = new Map<number, number>();
  #restsUntilMs = 0;
  #stale = false;
  /** Which questions there are, and which are answered: that shows at once. */
  #known = '';

  /** When there will be another order, though nothing else may change; null: it is as it should be. */
  get staleUntilMs(): number | null {
    return this.#stale ? this.#restsUntilMs : null;
  }

  rank(
    questions: readonly Comment[],
    votesOf: (question: Comment) => number,
    nowMs: number,
  ): readonly Comment[] {
    const ranked = [...questions].sort(
      (a, b) =>
        Number(a.answered) - Number(b.answered) ||
        votesOf(b) - votesOf(a) ||
        a.mt - b.mt ||
        a.id - b.id,
    );
    const known = questions.map(({ id, answered }) => `${id}${answered}`).join();
    const place = ({ id }: Comment) => this.#places.get(id) ?? 0;
    const moved = ranked.some((question, at) => place(question) !== at);
    const rests = known === this.#known && nowMs < this.#restsUntilMs;
    this.#known = known;
    this.#stale = moved && rests;
    if (!moved) return ranked;
    if (rests) return ranked.sort((a, b) => place(a) - place(b));
    this.#restsUntilMs = nowMs + RESTS_MS;
    this.#places = new Map(ranked.map(({ id }, at) => [id, at]));
    return ranked;
  }
}
