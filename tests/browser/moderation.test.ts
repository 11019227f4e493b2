// Order in the room: what a moderator does, everybody sees; what viewers ask, want and feel, comes
// together; and all of it by the protocol, between two pages of real browsers.

import type { Locator, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { faults } from './axe.ts';
import { until } from './player.ts';
import { scene } from './scene.ts';

/** With what a URL may not hold as it is. */
const KEY = 'the-moderator-of-the-tests';
const MODERATE = `/watch/demo#moderate=${encodeURIComponent(KEY)}`;

const s = scene({ roles: 'all', moderatorKey: KEY, attendance: true });

beforeAll(() => {
  s.stack.startEncoder();
});

function comments(page: Page): Locator {
  return page.locator('lectern-comments');
}

/** A page that shows the broadcast, and has its room. */
async function join(path = '/watch/demo'): Promise<Page> {
  const page = await s.open(path);
  await until(page, { state: 'live' }, 40_000);
  await comments(page).locator('lectern-reactions').waitFor();
  return page;
}

async function moderate(): Promise<Page> {
  const page = await join(MODERATE);
  await comments(page).getByText('You are a moderator').waitFor();
  return page;
}

async function write(page: Page, text: string, how: { question?: boolean } = {}): Promise<void> {
  const name = comments(page).getByRole('textbox', { name: 'Your name' });
  if (await name.isVisible()) await name.fill('Ada');
  const ask = comments(page).getByRole('button', { name: 'Ask as a question' });
  if (how.question) await ask.click();
  const field = comments(page).locator('textarea');
  await field.fill(text);
  await field.press('Enter');
}

function row(page: Page, text: string): Locator {
  return comments(page).locator('.log').getByRole('listitem').filter({ hasText: text });
}

/** Waits for a comment that is among the others, and no longer one's own on its way. */
async function shows(page: Page, text: string): Promise<Locator> {
  const found = row(page, text);
  await found.waitFor({ timeout: 20_000 });
  return found;
}

async function choose(page: Page, text: string, choice: string): Promise<void> {
  await row(page, text)
    .getByRole('button', { name: /^Moderate/ })
    .click();
  await comments(page).getByRole('menuitem', { name: choice }).click();
}

/** Changes what is in force, and closes the settings again. */
async function settle(page: Page, change: (settings: Locator) => Promise<unknown>): Promise<void> {
  await comments(page).getByRole('button', { name: 'Settings' }).click();
  const dialog = comments(page).getByRole('dialog');
  await change(dialog);
  await dialog.getByRole('button', { name: 'Close', exact: true }).click();
}

const settings = {
  closed: (dialog: Locator) => dialog.getByRole('checkbox', { name: /^Close the comments/ }),
  approval: (dialog: Locator) => dialog.getByRole('checkbox', { name: /^Approve comments/ }),
  slow: (dialog: Locator) => dialog.getByRole('combobox', { name: /^Slow mode/ }),
};

describe('a moderator', () => {
  test('is who has the key, which leaves the address', async () => {
    const page = await moderate();
    expect(new URL(page.url()).hash).toBe('');
    await page.reload();
    await comments(page).getByText('You are a moderator').waitFor();
    await write(page, 'from the chair');
    await (await shows(page, 'from the chair')).getByText('Moderator', { exact: true }).waitFor();
  });

  test('is nobody with another key, who can watch and write all the same', async () => {
    const page = await join('/watch/demo#moderate=wrong');
    await comments(page).getByText('not the right one').waitFor();
    await write(page, 'only a viewer');
    const own = await shows(page, 'only a viewer');
    expect(await own.getByRole('button', { name: /^Moderate/ }).count()).toBe(0);
    await page.reload();
    await comments(page).locator('lectern-reactions').waitFor();
    expect(await comments(page).getByText('not the right one').count()).toBe(0);
  });

  test('lets comments be seen, or not', async () => {
    const [viewer, other, host] = [await join(), await join(), await moderate()];
    await settle(host, (dialog) => settings.approval(dialog).check());
    await comments(viewer).getByText('once a moderator has approved them').waitFor();
    await write(viewer, 'may I?');
    await row(viewer, 'may I?').getByText('Waiting for a moderator').waitFor();
    await write(viewer, 'nonsense');
    await comments(host)
      .getByRole('button', { name: /^Waiting/ })
      .click();
    await (await shows(host, 'nonsense')).getByRole('button', { name: 'Reject' }).click();
    await row(host, 'nonsense').waitFor({ state: 'detached' });
    expect(await row(other, 'may I?').count()).toBe(0);
    await (await shows(host, 'may I?')).getByRole('button', { name: 'Approve' }).click();
    await shows(other, 'may I?');
    await row(viewer, 'may I?').getByText('Waiting for a moderator').waitFor({ state: 'detached' });
    expect(await row(other, 'nonsense').count()).toBe(0);
    await settle(host, (dialog) => settings.approval(dialog).uncheck());
  });

  test('pins, and deletes', async () => {
    const [viewer, host] = [await join(), await moderate()];
    await write(viewer, 'the slides are online');
    await shows(host, 'the slides are online');
    await choose(host, 'the slides are online', 'Pin above the others');
    const pinned = comments(viewer).locator('.pinned');
    await pinned.getByText('the slides are online').waitFor();
    await choose(host, 'the slides are online', 'Unpin');
    await pinned.waitFor({ state: 'detached' });
    await choose(host, 'the slides are online', 'Delete');
    await row(viewer, 'the slides are online').waitFor({ state: 'detached' });
  });

  test('blocks a writer, and lets them write again', async () => {
    const [viewer, host] = [await join(), await moderate()];
    await write(viewer, 'spam, spam');
    await shows(host, 'spam, spam');
    await choose(host, 'spam, spam', 'Mute for 10 minutes');
    await comments(host).getByText('is muted for 10 min').waitFor();
    await write(viewer, 'and spam');
    await comments(viewer).getByText('The host has blocked you').first().waitFor();
    await settle(host, async (dialog) => {
      await dialog.getByRole('button', { name: 'Unblock: Ada' }).click();
      await dialog.getByText('Nobody is blocked').waitFor();
    });
    await row(viewer, 'and spam').getByRole('button', { name: 'Try again' }).click();
    await shows(host, 'and spam');
  });

  test('slows the room down, and closes it', async () => {
    const [viewer, host] = [await join(), await moderate()];
    await settle(host, (dialog) => settings.slow(dialog).selectOption('60000'));
    await comments(viewer).getByText('one comment every 1 min').waitFor();
    await write(viewer, 'slowly');
    await shows(host, 'slowly');
    await comments(viewer)
      .getByText(/you can write again in \d+ sec/)
      .waitFor();
    await write(viewer, 'too soon');
    expect(await comments(viewer).locator('textarea').inputValue()).toBe('too soon');
    await settle(host, async (dialog) => {
      await settings.slow(dialog).selectOption('0');
      await settings.closed(dialog).check();
    });
    await comments(viewer).getByText('The host has closed the comments.').waitFor();
    await comments(viewer).locator('textarea').waitFor({ state: 'hidden' });
    await write(host, 'still here');
    await shows(viewer, 'still here');
    await settle(host, (dialog) => settings.closed(dialog).uncheck());
    await comments(viewer).locator('textarea').waitFor();
  });

  test('takes the comments away', async () => {
    const page = await moderate();
    await write(page, '=1+1');
    await shows(page, '=1+1');
    await comments(page).getByRole('button', { name: 'Settings' }).click();
    const download = page.waitForEvent('download');
    await comments(page).getByRole('button', { name: 'CSV' }).click();
    expect((await download).suggestedFilename()).toMatch(/^demo-comments-.*\.csv$/);
  });

  test.each(['light', 'dark'] as const)('has a page for all, %s', async (colorScheme) => {
    const page = await moderate();
    await page.emulateMedia({ colorScheme });
    const question = `is it ${colorScheme}?`;
    await write(page, question, { question: true });
    await shows(page, question);
    expect(await faults(page), 'the list').toEqual([]);
    await row(page, question)
      .getByRole('button', { name: /^Moderate/ })
      .last()
      .click();
    await comments(page).getByRole('menu').waitFor();
    expect(await faults(page), 'the menu').toEqual([]);
    await page.keyboard.press('Escape');
    await comments(page)
      .getByRole('button', { name: /^Questions/ })
      .click();
    expect(await faults(page), 'questions').toEqual([]);
    await comments(page).getByRole('button', { name: 'Settings' }).click();
    await comments(page).getByRole('dialog').waitFor();
    expect(await faults(page), 'settings').toEqual([]);
  });
});

describe('viewers', () => {
  test('ask, and say which questions they want answered', async () => {
    const [one, two, host] = [await join(), await join(), await moderate()];
    await write(one, 'first question?', { question: true });
    await shows(two, 'first question?');
    await write(two, 'second question?', { question: true });
    await shows(host, 'second question?');
    await comments(host)
      .getByRole('button', { name: /^Questions/ })
      .click();
    const questions = comments(host).locator('lectern-questions').getByRole('listitem');
    const vote = (page: Page) =>
      row(page, 'second question?').getByRole('button', { name: /answered too/ });
    await vote(one).click();
    await vote(two).click();
    await questions
      .filter({ hasText: 'second' })
      .getByRole('button', { name: /2 votes/ })
      .waitFor();
    const texts = async () =>
      (await questions.allInnerTexts()).filter((text) => /(first|second) q/.test(text));
    await expect
      .poll(texts, { timeout: 10_000 })
      .toEqual([expect.stringContaining('second'), expect.stringContaining('first')]);
    await vote(one).click();
    await questions
      .filter({ hasText: 'second' })
      .getByRole('button', { name: /1 vote$/ })
      .waitFor();
    // A browser remembers for what it voted.
    await two.reload();
    await shows(two, 'second question?');
    expect(await vote(two).getAttribute('aria-pressed')).toBe('true');
    await questions
      .filter({ hasText: 'second' })
      .getByRole('button', { name: /^Moderate/ })
      .click();
    await comments(host).getByRole('menuitem', { name: 'Mark as answered' }).click();
    await row(one, 'second question?').getByText('Answered').waitFor();
  });

  test('see what the others feel', async () => {
    const [one, two] = [await join(), await join()];
    const clap = (page: Page) => comments(page).getByRole('button', { name: 'React with 👏' });
    await clap(one).click();
    await clap(one).getByText('1').waitFor();
    await clap(two).getByText('1').waitFor({ timeout: 10_000 });
    // One's own is not told again.
    expect(await clap(one).innerText()).toContain('1');
  });

  test('are counted', async () => {
    const one = await join();
    const two = await join();
    const count = (page: Page, viewers: string) =>
      comments(page).getByText(viewers, { exact: true }).waitFor({ timeout: 60_000 });
    await count(one, '2 viewers');
    await count(two, '2 viewers');
    await two.close();
    await count(one, '1 viewer');
  });

  test('are told that a list is kept, and are on it if they want to be', async () => {
    const page = await join();
    const list = comments(page).locator('lectern-attendance');
    await list.getByText('keeps an attendance list').waitFor();
    await list.getByRole('button', { name: 'Put me on it' }).click();
    await list.getByRole('textbox', { name: 'Your name' }).fill('Ada Lovelace');
    await list.getByRole('button', { name: 'Put me on it' }).click();
    await list.getByText('as Ada Lovelace').waitFor();
    await list.getByRole('button', { name: 'Take me off' }).click();
    await list.getByRole('button', { name: 'Put me on it' }).waitFor();
  });
});
