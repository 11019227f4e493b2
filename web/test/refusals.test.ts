import { expect, test } from 'vitest';
import { standingOf } from '../src/edge-status.ts';
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

test('how a broadcast stands is what the edge says, and nothing worse than it knows', () => {
  const status = (http: number, reason: string | null, said: unknown = null) =>
    standingOf(http, reason, said).status;
  expect(status(200, null, { state: 'live', t0_ms: 1 })).toBe('live');
  expect(status(200, null, { state: 'away', t0_ms: 1_795_000_000_000 })).toBe('away');
  expect(status(200, null, { state: 'away', t0_ms: 0 })).toBe('unbegun');
  expect(status(200, null, { state: 'ended', t0_ms: 1 })).toBe('ended');
  expect(status(200, null, 'nonsense')).toBe('live');
  expect(status(404, null)).toBe('unknown');
  // It has heard of it, and nothing of what is in it.
  expect(status(503, null)).toBe('unknown');
  expect(status(503, 'unheard')).toBe('unreachable');
  expect(status(502, null)).toBe('unreachable');
  const cutOff = { state: 'away', t0_ms: 1, cut_off: true };
  expect(standingOf(200, null, cutOff)).toEqual({ status: 'away', cutOff: true });
  const expired = { status: 'refused', reason: 'token-expired' };
  expect(standingOf(401, 'token-expired', null)).toEqual(expired);
  expect(standingOf(403, null, null)).toEqual({ status: 'refused', reason: 'not-allowed' });
});

test('an edge is left for another only for what is its own fault', () => {
  const failed = (failure: Failure) => lostEdge({ type: 'failed', attempt: 1, failure });
  expect(failed({ kind: 'unreachable' })).toBe(true);
  expect(failed({ kind: 'unsuitable', reason: 'draining' })).toBe(true);
  expect(failed({ kind: 'unsuitable', reason: 'full' })).toBe(true);
  expect(failed({ kind: 'unsuitable', reason: 'no-connection' })).toBe(false);
  expect(failed({ kind: 'unsuitable', reason: 'b-frames' })).toBe(false);
  // As many watch as the host lets in, on all edges.
  expect(failed({ kind: 'unsuitable', reason: 'broadcast-full' })).toBe(false);
  expect(failed({ kind: 'refused', reason: 'token-expired', retryAfterMs: null })).toBe(false);
  expect(failed({ kind: 'ended' })).toBe(false);
  expect(lostEdge({ type: 'status', status: 'unreachable' })).toBe(true);
  expect(lostEdge({ type: 'status', status: 'unknown' })).toBe(false);
});
