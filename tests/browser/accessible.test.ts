// WCAG 2.2 AA as far as a machine can check it: the pages in the states that people meet, wide and on
// a phone, light and dark.

import { expect, test } from 'vitest';
import { faults } from './axe.ts';
import { until } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

const LOOKS = [
  { name: 'wide, light', width: 1280, height: 800, colorScheme: 'light' },
  { name: 'phone, dark', width: 390, height: 844, colorScheme: 'dark' },
] as const;

test.each(LOOKS)(
  '$name',
  async ({ width, height, colorScheme }) => {
    const look = async (path: string) => {
      const page = await s.open(path);
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      return page;
    };
    const live = await look('/watch/demo?path=dash');
    await until(live, { state: 'live' }, 30_000);
    expect(await faults(live), 'live').toEqual([]);
    const unknown = await look('/watch/nobody');
    await until(unknown, { state: 'unknown' }, 30_000);
    expect(await faults(unknown), 'unknown').toEqual([]);
    const lobby = await look('/');
    await lobby.getByText('demo').waitFor();
    expect(await faults(lobby), 'lobby').toEqual([]);
    const embed = await look('/embed/demo');
    await until(embed, { state: 'live' }, 30_000);
    expect(await faults(embed), 'embed').toEqual([]);
  },
  120_000,
);
