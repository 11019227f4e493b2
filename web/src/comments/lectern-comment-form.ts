// `<lectern-comment-form>`: where a viewer writes. Owns what is being written and under which name; what
// becomes of it is its owner's, who hears of it by `lectern-write` and has the last word.

import { css, html, LitElement, nothing } from 'lit';
import { ICONS } from '../icons.ts';
import { durationText, refusalText, type Texts, textsFor } from '../texts/texts.ts';
import { textButton, unseen } from './comments-styles.ts';
import { COMMENT_ICONS } from './icons.ts';
import { rememberedName, rememberName } from './identity.ts';
import { charsOf, NAME_CHARS_MAX, refusalOf, TEXT_CHARS_MAX } from './protocol.ts';

/** What is left is counted from here on; before, nobody needs to know. */
const LEFT_SHOWN = 80;

export interface Written {
  readonly user: string;
  readonly text: string;
  readonly question: boolean;
}

/** Something was written. Whoever cannot take it prevents the default, and it stays in the form. */
export class WriteEvent extends CustomEvent<Written> {
  constructor(written: Written) {
    super('lectern-write', { detail: written, cancelable: true });
  }
}

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {string} notice - what went wrong with what was written before
 * @prop {string} rule - what holds here, such as that comments are approved first
 * @prop {boolean} asking - what is written is to be a question, unless the viewer says no
 * @prop {number} waitsUntilMs - slow mode lets the viewer write again then, Unix ms; 0: now
 * @fires lectern-write
 */
export class LecternCommentForm extends LitElement {
  static override properties = {
    texts: { attribute: false },
    notice: { attribute: false },
    rule: { attribute: false },
    asking: { attribute: false },
    waitsUntilMs: { attribute: false },
    question: { state: true },
    name: { state: true },
    naming: { state: true },
    left: { state: true },
    fault: { state: true },
  };

  declare texts: Texts;
  declare notice: string;
  declare rule: string;
  declare asking: boolean;
  declare waitsUntilMs: number;
  declare private question: boolean;
  declare private name: string;
  /** The name is being asked for. */
  declare private naming: boolean;
  /** How many characters may still be written. */
  declare private left: number;
  /** What the viewer has to mend before anything is sent. */
  declare private fault: string;

  #timer: ReturnType<typeof setTimeout> | undefined;

  static override styles = css`
    :host {
      display: block;
    }
    :host([hidden]) {
      display: none;
    }
    form {
      display: grid;
      gap: 0.5rem;
    }
    .as {
      display: flex;
      align-items: center;
      gap: 0.375rem;
      min-width: 0;
      color: var(--_quiet);
      font-size: 0.875rem;
    }
    .as span {
      flex: none;
    }
    .as b {
      overflow: hidden;
      color: var(--_text);
      font-weight: 600;
      text-overflow: ellipsis;
      white-space: nowrap;
    }
    .as button {
      flex: none;
      ${textButton}
    }
    .field {
      display: flex;
      align-items: flex-end;
      gap: 0.5rem;
    }
    :is(input, textarea) {
      flex: 1;
      width: 100%;
      min-width: 0;
      min-height: 2.75rem;
      margin: 0;
      padding: 0.625rem 0.75rem;
      border: 0.0625rem solid var(--_edge);
      border-radius: 0.625rem;
      color: var(--_text);
      background: var(--_field);
      /* A phone zooms into what is smaller. */
      font-family: inherit;
      font-size: 1rem;
      line-height: 1.4;
      box-sizing: border-box;
    }
    textarea {
      display: block;
      max-height: 9rem;
      resize: none;
      field-sizing: content;
      overflow-wrap: anywhere;
    }
    ::placeholder {
      color: var(--_quiet);
      opacity: 1;
    }
    .send {
      flex: none;
      display: grid;
      place-items: center;
      width: 2.75rem;
      height: 2.75rem;
      padding: 0;
      border: 0;
      border-radius: 0.625rem;
      color: light-dark(#fff, #0b1622);
      background: var(--_accent);
      cursor: pointer;
    }
    .send:hover {
      filter: brightness(1.08);
    }
    :is(input, textarea, button):focus-visible {
      outline: 0.1875rem solid var(--_focus);
      outline-offset: 0.125rem;
    }
    :is(input, textarea):focus-visible {
      outline-offset: -0.0625rem;
    }
    .foot {
      display: flex;
      justify-content: space-between;
      gap: 0.75rem;
      font-size: 0.875rem;
      line-height: 1.4;
    }
    .foot:not(.told) {
      display: none;
    }
    .notice,
    .over {
      color: var(--_wrong);
    }
    .left {
      flex: none;
      margin-inline-start: auto;
      color: var(--_quiet);
      font-variant-numeric: tabular-nums;
    }
    .left.over {
      color: var(--_wrong);
      font-weight: 600;
    }
    .unseen {
      ${unseen}
    }
    .top {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.375rem 0.5rem;
    }
    .top > :first-child {
      flex: 1;
    }
    .ask {
      flex: none;
      display: flex;
      align-items: center;
      gap: 0.25rem;
      min-height: 1.75rem;
      padding: 0 0.625rem 0 0.4375rem;
      border: 0.0625rem solid var(--_edge);
      border-radius: 0.875rem;
      color: var(--_text);
      background: none;
      font: inherit;
      font-size: 0.875rem;
      cursor: pointer;
    }
    .ask svg {
      width: 1.0625rem;
      height: 1.0625rem;
    }
    .ask[aria-pressed='true'] {
      border-color: var(--_accent);
      color: light-dark(#fff, #0b1622);
      background: var(--_accent);
      font-weight: 600;
    }
    .rule {
      color: var(--_quiet);
      font-size: 0.875rem;
      font-variant-numeric: tabular-nums;
      line-height: 1.4;
    }
    @media (pointer: coarse) {
      .as button {
        min-height: 2.25rem;
        padding: 0 0.5rem;
      }
      .ask {
        min-height: 2.25rem;
        padding: 0 0.875rem 0 0.6875rem;
        border-radius: 1.125rem;
      }
    }
  `;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.notice = '';
    this.rule = '';
    this.asking = false;
    this.waitsUntilMs = 0;
    this.question = false;
    this.name = rememberedName();
    this.naming = this.name === '';
    this.left = TEXT_CHARS_MAX;
    this.fault = '';
  }

  /** Gives back what was written, to be written better; what stands there is not lost. */
  edit({ user, text, question }: Written): void {
    const field = this.#field('textarea');
    if (!field) return;
    this.name = user;
    this.question = question;
    field.value = field.value.trim() === '' ? text : `${text}\n${field.value}`;
    this.#typed();
    field.focus();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  override willUpdate(changed: Map<PropertyKey, unknown>): void {
    if (changed.has('asking')) this.question = this.asking;
    if (changed.has('waitsUntilMs')) this.fault = '';
  }

  override render() {
    const { comments: T, room: R } = this.texts;
    const fault = this.fault || this.notice;
    const rule = this.#waitText() || this.rule;
    const counted = this.left <= LEFT_SHOWN;
    return html`<form part="form" novalidate @submit=${this.#submitted}>
      <div class="top">${
        this.naming
          ? html`<input
              part="field" type="text" name="nickname" autocomplete="nickname" dir="auto"
              maxlength=${NAME_CHARS_MAX} aria-label=${T.name} placeholder=${T.name}
              .value=${this.name} @keydown=${this.#keyed}
            />`
          : html`<div class="as">
              <span>${T.writingAs}</span><b dir="auto">${this.name}</b>
              <button type="button" @click=${this.#rename}>${T.changeName}</button>
            </div>`
      }
        <button
          class="ask" type="button" aria-pressed=${this.question ? 'true' : 'false'}
          aria-label=${R.ask} title=${R.ask} @click=${this.#toggled}
        >${COMMENT_ICONS.question}${R.question}</button>
      </div>
      <div class="rule" id="rule" ?hidden=${!rule}>${rule}</div>
      <div class="field">
        <textarea
          part="field" rows="1" dir="auto" aria-label=${T.text} placeholder=${T.placeholder}
          aria-describedby="rule hint left" enterkeyhint="send"
          aria-invalid=${this.left < 0 ? 'true' : 'false'}
          @input=${this.#typed} @keydown=${this.#keyed}
        ></textarea>
        <button class="send" part="send" type="submit" aria-label=${T.send} title=${T.send}>
          ${ICONS.send}
        </button>
      </div>
      <span class="unseen" id="hint">${T.hint}</span>
      <div class="foot ${fault || counted ? 'told' : ''}">
        <span class="notice" role="alert">${fault || nothing}</span>
        <span class="left ${this.left < 0 ? 'over' : ''}" id="left"
          >${counted ? T.left(this.left) : nothing}</span
        >
      </div>
    </form>`;
  }

  #field<K extends 'input' | 'textarea'>(kind: K): HTMLElementTagNameMap[K] | null {
    return this.renderRoot.querySelector(kind);
  }

  /** Slow mode, counted down. It is read out to who comes to the field, and not by the second. */
  #waitText(): string {
    clearTimeout(this.#timer);
    const leftMs = this.waitsUntilMs - Date.now();
    if (leftMs <= 0) return '';
    this.#timer = setTimeout(
      () => {
        if (Date.now() >= this.waitsUntilMs) this.fault = '';
        this.requestUpdate();
      },
      leftMs % 1_000 || 1_000,
    );
    return this.texts.room.slowWait(durationText(this.texts, leftMs));
  }

  #toggled(): void {
    this.question = !this.question;
  }

  #typed(): void {
    this.left = TEXT_CHARS_MAX - charsOf(this.#field('textarea')?.value.trim() ?? '');
    this.fault = '';
  }

  #keyed(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey) return;
    // Enter while a word is being composed chooses the word; Safari says so by the code alone.
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.renderRoot.querySelector('form')?.requestSubmit();
  }

  async #rename(): Promise<void> {
    this.naming = true;
    await this.updateComplete;
    this.#field('input')?.select();
  }

  #submitted(event: Event): void {
    event.preventDefault();
    const field = this.#field('textarea');
    const nameField = this.#field('input');
    if (!field) return;
    const name = (nameField?.value ?? this.name).trim();
    const text = field.value.trim();
    if (name === '') return this.#stop(this.texts.comments.nameMissing, nameField ?? field);
    const refusal = refusalOf(text);
    // A name alone is taken as one, as Enter in its field means it.
    if (refusal === 'empty' && nameField && this.renderRoot instanceof ShadowRoot) {
      if (this.renderRoot.activeElement === nameField) return this.#named(name, field);
    }
    if (refusal) return this.#stop(refusalText(this.texts, refusal), field);
    // For how long stands above, and changes.
    if (this.#waitText()) return this.#stop(refusalText(this.texts, 'slow-mode'), field);
    const { question } = this;
    if (!this.dispatchEvent(new WriteEvent({ user: name, text, question }))) return;
    field.value = '';
    this.question = this.asking;
    this.#typed();
    this.#named(name, field);
  }

  #named(name: string, next: HTMLElement): void {
    this.name = name;
    this.naming = false;
    rememberName(name);
    next.focus();
  }

  #stop(fault: string, field: HTMLElement): void {
    this.fault = fault;
    field.focus();
  }
}

customElements.define('lectern-comment-form', LecternCommentForm);
