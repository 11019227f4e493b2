// An edge knows how many watch, by path: each viewer once, while they watch and no longer.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { Path } from '../../web/src/ladder.ts';
import { cut, metrics } from './harness.ts';
import { until, untilMoved } from './player.ts';
import { Stage } from './players/stage.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** After this it counts who has come or left; others' players at the latest. */
const SOON_MS = 5_000;
const ASKING_MS = 40_000;

/** How many watch by each path. */
async function viewers(): Promise<Record<Path, number>> {
  const text = await metrics(s.stack.ports.edgeOps);
  const of = (path: Path) =>
    Number(new RegExp(`^lectern_edge_viewers\\{path="${path}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
  return { webrtc: of('webrtc'), dash: of('dash'), hls: of('hls') };
}

/** Waits for these numbers. */
function untilThere(webrtc: number, dash: number, hls: number, timeout = SOON_MS): Promise<void> {
  return expect.poll(viewers, { timeout, interval: 250 }).toEqual({ webrtc, dash, hls });
}

/** For a while it is these numbers, every time that one looks. */
async function stays(webrtc: number, dash: number, hls: number, ms: number): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    expect(await viewers()).toEqual({ webrtc, dash, hls });
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function playing(path: Path, address = `/watch/demo?path=${path}`): Promise<Page> {
  const page = await s.open(address);
  await until(page, { state: 'live', path }, 30_000);
  return page;
}

test('three viewers on three paths are one each, until each has left', async () => {
  const webrtc = await playing('webrtc');
  const dash = await playing('dash');
  const hls = await playing('hls');
  await untilThere(1, 1, 1);
  // Longer than it takes to be taken for a player that does not report.
  await stays(1, 1, 1, 20_000);
  await dash.close();
  await untilThere(1, 0, 1);
  await hls.evaluate(() => document.querySelector('lectern-player')?.remove());
  await untilThere(1, 0, 0);
  await webrtc.goto('about:blank');
  await untilThere(0, 0, 0);
  await stays(0, 0, 0, 3_000);
}, 120_000);

test('who goes over to another path is one viewer still', async () => {
  const page = await playing('webrtc', '/watch/demo');
  await untilMoved(page, 30);
  await untilThere(1, 0, 0);
  const blocked = await cut(s.stack.ports.media, ['udp', 'tcp']);
  try {
    await until(page, { state: 'live', path: 'dash' }, 40_000);
    await untilThere(0, 1, 0);
  } finally {
    await blocked.undo();
  }
  await until(page, { state: 'live', path: 'webrtc' }, 60_000);
  await untilThere(1, 0, 0);
  await stays(1, 0, 0, 3_000);
  await page.close();
  await untilThere(0, 0, 0);
}, 180_000);

test("others' players are counted by the media that they ask for", async () => {
  const page = await s.open('/time');
  const player = 'hlsjs';
  await page.addScriptTag({ path: Stage.library(player) });
  await page.evaluate(() => {
    const video = document.body.appendChild(document.createElement('video'));
    video.muted = true;
    const hls = new window.Hls({ lowLatencyMode: true });
    hls.loadSource('/live/demo/index.m3u8');
    hls.attachMedia(video);
    void video.play();
  });
  await untilThere(0, 0, 1, ASKING_MS);
  // Nobody can tell it from one of ours with the same address and browser, which says so itself.
  const ours = await playing('hls');
  await stays(0, 0, 1, 3_000);
  await ours.close();
  await page.close();
  await untilThere(0, 0, 0, ASKING_MS);
}, 120_000);
