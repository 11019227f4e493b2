// `<lectern-questions>`: what viewers want answered, those first that most want. Made for reading from a
// lectern: large, and over the whole screen if need be.

import { css, html, LitElement, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { colours } from '../colours.ts';
import { ICONS } from '../icons.ts';
import { type Texts, textsFor } from '../texts/texts.ts';
import { type Ask, AskEvent } from './ask.ts';
import { menuButton, voteButton } from './comment-row.ts';
import { momentText } from './faces.ts';
import { COMMENT_ICONS } from './icons.ts';
import type { Comment } from './protocol.ts';
import { Ranking } from './ranking.ts';
import { buttonStyles } from './row-styles.ts';

/** So many are in the document: nobody answers more. */
const SHOWN_MAX = 200;

/** A question, and what its reader can do with it. */
export interface Question {
  readonly comment: Comment;
  readonly votes: number;
  readonly voted: boolean;
  /** It is on its way to be deleted, or changed. */
  readonly busy: boolean;
}

/**
 * @prop {Texts} texts - in the viewer's language
 * @prop {Question[]} questions - in whatever order
 * @prop {boolean} mayAct - one may vote
 * @prop {boolean} moderating - the reader is a moderator
 * @fires lectern-ask
 */
export class LecternQuestions extends LitElement {
  static override properties = {
    texts: { attribute: false },
    questions: { attribute: false },
    mayAct: { attribute: false },
    moderating: { attribute: false },
    large: { state: true },
  };

  declare texts: Texts;
  declare questions: readonly Question[];
  declare mayAct: boolean;
  declare moderating: boolean;
  /** Over the whole screen. */
  declare private large: boolean;

  readonly #ranking = new Ranking();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The button that has the focus, which moves with its row and would lose it. */
  #focused: HTMLElement | null = null;

  static override styles = [
    colours,
    buttonStyles,
    css`
      :host {
        position: relative;
        flex: 1;
        display: flex;
        min-width: 0;
        min-height: 0;
        background: var(--_card);
        font-size: 1.125rem;
      }
      :host([hidden]) {
        display: none;
      }
      :host(:fullscreen) {
        font-size: clamp(1.5rem, 2.4vw, 3.5rem);
      }
      .list {
        flex: 1;
        min-width: 0;
        overflow: hidden auto;
        overscroll-behavior: contain;
        scrollbar-width: thin;
        scrollbar-color: var(--_edge) transparent;
      }
      :host(:fullscreen) .list {
        padding: 2vh 6vw;
      }
      ol {
        margin: 0;
        padding: 0.5rem 0 3.5rem;
        list-style: none;
      }
      li {
        position: relative;
        display: grid;
        grid-template-columns: auto minmax(0, 1fr) auto;
        gap: 0 0.75em;
        align-items: start;
        padding: 0.625em 1rem;
        border-bottom: 0.0625rem solid var(--_line);
      }
      li:last-child {
        border-bottom: 0;
      }
      .vote button {
        flex-direction: column;
        gap: 0;
        min-width: 2.75em;
        padding: 0.25em 0.375em;
        font-size: 1em;
        line-height: 1.2;
      }
      .vote svg {
        width: 1.125em;
        height: 1.125em;
      }
      p {
        margin: 0;
        line-height: 1.35;
        text-wrap: pretty;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .by {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0 0.625em;
        margin-top: 0.125em;
        color: var(--_quiet);
        font-size: max(0.8125rem, 0.7em);
        line-height: 1.6;
      }
      .by bdi {
        overflow: hidden;
        max-width: 100%;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .moment {
        font-variant-numeric: tabular-nums;
      }
      .done p {
        color: var(--_quiet);
      }
      .busy {
        opacity: 0.6;
      }
      .more {
        position: static;
        margin-inline-end: -0.5rem;
      }
      .empty {
        flex: 1;
        align-self: center;
        padding: 1.5rem;
        color: var(--_quiet);
        font-size: 1rem;
        text-align: center;
      }
      .size {
        position: absolute;
        inset-block-end: 0.75rem;
        inset-inline-end: 1rem;
        display: grid;
        place-items: center;
        width: 2.5rem;
        height: 2.5rem;
        padding: 0;
        border: 0.0625rem solid var(--_edge);
        border-radius: 0.625rem;
        color: var(--_text);
        background: var(--_card);
        cursor: pointer;
      }
      .size svg {
        width: 1.25rem;
        height: 1.25rem;
      }
      :is(.size, .list):focus-visible {
        outline: 0.1875rem solid var(--_focus);
        outline-offset: 0.125rem;
      }
      .list:focus-visible {
        outline-offset: -0.1875rem;
      }
      @media (pointer: coarse) {
        .size {
          width: 2.75rem;
          height: 2.75rem;
        }
      }
      /* A phone is no screen to read from at a distance, and has no room to spare. */
      @media (max-width: 40rem) {
        .size {
          display: none;
        }
        ol {
          padding-bottom: 0.5rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.texts = textsFor(navigator.languages);
    this.questions = [];
    this.mayAct = false;
    this.moderating = false;
    this.large = false;
    this.addEventListener('fullscreenchange', () => {
      this.large = this.matches(':fullscreen');
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  override willUpdate(): void {
    this.#focused = (this.renderRoot as ShadowRoot | undefined)
      ?.activeElement as HTMLElement | null;
  }

  override render() {
    const { lang, room: R } = this.texts;
    const states = new Map(this.questions.map((question) => [question.comment.id, question]));
    const votesOf = ({ id }: Comment) => states.get(id)?.votes ?? 0;
    const comments = this.questions.map(({ comment }) => comment);
    const ranked = this.#ranking.rank(comments, votesOf, Date.now()).slice(0, SHOWN_MAX);
    if (ranked.length === 0) return html`<p class="empty" lang=${lang}>${R.noQuestions}</p>`;
    return html`
      <div class="list" tabindex="0" role="group" aria-label=${R.questions}>
        <ol>
          ${repeat(
            ranked,
            ({ id }) => id,
            ({ id }) => this.#row(states.get(id)),
          )}
        </ol>
      </div>
      ${
        document.fullscreenEnabled
          ? html`<button
              class="size" type="button" lang=${lang} title=${this.large ? R.reduce : R.enlarge}
              aria-label=${this.large ? R.reduce : R.enlarge} @click=${this.#resize}
            >${this.large ? ICONS.exitFullscreen : ICONS.fullscreen}</button>`
          : nothing
      }
    `;
  }

  override updated(): void {
    const focused = this.#focused;
    if (focused?.isConnected && (this.renderRoot as ShadowRoot).activeElement !== focused) {
      focused.focus({ preventScroll: true });
    }
    // The order rests for a while: what has changed meanwhile shows afterwards.
    clearTimeout(this.#timer);
    const untilMs = this.#ranking.staleUntilMs;
    if (untilMs === null) return;
    this.#timer = setTimeout(() => this.requestUpdate(), Math.max(0, untilMs - Date.now()));
  }

  #row(question: Question | undefined) {
    if (!question) return nothing;
    const { comment, votes, voted, busy } = question;
    const { texts } = this;
    const { user, text, mt, answered } = comment;
    const ask = (ask: Ask) => this.dispatchEvent(new AskEvent(ask));
    return html`<li class="${answered ? 'done' : ''} ${busy ? 'busy' : ''}">
      ${voteButton(texts, comment, { votes, voted, mayAct: this.mayAct }, ask)}
      <div>
        <p dir="auto">${text}</p>
        <div class="by">
          <bdi dir="auto">${user}</bdi><span class="moment">${momentText(mt)}</span>
          ${
            answered
              ? html`<span class="answered" lang=${texts.lang}
                  >${COMMENT_ICONS.check}${texts.room.answered}</span
                >`
              : nothing
          }
        </div>
      </div>
      ${this.moderating ? menuButton(texts, comment, ask) : nothing}
    </li>`;
  }

  async #resize(): Promise<void> {
    try {
      await (this.large ? document.exitFullscreen() : this.requestFullscreen());
    } catch {
      // The page around it does not allow it; it stays as it is.
    }
  }
}

customElements.define('lectern-questions', LecternQuestions);

declare global {
  interface HTMLElementTagNameMap {
    'lectern-questions': LecternQuestions;
  }
}
