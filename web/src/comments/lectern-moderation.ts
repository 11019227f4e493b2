// `<lectern-moderation>`: tells a moderator that they are one, and whom the wrong key was given that they
// are not; and holds the settings of the room, who is blocked, and the comments as files.

import { css, html, LitElement, nothing } from 'lit';
import { ICONS } from '../icons.ts';
import { durationText, type Texts, textsFor, timeText } from '../texts/texts.ts';
import { AskEvent, type View } from './ask.ts';
import { textButton, unseen } from './comments-styles.ts';
import type { Done } from './desk.ts';
import { fileName, toCsv, toJson } from './exports.ts';
import { COMMENT_ICONS } from './icons.ts';
import { slowChoices } from './moderation.ts';
import type { Block, Comment, Settings } from './protocol.ts';

/** A browser has read a file of its own page by then. */
const READ_MS = 60_000;
/** Spreadsheets take a file for what their system writes, unless it says that it is Unicode. */
const BYTE_ORDER_MARK = '\uFEFF';

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {boolean} moderator - the key was the right one
 * @prop {Settings} settings - what is in force
 * @prop {Block[] | null} blocks - who may not write; null while nobody knows
 * @prop {number} waiting - how many comments wait for a moderator
 * @prop {View} view - which comments are shown
 * @prop {Done | null} done - what was just done
 * @prop {string} notice - what was not done, and why
 * @prop {() => Comment[]} comments - those to be taken away
 * @prop {string} broadcast - the id, for the names of files
 * @fires lectern-ask - `moderate`
 */
export class LecternModeration extends LitElement {
  static override properties = {
    texts: { attribute: false },
    moderator: { attribute: false },
    settings: { attribute: false },
    blocks: { attribute: false },
    waiting: { attribute: false },
    view: { attribute: false },
    done: { attribute: false },
    notice: { attribute: false },
    comments: { attribute: false },
    broadcast: { attribute: false },
    opened: { state: true },
  };

  declare texts: Texts;
  declare moderator: boolean;
  declare settings: Settings;
  declare blocks: readonly Block[] | null;
  declare waiting: number;
  declare view: View;
  declare done: Done | null;
  declare notice: string;
  declare comments: () => readonly Comment[];
  declare broadcast: string;
  /** The settings are shown. */
  declare private opened: boolean;

  static override styles = css`
    :host {
      display: block;
    }
    .strip {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.125rem 0.75rem;
      padding: 0.3125rem 1rem;
      border-bottom: 0.0625rem solid var(--_line);
      color: var(--_text);
      background: light-dark(#eaf2fc, #1a2b40);
      font-size: 0.875rem;
      line-height: 1.5;
    }
    .strip.wrong {
      color: var(--_wrong);
      background: none;
    }
    .who {
      display: flex;
      align-items: center;
      gap: 0.375rem;
      font-weight: 600;
    }
    .who svg {
      color: var(--_accent);
    }
    svg {
      flex: none;
      width: 1.125rem;
      height: 1.125rem;
    }
    .tools {
      display: flex;
      align-items: center;
      gap: 0.5rem;
      margin-inline-start: auto;
    }
    .open {
      display: flex;
      align-items: center;
      gap: 0.375rem;
      ${textButton}
      min-height: 1.75rem;
    }
    /* Where both have no room in one line, the icon is enough. */
    .waiting + .open span {
      ${unseen}
    }
    .waiting {
      min-height: 1.75rem;
      padding: 0 0.3125rem 0 0.625rem;
      border: 0.0625rem solid light-dark(#8a5a00, #e9c65c);
      border-radius: 0.875rem;
      color: inherit;
      background: none;
      font: inherit;
      font-weight: 600;
      cursor: pointer;
    }
    .waiting b {
      display: inline-block;
      min-width: 1.25rem;
      margin-inline-start: 0.125rem;
      padding: 0 0.3125rem;
      border-radius: 0.625rem;
      color: light-dark(#fff, #1d1702);
      background: light-dark(#8a5a00, #e9c65c);
      box-sizing: border-box;
      font-size: 0.75rem;
      line-height: 1.25rem;
      text-align: center;
    }
    .waiting[aria-pressed='true'] {
      color: light-dark(#fff, #1d1702);
      background: light-dark(#8a5a00, #e9c65c);
    }
    .told {
      flex-basis: 100%;
    }
    .told:empty {
      display: none;
    }
    .fault {
      color: var(--_wrong);
    }
    dialog {
      width: min(27rem, calc(100vw - 1.5rem));
      max-height: min(42rem, calc(100dvh - 1.5rem));
      padding: 0;
      overflow: hidden;
      border: 0.0625rem solid var(--_line);
      border-radius: 0.875rem;
      color: var(--_text);
      background: var(--_card);
      box-shadow: 0 1rem 4rem rgb(0 0 0 / 0.4);
      box-sizing: border-box;
    }
    dialog[open] {
      display: flex;
      flex-direction: column;
    }
    dialog::backdrop {
      background: rgb(8 12 18 / 0.5);
    }
    header {
      flex: none;
      display: flex;
      align-items: center;
      justify-content: space-between;
      padding: 0.75rem 0.75rem 0.75rem 1.25rem;
      border-bottom: 0.0625rem solid var(--_line);
    }
    h2,
    h3 {
      margin: 0;
      font-size: 1.0625rem;
      font-weight: 650;
      letter-spacing: -0.01em;
    }
    h3 {
      margin: 1.25rem 0 0.375rem;
      padding-top: 1.125rem;
      border-top: 0.0625rem solid var(--_line);
      font-size: 0.9375rem;
    }
    .close {
      display: grid;
      place-items: center;
      width: 2.25rem;
      height: 2.25rem;
      padding: 0;
      border: 0;
      border-radius: 0.5rem;
      color: var(--_quiet);
      background: none;
      cursor: pointer;
    }
    .body {
      flex: 1;
      min-height: 0;
      padding: 0.875rem 1.25rem 1.25rem;
      overflow: auto;
      font-size: 0.9375rem;
      line-height: 1.45;
      scrollbar-width: thin;
    }
    label {
      display: grid;
      grid-template-columns: 1.25rem 1fr;
      align-items: start;
      gap: 0.625rem;
      padding: 0.4375rem 0;
      cursor: pointer;
    }
    label.choice {
      grid-template-columns: 1fr auto;
      align-items: center;
      cursor: auto;
    }
    input {
      width: 1.25rem;
      height: 1.25rem;
      margin: 0.0625rem 0 0;
      accent-color: var(--_accent);
    }
    select {
      min-height: 2.25rem;
      padding: 0 0.5rem;
      border: 0.0625rem solid var(--_edge);
      border-radius: 0.5rem;
      color: var(--_text);
      background: var(--_field);
      font: inherit;
    }
    ul {
      margin: 0;
      padding: 0;
      list-style: none;
    }
    li {
      display: flex;
      align-items: center;
      gap: 0.75rem;
      padding: 0.25rem 0;
    }
    li div {
      flex: 1;
      min-width: 0;
      overflow-wrap: anywhere;
    }
    li b {
      font-weight: 600;
    }
    .quiet,
    p {
      margin: 0;
      color: var(--_quiet);
      font-size: 0.875rem;
    }
    .files {
      display: flex;
      flex-wrap: wrap;
      gap: 0.5rem;
      margin-top: 0.625rem;
    }
    .plain {
      flex: none;
      min-height: 2.25rem;
      padding: 0 0.875rem;
      border: 0.0625rem solid var(--_edge);
      border-radius: 0.5rem;
      color: var(--_text);
      background: none;
      font: inherit;
      font-weight: 600;
      cursor: pointer;
    }
    :is(.plain, .close):hover {
      background: light-dark(#eef2f6, #2a3748);
    }
    :is(button, input, select, .body):focus-visible {
      outline: 0.1875rem solid var(--_focus);
      outline-offset: 0.125rem;
    }
    .body:focus-visible {
      outline-offset: -0.1875rem;
    }
    @media (pointer: coarse) {
      :is(.plain, .close, .open, .waiting, select, label) {
        min-height: 2.75rem;
      }
      .open {
        min-width: 2.75rem;
        justify-content: center;
      }
      .waiting {
        border-radius: 1.375rem;
      }
      .strip {
        padding-block: 0.1875rem;
      }
      .close {
        width: 2.75rem;
      }
    }
  `;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.moderator = false;
    this.settings = { closed: false, approval: false, slowMs: 0, attendance: false };
    this.blocks = null;
    this.waiting = 0;
    this.view = 'all';
    this.done = null;
    this.notice = '';
    this.comments = () => [];
    this.broadcast = '';
    this.opened = false;
  }

  override render() {
    const { lang, room: R } = this.texts;
    if (!this.moderator) {
      return html`<div class="strip wrong" role="alert" lang=${lang}>${R.wrongKey}</div>`;
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
      <p>${R.exported(this.comments().length)}</p>
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
