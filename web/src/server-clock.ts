// The server's clock, read over HTTP: an offset to the local clock, from the exchange with the
// shortest round trip. Owns when to ask; the arithmetic is pure and exported for tests.

/** Exchanges per synchronisation: the best of three leaves out one slow connection set-up. */
const EXCHANGES = 3;
/** A clock drifts by some ms in this time at 50 ppm; ask again after it. */
const RESYNC_MS = 5 * 60_000;
/** An answer slower than this says too little about the clock to be used. */
const EXCHANGE_TIMEOUT_MS = 3_000;

/** One exchange: local time when asked and when answered, and the server's time between. */
export interface Exchange {
  readonly sentMs: number;
  readonly serverMs: number;
  readonly receivedMs: number;
}

/** Server minus local clock in ms, from the exchange with the shortest round trip; null if none. */
export function offsetMs(exchanges: readonly Exchange[]): number | null {
  const roundTrip = (e: Exchange) => e.receivedMs - e.sentMs;
  const best = [...exchanges].sort((a, b) => roundTrip(a) - roundTrip(b))[0];
  return best ? best.serverMs - (best.sentMs + best.receivedMs) / 2 : null;
}

/** Local time that is UTC at heart but never steps back, and is finer than `Date.now()`. */
export function localNowMs(): number {
  return performance.timeOrigin + performance.now();
}

export class ServerClock {
  readonly #url: string;
  #offsetMs: number | null = null;
  #syncedAtMs = Number.NEGATIVE_INFINITY;
  #syncing: Promise<void> | null = null;

  constructor(url: string) {
    this.#url = url;
  }

  /** The server's time in Unix ms; null until the first answer. */
  nowMs(): number | null {
    return this.#offsetMs === null ? null : localNowMs() + this.#offsetMs;
  }

  /** Asks the server unless a fresh answer is there. Never throws: without one, latency is unknown. */
  sync(): Promise<void> {
    if (localNowMs() - this.#syncedAtMs < RESYNC_MS) return Promise.resolve();
    this.#syncing ??= this.#ask().finally(() => {
      this.#syncing = null;
    });
    return this.#syncing;
  }

  async #ask(): Promise<void> {
    const exchanges: Exchange[] = [];
    for (let i = 0; i < EXCHANGES; i++) {
      try {
        const sentMs = localNowMs();
        const answer = await fetch(this.#url, {
          cache: 'no-store',
          signal: AbortSignal.timeout(EXCHANGE_TIMEOUT_MS),
        });
        const receivedMs = localNowMs();
        const serverMs = Date.parse((await answer.text()).trim());
        if (answer.ok && Number.isFinite(serverMs)) {
          exchanges.push({ sentMs, serverMs, receivedMs });
        }
      } catch {
        // Unreachable: the ladder finds that out and says so. Here it is only a missing sample.
      }
    }
    const offset = offsetMs(exchanges);
    if (offset !== null) {
      this.#offsetMs = offset;
      this.#syncedAtMs = localNowMs();
    }
  }
}
