// `<console-topics>`: a few words that a broadcast is about, as chips; Enter or a comma makes one.

import { css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import { colours } from '../colours.ts';
import { TOPIC_MAX, TOPICS_MAX, withTopics } from './draft.ts';
import { View } from './element.ts';
import { ICONS } from './icons.ts';
import { sheet } from './styles.ts';

/**
 * @prop {string[]} topics
 * @fires change - `topics` are others
 */
export class ConsoleTopics extends View {
  static override properties = {
    ...View.properties,
    topics: { attribute: false },
    error: {},
    written: { state: true },
  };

  declare topics: readonly string[];
  declare error: string;
  declare private written: string;

  static override styles = [
    colours,
    sheet,
    css`
      ul {
        display: flex !important;
        flex-wrap: wrap;
        gap: 0.375rem;
      }
      ul:empty {
        display: none !important;
      }
      .badge {
        padding-inline-end: 0.125rem;
        font-size: 0.9375rem;
        font-weight: 500;
        white-space: normal;
        overflow-wrap: anywhere;
      }
      .badge button {
        min-width: 1.75rem;
        min-height: 1.75rem;
        padding: 0;
        border-radius: 1rem;
      }
      .badge svg {
        width: 0.875rem;
        height: 0.875rem;
      }
    `,
  ];

  constructor() {
    super();
    this.topics = [];
    this.error = '';
    this.written = '';
  }

  override render() {
    const { edit: T, app: A } = this.T;
    return html`<div class="field ${this.error ? 'wrong' : ''}">
      <label for="topic">${T.topics} <span class="optional">(${A.optional})</span></label>
      <ul class="plain">${this.topics.map(
        (topic, index) => html`<li class="badge" dir="auto">${topic}<button
            type="button" class="icon" aria-label=${T.removeTopic(topic)}
            @click=${() => this.#remove(index)}
          >${ICONS.close}</button></li>`,
      )}</ul>
      <input
        id="topic" type="text" autocomplete="off" maxlength=${TOPIC_MAX} .value=${live(this.written)}
        ?disabled=${this.topics.length >= TOPICS_MAX} aria-describedby="hint error"
        @input=${this.#typed} @keydown=${this.#key} @blur=${this.#add}
      >
      <p class="hint" id="hint">${T.topicsHint}</p>
      ${this.error ? html`<p class="error" id="error">${this.error}</p>` : nothing}
    </div>`;
  }

  #typed(event: Event): void {
    this.written = (event.target as HTMLInputElement).value;
    if (/[,;]/.test(this.written)) this.#add();
  }

  #key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === 'Enter' && this.written.trim()) {
      event.preventDefault();
      this.#add();
    } else if (event.key === 'Backspace' && this.written === '' && this.topics.length > 0) {
      this.#change(this.topics.slice(0, -1));
    }
  }

  #add(): void {
    if (!this.written.trim()) return;
    const topics = withTopics(this.topics, this.written);
    this.written = '';
    this.#change(topics);
  }

  #remove(index: number): void {
    this.#change(this.topics.filter((_, at) => at !== index));
    void this.focusOn('#topic');
  }

  #change(topics: readonly string[]): void {
    this.topics = topics;
    this.dispatchEvent(new Event('change'));
  }
}

customElements.define('console-topics', ConsoleTopics);
