// Who is asked to register answers in the place of the picture, and then has the picture, now and when they
// come again; on the watch page and in a player that another site embeds.

import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { faults } from './axe.ts';
import { until, untilMoved } from './player.ts';
import { scene } from './scene.ts';
import { site } from './site.ts';

const s = scene({ roles: 'all', broadcasts: [] });

const FORM = {
  notice: 'We write to you once, with the script.\nThen your answers are deleted.',
  fields: [
    { name: 'full-name', label: 'Your name', kind: 'text', required: true },
    { name: 'mail', label: 'E-mail', kind: 'email' },
    { name: 'year', label: 'Year', kind: 'select', required: true, options: ['First', 'Second'] },
    {
      name: 'terms',
      label: 'I know that my answers are kept for a week',
      kind: 'checkbox',
      required: true,
    },
  ],
};

/** What the host asks of the API, with the cookie of the first account. */
let api: (method: string, path: string, body?: object) => Promise<Response>;

beforeAll(async () => {
  const token = new URL(s.stack.setupLink).hash.replace('#setup=', '');
  let cookie = '';
  api = async (method, path, body) => {
    const headers = { 'Content-Type': 'application/json', cookie };
    const asked = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    const answer = await fetch(`${s.stack.url}/api/v1${path}`, asked);
    expect(answer.ok, `${method} ${path}: ${answer.status}`).toBe(true);
    return answer;
  };
  const account = { token, login: 'ada', name: 'Ada', password: 'correct horse battery' };
  const made = await api('POST', '/setup', account);
  cookie = made.headers.get('set-cookie')?.split(';')[0] ?? '';
  for (const id of ['talk', 'other']) {
    const registration = id === 'talk' ? FORM : { notice: null, fields: [] };
    await api('POST', '/broadcasts', { id, title: 'Linear algebra', registration });
    const key = (await (await api('POST', `/broadcasts/${id}/keys`, {})).json()).key;
    s.stack.startEncoder({ broadcast: id, key });
  }
});

const form = (page: Page) => page.locator('lectern-registration form');

/** Where the pictures of the form are kept, for whoever looks at them. */
async function picture(page: Page, name: string): Promise<void> {
  const dir = process.env.LECTERN_SCREENSHOTS;
  if (dir) await page.screenshot({ path: join(dir, `registration-${name}.png`), fullPage: true });
}

test('by keyboard: what is missing is said, and the picture comes without a reload', async () => {
  const page = await s.open('/watch/talk');
  await form(page).waitFor();
  await until(page, { state: 'registering' });
  expect(await page.locator('lectern-comments').count()).toBe(0);
  await form(page).getByText('Linear algebra').waitFor();
  await form(page).getByText('with the script').waitFor();
  expect(await faults(page), 'form').toEqual([]);
  const name = form(page).getByLabel('Your name');
  expect(await name.getAttribute('autocomplete')).toBe('name');
  // Nothing is typed for the viewer, and no key of the player's is in the way.
  await name.focus();
  await page.keyboard.press('Enter');
  await expect.poll(() => name.getAttribute('aria-invalid')).toBe('true');
  expect(await form(page).getByText('Please answer this.').count()).toBe(3);
  const focused = () =>
    page.evaluate(() => {
      const inner = document.querySelector('lectern-player')?.shadowRoot?.activeElement;
      return inner?.shadowRoot?.activeElement?.getAttribute('name');
    });
  expect(await focused()).toBe('full-name');
  expect(await faults(page), 'faults').toEqual([]);
  await picture(page, 'faults');
  await page.keyboard.type('Mika Folk');
  expect(await name.inputValue()).toBe('Mika Folk');
  expect(await form(page).getByText('Please answer this.').count()).toBe(2);
  await page.keyboard.press('Tab');
  await page.keyboard.type('mika@uni');
  await page.keyboard.press('Tab');
  await page.keyboard.type('Sec');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await form(page).getByText('name@example.org').waitFor();
  await expect.poll(focused).toBe('mail');
  await page.keyboard.type('.example');
  await page.keyboard.press('Enter');
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await untilMoved(page, 10);
  expect(await form(page).count()).toBe(0);
  await page.locator('lectern-comments').getByText('No comments yet').waitFor();
  const file = await (await api('GET', '/broadcasts/talk/registrations.csv')).text();
  expect(file).toMatch(/Z,Mika Folk,mika@uni\.example,Second,yes\r\n$/);
  // The tab has kept it; and without that, the browser has.
  await page.reload();
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await page.evaluate(() => sessionStorage.clear());
  await page.goto(`${s.stack.url}/watch/talk?path=hls`);
  await until(page, { state: 'live', path: 'hls' }, 30_000);
  expect(await form(page).count()).toBe(0);
}, 120_000);

test('an edge that is lost for a while takes nothing away of what was typed', async () => {
  const page = await s.open('/watch/talk');
  const name = form(page).getByLabel('Your name');
  await name.fill('Ada');
  await form(page).getByLabel('Year').selectOption('First');
  await form(page).getByRole('checkbox').check();
  await page.route('**/registration', (route) => route.abort());
  await form(page).getByRole('button').click();
  await form(page).getByText('That did not work just now').waitFor();
  expect(await faults(page), 'trouble').toEqual([]);
  await page.unroute('**/registration');
  // It is stored, and the answer is lost; what else came with it as well.
  let lost = false;
  await page.route('**/registration', async (route) => {
    const body = route.request().postData() ?? '';
    const stored = await fetch(route.request().url(), { method: 'POST', body });
    expect(stored.status).toBe(200);
    await route.abort();
    lost = true;
  });
  const rows = async () =>
    (await (await api('GET', '/broadcasts/talk/registrations.csv')).text()).split('\r\n').length;
  const before = await rows();
  await form(page).getByRole('button').click();
  await expect.poll(() => lost).toBe(true);
  expect(await rows()).toBe(before + 1);
  await page.unroute('**/registration');
  expect(await name.inputValue()).toBe('Ada');
  await expect.poll(() => form(page).getByRole('button').isEnabled()).toBe(true);
  await form(page).getByRole('button').click();
  await until(page, { state: 'live' }, 30_000);
  expect(await rows()).toBe(before + 1);
}, 90_000);

test('a player on another site asks as well, also for nothing but a click', async () => {
  const edge = s.stack.url;
  const body = `<!doctype html><title>Other</title>
    <script type="module" src="${edge}/player.js"></script>
    <lectern-player src="${edge}/live/other" pin="dash" lang="de"></lectern-player>`;
  const page = await s.open('/');
  await page.goto(await site(body));
  await form(page).getByRole('button', { name: 'Ansehen' }).click();
  await until(page, { state: 'live', path: 'dash' }, 30_000);
  await untilMoved(page, 10);
  await page.reload();
  await until(page, { state: 'live', path: 'dash' }, 30_000);
}, 90_000);

const LOOKS = [
  { name: 'wide-light', width: 1280, height: 800, colorScheme: 'light', path: '/watch/talk' },
  { name: 'wide-dark', width: 1280, height: 800, colorScheme: 'dark', path: '/watch/talk' },
  { name: 'phone-dark', width: 390, height: 844, colorScheme: 'dark', path: '/watch/talk' },
  { name: 'phone-light', width: 390, height: 844, colorScheme: 'light', path: '/watch/talk' },
  { name: 'embed-dark', width: 640, height: 360, colorScheme: 'dark', path: '/embed/talk' },
] as const;

test.each(LOOKS)('$name', async ({ name, width, height, colorScheme, path }) => {
  const page = await s.open(path);
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme });
  await form(page).waitFor();
  await form(page).getByLabel('Your name').waitFor();
  expect(await faults(page), 'form').toEqual([]);
  await picture(page, name);
  await form(page).getByRole('button').click();
  expect(await faults(page), 'faults').toEqual([]);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(width);
  // All of it can be reached, also where there is little room.
  await form(page).getByRole('button').scrollIntoViewIfNeeded();
  await expect.poll(() => form(page).getByRole('button').isVisible()).toBe(true);
});
