// WCAG 2.2 AA as far as a machine can check it: the pages in the states that people meet, wide and on
// a phone, light and dark.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { faults } from './axe.ts';
import { until } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** What can be pressed and is smaller than WCAG 2.2 §2.5.8 allows, wherever in the player it is. */
function small(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    const look = (root: ParentNode) => {
      for (const element of root.querySelectorAll('*')) {
        if (element.shadowRoot) look(element.shadowRoot);
        const pressed = element.matches('button, a[href], input, [role=button], summary');
        const { width, height } = element.getBoundingClientRect();
        if (!pressed || width === 0 || !element.checkVisibility()) continue;
        if (Math.min(width, height) < 24) found.push(`${element.outerHTML} ${width} × ${height}`);
      }
    };
    const player = document.querySelector('lectern-player')?.shadowRoot;
    if (player) look(player);
    return found;
  });
}

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
    await live.getByRole('button', { name: 'Settings' }).click();
    await live.getByRole('menu').waitFor();
    expect(await faults(live), 'menu').toEqual([]);
    await live.getByRole('menuitemcheckbox', { name: 'Statistics' }).click();
    await live.locator('lectern-stats').waitFor();
    await live.waitForFunction(() => (document.querySelector('lectern-player')?.windowMs ?? 0) > 0);
    await live.evaluate(() => document.querySelector('lectern-player')?.goBack(10_000));
    await live.waitForFunction(() =>
      document.querySelector('lectern-player')?.hasAttribute('behind-ms'),
    );
    expect(await faults(live), 'back, with the statistics').toEqual([]);
    expect(await small(live), 'targets of less than 24 px').toEqual([]);
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
