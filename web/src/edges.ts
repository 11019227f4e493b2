// Which edge is asked: the one that the page names, until it is lost or about to stop, then another.
// Pure: moments go in, addresses come out; who finds that an edge is lost is the session.

/** An edge that was left is not gone to again for so long, unless there is no other and it says that it is well. */
export const LOST_MS = 20_000;
/** And is not asked whether it is for so long: of two that are both of no use, neither is asked without end. */
export const LOOK_MS = 4_000;

export class Edges {
  readonly #random: () => number;
  /** By address, when each was left last. */
  readonly #leftAt = new Map<string, number>();
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
    return [...this.#leftAt.keys()];
  }

  /** There are these edges, too. */
  learn(edges: readonly string[]): void {
    for (const edge of edges) {
      if (!this.#leftAt.has(edge)) this.#leftAt.set(edge, Number.NEGATIVE_INFINITY);
    }
  }

  /** The others that may be tried now, in an order of this viewer's own. */
  others(now: number): readonly string[] {
    return this.#leftFor(LOST_MS, now);
  }

  /** Those, and behind them the others that may be asked whether they are well. */
  askable(now: number): readonly string[] {
    return [...new Set([...this.others(now), ...this.#leftFor(LOOK_MS, now)])];
  }

  #leftFor(leastMs: number, now: number): string[] {
    const those = this.all.filter(
      (edge) => edge !== this.#current && now - (this.#leftAt.get(edge) ?? Number.NaN) >= leastMs,
    );
    const order: string[] = [];
    while (those.length > 0) {
      const at = Math.min(those.length - 1, Math.floor(this.#random() * those.length));
      order.push(...those.splice(at, 1));
    }
    return order;
  }

  /**
   * The current edge is of no use: goes on to another, to `to` where one is known to be better; null where
   * none is left to be tried now.
   */
  next(now: number, to: string | null = null): string | null {
    const next = to ?? this.others(now).at(0) ?? null;
    this.#leftAt.set(this.#current, now);
    if (next !== null) this.#current = next;
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
