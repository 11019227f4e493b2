// A comment belongs to a moment of the lecture: viewers on every path see it there, whoever wrote it, and
// whatever was killed in between.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { PATHS } from '../../web/src/ladder.ts';
import { readStrip, STRIP, STRIP_CANVAS } from '../../web/src/pattern-clock.ts';
import { until } from './player.ts';
import { scene } from './scene.ts';

/** How far the picture may have moved between the moment of writing and that of being shown. */
const SAME_MOMENT_MS = 250;

const s = scene({ roles: 'all', demo: true });

/** Writes as a viewer would. The clock in the picture at that moment, Unix ms. */
async function write(page: Page, text: string, name = 'Ada'): Promise<number> {
  const comments = page.locator('lectern-comments');
  const field = comments.getByRole('textbox', { name: /name/i });
  if (await field.isVisible()) await field.fill(name);
  await comments.locator('textarea').fill(text);
  const drawnMs = await drawn(page, null);
  await comments.locator('textarea').press('Enter');
  return drawnMs;
}

/** The clock in the picture once a comment is shown, or now; Unix ms. */
async function drawn(page: Page, text: string | null): Promise<number> {
  const green = await page.evaluate(
    async ([text, strip, size]) => {
      const shown = () => document.querySelector('lectern-comments')?.shadowRoot?.textContent ?? '';
      while (text !== null && !shown().includes(text)) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      const video = document.querySelector('lectern-player')?.video;
      const context = new OffscreenCanvas(size.width, size.height).getContext('2d');
      if (!video || !context) throw new Error('no picture is shown');
      const { videoWidth: w, videoHeight: h } = video;
      const [x, y] = [strip.x * w, strip.y * h];
      const [width, height] = [strip.width * w, strip.height * h];
      // Between two pictures there may be none to be read.
      context.drawImage(video, x, y, width, height, 0, 0, size.width, size.height);
      const { data } = context.getImageData(0, 0, size.width, size.height);
      return Array.from({ length: size.width * size.height }, (_, i) => data[i * 4 + 1] ?? 0);
    },
    [text, STRIP, STRIP_CANVAS] as const,
  );
  const data = new Uint8ClampedArray(green.length * 4);
  green.forEach((level, i) => {
    data[i * 4 + 1] = level;
  });
  const drawnMs = readStrip({ data, ...STRIP_CANVAS });
  if (drawnMs === null) throw new Error('the clock in the picture cannot be read');
  return drawnMs;
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
    pages.push(page);
  }
  const [webrtc, ...behind] = pages;
  if (!webrtc) throw new Error('there is no path');
  for (const text of ['Why n log n?', 'لماذا؟']) {
    const watching = behind.map((page) => drawn(page, text));
    const written = await write(webrtc, text);
    for (const moment of await Promise.all(watching)) {
      expect(Math.abs(moment - written), `${moment - written} ms apart`).toBeLessThan(
        SAME_MOMENT_MS,
      );
    }
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
