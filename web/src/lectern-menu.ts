// `<lectern-menu>`: the button with the wheel and the menu that it opens: quality, captions, statistics.
// It holds no state but whether it is open: what is true comes down as properties, what the viewer wants
// goes up as events.
//
// Of our own and not media-chrome's, whose menus list qualities by what a media element says of them,
// and know neither which of them is on screen while the choice is automatic, nor entries of ours.

import { css, html, LitElement, nothing } from 'lit';
import { type Caption, captionName } from './captions.ts';
import { ICONS } from './icons.ts';
import type { Rendition } from './info.ts';
import { renditionName } from './rendition-name.ts';
import { type Texts, textsFor } from './texts/texts.ts';

/** What the viewer chose. */
export type Choice =
  | { readonly want: 'rendition'; readonly name: string | null }
  | { readonly want: 'captions'; readonly caption: Caption | null }
  | { readonly want: 'stats' };

export class ChoiceEvent extends CustomEvent<Choice> {
  constructor(choice: Choice) {
    super('lectern-choice', { detail: choice, bubbles: true });
  }
}

/** Narrower than this the menu is as wide as the screen. */
const PHONE_PX = 480;
/** From the edges of the screen, and above the button: clear of the time range. */
const EDGE_PX = 8;
const ABOVE_PX = 28;

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {Rendition[]} renditions - best first; a choice is offered of more than one
 * @prop {string | null} chosen - the rendition that the viewer pinned
 * @prop {Rendition | null} playing - the one on screen
 * @prop {Caption[]} captions - what there are
 * @attr {boolean} stats - the statistics are shown
 * @attr {boolean} open - reflected
 * @fires lectern-choice
 * @csspart menu-button - the button
 * @csspart menu - what it opens
 */
export class LecternMenu extends LitElement {
  static override properties = {
    texts: { attribute: false },
    renditions: { attribute: false },
    chosen: { attribute: false },
    playing: { attribute: false },
    captions: { attribute: false },
    stats: { type: Boolean },
    open: { type: Boolean, reflect: true },
  };

  declare texts: Texts;
  declare renditions: readonly Rendition[];
  declare chosen: string | null;
  declare playing: Rendition | null;
  declare captions: readonly Caption[];
  declare stats: boolean;
  declare open: boolean;

  static override styles = css`
    :host {
      position: relative;
      line-height: 1.3;
    }
    button {
      display: flex;
      align-items: center;
      border: 0;
      color: inherit;
      background: none;
      font: inherit;
      text-align: start;
      cursor: pointer;
    }
    button:focus-visible {
      outline: 0.1875rem solid var(--lectern-focus, #8ec5ff);
      outline-offset: -0.1875rem;
    }
    .wheel {
      justify-content: center;
      width: 2.75rem;
      height: 2.75rem;
      padding: 0;
      border-radius: 0.5rem;
    }
    .wheel:hover {
      background: rgb(255 255 255 / 0.16);
    }
    .wheel svg {
      transition: rotate 0.2s;
    }
    :host([open]) .wheel svg {
      rotate: 30deg;
    }
    /* In the top layer, which nothing cuts off; where that is not known, above the button. */
    [role='menu'] {
      position: absolute;
      inset: auto 0 calc(100% + 0.25rem) auto;
      box-sizing: border-box;
      margin: 0;
      width: max-content;
      min-width: 13rem;
      max-width: 80vw;
      max-height: 20rem;
      padding: 0.375rem 0;
      overflow: auto;
      border: 0.0625rem solid rgb(255 255 255 / 0.14);
      border-radius: 0.625rem;
      color: #fff;
      background: #121821;
      box-shadow: 0 0.5rem 2rem rgb(0 0 0 / 0.5);
      font-size: 0.9375rem;
      font-weight: 400;
    }
    [popover] {
      position: fixed;
    }
    .group {
      padding: 0.375rem 1rem 0.25rem 2.5rem;
      color: #aab6c5;
      font-size: 0.75rem;
      font-weight: 600;
    }
    [role='group'] + [role='group'],
    [role='group'] + .item {
      margin-top: 0.375rem;
      border-top: 0.0625rem solid rgb(255 255 255 / 0.14);
      padding-top: 0.375rem;
    }
    .item {
      gap: 0.5rem;
      width: 100%;
      min-height: 2.25rem;
      padding: 0.25rem 1rem 0.25rem 0.75rem;
      white-space: nowrap;
    }
    .item:hover,
    .item:focus {
      background: rgb(255 255 255 / 0.12);
    }
    .mark {
      display: grid;
      place-items: center;
      width: 1.25rem;
    }
    .mark svg {
      width: 1.125rem;
      height: 1.125rem;
    }
    @media (prefers-reduced-motion: reduce) {
      .wheel svg {
        transition: none;
      }
    }
  `;

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.renditions = [];
    this.chosen = null;
    this.playing = null;
    this.captions = [];
    this.stats = false;
    this.open = false;
    this.addEventListener('keydown', (event) => this.#key(event));
    this.addEventListener('focusout', (event) => {
      if (!(event.relatedTarget instanceof Node) || !this.contains(event.relatedTarget)) {
        this.open = false;
      }
    });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    // It would stay where it is while the page moves.
    window.addEventListener('scroll', this.#close, { passive: true });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('scroll', this.#close);
  }

  readonly #close = (): void => {
    this.open = false;
  };

  override render() {
    const { controls: T } = this.texts;
    return html`
      <button
        class="wheel" part="menu-button" type="button" aria-haspopup="menu"
        aria-expanded=${this.open} aria-label=${T.settings} title=${T.settings}
        @click=${() => this.#toggle(!this.open)}
      >${ICONS.settings}</button>
      ${
        this.open
          ? html`<div role="menu" part="menu" popover="manual" aria-label=${T.settings}>
              ${this.#qualities()}${this.#captions()}
              ${this.#item('menuitemcheckbox', T.stats, this.stats, { want: 'stats' })}
            </div>`
          : nothing
      }
    `;
  }

  #qualities() {
    const { renditions, playing, texts } = this;
    if (renditions.length < 2) return nothing;
    const { controls: T } = texts;
    const now = playing && this.chosen === null ? renditionName(playing, renditions) : null;
    const auto = now === null ? T.auto : texts.autoNow(now);
    return html`<div role="group" aria-label=${T.quality}>
      <div class="group" aria-hidden="true">${T.quality}</div>
      ${this.#item('menuitemradio', auto, this.chosen === null, { want: 'rendition', name: null })}
      ${renditions.map((each) =>
        this.#item('menuitemradio', renditionName(each, renditions), this.chosen === each.name, {
          want: 'rendition',
          name: each.name,
        }),
      )}
    </div>`;
  }

  #captions() {
    const { captions, texts } = this;
    if (captions.length === 0) return nothing;
    const { controls: T, lang } = texts;
    const showing = captions.find(({ track }) => track.mode === 'showing') ?? null;
    return html`<div role="group" aria-label=${T.captions}>
      <div class="group" aria-hidden="true">${T.captions}</div>
      ${this.#item('menuitemradio', T.noCaptions, showing === null, { want: 'captions', caption: null })}
      ${captions.map((caption) =>
        this.#item('menuitemradio', captionName(caption, lang, T.unnamed), caption === showing, {
          want: 'captions',
          caption,
        }),
      )}
    </div>`;
  }

  #item(
    role: 'menuitemradio' | 'menuitemcheckbox',
    name: string,
    checked: boolean,
    choice: Choice,
  ) {
    return html`<button
      class="item" type="button" role=${role} tabindex="-1" aria-checked=${checked}
      @click=${() => this.#choose(choice)}
    ><span class="mark">${checked ? ICONS.check : nothing}</span>${name}</button>`;
  }

  #choose(choice: Choice): void {
    this.#toggle(false);
    this.dispatchEvent(new ChoiceEvent(choice));
  }

  /** Opens it and goes to the first entry, or closes it and goes back to the button. */
  #toggle(open: boolean): void {
    this.open = open;
    void this.updateComplete.then(() => {
      if (open) this.#place();
      (open ? this.#items()[0] : this.#button())?.focus();
    });
  }

  /** Above the button, and as high as there is room; on a phone at the foot of the screen. */
  #place(): void {
    const menu = this.renderRoot.querySelector<HTMLElement>('[role=menu]');
    const button = this.#button()?.getBoundingClientRect();
    if (!menu || !button || !menu.showPopover) return;
    menu.showPopover();
    const { clientWidth: width, clientHeight: height } = document.documentElement;
    const phone = width < PHONE_PX;
    const right = phone ? EDGE_PX : Math.max(EDGE_PX, width - button.right - button.width);
    const bottom = phone ? EDGE_PX : Math.max(EDGE_PX, height - button.top + ABOVE_PX);
    menu.style.inset = `auto ${right}px ${bottom}px ${phone ? `${EDGE_PX}px` : 'auto'}`;
    menu.style.width = phone ? 'auto' : '';
    menu.style.maxWidth = phone ? 'none' : '';
    menu.style.maxHeight = `${height - bottom - EDGE_PX}px`;
  }

  #button(): HTMLElement | null {
    return this.renderRoot.querySelector('.wheel');
  }

  #items(): HTMLElement[] {
    return [...this.renderRoot.querySelectorAll<HTMLElement>('.item')];
  }

  /** The keys of a menu (ARIA Authoring Practices, Menu Button). */
  #key(event: KeyboardEvent): void {
    if (!this.open) return;
    const items = this.#items();
    const at = items.indexOf(this.shadowRoot?.activeElement as HTMLElement);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: -1,
    }[event.key];
    if (to !== undefined) items.at(to % items.length)?.focus();
    else if (event.key === 'Escape') this.#toggle(false);
    else if (event.key !== 'Enter' && event.key !== ' ') return;
    // They are not the player's while the menu is open.
    event.stopPropagation();
    if (to !== undefined || event.key === 'Escape') event.preventDefault();
  }
}

customElements.define('lectern-menu', LecternMenu);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-menu': LecternMenu;
  }
}
