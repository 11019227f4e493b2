// `<lectern-moderation>`: tells a moderator that they are one, and whom the wrong key was given that they
// are not; and holds the settings of the room, who is blocked, and the comments as files.

import { html, LitElement, nothing } from 'lit';
import { ICONS } from '../icons.ts';
import { durationText, type Texts, textsFor, timeText } from '../texts/texts.ts';
import { AskEvent, type View } from './ask.ts';
import type { Done } from './desk.ts';
import { fileName, toCsv, toJson } from './exports.ts';
import { COMMENT_ICONS } from './icons.ts';
import { slowChoices } from './moderation.ts';
import { moderationStyles } from './moderation-styles.ts';
import type { Block, Comment, Settings } from './protocol.ts';

/** A browser has read a file of its own page by then. */
const READ_MS = 60_000;
/** Spreadsheets take a file for what their system writes, unless it says that it is Unicode. */
const BYTE_ORDER_MARK = '\uFEFF';

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {boolean} moderator - the key was the right one
 * @prop {'key' | 'site' | null} why - why the key makes nobody a moderator here, where that is known
 * @prop {Settings} settings - what is in force
 * @prop {Block[] | null} blocks - who may not write; null while nobody knows
 * @prop {number} waiting - how many comments wait for a moderator
 * @prop {View} view - which comments are shown
 * @prop {Done | null} done - what was just done
 * @prop {string} notice - what was not done, and why
 * @prop {() => Comment[]} comments - those to be taken away
 * @prop {boolean} partial - there were more than the page keeps
 * @prop {string} broadcast - the id, for the names of files
 * @fires lectern-ask - `moderate`
 */
export class LecternModeration extends LitElement {
  static override properties = {
    texts: { attribute: false },
    moderator: { attribute: false },
    why: { attribute: false },
    settings: { attribute: false },
    blocks: { attribute: false },
    waiting: { attribute: false },
    view: { attribute: false },
    done: { attribute: false },
    notice: { attribute: false },
    comments: { attribute: false },
    partial: { attribute: false },
    broadcast: { attribute: false },
    opened: { state: true },
    read: { state: true },
  };

  declare texts: Texts;
  declare moderator: boolean;
  declare why: 'key' | 'site' | null;
  declare settings: Settings;
  declare blocks: readonly Block[] | null;
  declare waiting: number;
  declare view: View;
  declare done: Done | null;
  declare notice: string;
  declare comments: () => readonly Comment[];
  declare partial: boolean;
  declare broadcast: string;
  /** The settings are shown. */
  declare private opened: boolean;
  /** That the key is wrong needs to be read once. */
  declare private read: boolean;

  static override styles = moderationStyles;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.moderator = false;
    this.why = null;
    this.settings = { closed: false, approval: false, slowMs: 0, attendance: false };
    this.blocks = null;
    this.waiting = 0;
    this.view = 'all';
    this.done = null;
    this.notice = '';
    this.comments = () => [];
    this.partial = false;
    this.broadcast = '';
    this.opened = false;
    this.read = false;
  }

  override render() {
    const { lang, room: R } = this.texts;
    if (!this.moderator) {
      if (this.read || this.why === null) return nothing;
      const read = () => {
        this.read = true;
      };
      return html`<div class="strip wrong" lang=${lang}>
        <span role="alert">${{ key: R.wrongKey, site: R.keyElsewhere }[this.why]}</span>
        <button class="close" type="button" aria-label=${R.close} title=${R.close} @click=${read}>
          ${ICONS.remove}
        </button>
      </div>`;
    }
    return html`
      <div class="strip" lang=${lang}>
        <span class="who">${COMMENT_ICONS.shield}${R.youModerate}</span>
        <div class="tools">
          ${this.#waiting()}
          <button
            class="open" type="button" aria-haspopup="dialog" title=${R.settings} @click=${this.#open}
          >${COMMENT_ICONS.sliders}<span>${R.settings}</span></button>
        </div>
        <span class="told" role="status">${this.#doneText()}</span>
        <span class="told fault" role="alert">${this.notice}</span>
      </div>
      <dialog lang=${lang} aria-labelledby="title" @close=${this.#closed} @click=${this.#outside}>
        <header>
          <h2 id="title">${R.settings}</h2>
          <button
            class="close" type="button" aria-label=${R.close} title=${R.close} @click=${this.#close}
          >${ICONS.remove}</button>
        </header>
        <div class="body" tabindex="0" role="group" aria-labelledby="title">
          ${this.opened ? [this.#settings(), this.#blocks(), this.#files()] : nothing}
        </div>
      </dialog>
    `;
  }

  /** There if anything waits, or may come to; pressed again, it leads back to all. */
  #waiting() {
    const { room: R, lang } = this.texts;
    const pressed = this.view === 'waiting';
    if (this.waiting === 0 && !pressed && !this.settings.approval) return nothing;
    const look = () =>
      this.dispatchEvent(new AskEvent({ ask: 'look', view: pressed ? 'all' : 'waiting' }));
    return html`<button
      class="waiting" type="button" aria-pressed=${pressed ? 'true' : 'false'} @click=${look}
    >${R.waiting} <b>${this.waiting.toLocaleString(lang)}</b></button>`;
  }

  #settings() {
    const { room: R } = this.texts;
    const { closed, approval, slowMs } = this.settings;
    const check = (name: string, checked: boolean, change: (checked: boolean) => void) => html`
      <label>
        <input
          type="checkbox" .checked=${checked}
          @change=${(event: Event) => change((event.target as HTMLInputElement).checked)}
        />
        ${name}
      </label>
    `;
    return html`
      ${check(R.closing, closed, (closed) => this.#set({ closed }))}
      ${check(R.approval, approval, (approval) => this.#set({ approval }))}
      <label class="choice">
        ${R.slow}
        <select
          @change=${(event: Event) =>
            this.#set({ slowMs: Number((event.target as HTMLSelectElement).value) })}
        >
          ${slowChoices(slowMs).map(
            (ms) => html`<option value=${ms} .selected=${ms === slowMs}>
              ${ms === 0 ? R.slowOff : durationText(this.texts, ms)}
            </option>`,
          )}
        </select>
      </label>
    `;
  }

  #blocks() {
    const { room: R } = this.texts;
    const now = Date.now();
    // What is over is so without anybody saying it.
    const blocks = this.blocks?.filter(({ until }) => until === null || until > now);
    const row = ({ block, whom, user, until }: Block) => html`
      <li>
        <div>
          <b><bdi>${user}</bdi></b>
          <span class="quiet">
            ${whom === 'address' ? R.address : R.writer},
            ${until === null ? R.forGood : R.until(timeText(this.texts, until, now))}
          </span>
        </div>
        <button
          class="plain" type="button" aria-label=${`${R.unblock}: ${user}`}
          @click=${() => this.#unblock(block)}
        >${R.unblock}</button>
      </li>
    `;
    return html`
      <h3 id="blocks">${R.blocks}</h3>
      ${
        blocks?.length
          ? html`<ul aria-labelledby="blocks">${blocks.map(row)}</ul>`
          : html`<p>${blocks ? R.noBlocks : R.marking}</p>`
      }
    `;
  }

  #files() {
    const { room: R } = this.texts;
    return html`
      <h3>${R.exports}</h3>
      <p>${R.exported(this.comments().length)} ${this.partial ? R.older : nothing}</p>
      <div class="files">
        <button class="plain" type="button" @click=${() => this.#save('csv')}>CSV</button>
        <button class="plain" type="button" @click=${() => this.#save('json')}>JSON</button>
      </div>
    `;
  }

  #doneText(): string {
    const { room: R } = this.texts;
    switch (this.done?.what) {
      case undefined:
        return '';
      case 'unblocked':
        return R.unblocked;
      case 'blocked': {
        const { user, minutes } = this.done;
        if (minutes === null) return R.blocked(user);
        return R.muted(user, durationText(this.texts, minutes * 60_000));
      }
    }
  }

  #dialog(): HTMLDialogElement | null {
    return this.renderRoot.querySelector('dialog');
  }

  async #open(): Promise<void> {
    this.opened = true;
    this.dispatchEvent(new AskEvent({ ask: 'moderate', action: { action: 'blocks' } }));
    await this.updateComplete;
    this.#dialog()?.showModal();
  }

  #close(): void {
    this.#dialog()?.close();
  }

  #closed(): void {
    this.opened = false;
  }

  /** A click beside the dialog is on the dialog itself, whose inside its parts cover. */
  #outside(event: Event): void {
    if (event.target === this.#dialog()) this.#close();
  }

  /** All three are said each time, so that none is what another moderator did not mean. */
  #set(change: Partial<Settings>): void {
    const { closed, approval, slowMs } = { ...this.settings, ...change };
    this.dispatchEvent(
      new AskEvent({
        ask: 'moderate',
        action: { action: 'settings', closed, approval, slow_ms: slowMs },
      }),
    );
  }

  #unblock(block: number): void {
    this.dispatchEvent(new AskEvent({ ask: 'moderate', action: { action: 'unblock', block } }));
    // The row goes, and the focus would go with it.
    this.renderRoot.querySelector<HTMLElement>('.body')?.focus();
  }

  #save(kind: 'csv' | 'json'): void {
    const comments = this.comments();
    const [type, text] =
      kind === 'csv'
        ? ['text/csv;charset=utf-8', BYTE_ORDER_MARK + toCsv(comments)]
        : ['application/json', toJson(comments)];
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = fileName(this.broadcast, kind, Date.now());
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), READ_MS);
  }
}

customElements.define('lectern-moderation', LecternModeration);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-moderation': LecternModeration;
  }
}
