import { expect, test } from 'vitest';
import { hashOf, pathOf, type Route, routeOf, sameRoute } from '../src/console/route.ts';

const ROUTES: readonly [string, Route][] = [
  ['#/', { page: 'list' }],
  ['#/new', { page: 'new' }],
  ['#/broadcasts/algebra-1', { page: 'broadcast', id: 'algebra-1', tab: null }],
  ['#/broadcasts/algebra-1/live', { page: 'broadcast', id: 'algebra-1', tab: 'live' }],
  ['#/broadcasts/a%2Fb/go-live', { page: 'broadcast', id: 'a/b', tab: 'go-live' }],
  ['#/settings/viewer-keys', { page: 'settings', tab: 'viewer-keys' }],
];

test.each(ROUTES)('%s is there and back', (hash, route) => {
  expect(routeOf(hash)).toEqual(route);
  expect(hashOf(route)).toBe(hash);
});

test.each([
  ['', { page: 'list' }],
  ['#', { page: 'list' }],
  ['#/broadcasts', { page: 'list' }],
  ['#/broadcasts/', { page: 'unknown' }],
  ['#/broadcasts/x/', { page: 'broadcast', id: 'x', tab: null }],
  ['#/broadcasts/x/nothing', { page: 'unknown' }],
  ['#/broadcasts/x/live/more', { page: 'unknown' }],
  ['#/settings', { page: 'settings', tab: 'account' }],
  ['#/settings/__proto__', { page: 'unknown' }],
  ['#/new/x', { page: 'unknown' }],
  ['#nonsense', { page: 'unknown' }],
  ['#/broadcasts/%E0%A4%A/live', { page: 'broadcast', id: '%E0%A4%A', tab: 'live' }],
  ['#setup=a%2Bb', { page: 'setup', token: 'a+b' }],
  ['#error=no-account', { page: 'refused', code: 'no-account' }],
  ['#error=access_denied', { page: 'refused', code: 'access-denied' }],
  // What is no code is nobody's words.
  ['#error=Call+this%20number', { page: 'refused', code: '' }],
  ['#error=call%20this', { page: 'refused', code: '' }],
  ['#error=', { page: 'refused', code: '' }],
] as const)('%j means %j', (hash, route) => {
  expect(routeOf(hash)).toEqual(route);
});

test('the provider comes back to where one was', () => {
  expect(pathOf({ page: 'broadcast', id: 'x', tab: 'keys' })).toBe('/broadcasts/x/keys');
  expect(pathOf({ page: 'setup', token: 'secret' })).toBe('/');
});

test('routes are the same by where they lead', () => {
  const live = { page: 'broadcast', id: 'x', tab: 'live' } as const;
  expect(sameRoute(live, { ...live })).toBe(true);
  expect(sameRoute(live, { ...live, tab: 'keys' })).toBe(false);
  expect(sameRoute({ page: 'list' }, { page: 'unknown' })).toBe(false);
});
