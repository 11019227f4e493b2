// A viewer goes back within the window and returns to live, from any path, and nothing pulls at them
// meanwhile: neither the ladder, nor what keeps a path close to live.

import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { PATHS } from '../../web/src/ladder.ts';
import { attributes, quantile, until, untilMoved, watchClock } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** How far back is gone, and how far from there the picture may be. */
const BACK_MS = 20_000;
const NEAR_MS = 2_500;
/** The window has to be as long as that first. */
const FILLED_MS = BACK_MS + 10_000;

beforeAll(async () => {
  await new Promise((resolve) => setTimeout(resolve, FILLED_MS));
});

/** How old the picture on screen is, by the clock in its pixels. */
async function age(page: Page): Promise<number> {
  const { samples } = await watchClock(page, 1_000);
  return quantile(
    samples.flatMap(({ shownMs, drawnMs }) => (drawnMs === null ? [] : [shownMs - drawnMs])),
    0.5,
  );
}

/** What the player says of the same, T0 and media time. */
async function mediaAge(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const { t0_ms, capture_offset_ms } = await (await fetch('/live/demo')).json();
    const mediaMs = document.querySelector('lectern-player')?.mediaMs ?? Number.NaN;
    return Date.now() - capture_offset_ms - t0_ms - mediaMs;
  });
}

test.each(PATHS)(
  'from %s',
  async (path) => {
    // WebRTC has no past, nor has who is pinned to it.
    const pin = path === 'webrtc' ? null : path;
    const page = await s.open(`/watch/demo${pin ? `?path=${pin}` : ''}`);
    await until(page, { state: 'live', path }, 30_000);
    await untilMoved(page, 30);
    await page.waitForFunction(() => (document.querySelector('lectern-player')?.windowMs ?? 0) > 0);

    await page.evaluate((ms) => document.querySelector('lectern-player')?.goBack(ms), BACK_MS);
    await until(page, { state: 'live', path: pin ?? 'dash' }, 30_000);
    await expect.poll(() => age(page), { timeout: 15_000 }).toBeGreaterThan(BACK_MS - NEAR_MS);
    await untilMoved(page, 60);
    const back = await age(page);
    expect(Math.abs(back - BACK_MS), `${back} ms behind`).toBeLessThan(NEAR_MS);
    // What comments go by is the moment on screen, and not that of now.
    expect(Math.abs((await mediaAge(page)) - back)).toBeLessThan(NEAR_MS);
    const said = await attributes(page);
    expect(Math.abs(Number(said['behind-ms']) - back), JSON.stringify(said)).toBeLessThan(NEAR_MS);
    expect(said).not.toHaveProperty('latency-ms');
    expect(said).not.toHaveProperty('fallback-reason');

    await page.getByRole('button', { name: 'Return to live' }).click();
    await until(page, { state: 'live', path }, 30_000);
    await expect.poll(() => age(page), { timeout: 15_000 }).toBeLessThan(4_000);
    expect(await attributes(page)).not.toHaveProperty('behind-ms');
  },
  150_000,
);

test('a pause goes on where it was, and keys go back and forth', async () => {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await page.waitForFunction(() => (document.querySelector('lectern-player')?.windowMs ?? 0) > 0);
  await page.getByRole('region', { name: 'Live player' }).focus();
  await page.keyboard.press('k');
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  await page.keyboard.press('k');
  await until(page, { state: 'live', path: 'dash' }, 30_000);
  await expect.poll(() => age(page), { timeout: 15_000 }).toBeGreaterThan(6_000);
  await page.keyboard.press('ArrowLeft');
  await expect.poll(() => age(page), { timeout: 15_000 }).toBeGreaterThan(15_000);
  await page.keyboard.press('l');
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await expect.poll(() => age(page), { timeout: 15_000 }).toBeLessThan(2_000);
}, 150_000);
