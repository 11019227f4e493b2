// A broadcast without a picture is heard on every path, and the page says that there is none.

import { beforeAll, expect, test } from 'vitest';
import { PATHS } from '../../web/src/ladder.ts';
import { peakLevel, until } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', broadcasts: ['sound'] });
beforeAll(() => s.stack.startEncoder({ broadcast: 'sound', video: false }));

test.each(PATHS)('by %s', async (path) => {
  const page = await s.open(`/watch/sound?path=${path}`);
  await until(page, { state: 'live', path }, 30_000);
  expect(await peakLevel(page, 2_500), 'loudest moment').toBeGreaterThan(0.01);
  expect(await page.getByText('Sound only').isVisible()).toBe(true);
});
