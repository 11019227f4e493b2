// A viewer who does nothing sees the broadcast again after the encoder, the edge or the origin has
// died and come back.

import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { until, untilMoved, untilNot } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'split' });

/** A page that plays, marked so that a reload would show. */
async function playing(): Promise<Page> {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await untilMoved(page, 30);
  await page.evaluate(() => document.documentElement.setAttribute('data-opened', 'once'));
  return page;
}

async function playsAgain(page: Page): Promise<void> {
  await until(page, { state: 'live' }, 60_000);
  await untilMoved(page, 60);
  expect(await page.evaluate(() => document.documentElement.dataset.opened)).toBe('once');
}

beforeAll(() => s.stack.startEncoder());

test('the encoder', async () => {
  const page = await playing();
  await s.stack.stopEncoder();
  await until(page, { state: 'paused' }, 30_000);
  s.stack.startEncoder();
  await playsAgain(page);
  // The session stood all the while: an encoder's restart is no reason to change the path.
  await until(page, { path: 'webrtc' });
}, 180_000);

test('the edge', async () => {
  const page = await playing();
  await s.stack.stopRole('edge');
  await until(page, { state: 'reconnecting' }, 30_000);
  await s.stack.startRole('edge');
  await playsAgain(page);
}, 180_000);

test('the origin, and the encoder with it', async () => {
  const page = await playing();
  await s.stack.stopRole('origin');
  await s.stack.stopEncoder();
  await untilNot(page, 'live', 30_000);
  await s.stack.startRole('origin');
  s.stack.startEncoder();
  await playsAgain(page);
}, 180_000);
