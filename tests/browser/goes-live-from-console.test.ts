// A host who has never seen Lectern is live through the console alone: with an encoder and the key that
// was copied, and from the browser's own camera; and knows what is wrong before anybody tells them.

import { expect, test } from 'vitest';
import { Desk } from './console/desk.ts';
import { until, untilMoved } from './player.ts';
import { scene } from './scene.ts';

const PASSWORD = 'a password for tests';

const s = scene({ roles: 'all', broadcasts: ['provisioned'] }, [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
]);

test('from the first start to a picture, by the console alone', async () => {
  const { pathname, hash } = new URL(s.stack.setupLink);
  const desk = new Desk(await s.open(pathname + hash));
  await desk.setUp('Ada Lovelace', 'ada', PASSWORD);
  await desk.create('Algebra I');
  const id = /broadcasts\/([^/]+)\//.exec(desk.page.url())?.[1] ?? '';
  const key = await desk.makeKey();
  await desk.check('Your encoder is connected', 'not yet');
  s.stack.startEncoder({ broadcast: id, key });
  await desk.check('Your encoder is connected', 'done');
  await desk.check('Picture and sound are good', 'done');
  const viewer = await s.open(`/watch/${id}`);
  await until(viewer, { state: 'live', path: 'webrtc' });
  await untilMoved(viewer, 10);
  // A good source is replaced by one without a picture; nobody touches the console.
  await s.stack.stopEncoder(id);
  s.stack.startEncoder({ broadcast: id, key, video: false });
  await desk.check('Picture and sound are good', 'needs your attention');
  await desk.page.getByRole('link', { name: 'See what is wrong' }).click();
  await desk.page.getByText('There is no picture, only sound').first().waitFor();
  // Stopped, the encoder is not let back in.
  await desk.button('Stop').click();
  await desk.answer('Stop');
  await desk.page.getByText('This broadcast has ended').first().waitFor();
  await s.stack.stopEncoder(id);
  // What the configuration file provisions is there too, and another start needs no other account.
  await desk.go('/');
  await desk.page.getByText('provisioned').first().waitFor();
  await s.stack.stopRole('all');
  await s.stack.startRole('all');
  expect(() => s.stack.setupLink).not.toThrow();
  await desk.page.reload();
  await desk.page.getByText('Algebra I').first().waitFor();
}, 90_000);

test("from the browser's own camera", async () => {
  const desk = new Desk(await s.open('/console'));
  await desk.signIn('ada', PASSWORD);
  await desk.button('Sign out').waitFor();
  await desk.go('/new');
  await desk.create('From home');
  const id = /broadcasts\/([^/]+)\//.exec(desk.page.url())?.[1] ?? '';
  await desk.page.getByRole('tab', { name: 'Browser' }).click();
  await desk.button('Camera').click();
  await desk.button('Go live').click();
  await desk.page.getByText('You are live from this browser').waitFor();
  const viewer = await s.open(`/watch/${id}`);
  await until(viewer, { state: 'live', path: 'webrtc' });
  await untilMoved(viewer, 10);
  // An encoder takes over, and the page does not take over from it in turn.
  const ask = (method: string, what: string, body: object) =>
    desk.page.evaluate(async ([to, init]) => (await (await fetch(to, init)).text()) || '{}', [
      `/api/v1/broadcasts/${id}/${what}`,
      { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) },
    ] as const);
  const { key } = JSON.parse(await ask('POST', 'keys', { label: 'Hall' })) as { key: string };
  s.stack.startEncoder({ broadcast: id, key });
  await desk.page.getByText('Another encoder has taken over').waitFor();
  await untilMoved(viewer, 10);
  // The page takes over when it is told to, and a stop by somebody else is the end of it.
  await desk.button('Go live').click();
  await desk.answer('Take over');
  await desk.page.getByText('You are live from this browser').waitFor();
  await s.stack.stopEncoder(id);
  await ask('POST', 'stop', { block: false });
  await desk.page.getByText('The broadcast was stopped by somebody else').waitFor();
  await desk.button('Go live').waitFor();
}, 90_000);
