import { expect, test } from 'vitest';
import { refusal } from '../src/engines/engine.ts';
import { listedStatus, timesOf } from '../src/session.ts';

const said = (reason?: string, retry?: string) =>
  new Headers({
    ...(reason && { 'Lectern-Reason': reason }),
    ...(retry && { 'Retry-After': retry }),
  });

test('what an edge refuses with means what calls for the right answer', () => {
  expect(refusal(404, said('unknown'))).toEqual({ kind: 'unknown' });
  expect(refusal(409, said('no-media', '2'))).toEqual({ kind: 'not-live', retryAfterMs: 2_000 });
  expect(refusal(406, said('codec'))).toEqual({ kind: 'unsuitable', reason: 'codec' });
  expect(refusal(503, said('full', '9'))).toEqual({ kind: 'unsuitable', reason: 'full' });
  // A manifest that is not there yet, and an edge that has not heard its upstream.
  expect(refusal(503, said(undefined, '1'))).toEqual({ kind: 'not-live', retryAfterMs: 1_000 });
  expect(refusal(503, said('unheard', '3'))).toEqual({ kind: 'unreachable' });
  expect(refusal(500, said())).toEqual({ kind: 'unreachable' });
});

test('what is missing in the list of an edge is unknown only if the list is complete', () => {
  const broadcasts = [
    { id: 'talk', state: 'live' },
    { id: 'gone', state: 'away' },
  ];
  expect(listedStatus({ broadcasts, complete: true }, 'talk')).toBe('live');
  expect(listedStatus({ broadcasts, complete: false }, 'gone')).toBe('away');
  expect(listedStatus({ broadcasts, complete: true }, 'other')).toBe('unknown');
  expect(listedStatus({ broadcasts, complete: false }, 'other')).toBe('unreachable');
});

test('the times of a broadcast are taken from its status as far as they are there', () => {
  expect(timesOf({ id: 'talk', t0_ms: 1_795_000_000_000, capture_offset_ms: -12 })).toEqual({
    captureOffsetMs: -12,
    t0Ms: 1_795_000_000_000,
  });
  for (const status of [null, {}, { t0_ms: null, capture_offset_ms: '3' }, 'unknown']) {
    expect(timesOf(status)).toEqual({ captureOffsetMs: null, t0Ms: null });
  }
});
