// A viewer who does nothing sees the broadcast again after the encoder, the edge or the origin has
// died and come back.

import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import type { Path } from '../../web/src/ladder.ts';
import { until, untilMoved, untilNot } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'split' });

/** A page that plays, marked so that a reload would show. */
async function playing(path: Path = 'webrtc'): Promise<Page> {
  const page = await s.open(`/watch/demo${path === 'webrtc' ? '' : `?path=${path}`}`);
  await until(page, { state: 'live', path }, 30_000);
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

// It was killed, and does not know how far it had come: over HLS the sequence does not go on.
test.each(['webrtc', 'dash', 'hls'] as const)(
  'the origin, and the encoder with it, on %s',
  async (path) => {
    const page = await playing(path);
    await s.stack.stopRole('origin');
    await s.stack.stopEncoder();
    await untilNot(page, 'live', 30_000);
    await s.stack.startRole('origin');
    s.stack.startEncoder();
    const from = Date.now();
    await playsAgain(page);
    await until(page, { path });
    console.info(
      `${path}: two seconds of picture ${Date.now() - from} ms after the origin was back`,
    );
  },
  180_000,
);
