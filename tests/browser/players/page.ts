// What runs in the page: dash.js, Shaka and hls.js as a site would use them, and a recorder beside
// each that writes down what a viewer would notice. It judges nothing; that is `record.ts`'s.

import type * as Dashjs from 'dashjs';
import type Hls from 'hls.js';
import type { ErrorData } from 'hls.js';
import type { PlayerName, Recorded, Subtitles, Tick } from './record.ts';

declare global {
  interface Window {
    dashjs: typeof Dashjs;
    // biome-ignore lint/suspicious/noExplicitAny: Shaka declares its types as a global namespace.
    shaka: any;
    Hls: typeof Hls;
    stepOverLostPart: (player: Hls) => void;
    players: {
      /** Plays `url` in a video element of its own. */
      start(name: PlayerName, url: string): Promise<void>;
      /** What has been seen so far. */
      recorded(name: PlayerName): Recorded;
      /** Shows the comments as subtitles, as a viewer does who chooses them from a menu. */
      showComments(name: PlayerName): Promise<void>;
      /** What of them is there, and has been on screen. */
      subtitles(name: PlayerName): Subtitles;
      stop(): Promise<void>;
    };
  }
}

/** Makes `window.players`. Runs in the page: it may use nothing of this module but types. */
export function install(): void {
  /** How often the position is noted. */
  const TICK_MS = 100;
  /** How often sound is looked at; a beep is 100 ms. */
  const LISTEN_MS = 15;
  /** Samples that are looked at: 170 ms at 48 kHz, so that a late look misses nothing. */
  const LISTEN_SAMPLES = 8192;
  /** Louder than noise, and far below the beep's 0.25. */
  const LOUD = 0.02;
  /** Enough for what a test asks of the page, which is then told that there was more. */
  const TICKS_MAX = 36_000;
  const ERRORS_MAX = 100;

  interface Playing {
    readonly video: HTMLVideoElement;
    readonly recorded: {
      -readonly [Key in keyof Recorded]: Recorded[Key] extends readonly (infer Item)[]
        ? Item[]
        : Recorded[Key];
    };
    readonly shown: { mediaS: number; texts: string[] }[];
    engine: Engine;
  }
  /** What is asked of a player that is not the same with all of them. */
  interface Engine {
    destroy(): unknown;
    /** Shows the one track of subtitles that there is. */
    showComments(): unknown;
    /** What to add to `currentTime` to get media time, seconds; null while that is not known. */
    offsetS(): number | null;
  }
  const all = new Map<PlayerName, Playing>();
  const over = new AbortController();

  const failed = (playing: Playing, text: string) => {
    if (playing.recorded.errors.length < ERRORS_MAX) playing.recorded.errors.push(text);
  };

  /** Each player as its documentation has it for low latency; targets are the manifest's. */
  const engines: Record<PlayerName, (playing: Playing, url: string) => Promise<Engine>> = {
    async dashjs(playing, url) {
      const player = window.dashjs.MediaPlayer().create();
      player.updateSettings({
        debug: { logLevel: 0 },
        streaming: {
          applyServiceDescription: true,
          liveCatchup: { enabled: true },
          // Otherwise it shows whatever subtitles there are, to everybody.
          text: { defaultEnabled: false },
        },
      });
      player.on('error', (event: unknown) => {
        const { error } = event as { error?: { code?: number; message?: string } };
        failed(playing, `${error?.code}: ${error?.message}`);
      });
      player.initialize(playing.video, url, true);
      return {
        destroy: () => player.destroy(),
        showComments: () => player.setTextTrack(0),
        // The presentation timeline is that of media time.
        offsetS: () => 0,
      };
    },
    async shaka(playing, url) {
      // As `docs/players.md` asks of every page that shows subtitles with Shaka.
      const { TextEngine, VttTextParser } = window.shaka.text;
      class Parser extends VttTextParser {
        parseMedia(data: Uint8Array, time: object, ...rest: unknown[]) {
          return super.parseMedia(data, { ...time, vttOffset: 0 }, ...rest);
        }
      }
      TextEngine.registerParser('text/vtt', () => new Parser());
      const player = new window.shaka.Player();
      await player.attach(playing.video);
      player.configure({ streaming: { lowLatencyMode: true, liveSync: { enabled: true } } });
      player.addEventListener('error', (event: CustomEvent) => {
        const { code, severity, data } = event.detail;
        failed(playing, `${code}, severity ${severity}: ${JSON.stringify(data)}`);
      });
      await player.load(url);
      await playing.video.play();
      return {
        destroy: () => player.destroy(),
        showComments: () => player.selectTextTrack(player.getTextTracks()[0]),
        offsetS: () => 0,
      };
    },
    async hlsjs(playing, url) {
      const player = new window.Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.06 });
      player.on(window.Hls.Events.ERROR, (_event: unknown, data: ErrorData) => {
        const what = `${data.details}${data.response ? ` ${data.response.code}` : ''}`;
        const url = data.url ?? data.frag?.url ?? '';
        // What hls.js mends by itself without a request having been refused: a stall is counted as
        // one, and while the encoder is away a playlist that waits for media waits in vain.
        const mended = !data.fatal && /^buffer|LoadTimeOut$/.test(data.details);
        const text = `${data.fatal ? 'fatal ' : ''}${what} ${url} ${data.reason ?? ''}`;
        if (!mended) failed(playing, text);
        else if (playing.recorded.mended.length < ERRORS_MAX) playing.recorded.mended.push(text);
      });
      // Dates are all that a playlist says of media time; the broadcast's status knows where it began.
      let t0Ms: number | null = null;
      void fetch(new URL('.', url).href.slice(0, -1))
        .then((answer) => answer.json())
        .then((status) => {
          t0Ms = status.t0_ms;
        });
      window.stepOverLostPart(player);
      player.loadSource(url);
      player.attachMedia(playing.video);
      player.once(window.Hls.Events.MANIFEST_PARSED, () => void playing.video.play());
      return {
        destroy: () => player.destroy(),
        showComments: () => {
          player.subtitleTrack = 0;
        },
        offsetS: () => {
          const { playingDate } = player;
          if (!playingDate || t0Ms === null) return null;
          return (playingDate.getTime() - t0Ms) / 1_000 - playing.video.currentTime;
        },
      };
    },
  };

  const rangesOf = ({ buffered }: HTMLVideoElement) =>
    Array.from({ length: buffered.length }, (_, i): [number, number] => [
      buffered.start(i),
      buffered.end(i),
    ]);

  const tracksOf = ({ video }: Playing) =>
    Array.from(video.textTracks).filter(({ kind }) => kind !== 'metadata');

  const textOf = (cue: TextTrackCue) => (cue as VTTCue).getCueAsHTML().textContent ?? '';

  /** Notes what subtitles are on screen, whenever others are. */
  const read = (playing: Playing) => {
    const offset = playing.engine.offsetS();
    if (offset === null) return;
    const showing = tracksOf(playing).filter(({ mode }) => mode === 'showing');
    const texts = showing.flatMap(({ activeCues }) => Array.from(activeCues ?? [], textOf));
    const former = playing.shown.at(-1)?.texts ?? [];
    if (texts.join('\0') === former.join('\0') || playing.shown.length >= TICKS_MAX) return;
    playing.shown.push({ mediaS: playing.video.currentTime + offset, texts });
  };

  const tick = ({ video, recorded }: Playing, startedMs: number) => {
    const previous = recorded.ticks.at(-1);
    const now: Tick = {
      atMs: performance.now() - startedMs,
      time: video.currentTime,
      ranges: rangesOf(video),
      seeking: video.seeking,
      ready: video.readyState,
      rate: video.playbackRate,
    };
    if (recorded.ticks.length < TICKS_MAX) recorded.ticks.push(now);
    else recorded.cut = true;
    const moved = previous && now.time !== previous.time && !video.seeking && !video.paused;
    if (moved) recorded.firstMs ??= now.atMs;
  };

  /** Notes the media time of the first picture of each flash. */
  const look = ({ video, recorded }: Playing, startedMs: number) => {
    const size = 4;
    const context = new OffscreenCanvas(size, size).getContext('2d', { willReadFrequently: true });
    let lit = true;
    const next: VideoFrameRequestCallback = (_now, { mediaTime, width, height }) => {
      if (over.signal.aborted || !context) return;
      recorded.frames++;
      recorded.firstMs ??= performance.now() - startedMs;
      recorded.width = width;
      // The flash square of `docs/pattern-clock.md`.
      const [x, y, w, h] = [(47 / 64) * width, (13 / 36) * height, width / 16, height / 9];
      context.drawImage(video, x, y, w, h, 0, 0, size, size);
      const { data } = context.getImageData(0, 0, size, size);
      const green = data.reduce((sum, level, i) => (i % 4 === 1 ? sum + level : sum), 0);
      const was = lit;
      lit = green / (size * size) > 128;
      if (lit && !was) recorded.flashes.push(mediaTime);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  };

  /** Notes the media time at which each beep begins. */
  const listen = async ({ video, recorded }: Playing) => {
    const context = new AudioContext();
    over.signal.addEventListener('abort', () => void context.close());
    await context.resume();
    const analyser = new AnalyserNode(context, { fftSize: LISTEN_SAMPLES });
    const stream = (video as HTMLVideoElement & { captureStream(): MediaStream }).captureStream();
    let source: MediaStreamAudioSourceNode | undefined;
    // A new Period may bring a new track.
    const connect = () => {
      source?.disconnect();
      if (stream.getAudioTracks().length === 0) return;
      source = context.createMediaStreamSource(stream);
      source.connect(analyser);
    };
    stream.addEventListener('addtrack', connect);
    connect();
    const block = new Float32Array(LISTEN_SAMPLES);
    let loud = true;
    const timer = setInterval(() => {
      const time = video.currentTime;
      analyser.getFloatTimeDomainData(block);
      const first = block.findIndex((sample) => Math.abs(sample) > LOUD);
      const last = block.findLastIndex((sample) => Math.abs(sample) > LOUD);
      // A beep goes on if it was heard before or fills all that is looked at.
      const began = !loud && first > 0;
      loud = last >= 0;
      if (began && !video.seeking) {
        recorded.beeps.push(time - (LISTEN_SAMPLES - first) / context.sampleRate);
      }
    }, LISTEN_MS);
    over.signal.addEventListener('abort', () => clearInterval(timer));
  };

  const of = (name: PlayerName) => {
    const playing = all.get(name);
    if (!playing) throw new Error(`${name} was not started`);
    return playing;
  };

  window.players = {
    async start(name, url) {
      const video = document.createElement('video');
      video.width = 320;
      document.body.append(video);
      const playing: Playing = {
        video,
        recorded: {
          firstMs: null,
          frames: 0,
          width: 0,
          errors: [],
          mended: [],
          ticks: [],
          flashes: [],
          beeps: [],
          cut: false,
        },
        shown: [],
        engine: { destroy: () => {}, showComments: () => {}, offsetS: () => null },
      };
      all.set(name, playing);
      const startedMs = performance.now();
      video.addEventListener('error', () => failed(playing, `media: ${video.error?.message}`));
      video.addEventListener('playing', () => void listen(playing), { once: true });
      look(playing, startedMs);
      const timer = setInterval(() => {
        tick(playing, startedMs);
        read(playing);
      }, TICK_MS);
      over.signal.addEventListener('abort', () => clearInterval(timer));
      try {
        playing.engine = await engines[name](playing, url);
      } catch (error) {
        failed(playing, `start: ${JSON.stringify(error)} ${error}`);
      }
    },
    recorded: (name) => of(name).recorded,
    async showComments(name) {
      await of(name).engine.showComments();
    },
    subtitles(name) {
      const playing = of(name);
      const { shown } = playing;
      const offset = playing.engine.offsetS() ?? Number.NaN;
      const tracks = tracksOf(playing).map(({ label, kind, mode, cues }) => ({
        label,
        kind,
        mode,
        cues: Array.from(cues ?? [], (cue) => ({
          fromS: cue.startTime + offset,
          toS: cue.endTime + offset,
          text: textOf(cue),
        })),
      }));
      return { tracks, shown };
    },
    async stop() {
      over.abort();
      for (const { engine, video } of all.values()) {
        await engine.destroy();
        video.remove();
      }
    },
  };
}
