// LL-DASH by dash.js, which is loaded only when this path is taken. dash.js owns buffering,
// catch-up and its own retries; the ladder judges it by whether the picture moves.

import type { MediaPlayerClass } from 'dashjs';
import { trackId } from '../info.ts';
import type { Failure } from '../ladder.ts';
import { latencyMs } from '../media-clock.ts';
import type { Engine, EngineDetails, EngineSource, EngineStats, Listener } from './engine.ts';
import { canFeedDecoder, NO_DETAILS, refusal, showOnly } from './engine.ts';
import { Pictures } from './pictures.ts';

/** An edge that has nothing to describe yet says so after six seconds; slower is one in trouble. */
const MANIFEST_TIMEOUT_MS = 8_000;

/** Of dash.js's MediaInfo, what tells text tracks apart. */
interface Listed {
  readonly id?: string | null;
  readonly lang?: string | null;
  readonly labels?: readonly { readonly text?: string }[] | null;
}

/** dash.js labels a video's text tracks by the id of the AdaptationSet, and not by its Label. */
function isOf({ id, lang }: Listed, track: TextTrack): boolean {
  return track.label === (id ?? lang ?? '');
}

export class DashEngine implements Engine {
  readonly path = 'dash';
  readonly #listener: Listener;
  readonly #abort = new AbortController();
  #player: MediaPlayerClass | null = null;
  #video: HTMLVideoElement | null = null;
  #source: EngineSource | null = null;
  #t0Ms: number | null = null;
  #pictures: Pictures | null = null;
  #rendition: string | null = null;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  async start(video: HTMLVideoElement, source: EngineSource, signal: AbortSignal): Promise<void> {
    if (!canFeedDecoder()) {
      this.#fail({ kind: 'unsupported', reason: 'mse-unsupported' });
      return;
    }
    signal.addEventListener('abort', () => this.stop(), { once: true });
    this.#video = video;
    this.#source = source;
    this.#rendition = source.rendition;
    try {
      // Asked for here first, because its status says more than dash.js would pass on.
      const [dashjs, manifest] = await Promise.all([
        import('dashjs').catch(() => null),
        fetch(source.endpoints.manifest, {
          cache: 'no-store',
          headers: source.first,
          signal: AbortSignal.any([AbortSignal.timeout(MANIFEST_TIMEOUT_MS), this.#abort.signal]),
        }),
      ]);
      if (this.#abort.signal.aborted) return;
      if (!manifest.ok) {
        this.#fail(refusal(manifest.status, manifest.headers));
        return;
      }
      // An old page asks an edge that was upgraded for what it does not have any more.
      if (!dashjs) return this.#fail({ kind: 'unsuitable', reason: 'dash-error' });
      this.#t0Ms = availabilityStartMs(await manifest.text());
      if (this.#abort.signal.aborted) return;
      this.#play(dashjs.MediaPlayer().create(), video, source.endpoints.manifest);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      console.warn('dash:', error);
      this.#fail({ kind: 'unreachable' });
    }
  }

  stop(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#player?.destroy();
    this.#player = null;
  }

  goLive(): void {
    this.#follow(true);
    this.#player?.seekToOriginalLive();
  }

  seek(mediaMs: number): void {
    this.#follow(false);
    this.#player?.seekToPresentationTime(mediaMs / 1000);
  }

  choose(rendition: string | null): void {
    this.#rendition = rendition;
    const player = this.#player;
    if (!player) return;
    const abr = { autoSwitchBitrate: { video: rendition === null } };
    player.updateSettings({ streaming: { abr } });
    if (rendition === null) return;
    const id = trackId(rendition);
    const known = player.getRepresentationsByType('video').some((each) => each.id === id);
    if (known) player.setRepresentationForTypeById('video', id, false);
  }

  caption(track: TextTrack | null): void {
    // Those of the manifest are fetched only for the track that dash.js itself was told of.
    this.#player?.setTextTrack(track ? this.#listed().findIndex((each) => isOf(each, track)) : -1);
    showOnly(this.#video, track);
  }

  labelOf(track: TextTrack): string {
    const listed = this.#listed().find((each) => isOf(each, track));
    return listed?.labels?.[0]?.text ?? track.label;
  }

  /** The text tracks as dash.js knows them. */
  #listed(): Listed[] {
    return (this.#player?.getTracksFor('text') as unknown as Listed[]) ?? [];
  }

  /** dash.js asks again by itself. */
  network(): void {}

  details(): EngineDetails {
    const quality = this.#video?.getVideoPlaybackQuality?.();
    const playing = this.#player?.getCurrentRepresentationForType('video');
    return {
      ...NO_DETAILS,
      bitrateBps: playing ? playing.bandwidth : null,
      framesDropped: quality?.droppedVideoFrames ?? null,
    };
  }

  /** Whether to stay as close to live as the broadcast states. */
  #follow(live: boolean): void {
    this.#player?.updateSettings({ streaming: { liveCatchup: { enabled: live } } });
  }

  stats(): EngineStats {
    const video = this.#video;
    // dash.js keeps `currentTime` on the presentation timeline, whose zero is T0.
    const mediaMs = video && this.#pictures?.moving ? video.currentTime * 1000 : null;
    const serverNow = this.#source?.captureNowMs() ?? null;
    const known = mediaMs !== null && this.#t0Ms !== null && serverNow !== null;
    return {
      mediaMs,
      t0Ms: this.#t0Ms,
      transport: null,
      latencyMs: known ? latencyMs(serverNow, this.#t0Ms ?? 0, mediaMs) : null,
    };
  }

  #play(player: MediaPlayerClass, video: HTMLVideoElement, manifest: string): void {
    this.#player = player;
    player.updateSettings({
      debug: { logLevel: 0 },
      streaming: {
        // Latency target and catch-up rates are the broadcast's to state, in its ServiceDescription.
        applyServiceDescription: true,
        liveCatchup: { enabled: this.#source?.startMs === null },
        // Comments are beside the picture, and subtitles of them would be loaded for nothing.
        text: { defaultEnabled: false },
        // Nothing about what people watch is left behind in their browser.
        lastBitrateCachingInfo: { enabled: false },
        lastMediaSettingsCachingInfo: { enabled: false },
      },
    });
    this.#authorize(player);
    const { signal } = this.#abort;
    const pictures = new Pictures(video, () => this.#listener({ type: 'frame' }), signal);
    this.#pictures = pictures;
    video.addEventListener(
      'error',
      () => this.#fail({ kind: 'unsuitable', reason: 'undecodable' }),
      {
        signal,
      },
    );
    player.on('streamInitialized', () => {
      // Again in each period, where dash.js begins with a choice of its own.
      if (this.#rendition) this.choose(this.#rendition);
      this.#listener({ type: 'connected' });
    });
    player.on('error', (event) => {
      // Once it plays, one lost request is dash.js's own business; a stall will show.
      if (!pictures.moving) {
        console.warn('dash:', event);
        this.#fail({ kind: 'unsuitable', reason: 'dash-error' });
      }
    });
    const startMs = this.#source?.startMs ?? null;
    // Without a prefix it is since the MPD's availabilityStartTime, which is T0.
    if (startMs === null) player.initialize(video, manifest, true);
    else player.initialize(video, manifest, true, startMs / 1000);
  }

  /** Has dash.js say who the viewer is, to the edge and to nobody else that a manifest may name. */
  #authorize(player: MediaPlayerClass): void {
    const { headers, endpoints } = this.#source ?? {};
    if (!headers || !endpoints || Object.keys(headers).length === 0) return;
    player.addRequestInterceptor((request) => {
      if (request.url.startsWith(`${endpoints.base}/`)) {
        request.headers = { ...request.headers, ...headers };
      }
      return Promise.resolve(request);
    });
  }

  #fail(failure: Failure): void {
    if (!this.#abort.signal.aborted) this.#listener({ type: 'failed', failure });
  }
}

/** T0 of a broadcast: its manifest's availabilityStartTime (ISO/IEC 23009-1 §5.3.1.2) in Unix ms. */
export function availabilityStartMs(mpd: string): number | null {
  const value = /<MPD\b[^>]*?\savailabilityStartTime\s*=\s*["']([^"']+)["']/.exec(mpd)?.[1];
  const ms = value === undefined ? Number.NaN : Date.parse(value);
  return Number.isFinite(ms) ? ms : null;
}
