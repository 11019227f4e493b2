// Which edge is asked: the one that the page names, until it is lost or about to stop, then another.
// Pure: moments go in, addresses come out; who finds that an edge is lost is the session.

/** An edge that was lost is not asked again for so long, as far as there are others. */
export const LOST_MS = 20_000;

export class Edges {
  readonly #random: () => number;
  /** By address, when each was lost last. */
  readonly #lostAt = new Map<string, number>();
  #current: string;

  /** `random`: 0 to 1. A thousand viewers of an edge that is gone do not all go to the same other. */
  constructor(current: string, others: readonly string[], random: () => number) {
    this.#random = random;
    this.#current = current;
    this.learn([current, ...others]);
  }

  get current(): string {
    return this.#current;
  }

  get all(): readonly string[] {
    return [...this.#lostAt.keys()];
  }

  /** There are these edges, too. */
  learn(edges: readonly string[]): void {
    for (const edge of edges) {
      if (!this.#lostAt.has(edge)) this.#lostAt.set(edge, Number.NEGATIVE_INFINITY);
    }
  }

  /** The current edge is of no use: goes on to another; null where none is left to be tried now. */
  next(now: number): string | null {
    this.#lostAt.set(this.#current, now);
    const left = this.all.filter((edge) => now - (this.#lostAt.get(edge) ?? now) >= LOST_MS);
    const at = Math.min(left.length - 1, Math.floor(this.#random() * left.length));
    const next = left[at];
    if (next === undefined) return null;
    this.#current = next;
    return next;
  }
}

/** The base addresses in a list separated by spaces; what is none is passed over. */
export function edgeList(text: string, page: string): string[] {
  const bases: string[] = [];
  for (const word of text.split(/\s+/)) {
    if (!word || !URL.canParse(word, page)) continue;
    const url = new URL(word, page);
    if (!/^https?:$/.test(url.protocol)) continue;
    bases.push(url.origin + url.pathname.replace(/\/+$/, ''));
  }
  return bases;
}
