// `<lectern-player src="/live/<id>">`: the live player as an element for any page. Owns how it looks
// and what the viewer wants (paused, muted, volume, how far back, full screen); what plays, and by
// which path, is the session's.

import { html, LitElement, nothing, type PropertyValues } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { CaptionKeeper } from './caption-keeper.ts';
import type { Caption } from './captions.ts';
import { colours } from './colours.ts';
import { controlStyles } from './control-styles.ts';
import { endpoints } from './endpoints.ts';
import type { Transport } from './engines/engine.ts';
import { ICONS } from './icons.ts';
import type { Info, Rendition } from './info.ts';
import { type Command, commandOf, focusOf } from './keys.ts';
import { isPath, type Path, type State } from './ladder.ts';
import type { LecternMedia, MediaOwner } from './lectern-media.ts';
import './lectern-media.ts';
import type { ChoiceEvent } from './lectern-menu.ts';
import './lectern-menu.ts';
import type { RegisteredEvent } from './lectern-registration.ts';
import './lectern-stats.ts';
import { loadControls, speak } from './media-chrome.ts';
import { Smoothed } from './media-clock.ts';
import { messageOf, type Said } from './message.ts';
import { playerStyles } from './player-styles.ts';
import { renditionName } from './rendition-name.ts';
import { Session } from './session.ts';
import { FrameRate, lookAt, type Row, statsRows } from './stats.ts';
import { type Texts, textsFor } from './texts/texts.ts';
import { keepRegistered, registeredToken } from './viewer-token.ts';
import { barView, messageView, statusView } from './views.ts';
import { STEP_MS } from './window.ts';

/** The latency shown changes this often: quick enough to follow, slow enough to read. */
const METER_MS = 500;
/** Between two looks of the panel for those who want to know. */
const STATS_MS = 1_000;
/** A thumb that is dragged comes to rest before the picture follows. */
const SEEK_MS = 250;
/** A step of the volume by keys. */
const VOLUME_STEP = 0.1;

/** `src` is another. `moved`: the player went to another edge of the same broadcast by itself. */
export class SrcEvent extends CustomEvent<{ readonly moved: boolean }> {
  constructor(moved: boolean) {
    super('lectern-src', { detail: { moved } });
  }
}

/**
 * @attr {string} src - `/live/<id>` of an edge, relative or absolute
 * @attr {string} edges - other edges of the same broadcast, as base URLs with spaces between
 * @attr {string} token - the viewer token, for a broadcast that needs one (docs/access.md)
 * @attr {string} lang - the language of its texts; without it, the viewer's
 * @attr {'webrtc' | 'dash' | 'hls'} pin - plays by this path alone
 * @attr {State} state - reflected; what is going on; `registering` while the host asks the viewer something
 *   first, and the form is shown in the place of the picture (docs/access.md)
 * @attr {Path} path - reflected; the path of the picture on screen
 * @attr {'udp' | 'tcp'} transport - reflected; what WebRTC's media comes over
 * @attr {number} latency-ms - reflected; measured, smoothed; not while the viewer is back in the window
 * @attr {number} behind-ms - reflected; how far back the viewer is by choice
 * @attr {string} fallback-reason - reflected; why it is not WebRTC
 * @fires lectern-src - `src` is another; `detail.moved`: by the player itself, for the same broadcast
 * @fires lectern-info - what the edge says of the broadcast has changed: see `broadcastTitle` and `info`
 * @fires lectern-registered - the viewer has registered; `detail.token` is what they watch with, and is the
 *   player's `token` from then on
 * @slot title - between the picture and the status line
 * @csspart frame - the picture and what lies over it
 * @csspart message - the text over the picture while there is no live one
 * @csspart replay - the link to the recording
 * @csspart controls - the bar of controls
 * @csspart control - each control of media-chrome in it
 * @csspart time-range - the range of what can be gone back to
 * @csspart stats - the panel for those who want to know
 * @csspart registration - what the host asks those who want to watch
 * @csspart unmute - the button shown where the browser insisted on silence
 * @csspart status - the line below the picture
 * @csspart badge - the path's name in the status line
 * @cssprop --lectern-accent, --lectern-text, --lectern-quiet, --lectern-line, --lectern-focus
 * @cssprop --lectern-font, --lectern-radius, --lectern-max-height, --lectern-range
 */
export class LecternPlayer extends LitElement implements MediaOwner {
  static override styles = [colours, playerStyles, controlStyles];

  static override properties = {
    src: { type: String },
    edges: { type: String },
    token: { type: String },
    lang: { type: String },
    pin: { type: String },
    state: { type: String, reflect: true },
    path: { type: String, reflect: true },
    transport: { type: String, reflect: true },
    latencyMs: { type: Number, reflect: true, attribute: 'latency-ms' },
    behindMs: { type: Number, reflect: true, attribute: 'behind-ms' },
    fallbackReason: { type: String, reflect: true, attribute: 'fallback-reason' },
    silenced: { state: true },
    soundOnly: { state: true },
    rows: { state: true },
    paused: { state: true },
    windowed: { state: true },
  };

  declare src: string;
  declare edges: string;
  declare token: string;
  declare lang: string;
  declare pin: Path | null;
  declare state: State;
  declare path: Path | null;
  declare transport: Transport | null;
  declare latencyMs: number | null;
  declare behindMs: number | null;
  declare fallbackReason: string | null;
  /** The browser refused sound without a gesture. */
  declare private silenced: boolean;
  /** There is no picture, nor will there be one. */
  declare private soundOnly: boolean;
  /** What the panel shows; null while it is closed. */
  declare private rows: readonly Row[] | null;
  /** The viewer paused. */
  declare paused: boolean;
  /** There is something to go back to. */
  declare private windowed: boolean;

  #session: Session | null = null;
  /** The address that the session was opened with, or went to by itself. */
  #opened = '';
  /** The token that the viewer was given here, and where; empty for none. */
  #registered = { at: '', token: '' };
  /** The form is there, and stays while the edge is lost: what was typed into it is not to be. */
  #asking = false;
  /** `src` was changed by the player itself, and nobody was told yet. */
  #moved = false;
  #video: HTMLVideoElement | null = null;
  /** What the edge had said when it was last looked at. */
  #info: Info | null = null;
  /** What of that others were told. */
  #about = '';
  #muted = false;
  #volume = 1;
  readonly #captions = new CaptionKeeper({
    labelOf: (track) => this.#session?.labelOf(track) ?? track.label,
    show: (track) => this.#session?.caption(track),
    changed: (type) => {
      this.#media()?.tellCaptions(type);
      this.requestUpdate();
    },
  });
  /** Where a thumb that is dragged is, ms back, until the picture follows. */
  #dragged: number | null = null;
  #seekTimer: ReturnType<typeof setTimeout> | undefined;
  #latency = new Smoothed();
  #frameRate = new FrameRate();
  #meter: ReturnType<typeof setInterval> | undefined;
  #statsTimer: ReturnType<typeof setInterval> | undefined;
  #listeners: AbortController | null = null;

  constructor() {
    super();
    this.src = '';
    this.edges = '';
    this.token = '';
    this.lang = '';
    this.pin = null;
    this.state = 'connecting';
    this.path = null;
    this.transport = null;
    this.latencyMs = null;
    this.behindMs = null;
    this.fallbackReason = null;
    this.silenced = false;
    this.soundOnly = false;
    this.rows = null;
    this.paused = false;
    this.windowed = false;
  }

  /** The video element whose picture is on screen; null before the first. Another after a handover. */
  get video(): HTMLVideoElement | null {
    return this.#video;
  }

  /**
   * Media time of the picture on screen, ms since T0; null where it is not known, as before the first
   * picture or of sound alone. It moves as the picture does, and is that of the past while one is back.
   */
  get mediaMs(): number | null {
    return this.#session?.stats()?.mediaMs ?? null;
  }

  /** What the host calls the broadcast, as far as the edge knows. */
  get broadcastTitle(): string | null {
    return this.#session?.info.title ?? null;
  }

  /** What the edge says of the broadcast; null before it has. */
  get info(): Info | null {
    return this.#session?.info ?? null;
  }

  get muted(): boolean {
    return this.#muted;
  }

  set muted(muted: boolean) {
    this.#mute(muted);
  }

  get volume(): number {
    return this.#volume;
  }

  set volume(volume: number) {
    this.#volume = Math.min(1, Math.max(0, volume));
    if (this.#video) this.#video.volume = this.#volume;
    this.#media()?.tell('volumechange');
  }

  /** The captions of the picture on screen. */
  get captions(): readonly Caption[] {
    return this.#captions.all;
  }

  /** How far back one may go, ms; zero while that is not known, or there is no path that could. */
  get windowMs(): number {
    const window = this.#session?.window();
    return window ? window.endMs - window.startMs : 0;
  }

  play(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#session?.hold(false);
    // A path without a past has nothing to show until another has found the place.
    const live = !this.#session?.behind || this.path !== 'webrtc';
    if (live) this.#resume();
    this.#media()?.tell('play', 'playing');
    this.#measure();
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.#session?.hold(true);
    this.#video?.pause();
    this.#media()?.tell('pause');
  }

  /** Goes so far back from live, as far as the window reaches; or to live, if that is next to it. */
  goBack(behindMs: number): void {
    const window = this.#session?.window();
    if (!window) return;
    this.#session?.seek(window.endMs - behindMs);
    this.#measure();
  }

  goLive(): void {
    this.#dragged = null;
    if (this.paused) this.play();
    this.#session?.goLive();
    this.#resume();
    this.#measure();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    const network = () => this.#session?.network();
    window.addEventListener('online', network, { signal });
    const { connection } = navigator as { connection?: EventTarget & { type?: string } };
    let type = connection?.type;
    const changed = () => {
      // It is said of every new estimate of the network's speed as well.
      if (connection?.type === type) return;
      type = connection?.type;
      if (type !== 'none') network();
    };
    connection?.addEventListener('change', changed, { signal });
    // Leaving the page leaves the session; a page that comes back from the cache begins a new one.
    window.addEventListener('pagehide', () => this.#close(), { signal });
    window.addEventListener('pageshow', (event) => event.persisted && this.#open(), { signal });
    this.addEventListener('keydown', (event) => this.#key(event), { signal });
    this.#meter = setInterval(() => this.#measure(), METER_MS);
    if (this.hasUpdated) this.#open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#listeners?.abort();
    clearInterval(this.#meter);
    clearInterval(this.#statsTimer);
    this.rows = null;
    this.#close();
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('src')) {
      this.#asking = false;
      this.#recall();
    }
    if (changed.has('state') && this.state === 'registering') this.#forgetRegistered();
    const lost = this.state === 'connecting' || this.state === 'reconnecting';
    this.#asking = this.state === 'registering' || (this.#asking && lost);
  }

  override firstUpdated(): void {
    const media = this.#media();
    if (media) media.owner = this;
    loadControls().then(
      () => {
        const controller = this.renderRoot.querySelector('media-controller');
        // Full screen is all of the player, so that its messages are there as well.
        if (controller) Object.assign(controller, { fullscreenElement: this });
      },
      // An old page asks an edge that was upgraded: the picture plays, and the keys work.
      (error) => console.warn('lectern-player: controls:', error),
    );
  }

  override updated(changed: PropertyValues<this>): void {
    const another = changed.has('src') && this.src !== this.#opened;
    const otherwise = changed.has('pin') || changed.has('edges') || changed.has('token');
    if (another || otherwise) this.#open();
    // For what belongs to the same broadcast, beside the picture.
    if (!changed.has('src') && !changed.has('token')) return;
    this.dispatchEvent(new SrcEvent(this.#moved));
    this.#moved = false;
  }

  override render() {
    const texts = this.#texts();
    speak(texts);
    const asking = this.#asking;
    return html`
      ${asking ? this.#registration(texts) : nothing}
      <div class="frame" part="frame" lang=${texts.lang} ?hidden=${asking}>
        <media-controller
          nohotkeys novolumepref nomutedpref nosubtitleslangpref noautoseektolive autohide="3"
          defaultstreamtype="live" @dblclick=${this.#doubleClicked} @contextmenu=${this.#contextMenu}
        >
          <lectern-media slot="media"></lectern-media>
          <div slot="centered-chrome" class="says" role="status" noautohide>
            ${messageView(texts, this.#said(texts))}
          </div>
          ${
            this.silenced && this.path
              ? html`<button
                  slot="top-chrome" class="unmute" part="unmute" type="button" noautohide
                  @click=${() => this.#mute(false)}
                >${ICONS.muted} ${texts.controls.tapToUnmute}</button>`
              : nothing
          }
          ${keyed(texts.lang, this.#bar(texts))}
        </media-controller>
      </div>
        ${
          this.rows
            ? html`<lectern-stats
                part="stats" role="region" aria-label=${texts.controls.stats} .texts=${texts}
                .rows=${this.rows} @close=${this.#toggleStats}
              ></lectern-stats>`
            : nothing
        }
      ${asking ? nothing : html`<slot name="title"></slot>${statusView(texts, this)}`}
    `;
  }

  #registration(texts: Texts) {
    return html`<lectern-registration
      part="registration" .texts=${texts} .endpoints=${this.#session?.endpoints ?? null}
      @lectern-registered=${this.#letIn}
    ></lectern-registration>`;
  }

  /** The viewer has answered, or need not any more. */
  #letIn({ detail: { token } }: RegisteredEvent): void {
    const session = this.#session;
    if (!session) return;
    this.#asking = false;
    if (token) {
      const at = session.endpoints.registration;
      this.#registered = { at, token };
      keepRegistered(at, token);
      this.token = token;
    } else this.#open();
    this.dispatchEvent(new CustomEvent('lectern-registered', { detail: { token } }));
    // Where the form had the focus, the picture that takes its place has it.
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector<HTMLElement>('media-controller')?.focus(),
    );
  }

  /** Takes up what the viewer was given before, unless the page brings a token itself. */
  #recall(): void {
    if (this.src === this.#opened || (this.token && this.token !== this.#registered.token)) return;
    const at = registrationAt(this.src);
    const token = at && registeredToken(at);
    this.#registered = { at, token };
    this.token = token;
  }

  /** What the viewer was given is no good any more. */
  #forgetRegistered(): void {
    const at = this.#session?.endpoints.registration ?? '';
    if (registeredToken(at) === this.token) keepRegistered(at, '');
    void import('./lectern-registration.ts').catch((error) => {
      console.error('lectern-player: registration:', error);
    });
  }

  #said(texts: Texts): Said | null {
    const session = this.#session;
    return messageOf(texts, {
      state: this.state,
      info: session?.info ?? null,
      fallbackReason: this.fallbackReason,
      refusal: session?.refusal ?? null,
      retryInMs: session?.retryInMs ?? null,
      draining: session?.draining ?? false,
      soundOnly: this.soundOnly,
      nowMs: Date.now(),
    });
  }

  #bar(texts: Texts) {
    return barView(texts, {
      state: this.state,
      path: this.path,
      paused: this.paused,
      windowed: this.windowed,
      windowMs: this.windowMs,
      behindMs: this.behindMs,
      captions: this.captions,
      renditions: this.#renditions(),
      chosen: this.#session?.rendition ?? null,
      playing: this.#playing(),
      stats: this.rows !== null,
      choose: (event) => this.#chosen(event),
    });
  }

  #texts(): Texts {
    return textsFor(this.lang ? [this.lang, ...navigator.languages] : navigator.languages);
  }

  #media(): LecternMedia | null {
    return this.renderRoot?.querySelector('lectern-media') ?? null;
  }

  #renditions(): readonly Rendition[] {
    return this.#session?.info.renditions ?? [];
  }

  /** The rendition on screen, by its height. */
  #playing(): Rendition | null {
    const height = this.#video?.videoHeight ?? 0;
    const as = this.#renditions().filter((each) => each.height === height);
    const chosen = as.find(({ name }) => name === this.#session?.rendition);
    return chosen ?? (as.length === 1 ? (as[0] ?? null) : null);
  }

  #open(): void {
    this.#close();
    this.#opened = this.src;
    this.#moved = false;
    if (!this.src || !this.isConnected) return;
    try {
      const pin = isPath(this.pin) ? this.pin : null;
      const options = { src: this.src, pin, edges: this.edges, token: this.token };
      this.#session = new Session(options, {
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
    clearTimeout(this.#seekTimer);
    this.#dragged = null;
    this.path = null;
    this.transport = null;
    this.soundOnly = false;
    this.latencyMs = null;
    this.behindMs = null;
    this.fallbackReason = null;
    this.#captions.follow(null);
    this.windowed = false;
    this.state = 'connecting';
  }

  #changed(): void {
    const session = this.#session;
    if (!session) return;
    this.state = session.state;
    this.path = session.path;
    this.fallbackReason = session.fallbackReason;
    if (session.src !== this.#opened) {
      // It went to another edge: what belongs to the broadcast goes along, and nothing begins anew.
      this.#opened = session.src;
      this.#moved = true;
      this.src = session.src;
    }
    if (session.info === this.#info) return;
    this.#info = session.info;
    this.requestUpdate();
    const about = JSON.stringify(aboutOf(session.info));
    if (about === this.#about) return;
    this.#about = about;
    this.dispatchEvent(new Event('lectern-info'));
  }

  #measure(): void {
    const session = this.#session;
    const stats = session?.stats();
    const latency = stats?.latencyMs ?? null;
    this.transport = stats?.transport ?? null;
    this.soundOnly = this.#video !== null && this.#video.videoWidth === 0;
    this.windowed = this.windowMs > 0;
    const behindMs = this.#dragged ?? this.#behindNow();
    this.behindMs = behindMs > 0 ? Math.round(behindMs) : null;
    if (this.state !== 'live' || this.paused || session?.behind || latency === null) {
      this.#latency.reset();
      this.latencyMs = null;
    } else {
      this.latencyMs = Math.round(this.#latency.push(latency));
    }
    this.#media()?.tell('timeupdate', 'progress', 'targetlivewindowchange', 'streamtypechange');
    // A countdown goes on while nothing else does.
    if (this.state !== 'live') this.requestUpdate();
  }

  /** How far back by choice, or because the viewer paused. */
  #behindNow(): number {
    const session = this.#session;
    const window = session?.window();
    if (!session || !window || !(session.behind || this.paused)) return 0;
    const position = session.position();
    return position === null ? 0 : Math.max(0, window.endMs - position);
  }

  #createVideo(): HTMLVideoElement {
    const video = document.createElement('video');
    video.autoplay = true;
    video.playsInline = true;
    // Sound comes with the picture, at promotion; and muted media may always start.
    video.muted = true;
    video.disableRemotePlayback = true;
    // The element of the controls is the one that has the focus.
    video.tabIndex = -1;
    this.#media()?.append(video);
    return video;
  }

  #promoted(video: HTMLVideoElement, old: HTMLVideoElement | null): void {
    this.#video = video;
    this.#latency.reset();
    this.#frameRate.reset();
    video.classList.add('front');
    video.volume = this.#volume;
    const { pictureInPictureElement } = this.renderRoot as ShadowRoot;
    if (old && pictureInPictureElement === old) {
      video.requestPictureInPicture().catch(() => {
        // The small window closes then; the picture itself goes on in the page.
      });
    }
    this.#captions.follow(video);
    if (this.paused) video.pause();
    else if (!this.#muted) void this.#sound(video);
    this.#media()?.tell('loadstart', 'loadedmetadata', 'playing', 'volumechange', 'resize');
  }

  /** Shows these captions, or none, and goes on with the same on another path. */
  showCaptions(caption: Caption | null): void {
    this.#captions.show(caption);
  }

  /** Plays what is on screen: with sound, which a picture that came while paused has not yet. */
  #resume(): void {
    const video = this.#video;
    if (!video) return;
    if (this.#muted) video.play().catch(() => {});
    else void this.#sound(video);
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
      this.#muted = true;
      this.silenced = true;
      await video.play().catch(() => {});
    }
    this.#media()?.tell('volumechange', 'playing');
  }

  #mute(muted: boolean): void {
    this.#muted = muted;
    this.silenced = false;
    this.#media()?.tell('volumechange');
    if (!this.#video) return;
    if (muted || this.paused) this.#video.muted = muted;
    else void this.#sound(this.#video);
  }

  /** Follows a thumb that is dragged: at once for the eye, the picture when it rests. */
  drag(behindMs: number): void {
    this.#dragged = Math.max(0, behindMs);
    clearTimeout(this.#seekTimer);
    this.#seekTimer = setTimeout(() => {
      this.#dragged = null;
      if (behindMs <= 0) this.goLive();
      else this.goBack(behindMs);
    }, SEEK_MS);
    this.#measure();
  }

  #chosen({ detail }: ChoiceEvent): void {
    switch (detail.want) {
      case 'rendition':
        this.#session?.choose(detail.name);
        this.requestUpdate();
        return;
      case 'captions':
        return this.showCaptions(detail.caption);
      case 'stats':
        return this.#toggleStats();
    }
  }

  #toggleStats(): void {
    clearInterval(this.#statsTimer);
    if (this.rows) {
      this.rows = null;
      return;
    }
    this.#frameRate.reset();
    const look = () => {
      this.rows = this.#statistics();
    };
    look();
    this.#statsTimer = setInterval(look, STATS_MS);
  }

  #statistics(): Row[] {
    const session = this.#session;
    if (!session) return [];
    const playing = this.#renditions().length > 1 ? this.#playing() : null;
    const rendition = playing && renditionName(playing, this.#renditions());
    return statsRows(this.#texts(), lookAt(session, this, this.#frameRate, rendition));
  }

  async #toggleFullscreen(): Promise<void> {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.requestFullscreen) await this.requestFullscreen();
      else this.#media()?.webkitEnterFullscreen();
    } catch (error) {
      console.warn('lectern-player: full screen:', error);
    }
  }

  /** Keys, wherever in the player the focus is; those that its controls use themselves are theirs. */
  #key(event: KeyboardEvent): void {
    if (event.defaultPrevented) return;
    const command = commandOf(event, focusOf(event.composedPath()[0]));
    if (!command) return;
    event.preventDefault();
    this.#obey(command);
  }

  #obey(command: Command): void {
    const back = (ms: number) => this.goBack(Math.max(0, (this.behindMs ?? 0) + ms));
    switch (command) {
      case 'toggle':
        return this.#toggle();
      case 'mute':
        return this.#mute(!this.#muted);
      case 'fullscreen':
        void this.#toggleFullscreen();
        return;
      case 'stats':
        return this.#toggleStats();
      case 'live':
        return this.goLive();
      case 'captions':
        return this.#toggleCaptions();
      case 'back':
        return back(STEP_MS);
      case 'forward':
        return back(-STEP_MS);
      case 'louder':
        this.volume += VOLUME_STEP;
        if (this.#muted) this.#mute(false);
        return;
      case 'quieter':
        this.volume -= VOLUME_STEP;
        return;
    }
  }

  #toggle(): void {
    if (this.paused) this.play();
    else this.pause();
  }

  #toggleCaptions(): void {
    this.showCaptions(this.#captions.showing ? null : (this.captions[0] ?? null));
  }

  #doubleClicked(event: MouseEvent): void {
    const inner = event.composedPath()[0];
    if (inner instanceof HTMLVideoElement || inner === event.currentTarget) {
      void this.#toggleFullscreen();
    }
  }

  /** With Shift the menu of the browser, which has entries of its own for a video. */
  #contextMenu(event: MouseEvent): void {
    if (event.shiftKey || !(event.composedPath()[0] instanceof HTMLElement)) return;
    event.preventDefault();
    this.#toggleStats();
  }
}

/** Where those register who want to watch `src`; empty where that is no broadcast's. */
function registrationAt(src: string): string {
  try {
    return endpoints(src, document.baseURI).registration;
  } catch {
    return '';
  }
}

/** What is said of a broadcast beside its picture. */
function aboutOf({ title, description, topics, language, logo, links }: Info) {
  return { title, description, topics, language, logo, links };
}

customElements.define('lectern-player', LecternPlayer);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-player': LecternPlayer;
  }
  interface HTMLElementEventMap {
    'lectern-src': SrcEvent;
  }
}
