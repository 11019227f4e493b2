// `<lectern-comments for="player">`: what viewers write about a broadcast, each comment at its moment of
// the picture. Owns the list, where its reader is in it, and who is asked when; what there is to show is
// the room's, and how it comes is the connection's.

import { html, LitElement, nothing } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { repeat } from 'lit/directives/repeat.js';
import { colours } from './colours.ts';
import { commentsStyles } from './comments/comments-styles.ts';
import { Connection, type ConnectionHost } from './comments/connection.ts';
import { hueOf, initialOf, momentText } from './comments/faces.ts';
import { attemptName, secretFor } from './comments/identity.ts';
import type { LecternCommentForm, WriteEvent } from './comments/lectern-comment-form.ts';
import './comments/lectern-comment-form.ts';
import { Place } from './comments/place.ts';
import type { Comment } from './comments/protocol.ts';
import { type Pending, Room, type Shown } from './comments/room.ts';
import { endpoints } from './endpoints.ts';
import { ICONS } from './icons.ts';
import type { LecternPlayer } from './lectern-player.ts';
import { refusalText, type Texts, textsFor } from './texts/texts.ts';

/** So many comments are in the document at first, and so many more each time they are asked for. */
const SHOWN_STEP = 200;
/** As long as somebody reads further up, the list grows to so many before its beginning goes. */
const SHOWN_UNREAD_MAX = 1_000;
/** The player is asked for its media time when the next comment is due, at most so often … */
const WAITING_MS = 16;
/** … and at least so often: a picture that goes back changes everything. */
const RESTING_MS = 1_000;

/**
 * @attr {string} for - the id of the `<lectern-player>` in the same document or shadow tree
 * @attr {string} lang - the language of its texts; without it, the viewer's
 * @prop {LecternPlayer | null} player - instead of `for`
 * @csspart header - the title, and what there is to say about the connection
 * @csspart list - the comments, which scroll
 * @csspart comment - one of them
 * @csspart avatar, name, text - of a comment
 * @csspart newer - the button that leads to comments below
 * @csspart form, field, send - where one writes
 * @cssprop --lectern-accent, --lectern-text, --lectern-quiet, --lectern-line, --lectern-focus
 * @cssprop --lectern-card, --lectern-field, --lectern-edge, --lectern-wrong
 * @cssprop --lectern-font, --lectern-radius
 */
export class LecternComments extends LitElement {
  static override styles = [colours, commentsStyles];

  static override properties = {
    for: { type: String },
    lang: { type: String },
    player: { attribute: false },
    mayWrite: { state: true },
    complete: { state: true },
    unread: { state: true },
    notice: { state: true },
  };

  declare for: string;
  declare lang: string;
  declare player: LecternPlayer | null;
  /** Unless the edge says no, which it says at once, there is a form. */
  declare private mayWrite: boolean;
  /** All that was missed has come. */
  declare private complete: boolean;
  /** There is something below that its reader has not seen. */
  declare private unread: boolean;
  /** What went wrong with something other than a comment in the list. */
  declare private notice: string;

  #room = new Room();
  #connection: Connection | null = null;
  #player: LecternPlayer | null = null;
  #listeners: AbortController | null = null;
  #resized: ResizeObserver | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #limit = SHOWN_STEP;
  #shown: Shown = { comments: [], earlier: 0 };
  #place = new Place();

  constructor() {
    super();
    this.for = '';
    this.lang = '';
    this.player = null;
    this.mayWrite = true;
    this.complete = false;
    this.unread = false;
    this.notice = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    document.addEventListener('visibilitychange', () => this.#tick(), { signal });
    window.addEventListener('online', () => this.#connection?.resume(), { signal });
    // A page with an open connection is not kept for its viewer to come back to.
    window.addEventListener('pagehide', () => this.#connection?.rest(), { signal });
    window.addEventListener('pageshow', (event) => event.persisted && this.#connection?.resume(), {
      signal,
    });
    if (this.hasUpdated) this.#attach();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#listeners?.abort();
    this.#resized?.disconnect();
    this.#resized = null;
    this.#detach();
  }

  /** However many comments arrive, they are shown once per frame. */
  protected override async scheduleUpdate(): Promise<void> {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    super.scheduleUpdate();
  }

  override willUpdate(): void {
    const before = this.#shown.earlier + this.#shown.comments.length;
    let shown = this.#room.shown(this.#limit);
    const more = shown.earlier + shown.comments.length - before;
    if (this.#place.atEnd) {
      this.#limit = SHOWN_STEP;
      this.unread = false;
    } else if (more > 0) {
      this.#limit = Math.max(this.#limit, Math.min(this.#limit + more, SHOWN_UNREAD_MAX));
      this.unread = true;
    }
    shown = this.#room.shown(this.#limit);
    this.#shown = shown;
    this.#place.remember(this.#log());
  }

  override render() {
    const texts = this.#texts();
    const T = texts.comments;
    const { comments, earlier } = this.#shown;
    const { pending } = this.#room;
    const troubled = pending.findLast(
      ({ progress }) => progress.state === 'failed' || progress.state === 'waiting',
    );
    const canWrite = this.#canWrite();
    const empty = comments.length === 0 && pending.length === 0;
    return html`
      <header part="header" lang=${texts.lang}>
        <h2>${T.title}</h2>
        <span class="link" role="status">${this.#linkText(texts)}</span>
      </header>
      <div class="middle">
        <div
          class="log" part="list" role="log" aria-live="polite" tabindex="0"
          aria-label=${T.title} aria-busy=${this.complete ? 'false' : 'true'} @scroll=${this.#scrolled}
        >
          ${
            earlier > 0
              ? html`<div lang=${texts.lang}>
                  <button type="button" @click=${this.#showEarlier}>${T.earlier}</button>
                </div>`
              : nothing
          }
          ${empty ? html`<p class="empty" lang=${texts.lang}>${this.#emptyText(texts)}</p>` : nothing}
          <ul>
            ${repeat(
              comments,
              ({ id }) => id,
              (comment) => this.#row(texts, comment),
            )}
            ${repeat(
              pending,
              ({ client }) => client,
              (own) => this.#pendingRow(texts, own, own === troubled),
            )}
          </ul>
        </div>
        ${
          this.unread
            ? html`<button class="newer" part="newer" type="button" lang=${texts.lang} @click=${this.#toEnd}>
                ${ICONS.down} ${T.newer}
              </button>`
            : nothing
        }
      </div>
      <footer lang=${texts.lang}>
        ${
          canWrite
            ? html`<lectern-comment-form
                exportparts="form, field, send" .texts=${texts}
                .notice=${this.notice || this.#troubleText(texts, troubled)}
                @lectern-write=${this.#write}
              ></lectern-comment-form>`
            : html`<div class="read-only">${this.mayWrite ? T.closed : T.readOnly}</div>`
        }
      </footer>
    `;
  }

  override updated(changed: Map<PropertyKey, unknown>): void {
    if (changed.has('for') || changed.has('player')) this.#attach();
    const log = this.#log();
    if (!log) return;
    if (!this.#resized) {
      // The form grows with what is written in it, and the end stays the end.
      this.#resized = new ResizeObserver(() => this.#place.keep(log));
      this.#resized.observe(log);
    }
    this.#place.keep(log);
  }

  #texts(): Texts {
    return textsFor(this.lang ? [this.lang, ...navigator.languages] : navigator.languages);
  }

  #canWrite(): boolean {
    return this.mayWrite && this.#connection?.link !== 'refused';
  }

  #linkText({ comments }: Texts): string {
    switch (this.#connection?.link) {
      // It stands where the form was.
      case 'refused':
      case undefined:
      case 'open':
        return '';
      case 'connecting':
        return comments.connecting;
      case 'reconnecting':
        return comments.reconnecting;
      case 'full':
        return comments.full;
    }
  }

  #emptyText({ comments }: Texts): string {
    if (this.complete) return comments.none;
    // Until there is a connection, what there is to say about that stands above.
    return this.#connection?.link === 'open' ? comments.loading : '';
  }

  /** What became of a comment that was refused, in a sentence beside the form. */
  #troubleText(texts: Texts, own: Pending | undefined): string {
    if (!own) return '';
    const { progress } = own;
    if (progress.state === 'failed') return refusalText(texts, progress.reason);
    if (progress.state !== 'waiting') return '';
    return `${refusalText(texts, progress.reason)} ${texts.comments.sentAgain}`;
  }

  #row(texts: Texts, comment: Comment) {
    const own = this.#room.isOwn(comment);
    const deleting = own && this.#room.isBeingDeleted(comment);
    const deletable = own && !deleting && this.#canWrite();
    return guard([comment.seq, own, deleting, deletable, texts], () => {
      const T = texts.comments;
      return html`<li class=${deletable ? 'deletable' : ''} part="comment">
        ${this.#said(texts, comment, own)}
        ${deleting ? html`<div class="progress" lang=${texts.lang}><span>${T.deleting}</span></div>` : nothing}
        ${
          deletable
            ? html`<button
                class="remove" type="button" aria-label=${T.delete} title=${T.delete} lang=${texts.lang}
                @click=${() => this.#delete(comment)}
              >${ICONS.remove}</button>`
            : nothing
        }
      </li>`;
    });
  }

  #pendingRow(texts: Texts, own: Pending, isTold: boolean) {
    const T = texts.comments;
    const { client, progress } = own;
    const failed = progress.state === 'failed';
    const said = { ...own, author: this.#room.author ?? '' };
    // What stands beside the form already is not said twice.
    const why = failed && !isTold ? `: ${refusalText(texts, progress.reason)}` : '';
    const button = (name: string, act: (client: string) => void) =>
      html`<button type="button" @click=${() => act(client)}>${name}</button>`;
    return html`<li class=${failed ? 'failed' : 'sending'} part="comment">
      ${this.#said(texts, said, true)}
      <div class="progress" lang=${texts.lang}>
        <span>${failed ? `${T.failed}${why}` : T.sending}</span>
        ${
          failed && this.#canWrite()
            ? [
                button(T.retry, (client) => this.#retry(client)),
                button(T.edit, (client) => this.#edit(client)),
                button(T.discard, (client) => this.#discard(client)),
              ]
            : nothing
        }
      </div>
    </li>`;
  }

  /** Who said what: as text, which no markup of a stranger's can leave. */
  #said(
    texts: Texts,
    { author, user, text, mt }: Pick<Comment, 'author' | 'user' | 'text'> & { mt: number | null },
    own: boolean,
  ) {
    return html`<span class="avatar hue-${hueOf(author)}" part="avatar" aria-hidden="true"
        >${initialOf(user)}</span
      >
      <div>
        <div class="head">
          <bdi class="name" part="name" dir="auto">${user}</bdi>
          ${own ? html`<span class="you" lang=${texts.lang}>${texts.comments.you}</span>` : nothing}
          ${mt === null ? nothing : html`<span class="moment">${momentText(mt)}</span>`}
        </div>
        <p part="text" dir="auto">${text}</p>
      </div>`;
  }

  /** Finds the player, and follows it to whichever broadcast it plays. */
  #attach(): void {
    const root = this.getRootNode() as Document | ShadowRoot;
    const player = this.player ?? (root.getElementById?.(this.for) as LecternPlayer | null);
    if (player === this.#player && this.#connection) return;
    this.#detach();
    if (!player || !this.isConnected) return;
    this.#player = player;
    player.addEventListener('lectern-src', this.#join);
    this.#join();
  }

  #detach(): void {
    this.#player?.removeEventListener('lectern-src', this.#join);
    this.#player = null;
    this.#leave();
  }

  #leave(): void {
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = null;
    this.#room = new Room();
    this.#place.atEnd = true;
    this.mayWrite = true;
    this.complete = false;
    this.notice = '';
    this.requestUpdate();
  }

  readonly #join = (): void => {
    this.#leave();
    const src = this.#player?.src;
    // One that is not there yet says so when it is.
    if (!src) return;
    try {
      const { comments: url } = endpoints(src, document.baseURI);
      const secret = secretFor(new URL(url).origin);
      this.#connection = new Connection({ url, secret, host: this.#host(this.#room) });
    } catch (error) {
      console.error('lectern-comments:', error);
    }
    this.#tick();
  };

  #host(room: Room): ConnectionHost {
    return {
      after: () => room.after,
      said: (said) => {
        if (said.type === 'hello') {
          room.author = said.author;
          this.mayWrite = said.mayWrite;
        } else {
          // What is new is not to be shown because nobody knew a moment ago what the picture shows.
          room.advance(this.#player?.mediaMs ?? null);
          room.take(said.comments);
          this.complete ||= said.complete;
        }
        this.#tick();
        this.requestUpdate();
      },
      stored: (client, id) => {
        room.stored(client, id);
        this.requestUpdate();
      },
      refused: (client, reason, again) => {
        if (room.isDeletion(client) && !again) {
          const texts = this.#texts();
          this.notice = `${texts.comments.notDeleted} ${refusalText(texts, reason)}`;
        }
        room.refused(client, reason, again);
        this.requestUpdate();
      },
      changed: () => this.requestUpdate(),
    };
  }

  /** Asks the player how far its picture has come, and again when that may matter. */
  #tick(): void {
    clearTimeout(this.#timer);
    if (!this.#connection || document.hidden) return;
    const mediaMs = this.#player?.mediaMs ?? null;
    if (this.#room.advance(mediaMs)) this.requestUpdate();
    const dueMs = (this.#room.nextMs ?? Number.POSITIVE_INFINITY) - (mediaMs ?? 0);
    const waitMs = Math.min(Math.max(dueMs, WAITING_MS), RESTING_MS);
    this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #write(event: WriteEvent): void {
    if (!this.#say(event.detail.user, event.detail.text)) event.preventDefault();
  }

  /** False: it could not even be tried. */
  #say(user: string, text: string): boolean {
    const mediaMs = this.#player?.mediaMs ?? null;
    const mt = mediaMs === null ? null : Math.max(0, Math.round(mediaMs));
    const post = { type: 'post', client: attemptName(), mt, user, text } as const;
    this.notice = '';
    if (!this.#connection?.say(post)) {
      this.notice = refusalText(this.#texts(), 'busy');
      return false;
    }
    this.#room.write(post);
    // Who writes wants to see it.
    this.#place.atEnd = true;
    this.requestUpdate();
    return true;
  }

  #delete({ id }: Comment): void {
    const client = attemptName();
    this.notice = '';
    if (this.#connection?.say({ type: 'delete', client, id })) this.#room.delete(client, id);
    else this.notice = refusalText(this.#texts(), 'busy');
    // Its button goes, and the focus would go with it.
    this.#log()?.focus({ preventScroll: true });
    this.requestUpdate();
  }

  /** Under a new name: what was refused is not stored, so that nothing is written twice. */
  #retry(client: string): void {
    const own = this.#room.drop(client);
    if (own && !this.#say(own.user, own.text)) this.#form()?.edit(own.user, own.text);
  }

  #edit(client: string): void {
    const own = this.#room.drop(client);
    if (own) this.#form()?.edit(own.user, own.text);
    this.requestUpdate();
  }

  #discard(client: string): void {
    this.#room.drop(client);
    this.#log()?.focus({ preventScroll: true });
    this.requestUpdate();
  }

  #log(): HTMLElement | null {
    return this.renderRoot.querySelector('.log');
  }

  #form(): LecternCommentForm | null {
    return this.renderRoot.querySelector('lectern-comment-form');
  }

  #showEarlier(): void {
    this.#place.atEnd = false;
    this.#limit += SHOWN_STEP;
    this.requestUpdate();
  }

  #toEnd(): void {
    this.#place.atEnd = true;
    // The button goes, and the focus would go with it.
    this.#log()?.focus({ preventScroll: true });
    this.requestUpdate();
  }

  #scrolled(): void {
    const log = this.#log();
    if (!log) return;
    this.#place.scrolled(log);
    if (this.#place.atEnd && this.unread) this.requestUpdate();
  }
}

customElements.define('lectern-comments', LecternComments);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-comments': LecternComments;
  }
}
