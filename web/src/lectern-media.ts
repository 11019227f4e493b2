// `<lectern-media>`: one media element for the controls, whichever of the player's videos is on screen.
// During a change of path there are two, and none before the first picture; and WebRTC's has no time
// axis. So this one has: seconds behind live, from the beginning of the window (below zero) to live (zero).

import type { Caption } from './captions.ts';

/** What the element stands for: the player, as far as controls are concerned. */
export interface MediaOwner {
  /** The video on screen. */
  readonly video: HTMLVideoElement | null;
  /** What the viewer wants, whether or not there is a picture. */
  readonly paused: boolean;
  muted: boolean;
  volume: number;
  /** How far back the viewer is by choice, and may go, ms; nothing for not at all. */
  readonly behindMs: number | null;
  readonly windowMs: number;
  /** The captions that there are. */
  readonly captions: readonly Caption[];
  play(): void;
  pause(): void;
  /** Follows a thumb that is dragged so far back. */
  drag(behindMs: number): void;
  /** Shows these captions, or none. */
  showCaptions(caption: Caption | null): void;
}

const NOTHING: MediaOwner = {
  video: null,
  paused: true,
  muted: false,
  volume: 1,
  behindMs: 0,
  windowMs: 0,
  captions: [],
  play() {},
  pause() {},
  drag() {},
  showCaptions() {},
};

/** One stretch, as `TimeRanges` has it. */
class Stretch {
  readonly #startS: number;
  readonly length: number;

  constructor(startS: number) {
    this.#startS = startS;
    this.length = startS < 0 ? 1 : 0;
  }

  start(): number {
    return this.#startS;
  }

  end(): number {
    return 0;
  }
}

/** The captions of the video on screen; whoever shows or hides one asks the player. */
class Captions extends EventTarget {
  readonly #owner: () => MediaOwner;

  constructor(owner: () => MediaOwner) {
    super();
    this.#owner = owner;
  }

  *[Symbol.iterator](): Generator<Pick<TextTrack, 'kind' | 'label' | 'language' | 'mode'>> {
    const owner = this.#owner();
    for (const caption of owner.captions) {
      const { kind, label, language, track } = caption;
      yield {
        kind,
        label,
        language,
        get mode() {
          return track.mode;
        },
        set mode(mode) {
          owner.showCaptions(mode === 'showing' ? caption : null);
        },
      };
    }
  }
}

export class LecternMedia extends HTMLElement {
  owner: MediaOwner = NOTHING;
  readonly textTracks = new Captions(() => this.owner);
  readonly streamType = 'live';
  readonly duration = Number.POSITIVE_INFINITY;
  readonly ended = false;
  readonly error = null;
  readonly disableRemotePlayback = true;
  /** It stands still on its axis while it plays. */
  readonly playbackRate = 0;

  /** Says what has changed, by the names of a media element's events. */
  tell(...types: string[]): void {
    for (const type of types) this.dispatchEvent(new Event(type));
  }

  /** Says that there are other captions, or that others are shown. */
  tellCaptions(type: 'addtrack' | 'removetrack' | 'change'): void {
    this.textTracks.dispatchEvent(new Event(type));
  }

  get paused(): boolean {
    return this.owner.paused;
  }

  async play(): Promise<void> {
    this.owner.play();
  }

  pause(): void {
    this.owner.pause();
  }

  get muted(): boolean {
    return this.owner.muted;
  }

  set muted(muted: boolean) {
    this.owner.muted = muted;
  }

  get volume(): number {
    return this.owner.volume;
  }

  set volume(volume: number) {
    this.owner.volume = volume;
  }

  get currentTime(): number {
    return -(this.owner.behindMs ?? 0) / 1000;
  }

  set currentTime(seconds: number) {
    this.owner.drag(-seconds * 1000);
  }

  get seekable(): Stretch {
    return new Stretch(-this.owner.windowMs / 1000);
  }

  get buffered(): Stretch {
    return new Stretch(0);
  }

  get targetLiveWindow(): number {
    return this.owner.windowMs > 0 ? Number.POSITIVE_INFINITY : 0;
  }

  /** Live is not a matter of seconds: who did not go back is there, whatever the path. */
  get liveEdgeStart(): number {
    return (this.owner.behindMs ?? 0) > 0 ? 1 : Number.NEGATIVE_INFINITY;
  }

  get readyState(): number {
    return this.owner.video?.readyState ?? 0;
  }

  get videoWidth(): number {
    return this.owner.video?.videoWidth ?? 0;
  }

  get videoHeight(): number {
    return this.owner.video?.videoHeight ?? 0;
  }

  async requestPictureInPicture(): Promise<PictureInPictureWindow> {
    const { video } = this.owner;
    if (!video) throw new DOMException('There is no picture yet.', 'InvalidStateError');
    return video.requestPictureInPicture();
  }

  /** An iPhone shows nothing but a video full screen. */
  webkitEnterFullscreen(): void {
    (this.owner.video as { webkitEnterFullscreen?: () => void } | null)?.webkitEnterFullscreen?.();
  }
}

customElements.define('lectern-media', LecternMedia);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-media': LecternMedia;
  }
}
