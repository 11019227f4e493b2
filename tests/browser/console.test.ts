// The console over an API in memory: a host is live within a minute and knows that it works; nothing that
// was written is lost; and each view is for everybody.

import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { faults } from './axe.ts';
import { Desk } from './console/desk.ts';
import { Document } from './console/document.ts';
import { Fake, type FakeOptions, PASSWORD, SETUP_TOKEN } from './console/fake.ts';
import { B_FRAMES, DROP, furnish, liveOf, QUIET, UNKNOWN } from './console/fixtures.ts';
import { receive } from './console/whip.ts';
import { launch } from './harness.ts';

let browser: Browser;
let document_: Document;
let fake: Fake;
let contexts: BrowserContext[] = [];
let lines: string[] = [];

beforeAll(async () => {
  document_ = await Document.ask();
  browser = await launch([
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    // Names in place of addresses would be asked of a network that tests do not have.
    '--disable-features=WebRtcHideLocalIpsWithMdns',
  ]);
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.error(lines.join('\n'));
  lines = [];
  for (const context of contexts) await context.close();
  contexts = [];
  await fake.stop();
  expect(fake.strange, 'said by the fake alone').toEqual([]);
});
afterAll(() => browser.close());

async function start(options: FakeOptions = {}): Promise<void> {
  fake = await new Fake({ document: document_, ...options }).start();
}

async function open(path: string, options: BrowserContextOptions = {}): Promise<Desk> {
  const viewport = { width: 1280, height: 860 };
  const context = await browser.newContext({ viewport, locale: 'en', ...options });
  contexts.push(context);
  const page = await context.newPage();
  page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => lines.push(`uncaught: ${error.message}`));
  await page.goto(fake.url + path);
  return new Desk(page);
}

/** Somebody is signed in, and looks at a route. */
async function enter(route = '/', options: BrowserContextOptions = {}): Promise<Desk> {
  const desk = await open(`/console#${route}`, options);
  await desk.signIn('ada', PASSWORD);
  await desk.button('Sign out').waitFor();
  return desk;
}

/** What went wrong in the page itself, or was forbidden to it. */
const errors = () => lines.filter((line) => /^uncaught: |Content Security Policy/.test(line));

describe('a host', () => {
  test('is live a minute after the set-up, and sees what is wrong', async () => {
    await start({ fresh: true });
    const desk = await open(`/console#setup=${SETUP_TOKEN}`);
    await desk.setUp('Ada Lovelace', 'ada', PASSWORD);
    await desk.field('Title').fill('Größe & Maß');
    expect(await desk.field('Id').inputValue()).toBe('groesse-mass');
    await desk.create('Größe & Maß');
    await desk.check('You have a stream key', 'not yet');
    const key = await desk.makeKey();
    expect(fake.keys.get('groesse-mass')?.map((made) => made.key)).toEqual([key]);
    await desk.check('You have a stream key', 'done');
    await desk.check('Your encoder is connected', 'not yet');
    // The encoder is there; nobody touches the page.
    fake.goLive('groesse-mass', liveOf(Date.now()));
    await desk.check('Your encoder is connected', 'done');
    await desk.check('Picture and sound are good', 'done');
    fake.goLive('groesse-mass', liveOf(Date.now(), [B_FRAMES]));
    await desk.check('Picture and sound are good', 'needs your attention');
    await desk.page.getByRole('link', { name: 'See what is wrong' }).click();
    await desk.page.getByText('B-Frames to 0').waitFor();
    await desk.button('Stop').click();
    await desk.answer('Stop');
    await desk.page.getByText('This broadcast has ended').first().waitFor();
    expect(fake.broadcasts.get('groesse-mass')).toMatchObject({ state: 'ended', blocked: false });
    expect(errors()).toEqual([]);
  });

  test('connects their account with the provider, and is told where that fails', async () => {
    await start({ oidc: 'University' });
    const desk = await enter('/settings/account');
    const connect = desk.page.getByRole('link', { name: 'Connect with University' });
    const to = '/api/v1/oidc/login?link=1&to=%2Fsettings%2Faccount';
    expect(await connect.getAttribute('href')).toBe(to);
    // Sent back by the server, with what the provider or the server has against it.
    await desk.page.goto('about:blank');
    await desk.page.goto(`${fake.url}/console#error=linked-elsewhere`);
    const told = desk.page.getByText('Your account was not connected: Another account here');
    await told.waitFor();
    expect(await desk.page.evaluate(() => location.hash)).toBe('#/');
    await desk.go('/settings/account');
    await told.waitFor({ state: 'detached' });
    expect(errors()).toEqual([]);
  });

  test('goes live from the browser, through a lost connection, with a key of its own', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/physics/go-live');
    const receiver = await desk.page.context().newPage();
    await receiver.goto(`${fake.url}/watch/none`);
    const whip = await receive(desk.page, receiver);
    await desk.page.getByRole('tab', { name: 'Browser' }).click();
    await desk.button('Camera').click();
    await desk.button('Go live').click();
    await desk.page.getByText('You are live from this browser').waitFor();
    await whip.frames(10);
    const [made] = fake.keys.get('physics') ?? [];
    expect(made).toMatchObject({ label: 'Browser', revoked_at: null });
    expect(whip.keys).toEqual([made?.key]);
    expect(await whip.codec()).toMatch(/^video\/(H264|VP8)$/);
    // It goes on while other pages are looked at.
    await desk.go('/settings/account');
    await desk.page.getByText('You are live from this browser: physics').waitFor();
    await whip.drop();
    await expect.poll(() => whip.keys.length, { timeout: 20_000 }).toBe(2);
    await whip.frames(5);
    await desk.page.getByRole('link', { name: 'Show' }).click();
    await desk.button('Stop').click();
    await desk.answer('Stop');
    await desk.button('Go live').waitFor();
    await expect.poll(() => fake.keys.get('physics')?.[0]?.revoked_at).not.toBeNull();
    expect(whip.ended()).toBeGreaterThan(0);
    expect(errors()).toEqual([]);
  });

  test('who was taken over from stays off, and asks before taking over in turn', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/physics/go-live');
    const receiver = await desk.page.context().newPage();
    await receiver.goto(`${fake.url}/watch/none`);
    const whip = await receive(desk.page, receiver);
    await desk.page.getByRole('tab', { name: 'Browser' }).click();
    await desk.button('Camera').click();
    await desk.button('Go live').click();
    await desk.page.getByText('You are live from this browser').waitFor();
    await whip.frames(5);
    fake.goLive('physics', liveOf(Date.now()));
    await whip.drop();
    await desk.page.getByText('Another encoder has taken over').waitFor();
    await expect.poll(() => fake.keys.get('physics')?.[0]?.revoked_at).not.toBeNull();
    await desk.button('Go live').click();
    await desk.page.getByRole('alertdialog', { name: 'Take over the broadcast?' }).waitFor();
    expect(await faults(desk.page), 'taking over').toEqual([]);
    await desk.answer('Cancel');
    expect(whip.keys).toHaveLength(1);
    await desk.button('Go live').click();
    await desk.answer('Take over');
    await desk.page.getByText('You are live from this browser').waitFor();
    expect(whip.keys).toHaveLength(2);
    expect(errors()).toEqual([]);
  });

  test('loses nothing when the session ends', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/physics/details');
    await desk.field('Title').fill('Experimental Physics II');
    fake.endSessions();
    await desk.button('Save').click();
    const dialog = desk.page.getByRole('dialog', { name: 'Your session has ended' });
    await dialog.waitFor();
    expect(await faults(desk.page), 'signing in again').toEqual([]);
    await dialog.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await dialog.getByLabel('Password', { exact: true }).press('Enter');
    await desk.page.getByText('Saved.').waitFor();
    expect(fake.broadcasts.get('physics')?.title).toBe('Experimental Physics II');
    expect(await dialog.count()).toBe(0);
  });

  test('keeps or takes what somebody else changed meanwhile', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/physics/details');
    await desk.field('Title').fill('Mine');
    // Another field: both are kept, and nobody is asked.
    fake.edit('physics', { description: 'Theirs' });
    await desk.button('Save').click();
    await desk.page.getByText('Saved, together with').waitFor();
    expect(fake.broadcasts.get('physics')).toMatchObject({ title: 'Mine', description: 'Theirs' });
    // The same field.
    await desk.field('Title').fill('Mine again');
    fake.edit('physics', { title: 'Theirs' });
    await desk.button('Save').click();
    const dialog = desk.page.getByRole('dialog', { name: /changed this meanwhile/ });
    await dialog.waitFor();
    expect(await faults(desk.page), 'the clash').toEqual([]);
    expect(fake.broadcasts.get('physics')?.title).toBe('Theirs');
    await dialog.getByRole('button', { name: 'Save this' }).click();
    await dialog.waitFor({ state: 'detached' });
    await expect.poll(() => fake.broadcasts.get('physics')?.title).toBe('Mine again');
  });

  test('is told where the form for viewers is empty, and stays where they have saved', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/physics/details');
    const { page } = desk;
    const save = desk.button('Save');
    await page.getByLabel('Ask viewers to register').check();
    await save.click();
    await page.getByText('Ask something, write a notice').waitFor();
    await desk.button('Add a field').click();
    await save.click();
    const question = page.getByLabel('Question');
    await page.getByText('Write what you want to know').waitFor();
    await expect.poll(() => question.evaluate((field) => field.matches(':focus'))).toBe(true);
    expect(fake.broadcasts.get('physics')?.registration).toBe(null);
    await question.fill('Your town');
    await save.scrollIntoViewIfNeeded();
    const before = await page.evaluate(() => scrollY);
    await save.click();
    await expect
      .poll(() => fake.broadcasts.get('physics')?.registration?.fields[0]?.label)
      .toBe('Your town');
    await expect.poll(() => save.evaluate((button) => button.matches(':focus'))).toBe(true);
    expect(Math.abs((await page.evaluate(() => scrollY)) - before)).toBeLessThan(50);
  });

  test('stops what the file provisions, and is not offered to block it', async () => {
    await start();
    furnish(fake);
    fake.goLive('lobby-screen', liveOf(Date.now()));
    const desk = await enter('/broadcasts/algebra-1/live');
    await desk.button('Stop and block').waitFor();
    await desk.go('/broadcasts/lobby-screen/live');
    await desk.heading('Screen in the foyer').waitFor();
    await desk.button('Stop').click();
    const question = desk.page.getByRole('alertdialog');
    await question.getByText('comes back by itself').waitFor();
    expect(await desk.page.getByText(/stop and block/i).count()).toBe(0);
    await desk.answer('Stop');
    await desk.page.getByText('This broadcast has ended').first().waitFor();
  });

  test('reads in German what is wrong, with figures as they are written there', async () => {
    await start();
    furnish(fake);
    const desk = await open('/console#/broadcasts/algebra-1/live', { locale: 'de-DE' });
    fake.goLive('algebra-1', liveOf(Date.now(), [DROP, UNKNOWN]));
    await desk.page.getByLabel('Anmeldename').fill('ada');
    await desk.page.getByLabel('Passwort', { exact: true }).fill(PASSWORD);
    await desk.page.getByLabel('Passwort', { exact: true }).press('Enter');
    await desk.page.getByText('Ihr Video ist von 2.500 auf 900 kbit/s gefallen').waitFor();
    // Of a newer server, which says it in English.
    const english = desk.page.getByText(UNKNOWN.title);
    await english.waitFor();
    expect(await english.getAttribute('lang')).toBe('en');
  });

  test('sees what is wrong where it is wrong', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/algebra-1/details');
    await desk.field('Address').fill('no address');
    await desk.button('Save').click();
    await desk.page.getByText('This is no address.').waitFor();
    expect(await desk.field('Address').getAttribute('aria-invalid')).toBe('true');
    await expect
      .poll(() => desk.field('Address').evaluate((field) => field.matches(':focus')))
      .toBe(true);
    expect(await faults(desk.page)).toEqual([]);
    await desk.field('Address').fill('https://uni.example/');
    await desk.button('Save').click();
    await desk.page.getByText('Saved.').waitFor();
  });

  test('is asked before leaving what was not saved', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/physics/details');
    await desk.field('Title').fill('Half a');
    await desk.page.getByRole('link', { name: 'Keys', exact: true }).click();
    await desk.answer('Stay here');
    expect(new URL(desk.page.url()).hash).toBe('#/broadcasts/physics/details');
    expect(await desk.field('Title').inputValue()).toBe('Half a');
    await desk.page.getByRole('link', { name: 'Keys', exact: true }).click();
    await desk.answer('Leave');
    await desk.heading('Stream keys').waitFor();
    // The heading of the new view has the focus, wherever in the shadows it is.
    await expect.poll(() => focused(desk.page)).toBe('Stream keys');
  });

  test('keeps the link for moderators while news comes', async () => {
    await start();
    furnish(fake);
    const desk = await enter('/broadcasts/algebra-1/people');
    const link = desk.field('Link for moderators').and(desk.page.locator('input'));
    await link.waitFor();
    fake.put({ id: 'algebra-1', title: 'Linear Algebra, renamed' });
    await desk.heading('Linear Algebra, renamed').waitFor();
    expect(await link.inputValue()).toContain('#moderate=mod_1');
  });

  test('is told why there is no preview, and sees the rest all the same', async () => {
    await start();
    furnish(fake);
    fake.put({ id: 'lobby-screen', visibility: 'token' });
    fake.goLive('lobby-screen', liveOf(Date.now()));
    const desk = await enter('/broadcasts/lobby-screen/live');
    const told = desk.page.getByRole('status').filter({ hasText: 'There is no preview here' });
    await told.getByText('It is in the configuration file').waitFor();
    expect(await desk.page.locator('lectern-player, lectern-comments').count()).toBe(0);
    await desk.page.getByText('All good').waitFor();
    expect(await faults(desk.page)).toEqual([]);
    fake.put({ id: 'lobby-screen', source: 'console' });
    await told.getByRole('button', { name: 'Try again' }).click();
    await desk.page.locator('lectern-player').waitFor();
    await told.waitFor({ state: 'detached' });
  });

  test('is told when the server is away, and the list comes up to date after it', async () => {
    await start();
    furnish(fake);
    const desk = await enter();
    await desk.page.getByText('128 viewers').waitFor();
    fake.put({ id: 'algebra-1', viewers: 129 });
    await desk.page.getByText('129 viewers').waitFor();
    fake.away = true;
    fake.dropStreams();
    await desk.page.getByText('No connection to the server.').waitFor();
    fake.put({ id: 'algebra-1', viewers: 130 });
    fake.away = false;
    await desk.page.getByText('130 viewers').waitFor({ timeout: 20_000 });
    await desk.page.getByText('No connection to the server.').waitFor({ state: 'detached' });
    // Searching asks the server.
    await desk.page.getByRole('searchbox').fill('colloq');
    await desk.page.getByText('Linear Algebra I').waitFor({ state: 'detached' });
    await desk.page.getByText('What Computers Cannot Do').waitFor();
    expect(await desk.page.getByRole('searchbox').inputValue()).toBe('colloq');
  });
});

test('the fake says nothing that the real one would not', async () => {
  await start();
  furnish(fake);
  // Left out, made up, and of another kind; and that this is noticed.
  const live = liveOf(Date.now());
  const { standby: _, ...less } = live;
  expect(document_.news('live', live)).toEqual([]);
  expect(document_.news('live', less)).toMatchObject({ length: 1 });
  expect(document_.news('live', { ...live, point: null })).toMatchObject({ length: 1 });
  expect(document_.answer('GET', '/broadcasts/a/live', 200, live)).toEqual([]);
  expect(document_.answer('GET', '/broadcasts/a/live', 200, undefined)).not.toEqual([]);
  expect(document_.answer('GET', '/broadcasts/a/live', 204, undefined)).toMatchObject({
    length: 1,
  });
  expect(document_.answer('GET', '/broadcasts/a/nothing', 200, {})).toMatchObject({ length: 1 });
  const page = { items: [{ ...fake.put({ id: 'a' }), rev: '1' }], next: null };
  expect(document_.answer('GET', '/broadcasts', 200, page)).toMatchObject({ length: 1 });
});

const ROUTES = [
  '/',
  '/new',
  '/nowhere',
  '/broadcasts/physics/live',
  '/broadcasts/physics/go-live',
  '/broadcasts/algebra-1/live',
  '/broadcasts/algebra-1/go-live',
  '/broadcasts/algebra-1/details',
  '/broadcasts/lobby-screen/details',
  '/broadcasts/colloquium/sharing',
  '/broadcasts/algebra-1/keys',
  '/broadcasts/algebra-1/people',
  '/broadcasts/algebra-1/files',
  '/settings/account',
  '/settings/tokens',
  '/settings/accounts',
  '/settings/viewer-keys',
  '/settings/webhooks',
];

const LOOKS = [
  { name: 'wide, light', viewport: { width: 1280, height: 860 }, colorScheme: 'light' },
  { name: 'phone, dark', viewport: { width: 360, height: 740 }, colorScheme: 'dark' },
] as const;

test.each(LOOKS)(
  'each view is for everybody: $name',
  async ({ viewport, colorScheme }) => {
    await start({ oidc: 'University' });
    furnish(fake);
    fake.goLive('algebra-1', liveOf(Date.now(), [QUIET, B_FRAMES]));
    const look = { viewport, colorScheme };
    const out = await open('/console#error=no-account', look);
    await out.page.getByText('There is no account here for you yet.').waitFor();
    expect(await faults(out.page), 'signing in').toEqual([]);
    const desk = await enter('/', look);
    for (const route of ROUTES) {
      await desk.go(route);
      await settled(desk.page);
      expect(await faults(desk.page), route).toEqual([]);
      expect(await wider(desk.page), `${route} is wider than the screen by, px`).toBe(0);
    }
    expect(errors()).toEqual([]);
  },
  120_000,
);

/** Nothing of the view is being loaded any more. */
async function settled(page: Page): Promise<void> {
  await page.waitForLoadState('networkidle', { timeout: 1_500 }).catch(() => {
    // The preview of a broadcast that nobody serves here never rests.
  });
  await page.getByText('Loading…').waitFor({ state: 'detached' });
}

/** The text of what has the focus. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element?.textContent?.trim() ?? '';
  });
}

function wider(page: Page): Promise<number> {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth));
}
