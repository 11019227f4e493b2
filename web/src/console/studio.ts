// Broadcasting from this browser: devices, preview, the key that is made for it, and the connection, which
// is made again when it is lost, but not when somebody ended it. Lives as long as the page, so that one can
// look at other views meanwhile.

import type { Api } from './api.ts';
import { ApiError } from './api.ts';
import type { Key } from './model.ts';
import { type Decision, type Source, Whip, WhipError } from './whip.ts';

export type Stage = 'off' | 'preview' | 'connecting' | 'live' | 'reconnecting';

export type Trouble =
  | 'denied'
  | 'not-found'
  | 'in-use'
  | 'screen-ended'
  | 'lost-device'
  | 'refused'
  | 'failed'
  | 'keys-full'
  | 'api'
  | Decision;

/** Pauses between attempts double from the first to the last; then it goes on for as long as it takes. */
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 8_000;
/** The first attempts fail for reasons that stay; who was live already is worth more of them. */
const FIRST_ATTEMPTS = 2;
/** The label of keys that are made for this, and taken back. */
const KEY_LABEL = 'Browser';
/** Nobody is live for so long with a key that was not used since: its page has crashed. */
const KEY_OLD_MS = 12 * 3_600_000;

export interface StudioOptions {
  readonly api: {
    readonly keys: Pick<Api['keys'], 'list' | 'create' | 'revoke' | 'revokeAtExit'>;
    readonly broadcasts: Pick<Api['broadcasts'], 'get' | 'live'>;
  };
  readonly whip: () => string | null;
  readonly publish?: typeof Whip.publish;
}

interface Given {
  readonly broadcast: string;
  readonly id: string;
  readonly secret: string;
}

export class Studio extends EventTarget {
  stage: Stage = 'off';
  source: Source = 'camera';
  /** Ids of devices; empty: whichever the browser likes. */
  camera = '';
  /** `null`: none at all. */
  microphone: string | null = '';
  stream: MediaStream | null = null;
  muted = false;
  trouble: Trouble | null = null;
  /** What the server said. */
  reason = '';
  /** When to try again, seconds; null where the server did not say. */
  retryAfter: number | null = null;
  /** The broadcast that it is for. */
  broadcast: string | null = null;
  devices: readonly MediaDeviceInfo[] = [];
  readonly #options: StudioOptions;
  #whip: Whip | null = null;
  #key: Given | null = null;
  #run: AbortController | null = null;
  #mixer: AudioContext | null = null;
  #opening = 0;

  constructor(options: StudioOptions) {
    super();
    this.#options = options;
  }

  get sending(): boolean {
    return this.stage === 'connecting' || this.stage === 'live' || this.stage === 'reconnecting';
  }

  static get supported(): boolean {
    return typeof RTCPeerConnection !== 'undefined' && !!navigator.mediaDevices?.getUserMedia;
  }

  /** Opens the devices, and shows what they give. While live, they take the place of the former. */
  async open(broadcast: string, source: Source = this.source): Promise<void> {
    if (this.sending && this.broadcast !== broadcast) return;
    this.#opening += 1;
    const opening = this.#opening;
    this.trouble = null;
    this.broadcast = broadcast;
    try {
      const stream = await this.#capture(source);
      if (opening !== this.#opening) return stopped(stream);
      const former = this.stream;
      this.source = source;
      this.stream = stream;
      for (const track of stream.getAudioTracks()) track.enabled = !this.muted;
      this.#watch(stream);
      await this.#exchange(former, stream);
      if (former) stopped(former);
      if (this.stage === 'off') this.stage = 'preview';
      this.devices = await navigator.mediaDevices.enumerateDevices();
    } catch (error) {
      if (opening !== this.#opening) return;
      this.trouble = troubleOf(error);
      if (!this.stream) this.stage = 'off';
    }
    this.#changed();
  }

  mute(muted: boolean): void {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
    this.#changed();
  }

  /** Makes a key and sends until `stop`. */
  async goLive(): Promise<void> {
    const { broadcast, stream } = this;
    const url = this.#options.whip();
    if (!broadcast || !stream || this.sending || !url) return;
    const run = new AbortController();
    this.#run = run;
    this.#tell(null);
    this.#become('connecting');
    try {
      await this.#revokeOld(broadcast);
      const made = await this.#options.api.keys.create(broadcast, { label: KEY_LABEL });
      this.#key = { broadcast, id: made.id, secret: made.key };
    } catch (error) {
      const full = error instanceof ApiError && error.code === 'conflict';
      this.#tell(full ? 'keys-full' : 'api', error instanceof ApiError ? error.detail : '');
      return this.#become('preview');
    }
    // It was stopped while the key was made.
    if (run.signal.aborted) return this.#giveBack();
    await this.#connect(url, run.signal, FIRST_ATTEMPTS);
  }

  /** Says goodbye, takes the key back, and keeps the preview. */
  async stop(): Promise<void> {
    this.#run?.abort();
    this.#run = null;
    this.#whip?.close();
    this.#whip = null;
    if (this.stage !== 'off') this.#become(this.stream ? 'preview' : 'off');
    await this.#giveBack();
  }

  /** Lets go of the devices as well. */
  async close(): Promise<void> {
    this.#opening += 1;
    if (this.stream) stopped(this.stream);
    this.stream = null;
    void this.#mixer?.close();
    this.#mixer = null;
    await this.stop();
    this.#become('off');
  }

  /** The page goes away: what is left to say has to be said at once. */
  abandon(): void {
    this.#whip?.close();
    const key = this.#key;
    this.#key = null;
    if (key) this.#options.api.keys.revokeAtExit(key.broadcast, key.id);
  }

  stats(): Promise<RTCStatsReport> | null {
    return this.#whip?.stats() ?? null;
  }

  async #connect(url: string, stop: AbortSignal, attemptsMax: number): Promise<void> {
    for (let attempt = 0; !stop.aborted; attempt += 1) {
      const { stream } = this;
      const key = this.#key;
      if (!stream || !key) return;
      try {
        // Who was live already goes on only if that is what people want.
        const decision = this.stage === 'reconnecting' ? await this.#decided(key) : null;
        if (stop.aborted) return;
        if (decision) return await this.#end(decision);
        this.#whip?.leave();
        this.#whip = null;
        const lost = () => {
          if (stop.aborted) return;
          this.#become('reconnecting');
          void this.#connect(url, stop, Number.POSITIVE_INFINITY);
        };
        const to = new URL(url, location.href).href;
        const { secret } = key;
        const { source } = this;
        const { publish = Whip.publish } = this.#options;
        this.#whip = await publish({ url: to, key: secret, stream, source, signal: stop, lost });
        this.#tell(null);
        return this.#become('live');
      } catch (error) {
        if (stop.aborted) return;
        if (error instanceof ApiError && /^40[134]$/.test(String(error.status))) {
          return await this.#end('api', error.detail);
        }
        // Who is not reached says nothing of what was decided, and is asked again.
        const { final, reason, status, decision, retryAfter } =
          error instanceof WhipError ? error : new WhipError(0, '');
        if (final || attempt + 1 >= attemptsMax) {
          const trouble = decision ?? (status > 0 ? 'refused' : 'failed');
          return await this.#end(trouble, reason, retryAfter);
        }
      }
      await pause(Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt), stop);
    }
  }

  /** Why the broadcast is not to go on from here; null if only the connection was lost. */
  async #decided({ broadcast, id }: Given): Promise<Decision | null> {
    const { broadcasts } = this.#options.api;
    const [{ blocked }, { publisher, state, since }] = await Promise.all([
      broadcasts.get(broadcast),
      broadcasts.live(broadcast),
    ]);
    if (blocked) return 'blocked';
    if (publisher) return publisher.key === id ? null : 'replaced';
    // As long as this page has not let go of its connection, it is not what has ended it; nor is an origin
    // that was started anew, which knows not since when it is over.
    return state === 'ended' && since !== null && this.#whip ? 'stopped' : null;
  }

  /** Stops, and says why. */
  async #end(trouble: Trouble, reason = '', retryAfter: number | null = null): Promise<void> {
    this.#tell(trouble, reason, retryAfter);
    await this.stop();
  }

  #tell(trouble: Trouble | null, reason = '', retryAfter: number | null = null): void {
    this.trouble = trouble;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }

  /** Takes back what pages left that went away without a word, before there are as many as may be. */
  async #revokeOld(broadcast: string): Promise<void> {
    const { keys, broadcasts } = this.#options.api;
    try {
      const all = await keys.list(broadcast);
      const old = all.filter((key) => isLeft(key, Date.now()));
      if (old.length === 0) return;
      const { publisher } = await broadcasts.live(broadcast);
      for (const { id } of old) if (id !== publisher?.key) await keys.revoke(broadcast, id);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // There may be room all the same.
    }
  }

  async #giveBack(): Promise<void> {
    const key = this.#key;
    this.#key = null;
    if (!key) return;
    await this.#options.api.keys.revoke(key.broadcast, key.id).catch(() => {
      // It stays in the list of keys, where it can be revoked.
    });
  }

  async #capture(source: Source): Promise<MediaStream> {
    const { mediaDevices } = navigator;
    const audio = this.microphone === null ? false : { deviceId: this.microphone || [] };
    if (source === 'camera') {
      const video = {
        deviceId: this.camera || [],
        width: { ideal: 1280 },
        height: { ideal: 720 },
        frameRate: { ideal: 30, max: 30 },
      };
      const camera = await mediaDevices.getUserMedia({ video, audio }).catch((error: unknown) => {
        if (!audio || (error as DOMException).name !== 'NotFoundError') throw error;
        // A camera without a microphone is better than nothing, and the level shows that there is none.
        this.microphone = null;
        return mediaDevices.getUserMedia({ video });
      });
      return hinted(camera, 'motion');
    }
    const screen = await mediaDevices.getDisplayMedia({
      video: { frameRate: { ideal: 30, max: 30 }, width: { max: 1920 }, height: { max: 1080 } },
      audio: true,
    });
    hinted(screen, 'detail');
    if (!audio) return screen;
    try {
      const voice = await mediaDevices.getUserMedia({ audio });
      return this.#mixed(screen, voice);
    } catch (error) {
      stopped(screen);
      throw error;
    }
  }

  /** The voice, and with it what the screen plays, if it was shared as well. */
  #mixed(screen: MediaStream, voice: MediaStream): MediaStream {
    const [picture] = screen.getVideoTracks();
    const stream = new MediaStream(picture ? [picture] : []);
    const [spoken] = voice.getAudioTracks();
    if (screen.getAudioTracks().length === 0) {
      if (spoken) stream.addTrack(spoken);
      return stream;
    }
    void this.#mixer?.close();
    const mixer = new AudioContext();
    this.#mixer = mixer;
    const out = mixer.createMediaStreamDestination();
    for (const each of [screen, voice]) {
      mixer.createMediaStreamSource(new MediaStream(each.getAudioTracks())).connect(out);
    }
    const [both] = out.stream.getAudioTracks();
    if (both) stream.addTrack(both);
    // Whoever stops the mixture stops what it was made of.
    both?.addEventListener('lectern-stop', () => {
      for (const each of [screen, voice]) stopped(each);
    });
    return stream;
  }

  /** Sends the new tracks in place of the former; where there was none of a kind, over a new connection. */
  async #exchange(former: MediaStream | null, stream: MediaStream): Promise<void> {
    const whip = this.#whip;
    if (!whip || this.stage !== 'live') return;
    const kinds = ['audio', 'video'] as const;
    const before = former?.getTracks().map(({ kind }) => kind) ?? [];
    const now = stream.getTracks().map(({ kind }) => kind);
    if (kinds.every((kind) => before.includes(kind) === now.includes(kind))) {
      for (const track of stream.getTracks()) {
        await whip.replace(track.kind as 'audio' | 'video', track);
      }
      await whip.adapt(this.source);
      return;
    }
    const [run, url] = [this.#run, this.#options.whip()];
    if (!run || !url) return;
    whip.leave();
    this.#whip = null;
    this.#become('reconnecting');
    void this.#connect(url, run.signal, Number.POSITIVE_INFINITY);
  }

  /** What the browser or the user takes away is not sent as a black picture. */
  #watch(stream: MediaStream): void {
    stream.getVideoTracks()[0]?.addEventListener('ended', () => {
      if (stream !== this.stream) return;
      const trouble = this.source === 'screen' ? 'screen-ended' : 'lost-device';
      const sending = this.sending;
      void this.close().then(() => {
        if (sending) this.trouble = trouble;
        this.#changed();
      });
    });
  }

  #become(stage: Stage): void {
    this.stage = stage;
    this.#changed();
  }

  #changed(): void {
    this.dispatchEvent(new Event('change'));
  }
}

/** Whether a key is one that was made for this, and that nobody needs any more. */
function isLeft({ label, revoked_at, created_at, used_at }: Key, nowMs: number): boolean {
  const lastMs = Date.parse(used_at ?? created_at);
  return label === KEY_LABEL && revoked_at === null && nowMs - lastMs > KEY_OLD_MS;
}

function hinted(stream: MediaStream, hint: 'motion' | 'detail'): MediaStream {
  for (const track of stream.getVideoTracks()) track.contentHint = hint;
  return stream;
}

/** Turns devices off. Their tracks say nothing of it, so the mixture is told. */
function stopped(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
    track.dispatchEvent(new Event('lectern-stop'));
  }
}

function troubleOf(error: unknown): Trouble | null {
  switch ((error as DOMException).name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'not-found';
    case 'NotReadableError':
      return 'in-use';
    default:
      return 'failed';
  }
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    stop.addEventListener('abort', end);
  });
}
