// Who has a link with a viewer token watches, by any path and until it expires; who has none is told so;
// and the lobby lists what is for everybody, and finds it.

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { faults } from './axe.ts';
import { until, untilMoved } from './player.ts';
import { scene } from './scene.ts';
import { site } from './site.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const LECTURES = ['algebra', 'analysis', 'biology', 'chemistry', 'drama'];
const inAnHour = new Date(Date.now() + 3_600_000).toISOString();

const s = scene({
  roles: 'all',
  broadcasts: ['closed', 'hidden', ...LECTURES, 'open'],
  viewerKeys: { test: publicKey.export({ format: 'jwk' }).x ?? '' },
  settings: {
    closed: ['visibility = "token"'],
    hidden: ['visibility = "unlisted"'],
    open: [
      'title = "Open lecture"',
      'description = "For everybody, with a script."',
      'topics = ["Public", "Physics"]',
      'language = "en"',
      'links = [{ title = "Script", url = "https://uni.example/script.pdf" }]',
    ],
    algebra: ['title = "Álgebra linear"', `starts_at = "${inAnHour}"`, 'topics = ["Maths"]'],
    analysis: ['topics = ["Maths"]'],
  },
});

/** A token for `closed` that is good for so long. */
function token(seconds: number, by: KeyObject = privateKey): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = part({ alg: 'EdDSA', kid: 'test' });
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${header}.${part({ broadcast: 'closed', exp, sub: 'ada' })}`;
  return `${signed}.${sign(null, Buffer.from(signed), by).toString('base64url')}`;
}

const said = (page: Page) => page.locator('lectern-player [role=status]').innerText();

test('a link with a token plays by every path, and a visit without it after that', async () => {
  s.stack.startEncoder({ broadcast: 'closed' });
  const page = await s.open(`/watch/closed#token=${token(600)}`);
  await until(page, { state: 'live', path: 'webrtc' }, 30_000);
  await untilMoved(page, 10);
  // Nobody passes it on with the address.
  expect(page.url()).toBe(`${s.stack.url}/watch/closed`);
  await page.locator('lectern-comments').getByText('No comments yet').waitFor();
  // The tab has kept it.
  await page.goto(`${s.stack.url}/watch/closed?path=dash`);
  await until(page, { state: 'live', path: 'dash' }, 20_000);
  // And without that, the browser has.
  await page.evaluate(() => sessionStorage.clear());
  await page.goto(`${s.stack.url}/watch/closed?path=hls`);
  await until(page, { state: 'live', path: 'hls' }, 20_000);
  await page.locator('lectern-comments').getByText('No comments yet').waitFor();
  await page.goto(`${s.stack.url}/`);
  const asked = await s.open(`/watch/closed?path=webrtc&token=${token(600)}`);
  await until(asked, { state: 'live', path: 'webrtc' }, 20_000);
  expect(asked.url()).toBe(`${s.stack.url}/watch/closed?path=webrtc`);
  for (const each of [page, asked]) await each.close();
});

test('a player on another site brings the token with what it asks for', async () => {
  const edge = s.stack.url;
  const body = `<!doctype html><script type="module" src="${edge}/player.js"></script>
    <lectern-player src="${edge}/live/closed" pin="dash" token="${token(600)}"></lectern-player>`;
  const page = await s.open('/');
  const reported = page.waitForResponse(
    (answer) => answer.url().endsWith('/experience') && answer.request().method() === 'POST',
  );
  await page.goto(await site(body));
  await until(page, { state: 'live', path: 'dash' }, 20_000);
  await untilMoved(page, 30);
  expect((await reported).status()).toBe(204);
  await page.close();
});

test('a link without one, or with one that is no good, says why', async () => {
  const without = await s.open('/watch/closed');
  await until(without, { state: 'refused' });
  expect(await said(without)).toMatch(/cannot watch this here.*a link of their own/s);
  expect(await without.locator('lectern-comments').count()).toBe(0);
  expect(await faults(without), 'refused').toEqual([]);
  const forged = token(600, generateKeyPairSync('ed25519').privateKey);
  const wrong = await s.open(`/watch/closed#token=${forged}`);
  await until(wrong, { state: 'refused' });
  expect(await said(wrong)).toContain('not valid');
  const late = await s.open(`/watch/closed#token=${token(-60)}`);
  await until(late, { state: 'expired' });
  expect(await said(late)).toMatch(/Your link has expired.*a new one/s);
  expect(await late.locator('lectern-player .pulse').count()).toBe(0);
  // Another link, in the same page.
  await late.evaluate(
    (hash) => {
      location.hash = hash;
    },
    `#token=${token(600)}`,
  );
  await until(late, { state: 'live' });
  for (const page of [without, wrong, late]) await page.close();
});

test('a token that expires while one watches ends it, and says so', async () => {
  const page = await s.open(`/watch/closed#token=${token(1)}`);
  await until(page, { state: 'live', path: 'webrtc' });
  await until(page, { state: 'expired' }, 15_000);
  await page.close();
});

test('the lobby has what is for everybody, and finds it', async () => {
  const page = await s.open('/');
  const lobby = page.locator('lectern-lobby');
  await lobby.getByRole('link').first().waitFor();
  const names = () => lobby.locator('strong').allInnerTexts();
  expect((await names())[0]).toBe('Álgebra linear');
  expect((await names()).sort()).not.toContain('closed');
  expect(await names()).toHaveLength(LECTURES.length + 1);
  expect(await lobby.locator('a').first().innerText()).toMatch(/in (1 hour|60 minutes|59 minutes)/);
  expect(await faults(page), 'lobby').toEqual([]);
  await lobby.getByRole('searchbox').fill('algebra');
  await expect.poll(names).toEqual(['Álgebra linear']);
  await lobby.getByRole('searchbox').fill('nothing of that kind');
  await lobby.getByText('No broadcast matches.').waitFor();
  await lobby.getByRole('searchbox').fill('');
  await lobby.getByRole('button', { name: 'Maths' }).click();
  await expect.poll(async () => (await names()).sort()).toEqual(['analysis', 'Álgebra linear']);
  expect(await faults(page), 'lobby, searched').toEqual([]);
  await page.goto(`${s.stack.url}/watch/open`);
  await page.locator('#about').getByText('For everybody, with a script.').waitFor();
  expect(await page.locator('#about').getByRole('link').getAttribute('href')).toContain('script');
  expect(await faults(page), 'about').toEqual([]);
});
