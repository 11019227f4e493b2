// One script tag puts the player into a page of another site, which knows nothing else of Lectern; and
// that page's style sheet reaches into it.

import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** The page of another site, which is another origin on loopback. */
async function site(edge: string): Promise<{ url: string; close: () => void }> {
  const body = `<!doctype html>
    <style>
      lectern-player { --lectern-range: rgb(1, 2, 3); width: 640px; }
      lectern-player::part(status) { display: none; }
    </style>
    <script type="module" src="${edge}/player.js"></script>
    <script type="module" src="${edge}/comments.js"></script>
    <lectern-player id="player" src="${edge}/live/demo" lang="de"></lectern-player>
    <lectern-comments for="player" lang="de"></lectern-comments>`;
  const server = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html').end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

test('on a page of another site, themed by it', async () => {
  const { url, close } = await site(s.stack.url);
  onTestFinished(close);
  const page = await s.open('/');
  await page.goto(url);
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await untilMoved(page, 30);
  await page.getByRole('button', { name: 'Vollbild' }).waitFor();
  expect(await page.locator('lectern-player .status').isVisible()).toBe(false);
  const range = page.locator('media-time-range');
  await range.waitFor({ state: 'attached' });
  const colour = await range.evaluate((it) =>
    getComputedStyle(it).getPropertyValue('--media-range-bar-color'),
  );
  expect(colour).toContain('rgb(1, 2, 3)');
  // It may read the comments; whether it may write them is the edge's to say.
  await page.locator('lectern-comments').getByText('Noch keine Kommentare').waitFor();
});
