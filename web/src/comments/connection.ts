// The WebSocket to the edge's comments: joins, comes back, and says what the viewer wrote until it is
// acknowledged. Owns when to connect and when to say something again; what is said goes to its host,
// and what has been seen is the host's to know.
//
// An answer may be lost at any moment, so whatever has none is said again, under the name it had.

import { type Delete, type Post, read, type Said } from './protocol.ts';

/** The first try to come back is after about this, and each further one after twice as long. */
export const BACKOFF_MS = 500;
export const BACKOFF_MAX_MS = 15_000;
/** An edge that is full is asked again after this and up to as much again. */
export const FULL_MS = 30_000;
/** An edge answers in a moment; without a word for so long there is none. */
export const HELLO_TIMEOUT_MS = 10_000;
/** A connection that lasted so long was a good one: the next begins without patience. */
export const GOOD_MS = 10_000;
/** What hears nothing for so long is said again. */
export const ANSWER_TIMEOUT_MS = 10_000;
/** After so many times without an answer it is the connection that is believed to be dead. */
export const SILENCES_MAX = 3;
/** What an edge may have a page wait before it says the same again. */
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 60_000;
/** After so many refusals for the moment it is refused. */
export const RETRIES_MAX = 5;
/** So many requests of one viewer are on their way; who writes more waits. */
export const QUEUE_MAX = 8;

/** Close codes that mean something to a client (RFC 6455 §7.4.1, and docs/comments.md). */
const POLICY_VIOLATION = 1008;
const TRY_AGAIN_LATER = 1013;

/** `refused` is for good: rules were broken, and would be again. */
export type Link = 'connecting' | 'open' | 'reconnecting' | 'full' | 'refused';

/** What of a WebSocket is used here, so that tests can be one. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number }) => void) | null;
  send(text: string): void;
  close(): void;
}

/** What the owner of a connection is told and asked. */
export interface ConnectionHost {
  /** All changes up to this `seq` are known. */
  after(): number;
  /** What the edge said, other than answers. */
  said(said: Exclude<Said, { type: 'stored' } | { type: 'refused' }>): void;
  stored(client: string, id: number): void;
  /** Refused; `again`: for the moment only, and it is being tried again. */
  refused(client: string, reason: string, again: boolean): void;
  /** `link` has changed. */
  changed(): void;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly secret: string;
  readonly host: ConnectionHost;
  readonly open?: (url: string) => Socket;
  /** 0 to below 1. */
  readonly random?: () => number;
}

type Timer = ReturnType<typeof setTimeout>;

/** Something said that has no answer yet. */
interface Request {
  readonly message: Post | Delete;
  timer: Timer | undefined;
  /** The edge wants to hear it later, whatever becomes of the connection meanwhile. */
  waiting: boolean;
  silences: number;
  retries: number;
}

export class Connection {
  readonly #url: string;
  readonly #secret: string;
  readonly #host: ConnectionHost;
  readonly #open: (url: string) => Socket;
  readonly #random: () => number;
  /** By the name of the attempt, oldest first. */
  readonly #requests = new Map<string, Request>();
  #socket: Socket | null = null;
  #link: Link = 'connecting';
  #failures = 0;
  /** Of whatever comes next: the hello, the proof of a good connection, or another try. */
  #timer: Timer | undefined;

  /** Connects at once, and stays so until `close`. */
  constructor({ url, secret, host, open, random }: ConnectionOptions) {
    this.#url = url;
    this.#secret = secret;
    this.#host = host;
    this.#open = open ?? ((url) => new WebSocket(url) as Socket);
    this.#random = random ?? Math.random;
    this.#connect();
  }

  get link(): Link {
    return this.#link;
  }

  /** Says it, now or as soon as there is a connection. False: too much is on its way already. */
  say(message: Post | Delete): boolean {
    if (this.#requests.size >= QUEUE_MAX || this.#link === 'refused') return false;
    const request = { message, timer: undefined, waiting: false, silences: 0, retries: 0 };
    this.#requests.set(message.client, request);
    if (this.#link === 'open') this.#send(request);
    return true;
  }

  /** Leaves until `resume`, and forgets nothing. */
  rest(): void {
    this.#leave();
    if (this.#link !== 'refused') this.#become('reconnecting');
  }

  /** Connects anew and at once: what was connected may be so no longer, unnoticed. */
  resume(): void {
    if (this.#link === 'refused') return;
    this.#failures = 0;
    this.#leave();
    this.#connect();
  }

  close(): void {
    this.#leave();
    this.#forget();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#become(this.#link === 'connecting' ? 'connecting' : 'reconnecting');
    let socket: Socket;
    try {
      socket = this.#open(this.#url);
    } catch (error) {
      // Such as a page over HTTPS gets that asks an edge without.
      console.warn('comments:', error);
      return this.#closed(null);
    }
    this.#socket = socket;
    socket.onopen = () => {
      const join = { type: 'join', after: this.#host.after(), secret: this.#secret };
      socket.send(JSON.stringify(join));
    };
    socket.onmessage = ({ data }) => {
      const said = read(data);
      if (said) this.#hear(said);
    };
    socket.onclose = ({ code }) => this.#closed(code);
    // A connection that cannot be made is noticed by some networks after minutes only.
    this.#timer = setTimeout(() => this.#closed(null), HELLO_TIMEOUT_MS);
  }

  #hear(said: Said): void {
    switch (said.type) {
      case 'hello':
        return this.#joined(said);
      case 'comments':
        return this.#host.said(said);
      case 'stored':
        if (this.#answered(said.client)) this.#host.stored(said.client, said.id);
        return;
      case 'refused':
        return this.#refused(said.client, said.reason, said.retryAfterMs);
    }
  }

  #joined(hello: Extract<Said, { type: 'hello' }>): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#failures = 0;
    }, GOOD_MS);
    this.#become('open');
    this.#host.said(hello);
    for (const request of this.#requests.values()) if (!request.waiting) this.#send(request);
  }

  #refused(client: string, reason: string, retryAfterMs: number | null): void {
    const request = this.#requests.get(client);
    if (!request) return;
    clearTimeout(request.timer);
    request.silences = 0;
    const again = retryAfterMs !== null && request.retries < RETRIES_MAX;
    if (again) {
      request.retries++;
      const waitMs = Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, retryAfterMs));
      request.waiting = true;
      request.timer = setTimeout(() => {
        request.waiting = false;
        this.#send(request);
      }, waitMs);
    } else {
      this.#requests.delete(client);
    }
    this.#host.refused(client, reason, again);
  }

  /** Whether this was waited for. */
  #answered(client: string): boolean {
    clearTimeout(this.#requests.get(client)?.timer);
    return this.#requests.delete(client);
  }

  #send(request: Request): void {
    clearTimeout(request.timer);
    if (this.#link !== 'open' || !this.#socket) return;
    this.#socket.send(JSON.stringify(request.message));
    request.timer = setTimeout(() => {
      request.silences++;
      if (request.silences < SILENCES_MAX) return this.#send(request);
      request.silences = 0;
      this.#closed(null);
    }, ANSWER_TIMEOUT_MS);
  }

  /** The connection was closed with this code, or is given up: null. */
  #closed(code: number | null): void {
    this.#leave();
    if (code === POLICY_VIOLATION) {
      const clients = [...this.#requests.keys()];
      this.#forget();
      this.#become('refused');
      for (const client of clients) this.#host.refused(client, 'not-allowed', false);
      return;
    }
    const full = code === TRY_AGAIN_LATER;
    const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#failures);
    // Spread, because an edge that goes away leaves everybody at the same moment.
    const waitMs = full ? FULL_MS * (1 + this.#random()) : backoff * (0.5 + this.#random() / 2);
    this.#failures++;
    this.#become(full ? 'full' : 'reconnecting');
    this.#timer = setTimeout(() => this.#connect(), waitMs);
  }

  #forget(): void {
    for (const { timer } of this.#requests.values()) clearTimeout(timer);
    this.#requests.clear();
  }

  /** Lets go of the socket without hearing from it again: its own close may be long in coming. */
  #leave(): void {
    clearTimeout(this.#timer);
    // What has no answer is said again when there is somebody to say it to.
    for (const { timer, waiting } of this.#requests.values()) if (!waiting) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #become(link: Link): void {
    if (link === this.#link) return;
    this.#link = link;
    this.#host.changed();
  }
}
