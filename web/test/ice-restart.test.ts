import { expect, test } from 'vitest';
import { restartedAnswer, restartFragment } from '../src/engines/ice-restart.ts';
import { layerLink } from '../src/engines/whep.ts';

const OFFER = [
  'v=0',
  'a=group:BUNDLE 0 1',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=ice-ufrag:new1',
  'a=ice-pwd:0123456789012345678901',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:1',
  'a=ice-ufrag:new1',
  '',
].join('\r\n');

test('a restart sends the new credentials, of the first line of the bundle', () => {
  expect(restartFragment(OFFER)).toBe(
    'a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n' +
      'a=ice-ufrag:new1\r\na=ice-pwd:0123456789012345678901\r\n',
  );
  expect(restartFragment('v=0\r\n')).toBeNull();
});

test('the answer takes the edge’s new credentials on every line that had the old', () => {
  const answer = 'm=audio\r\na=ice-ufrag:old\r\na=ice-pwd:older\r\nm=video\r\na=ice-ufrag:old\r\n';
  const fragment = 'a=ice-lite\r\na=ice-ufrag:ours\r\na=ice-pwd:secret\r\n';
  expect(restartedAnswer(answer, fragment)).toBe(
    'm=audio\r\na=ice-ufrag:ours\r\na=ice-pwd:secret\r\nm=video\r\na=ice-ufrag:ours\r\n',
  );
  expect(restartedAnswer(answer, 'a=ice-lite\r\n')).toBeNull();
});

test('where a rendition is chosen is read from the Link of the answer', () => {
  const links =
    '<stun:a>; rel="ice-server", </whep/x/y/layer>; rel="urn:ietf:params:whep:ext:core:layer"';
  expect(layerLink(links)).toBe('/whep/x/y/layer');
  expect(layerLink('<stun:a>; rel="ice-server"')).toBeNull();
});
