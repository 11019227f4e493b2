// `<lectern-player src="/live/<id>">`: the live player as an element for any page. Owns how it looks
// and what the viewer wants (paused, muted, volume, full screen); what plays, and by which path, is
// the session's.

import { html, LitElement, nothing } from 'lit';
import { colours } from './colours.ts';
import type { Transport } from './engines/engine.ts';
import type { RequestEvent } from './lectern-controls.ts';
import './lectern-controls.ts';
import { ICONS } from './icons.ts';
import { isPath, type Path, type State } from './ladder.ts';
import { Smoothed } from './media-clock.ts';
import { playerStyles } from './player-styles.ts';
import { Session } from './session.ts';
import {
  latencyText,
  type Message,
  pathText,
  reasonText,
  type Texts,
  textsFor,
} from './texts/texts.ts';

/** The latency shown changes this often: quick enough to follow, slow enough to read. */
const LATENCY_MS = 500;
/** Controls fade after so long without a movement. */
const IDLE_MS = 3_000;

/** States in which something is being waited for, and the waiting should look alive. */
const PENDING: ReadonlySet<State> = new Set(['waiting', 'connecting', 'reconnecting', 'paused']);

/**
 * @attr {string} src - `/live/<id>` of an edge, relative or absolute
 * @attr {string} lang - the language of its texts; without it, the viewer's
 * @attr {'webrtc' | 'dash' | 'hls'} pin - plays by this path alone
 * @attr {State} state - reflected; what is going on
 * @attr {Path} path - reflected; the path of the picture on screen
 * @attr {'udp' | 'tcp'} transport - reflected; what WebRTC's media comes over
 * @attr {number} latency-ms - reflected; measured, smoothed
 * @attr {string} fallback-reason - reflected; why it is not WebRTC
 * @fires lectern-src - `src` is another
 * @slot title - between the picture and the status line
 * @csspart frame - the picture and what lies over it
 * @csspart message - the text over the picture while there is no live one
 * @csspart controls - the bar of controls
 * @csspart unmute - the button shown where the browser insisted on silence
 * @csspart status - the line below the picture
 * @csspart badge - the path's name in the status line
 * @cssprop --lectern-accent, --lectern-text, --lectern-quiet, --lectern-line, --lectern-focus
 * @cssprop --lectern-font, --lectern-radius, --lectern-max-height
 */
export class LecternPlayer extends LitElement {
  static override styles = [colours, playerStyles];

  static override properties = {
    src: { type: String },
    lang: { type: String },
    pin: { type: String },
    state: { type: String, reflect: true },
    path: { type: String, reflect: true },
    transport: { type: String, reflect: true },
    latencyMs: { type: Number, reflect: true, attribute: 'latency-ms' },
    fallbackReason: { type: String, reflect: true, attribute: 'fallback-reason' },
    paused: { state: true },
    muted: { state: true },
    volume: { state: true },
    silenced: { state: true },
    idle: { state: true },
    soundOnly: { state: true },
    fullscreen: { state: true },
  };

  declare src: string;
  declare lang: string;
  declare pin: Path | null;
  declare state: State;
  declare path: Path | null;
  declare transport: Transport | null;
  declare latencyMs: number | null;
  declare fallbackReason: string | null;
  /** The viewer paused. */
  declare private paused: boolean;
  declare private muted: boolean;
  declare private volume: number;
  /** The browser refused sound without a gesture. */
  declare private silenced: boolean;
  declare private idle: boolean;
  /** There is no picture, nor will there be one. */
  declare private soundOnly: boolean;
  declare private fullscreen: boolean;

  #session: Session | null = null;
  #video: HTMLVideoElement | null = null;
  #latency = new Smoothed();
  #meter: ReturnType<typeof setInterval> | undefined;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #listeners: AbortController | null = null;

  constructor() {
    super();
    this.src = '';
    this.lang = '';
    this.pin = null;
    this.state = 'connecting';
    this.path = null;
    this.transport = null;
    this.latencyMs = null;
    this.fallbackReason = null;
    this.paused = false;
    this.muted = false;
    this.volume = 1;
    this.silenced = false;
    this.idle = false;
    this.soundOnly = false;
    this.fullscreen = false;
  }

  /** The video element whose picture is on screen; null before the first. Another after a handover. */
  get video(): HTMLVideoElement | null {
    return this.#video;
  }

  /**
   * Media time of the picture on screen, ms since T0; null where it is not known, as before the first
   * picture or of sound alone. It moves as the picture does.
   */
  get mediaMs(): number | null {
    return this.#session?.stats()?.mediaMs ?? null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    window.addEventListener('online', () => this.#session?.network(), { signal });
    // Leaving the page leaves the session; a page that comes back from the cache begins a new one.
    window.addEventListener('pagehide', () => this.#close(), { signal });
    window.addEventListener('pageshow', (event) => event.persisted && this.#open(), { signal });
    this.addEventListener(
      'fullscreenchange',
      () => {
        this.fullscreen = document.fullscreenElement === this;
      },
      { signal },
    );
    this.addEventListener('keydown', (event) => this.#key(event), { signal });
    this.#meter = setInterval(() => this.#measure(), LATENCY_MS);
    if (this.hasUpdated) this.#open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#listeners?.abort();
    clearInterval(this.#meter);
    clearTimeout(this.#idleTimer);
    this.#close();
  }

  override updated(changed: Map<PropertyKey, unknown>): void {
    if (changed.has('src') || changed.has('pin')) this.#open();
    // For what belongs to the same broadcast, beside the picture.
    if (changed.has('src')) this.dispatchEvent(new Event('lectern-src'));
  }

  override render() {
    const texts = this.#texts();
    const text = this.#message(texts);
    return html`
      <div
        class="frame ${this.idle && this.state === 'live' && !this.paused ? 'idle' : ''}"
        part="frame" tabindex="0" role="region" aria-label=${texts.controls.player} lang=${texts.lang}
        @pointermove=${this.#active} @pointerdown=${this.#active} @focusin=${this.#active}
        @dblclick=${this.#doubleClicked}
      >
        <div id="stage"></div>
        <div role="status">
          ${
            text
              ? html`<div class="message" part="message">
                  ${PENDING.has(this.state) ? html`<div class="pulse"><i></i><i></i><i></i></div>` : nothing}
                  <strong>${text.title}</strong>
                  ${text.detail ? html`<span>${text.detail}</span>` : nothing}
                </div>`
              : nothing
          }
        </div>
        ${
          this.silenced && this.path
            ? html`<button class="unmute" part="unmute" type="button" @click=${() => this.#mute(false)}>
                ${ICONS.muted} ${texts.controls.tapToUnmute}
              </button>`
            : nothing
        }
        <lectern-controls
          ?hidden=${this.path === null && !PENDING.has(this.state)}
          part="controls" role="group" aria-label=${texts.controls.controls} .texts=${texts}
          ?paused=${this.paused} ?muted=${this.muted} volume=${this.volume}
          ?fullscreen=${this.fullscreen} ?can-pip=${document.pictureInPictureEnabled && this.path !== null}
          ?live=${this.state === 'live' && !this.paused} word=${texts.words[this.state]}
          @lectern-request=${this.#requested}
        ></lectern-controls>
      </div>
      <slot name="title"></slot>
      <div class="status" part="status" lang=${texts.lang}>
        ${this.path ? html`<span class="badge" part="badge">${pathText(texts, this.path, this.transport)}</span>` : nothing}
        ${
          this.latencyMs !== null && this.state === 'live'
            ? html`<span class="latency">${latencyText(texts, this.latencyMs)}</span>`
            : html`<span>${texts.words[this.state]}</span>`
        }
        ${
          this.fallbackReason && this.path && this.path !== 'webrtc'
            ? html`<details>
                <summary>${texts.controls.why}</summary>
                <p>${reasonText(texts, this.fallbackReason)}</p>
              </details>`
            : nothing
        }
      </div>
    `;
  }

  #texts(): Texts {
    return textsFor(this.lang ? [this.lang, ...navigator.languages] : navigator.languages);
  }

  #message(texts: Texts): Message | null {
    if (this.state === 'live' && this.soundOnly) return texts.soundOnly;
    const text = texts.states[this.state];
    const why = this.state === 'unplayable' && this.fallbackReason;
    return text && why ? { ...text, detail: reasonText(texts, why) } : text;
  }

  #open(): void {
    this.#close();
    if (!this.src || !this.isConnected) return;
    try {
      this.#session = new Session(this.src, isPath(this.pin) ? this.pin : null, {
        createVideo: () => this.#createVideo(),
        promoted: (video, old) => this.#promoted(video, old),
        changed: () => queueMicrotask(() => this.#changed()),
      });
    } catch (error) {
      console.error('lectern-player:', error);
      this.state = 'unknown';
    }
  }

  #close(): void {
    this.#session?.close();
    this.#session = null;
    this.#video = null;
    this.#latency.reset();
    this.path = null;
    this.transport = null;
    this.soundOnly = false;
    this.latencyMs = null;
    this.fallbackReason = null;
    this.state = 'connecting';
  }

  #changed(): void {
    if (!this.#session) return;
    this.state = this.#session.state;
    this.path = this.#session.path;
    this.fallbackReason = this.#session.fallbackReason;
  }

  #measure(): void {
    const stats = this.#session?.stats();
    const latency = stats?.latencyMs ?? null;
    this.transport = stats?.transport ?? null;
    this.soundOnly = this.#video !== null && this.#video.videoWidth === 0;
    if (this.state !== 'live' || this.paused || latency === null) {
      this.#latency.reset();
      this.latencyMs = null;
    } else {
      this.latencyMs = Math.round(this.#latency.push(latency));
    }
  }

  #createVideo(): HTMLVideoElement {
    const video = document.createElement('video');
    video.autoplay = true;
    video.playsInline = true;
    // Sound comes with the picture, at promotion; and muted media may always start.
    video.muted = true;
    video.disableRemotePlayback = true;
    this.renderRoot.querySelector('#stage')?.append(video);
    return video;
  }

  #promoted(video: HTMLVideoElement, old: HTMLVideoElement | null): void {
    this.#video = video;
    this.#latency.reset();
    video.classList.add('front');
    video.volume = this.volume;
    const { pictureInPictureElement } = this.renderRoot as ShadowRoot;
    if (old && pictureInPictureElement === old) {
      video.requestPictureInPicture().catch(() => {
        // The small window closes then; the picture itself goes on in the page.
      });
    }
    if (this.paused) video.pause();
    else if (!this.muted) void this.#sound(video);
  }

  /** Turns the sound on, or finds that the browser wants a gesture first. */
  async #sound(video: HTMLVideoElement): Promise<void> {
    video.muted = false;
    try {
      await video.play();
      this.silenced = false;
    } catch (error) {
      if ((error as DOMException).name !== 'NotAllowedError') return;
      video.muted = true;
      this.muted = true;
      this.silenced = true;
      await video.play().catch(() => {});
    }
  }

  #requested(event: RequestEvent): void {
    const request = event.detail;
    switch (request.want) {
      case 'play':
        return this.#pause(false);
      case 'pause':
        return this.#pause(true);
      case 'mute':
        return this.#mute(true);
      case 'unmute':
        return this.#mute(false);
      case 'volume':
        this.volume = request.volume;
        if (this.#video) this.#video.volume = request.volume;
        return this.#mute(request.volume === 0);
      case 'pip':
        void this.#togglePip();
        return;
      case 'fullscreen':
        void this.#toggleFullscreen();
        return;
    }
  }

  #pause(paused: boolean): void {
    this.paused = paused;
    this.#session?.hold(paused);
    if (paused) this.#video?.pause();
    else this.#video?.play().catch(() => {});
  }

  #mute(muted: boolean): void {
    this.muted = muted;
    this.silenced = false;
    if (!this.#video) return;
    if (muted) this.#video.muted = true;
    else void this.#sound(this.#video);
  }

  async #togglePip(): Promise<void> {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await this.#video?.requestPictureInPicture();
    } catch (error) {
      console.warn('lectern-player: picture in picture:', error);
    }
  }

  async #toggleFullscreen(): Promise<void> {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.requestFullscreen) await this.requestFullscreen();
      // An iPhone shows nothing but a video full screen.
      else
        (this.#video as { webkitEnterFullscreen?: () => void } | null)?.webkitEnterFullscreen?.();
    } catch (error) {
      console.warn('lectern-player: full screen:', error);
    }
  }

  /** Keys, wherever in the player the focus is; those that its controls use themselves are theirs. */
  #key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const inner = event.composedPath()[0];
    const onControl = inner instanceof HTMLButtonElement || inner instanceof HTMLInputElement;
    const act = {
      ' ': onControl ? null : () => this.#pause(!this.paused),
      k: () => this.#pause(!this.paused),
      m: () => this.#mute(!this.muted),
      f: () => void this.#toggleFullscreen(),
    }[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    this.#active();
    act();
  }

  #doubleClicked(event: MouseEvent): void {
    if (event.composedPath()[0] instanceof HTMLVideoElement) void this.#toggleFullscreen();
  }

  #active(): void {
    this.idle = false;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      this.idle = true;
    }, IDLE_MS);
  }
}

customElements.define('lectern-player', LecternPlayer);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-player': LecternPlayer;
  }
}
