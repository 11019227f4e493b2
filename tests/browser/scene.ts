// A stack and a browser for the tests of one file, cleaned up after it, with everything they said
// printed if a test failed.

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { launch, Stack, type StackOptions, watch } from './harness.ts';

export interface Scene {
  readonly stack: Stack;
  /** Opens a page of the stack, closed after the test, in a browser without these globals. */
  open(path: string, without?: readonly string[]): Promise<Page>;
}

export function scene(options: StackOptions, browserArguments: readonly string[] = []): Scene {
  let stack: Stack | undefined;
  let browser: Browser | undefined;
  let pages: { page: Page; console: string[] }[] = [];

  beforeAll(async () => {
    stack = await Stack.start(options);
    browser = await launch(browserArguments);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') {
      for (const { console: lines } of pages) console.error(`--- page ---\n${lines.join('\n')}`);
      console.error(stack?.logs());
    }
    for (const { page } of pages) await page.close();
    pages = [];
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });

  return {
    get stack() {
      if (!stack) throw new Error('the stack has not been started');
      return stack;
    },
    async open(path, without) {
      if (!browser || !stack) throw new Error('the browser has not been started');
      const opened = await watch(browser, stack.url + path, without);
      pages.push(opened);
      return opened.page;
    },
  };
}
