// `<console-clash>`: two people changed the same thing; whoever saves last says, field by field, whose stays.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { whenText } from './format.ts';
import type { Merge, Side } from './merge.ts';
import type { About } from './model.ts';
import { dialogSheet, sheet } from './styles.ts';

/**
 * @prop {Merge<About>} merge - what is to be settled
 * @fires settled - `choices` say whose each is
 * @fires cancelled
 */
export class ConsoleClash extends View {
  static override properties = {
    ...View.properties,
    merge: { attribute: false },
    choices: { state: true },
  };

  declare merge: Merge<About>;
  declare choices: ReadonlyMap<keyof About, Side>;

  static override styles = [
    colours,
    sheet,
    dialogSheet,
    css`
      .sides {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.625rem;
      }
      label {
        display: grid;
        grid-template-columns: 1.25rem minmax(0, 1fr);
        align-content: start;
        gap: 0.25rem 0.625rem;
        padding: 0.625rem 0.75rem;
        border: 0.0625rem solid var(--_line);
        border-radius: 0.5rem;
        cursor: pointer;
      }
      label:has(:checked) {
        border-color: var(--_accent);
        background: var(--_tint);
      }
      .value {
        grid-column: 1 / -1;
        max-height: 9rem;
        overflow: auto;
        color: var(--_quiet);
        font-size: 0.9375rem;
        overflow-wrap: anywhere;
        white-space: pre-wrap;
      }
      @media (max-width: 30rem) {
        .sides {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  constructor() {
    super();
    this.choices = new Map();
  }

  override firstUpdated(): void {
    this.renderRoot.querySelector('dialog')?.showModal();
  }

  override render() {
    const { clash: T, app: A } = this.T;
    const { clashes, taken } = this.merge;
    return html`<dialog
      class="wide" aria-labelledby="title"
      @close=${() => this.dispatchEvent(new Event('cancelled'))}
    >
      <form @submit=${this.#settle}>
        <h2 id="title">${T.title}</h2>
        <p>${T.text}</p>
        ${clashes.map(
          ({ field, mine, theirs }) => html`<fieldset>
            <legend>${this.#name(field)}</legend>
            <div class="sides">
              ${this.#side(field, 'mine', mine)} ${this.#side(field, 'theirs', theirs)}
            </div>
          </fieldset>`,
        )}
        ${
          taken.length > 0
            ? html`<p class="quiet">${T.taken} ${taken.map((field) => this.#name(field)).join(', ')}</p>`
            : nothing
        }
        <div class="actions">
          <button type="button" @click=${() => this.renderRoot.querySelector('dialog')?.close()}>
            ${A.cancel}
          </button>
          <button class="primary">${T.save}</button>
        </div>
      </form>
    </dialog>`;
  }

  #side(field: keyof About, side: Side, value: unknown) {
    const chosen = this.choices.get(field) ?? 'mine';
    return html`<label>
      <input
        type="radio" name=${field} value=${side} .checked=${chosen === side}
        @change=${() => {
          this.choices = new Map(this.choices).set(field, side);
        }}
      >
      <span>${this.T.clash[side]}</span>
      <span class="value" dir="auto">${this.#words(field, value)}</span>
    </label>`;
  }

  #settle(event: SubmitEvent): void {
    event.preventDefault();
    const all = this.merge.clashes.map(
      ({ field }) => [field, this.choices.get(field) ?? 'mine'] as const,
    );
    this.choices = new Map(all);
    this.dispatchEvent(new Event('settled'));
  }

  #name(field: keyof About): string {
    const { edit: T } = this.T;
    const names: Readonly<Record<keyof About, string>> = {
      title: T.title,
      description: T.description,
      topics: T.topics,
      language: T.language,
      starts_at: T.startsAt,
      visibility: T.visibility,
      logo: T.logo,
      links: T.links,
      viewers_max: T.viewersMax,
      attendance: T.attendance,
      registration: T.registration,
    };
    return names[field];
  }

  /** A value as it can be compared with another. */
  #words(field: keyof About, value: unknown): string {
    const { clash: T, app: A, edit: E } = this.T;
    if (value === null || value === '' || (Array.isArray(value) && value.length === 0))
      return T.nothing;
    const about = { [field]: value } as Partial<About>;
    if (about.starts_at) return whenText(this.T.lang, about.starts_at);
    if (about.visibility) return E.visibilities[about.visibility].title;
    if (about.topics) return about.topics.join(', ');
    if (about.links) return about.links.map(({ title, url }) => `${title}: ${url}`).join('\n');
    if (about.registration) return about.registration.fields.map(({ label }) => label).join('\n');
    if (typeof value === 'boolean') return value ? A.yes : A.no;
    return String(value);
  }
}

customElements.define('console-clash', ConsoleClash);
