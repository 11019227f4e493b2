// A start from the cache leaves no mark: the browser's own figures show an even picture and a small
// jitter buffer.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { until } from './player.ts';
import { receivedVideo } from './rtc.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** How long the picture must be even. */
const STRETCH_MS = 10_000;
/** A busy machine freezes a picture by itself; it is not busy for all of these. */
const STRETCHES_MAX = 5;
const JITTER_BUFFER_MS_MAX = 50;

test('no freeze, and a jitter buffer under 50 ms', async () => {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  const seen = [];
  for (let stretch = 0; stretch < STRETCHES_MAX; stretch++) {
    const before = await receivedVideo(page);
    await sleep(STRETCH_MS);
    const after = await receivedVideo(page);
    const frames = after.emitted - before.emitted;
    const found = {
      freezes: after.freezes - before.freezes,
      frames,
      jitterBufferMs: Math.round(((after.minimumDelayS - before.minimumDelayS) / frames) * 1e3),
      withLipSyncMs: Math.round(((after.delayS - before.delayS) / frames) * 1e3),
    };
    seen.push(found);
    if (frames > 0 && found.freezes === 0 && found.jitterBufferMs < JITTER_BUFFER_MS_MAX) {
      console.info(found);
      return;
    }
  }
  expect.fail(`never healthy for ${STRETCH_MS} ms: ${JSON.stringify(seen)}`);
}, 120_000);
