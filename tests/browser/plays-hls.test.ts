// The watch page plays LL-HLS when told to, and by itself where a browser can do nothing else.

import { expect, test } from 'vitest';
import { metrics } from './harness.ts';
import { attributes, until, untilMoved } from './player.ts';
import { plays } from './plays.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

test('plays by LL-HLS: picture, sound, and a true latency', async () => {
  await plays(await s.open('/watch/demo?path=hls'), 'hls', 6_000);
});

test('without WebRTC and Media Source Extensions the browser plays HLS by itself', async () => {
  const mse = ['MediaSource', 'ManagedMediaSource', 'WebKitMediaSource'];
  const page = await s.open('/watch/demo', ['RTCPeerConnection', ...mse]);
  await until(page, { state: 'live', path: 'hls' }, 60_000);
  await untilMoved(page, 30);
  expect((await attributes(page))['fallback-reason']).toBe('webrtc-unsupported');
  const source = () => document.querySelector('lectern-player')?.video?.src;
  expect(await page.evaluate(source), 'given to the browser as it is').toMatch(/index\.m3u8$/);
});

test('what viewers see is in the metrics of their edge', async () => {
  const page = await s.open('/watch/demo?path=webrtc');
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await untilMoved(page, 60);
  // Leaving sends what has not been said.
  await page.goto('about:blank');
  const told = /^lectern_viewer_startup_seconds_count\{path="webrtc-udp"\} [1-9]/m;
  await expect.poll(() => metrics(s.stack.ports.edgeOps), { timeout: 15_000 }).toMatch(told);
});
