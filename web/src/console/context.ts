// What all views of the console share: who is signed in, what the server is, the client of its API, its
// news, and what is asked or told in a dialog of the page. Views change it by calling it, and hear of it by
// its events; it knows nothing of elements.

import { Api, ApiError } from './api.ts';
import { Feed } from './feed.ts';
import type { Account, Broadcast, Feature, Info, Live, Session } from './model.ts';
import { hashOf, type Route, routeOf, sameRoute } from './route.ts';
import { Studio } from './studio.ts';
import type { Texts } from './texts/texts.ts';

/** What is asked before something is done that cannot be taken back. */
export interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button says that does it. */
  readonly action: string;
  readonly danger?: boolean;
  /** What the other button says; without it, "Cancel". */
  readonly otherwise?: string;
}

export interface Asked extends Question {
  readonly answer: (yes: boolean) => void;
}

/** Each kind of news, and what comes with it. */
export interface News {
  /** Account, connection or server are not what they were. */
  change: null;
  route: Route;
  broadcast: Broadcast;
  deleted: string;
  live: { readonly id: string; readonly news: Live };
  /** News may have been missed: ask again for what is shown. */
  missed: null;
  /** The session has ended while the page was open, or there is one again. */
  session: null;
  said: string;
  asked: Asked;
}

/** A preview that has gone is still counted among the viewers for a while, at most so long. */
const PREVIEW_GONE_MS = 10_000;

export class Context {
  readonly api: Api;
  readonly studio: Studio;
  texts: Texts;
  info: Info | null = null;
  account: Account | null = null;
  connected = true;
  /** The session has ended, and somebody is asked to sign in again. */
  ended = false;
  route: Route = { page: 'list' };
  /** Asked before the page shown is left; true: there is something that would be lost. */
  unsaved: (() => boolean) | null = null;
  readonly #events = new EventTarget();
  readonly #feed: Feed;
  /** The preview that this page showed last, and when it went. */
  #preview: { readonly id: string; readonly goneMs: number } | null = null;
  #renewal: Renewal | null = null;

  constructor(texts: Texts) {
    this.texts = texts;
    this.api = new Api({ renew: () => this.#renew() });
    this.#feed = new Feed({
      url: (live) => this.api.events(live),
      host: {
        broadcast: (broadcast) => this.tell('broadcast', broadcast),
        deleted: (id) => this.tell('deleted', id),
        live: (id, news) => this.tell('live', { id, news }),
        missed: () => this.tell('missed', null),
        connected: (connected) => {
          this.connected = connected;
          this.tell('change', null);
        },
        refused: () => void this.#checkSession(),
      },
    });
    this.studio = new Studio({ api: this.api, whip: () => this.info?.whip ?? null });
  }

  /** Hears of one kind of news until the signal ends it. */
  on<K extends keyof News>(kind: K, hear: (news: News[K]) => void, signal: AbortSignal): void {
    const listener = (event: Event) => hear((event as CustomEvent<News[K]>).detail);
    this.#events.addEventListener(kind, listener, { signal });
  }

  tell<K extends keyof News>(kind: K, detail: News[K]): void {
    this.#events.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  /** Says that something was done, for a moment and to everybody who listens. */
  say(text: string): void {
    this.tell('said', text);
  }

  ask(question: Question): Promise<boolean> {
    return new Promise((answer) => this.tell('asked', { ...question, answer }));
  }

  /** A preview of a broadcast has left the page. */
  previewGone(id: string, nowMs: number): void {
    this.#preview = { id, goneMs: nowMs };
  }

  /** Whether a preview of this page may still be among the viewers of a broadcast. */
  previewCounts(id: string, nowMs: number): boolean {
    return this.#preview?.id === id && nowMs - this.#preview.goneMs < PREVIEW_GONE_MS;
  }

  /** Whether this server can do what not every one can. */
  can(feature: Feature): boolean {
    return this.info?.features?.includes(feature) ?? false;
  }

  get isAdmin(): boolean {
    return this.account?.role === 'admin';
  }

  /** Whether new broadcasts may be made. */
  get mayCreate(): boolean {
    return this.isAdmin || this.account?.role === 'host';
  }

  /** Somebody is signed in: from now on there is news. */
  enter({ account }: Session): void {
    const other = this.account !== null && this.account.id !== account.id;
    this.account = account;
    this.ended = false;
    this.#feed.start();
    this.#feed.hurry();
    // What one person was about to do is not done in the name of another, who may see other things, too.
    if (other) this.#renewal?.fail(new ApiError(401, 'other-account', ''));
    else this.#renewal?.done();
    this.#renewal = null;
    this.tell('session', null);
    this.tell('change', null);
    if (other) this.tell('missed', null);
  }

  leave(): void {
    this.#feed.stop();
    void this.studio.stop();
    this.account = null;
    this.ended = false;
    this.unsaved = null;
    this.tell('change', null);
  }

  follow(id: string | null): void {
    this.#feed.follow(id);
  }

  hurry(): void {
    this.#feed.hurry();
  }

  /** Whether somebody can see the page. */
  shown(shown: boolean): void {
    this.#feed.shown(shown);
  }

  /** Goes to another page of the console. */
  go(route: Route): void {
    location.hash = hashOf(route);
  }

  /** Takes the route from the address, unless that would lose what was written. */
  async navigated(): Promise<void> {
    const route = routeOf(location.hash);
    if (sameRoute(route, this.route)) return;
    if (this.unsaved?.()) {
      history.replaceState(null, '', hashOf(this.route));
      const { unsaved: title, unsavedText: text, leave: action, stay } = this.texts.app;
      if (!(await this.ask({ title, text, action, otherwise: stay, danger: true }))) return;
      this.unsaved = null;
      return this.go(route);
    }
    this.unsaved = null;
    this.route = route;
    this.tell('route', route);
  }

  /** Who was asked for with an old session waits here until there is a new one. */
  #renew(): Promise<void> {
    // Nobody was signed in: there is a form on the page already.
    if (!this.account) return Promise.reject(new ApiError(401, 'unauthorized', ''));
    if (!this.#renewal) {
      this.#renewal = renewal();
      this.ended = true;
      this.tell('session', null);
    }
    return this.#renewal.promise;
  }

  /** The stream of news says not why it was refused. */
  async #checkSession(): Promise<void> {
    if (!this.account || this.ended) return;
    try {
      const session = await this.api.session.current();
      if (!session) void this.#renew();
    } catch {
      // The server is away, which is told elsewhere.
    }
  }
}

/** What waits for a session. */
interface Renewal {
  readonly promise: Promise<void>;
  readonly done: () => void;
  readonly fail: (error: ApiError) => void;
}

function renewal(): Renewal {
  let done = () => {};
  let fail: Renewal['fail'] = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    done = resolve;
    fail = reject;
  });
  // Nobody may be waiting: the stream of news alone has noticed.
  promise.catch(() => {});
  return { promise, done, fail };
}
