// Whether the pictures of a video element move, for engines that leave decoding to it; of sound alone,
// whether it goes on.

export class Pictures {
  #playedS = 0;
  #moving = false;

  /** Calls `moved` at the first picture and then a few times a second, until `signal` aborts. */
  constructor(video: HTMLVideoElement, moved: () => void, signal: AbortSignal) {
    const follow = () => {
      const pictures = video.getVideoPlaybackQuality?.().totalVideoFrames ?? 1;
      const soundOnly = video.videoWidth === 0;
      if (video.currentTime === this.#playedS || video.seeking) return;
      if (pictures === 0 && !soundOnly) return;
      this.#playedS = video.currentTime;
      this.#moving = true;
      moved();
    };
    video.addEventListener('timeupdate', follow, { signal });
  }

  /** Whether there has been one. */
  get moving(): boolean {
    return this.#moving;
  }
}
