// A host publishes from a page, by WHIP, with nothing but what browsers have; viewers see and hear it on
// every path. Codecs that viewers cannot be given are re-encoded.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { metrics } from './harness.ts';
import { attributes, peakLevel, until, untilMoved, untilNot } from './player.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all' }, [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
]);

interface Published {
  readonly status: number;
  readonly session: string;
  readonly detail: string;
}

/** Publishes the page's camera and microphone, which are Chromium's own fakes: a picture and a beep. */
async function publish(page: Page, codec: string, key = 'demo'): Promise<Published> {
  const whip = `http://127.0.0.1:${s.stack.ports.originHttp}/whip`;
  return page.evaluate(
    async ([whip, codec, key]) => {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: true,
        video: { width: 640, height: 360, frameRate: 30 },
      });
      const connection = new RTCPeerConnection();
      for (const track of stream.getTracks()) {
        const { sender } = connection.addTransceiver(track, { direction: 'sendonly' });
        if (track.kind !== 'video') continue;
        const all = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
        const wanted = all.filter(({ mimeType }) =>
          ['video/rtx', `video/${codec}`.toLowerCase()].includes(mimeType.toLowerCase()),
        );
        const transceiver = connection.getTransceivers().find((one) => one.sender === sender);
        transceiver?.setCodecPreferences(wanted);
      }
      await connection.setLocalDescription();
      const answer = await fetch(whip, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${key}` },
        body: connection.localDescription?.sdp ?? '',
      });
      const text = await answer.text();
      if (answer.status !== 201) {
        connection.close();
        return { status: answer.status, session: '', detail: JSON.parse(text).detail };
      }
      await connection.setRemoteDescription({ type: 'answer', sdp: text });
      const session = new URL(answer.headers.get('Location') ?? '', whip).href;
      return { status: answer.status, session, detail: answer.headers.get('ETag') ?? '' };
    },
    [whip, codec, key] as const,
  );
}

/** Ends a session as a page does that keeps its key. */
async function unpublish(page: Page, session: string, key = 'demo'): Promise<number> {
  return page.evaluate(
    async ([session, key]) => {
      const headers = { Authorization: `Bearer ${key}` };
      return (await fetch(session, { method: 'DELETE', headers })).status;
    },
    [session, key] as const,
  );
}

/** A page without a policy of its own, on another port than the origin's: what it may ask is CORS's to say. */
const host = () => s.open('/time');

async function plays(path: 'webrtc' | 'dash' | 'hls'): Promise<void> {
  const page = await s.open(path === 'webrtc' ? '/watch/demo' : `/watch/demo?path=${path}`);
  await until(page, { state: 'live', path }, 30_000);
  await untilMoved(page, 30);
  // The fake microphone beeps once a second.
  expect(await peakLevel(page, 1_500), `loudest moment over ${path}`).toBeGreaterThan(0.01);
  expect(await attributes(page)).not.toHaveProperty('fallback-reason');
  await page.close();
}

test('H.264 and Opus are carried as they are, on every path', async () => {
  const page = await host();
  const { status, session, detail } = await publish(page, 'H264');
  expect([status, detail]).toEqual([201, expect.stringMatching(/^".+"$/)]);
  await plays('webrtc');
  await plays('dash');
  await plays('hls');
  const counted = await metrics(s.stack.ports.originOps);
  expect(counted).toMatch(/^lectern_whip_publishers 1$/m);
  expect(counted).toMatch(/^lectern_reencoders 0$/m);

  const viewer = await s.open('/watch/demo');
  await until(viewer, { state: 'live', path: 'webrtc' });
  expect(await unpublish(page, session)).toBe(200);
  expect(await unpublish(page, session)).toBe(404);
  await untilNot(viewer, 'live');
});

test.each(['VP8', 'AV1'])('%s is re-encoded', async (codec) => {
  const page = await host();
  expect(await publish(page, codec)).toMatchObject({ status: 201 });
  await plays('webrtc');
  await plays('dash');
  expect(await metrics(s.stack.ports.originOps)).toMatch(/^lectern_reencoders 1$/m);
});
