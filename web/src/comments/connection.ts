// The WebSocket to the edge's comments: joins, comes back, and says what the viewer wrote until it is
// acknowledged. Owns when to connect and when to say something again; what is said goes to its host,
// and what has been seen is the host's to know.
//
// An answer may be lost at any moment, so whatever has none is said again, under the name it had.

import { protocols } from '../access.ts';
import {
  type Blocks,
  type Comments,
  type Hello,
  type Present,
  type React,
  type Refused,
  type Request,
  type Role,
  read,
  type Said,
  type Stored,
  UNAVAILABLE,
} from './protocol.ts';

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
/** What is to be said again is so after this at least … */
const RETRY_MIN_MS = 250;
/** … and what would have to wait for longer than this is the viewer's to say again, or not. */
export const RETRY_MAX_MS = 60_000;
/** After so many refusals for the moment it is refused. */
export const RETRIES_MAX = 5;
/** So many requests of one viewer are on their way; who writes more waits. */
export const QUEUE_MAX = 8;

/** Close codes that mean something to a client (RFC 6455 §7.4.1, and docs/comments.md). */
const POLICY_VIOLATION = 1008;
/** The viewer's token has expired. */
const NOT_AUTHORIZED = 4401;
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
  said(said: Hello | Comments | Role | Blocks): void;
  stored(stored: Stored): void;
  /** Refused; `again`: for the moment only, and it is being tried again. */
  refused(refused: Refused, again: boolean): void;
  /** `link` has changed. */
  changed(): void;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly secret: string;
  /** A moderator's; empty for none. */
  readonly key?: string;
  /** The viewer's token; empty for none. */
  readonly token?: string;
  readonly host: ConnectionHost;
  readonly open?: (url: string) => Socket;
  /** 0 to below 1. */
  readonly random?: () => number;
}

type Timer = ReturnType<typeof setTimeout>;

/** Something said that has no answer yet. */
interface Attempt {
  readonly message: Request;
  timer: Timer | undefined;
  /** The edge wants to hear it later, whatever becomes of the connection meanwhile. */
  waiting: boolean;
  silences: number;
  retries: number;
}

export class Connection {
  #url: string;
  readonly #secret: string;
  readonly #key: string;
  readonly #host: ConnectionHost;
  readonly #open: (url: string) => Socket;
  readonly #random: () => number;
  /** By the name of the attempt, oldest first. */
  readonly #requests = new Map<string, Attempt>();
  /** What was given up without anybody knowing whether it is stored: an answer may come all the same. */
  readonly #unsure = new Set<string>();
  /** Said anew over each connection, because it lasts as long as one. */
  #present: Present | null = null;
  #presentTimer: Timer | undefined;
  #socket: Socket | null = null;
  #link: Link = 'connecting';
  #failures = 0;
  /** Of whatever comes next: the hello, the proof of a good connection, or another try. */
  #timer: Timer | undefined;

  /** Connects at once, and stays so until `close`. */
  constructor({ url, secret, key, token, host, open, random }: ConnectionOptions) {
    this.#url = url;
    this.#secret = secret;
    this.#key = key ?? '';
    this.#host = host;
    const offered = protocols(token ?? '');
    this.#open = open ?? ((url) => new WebSocket(url, offered) as Socket);
    this.#random = random ?? Math.random;
    this.#connect();
  }

  get link(): Link {
    return this.#link;
  }

  /** Says it, now or as soon as there is a connection. False: too much is on its way already. */
  say(message: Request): boolean {
    if (this.#requests.size >= QUEUE_MAX || this.#link === 'refused') return false;
    const request = { message, timer: undefined, waiting: false, silences: 0, retries: 0 };
    this.#requests.set(message.client, request);
    this.#unsure.delete(message.client);
    if (this.#link === 'open') this.#send(request);
    return true;
  }

  /** Says what nobody answers. False: there is nobody to say it to, and it is not said later. */
  tell(message: React): boolean {
    if (this.#link !== 'open' || !this.#socket) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** On the list of who attends, now and after each reconnect; null: no longer, which takes one. */
  attend(present: Present | null): void {
    const before = this.#present;
    this.#present = present;
    clearTimeout(this.#presentTimer);
    if (present) this.#sendPresent();
    else if (before) this.resume();
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

  /** Goes on at another edge of the same broadcast, where what has no answer yet is said again. */
  move(url: string): void {
    if (url === this.#url) return;
    this.#url = url;
    // That one edge wants nothing of this page says nothing of another.
    if (this.#link === 'refused') this.#become('reconnecting');
    this.resume();
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
      socket.send(JSON.stringify(this.#key ? { ...join, key: this.#key } : join));
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
      case 'role':
        return this.#host.said(said);
      case 'blocks':
        if (this.#answered(said.client)) this.#host.said(said);
        return;
      case 'stored':
        if (this.#answered(said.client) || this.#unsure.delete(said.client))
          this.#host.stored(said);
        return;
      case 'refused':
        return this.#refused(said);
    }
  }

  #joined(hello: Extract<Said, { type: 'hello' }>): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#failures = 0;
    }, GOOD_MS);
    this.#become('open');
    this.#host.said(hello);
    this.#sendPresent();
    for (const request of this.#requests.values()) if (!request.waiting) this.#send(request);
  }

  #refused(refused: Refused): void {
    const { client, retryAfterMs } = refused;
    if (client === this.#present?.client) return this.#notPresent(refused);
    const request = this.#requests.get(client);
    if (!request) return;
    clearTimeout(request.timer);
    request.silences = 0;
    const soon = retryAfterMs !== null && retryAfterMs <= RETRY_MAX_MS;
    const again = soon && request.retries < RETRIES_MAX;
    if (again) {
      request.retries++;
      request.waiting = true;
      request.timer = setTimeout(
        () => {
          request.waiting = false;
          this.#send(request);
        },
        Math.max(RETRY_MIN_MS, retryAfterMs),
      );
    } else {
      this.#requests.delete(client);
      if (refused.reason === UNAVAILABLE) this.#unsure.add(client);
    }
    this.#host.refused(refused, again);
  }

  #sendPresent(): void {
    clearTimeout(this.#presentTimer);
    if (this.#link === 'open' && this.#present) this.#socket?.send(JSON.stringify(this.#present));
  }

  #notPresent(refused: Refused): void {
    const { retryAfterMs } = refused;
    const again = retryAfterMs !== null;
    clearTimeout(this.#presentTimer);
    if (again) {
      const waitMs = Math.max(RETRY_MIN_MS, retryAfterMs);
      this.#presentTimer = setTimeout(() => this.#sendPresent(), waitMs);
    } else {
      this.#present = null;
    }
    this.#host.refused(refused, again);
  }

  /** Whether this was waited for. */
  #answered(client: string): boolean {
    clearTimeout(this.#requests.get(client)?.timer);
    return this.#requests.delete(client);
  }

  #send(request: Attempt): void {
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
    if (code === POLICY_VIOLATION || code === NOT_AUTHORIZED) {
      const clients = [...this.#requests.keys()];
      this.#forget();
      this.#become('refused');
      for (const client of clients) {
        const refused = { type: 'refused', client, reason: 'not-allowed' } as const;
        this.#host.refused({ ...refused, retryAfterMs: null }, false);
      }
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
    this.#unsure.clear();
  }

  /** Lets go of the socket without hearing from it again: its own close may be long in coming. */
  #leave(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#presentTimer);
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
