import { expect, test } from 'vitest';
import { iceServers } from '../src/engines/whep.ts';

test('ICE servers are read from the Link headers, which fetch joins by commas', () => {
  const link = [
    '<stun:stun.example.net>; rel="ice-server"',
    '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="a, b"; credential="c\\"d"; credential-type="password"',
    '<https://example.net/>; rel="help"',
    '<turns:[2001:db8::1]:5349>; rel=ice-server; username=u; credential=p',
  ].join(', ');
  expect(iceServers(link)).toEqual([
    { urls: 'stun:stun.example.net' },
    { urls: 'turn:turn.example.net?transport=udp', username: 'a, b', credential: 'c"d' },
    { urls: 'turns:[2001:db8::1]:5349', username: 'u', credential: 'p' },
  ]);
});

test.each(['', 'nonsense', '<', '<javascript:x>; rel="ice-server"', '<stun:a>; rel="x"'])(
  'no server is read from %j',
  (link) => {
    expect(iceServers(link)).toEqual([]);
  },
);
