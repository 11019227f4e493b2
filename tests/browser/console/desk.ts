// What a host does at the console, by the words that stand there: the same against the fake and against a
// real origin.

import type { Locator, Page } from 'playwright-core';

export class Desk {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name, exact: typeof name === 'string' });
  }

  heading(name: string | RegExp): Locator {
    return this.page.getByRole('heading', { name });
  }

  field(label: string): Locator {
    return this.page.getByLabel(label, { exact: true });
  }

  /** Goes to a route of the console. */
  async go(route: string): Promise<void> {
    await this.page.evaluate((hash) => {
      location.hash = hash;
    }, `#${route}`);
  }

  async setUp(name: string, login: string, password: string): Promise<void> {
    await this.field('Your name').fill(name);
    await this.field('Login').fill(login);
    await this.field('Password').fill(password);
    await this.button('Create the account').click();
    await this.heading('New broadcast').waitFor();
  }

  async signIn(login: string, password: string): Promise<void> {
    await this.field('Login').fill(login);
    await this.field('Password').fill(password);
    await this.field('Password').press('Enter');
  }

  async create(title: string): Promise<void> {
    await this.field('Title').fill(title);
    await this.button('Create and go live').click();
    await this.heading('How do you send?').waitFor();
  }

  /** Makes a stream key on the page of instructions, and reads it. */
  async makeKey(): Promise<string> {
    await this.button('Make a stream key').click();
    return this.field('Stream key').inputValue();
  }

  /** A point of the checklist, once it is in this state. */
  async check(name: string, state: 'done' | 'not yet' | 'needs your attention'): Promise<void> {
    await this.page
      .getByRole('status')
      .filter({ hasText: `${name}: ${state}` })
      .waitFor();
  }

  /** Answers the question that is asked. */
  async answer(action: string): Promise<void> {
    await this.page.getByRole('alertdialog').getByRole('button', { name: action }).click();
  }
}
