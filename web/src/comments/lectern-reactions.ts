// `<lectern-reactions>`: what one may feel, as a row of buttons, and what others feel, which rises from
// it along the edge of the comments, where it covers no face and few words. Many are told by the number
// beside the button and not by as many pictures: a lecture is not to look like a fair.

import { css, html, LitElement, nothing } from 'lit';
import { type Texts, textsFor } from '../texts/texts.ts';
import { AskEvent } from './ask.ts';
import { type Felt, risingFor } from './reactions.ts';

/** So many rise at once, whatever is felt. */
const RISING_AT_ONCE_MAX = 30;
const RISE_MS = 2_600;
/** Those of one second rise within about a second. */
const SPREAD_MS = 900;

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {string[]} emojis - what one may feel
 * @prop {Map<string, number>} recent - how often each was felt of late
 * @fires lectern-ask - `react`
 */
export class LecternReactions extends LitElement {
  static override properties = {
    texts: { attribute: false },
    emojis: { attribute: false },
    recent: { attribute: false },
  };

  declare texts: Texts;
  declare emojis: readonly string[];
  declare recent: ReadonlyMap<string, number>;

  #rising = 0;

  static override styles = css`
    :host {
      position: relative;
      display: block;
    }
    .bar {
      display: flex;
      flex-wrap: wrap;
      gap: 0.25rem;
    }
    button {
      display: flex;
      align-items: center;
      justify-content: center;
      gap: 0.25rem;
      min-width: 2.25rem;
      height: 2rem;
      padding: 0 0.4375rem;
      border: 0.0625rem solid transparent;
      border-radius: 1rem;
      color: var(--_quiet);
      background: light-dark(#eef2f6, #222d3b);
      font: inherit;
      font-size: 1.0625rem;
      line-height: 1;
      cursor: pointer;
    }
    button:hover {
      border-color: var(--_edge);
    }
    button:active span {
      transform: scale(1.2);
    }
    button:focus-visible {
      outline: 0.1875rem solid var(--_focus);
      outline-offset: 0.125rem;
    }
    b {
      color: var(--_text);
      font-size: 0.8125rem;
      font-weight: 600;
      font-variant-numeric: tabular-nums;
    }
    .sky {
      position: absolute;
      inset-block-end: 100%;
      inset-inline-end: 0;
      width: 4.5rem;
      height: 8.5rem;
      overflow: hidden;
      pointer-events: none;
    }
    .sky span {
      position: absolute;
      inset-block-end: 0;
      font-size: 1.375rem;
      line-height: 1.6;
      will-change: transform, opacity;
    }
    @media (pointer: coarse) {
      button {
        min-width: 2.75rem;
        height: 2.5rem;
        border-radius: 1.25rem;
      }
    }
  `;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.emojis = [];
    this.recent = new Map();
  }

  override render() {
    const R = this.texts.room;
    const { lang } = this.texts;
    const short = new Intl.NumberFormat(lang, { notation: 'compact' });
    return html`
      <div class="sky" aria-hidden="true"></div>
      <div class="bar" role="group" aria-label=${R.reactions}>
        ${this.emojis.map((emoji) => {
          const count = this.recent.get(emoji) ?? 0;
          return html`<button
            type="button" aria-label=${R.react(emoji)} @click=${() => this.#react(emoji)}
          ><span>${emoji}</span>${
            count > 0 ? html`<b aria-hidden="true">${short.format(count)}</b>` : nothing
          }</button>`;
        })}
      </div>
    `;
  }

  /** Lets what was felt be seen. */
  rise(felt: readonly Felt[]): void {
    if (document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    for (const { emoji, count } of felt) {
      const rising = risingFor(count);
      for (let i = 0; i < rising; i++) {
        if (this.#rising >= RISING_AT_ONCE_MAX) return;
        this.#riseOne(emoji, ((i + Math.random()) / rising) * (rising > 1 ? SPREAD_MS : 0));
      }
    }
  }

  #riseOne(emoji: string, delay: number): void {
    const sky = this.renderRoot.querySelector('.sky');
    if (!sky) return;
    const one = document.createElement('span');
    one.textContent = emoji;
    sky.append(one);
    this.#rising++;
    const from = Math.random() * 2.5;
    const drift = (Math.random() - 0.5) * 1.5;
    const at = (x: number, y: number, scale: number) =>
      `translate(${(from + x).toFixed(2)}rem, ${y}rem) scale(${scale})`;
    const rise = one.animate(
      [
        { transform: at(0, 0.5, 0.6), opacity: 0 },
        { transform: at(drift * 0.3, -1.5, 1), opacity: 0.95, offset: 0.2 },
        { transform: at(drift * 0.8, -4.5, 1), opacity: 0.8, offset: 0.7 },
        { transform: at(drift, -6.5, 0.9), opacity: 0 },
      ],
      { duration: RISE_MS, delay, easing: 'ease-out', fill: 'both' },
    );
    const gone = () => {
      this.#rising--;
      one.remove();
    };
    rise.onfinish = gone;
    rise.oncancel = gone;
  }

  #react(emoji: string): void {
    this.dispatchEvent(new AskEvent({ ask: 'react', emoji }));
  }
}

customElements.define('lectern-reactions', LecternReactions);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-reactions': LecternReactions;
  }
}
