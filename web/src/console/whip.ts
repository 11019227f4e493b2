// Publishing from a browser by WHIP (RFC 9725): one POST of an offer with all candidates, one answer, one
// DELETE. Owns one connection; that another follows one that was lost is `studio`'s.

/** The answer is computed, not waited for. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Addresses of this machine are found at once; who waits longer waits for a server that is not there. */
const GATHER_MS = 1_000;
/** ICE and DTLS are done by then, or the media port is blocked. */
const CONNECT_MS = 15_000;
/** A network that is only slow is back by then; browsers would wait for half a minute. */
const DISCONNECTED_MS = 4_000;

/** What kind of picture: what gives way where the network is narrow. */
export type Source = 'camera' | 'screen';

export interface Rates {
  readonly maxBitrate: number;
  readonly maxFramerate: number;
  readonly degradationPreference: 'maintain-framerate' | 'maintain-resolution';
}

/** A face is to move smoothly; a slide is to be legible. */
export const RATES: Readonly<Record<Source, Rates>> = {
  camera: {
    maxBitrate: 2_500_000,
    maxFramerate: 30,
    degradationPreference: 'maintain-framerate',
  },
  screen: {
    maxBitrate: 4_000_000,
    maxFramerate: 30,
    degradationPreference: 'maintain-resolution',
  },
};

/** Why somebody is not to publish now, whatever the connection is like: people have decided it. */
export const DECISIONS = ['stopped', 'blocked', 'replaced'] as const;
export type Decision = (typeof DECISIONS)[number];

/** Why a connection was not made, or was lost. `reason`: what the server said, if it did. */
export class WhipError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly decision: Decision | null;
  /** When to come back, seconds; null where it was not said. */
  readonly retryAfter: number | null;
  /** Trying again as it is would be no use. */
  readonly final: boolean;

  constructor(status: number, reason: string, code = '', retryAfter: number | null = null) {
    super(`WHIP: ${status} ${reason}`);
    this.name = 'WhipError';
    this.status = status;
    this.reason = reason;
    this.decision = DECISIONS.find((each) => each === code) ?? null;
    this.retryAfter = retryAfter;
    const refused = status >= 400 && status < 500 && status !== 408 && status !== 429;
    this.final = this.decision !== null || refused;
  }
}

/** H.264 first, which the origin carries as it is; then what the browser has. Pure. */
export function preferred<C extends { readonly mimeType: string; readonly sdpFmtpLine?: string }>(
  codecs: readonly C[],
): C[] {
  const rank = ({ mimeType, sdpFmtpLine = '' }: C) => {
    if (!/^video\/h264$/i.test(mimeType)) return 2;
    return /packetization-mode=1/.test(sdpFmtpLine) ? 0 : 1;
  };
  return codecs
    .map((codec, index) => ({ codec, index }))
    .sort((a, b) => rank(a.codec) - rank(b.codec) || a.index - b.index)
    .map(({ codec }) => codec);
}

/** Speech in stereo with redundancy, and no gaps where nobody speaks. Pure. */
export function opusAsWanted(sdp: string): string {
  const type = /^a=rtpmap:(\d+) opus\//im.exec(sdp)?.[1];
  if (!type) return sdp;
  const line = new RegExp(`^(a=fmtp:${type} )(.*)$`, 'm');
  return sdp.replace(line, (_, start: string, given: string) => {
    const kept = given
      .trim()
      .split(';')
      .filter((each) => !/^\s*(usedtx|sprop-stereo|stereo|maxaveragebitrate)=/.test(each));
    return `${start}${[...kept, 'sprop-stereo=1', 'stereo=1', 'usedtx=0'].join(';')}`;
  });
}

export interface WhipOptions {
  readonly url: string;
  readonly key: string;
  readonly stream: MediaStream;
  readonly source: Source;
  readonly signal: AbortSignal;
  /** No media gets through any more; told once, and not after `close` or `leave`, of which it needs one. */
  readonly lost: () => void;
}

export class Whip {
  readonly #pc: RTCPeerConnection;
  readonly #options: WhipOptions;
  #session: string | null = null;
  #closed = false;
  #told = false;
  #patience: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: WhipOptions) {
    this.#options = options;
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  }

  /** Resolves once media flows; rejects with a `WhipError`. */
  static async publish(options: WhipOptions): Promise<Whip> {
    const whip = new Whip(options);
    try {
      await whip.#connect();
      return whip;
    } catch (error) {
      whip.close();
      if (error instanceof WhipError) throw error;
      throw new WhipError(0, error instanceof Error ? error.message : String(error));
    }
  }

  /** What is being sent: another camera or microphone takes the place of the former at once. */
  async replace(kind: 'audio' | 'video', track: MediaStreamTrack | null): Promise<void> {
    const sender = this.#pc
      .getTransceivers()
      .find(({ receiver }) => receiver.track.kind === kind)?.sender;
    await sender?.replaceTrack(track);
  }

  /** Another kind of picture takes the place of the former. */
  async adapt(source: Source): Promise<void> {
    const video = this.#pc
      .getTransceivers()
      .find(({ receiver }) => receiver.track.kind === 'video');
    if (video) await limit(video.sender, source);
  }

  /** What the browser measures of what it sends. */
  stats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  /** Says goodbye, so that the broadcast ends now and not after a timeout. */
  close(): void {
    const session = this.#session;
    const gone = this.#closed;
    this.leave();
    if (gone || !session) return;
    const headers = { Authorization: `Bearer ${this.#options.key}` };
    fetch(session, { method: 'DELETE', headers, keepalive: true }).catch(() => {
      // The origin notices by itself, only later.
    });
  }

  /** Lets go without a goodbye: another connection takes over, and for viewers nothing has ended. */
  leave(): void {
    this.#closed = true;
    clearTimeout(this.#patience);
    this.#pc.close();
  }

  async #connect(): Promise<void> {
    const { stream, source, signal, url, key } = this.#options;
    const pc = this.#pc;
    for (const track of stream.getTracks()) {
      const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
      if (track.kind === 'video') await this.#video(transceiver, source);
    }
    const offer = opusAsWanted((await pc.createOffer()).sdp ?? '');
    await pc.setLocalDescription({ type: 'offer', sdp: offer });
    await gathered(pc);
    signal.throwIfAborted();
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${key}` },
      body: pc.localDescription?.sdp ?? offer,
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    if (answer.status !== 201) throw await refusal(answer);
    const location = answer.headers.get('Location');
    this.#session = location && new URL(location, answer.url).href;
    const sdp = await answer.text();
    signal.throwIfAborted();
    await pc.setRemoteDescription({ type: 'answer', sdp });
    await this.#connected(signal);
    this.#watch();
  }

  /** Notices the end early: a viewer misses whatever is said until there is another connection. */
  #watch(): void {
    const pc = this.#pc;
    const look = () => {
      clearTimeout(this.#patience);
      if (/^(failed|closed)$/.test(pc.connectionState)) this.#lost();
      else if (pc.connectionState === 'disconnected') {
        this.#patience = setTimeout(() => this.#lost(), DISCONNECTED_MS);
      }
    };
    pc.addEventListener('connectionstatechange', look);
    // A goodbye of the server shows here, and only here.
    const transport = pc.getSenders().find(({ transport }) => transport)?.transport;
    transport?.addEventListener('statechange', () => {
      if (/^(failed|closed)$/.test(transport.state)) this.#lost();
    });
  }

  #lost(): void {
    if (this.#closed || this.#told) return;
    this.#told = true;
    this.#options.lost();
  }

  async #video(transceiver: RTCRtpTransceiver, source: Source): Promise<void> {
    const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
    try {
      transceiver.setCodecPreferences(preferred(codecs));
    } catch {
      // An older browser offers what it likes, and the origin takes what it can.
    }
    await limit(transceiver.sender, source);
  }

  #connected(signal: AbortSignal): Promise<void> {
    const pc = this.#pc;
    return new Promise((resolve, reject) => {
      const done = new AbortController();
      const end = (act: () => void) => {
        clearTimeout(timer);
        done.abort();
        act();
      };
      const timer = setTimeout(
        () => end(() => reject(new WhipError(0, 'no-connection'))),
        CONNECT_MS,
      );
      const look = () => {
        if (pc.connectionState === 'connected') end(resolve);
        else if (/^(failed|closed)$/.test(pc.connectionState)) {
          end(() => reject(new WhipError(0, 'no-connection')));
        }
      };
      pc.addEventListener('connectionstatechange', look, { signal: done.signal });
      signal.addEventListener('abort', () => end(() => reject(new WhipError(0, 'aborted'))), {
        signal: done.signal,
      });
      look();
    });
  }
}

async function limit(sender: RTCRtpSender, source: Source): Promise<void> {
  const { degradationPreference, ...limits } = RATES[source];
  const parameters = sender.getParameters();
  const [encoding] = parameters.encodings;
  if (encoding) Object.assign(encoding, limits);
  await sender.setParameters({ ...parameters, degradationPreference }).catch(() => {
    // It sends all the same, as the browser thinks best.
  });
}

/** Waits for this machine's addresses, for the server is told nothing later. */
function gathered(pc: RTCPeerConnection): Promise<void> {
  if (pc.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    pc.addEventListener('icegatheringstatechange', () => {
      if (pc.iceGatheringState !== 'complete') return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Reads what the server says is wrong (RFC 9457), with care: a proxy may have answered in its place. */
export async function refusal(answer: Response): Promise<WhipError> {
  const text = (await answer.text().catch(() => '')).slice(0, 2_000);
  const wait = answer.headers.get('Retry-After') ?? '';
  const retryAfter = /^\d{1,6}$/.test(wait) ? Number(wait) : null;
  try {
    const { detail, title, code } = JSON.parse(text) as Record<string, unknown>;
    const said = String(detail ?? title ?? '');
    return new WhipError(answer.status, said, typeof code === 'string' ? code : '', retryAfter);
  } catch {
    return new WhipError(answer.status, text, '', retryAfter);
  }
}
