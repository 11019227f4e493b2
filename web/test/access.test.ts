import { expect, test } from 'vitest';
import { isElsewhere, protocols, tokenHeaders } from '../src/access.ts';
import { tokenIn } from '../src/viewer-token.ts';

test('a token goes where it can, and what is none goes nowhere', () => {
  expect(tokenHeaders('aa.b-b.c_c')).toEqual({ Authorization: 'Bearer aa.b-b.c_c' });
  expect(protocols('aa.bb.cc')).toEqual(['lectern.comments', 'lectern.token.aa.bb.cc']);
  for (const none of ['', 'aa', 'aa.bb', 'aa.bb.cc, x', 'aa.bb.cc\r\nX: y', 'aa.bb.c c']) {
    expect(tokenHeaders(none), none).toEqual({});
    expect(protocols(none), none).toEqual([]);
  }
});

test('a token is taken out of the address, and the rest is left', () => {
  const edge = 'https://edge.example';
  const taken = (rest: string) => tokenIn(edge + rest);
  expect(taken('/watch/talk#token=a.b.c')).toEqual({ token: 'a.b.c', rest: '/watch/talk' });
  expect(taken('/watch/talk?path=dash&token=a.b.c')).toEqual({
    token: 'a.b.c',
    rest: '/watch/talk?path=dash',
  });
  expect(taken('/watch/talk?token=old#token=new')).toEqual({ token: 'new', rest: '/watch/talk' });
  expect(taken('/watch/talk?token=a.b.c#moderate=k')).toEqual({
    token: 'a.b.c',
    rest: '/watch/talk#moderate=k',
  });
  expect(taken('/watch/talk#moderate=k').token).toBe('');
});

test('an edge elsewhere is one of another origin', () => {
  const page = 'https://edge.example/watch/talk';
  expect(isElsewhere('https://edge.example/live-2', page)).toBe(false);
  expect(isElsewhere('https://edge2.example', page)).toBe(true);
});
