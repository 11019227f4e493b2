// A viewer's choice of quality reaches the engines of others: dash.js and hls.js fetch the rendition that
// was pinned, and no other. An encoder brings one rendition by RTMP, so a second is written into the
// manifests, whose media is the first's.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

const RENDITIONS = [
  { name: 'video/main', width: 1280, height: 720, bitrate: 2_400_000 },
  { name: 'video/low', width: 640, height: 360, bitrate: 400_000 },
];

/** A page whose manifests have a second rendition; counts what is fetched of each. */
async function open(path: 'dash' | 'hls'): Promise<{ page: Page; fetched: string[] }> {
  const page = await s.open('/');
  const fetched: string[] = [];
  page.on('request', (request) => {
    // Of LL-HLS the playlists alone: both lead to the same media.
    const file = path === 'hls' ? /\/(video-[a-z]+)\/index\.m3u8/ : /\/(video-[a-z]+)~/;
    const track = file.exec(new URL(request.url()).pathname)?.[1];
    if (track) fetched.push(track);
  });
  await page.route('**/live/demo', async (route) => {
    const said = await (await route.fetch()).json();
    await route.fulfill({ json: { ...said, tracks: RENDITIONS } });
  });
  await page.route('**/manifest.mpd', async (route) => {
    const mpd = await (await route.fetch()).text();
    const low = (line: string) =>
      line
        .replace('"video-main"', '"video-low"')
        .replace(/width="\d+" height="\d+"/, 'width="640" height="360"')
        .replace(/bandwidth="\d+"/, 'bandwidth="400000"');
    const body = mpd.replace(/<Representation id="video-main"[^>]*\/>/g, (it) => it + low(it));
    await route.fulfill({ body, contentType: 'application/dash+xml' });
  });
  await page.route('**/live/demo/index.m3u8', async (route) => {
    const playlist = await (await route.fetch()).text();
    const variant = /#EXT-X-STREAM-INF:[^\n]*\nvideo-main[^\n]*\n/.exec(playlist)?.[0] ?? '';
    const low = variant
      .replace('video-main', 'video-low')
      .replace(/BANDWIDTH=\d+/, 'BANDWIDTH=400000')
      .replace(/RESOLUTION=\d+x\d+/, 'RESOLUTION=640x360');
    await route.fulfill({ body: playlist + low, contentType: 'application/vnd.apple.mpegurl' });
  });
  await page.route('**/live/demo/video-low*/**', (route) =>
    route.continue({ url: route.request().url().replace('video-low', 'video-main') }),
  );
  await page.goto(`${s.stack.url}/watch/demo?path=${path}`);
  await until(page, { state: 'live', path }, 30_000);
  await untilMoved(page, 30);
  return { page, fetched };
}

async function choose(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('menuitemradio', { name }).click();
}

test.each(['dash', 'hls'] as const)(
  'on %s',
  async (path) => {
    const { page, fetched } = await open(path);
    const onlyNow = async (track: string) => {
      // What was under way comes to its end; from then on it is this one alone.
      await expect
        .poll(
          async () => {
            fetched.length = 0;
            await new Promise((resolve) => setTimeout(resolve, 5_000));
            return [...new Set(fetched)];
          },
          { timeout: 40_000 },
        )
        .toEqual([track]);
    };
    await choose(page, '360p');
    await onlyNow('video-low');
    await choose(page, '720p');
    await onlyNow('video-main');
    await untilMoved(page, 60);
    await choose(page, 'Automatic');
    await until(page, { state: 'live', path }, 20_000);
  },
  150_000,
);
