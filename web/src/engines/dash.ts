// LL-DASH by dash.js, which is loaded only when this path is taken. dash.js owns buffering,
// catch-up and its own retries; the ladder judges it by whether the picture moves.

import type { MediaPlayerClass } from 'dashjs';
import type { Failure } from '../ladder.ts';
import { latencyMs } from '../media-clock.ts';
import type { Engine, EngineSource, EngineStats, Listener } from './engine.ts';
import { canFeedDecoder, refusal } from './engine.ts';
import { Pictures } from './pictures.ts';

/** An edge that has nothing to describe yet says so after six seconds; slower is one in trouble. */
const MANIFEST_TIMEOUT_MS = 8_000;

export class DashEngine implements Engine {
  readonly path = 'dash';
  readonly #listener: Listener;
  readonly #abort = new AbortController();
  #player: MediaPlayerClass | null = null;
  #video: HTMLVideoElement | null = null;
  #source: EngineSource | null = null;
  #t0Ms: number | null = null;
  #pictures: Pictures | null = null;

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
    try {
      // Asked for here first, because its status says more than dash.js would pass on.
      const [dashjs, manifest] = await Promise.all([
        import('dashjs').catch(() => null),
        fetch(source.endpoints.manifest, {
          cache: 'no-store',
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
    this.#player?.seekToOriginalLive();
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
        liveCatchup: { enabled: true },
        // Comments are beside the picture, and subtitles of them would be loaded for nothing.
        text: { defaultEnabled: false },
        // Nothing about what people watch is left behind in their browser.
        lastBitrateCachingInfo: { enabled: false },
        lastMediaSettingsCachingInfo: { enabled: false },
      },
    });
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
    player.on('streamInitialized', () => this.#listener({ type: 'connected' }));
    player.on('error', (event) => {
      // Once it plays, one lost request is dash.js's own business; a stall will show.
      if (!pictures.moving) {
        console.warn('dash:', event);
        this.#fail({ kind: 'unsuitable', reason: 'dash-error' });
      }
    });
    player.initialize(video, manifest, true);
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
