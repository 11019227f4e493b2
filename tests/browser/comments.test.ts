// A comment belongs to a moment of the lecture: viewers on every path see it there, whoever wrote it, and
// whatever was killed in between.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { PATHS } from '../../web/src/ladder.ts';
import { readStrip, STRIP, STRIP_CANVAS } from '../../web/src/pattern-clock.ts';
import { quantile, until } from './player.ts';
import { scene } from './scene.ts';

/** How far the picture may have moved between the moment of writing and that of being shown. */
const SAME_MOMENT_MS = 250;

const s = scene({ roles: 'all', demo: true });

/** Fills in the form as a viewer would. */
async function fill(page: Page, text: string, name = 'Ada'): Promise<void> {
  const comments = page.locator('lectern-comments');
  const field = comments.getByRole('textbox', { name: /name/i });
  if (await field.isVisible()) await field.fill(name);
  await comments.locator('textarea').fill(text);
}

async function write(page: Page, text: string, name?: string): Promise<void> {
  await fill(page, text, name);
  await page.locator('lectern-comments textarea').press('Enter');
}

/**
 * The clock in the picture, Unix ms: at the moment at which what the form holds is sent, or at which the
 * comment `text` is shown.
 */
async function clockWhen(page: Page, event: { sent: true } | { shown: string }): Promise<number> {
  const green = await page.evaluate(
    async ([event, strip, size]) => {
      const root = document.querySelector('lectern-comments')?.shadowRoot;
      const form = root?.querySelector('lectern-comment-form')?.shadowRoot;
      const context = new OffscreenCanvas(size.width, size.height).getContext('2d');
      if (!root || !form || !context) throw new Error('there are no comments on this page');
      while ('shown' in event && !root.textContent?.includes(event.shown)) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      const video = document.querySelector('lectern-player')?.video;
      if (!video) throw new Error('no picture is shown');
      const { videoWidth: w, videoHeight: h } = video;
      const [x, y] = [strip.x * w, strip.y * h];
      const [width, height] = [strip.width * w, strip.height * h];
      context.drawImage(video, x, y, width, height, 0, 0, size.width, size.height);
      if ('sent' in event) form.querySelector<HTMLButtonElement>('button.send')?.click();
      const { data } = context.getImageData(0, 0, size.width, size.height);
      return Array.from({ length: size.width * size.height }, (_, i) => data[i * 4 + 1] ?? 0);
    },
    [event, STRIP, STRIP_CANVAS] as const,
  );
  const data = new Uint8ClampedArray(green.length * 4);
  green.forEach((level, i) => {
    data[i * 4 + 1] = level;
  });
  const clock = readStrip({ data, ...STRIP_CANVAS });
  if (clock === null) throw new Error('the clock in the picture cannot be read');
  return clock;
}

function shows(page: Page, text: string, timeout = 20_000): Promise<void> {
  return page.locator('lectern-comments').getByText(text, { exact: true }).waitFor({ timeout });
}

test('a comment appears at its moment on every path', async () => {
  const pages = [];
  for (const path of PATHS) {
    const page = await s.open(`/watch/demo?path=${path}`);
    await until(page, { state: 'live', path }, 30_000);
    await page.locator('lectern-comments textarea').waitFor();
    await page.waitForFunction(() => document.querySelector('lectern-player')?.mediaMs !== null);
    pages.push(page);
  }
  const [webrtc, ...behind] = pages;
  if (!webrtc) throw new Error('there is no path');
  const apart: number[][] = behind.map(() => []);
  for (const text of ['Why n log n?', 'لماذا؟', 'And the worst case?']) {
    await fill(webrtc, text);
    const watching = behind.map((page) => clockWhen(page, { shown: text }));
    const written = await clockWhen(webrtc, { sent: true });
    for (const [path, moment] of (await Promise.all(watching)).entries()) {
      apart[path]?.push(moment - written);
    }
  }
  for (const each of apart) {
    // One of three may meet a machine that has no turn for the browser.
    const median = quantile(each.map(Math.abs), 0.5);
    expect(median, `${each} ms apart`).toBeLessThan(SAME_MOMENT_MS);
  }
  // Who is ahead of the writer sees it as soon as it is there.
  const [dash] = behind;
  if (!dash) throw new Error('there is one path only');
  await write(dash, 'Once more, please', 'Grace');
  await shows(webrtc, 'Once more, please');
});

test('markup is text, and what is refused says why', async () => {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live' }, 30_000);
  const markup = '<img src=x onerror="window.hacked = 1"> & <script>window.hacked = 1</script>';
  await write(page, markup);
  await shows(page, markup);
  expect(await page.evaluate(() => Reflect.has(window, 'hacked'))).toBe(false);
  await write(page, 'see https://example.org');
  await page.locator('lectern-comments').getByText('Links are not allowed').waitFor();
});

test('comments outlive the origin and the edge, and go on', async () => {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live' }, 30_000);
  await write(page, 'before it all');
  await shows(page, 'before it all');
  await s.stack.stopRole('all', 'SIGKILL');
  // Written while there is nobody to hear it.
  await write(page, 'into the void');
  await s.stack.startRole('all');
  const other = await s.open('/watch/demo');
  await shows(other, 'before it all', 40_000);
  await shows(other, 'into the void', 40_000);
  await page.locator('lectern-comments').getByText('into the void', { exact: true }).waitFor();
});

test('what its writer takes back is gone for all', async () => {
  const writer = await s.open('/watch/demo');
  const other = await s.open('/watch/demo');
  for (const page of [writer, other]) await until(page, { state: 'live' }, 30_000);
  await write(writer, 'never mind');
  await shows(other, 'never mind');
  const comment = writer.locator('lectern-comments').getByRole('listitem');
  await comment.filter({ hasText: 'never mind' }).getByRole('button').click();
  const gone = other.locator('lectern-comments').getByText('never mind', { exact: true });
  await gone.waitFor({ state: 'detached', timeout: 20_000 });
});
