// What forms have in common: sending once, showing what is wrong at the field that it is wrong with, and
// putting the focus there; and fields with label, hint and error that belong together also when read out.

import { html, nothing, type ReactiveController, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import { ApiError } from './api.ts';
import type { View } from './element.ts';
import { errorText } from './texts/texts.ts';

export class Form implements ReactiveController {
  busy = false;
  /** What is wrong as a whole; empty for nothing. */
  failure = '';
  readonly #errors = new Map<string, string>();
  readonly #host: View;

  constructor(host: View) {
    this.#host = host;
    host.addController(this);
  }

  hostConnected(): void {}

  /** What is wrong with a field; of one that has parts, with any of them. */
  error(name: string): string {
    const own = this.#errors.get(name);
    if (own !== undefined) return own;
    const part = [...this.#errors].find(([field]) => field.startsWith(`${name}.`));
    return part?.[1] ?? '';
  }

  set(name: string, error: string): void {
    if (error) this.#errors.set(name, error);
    else this.#errors.delete(name);
    this.#host.requestUpdate();
  }

  clear(): void {
    this.failure = '';
    this.#errors.clear();
    this.#host.requestUpdate();
  }

  /** Does it once; undefined where it failed, which then stands in the form. */
  async run<T>(
    act: () => Promise<T>,
    told?: (error: ApiError) => string | null,
  ): Promise<T | undefined> {
    if (this.busy) return undefined;
    this.busy = true;
    this.clear();
    const before = this.#focused();
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      for (const { field, detail } of error.errors) this.#errors.set(field, detail);
      this.failure = told?.(error) ?? errorText(this.#host.T, error);
      return undefined;
    } finally {
      this.busy = false;
      this.#host.requestUpdate();
      void (this.failure ? this.toFirst() : this.#back(before));
    }
  }

  /** Goes to the first field that is not right, or else to what is wrong as a whole. */
  async toFirst(): Promise<void> {
    this.#host.requestUpdate();
    await this.#host.updateComplete;
    const root = this.#host.renderRoot;
    const wrong = await firstWrong(root);
    (wrong ?? root.querySelector<HTMLElement>('.failure'))?.focus();
  }

  #focused(): HTMLElement | null {
    return (this.#host.shadowRoot?.activeElement as HTMLElement | null) ?? null;
  }

  /** A button that could not be pressed meanwhile has lost the focus. */
  async #back(before: HTMLElement | null): Promise<void> {
    await this.#host.updateComplete;
    const lost = before?.isConnected && !this.#focused();
    if (lost) before.focus({ preventScroll: true });
  }

  /** What is wrong as a whole, told at once. */
  notice(): TemplateResult {
    return html`<div role="alert" class="failure" tabindex="-1">${this.failure}</div>`;
  }
}

/** Also in the elements inside, in the order of the page. */
async function firstWrong(root: ParentNode): Promise<HTMLElement | null> {
  for (const each of root.querySelectorAll<HTMLElement>('*')) {
    if (each.getAttribute('aria-invalid') === 'true') return each;
    if (!each.shadowRoot) continue;
    await (each as Partial<View>).updateComplete;
    const inside = await firstWrong(each.shadowRoot);
    if (inside) return inside;
  }
  return null;
}

interface FieldOptions {
  readonly name: string;
  readonly label: string;
  readonly hint?: string | TemplateResult | undefined;
  readonly error?: string | undefined;
  /** Words for "optional", where it is. */
  readonly optional?: string | undefined;
}

/** Label, hint and error around a control, which has `describedBy` and the name as its id. */
export function field(options: FieldOptions, control: TemplateResult): TemplateResult {
  const { name, label, hint, error, optional } = options;
  return html`<div class="field ${error ? 'wrong' : ''}">
    <label for=${name}
      >${label}${optional ? html` <span class="optional">(${optional})</span>` : nothing}</label
    >
    ${control}
    ${hint ? html`<p class="hint" id="${name}-hint">${hint}</p>` : nothing}
    ${error ? html`<p class="error" id="${name}-error">${error}</p>` : nothing}
  </div>`;
}

export function describedBy({ name, hint, error }: FieldOptions): string | typeof nothing {
  const ids = [error ? `${name}-error` : '', hint ? `${name}-hint` : ''].filter(Boolean);
  return ids.length > 0 ? ids.join(' ') : nothing;
}

interface InputOptions extends FieldOptions {
  readonly value: string;
  readonly change: (value: string) => void;
  readonly type?: 'text' | 'url' | 'email' | 'number' | 'datetime-local';
  readonly required?: boolean;
  readonly maxlength?: number;
  readonly min?: number;
  readonly autocomplete?: string;
  readonly placeholder?: string;
  readonly disabled?: boolean;
  readonly mono?: boolean;
  readonly spellcheck?: boolean;
  readonly list?: string;
}

export function input(options: InputOptions): TemplateResult {
  const { name, value, change, type = 'text', required = false, error } = options;
  const take = (event: Event) => change((event.target as HTMLInputElement).value);
  return field(
    options,
    html`<input
      id=${name} name=${name} type=${type} class=${options.mono ? 'mono' : ''} .value=${live(value)}
      ?required=${required} ?disabled=${options.disabled ?? false}
      maxlength=${options.maxlength ?? nothing} min=${options.min ?? nothing}
      autocomplete=${options.autocomplete ?? 'off'} placeholder=${options.placeholder ?? nothing}
      autocapitalize=${options.mono ? 'none' : nothing} list=${options.list ?? nothing}
      spellcheck=${options.mono ? 'false' : nothing}
      aria-invalid=${error ? 'true' : 'false'} aria-describedby=${describedBy(options)}
      @input=${take}
    >`,
  );
}

interface AreaOptions extends FieldOptions {
  readonly value: string;
  readonly change: (value: string) => void;
  readonly maxlength?: number;
  readonly rows?: number;
  readonly disabled?: boolean;
}

export function area(options: AreaOptions): TemplateResult {
  const { name, value, change, error, rows = 4 } = options;
  return field(
    options,
    html`<textarea
      id=${name} name=${name} rows=${rows} .value=${live(value)} ?disabled=${options.disabled ?? false}
      maxlength=${options.maxlength ?? nothing} aria-invalid=${error ? 'true' : 'false'}
      aria-describedby=${describedBy(options)}
      @input=${(event: Event) => change((event.target as HTMLTextAreaElement).value)}
    ></textarea>`,
  );
}

interface SelectOptions<V extends string> extends FieldOptions {
  readonly value: V;
  readonly options: readonly (readonly [V, string])[];
  readonly change: (value: V) => void;
  readonly disabled?: boolean;
}

export function select<V extends string>(options: SelectOptions<V>): TemplateResult {
  const { name, value, change, error } = options;
  return field(
    options,
    html`<select
      id=${name} name=${name} ?disabled=${options.disabled ?? false}
      aria-invalid=${error ? 'true' : 'false'} aria-describedby=${describedBy(options)}
      @change=${(event: Event) => change((event.target as HTMLSelectElement).value as V)}
    >
      ${options.options.map(
        ([each, label]) =>
          html`<option value=${each} .selected=${live(each === value)}>${label}</option>`,
      )}
    </select>`,
  );
}

interface TickOptions {
  readonly name: string;
  readonly label: string | TemplateResult;
  readonly hint?: string | TemplateResult;
  readonly checked: boolean;
  readonly change: (checked: boolean) => void;
  readonly disabled?: boolean;
}

/** A box to tick, with its label beside it. */
export function tick({ name, label, hint, checked, change, disabled = false }: TickOptions) {
  return html`<div class="tick">
    <input
      type="checkbox" id=${name} name=${name} .checked=${live(checked)} ?disabled=${disabled}
      aria-describedby=${hint ? `${name}-hint` : nothing}
      @change=${(event: Event) => change((event.target as HTMLInputElement).checked)}
    >
    <label for=${name}>${label}</label>
    ${hint ? html`<p class="hint" id="${name}-hint">${hint}</p>` : nothing}
  </div>`;
}
