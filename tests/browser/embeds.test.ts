// One script tag puts the player into a page of another site, which knows nothing else of Lectern; and
// that page's style sheet reaches into it.

import { expect, test } from 'vitest';
import { until, untilMoved } from './player.ts';
import { scene } from './scene.ts';
import { site } from './site.ts';

const s = scene({ roles: 'all', demo: true });

/** The page of another site. */
const embedding = (edge: string) => `<!doctype html>
    <style>
      lectern-player { --lectern-range: rgb(1, 2, 3); width: 640px; }
      lectern-player::part(status) { display: none; }
    </style>
    <script type="module" src="${edge}/player.js"></script>
    <script type="module" src="${edge}/comments.js"></script>
    <lectern-player id="player" src="${edge}/live/demo" lang="de"></lectern-player>
    <lectern-comments for="player" lang="de"></lectern-comments>`;

test('on a page of another site, themed by it', async () => {
  const page = await s.open('/');
  await page.goto(await site(embedding(s.stack.url)));
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
  const comments = page.locator('lectern-comments');
  await comments.getByText('Noch keine Kommentare').waitFor();
  // Nor is any key of use here: that is said, and not that it is the wrong one.
  await comments.evaluate((it) => Object.assign(it, { moderatorKey: 'the-key' }));
  await comments.getByText('edge.comment_origins').waitFor();
});
