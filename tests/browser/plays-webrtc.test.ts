// The watch page plays by WebRTC, with no help and nothing pinned.

import { expect, test } from 'vitest';
import { attributes } from './player.ts';
import { plays } from './plays.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

test('plays by WebRTC: picture, sound, and a true latency', async () => {
  const page = await s.open('/watch/demo');
  await plays(page, 'webrtc', 2_000);
  expect(await attributes(page)).not.toHaveProperty('fallback-reason');
});

test('the embed page plays too', async () => {
  await plays(await s.open('/embed/demo'), 'webrtc', 2_000);
});
