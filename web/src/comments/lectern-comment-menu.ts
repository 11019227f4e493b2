// `<lectern-comment-menu>`: what a moderator can do with one comment. One menu for all of them, which
// opens beside the button that asked for it; what is chosen is its owner's to do.

import { css, html, LitElement, nothing } from 'lit';
import { colours } from '../colours.ts';
import { type Texts, textsFor } from '../texts/texts.ts';
import { AskEvent } from './ask.ts';
import { type Choice, choicesFor, MUTE_MINUTES } from './moderation.ts';
import type { Comment } from './protocol.ts';

/** Between the menu and its button, and the edge of the window, in px. */
const GAP_PX = 4;
const EDGE_PX = 8;
/** A click on the button of an open menu closes it twice: this is one click. */
const SAME_CLICK_MS = 250;

/**
 * @prop {Texts} texts - in the viewer's language
 * @fires lectern-ask - what was chosen
 */
export class LecternCommentMenu extends LitElement {
  static override properties = {
    texts: { attribute: false },
    comment: { state: true },
  };

  declare texts: Texts;
  declare private comment: Comment | null;

  #own = false;
  #button: HTMLElement | null = null;
  #closedMs = Number.NEGATIVE_INFINITY;

  static override styles = [
    colours,
    css`
      .menu {
        --_card: var(--lectern-card, light-dark(#fff, #1d2836));
        position: fixed;
        inset: auto;
        min-width: 14rem;
        max-width: min(20rem, calc(100vw - 1rem));
        margin: 0;
        padding: 0.375rem;
        border: 0.0625rem solid var(--_line);
        border-radius: 0.625rem;
        color: var(--_text);
        background: var(--_card);
        box-shadow: 0 0.5rem 2rem rgb(0 0 0 / 0.28);
        font-size: 0.9375rem;
        box-sizing: border-box;
      }
      .of {
        overflow: hidden;
        padding: 0.25rem 0.625rem 0.375rem;
        color: var(--_quiet);
        font-size: 0.8125rem;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      button {
        display: block;
        width: 100%;
        min-height: 2.25rem;
        padding: 0.375rem 0.625rem;
        border: 0;
        border-radius: 0.375rem;
        color: inherit;
        background: none;
        font: inherit;
        text-align: start;
        cursor: pointer;
      }
      button.grave {
        color: var(--lectern-wrong, light-dark(#b3261e, #ff9d94));
      }
      button:hover {
        background: light-dark(#eef2f6, #2a3748);
      }
      button:focus-visible {
        outline: 0.1875rem solid var(--_focus);
        outline-offset: -0.125rem;
      }
      [role='separator'] {
        margin: 0.375rem 0.625rem;
        border-top: 0.0625rem solid var(--_line);
      }
      @media (pointer: coarse) {
        button {
          min-height: 2.75rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.comment = null;
  }

  /** Opens it for a comment, one's own or not; or closes it, if it is open there. */
  async open(comment: Comment, own: boolean, button: HTMLElement): Promise<void> {
    const again = button === this.#button && performance.now() - this.#closedMs < SAME_CLICK_MS;
    if (again) return;
    this.comment = comment;
    this.#own = own;
    this.#button = button;
    this.requestUpdate();
    await this.updateComplete;
    const menu = this.#menu();
    if (!menu || !button.isConnected) return;
    menu.showPopover();
    this.#place(menu, button);
    this.#items()[0]?.focus();
  }

  /** The comment that it is open for; null while it is closed. */
  get openFor(): number | null {
    return this.#menu()?.matches(':popover-open') ? (this.comment?.id ?? null) : null;
  }

  /** That comment as it is by now, or nothing, if it is gone: other things can be done with it. */
  changed(comment: Comment | undefined): void {
    if (comment && !comment.deleted) this.comment = comment;
    else this.#close();
  }

  override render() {
    const { comment, texts } = this;
    const R = texts.room;
    if (!comment) return html`<div class="menu" role="menu" popover></div>`;
    const choices = choicesFor(comment, this.#own);
    return html`<div
      class="menu" role="menu" popover lang=${texts.lang} aria-label=${R.menu(comment.user)}
      @beforetoggle=${this.#toggled} @keydown=${this.#keyed}
    >
      <div class="of" role="presentation"><bdi>${comment.user}</bdi>: <bdi>${comment.text}</bdi></div>
      ${choices.map(
        (choice) => html`
          ${choice === 'delete' ? html`<div role="separator"></div>` : nothing}
          <button
            class=${GRAVE.has(choice) ? 'grave' : ''} type="button" role="menuitem" tabindex="-1"
            @click=${() => this.#choose(choice)}
          >${R.choices[choice]}</button>
        `,
      )}
    </div>`;
  }

  #close(): void {
    const menu = this.#menu();
    if (menu?.matches(':popover-open')) menu.hidePopover();
    // It was not the browser that closed it, because of a click that is yet to come.
    this.#closedMs = Number.NEGATIVE_INFINITY;
  }

  #menu(): HTMLElement | null {
    return this.renderRoot.querySelector('.menu');
  }

  #items(): HTMLElement[] {
    return [...this.renderRoot.querySelectorAll<HTMLElement>('[role=menuitem]')];
  }

  /** Below the button, or above it where there is no room; always within the window. */
  #place(menu: HTMLElement, button: HTMLElement): void {
    const { top, bottom, left, right } = button.getBoundingClientRect();
    const { width, height } = menu.getBoundingClientRect();
    const below = bottom + GAP_PX;
    const fits = below + height + EDGE_PX <= innerHeight;
    const y = fits ? below : Math.max(EDGE_PX, top - GAP_PX - height);
    const start = getComputedStyle(button).direction === 'rtl' ? left : right - width;
    const x = Math.min(Math.max(EDGE_PX, start), innerWidth - width - EDGE_PX);
    menu.style.top = `${y}px`;
    menu.style.left = `${x}px`;
  }

  readonly #toggled = ({ newState }: ToggleEvent): void => {
    const opens = newState === 'open';
    this.#button?.setAttribute('aria-expanded', `${opens}`);
    if (!opens) this.#closedMs = performance.now();
  };

  #keyed(event: KeyboardEvent): void {
    if (event.key === 'Tab' || event.key === 'Escape') {
      // From the button on, as if there had been no menu; browsers do not find back by themselves.
      this.#close();
      this.#button?.focus({ preventScroll: true });
      if (event.key === 'Escape') event.preventDefault();
      return;
    }
    const items = this.#items();
    const at = items.indexOf((this.renderRoot as ShadowRoot).activeElement as HTMLElement);
    const next = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: -1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    items.at(next % items.length)?.focus();
  }

  #choose(choice: Choice): void {
    const { comment } = this;
    this.#close();
    this.#button?.focus({ preventScroll: true });
    if (!comment) return;
    const { id } = comment;
    const block = (whom: 'writer' | 'address', minutes: number | null) =>
      this.dispatchEvent(
        new AskEvent({ ask: 'moderate', action: { action: 'block', id, whom, minutes } }),
      );
    switch (choice) {
      case 'delete':
        this.dispatchEvent(new AskEvent({ ask: 'delete', comment }));
        return;
      case 'mute':
        block('writer', MUTE_MINUTES);
        return;
      case 'blockWriter':
        block('writer', null);
        return;
      case 'blockAddress':
        block('address', null);
        return;
      default:
        this.dispatchEvent(new AskEvent({ ask: 'moderate', action: { action: choice, id } }));
    }
  }
}

/** What takes something away from somebody. */
const GRAVE: ReadonlySet<Choice> = new Set(['delete', 'blockWriter', 'blockAddress']);

customElements.define('lectern-comment-menu', LecternCommentMenu);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-comment-menu': LecternCommentMenu;
  }
}
