import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { endpoints } from '../src/endpoints.ts';
import { iceServers, WhepEngine } from '../src/engines/whep.ts';

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

describe('a restart of ICE', () => {
  /** As much of a connection as an attempt needs: what is offered, and in what state that leaves it. */
  class FakeConnection extends EventTarget {
    signalingState = 'stable';
    iceConnectionState = 'connected';
    localDescription = null;
    addTransceiver = () => ({ receiver: { track: {} }, currentDirection: 'recvonly' });
    createOffer = async () => ({ sdp: 'm=audio 9\r\na=ice-ufrag:new\r\na=ice-pwd:secret\r\n' });
    getStats = async () => new Map();
    close() {
      this.signalingState = 'closed';
    }
    async setLocalDescription({ type }: RTCLocalSessionDescriptionInit) {
      this.signalingState = type === 'offer' ? 'have-local-offer' : 'stable';
    }
    async setRemoteDescription() {
      this.signalingState = 'stable';
    }
    lose() {
      this.iceConnectionState = 'disconnected';
      this.dispatchEvent(new Event('iceconnectionstatechange'));
    }
  }

  let pc: FakeConnection;
  let engine: WhepEngine;
  /** Restarts that the edge has not answered yet. */
  let asked: { answer(answer: Response): void; fail(): void }[];
  const answered = () => new Response('a=ice-ufrag:edge\r\na=ice-pwd:secret\r\n', { status: 200 });

  beforeEach(async () => {
    asked = [];
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    pc = new FakeConnection();
    vi.stubGlobal('RTCPeerConnection', function connection() {
      return pc;
    });
    vi.stubGlobal('MediaStream', class {});
    vi.stubGlobal('fetch', async (_to: string, { method }: { method: string }) => {
      if (method === 'PATCH') {
        return new Promise<Response>((answer, reject) => {
          asked.push({ answer, fail: () => reject(new TypeError('no network')) });
        });
      }
      const headers = { Location: 'https://a.example/whep/talk/1' };
      const answer = new Response('m=audio 9\r\n', { status: 201, headers });
      return Object.defineProperty(answer, 'url', { value: 'https://a.example/whep/talk' });
    });
    engine = new WhepEngine(() => {});
    const source = {
      endpoints: endpoints('https://a.example/live/talk', 'https://a.example'),
      headers: {},
      first: {},
      token: '',
      captureNowMs: () => null,
      t0Ms: () => null,
      waitMs: 0,
      startMs: null,
      rendition: null,
    };
    const video = {} as HTMLVideoElement;
    await engine.start(video, source, new AbortController().signal);
  });

  afterEach(() => {
    engine.stop();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  const times = (count: number) => vi.waitFor(() => expect(asked).toHaveLength(count));

  test('that failed without a network leaves nothing behind, and is made when there is one', async () => {
    pc.lose();
    await times(1);
    expect(pc.signalingState).toBe('have-local-offer');
    asked[0]?.fail();
    await vi.waitFor(() => expect(pc.signalingState).toBe('stable'));
    engine.network();
    await times(2);
    asked[1]?.answer(answered());
    await vi.waitFor(() => expect(pc.signalingState).toBe('stable'));
  });

  test('that the edge refuses leaves nothing behind', async () => {
    pc.lose();
    await times(1);
    asked[0]?.answer(new Response(null, { status: 404 }));
    await vi.waitFor(() => expect(pc.signalingState).toBe('stable'));
  });

  test('is one at a time, and made again for a network that came meanwhile', async () => {
    pc.lose();
    await times(1);
    engine.network();
    engine.network();
    pc.lose();
    asked[0]?.fail();
    await times(2);
    asked[1]?.answer(answered());
    await vi.waitFor(() => expect(pc.signalingState).toBe('stable'));
    expect(asked).toHaveLength(2);
  });
});
