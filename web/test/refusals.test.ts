import { expect, test } from 'vitest';
import { listedStatus } from '../src/edge-status.ts';
import { refusal } from '../src/engines/engine.ts';
import type { Failure } from '../src/ladder.ts';
import { lostEdge } from '../src/session.ts';

const said = (reason?: string, retry?: string) =>
  new Headers({
    ...(reason && { 'Lectern-Reason': reason }),
    ...(retry && { 'Retry-After': retry }),
  });

test('what an edge refuses with means what calls for the right answer', () => {
  expect(refusal(404, said('unknown'))).toEqual({ kind: 'unknown' });
  expect(refusal(409, said('no-media', '2'))).toEqual({ kind: 'not-live', retryAfterMs: 2_000 });
  expect(refusal(406, said('codec'))).toEqual({ kind: 'unsuitable', reason: 'codec' });
  const full = { kind: 'unsuitable', reason: 'full', retryAfterMs: 9_000 };
  expect(refusal(503, said('full', '9'))).toEqual(full);
  expect(refusal(403, said('token'))).toEqual({
    kind: 'refused',
    reason: 'token',
    retryAfterMs: null,
  });
  // A manifest that is not there yet, and an edge that has not heard its upstream.
  expect(refusal(503, said(undefined, '1'))).toEqual({ kind: 'not-live', retryAfterMs: 1_000 });
  expect(refusal(503, said('unheard', '3'))).toEqual({ kind: 'unreachable' });
  expect(refusal(500, said())).toEqual({ kind: 'unreachable' });
});

test('what is missing in the list of an edge is unknown only if the list is complete', () => {
  const broadcasts = [
    { id: 'talk', state: 'live' },
    { id: 'gone', state: 'away', t0_ms: 1_795_000_000_000 },
    { id: 'soon', state: 'away', t0_ms: 0 },
  ];
  expect(listedStatus({ broadcasts, complete: true }, 'talk')).toBe('live');
  expect(listedStatus({ broadcasts, complete: false }, 'gone')).toBe('away');
  expect(listedStatus({ broadcasts, complete: true }, 'soon')).toBe('unbegun');
  expect(listedStatus({ broadcasts, complete: true }, 'other')).toBe('unknown');
  expect(listedStatus({ broadcasts, complete: false }, 'other')).toBe('unreachable');
});

test('an edge is left for another only for what is its own fault', () => {
  const failed = (failure: Failure) => lostEdge({ type: 'failed', attempt: 1, failure });
  expect(failed({ kind: 'unreachable' })).toBe(true);
  expect(failed({ kind: 'unsuitable', reason: 'draining' })).toBe(true);
  expect(failed({ kind: 'unsuitable', reason: 'full' })).toBe(true);
  expect(failed({ kind: 'unsuitable', reason: 'no-connection' })).toBe(false);
  expect(failed({ kind: 'unsuitable', reason: 'b-frames' })).toBe(false);
  expect(failed({ kind: 'ended' })).toBe(false);
  expect(lostEdge({ type: 'status', status: 'unreachable' })).toBe(true);
  expect(lostEdge({ type: 'status', status: 'unknown' })).toBe(false);
});
