// When a viewer may write again where slow mode is on: pure. The edge has the last word; what is known
// here only keeps a writer from finding out by being refused.

export class Pace {
  /** The last comment that is, or may be, stored, and the one before it. */
  #last: { readonly client: string; readonly atMs: number } | null = null;
  #before: { readonly client: string; readonly atMs: number } | null = null;
  #refusedUntilMs = 0;

  wrote(client: string, nowMs: number): void {
    this.#before = this.#last;
    this.#last = { client, atMs: nowMs };
  }

  /** It was not stored, so that it does not count; `retryAfterMs`: if slow mode was why. */
  refused(client: string, nowMs: number, retryAfterMs: number | null): void {
    if (this.#last?.client === client) this.#last = this.#before;
    if (retryAfterMs !== null) this.#refusedUntilMs = nowMs + retryAfterMs;
  }

  /** From when on one may write, by a clock that is the caller's; 0: now. */
  waitsUntilMs(slowMs: number, nowMs: number): number {
    if (slowMs === 0) return 0;
    const untilMs = Math.max(this.#last ? this.#last.atMs + slowMs : 0, this.#refusedUntilMs);
    return untilMs > nowMs ? untilMs : 0;
  }
}
