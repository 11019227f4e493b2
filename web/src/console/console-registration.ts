// `<console-registration>`: the form that viewers fill in before they watch, put together field by field.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { FIELDS_MAX, LABEL_MAX, moved } from './draft.ts';
import { View } from './element.ts';
import { area, input, select, tick } from './form.ts';
import { ICONS } from './icons.ts';
import { FIELD_KINDS, type Registration, type RegistrationField } from './model.ts';
import { sheet } from './styles.ts';

const BLANK: RegistrationField = {
  name: '',
  label: '',
  kind: 'text',
  required: false,
  options: [],
};

/**
 * @prop {Registration} value - the form
 * @fires change - `value` is another
 */
export class ConsoleRegistration extends View {
  static override properties = {
    ...View.properties,
    value: { attribute: false },
    error: {},
    errorAt: { attribute: false },
    disabled: { type: Boolean },
  };

  declare value: Registration;
  /** What is wrong with the whole of it. */
  declare error: string;
  /** What is wrong with a part, such as `fields.0.label`. */
  declare errorAt: (part: string) => string;
  declare disabled: boolean;

  static override styles = [
    colours,
    sheet,
    css`
      .one {
        display: grid;
        gap: 0.75rem;
        padding: 0.875rem 1rem 1rem;
        border: 0.0625rem solid var(--_line);
        border-radius: 0.625rem;
      }
      .two {
        display: grid;
        align-items: start;
        grid-template-columns: minmax(0, 1fr) 12rem;
        gap: 0.75rem;
      }
      .head {
        display: flex;
        align-items: center;
        gap: 0.125rem;
      }
      .head span {
        margin-inline-end: auto;
        color: var(--_quiet);
        font-size: 0.875rem;
        font-weight: 600;
      }
      ol {
        gap: 0.75rem;
      }
      @media (max-width: 36rem) {
        .two {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  constructor() {
    super();
    this.value = { notice: null, fields: [] };
    this.error = '';
    this.errorAt = () => '';
    this.disabled = false;
  }

  override render() {
    const { edit: T, app: A } = this.T;
    const { fields, notice } = this.value;
    const { disabled } = this;
    return html`<div class="stack">
      ${area({
        ...{ name: 'notice', label: T.notice, hint: T.noticeHint, optional: A.optional, rows: 3 },
        ...{ value: notice ?? '', disabled, maxlength: 2_000, error: this.errorAt('notice') },
        change: (value) => this.#change({ ...this.value, notice: value || null }),
      })}
      <fieldset>
        <legend>${T.fields}</legend>
        ${
          fields.length === 0
            ? html`<p class="hint">${T.noFields}</p>`
            : html`<ol class="plain">${fields.map((field, index) => this.#field(field, index))}</ol>`
        }
      </fieldset>
      ${
        this.error && !fields.some((_, index) => this.errorAt(`fields.${index}`))
          ? html`<p class="error" role="alert">${this.error}</p>`
          : nothing
      }
      ${
        disabled || fields.length >= FIELDS_MAX
          ? nothing
          : html`<div><button type="button" id="add" @click=${this.#add}>
              ${ICONS.plus} ${T.addField}
            </button></div>`
      }
    </div>`;
  }

  #field(field: RegistrationField, index: number) {
    const { edit: T } = this.T;
    const { disabled } = this;
    const called = field.label || T.fieldNumber(index + 1);
    const set = (change: Partial<RegistrationField>) => this.#set(index, change);
    const act = (icon: unknown, label: string, act: () => void, off = false) =>
      html`<button
        type="button" class="icon small" aria-label=${label} ?disabled=${off || disabled} @click=${act}
      >${icon}</button>`;
    return html`<li class="one">
      <div class="head">
        <span>${T.fieldNumber(index + 1)}</span>
        ${act(ICONS.up, T.fieldUp(called), () => this.#move(index, -1), index === 0)}
        ${act(
          ICONS.down,
          T.fieldDown(called),
          () => this.#move(index, 1),
          index === this.value.fields.length - 1,
        )}
        ${act(ICONS.close, T.fieldRemove(called), () => this.#remove(index))}
      </div>
      <div class="two">
        ${input({
          ...{ name: `label-${index}`, label: T.fieldLabel, value: field.label, disabled },
          ...{ maxlength: LABEL_MAX, required: true },
          error: this.errorAt(`fields.${index}.label`) || this.errorAt(`fields.${index}.name`),
          change: (label) => set({ label }),
        })}
        ${select({
          ...{ name: `kind-${index}`, label: T.fieldKind, value: field.kind, disabled },
          options: FIELD_KINDS.map((kind) => [kind, T.fieldKinds[kind]] as const),
          change: (kind) => set({ kind }),
        })}
      </div>
      ${
        field.kind === 'select'
          ? area({
              ...{ name: `options-${index}`, label: T.fieldOptions, rows: 3, disabled },
              value: field.options.join('\n'),
              error: this.errorAt(`fields.${index}.options`),
              change: (text) => set({ options: text.split('\n') }),
            })
          : nothing
      }
      ${tick({
        ...{ name: `required-${index}`, label: T.fieldRequired, checked: field.required, disabled },
        change: (required) => set({ required }),
      })}
    </li>`;
  }

  #add(): void {
    const { fields } = this.value;
    this.#change({ ...this.value, fields: [...fields, BLANK] });
    void this.focusOn(`#label-${fields.length}`);
  }

  #set(index: number, change: Partial<RegistrationField>): void {
    const fields = this.value.fields.map((field, at) =>
      at === index ? { ...field, ...change } : field,
    );
    this.#change({ ...this.value, fields });
  }

  #move(index: number, by: -1 | 1): void {
    this.#change({ ...this.value, fields: moved(this.value.fields, index, by) });
    void this.focusOn(`#label-${index + by}`);
  }

  #remove(index: number): void {
    const fields = this.value.fields.filter((_, at) => at !== index);
    this.#change({ ...this.value, fields });
    void this.focusOn('#add');
  }

  #change(value: Registration): void {
    this.value = value;
    this.dispatchEvent(new Event('change'));
  }
}

customElements.define('console-registration', ConsoleRegistration);
