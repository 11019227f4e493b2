// The captions of whichever video is on screen: which there are, which are shown, and that what a viewer
// asked for goes on when another video takes its place.

import { alike, type Caption, isCaptions, isUnasked, labelled } from './captions.ts';

export interface CaptionHost {
  /** How the manifest calls a text track. */
  labelOf(track: TextTrack): string;
  /** Shows this text track of the video on screen, or none. */
  show(track: TextTrack | null): void;
  /** There are others, or others are shown. */
  changed(type: 'addtrack' | 'removetrack' | 'change'): void;
}

export class CaptionKeeper {
  readonly #host: CaptionHost;
  #video: HTMLVideoElement | null = null;
  #wanted: Caption | null = null;
  #all: readonly Caption[] = [];

  constructor(host: CaptionHost) {
    this.#host = host;
  }

  get all(): readonly Caption[] {
    return this.#all;
  }

  get showing(): Caption | null {
    return this.#all.find(({ track }) => track.mode === 'showing') ?? null;
  }

  /** From now on those of this video, or of none. */
  follow(video: HTMLVideoElement | null): void {
    this.#video = video;
    this.#all = [];
    if (!video) return;
    for (const type of ['addtrack', 'removetrack', 'change'] as const) {
      video.textTracks.addEventListener(type, () => this.#look(video, type));
    }
    this.#look(video, 'addtrack');
  }

  show(caption: Caption | null): void {
    this.#wanted = caption;
    this.#host.show(caption?.track ?? null);
    this.#host.changed('change');
  }

  #look(video: HTMLVideoElement, type: 'addtrack' | 'removetrack' | 'change'): void {
    if (video !== this.#video) return;
    const tracks = labelled(video, (track) => this.#host.labelOf(track));
    for (const { track } of tracks.filter(isUnasked)) {
      if (track.mode === 'showing') track.mode = 'disabled';
    }
    this.#all = tracks.filter(isCaptions);
    const wanted = alike(this.#all, this.#wanted);
    if (type === 'addtrack' && this.showing !== wanted) this.#host.show(wanted?.track ?? null);
    this.#host.changed(type);
  }
}
