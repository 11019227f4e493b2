// WebRTC by WHEP (RFC 9725): one POST of an offer, one answer, media over the edge's one port; the
// browser chooses TCP there if UDP does not get through. The edge is ICE-lite and puts its addresses
// into the answer, so nothing is trickled, no STUN server is asked and the offer goes out at once.
// Where the operator has TURN servers, the edge names them beside its answer: they are for the next
// attempt, should this one not get through.

import type { Failure } from '../ladder.ts';
import { latencyMs, mediaTimeMs } from '../media-clock.ts';
import type {
  Engine,
  EngineDetails,
  EngineSource,
  EngineStats,
  Listener,
  Transport,
} from './engine.ts';
import { NO_DETAILS, refusal, showOnly } from './engine.ts';
import { FRAGMENT_TYPE, restartedAnswer, restartFragment } from './ice-restart.ts';
import { between, type Counters, countersOf } from './received.ts';

/** The answer to an offer is computed, not waited for; slower than this is an edge in trouble. */
const ANSWER_TIMEOUT_MS = 5_000;
/** How often frames are counted: often enough for the ladder's stall rule, too seldom to cost. */
const COUNT_MS = 500;
/** Between two looks at the counters for those who want to know. */
const DETAILS_MS = 1_000;
/** So many frames received and none decoded: this browser cannot decode what the host sends. */
const UNDECODABLE_FRAMES = 45;

/** The TURN servers that each edge has named, for every attempt after the first. */
const iceServersOf = new Map<string, RTCIceServer[]>();

export class WhepEngine implements Engine {
  readonly path = 'webrtc';
  readonly #listener: Listener;
  #pc: RTCPeerConnection | null = null;
  #video: HTMLVideoElement | null = null;
  #source: EngineSource | null = null;
  #session: string | null = null;
  /** Where a rendition is asked for (the layer extension of WHEP). */
  #layer: string | null = null;
  #answer = '';
  /** An ICE restart is under way. */
  #restarting = false;
  /** Another network came meanwhile, so that it may have asked over the former. */
  #restartAgain = false;
  #counters: Counters | null = null;
  #details: EngineDetails = NO_DETAILS;
  #stopped = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #framesDecoded = 0;
  /** The edge has no picture to send; then packets of sound are counted instead of frames. */
  #soundOnly = false;
  #heard = 0;
  #t0Ms: number | null = null;
  #mediaMs: number | null = null;
  #latencyMs: number | null = null;
  #transport: Transport | null = null;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  async start(video: HTMLVideoElement, source: EngineSource, signal: AbortSignal): Promise<void> {
    if (typeof RTCPeerConnection === 'undefined') {
      this.#fail({ kind: 'unsupported', reason: 'webrtc-unsupported' });
      return;
    }
    signal.addEventListener('abort', () => this.stop(), { once: true });
    this.#video = video;
    this.#source = source;
    try {
      await this.#connect(source.endpoints.whep, source.waitMs, signal);
    } catch (error) {
      if (this.#stopped) return;
      console.warn('whep:', error);
      // The edge did not answer, or its answer is not one that this browser can apply.
      this.#fail(
        this.#session ? { kind: 'unsuitable', reason: 'answer-refused' } : { kind: 'unreachable' },
      );
    }
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#leave();
    this.#pc?.close();
    if (this.#video) this.#video.srcObject = null;
  }

  /** A live track has no past: playing it is being live. */
  goLive(): void {}
  seek(): void {}

  choose(rendition: string | null): void {
    if (!this.#layer) return;
    const body = JSON.stringify({ encodingId: rendition });
    const headers = { 'Content-Type': 'application/json' };
    fetch(this.#layer, { method: 'POST', headers, body }).catch(() => {
      // The edge is gone; whoever takes its place is told with the offer.
    });
  }

  caption(track: TextTrack | null): void {
    showOnly(this.#video, track);
  }

  labelOf({ label }: TextTrack): string {
    return label;
  }

  network(): void {
    this.#restartAgain = this.#restarting;
    void this.#restart();
  }

  details(): EngineDetails {
    return this.#details;
  }

  stats(): EngineStats {
    return {
      mediaMs: this.#mediaMs,
      t0Ms: this.#t0Ms,
      latencyMs: this.#latencyMs,
      transport: this.#transport,
    };
  }

  async #connect(url: string, waitMs: number, stop: AbortSignal): Promise<void> {
    const known = iceServersOf.get(url) ?? [];
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: known });
    this.#pc = pc;
    this.#watch(pc);
    const audio = pc.addTransceiver('audio', { direction: 'recvonly' });
    const video = pc.addTransceiver('video', { direction: 'recvonly' });
    if (this.#video)
      this.#video.srcObject = new MediaStream([audio.receiver.track, video.receiver.track]);

    const offer = stereo((await pc.createOffer()).sdp ?? '');
    await pc.setLocalDescription({ type: 'offer', sdp: offer });
    const headers: Record<string, string> = {
      'Content-Type': 'application/sdp',
      ...this.#source?.first,
    };
    if (waitMs > 0) headers.Prefer = `wait=${waitMs / 1000}`; // RFC 7240 §4.3
    const { rendition } = this.#source ?? {};
    const query = rendition ? `?rendition=${encodeURIComponent(rendition)}` : '';
    const answer = await fetch(url + query, {
      method: 'POST',
      headers,
      body: pc.localDescription?.sdp ?? offer,
      signal: patience(waitMs, stop),
    });
    if (waitMs > 0) this.#listener({ type: 'answered' });
    if (answer.status !== 201) {
      this.#fail(refusal(answer.status, answer.headers));
      return;
    }
    const links = answer.headers.get('Link') ?? '';
    iceServersOf.set(url, iceServers(links));
    const layer = layerLink(links);
    this.#layer = layer && new URL(layer, answer.url).href;
    const location = answer.headers.get('Location');
    this.#session = location && new URL(location, answer.url).href;
    if (this.#stopped) return this.#leave();
    const t0 = answer.headers.get('Lectern-T0') ?? '';
    this.#t0Ms = /^\d{1,15}$/.test(t0) ? Number(t0) : null;
    this.#answer = await answer.text();
    await pc.setRemoteDescription({ type: 'answer', sdp: this.#answer });
    if (this.#stopped) return;
    this.#soundOnly = video.currentDirection !== 'recvonly';
    // A track that never comes would be shown as a black picture.
    if (this.#soundOnly && this.#video) {
      this.#video.srcObject = new MediaStream([audio.receiver.track]);
    }
    // A close_notify of the edge shows here, and only here.
    const { transport } = (this.#soundOnly ? audio : video).receiver;
    transport?.addEventListener('statechange', () => {
      if (transport.state === 'closed' || transport.state === 'failed') this.#lost();
    });
    this.#present(video.receiver);
    this.#timer = setInterval(() => void this.#count(pc), COUNT_MS);
  }

  #watch(pc: RTCPeerConnection): void {
    pc.addEventListener('connectionstatechange', () => {
      if (this.#stopped) return;
      if (pc.connectionState === 'connected') this.#listener({ type: 'connected' });
      if (pc.connectionState === 'failed' || pc.connectionState === 'closed') this.#lost();
    });
    pc.addEventListener('iceconnectionstatechange', () => {
      if (pc.iceConnectionState === 'disconnected') void this.#restart();
    });
  }

  /**
   * Looks for another way to the same session, as after a change of network (RFC 9725 §4.3.3). Whether
   * it is found shows in the pictures; if not, the ladder goes on without it.
   */
  async #restart(): Promise<void> {
    const [pc, session] = [this.#pc, this.#session];
    if (!pc || !session || this.#stopped || this.#restarting || !this.#answer) return;
    // The session's own answer is being taken.
    if (pc.signalingState !== 'stable') return;
    this.#restarting = true;
    try {
      await this.#renew(pc, session);
    } catch (error) {
      if (!this.#stopped) console.warn('whep: ICE restart:', error);
    }
    await rollBack(pc);
    this.#restarting = false;
    if (!this.#restartAgain) return;
    this.#restartAgain = false;
    await this.#restart();
  }

  /** Offers the session new credentials and takes those of the edge. */
  async #renew(pc: RTCPeerConnection, session: string): Promise<void> {
    const offer = await pc.createOffer({ iceRestart: true });
    const body = restartFragment(offer.sdp ?? '');
    if (body === null) return;
    await pc.setLocalDescription({ type: 'offer', sdp: stereo(offer.sdp ?? '') });
    const answer = await fetch(session, {
      method: 'PATCH',
      headers: { 'Content-Type': FRAGMENT_TYPE, 'If-Match': '*' },
      body,
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const sdp = answer.status === 200 ? restartedAnswer(this.#answer, await answer.text()) : null;
    if (this.#stopped || sdp === null) return;
    this.#answer = sdp;
    await pc.setRemoteDescription({ type: 'answer', sdp });
  }

  #lost(): void {
    const reason = this.#framesDecoded > 0 || this.#heard > 0 ? 'connection-lost' : 'no-connection';
    this.#fail({ kind: 'unsuitable', reason });
  }

  #fail(failure: Failure): void {
    if (this.#stopped) return;
    clearInterval(this.#timer);
    this.#listener({ type: 'failed', failure });
  }

  /** Follows the frames on their way to the screen, for the media clock. */
  #present(receiver: RTCRtpReceiver): void {
    const video = this.#video;
    if (!video || this.#stopped) return;
    if (!('requestVideoFrameCallback' in video)) return;
    video.requestVideoFrameCallback((now, frame) => {
      if (this.#stopped) return;
      if (this.#framesDecoded === 0) {
        this.#framesDecoded = 1;
        this.#listener({ type: 'frame' });
      }
      const rtp = frame.rtpTimestamp ?? receiver.getSynchronizationSources()[0]?.rtpTimestamp;
      if (rtp !== undefined) this.#shown(rtp, frame.expectedDisplayTime - now);
      this.#present(receiver);
    });
  }

  /** A frame with this timestamp is on the screen `inMs` from now. */
  #shown(rtpTimestamp: number, inMs: number): void {
    const serverNow = this.#source?.captureNowMs() ?? null;
    if (serverNow === null || this.#t0Ms === null) return;
    this.#mediaMs = mediaTimeMs(rtpTimestamp, serverNow - this.#t0Ms);
    this.#latencyMs = latencyMs(serverNow + inMs, this.#t0Ms, this.#mediaMs);
  }

  /** Counts decoded frames: unlike callbacks on presentation this works in a hidden tab as well. */
  async #count(pc: RTCPeerConnection): Promise<void> {
    const report = await pc.getStats();
    if (this.#stopped) return;
    this.#transport = transport(report);
    const now = performance.now();
    if (!this.#counters || now - this.#counters.atMs >= DETAILS_MS) {
      const counters = countersOf(report.values(), now);
      this.#details = between(this.#counters, counters);
      this.#counters = counters;
    }
    for (const entry of report.values()) {
      if (entry.type !== 'inbound-rtp') continue;
      if (entry.kind === 'audio') this.#hear((entry as RTCInboundRtpStreamStats).packetsReceived);
      if (entry.kind !== 'video') continue;
      const { framesDecoded = 0, framesReceived = 0 } = entry as RTCInboundRtpStreamStats;
      if (framesDecoded > this.#framesDecoded) {
        this.#framesDecoded = framesDecoded;
        this.#listener({ type: 'frame' });
      } else if (framesDecoded === 0 && framesReceived >= UNDECODABLE_FRAMES) {
        this.#fail({ kind: 'unsuitable', reason: 'undecodable' });
      }
    }
  }

  #hear(packets = 0): void {
    if (this.#soundOnly && packets > this.#heard) this.#listener({ type: 'frame' });
    this.#heard = packets;
  }

  /** Tells the edge (RFC 9725 §4.2), even from a page that is being closed. */
  #leave(): void {
    if (!this.#session) return;
    fetch(this.#session, { method: 'DELETE', keepalive: true }).catch(() => {
      // The edge is gone, and the session with it.
    });
    this.#session = null;
  }
}

/** Takes an offer back that got no answer: it forbids the next, and is not what holds on the old way. */
async function rollBack(pc: RTCPeerConnection): Promise<void> {
  if (pc.signalingState !== 'have-local-offer') return;
  await pc.setLocalDescription({ type: 'rollback' }).catch(() => {
    // Closed meanwhile.
  });
}

/** What the selected candidate pair of a report runs over. */
export function transport(report: RTCStatsReport): Transport | null {
  for (const entry of report.values()) {
    if (entry.type !== 'transport') continue;
    const pair = report.get((entry as RTCTransportStats).selectedCandidatePairId ?? '');
    const protocol: unknown = report.get(pair?.localCandidateId ?? '')?.protocol;
    return protocol === 'udp' || protocol === 'tcp' ? protocol : null;
  }
  return null;
}

/**
 * When to give up on an answer. One that comes at once is waited for even after `stop`, because it
 * names a session to leave; one that is held may be a long time coming, and is not.
 */
function patience(waitMs: number, stop: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(waitMs + ANSWER_TIMEOUT_MS);
  return waitMs > 0 ? AbortSignal.any([timeout, stop]) : timeout;
}

/** The ICE servers of a `Link` header (RFC 9725 §4.6); links that say anything else are passed over. */
export function iceServers(link: string): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  // Between the links of one header there may be commas in quotes.
  for (const [, urls, rest = ''] of link.matchAll(/<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)/g)) {
    const parameter = (name: string): string | undefined => {
      const value = new RegExp(
        `;\\s*${name}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;,"]+))`,
        'i',
      );
      const [, quoted, token] = value.exec(rest) ?? [];
      return quoted?.replace(/\\(.)/g, '$1') ?? token;
    };
    if (!urls || parameter('rel') !== 'ice-server' || !/^(stun|turn)s?:/.test(urls)) continue;
    const username = parameter('username');
    const credential = parameter('credential');
    const account = username !== undefined && credential !== undefined;
    servers.push(account ? { urls, username, credential } : { urls });
  }
  return servers;
}

/** Where the session lets a rendition be chosen, of a `Link` header. */
export function layerLink(links: string): string | null {
  const found = /<([^>]*)>\s*;\s*rel="?urn:ietf:params:whep:ext:core:layer"?/.exec(links);
  return found?.[1] ?? null;
}

/** Asks for stereo Opus, which browsers receive only when their own offer says so (RFC 7587 §6.1). */
export function stereo(sdp: string): string {
  const payload = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/im.exec(sdp)?.[1];
  if (!payload) return sdp;
  return sdp.replace(new RegExp(`^(a=fmtp:${payload} [^\\r\\n]*)`, 'm'), (line) =>
    /\bstereo=/.test(line) ? line : `${line};stereo=1`,
  );
}
