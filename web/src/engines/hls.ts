// LL-HLS: by hls.js, which is loaded only when this path is taken, where a page may feed the decoder;
// else by the browser's own player, the only one that an old iPhone has. Either owns buffering and its
// retries; the ladder judges it by whether the picture moves.

import type { Fragment, default as Hls } from 'hls.js';
import { takeCookie } from '../access.ts';
import { trackId } from '../info.ts';
import type { Failure } from '../ladder.ts';
import type { Engine, EngineDetails, EngineSource, EngineStats, Listener } from './engine.ts';
import { canFeedDecoder, NO_DETAILS, refusal, showOnly } from './engine.ts';
import { stepOverLostPart } from './hls-lost-part.ts';
import { Pictures } from './pictures.ts';

/** An edge that has nothing to play yet says so after six seconds; slower is one in trouble. */
const STATUS_TIMEOUT_MS = 8_000;
/** How fast it may play to catch up, as LL-DASH's manifest says. */
const RATE_MAX = 1.06;
/** Further behind than this it goes back to live at once. */
const BEHIND_MAX_S = 6;
/** What has been played is let go of after so long. */
const BACK_BUFFER_S = 30;
/** As close as this to the moment that was wanted, it has been reached. */
const REACHED_MS = 2_500;
/** The browser's own player is brought back this far behind the newest that it has. */
const NATIVE_BEHIND_S = 1;

/** Safari's: when the position 0 was, by the playlist's EXT-X-PROGRAM-DATE-TIME. */
interface Dated {
  getStartDate?(): Date;
}

/** Of a segment, when its media was, Unix ms, and where it is on the video's own axis, s. */
type Segment = Pick<Fragment, 'programDateTime' | 'start' | 'duration'>;

export class HlsEngine implements Engine {
  readonly path = 'hls';
  readonly #listener: Listener;
  readonly #abort = new AbortController();
  #player: Hls | null = null;
  #video: HTMLVideoElement | null = null;
  #pictures: Pictures | null = null;
  #source: EngineSource | null = null;
  /** The viewer is back in the window, and not to be brought to live. */
  #behind = false;
  /** The moment to begin at, until it is reached: pictures before that are of another. */
  #wantedMs: number | null = null;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  async start(video: HTMLVideoElement, source: EngineSource, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.stop(), { once: true });
    this.#video = video;
    this.#source = source;
    this.#wantedMs = source.startMs;
    this.#behind = source.startMs !== null;
    const { playlist } = source.endpoints;
    try {
      // Asked for here first, because its status says more than either player would pass on.
      const until = AbortSignal.any([AbortSignal.timeout(STATUS_TIMEOUT_MS), this.#abort.signal]);
      const [hls, answer] = await Promise.all([
        canFeedDecoder() ? import('hls.js').catch(() => 'missing' as const) : null,
        fetch(playlist, { cache: 'no-store', headers: source.first, signal: until }),
      ]);
      if (this.#abort.signal.aborted) return;
      if (!answer.ok) return this.#fail(refusal(answer.status, answer.headers));
      // An old page asks an edge that was upgraded for what it does not have any more.
      if (hls === 'missing') return this.#fail({ kind: 'unsuitable', reason: 'hls-error' });
      const moved = () => {
        if (this.#arrived()) this.#listener({ type: 'frame' });
      };
      this.#pictures = new Pictures(video, moved, this.#abort.signal);
      const Player = hls?.default;
      if (Player?.isSupported()) this.#play(Player, video, playlist);
      else if (video.canPlayType('application/vnd.apple.mpegurl')) {
        // The browser's own player says nothing of ours, but it has the cookies of the page's.
        if (source.token) await takeCookie(source.endpoints, source.token);
        if (this.#abort.signal.aborted) return;
        this.#native(video, playlist);
      } else this.#fail({ kind: 'unsupported', reason: 'hls-unsupported' });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      console.warn('hls:', error);
      this.#fail({ kind: 'unreachable' });
    }
  }

  stop(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#player?.destroy();
    if (!this.#player && this.#video) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
    this.#player = null;
  }

  goLive(): void {
    const video = this.#video;
    if (!video) return;
    this.#behind = false;
    this.#wantedMs = null;
    this.#follow();
    const { seekable } = video;
    const newest = seekable.length > 0 ? seekable.end(seekable.length - 1) - NATIVE_BEHIND_S : null;
    const position = this.#player ? this.#player.liveSyncPosition : newest;
    if (position !== null && position > video.currentTime) video.currentTime = position;
  }

  seek(mediaMs: number): void {
    this.#behind = true;
    this.#follow();
    const [video, at] = [this.#video, this.#positionOf(mediaMs)];
    if (video && at !== null) video.currentTime = at;
  }

  choose(rendition: string | null): void {
    const player = this.#player;
    if (!player) return;
    const directory = rendition === null ? null : `/${trackId(rendition)}/`;
    const level = player.levels.findIndex(({ uri }) => directory && uri.includes(directory));
    player.nextLevel = level;
  }

  caption(track: TextTrack | null): void {
    // hls.js follows the modes of the video's own tracks.
    showOnly(this.#video, track);
  }

  labelOf({ label }: TextTrack): string {
    return label;
  }

  /** Either player asks again by itself. */
  network(): void {}

  details(): EngineDetails {
    const quality = this.#video?.getVideoPlaybackQuality?.();
    const player = this.#player;
    return {
      ...NO_DETAILS,
      bitrateBps: player?.levels[player.currentLevel]?.bitrate ?? null,
      framesDropped: quality?.droppedVideoFrames ?? null,
    };
  }

  /** Where this media time is on the video's own axis; null while that is not known. */
  #positionOf(mediaMs: number): number | null {
    const [video, t0Ms] = [this.#video, this.#source?.t0Ms() ?? null];
    if (!video || t0Ms === null) return null;
    const dateMs = t0Ms + mediaMs;
    const player = this.#player;
    const details = player?.levels[Math.max(0, player.currentLevel)]?.details;
    const position = positionIn(details?.fragments ?? [], dateMs);
    if (position !== null) return position;
    const playedMs = this.#playedMs();
    return playedMs === null ? null : video.currentTime + (dateMs - playedMs) / 1000;
  }

  /** Whether what is seen is of the moment that was asked for; goes there until it is. */
  #arrived(): boolean {
    const wantedMs = this.#wantedMs;
    if (wantedMs === null) return true;
    const [video, at] = [this.#video, this.#positionOf(wantedMs)];
    if (!video || at === null) return false;
    // By its place, not by its moment: one between two takes is that of no picture.
    if (Math.abs(video.currentTime - at) * 1000 > REACHED_MS) {
      this.seek(wantedMs);
      return false;
    }
    this.#wantedMs = null;
    return true;
  }

  stats(): EngineStats {
    const playedMs = this.#pictures?.moving ? this.#playedMs() : null;
    const nowMs = this.#source?.captureNowMs() ?? null;
    // T0 is in no playlist, and cancels out of the latency.
    const t0Ms = this.#source?.t0Ms() ?? null;
    return {
      mediaMs: playedMs !== null && t0Ms !== null ? playedMs - t0Ms : null,
      t0Ms,
      transport: null,
      latencyMs: playedMs !== null && nowMs !== null ? nowMs - playedMs : null,
    };
  }

  /** T0 plus media time of the picture on screen, Unix ms. */
  #playedMs(): number | null {
    if (this.#player) return this.#player.playingDate?.getTime() ?? null;
    const video = this.#video;
    const began = (video as Dated | null)?.getStartDate?.().getTime() ?? Number.NaN;
    return video && Number.isFinite(began) ? began + video.currentTime * 1000 : null;
  }

  #play(Player: typeof Hls, video: HTMLVideoElement, playlist: string): void {
    const player = new Player({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: RATE_MAX,
      backBufferLength: BACK_BUFFER_S,
      xhrSetup: (request, url) => this.#authorize(request, url),
    });
    this.#player = player;
    const { signal } = this.#abort;
    video.addEventListener('play', () => this.#follow(), { signal });
    // A picture that the viewer has stopped is to stay.
    video.addEventListener('pause', () => this.#follow(), { signal });
    this.#follow();
    stepOverLostPart(player);
    let recovered = false;
    player.on(Player.Events.ERROR, (_event, { fatal, type, details }) => {
      if (!fatal) return;
      console.warn('hls:', type, details);
      if (type === Player.ErrorTypes.MEDIA_ERROR && !recovered) {
        recovered = true;
        player.recoverMediaError();
        return;
      }
      this.#fail({ kind: 'unsuitable', reason: 'hls-error' });
    });
    player.once(Player.Events.MANIFEST_PARSED, () => {
      if (this.#source?.rendition) this.choose(this.#source.rendition);
      this.#connected(video);
    });
    player.loadSource(playlist);
    player.attachMedia(video);
  }

  /**
   * Whether hls.js is to bring the picture back to live. Told at the beginning it would have to be told
   * how far to stay behind as well, which is the playlist's to say.
   */
  #follow(): void {
    const { config } = this.#player ?? {};
    if (!config) return;
    const stays = this.#behind || (this.#video?.paused ?? false);
    config.liveMaxLatencyDuration = stays ? Number.POSITIVE_INFINITY : BEHIND_MAX_S;
    config.maxLiveSyncPlaybackRate = this.#behind ? 1 : RATE_MAX;
  }

  /** Says who the viewer is to the edge, and to nobody else that a playlist may name. */
  #authorize(request: XMLHttpRequest, url: string): void {
    const { headers = {}, endpoints } = this.#source ?? {};
    if (!endpoints || !url.startsWith(`${endpoints.base}/`)) return;
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  }

  #native(video: HTMLVideoElement, playlist: string): void {
    const { signal } = this.#abort;
    const failed = () => this.#fail({ kind: 'unsuitable', reason: 'undecodable' });
    video.addEventListener('error', failed, { signal });
    video.addEventListener('loadedmetadata', () => this.#connected(video), { signal, once: true });
    video.src = playlist;
  }

  #connected(video: HTMLVideoElement): void {
    this.#listener({ type: 'connected' });
    // Refused only where even silence needs a gesture: no picture comes then, and the ladder sees it.
    video.play().catch(() => {});
  }

  #fail(failure: Failure): void {
    if (!this.#abort.signal.aborted) this.#listener({ type: 'failed', failure });
  }
}

/**
 * Where media of this moment is on the axis of these segments; null while none of them is dated. Between
 * two takes there is no media, and the axis has no gap for it: there it is the end of the first.
 */
export function positionIn(segments: readonly Segment[], dateMs: number): number | null {
  const dated = segments.filter(({ programDateTime }) => programDateTime !== null);
  const holding = dated.findLast(({ programDateTime }) => (programDateTime ?? 0) <= dateMs);
  const segment = holding ?? dated[0];
  if (!segment?.programDateTime) return null;
  const withinS = (dateMs - segment.programDateTime) / 1000;
  return segment.start + Math.min(Math.max(0, withinS), segment.duration);
}
