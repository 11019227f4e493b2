// `<lectern-stats>`: the panel for those who want to know, over the picture. What it says is `stats.ts`'s.

import { css, html, LitElement } from 'lit';
import { ICONS } from './icons.ts';
import { type Row, rowsText } from './stats.ts';
import { type Texts, textsFor } from './texts/texts.ts';

/** For so long the button says that it has copied. */
const COPIED_MS = 2_000;

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {Row[]} rows - names and values
 * @fires close
 */
export class LecternStats extends LitElement {
  static override properties = {
    texts: { attribute: false },
    rows: { attribute: false },
    copied: { state: true },
  };

  declare texts: Texts;
  declare rows: readonly Row[];
  declare private copied: boolean;

  static override styles = css`
    :host {
      display: flex;
      flex-direction: column;
      gap: 0.5rem;
      box-sizing: border-box;
      padding: 0.625rem 0.75rem;
      overflow: auto;
      border-radius: 0.5rem;
      color: #fff;
      background: rgb(12 17 24 / 0.94);
      font-size: 0.8125rem;
      line-height: 1.45;
    }
    header {
      display: flex;
      align-items: center;
      gap: 0.25rem;
    }
    h2 {
      flex: 1;
      margin: 0;
      font-size: 0.875rem;
    }
    dl {
      display: grid;
      grid-template-columns: auto minmax(0, 1fr);
      gap: 0.0625rem 0.875rem;
      margin: 0;
    }
    dt {
      color: #aab6c5;
    }
    dd {
      margin: 0;
      overflow-wrap: anywhere;
      font-variant-numeric: tabular-nums;
    }
    button {
      display: grid;
      place-items: center;
      min-width: 1.75rem;
      min-height: 1.75rem;
      padding: 0 0.5rem;
      border: 0;
      border-radius: 0.375rem;
      color: inherit;
      background: rgb(255 255 255 / 0.12);
      font: inherit;
      cursor: pointer;
    }
    button:hover {
      background: rgb(255 255 255 / 0.24);
    }
    button:focus-visible {
      outline: 0.1875rem solid var(--lectern-focus, #8ec5ff);
    }
    svg {
      width: 1.125rem;
      height: 1.125rem;
    }
    .close {
      padding: 0;
    }
  `;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.rows = [];
    this.copied = false;
  }

  override render() {
    const { controls: T } = this.texts;
    return html`
      <header>
        <h2>${T.stats}</h2>
        <button type="button" @click=${this.#copy}>${this.copied ? T.copied : T.copy}</button>
        <button
          class="close" type="button" aria-label=${T.close} title=${T.close}
          @click=${() => this.dispatchEvent(new Event('close'))}
        >${ICONS.remove}</button>
      </header>
      <dl>${this.rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    `;
  }

  async #copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(rowsText(this.rows));
    } catch {
      // Not allowed here: selected, it can be copied by hand.
      const list = this.renderRoot.querySelector('dl');
      if (list) getSelection()?.selectAllChildren(list);
      return;
    }
    this.copied = true;
    setTimeout(() => {
      this.copied = false;
    }, COPIED_MS);
  }
}

customElements.define('lectern-stats', LecternStats);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-stats': LecternStats;
  }
}
