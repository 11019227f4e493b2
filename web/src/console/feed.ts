// News of the server by `EventSource`: what changed, as it changes. The browser comes back by itself after
// a stream that ended; after an error it gives up, and this does not, with longer and longer pauses.

import type { Broadcast, Live } from './model.ts';

/** Pauses grow from the first to the last, and each is up to so much longer, so that not all come at once. */
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
const JITTER = 0.5;
/** A stream that is to come back by itself has so long before people are told. */
const PATIENCE_MS = 4_000;
/**
 * A page that nobody has looked at for so long gives its connection back: over HTTP/1.1 browsers have six for
 * all tabs of a host, and the seventh tab would load nothing.
 */
const HIDDEN_MS = 5_000;

export interface FeedHost {
  broadcast(broadcast: Broadcast): void;
  deleted(id: string): void;
  live(id: string, news: Live): void;
  /** News may have been missed: what is shown is to be asked for again. */
  missed(): void;
  /** Whether there is a connection, told when it changes. */
  connected(connected: boolean): void;
  /** It was refused: a session may have ended. */
  refused(): void;
}

export interface FeedOptions {
  readonly url: (live: string | null) => string;
  readonly host: FeedHost;
  readonly create?: (url: string) => EventSource;
  readonly random?: () => number;
}

export class Feed {
  readonly #options: FeedOptions;
  #source: EventSource | null = null;
  #live: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Runs while the browser tries by itself. */
  #patience: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #opened = false;
  #connected = true;
  #running = false;
  #hidden = false;
  /** Runs while the page has been hidden only for a moment. */
  #leaving: ReturnType<typeof setTimeout> | undefined;
  /** The page has been hidden for long, and nothing is asked for. */
  #paused = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Whose figures come each second; null for nobody's. */
  get live(): string | null {
    return this.#live;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    if (!this.#paused) this.#open();
  }

  stop(): void {
    this.#running = false;
    this.#opened = false;
    this.#close();
  }

  /** Whether somebody can see the page: there is no news for who does not look. */
  shown(shown: boolean): void {
    if (this.#hidden === !shown) return;
    this.#hidden = !shown;
    clearTimeout(this.#leaving);
    if (!shown) {
      this.#leaving = setTimeout(() => this.#pause(), HIDDEN_MS);
      return;
    }
    if (!this.#paused) return;
    this.#paused = false;
    // What happened meanwhile was missed, also by who had not been told anything yet.
    this.#opened = true;
    if (this.#running) this.#open();
  }

  /** Follows the figures of this broadcast as well. */
  follow(live: string | null): void {
    if (live === this.#live) return;
    this.#live = live;
    if (this.#running && !this.#paused) this.#open();
  }

  /** There is a network again: do not wait for the pause to end. */
  hurry(): void {
    if (!this.#running || this.#paused || this.#source?.readyState === 1) return;
    this.#attempts = 0;
    this.#open();
  }

  #pause(): void {
    this.#paused = true;
    this.#attempts = 0;
    this.#close();
  }

  #open(): void {
    this.#close();
    const { url, create = (to) => new EventSource(to), host } = this.#options;
    const source = create(url(this.#live));
    this.#source = source;
    source.addEventListener('open', () => {
      this.#forget();
      this.#attempts = 0;
      this.#tell(true);
      if (this.#opened) host.missed();
      this.#opened = true;
    });
    source.addEventListener('error', () => this.#failed(source));
    const on = <T>(type: string, take: (data: T) => void) =>
      source.addEventListener(type, (event) => {
        const data = parsed<T>((event as MessageEvent<string>).data);
        if (data) take(data);
      });
    const live = this.#live ?? '';
    on<Broadcast>('broadcast', (data) => host.broadcast(data));
    on<{ id: string }>('deleted', ({ id }) => host.deleted(id));
    on<Live>('live', (data) => host.live(live, data));
  }

  #failed(source: EventSource): void {
    if (source !== this.#source) return;
    if (source.readyState !== 2) {
      // It comes back by itself, and fails each time that it tries; only if that takes long is it worth
      // a word.
      this.#patience ??= setTimeout(() => this.#tell(false), PATIENCE_MS);
      return;
    }
    clearTimeout(this.#timer);
    this.#options.host.refused();
    this.#tell(false);
    const { random = Math.random } = this.#options;
    const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.#open(), pause * (1 + JITTER * random()));
  }

  #tell(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    this.#options.host.connected(connected);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }

  #close(): void {
    this.#forget();
    this.#source?.close();
    this.#source = null;
  }
}

function parsed<T>(data: string): T | null {
  try {
    return JSON.parse(data) as T;
  } catch {
    return null;
  }
}
