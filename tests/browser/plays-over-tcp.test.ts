// Where a network blocks UDP, WebRTC still plays, over TCP to the same port; where it does not, UDP
// is what browsers choose.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { cut } from './harness.ts';
import { attributes, until } from './player.ts';
import { plays } from './plays.ts';
import { scene } from './scene.ts';

const s = scene({ roles: 'all', demo: true });

/** What the pair that the browser selected runs over, at both ends, by its own account. */
function selected(page: Page): Promise<unknown[]> {
  return page.evaluate(async () => {
    // Offers from before the broadcast was live were refused, and connected nothing.
    const connected = window.peerConnections.filter(
      ({ connectionState }) => connectionState === 'connected',
    );
    const protocols = connected.map(async (connection) => {
      const report = await connection.getStats();
      const all = [...report.values()];
      const transport = all.find(({ type }) => type === 'transport');
      const pair = report.get(transport?.selectedCandidatePairId ?? '');
      return [pair?.localCandidateId, pair?.remoteCandidateId].map(
        (id) => report.get(id ?? '')?.protocol,
      );
    });
    return (await Promise.all(protocols)).flat();
  });
}

test('UDP blocked: plays by WebRTC over TCP, and says so', async () => {
  const blocked = await cut(s.stack.ports.media, ['udp']);
  try {
    const page = await s.open('/watch/demo');
    await plays(page, 'webrtc', 2_000);
    expect(await selected(page)).toEqual(['tcp', 'tcp']);
    expect(await attributes(page)).toMatchObject({ transport: 'tcp' });
    expect(await attributes(page)).not.toHaveProperty('fallback-reason');
    expect(await page.getByText('WebRTC over TCP').isVisible()).toBe(true);
  } finally {
    await blocked.undo();
  }
});

test('UDP not blocked: it is chosen', async () => {
  const page = await s.open('/watch/demo');
  await until(page, { state: 'live', path: 'webrtc', transport: 'udp' });
  expect(await selected(page)).toEqual(['udp', 'udp']);
});
