// What a viewer can do with the controls: by mouse and by keys, from the menu, and what the path is told
// of it. Renditions and captions are made up, since an encoder brings one of the former and none of the
// latter.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { attributes, until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** The watch page, live, whose edge says more of the broadcast than it does. */
async function watching(more: object = {}, path = '/watch/demo'): Promise<Page> {
  const page = await s.open('/');
  await page.route('**/live/demo', async (route) => {
    const said = await (await route.fetch()).json();
    await route.fulfill({ json: { ...said, ...more } });
  });
  await page.goto(s.stack.url + path);
  await until(page, { state: 'live' }, 30_000);
  await page.waitForFunction(() => customElements.get('media-controller'));
  return page;
}

const RENDITIONS = {
  oldest_ms: 0,
  window_ms: 60_000,
  tracks: [
    { name: 'video/main', width: 1280, height: 720, bitrate: 2_400_000 },
    { name: 'video/low', width: 640, height: 360, bitrate: 400_000 },
  ],
};

const settings = (page: Page) => page.getByRole('button', { name: 'Settings' });

test('the menu: one quality for all to come, by keys', async () => {
  const page = await watching(RENDITIONS);
  const told: unknown[] = [];
  await page.route('**/layer', async (route) => {
    told.push(route.request().postDataJSON());
    await route.fulfill({ status: 200 });
  });
  await settings(page).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('menuitemradio', { name: 'Automatic (720p)' }).waitFor();
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await expect.poll(() => told).toEqual([{ encodingId: 'video/low' }]);
  // The focus is where it was, and the choice is remembered.
  await page.keyboard.press('Enter');
  const low = page.getByRole('menuitemradio', { name: '360p' });
  await expect.poll(() => low.getAttribute('aria-checked')).toBe('true');
  await page.keyboard.press('Escape');
  expect(await page.getByRole('menu').count()).toBe(0);
  // A new offer asks for it, such as that of the return to live.
  await page.waitForFunction(() => (document.querySelector('lectern-player')?.windowMs ?? 0) > 0);
  await page.evaluate(() => document.querySelector('lectern-player')?.goBack(8_000));
  await until(page, { state: 'live', path: 'dash' }, 30_000);
  const offered = page.waitForRequest(/\/whep\/demo\?rendition=/);
  await page.route('**/whep/demo?*', (route) => route.abort());
  await page.evaluate(() => document.querySelector('lectern-player')?.goLive());
  expect(new URL((await offered).url()).searchParams.get('rendition')).toBe('video/low');
});

test('with one quality there is no choice, and without captions no button', async () => {
  const page = await watching();
  await settings(page).click();
  await page.getByRole('menuitemcheckbox', { name: 'Statistics' }).waitFor();
  expect(await page.getByRole('menuitemradio').count()).toBe(0);
  expect(await page.locator('media-captions-button').count()).toBe(0);
});

test('captions are shown when asked for, and the comments never', async () => {
  const page = await watching();
  const modes = () =>
    page.evaluate(() => {
      const tracks = document.querySelector('lectern-player')?.video?.textTracks ?? [];
      return Array.from(tracks, ({ label, mode }) => `${label} ${mode}`);
    });
  await page.evaluate(() => {
    const video = document.querySelector('lectern-player')?.video;
    video?.addTextTrack('captions', 'English', 'en');
    const comments = video?.addTextTrack('subtitles', 'Comments');
    // As a player's library may do with the first that it finds.
    if (comments) comments.mode = 'showing';
  });
  const button = page.locator('media-captions-button');
  await button.waitFor();
  await expect.poll(async () => (await modes()).includes('Comments showing')).toBe(false);
  await button.click();
  await expect.poll(modes).toContain('English showing');
  expect(await button.getAttribute('aria-checked')).toBe('true');
  await page.getByRole('region', { name: 'Live player' }).focus();
  await page.keyboard.press('c');
  await expect.poll(modes).toContain('English disabled');
});

test('the time range goes back by a click, and the button to live', async () => {
  const page = await watching({ oldest_ms: 0, window_ms: 60_000 });
  await page.waitForFunction(() => (document.querySelector('lectern-player')?.windowMs ?? 0) > 0);
  const range = page.locator('media-time-range');
  await range.waitFor();
  await page.mouse.move(300, 300);
  const box = await range.boundingBox();
  if (!box) throw new Error('there is no range');
  await page.mouse.click(box.x + box.width * 0.5, box.y + box.height / 2);
  await until(page, { state: 'live', path: 'dash' }, 30_000);
  expect(Number((await attributes(page))['behind-ms'])).toBeGreaterThan(5_000);
  const slider = page.getByRole('slider', { name: 'Go back in time' });
  await expect.poll(() => slider.getAttribute('aria-valuetext')).toContain('behind live');
  await page.getByRole('button', { name: 'Return to live' }).click();
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
});

test('pause, mute and full screen do what they say, and say what they would do next', async () => {
  const page = await watching();
  const paused = () => page.evaluate(() => document.querySelector('lectern-player')?.video?.paused);
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  expect(await paused()).toBe(true);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  await expect.poll(paused).toBe(false);
  await page.getByRole('button', { name: 'Mute', exact: true }).click();
  await page.getByRole('button', { name: 'Unmute', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Picture in picture' }).waitFor();
  await page.getByRole('button', { name: 'Full screen' }).click();
  const full = () => page.evaluate(() => document.fullscreenElement?.localName);
  await expect.poll(full).toBe('lectern-player');
  await page.getByRole('button', { name: 'Leave full screen' }).click();
  await expect.poll(full).toBeUndefined();
  // A click on the picture pauses, a second one goes on.
  await page.mouse.click(300, 250);
  await expect.poll(paused).toBe(true);
  await page.mouse.click(300, 250);
  await expect.poll(paused).toBe(false);
});

test('the statistics tell what is measured, and can be copied', async () => {
  const page = await watching();
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('region', { name: 'Live player' }).focus();
  await page.keyboard.press('s');
  const panel = page.locator('lectern-stats');
  await panel.getByText('WebRTC · Live').waitFor();
  await panel.getByText(/^[\d.]+ Mbit\/s$/).waitFor();
  await panel.getByText('1280 × 720').waitFor();
  await panel.getByRole('button', { name: 'Copy' }).click();
  await panel.getByText('Copied').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toContain('Path: WebRTC · Live');
  expect(copied).toMatch(/^Jitter buffer: \d+ ms$/m);
  await page.keyboard.press('s');
  await panel.waitFor({ state: 'detached' });
});

test('another network: the session is given another way, and goes on', async () => {
  const page = await watching();
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  const patched = page.waitForResponse((answer) => answer.request().method() === 'PATCH');
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  expect((await patched).status()).toBe(200);
  await untilMoved(page, 60);
  const states = () =>
    page.evaluate(() => window.peerConnections.map(({ connectionState }) => connectionState));
  await expect.poll(async () => (await states()).at(-1)).toBe('connected');
  expect((await states()).filter((state) => state === 'connected')).toHaveLength(1);
  expect(await attributes(page)).toMatchObject({ state: 'live', path: 'webrtc' });
});
