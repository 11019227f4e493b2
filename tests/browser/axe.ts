// WCAG 2.2 AA as far as a machine can check it.

import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { webRequire } from './harness.ts';

/** Rules of WCAG up to 2.2 AA, and nothing that is a matter of taste. */
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** Waits until nothing fades or moves any more that will come to an end: half faded in is no state to judge. */
async function settled(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const moves = (animation: Animation) =>
      animation.playState === 'running' &&
      Number.isFinite(Number(animation.effect?.getComputedTiming().endTime));
    const still = (root: Document | ShadowRoot): boolean =>
      !root.getAnimations().some(moves) &&
      [...root.querySelectorAll('*')].every(({ shadowRoot }) => !shadowRoot || still(shadowRoot));
    return still(document);
  });
}

/** What is wrong with a page, in lines that say what and where. */
export async function faults(page: Page): Promise<string[]> {
  await settled(page);
  // As a debugger would: the page's own policy lets no script of others in.
  await page.evaluate(await readFile(webRequire.resolve('axe-core/axe.min.js'), 'utf8'));
  return page.evaluate(async (tags) => {
    interface Node {
      readonly target: readonly unknown[];
      readonly failureSummary?: string;
    }
    interface Violation {
      readonly id: string;
      readonly nodes: readonly Node[];
    }
    const axe = Reflect.get(globalThis, 'axe');
    const found = await axe.run(document, { runOnly: { type: 'tag', values: tags } });
    const lines = ({ id, nodes }: Violation) =>
      nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary}`);
    return found.violations.flatMap(lines);
  }, TAGS);
}
