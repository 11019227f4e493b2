// `<lectern-attendance>`: tells the viewer that a list is kept of who attends, and puts them on it if
// they want to be, under the name that they give. Nobody is on it for having watched.

import { css, html, LitElement, nothing } from 'lit';
import { type Texts, textsFor } from '../texts/texts.ts';
import { AskEvent } from './ask.ts';
import { textButton } from './comments-styles.ts';
import { rememberedName, rememberName } from './identity.ts';
import { NAME_CHARS_MAX } from './protocol.ts';

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {string | null} attending - the name under which the viewer is on the list
 * @prop {string} refused - why they are not
 * @fires lectern-ask - `attend`
 */
export class LecternAttendance extends LitElement {
  static override properties = {
    texts: { attribute: false },
    attending: { attribute: false },
    refused: { attribute: false },
    naming: { state: true },
    fault: { state: true },
  };

  declare texts: Texts;
  declare attending: string | null;
  declare refused: string;
  /** The name is being asked for. */
  declare private naming: boolean;
  declare private fault: string;

  static override styles = css`
    :host {
      display: block;
      padding: 0.4375rem 1rem;
      border-bottom: 0.0625rem solid var(--_line);
      color: var(--_quiet);
      font-size: 0.875rem;
      line-height: 1.5;
    }
    form {
      display: flex;
      gap: 0.5rem;
      padding: 0.25rem 0;
    }
    input {
      flex: 1;
      min-width: 0;
      min-height: 2.25rem;
      padding: 0 0.625rem;
      border: 0.0625rem solid var(--_edge);
      border-radius: 0.5rem;
      color: var(--_text);
      background: var(--_field);
      /* A phone zooms into what is smaller. */
      font-family: inherit;
      font-size: 1rem;
      box-sizing: border-box;
    }
    .yes {
      flex: none;
      min-height: 2.25rem;
      padding: 0 0.75rem;
      border: 0;
      border-radius: 0.5rem;
      color: light-dark(#fff, #0b1622);
      background: var(--_accent);
      font: inherit;
      font-weight: 600;
      cursor: pointer;
    }
    .line {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0 0.625rem;
    }
    .line span {
      overflow-wrap: anywhere;
    }
    .text {
      ${textButton}
      padding: 0;
    }
    .wrong {
      color: var(--_wrong);
    }
    :is(input, button):focus-visible {
      outline: 0.1875rem solid var(--_focus);
      outline-offset: 0.125rem;
    }
    @media (pointer: coarse) {
      :is(input, .yes) {
        min-height: 2.75rem;
      }
      .text {
        min-height: 2.25rem;
      }
    }
    @media (max-width: 62.4375rem) {
      :host {
        padding-block: 0.125rem;
      }
    }
  `;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.attending = null;
    this.refused = '';
    this.naming = false;
    this.fault = '';
  }

  override render() {
    const { lang, room: R, comments: T } = this.texts;
    const why = this.fault || (this.refused && `${R.notListed} ${this.refused}`);
    if (this.attending !== null) {
      return html`<div class="line" lang=${lang} role="status">
        <span dir="auto">${R.attending(this.attending)}</span>
        <button class="text" type="button" @click=${() => this.#attend(null)}>${R.leave}</button>
      </div>`;
    }
    return html`<div lang=${lang}>
      <div class="line">
        <span>${R.attendance}</span>
        ${
          this.naming
            ? nothing
            : html`<button class="text" type="button" @click=${this.#name}>${R.attend}</button>`
        }
      </div>
      ${
        this.naming
          ? html`<form novalidate @submit=${this.#submitted}>
              <input
                type="text" name="name" autocomplete="name" dir="auto" maxlength=${NAME_CHARS_MAX}
                aria-label=${T.name} placeholder=${T.name} .value=${rememberedName()}
                aria-describedby="why"
              />
              <button class="yes" type="submit">${R.attend}</button>
            </form>`
          : nothing
      }
      <span class="wrong" id="why" role="alert">${why}</span>
    </div>`;
  }

  async #name(): Promise<void> {
    this.naming = true;
    await this.updateComplete;
    this.#field()?.select();
  }

  #field(): HTMLInputElement | null {
    return this.renderRoot.querySelector('input');
  }

  #submitted(event: Event): void {
    event.preventDefault();
    const name = this.#field()?.value.trim() ?? '';
    if (name === '') {
      this.fault = this.texts.comments.nameMissing;
      this.#field()?.focus();
      return;
    }
    this.naming = false;
    this.fault = '';
    if (rememberedName() === '') rememberName(name);
    this.#attend(name);
  }

  #attend(name: string | null): void {
    this.dispatchEvent(new AskEvent({ ask: 'attend', name }));
  }
}

customElements.define('lectern-attendance', LecternAttendance);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-attendance': LecternAttendance;
  }
}
