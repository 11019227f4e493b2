// `<console-copy>`: something to be put elsewhere, with a button that copies it and says that it did.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { ICONS } from './icons.ts';
import { sheet } from './styles.ts';

/** "Copied" stays this long. */
const TOLD_MS = 2_500;

/**
 * @prop {string} label - what it is
 * @prop {string} value - what is copied
 * @prop {boolean} secret - hidden until its reader wants to see it
 * @prop {boolean} block - several lines
 */
export class ConsoleCopy extends View {
  static override properties = {
    ...View.properties,
    label: {},
    value: {},
    secret: { type: Boolean },
    block: { type: Boolean },
    masked: {},
    hint: {},
    shown: { state: true },
    told: { state: true },
  };

  declare label: string;
  declare value: string;
  declare secret: boolean;
  declare block: boolean;
  /** What of a block is copied and not shown; empty for nothing. */
  declare masked: string;
  declare hint: string;
  declare private shown: boolean;
  declare private told: 'copied' | 'notCopied' | null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  static override styles = [
    colours,
    sheet,
    css`
      :host {
        min-width: 0;
        container-type: inline-size;
      }
      .all {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 0.3125rem;
      }
      .line {
        display: flex;
        align-items: stretch;
        gap: 0.5rem;
      }
      input,
      pre {
        flex: 1;
        min-width: 0;
        margin: 0;
        background: var(--_soft) !important;
        border: 0.0625rem solid var(--_line) !important;
      }
      input {
        text-overflow: ellipsis;
      }
      pre {
        padding: 0.75rem;
        border-radius: 0.5rem;
        overflow: auto;
        font-size: 0.8125rem;
        line-height: 1.55;
      }
      pre:focus-visible {
        outline: 0.1875rem solid var(--_focus);
      }
      .line.block {
        flex-direction: column;
        align-items: start;
      }
      .line.block pre {
        width: 100%;
      }
      .copied {
        color: var(--_good);
      }
      button span {
        min-width: 3.25rem;
      }
      @container (max-width: 22rem) {
        button:not(.block *) span {
          position: absolute;
          width: 1px;
          min-width: 0;
          overflow: hidden;
          clip-path: inset(50%);
        }
      }
    `,
  ];

  constructor() {
    super();
    this.label = '';
    this.value = '';
    this.secret = false;
    this.block = false;
    this.masked = '';
    this.hint = '';
    this.shown = false;
    this.told = null;
  }

  protected override left(): void {
    clearTimeout(this.#timer);
    this.shown = false;
  }

  #visible(): string {
    return this.masked ? this.value.replaceAll(this.masked, '••••••••') : this.value;
  }

  override render() {
    const { app: T } = this.T;
    const copied = this.told === 'copied';
    const copy = html`<button
      type="button" class=${copied ? 'copied' : ''} aria-label=${T.copyName(this.label)}
      @click=${this.#copy}
    >${copied ? ICONS.check : ICONS.copy}<span>${copied ? T.copied : T.copy}</span></button>`;
    return html`<div class="all">
      ${
        this.block
          ? html`<span class="label" id="label">${this.label}</span>
              <div class="line block">
                <pre tabindex="0" role="group" aria-labelledby="label">${this.#visible()}</pre>
                ${copy}
              </div>`
          : html`<label class="label" for="value">${this.label}</label>
              <div class="line">
                <input
                  id="value" class="mono" readonly .value=${this.value}
                  type=${this.secret && !this.shown ? 'password' : 'text'} autocomplete="off"
                  @focus=${(event: Event) => (event.target as HTMLInputElement).select()}
                >
                ${
                  this.secret
                    ? html`<button
                        type="button" class="icon" aria-pressed=${this.shown}
                        aria-label="${this.shown ? T.hide : T.show}: ${this.label}"
                        @click=${() => {
                          this.shown = !this.shown;
                        }}
                      >${ICONS.eye}</button>`
                    : nothing
                }
                ${copy}
              </div>`
      }
      ${this.hint ? html`<p class="hint">${this.hint}</p>` : nothing}
      <div role="status" class=${this.told === 'notCopied' ? 'error' : 'unseen'}>${
        this.told ? T[this.told] : ''
      }</div>
    </div>`;
  }

  async #copy(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await navigator.clipboard.writeText(this.value);
      this.told = 'copied';
      this.dispatchEvent(new Event('copied', { bubbles: true, composed: true }));
    } catch {
      // Pages without https may not write to the clipboard. Selected, it is a key away.
      this.shown = true;
      this.told = 'notCopied';
      await this.updateComplete;
      this.renderRoot.querySelector<HTMLInputElement>('input')?.focus();
    }
    this.#timer = setTimeout(() => {
      this.told = null;
    }, TOLD_MS);
  }
}

customElements.define('console-copy', ConsoleCopy);
