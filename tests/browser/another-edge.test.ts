// An edge that dies, hears no origin any more or is about to stop costs its viewers a moment at most: they
// play on from another, without a reload, and of one that stops in order without a gap.

import type { Page } from 'playwright-core';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import type { Path } from '../../web/src/ladder.ts';
import { attributes, until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'split', twoEdges: true });

/** From the death of an edge to a moving picture of the other, on a machine that is busy. */
const AWAY_MS_MAX = 12_000;
/** And from where an edge hears nothing any more, which it and then the player have to notice first. */
const CUT_OFF_MS_MAX = 25_000;

beforeAll(() => s.stack.startEncoder());

/** What the tests before have stopped is there again. */
let stopped = false;
beforeEach(async () => {
  if (stopped) await s.stack.startRole('edge');
  stopped = false;
});

/** A page that plays from the first edge and knows of the other, marked so that a reload would show. */
async function playing(path: Path): Promise<Page> {
  const page = await s.open(`/watch/demo${path === 'webrtc' ? '' : `?path=${path}`}`);
  await until(page, { state: 'live', path }, 30_000);
  await untilMoved(page, 30);
  await page.evaluate(() => {
    const player = document.querySelector('lectern-player');
    document.documentElement.dataset.opened = 'once';
    const seen = new MutationObserver(() => {
      if (player?.state !== 'live') document.documentElement.dataset.gap = player?.state;
    });
    if (player) seen.observe(player, { attributeFilter: ['state'] });
  });
  return page;
}

async function playsFromTheOther(page: Page, path: Path, timeout: number): Promise<void> {
  const other = `http://127.0.0.1:${s.stack.ports.http2}/live/demo`;
  const moved = (src: string) => document.querySelector('lectern-player')?.src === src;
  await page.waitForFunction(moved, other, { timeout });
  await until(page, { state: 'live', path }, timeout);
  await untilMoved(page, 60, timeout);
  expect(await page.evaluate(() => document.documentElement.dataset.opened)).toBe('once');
}

test.each(['webrtc', 'dash', 'hls'] as const)(
  'killed, on %s',
  async (path) => {
    const page = await playing(path);
    stopped = true;
    await s.stack.stopRole('edge', 'SIGKILL');
    const from = Date.now();
    await playsFromTheOther(page, path, AWAY_MS_MAX);
    console.info(`${path}: two seconds of the other edge's picture ${Date.now() - from} ms later`);
  },
  120_000,
);

test.each(['webrtc', 'dash', 'hls'] as const)(
  'cut off from the origin, on %s',
  async (path) => {
    const page = await playing(path);
    s.stack.link.cut();
    try {
      await playsFromTheOther(page, path, CUT_OFF_MS_MAX);
    } finally {
      s.stack.link.mend();
    }
    // It hears of everything again before the next test asks it.
    const heard = () => fetch(`${s.stack.url}/live/demo`).then((answer) => answer.json());
    await expect.poll(heard, { timeout: 30_000 }).toMatchObject({ state: 'live' });
    await expect.poll(heard).not.toHaveProperty('cut_off');
  },
  120_000,
);

test.each(['webrtc', 'dash'] as const)(
  'asked to stop, on %s: no gap',
  async (path) => {
    const page = await playing(path);
    stopped = true;
    s.stack.askRole('edge');
    // Whoever comes now is sent on: there is nothing to wait for here.
    const offer = { method: 'POST', body: 'v=0', headers: { 'Content-Type': 'application/sdp' } };
    await expect
      .poll(async () =>
        (await fetch(`${s.stack.url}/whep/demo`, offer)).headers.get('lectern-reason'),
      )
      .toBe('draining');
    await playsFromTheOther(page, path, 20_000);
    expect(await page.evaluate(() => document.documentElement.dataset.gap)).toBeUndefined();
    expect(await attributes(page)).not.toHaveProperty('fallback-reason');
    await s.stack.stopRole('edge', 'SIGKILL');
  },
  120_000,
);
