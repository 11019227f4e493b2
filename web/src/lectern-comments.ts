// `<lectern-comments for="player">`: what viewers write about a broadcast, each comment at its moment of
// the picture. Owns what is shown of it, and where its reader is in the list; what there is to show, and
// what became of what was asked, is the desk's.

import { html, LitElement, nothing } from 'lit';
import { isElsewhere } from './access.ts';
import { colours } from './colours.ts';
import type { AskEvent, View } from './comments/ask.ts';
import { pinnedComment, type Settle } from './comments/comment-row.ts';
import { commentsStyles } from './comments/comments-styles.ts';
import { Desk } from './comments/desk.ts';
import { header } from './comments/header.ts';
import { secretFor } from './comments/identity.ts';
import { forget, keep, recall } from './comments/kept.ts';
import type { LecternCommentForm, WriteEvent } from './comments/lectern-comment-form.ts';
import './comments/lectern-attendance.ts';
import './comments/lectern-comment-form.ts';
import type { LecternCommentMenu } from './comments/lectern-comment-menu.ts';
import './comments/lectern-comment-menu.ts';
import './comments/lectern-moderation.ts';
import './comments/lectern-questions.ts';
import type { LecternReactions } from './comments/lectern-reactions.ts';
import './comments/lectern-reactions.ts';
import { list, questionsOf } from './comments/list.ts';
import { Place } from './comments/place.ts';
import type { Comment } from './comments/protocol.ts';
import type { Shown } from './comments/room.ts';
import { buttonStyles, rowStyles } from './comments/row-styles.ts';
import { noticeText, ruleText, troubleText } from './comments/sentences.ts';
import { readIds } from './comments/votes.ts';
import { endpoints } from './endpoints.ts';
import { ICONS } from './icons.ts';
import type { LecternPlayer, SrcEvent } from './lectern-player.ts';
import { refusalText, type Texts, textsFor } from './texts/texts.ts';

/** So many comments are in the document at first, and so many more each time they are asked for. */
const SHOWN_STEP = 200;
/** As long as somebody reads further up, the list grows to so many before its beginning goes. */
const SHOWN_UNREAD_MAX = 1_000;
/** The player is asked for its media time when the next comment is due, at most so often … */
const WAITING_MS = 16;
/** … and at least so often: a picture that goes back changes everything. */
const RESTING_MS = 1_000;

/** Whether the key that the element was given is the right one: told each time that the edge says. */
export class RoleEvent extends CustomEvent<{ readonly moderator: boolean }> {
  constructor(moderator: boolean) {
    super('lectern-role', { detail: { moderator } });
  }
}

/**
 * @attr {string} for - the id of the `<lectern-player>` in the same document or shadow tree
 * @attr {string} lang - the language of its texts; without it, the viewer's
 * @prop {LecternPlayer | null} player - instead of `for`
 * @prop {string} moderatorKey - makes its reader a moderator; never an attribute, which others could read
 * @fires lectern-role - whether the key is the right one
 * @csspart header - the title, and what there is to say about the connection
 * @csspart pinned - the comment that stands above the others
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
  static override styles = [colours, commentsStyles, rowStyles, buttonStyles];

  static override properties = {
    for: { type: String },
    lang: { type: String },
    player: { attribute: false },
    moderatorKey: { attribute: false },
    view: { state: true },
    unread: { state: true },
    recent: { state: true },
  };

  declare for: string;
  declare lang: string;
  declare player: LecternPlayer | null;
  declare moderatorKey: string;
  declare private view: View;
  /** There is something below that its reader has not seen. */
  declare private unread: boolean;
  /** How often each reaction was felt of late. */
  declare private recent: ReadonlyMap<string, number>;

  #desk: Desk | null = null;
  #broadcast = '';
  /** Where the room was joined first, wherever its player went since. */
  #home = '';
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
    this.moderatorKey = '';
    this.view = 'all';
    this.unread = false;
    this.recent = new Map();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#listeners = new AbortController();
    const { signal } = this.#listeners;
    document.addEventListener('visibilitychange', () => this.#tick(), { signal });
    window.addEventListener('online', () => this.#desk?.resume(), { signal });
    // A page with an open connection is not kept for its viewer to come back to.
    window.addEventListener('pagehide', () => this.#desk?.rest(), { signal });
    window.addEventListener('pageshow', (event) => event.persisted && this.#desk?.resume(), {
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
    if (this.view === 'waiting' && !this.#desk?.moderator) this.view = 'all';
    const before = this.#shown.earlier + this.#shown.comments.length;
    let shown = this.#toShow();
    const more = shown.earlier + shown.comments.length - before;
    if (this.#place.atEnd) {
      this.#limit = SHOWN_STEP;
      this.unread = false;
    } else if (more > 0) {
      this.#limit = Math.max(this.#limit, Math.min(this.#limit + more, SHOWN_UNREAD_MAX));
      this.unread = true;
    }
    shown = this.#toShow();
    this.#shown = shown;
    this.#place.remember(this.#log());
  }

  override render() {
    const texts = this.#texts();
    const { comments: T, room: R, lang } = texts;
    const desk = this.#desk;
    const shut = desk?.shut ?? null;
    const pinned = desk?.room.pinned;
    const troubled = desk?.room.pending.findLast(
      ({ progress }) => progress.state === 'failed' || progress.state === 'waiting',
    );
    const notice = desk?.notice ?? null;
    const elsewhere = notice?.what === 'done' || notice?.what === 'listed';
    // What was written is not lost where the room is closed meanwhile: its form is there, unseen.
    const told = notice && !elsewhere ? noticeText(texts, notice) : troubleText(texts, troubled);
    return html`
      ${header(texts, desk, this.view, this.#look)}
      <div class="above">
        ${
          desk && desk.moderator !== null
            ? html`<lectern-moderation
                .texts=${texts} .moderator=${desk.moderator} .why=${this.#whyNoModerator(desk)} .settings=${desk.settings}
                .blocks=${desk.blocks} .done=${desk.done} .waiting=${desk.room.held().length}
                .view=${this.view} .broadcast=${this.#broadcast}
                .notice=${notice?.what === 'done' ? noticeText(texts, notice) : ''} .comments=${this.#all}
                .partial=${desk.room.hasDropped}
                @lectern-ask=${this.#asked}
              ></lectern-moderation>`
            : nothing
        }
        ${
          desk?.settings.attendance && desk.room.author !== null
            ? html`<lectern-attendance
                .texts=${texts} .attending=${desk.attending} @lectern-ask=${this.#asked}
                .refused=${notice?.what === 'listed' ? refusalText(texts, notice.reason) : ''}
              ></lectern-attendance>`
            : nothing
        }
      </div>
      <div aria-live="polite">
        ${
          pinned
            ? html`<div class="pinned" part="pinned">
                ${pinnedComment(texts, pinned, desk?.moderator === true, this.#ask)}
              </div>`
            : nothing
        }
      </div>
      <div class="middle">
        ${list(texts, desk, this.#shown, {
          ...{ view: this.view, told: troubled, mayAct: this.#mayAct(), ask: this.#ask },
          ...{ settle: this.#settle, earlier: this.#showEarlier, scrolled: this.#scrolled },
        })}
        ${
          this.view === 'questions'
            ? html`<lectern-questions
                .texts=${texts} .questions=${questionsOf(desk)} .mayAct=${this.#mayAct()}
                .moderating=${desk?.moderator === true} @lectern-ask=${this.#asked}
              ></lectern-questions>`
            : nothing
        }
        ${
          this.unread && this.view !== 'questions'
            ? html`<button class="newer" part="newer" type="button" lang=${lang} @click=${this.#toEnd}>
                ${ICONS.down} ${T.newer}
              </button>`
            : nothing
        }
      </div>
      <footer lang=${lang}>
        ${
          desk && desk.emojis.length > 0 && this.#mayAct()
            ? html`<lectern-reactions
                .texts=${texts} .emojis=${desk.emojis} .recent=${this.recent}
                @lectern-ask=${this.#asked}
              ></lectern-reactions>`
            : nothing
        }
        ${
          shut === null || shut === 'closed'
            ? html`<lectern-comment-form
                exportparts="form, field, send" .texts=${texts} ?hidden=${shut !== null}
                .rule=${desk ? ruleText(texts, desk.settings, desk.moderator === true) : ''}
                .notice=${told} .asking=${this.view === 'questions'}
                .waitsUntilMs=${desk?.waitsUntilMs ?? 0} @lectern-write=${this.#write}
              ></lectern-comment-form>`
            : nothing
        }
        ${
          shut === null
            ? nothing
            : html`<div class="read-only" role="status">
                  ${{ connection: T.closed, site: T.readOnly, closed: R.closed }[shut]}
                </div>
                <div class="trouble" role="alert">${told}</div>`
        }
      </footer>
      <lectern-comment-menu .texts=${texts} @lectern-ask=${this.#asked}></lectern-comment-menu>
    `;
  }

  override updated(changed: Map<PropertyKey, unknown>): void {
    if (changed.has('moderatorKey') && this.#desk) this.#join();
    if (changed.has('for') || changed.has('player')) this.#attach();
    const log = this.#log();
    if (!log) return;
    if (!this.#resized) {
      // The form grows with what is written in it, and the end stays the end.
      this.#resized = new ResizeObserver(() => this.#place.keep(log));
      this.#resized.observe(log);
    }
    this.#place.keep(log);
    const menu = this.#menu();
    const open = menu?.openFor ?? null;
    if (open !== null) menu?.changed(this.#desk?.room.get(open));
  }

  #texts(): Texts {
    return textsFor(this.lang ? [this.lang, ...navigator.languages] : navigator.languages);
  }

  /** Whether what others wrote can be answered with more than words. */
  #mayAct(): boolean {
    const shut = this.#desk?.shut ?? null;
    return shut === null || shut === 'closed';
  }

  /** Why the key makes nobody a moderator here, where that is known. */
  #whyNoModerator({ mayWrite }: Desk): 'key' | 'site' | null {
    if (mayWrite) return 'key';
    return isElsewhere(this.#home.replace(/^ws/, 'http'), document.baseURI) ? 'site' : null;
  }

  #toShow(): Shown {
    const room = this.#desk?.room;
    if (this.view === 'waiting') return { comments: room?.held() ?? [], earlier: 0 };
    return room?.shown(this.#limit) ?? { comments: [], earlier: 0 };
  }

  /** Finds the player, and follows it to whichever broadcast it plays. */
  #attach(): void {
    const root = this.getRootNode() as Document | ShadowRoot;
    const player = this.player ?? (root.getElementById?.(this.for) as LecternPlayer | null);
    if (player === this.#player && this.#desk) return;
    this.#detach();
    if (!player || !this.isConnected) return;
    this.#player = player;
    player.addEventListener('lectern-src', this.#followed);
    this.#join();
  }

  #detach(): void {
    this.#player?.removeEventListener('lectern-src', this.#followed);
    this.#player = null;
    this.#home = '';
    this.#leave();
  }

  #leave(): void {
    clearTimeout(this.#timer);
    this.#desk?.close();
    this.#desk = null;
    this.#place.atEnd = true;
    this.requestUpdate();
  }

  /** The player plays something else, or the same from another edge. */
  readonly #followed = ({ detail }: SrcEvent): void => {
    if (detail.moved && this.#desk && this.#player) {
      const { comments: url, id } = endpoints(this.#player.src, document.baseURI);
      if (id === this.#broadcast) return this.#desk.move(url);
    }
    this.#home = '';
    this.#join();
  };

  #join(): void {
    this.#leave();
    const src = this.#player?.src;
    // One that is not there yet says so when it is.
    if (!src) return;
    try {
      const { comments: url, id } = endpoints(src, document.baseURI);
      this.#home ||= url;
      // What the browser keeps is kept for this edge, and goes along when the player moves, so that its
      // viewer stays the same author. The secret is thus told to other edges as well, but only to those
      // that the page or the broadcast's own edges named as such (docs/player.md). A page that sets
      // another `src` itself leaves for another room, even if that has the same id. By the id alone
      // nothing is kept: two strangers' edges may each have a broadcast of that id, with other questions,
      // and nobody is to be put on the other's list of who attends without having asked.
      const votes = `lectern-comments-votes:${this.#home}`;
      const listed = `lectern-comments-attending:${this.#home}`;
      const desk = new Desk({
        url,
        secret: secretFor(new URL(this.#home).origin),
        key: this.moderatorKey,
        token: this.#player?.token ?? '',
        voted: readIds(recall(votes)),
        host: {
          changed: () => this.requestUpdate(),
          felt: (felt) => this.#reactions()?.rise(felt),
          mediaMs: () => this.#player?.mediaMs ?? null,
          role: (moderator) => this.dispatchEvent(new RoleEvent(moderator)),
          voted: (ids) => keep(votes, JSON.stringify(ids)),
          listed: (name) => (name === null ? forget(listed, 'tab') : keep(listed, name, 'tab')),
        },
      });
      this.#broadcast = id;
      this.#desk = desk;
      const attending = recall(listed, 'tab');
      if (attending) desk.attend(attending);
    } catch (error) {
      console.error('lectern-comments:', error);
    }
    this.#tick();
  }

  /** Asks the player how far its picture has come, and again when that may matter. */
  #tick(): void {
    clearTimeout(this.#timer);
    const desk = this.#desk;
    if (!desk || document.hidden) return;
    desk.tick();
    const recent = desk.reactions.recent(Date.now());
    if (recent.size > 0 || this.recent.size > 0) this.recent = recent;
    const dueMs = (desk.nextMs ?? Number.POSITIVE_INFINITY) - (this.#player?.mediaMs ?? 0);
    const waitMs = Math.min(Math.max(dueMs, WAITING_MS), RESTING_MS);
    this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  readonly #all = (): readonly Comment[] => this.#desk?.room.all() ?? [];

  readonly #asked = (event: AskEvent): void => this.#ask(event.detail);

  readonly #ask = (ask: AskEvent['detail']): void => {
    const desk = this.#desk;
    if (!desk) return;
    switch (ask.ask) {
      case 'look':
        return this.#look(ask.view);
      case 'delete':
        desk.delete(ask.comment.id);
        return this.#keepFocus();
      case 'vote':
        return desk.vote(ask.comment, ask.up);
      case 'react':
        desk.react(ask.emoji);
        return this.#tick();
      case 'moderate':
        desk.moderate(ask.action);
        if (ask.action.action === 'approve') this.#keepFocus();
        return;
      case 'menu':
        void this.#menu()?.open(ask.comment, desk.room.isOwn(ask.comment), ask.button);
        return;
      case 'attend':
        return desk.attend(ask.name);
    }
  };

  /** A button goes, and the focus would go with it. */
  #keepFocus(): void {
    const log = this.#log();
    const list = log?.hidden ? this.renderRoot.querySelector('lectern-questions') : log;
    list?.focus({ preventScroll: true });
    this.requestUpdate();
  }

  #write(event: WriteEvent): void {
    const { user, text, question } = event.detail;
    if (!this.#desk?.write(user, text, question)) return event.preventDefault();
    // Who writes wants to see it.
    if (this.view === 'waiting' || !question) this.#look('all');
    this.#place.atEnd = true;
    this.requestUpdate();
  }

  /** Does something about one's own comment that is not among the others. */
  readonly #settle: Settle = (what, own) => {
    const { client, user, text, question, progress } = own;
    const desk = this.#desk;
    if (!desk) return;
    // Where even that cannot be tried it stays as it is, with its name.
    if (what === 'retry' && own.unsure) return desk.again(own);
    if (what === 'withdraw') {
      if (progress.state === 'held') desk.delete(progress.id);
      return this.#keepFocus();
    }
    desk.room.drop(client);
    // Under a new name: this is not stored, so that nothing is written twice.
    const again = what === 'retry' && desk.write(user, text, question);
    if (what === 'discard') this.#keepFocus();
    else if (!again) this.#form()?.edit({ user, text, question });
    this.requestUpdate();
  };

  readonly #look = (view: View): void => {
    if (view === this.view) return;
    this.view = view;
    this.#place.atEnd = true;
  };

  #log(): HTMLElement | null {
    return this.renderRoot.querySelector('.log');
  }

  #form(): LecternCommentForm | null {
    return this.renderRoot.querySelector('lectern-comment-form');
  }

  #menu(): LecternCommentMenu | null {
    return this.renderRoot.querySelector('lectern-comment-menu');
  }

  #reactions(): LecternReactions | null {
    return this.renderRoot.querySelector('lectern-reactions');
  }

  readonly #showEarlier = (): void => {
    this.#place.atEnd = false;
    this.#limit += SHOWN_STEP;
    this.requestUpdate();
  };

  #toEnd(): void {
    this.#place.atEnd = true;
    this.#keepFocus();
  }

  readonly #scrolled = (): void => {
    const log = this.#log();
    if (!log || log.hidden) return;
    this.#place.scrolled(log);
    if (this.#place.atEnd && this.unread) this.requestUpdate();
  };
}

customElements.define('lectern-comments', LecternComments);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-comments': LecternComments;
  }
}
