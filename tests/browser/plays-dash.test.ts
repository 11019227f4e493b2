// The watch page plays LL-DASH when told to.

import { test } from 'vitest';
import { plays } from './plays.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

test('plays by LL-DASH: picture, sound, and a true latency', async () => {
  await plays(await s.open('/watch/demo?path=dash'), 'dash', 6_000);
});
