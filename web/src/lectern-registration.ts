// `<lectern-registration>`: what the host asks of those who want to watch, in the place of the picture.
// What the viewer types goes to the edge when they send it, and nowhere else.

import { html, LitElement, nothing } from 'lit';
import { colours } from './colours.ts';
import { attemptName } from './comments/identity.ts';
import type { Endpoints } from './endpoints.ts';
import {
  type Answers,
  askForm,
  autocompleteOf,
  type Faults,
  type Form,
  faultsOf,
  type Question,
  register,
} from './registration.ts';
import { registrationStyles } from './registration-styles.ts';
import { type Texts, textsFor } from './texts/texts.ts';

/** When to ask again for the form, where the edge did not give it. */
const FORM_AGAIN_MS = 3_000;
/** The most characters of an answer. */
const CHARS_MAX = 500;

/** The viewer is let in with this token; empty: nobody is asked any more. */
export class RegisteredEvent extends CustomEvent<{ readonly token: string }> {
  constructor(token: string) {
    super('lectern-registered', { detail: { token } });
  }
}

type Input = HTMLInputElement | HTMLSelectElement;

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {Endpoints | null} endpoints - of the broadcast that asks
 * @fires lectern-registered - the viewer is let in
 */
export class LecternRegistration extends LitElement {
  static override styles = [colours, registrationStyles];

  static override properties = {
    texts: { attribute: false },
    endpoints: { attribute: false },
    form: { state: true },
    faults: { state: true },
    trouble: { state: true },
    sending: { state: true },
  };

  declare texts: Texts;
  declare endpoints: Endpoints | null;
  /** What is asked; null before it is known. */
  declare private form: Form | null;
  declare private faults: Faults;
  /** Why the answers are not taken, where none of them is wrong. */
  declare private trouble: string;
  declare private sending: boolean;

  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What was sent, and by which name: the same again is the same attempt. */
  #sent = { body: '', attempt: '' };

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.endpoints = null;
    this.form = null;
    this.faults = {};
    this.trouble = '';
    this.sending = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.hasUpdated) void this.#ask();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  override firstUpdated(): void {
    void this.#ask();
  }

  override render() {
    const { lang, registration: T } = this.texts;
    const { form } = this;
    if (!form)
      return html`<p class="alone quiet" lang=${lang} role="status">${this.trouble || T.loading}</p>`;
    return html`<form
      lang=${lang} novalidate aria-labelledby="heading" aria-busy=${this.sending}
      @submit=${this.#submitted} @input=${this.#changed} @keydown=${own}
    >
      <div>
        <h2 id="heading">${T.title}</h2>
        ${form.title ? html`<p class="of" dir="auto">${form.title}</p>` : nothing}
      </div>
      ${form.notice ? html`<p class="notice" dir="auto">${form.notice}</p>` : nothing}
      ${form.fields.map((field) => this.#field(field))}
      <p class="trouble" role="alert">${this.trouble}</p>
      <button type="submit" ?disabled=${this.sending}>${this.sending ? T.sending : T.send}</button>
    </form>`;
  }

  #field(field: Question) {
    const { registration: T } = this.texts;
    const fault = this.faults[field.name];
    const label = html`<label for=${idOf(field.name)} dir="auto"
      >${field.label}${field.required ? nothing : html` <span class="quiet">${T.optional}</span>`}</label
    >`;
    // It is read out with its field, which has the focus.
    const why = html`<p class="wrong" id=${whyOf(field.name)}>${fault ? T.faults[fault] : ''}</p>`;
    return field.kind === 'checkbox'
      ? html`<div class="field"><div class="check">${this.#input(field)} ${label}</div>${why}</div>`
      : html`<div class="field">${label} ${this.#input(field)} ${why}</div>`;
  }

  #input(field: Question) {
    const { name, kind, required, options } = field;
    const invalid = this.faults[name] ? 'true' : nothing;
    const described = this.faults[name] ? whyOf(name) : nothing;
    if (kind === 'select') {
      return html`<select
        id=${idOf(name)} name=${name} ?required=${required} aria-invalid=${invalid}
        aria-describedby=${described} autocomplete=${autocompleteOf(field)}
      >
        <option value="">${this.texts.registration.choose}</option>
        ${options.map((option) => html`<option value=${option} dir="auto">${option}</option>`)}
      </select>`;
    }
    if (kind === 'checkbox') {
      return html`<input
        type="checkbox" id=${idOf(name)} name=${name} ?required=${required} aria-invalid=${invalid}
        aria-describedby=${described}
      >`;
    }
    return html`<input
      type=${kind} id=${idOf(name)} name=${name} ?required=${required} maxlength=${CHARS_MAX} dir="auto"
      aria-invalid=${invalid} aria-describedby=${described} autocomplete=${autocompleteOf(field)}
      autocapitalize=${kind === 'email' ? 'none' : nothing} spellcheck=${kind === 'email' ? 'false' : nothing}
    >`;
  }

  /** Asks the edge what is asked, until it says so. */
  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    const { endpoints } = this;
    if (!endpoints) return;
    try {
      const form = await askForm(endpoints);
      if (!this.isConnected || endpoints !== this.endpoints) return;
      this.trouble = '';
      if (form === null) this.dispatchEvent(new RegisteredEvent(''));
      else this.form = form;
    } catch {
      if (!this.isConnected) return;
      this.trouble = this.texts.registration.unreachable;
      this.#timer = setTimeout(() => void this.#ask(), FORM_AGAIN_MS);
    }
  }

  #inputs(): Input[] {
    return [...this.renderRoot.querySelectorAll<Input>('input, select')];
  }

  #answers(): Answers {
    const given = this.#inputs().flatMap((input): [string, string | boolean][] => {
      if (input instanceof HTMLInputElement && input.type === 'checkbox') {
        return [[input.name, input.checked]];
      }
      const value = input.value.trim();
      return value === '' ? [] : [[input.name, value]];
    });
    return Object.fromEntries(given);
  }

  /** What is being mended is not called wrong any more. */
  #changed({ target }: Event): void {
    const { name } = target as Input;
    if (!this.faults[name]) return;
    const { [name]: _, ...others } = this.faults;
    this.faults = others;
  }

  async #submitted(event: Event): Promise<void> {
    event.preventDefault();
    const { endpoints, form } = this;
    if (this.sending || !endpoints || !form) return;
    const answers = this.#answers();
    this.trouble = '';
    const faults = faultsOf(form, answers);
    if (Object.keys(faults).length > 0) return this.#wrong(faults);
    const body = JSON.stringify(answers);
    if (body !== this.#sent.body) this.#sent = { body, attempt: attemptName() };
    this.sending = true;
    const said = await register(endpoints, answers, this.#sent.attempt);
    this.sending = false;
    if (!this.isConnected || endpoints !== this.endpoints) return;
    const { registration: T } = this.texts;
    switch (said.outcome) {
      case 'registered':
        this.dispatchEvent(new RegisteredEvent(said.token));
        return;
      case 'open':
        this.dispatchEvent(new RegisteredEvent(''));
        return;
      case 'full':
        this.trouble = T.full;
        return;
      case 'later':
        this.trouble = T.later(`${Math.ceil(said.afterMs / 1000)}`);
        return;
      case 'invalid':
        return this.#notTaken(said.faults);
    }
  }

  /** The edge found what was not found here: perhaps others are asked by now. */
  async #notTaken(faults: Faults): Promise<void> {
    const asked = (name: string) => this.form?.fields.some((field) => field.name === name);
    if (!Object.keys(faults).every(asked)) {
      await this.#ask();
      this.trouble = this.texts.registration.changed;
    }
    await this.#wrong(faults);
  }

  async #wrong(faults: Faults): Promise<void> {
    this.faults = faults;
    await this.updateComplete;
    this.#inputs()
      .find(({ name }) => this.faults[name])
      ?.focus();
  }
}

/** Names are the host's: as ids they are kept apart from ours, and from each other. */
const idOf = (name: string): string => `field-${name}`;
const whyOf = (name: string): string => `why-${name}`;

/** Keys that are typed here are not the player's. */
function own(event: KeyboardEvent): void {
  event.stopPropagation();
}

customElements.define('lectern-registration', LecternRegistration);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-registration': LecternRegistration;
  }
}
