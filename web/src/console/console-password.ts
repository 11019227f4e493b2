// `<console-password>`: a field for a password, which can be shown, and for a new one a hint at how good it is.

import { css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { ICONS } from './icons.ts';
import { PASSWORD_MIN, strengthOf } from './names.ts';
import { sheet } from './styles.ts';

/**
 * @prop {string} label - what is asked for
 * @prop {string} value - what was written
 * @prop {boolean} fresh - a new password, and not one that is known
 * @prop {string[]} names - what had better not be in it
 * @fires change - `value` is another
 */
export class ConsolePassword extends View {
  static override properties = {
    ...View.properties,
    label: {},
    value: {},
    error: {},
    hint: {},
    names: { attribute: false },
    fresh: { type: Boolean },
    optional: { type: Boolean },
    shown: { state: true },
  };

  declare label: string;
  declare value: string;
  declare error: string;
  declare hint: string;
  declare names: readonly string[];
  declare fresh: boolean;
  declare optional: boolean;
  declare private shown: boolean;

  static override styles = [
    colours,
    sheet,
    css`
      .line {
        position: relative;
      }
      input {
        padding-inline-end: 3.25rem !important;
      }
      .line button {
        position: absolute;
        inset-block: 0.125rem;
        inset-inline-end: 0.125rem;
        min-height: 0;
      }
      .strength {
        display: flex;
        align-items: center;
        gap: 0.625rem;
        min-height: 1.5rem;
        font-size: 0.875rem;
        color: var(--_quiet);
      }
      .bars {
        display: flex;
        gap: 0.25rem;
      }
      .bars i {
        width: 1.75rem;
        height: 0.3125rem;
        border-radius: 0.1875rem;
        background: var(--_line);
      }
      .short .bars i:nth-child(-n + 1),
      .weak .bars i:nth-child(-n + 2) {
        background: var(--_wrong);
      }
      .fair .bars i:nth-child(-n + 3) {
        background: var(--_warn);
      }
      .strong .bars i {
        background: var(--_good);
      }
    `,
  ];

  static override shadowRootOptions = { ...View.shadowRootOptions, delegatesFocus: true };

  constructor() {
    super();
    this.label = '';
    this.value = '';
    this.error = '';
    this.hint = '';
    this.names = [];
    this.fresh = false;
    this.optional = false;
    this.shown = false;
  }

  override render() {
    const { password: P, app: A } = this.T;
    const strength = this.value === '' ? 'short' : strengthOf(this.value, this.names);
    const told = strength === 'short' ? P.short(PASSWORD_MIN) : P[strength];
    const hinted = this.fresh || this.hint;
    return html`<div class="field ${this.error ? 'wrong' : ''}">
      <label for="password"
        >${this.label}${
          this.optional ? html` <span class="optional">(${A.optional})</span>` : nothing
        }</label
      >
      <div class="line">
        <input
          id="password" name="password" .value=${live(this.value)}
          type=${this.shown ? 'text' : 'password'} maxlength="256" spellcheck="false" autocapitalize="none"
          autocomplete=${this.fresh ? 'new-password' : 'current-password'}
          aria-invalid=${this.error ? 'true' : 'false'}
          aria-describedby=${hinted || this.error ? 'error hint' : nothing}
          @input=${this.#changed} @keydown=${this.#key}
        >
        <button
          type="button" class="icon" aria-pressed=${this.shown} aria-label=${this.shown ? P.hide : P.show}
          @click=${() => {
            this.shown = !this.shown;
          }}
        >${ICONS.eye}</button>
      </div>
      ${this.error ? html`<p class="error" id="error">${this.error}</p>` : nothing}
      ${
        this.fresh && !(this.optional && this.value === '')
          ? html`<p class="strength ${this.value === '' ? '' : strength}" id="hint">
              <span class="bars" aria-hidden="true"><i></i><i></i><i></i><i></i></span>
              <span aria-live="polite">${told}</span>
            </p>`
          : this.hint
            ? html`<p class="hint" id="hint">${this.hint}</p>`
            : nothing
      }
    </div>`;
  }

  #changed(event: Event): void {
    this.value = (event.target as HTMLInputElement).value;
    this.dispatchEvent(new Event('change'));
  }

  /** Enter sends the form around this element, as it would around a field of its own. */
  #key(event: KeyboardEvent): void {
    if (event.key === 'Enter') this.closest('form')?.requestSubmit();
  }
}

customElements.define('console-password', ConsolePassword);
