// Every state that people meet is in plain words, says what happens next, and goes on by itself. What the
// edge does not say yet, or not on loopback, is put into its mouth.

import type { Page, Route } from 'playwright-core';
import { expect, test } from 'vitest';
import { attributes, until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** A page whose requests may be answered otherwise before it is opened. */
async function page(): Promise<Page> {
  return s.open('/');
}

const said = (page: Page) => page.locator('lectern-player [role=status]').innerText();

test('scheduled: when it begins, in how long, and by which name', async () => {
  const it = await page();
  const json = { starts_at: Date.now() + 3_600_000, title: 'Algebra I' };
  await it.route('**/live/later', (route) => route.fulfill({ status: 404, json }));
  await it.goto(`${s.stack.url}/watch/later`);
  await until(it, { state: 'waiting' }, 20_000);
  expect(await said(it)).toMatch(/Begins (at|Sun|Mon|Tue|Wed|Thu|Fri|Sat)/);
  expect(await said(it)).toMatch(/In (59:\d\d|1:00:00)/);
  const before = await said(it);
  await expect.poll(() => said(it)).not.toBe(before);
  expect(await it.getByRole('heading', { level: 1 }).innerText()).toBe('Algebra I');
  expect(await it.title()).toContain('Algebra I');
});

test('ended: offers the recording', async () => {
  const it = await page();
  await it.route('**/whep/demo', (route) => route.fulfill({ status: 410 }));
  const json = { id: 'demo', state: 'ended', replay: '/vod/demo' };
  await it.route('**/live/demo', (route) => route.fulfill({ json }));
  await it.goto(`${s.stack.url}/watch/demo`);
  await until(it, { state: 'ended' }, 20_000);
  const link = it.getByRole('link', { name: 'Watch the recording' });
  await link.waitFor();
  expect(await link.getAttribute('href')).toBe(`${s.stack.url}/vod/demo`);
});

/** Answers offers so until it is undone. */
async function refusing(it: Page, status: number, headers: Record<string, string>) {
  const refuse = (route: Route) => route.fulfill({ status, headers });
  await it.route('**/whep/demo', refuse);
  return { undo: () => it.unroute('**/whep/demo', refuse) };
}

test('full, with no path left: says when it is tried again, and then plays', async () => {
  const it = await page();
  const full = await refusing(it, 503, { 'lectern-reason': 'full', 'retry-after': '6' });
  await it.goto(`${s.stack.url}/watch/demo?path=webrtc`);
  await until(it, { state: 'full' }, 20_000);
  expect(await said(it)).toMatch(/No place at the moment.*tried again in \d s/s);
  await full.undo();
  await until(it, { state: 'live', path: 'webrtc' }, 20_000);
});

test('full for WebRTC: LL-DASH plays, and says so', async () => {
  const it = await page();
  await refusing(it, 503, { 'lectern-reason': 'full', 'retry-after': '6' });
  await it.goto(`${s.stack.url}/watch/demo`);
  await until(it, { state: 'live', path: 'dash' }, 30_000);
  expect(await attributes(it)).toMatchObject({ 'fallback-reason': 'full' });
});

test('refused: says why, in the words of the edge, and asks again', async () => {
  const it = await page();
  const refused = await refusing(it, 403, { 'lectern-reason': 'token', 'retry-after': '5' });
  await it.goto(`${s.stack.url}/watch/demo`);
  await until(it, { state: 'refused' }, 20_000);
  expect(await said(it)).toMatch(/cannot watch this here.*token.*again in \d s/s);
  await refused.undo();
  await until(it, { state: 'live' }, 20_000);
  await untilMoved(it, 30);
});

test('no policy of the page is broken by any of it', async () => {
  const it = await page();
  await it.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      document.documentElement.dataset.broken = `${event.violatedDirective} ${event.blockedURI}`;
    });
  });
  await it.goto(`${s.stack.url}/watch/demo`);
  await until(it, { state: 'live' }, 30_000);
  await it.getByRole('button', { name: 'Settings' }).click();
  await it.getByRole('menuitemcheckbox', { name: 'Statistics' }).click();
  await it.locator('lectern-stats').waitFor();
  expect(await it.evaluate(() => document.documentElement.dataset.broken)).toBeUndefined();
});
