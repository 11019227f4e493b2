// A WHIP endpoint inside the browser: another page takes the offer and counts the frames, so that a console
// over the fake really sends.

import type { Page, Route } from 'playwright-core';

export interface Receiver {
  /** The keys that it was asked with, oldest first. */
  readonly keys: readonly string[];
  /** What the publisher offered first of video. */
  codec(): Promise<string>;
  /** Waits until so many frames have arrived on the newest connection. */
  frames(count: number): Promise<void>;
  /** Ends the connection as a server that crashed would. */
  drop(): Promise<void>;
  readonly ended: () => number;
}

/** Answers `/whip` of the page with a connection to `receiver`. */
export async function receive(page: Page, receiver: Page): Promise<Receiver> {
  const keys: string[] = [];
  let ended = 0;
  await receiver.evaluate(() => {
    Reflect.set(globalThis, 'answer', async (offer: string) => {
      const pc = new RTCPeerConnection();
      Reflect.set(globalThis, 'pc', pc);
      await pc.setRemoteDescription({ type: 'offer', sdp: offer });
      await pc.setLocalDescription(await pc.createAnswer());
      while (pc.iceGatheringState !== 'complete') {
        await new Promise((done) =>
          pc.addEventListener('icegatheringstatechange', done, { once: true }),
        );
      }
      return pc.localDescription?.sdp ?? '';
    });
  });
  const take = async (route: Route) => {
    const request = route.request();
    if (request.method() === 'DELETE') {
      ended += 1;
      return route.fulfill({ status: 200 });
    }
    keys.push(((await request.headerValue('authorization')) ?? '').replace('Bearer ', ''));
    const sdp = await receiver.evaluate(
      (offer) => (Reflect.get(globalThis, 'answer') as (offer: string) => Promise<string>)(offer),
      request.postData() ?? '',
    );
    await route.fulfill({
      status: 201,
      headers: { 'Content-Type': 'application/sdp', Location: `/whip/${keys.length}` },
      body: sdp,
    });
  };
  await page.route(/\/whip(\/.*)?$/, take);
  const stats = () =>
    receiver.evaluate(async () => {
      const pc = Reflect.get(globalThis, 'pc') as RTCPeerConnection | undefined;
      const report = await pc?.getStats();
      const all = [...(report?.values() ?? [])];
      const video = all.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
      return { frames: video?.framesReceived ?? 0, codec: report?.get(video?.codecId)?.mimeType };
    });
  return {
    keys,
    ended: () => ended,
    codec: async () => String((await stats()).codec),
    async frames(count) {
      const end = Date.now() + 20_000;
      while ((await stats()).frames < count) {
        if (Date.now() > end) throw new Error(`fewer than ${count} frames arrived`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    drop: () =>
      receiver.evaluate(() => (Reflect.get(globalThis, 'pc') as RTCPeerConnection).close()),
  };
}
