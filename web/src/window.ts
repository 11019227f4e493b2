// The window behind live that can be gone back to: where it begins and ends, what a wanted moment
// means in it, and how that is said. Pure.

/** This close to live is live. */
export const LIVE_WITHIN_MS = 5_000;
/** The oldest media goes while it is fetched: so far from the beginning nobody is put. */
export const MARGIN_MS = 3_000;
/** A window shorter than this is not worth a control. */
export const SHORTEST_MS = 15_000;
/** A step of the arrow keys. */
export const STEP_MS = 10_000;

/** From and to, media time in ms. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

/** The window when live is at `liveMs`; null where there is none, or none to speak of. */
export function windowAt(
  liveMs: number | null,
  oldestMs: number | null,
  windowMs: number | null,
): Window | null {
  if (liveMs === null || oldestMs === null || windowMs === null) return null;
  const startMs = Math.max(oldestMs, liveMs - windowMs);
  return liveMs - startMs < SHORTEST_MS ? null : { startMs, endMs: liveMs };
}

/** Where a viewer who wants `mediaMs` is put; null for live. */
export function placeAt(mediaMs: number, { startMs, endMs }: Window): number | null {
  if (mediaMs > endMs - LIVE_WITHIN_MS) return null;
  return Math.max(mediaMs, startMs + MARGIN_MS);
}

/** `0:42`, `12:05`, `1:02:33`. */
export function clockText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n: number) => `${n}`.padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
