// Where WebRTC cannot get through, LL-DASH plays by itself and the page says why; where it can
// again, WebRTC comes back.

import { expect, test } from 'vitest';
import { cut } from './harness.ts';
import { attributes, until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

test('no media port from the start: LL-DASH plays, and the reason is shown', async () => {
  const blocked = await cut(s.stack.ports.media, ['udp', 'tcp']);
  try {
    const page = await s.open('/watch/demo');
    await until(page, { state: 'live', path: 'dash' }, 30_000);
    await untilMoved(page, 30);
    expect((await attributes(page))['fallback-reason']).toBe('no-connection');
    await page.getByText('Why not WebRTC?').click();
    expect(await page.getByText('blocks its port').isVisible()).toBe(true);
  } finally {
    await blocked.undo();
  }
});

test('the media port lost in the middle: LL-DASH takes over; port back: so is WebRTC', async () => {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live', path: 'webrtc' });
  await untilMoved(page, 30);
  const blocked = await cut(s.stack.ports.media, ['udp', 'tcp']);
  try {
    await until(page, { state: 'live', path: 'dash' }, 40_000);
    await untilMoved(page, 30);
  } finally {
    await blocked.undo();
  }
  await until(page, { state: 'live', path: 'webrtc' }, 60_000);
  await untilMoved(page, 30);
  expect(await attributes(page)).not.toHaveProperty('fallback-reason');
}, 180_000);

test('no WebRTC, and a manifest that cannot be read: LL-HLS plays', async () => {
  const page = await s.open('/', ['RTCPeerConnection']);
  await page.route('**/manifest.mpd', (route) => route.fulfill({ body: 'no manifest' }));
  await page.goto(`${s.stack.url}/watch/demo`);
  await until(page, { state: 'live', path: 'hls' }, 40_000);
  await untilMoved(page, 30);
  expect((await attributes(page))['fallback-reason']).toBe('webrtc-unsupported');
  const source = () => document.querySelector('lectern-player')?.video?.src;
  expect(await page.evaluate(source), 'fed by hls.js').toMatch(/^blob:/);
}, 120_000);
