// The promise that every path makes, checked alike on each: a moving picture of now, with sound, and
// a latency that is shown and true.

import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Path } from '../../web/src/ladder.ts';
import { attributes, latencies, peakLevel, quantile, until, watchClock } from './player.ts';

/** How far the latency that the player shows may be from the one in the pixels. */
const AGREEMENT_MS = 250;

/** `plausibleMs` is what no working path exceeds even on a busy machine: not a measure of speed. */
export async function plays(page: Page, path: Path, plausibleMs: number): Promise<void> {
  await until(page, { state: 'live', path }, 30_000);
  const watched = await watchClock(page, 4_000);
  const clocks = watched.samples.flatMap(({ drawnMs }) => drawnMs ?? []);

  expect(clocks.length, 'frames with a readable clock').toBeGreaterThan(20);
  expect(clocks.length / watched.samples.length, 'share of readable clocks').toBeGreaterThan(0.8);
  expect(clocks, 'the clock never goes back').toEqual([...clocks].sort((a, b) => a - b));
  expect(new Set(clocks).size, 'different pictures').toBeGreaterThan(20);

  const glass = quantile(latencies(watched), 0.5);
  expect(glass, 'glass to glass').toBeGreaterThan(0);
  expect(glass, 'glass to glass').toBeLessThan(plausibleMs);

  // The pattern beeps once a second.
  expect(await peakLevel(page, 2_500), 'loudest moment').toBeGreaterThan(0.01);

  await page.waitForFunction(() =>
    document.querySelector('lectern-player')?.hasAttribute('latency-ms'),
  );
  const shown = Number((await attributes(page))['latency-ms']);
  const after = quantile(latencies(await watchClock(page, 1_000)), 0.5);
  expect(Math.abs(shown - after), `shown ${shown} ms, in the pixels ${after} ms`).toBeLessThan(
    AGREEMENT_MS,
  );
}
