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
}, 90_000);
