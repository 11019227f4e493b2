// `<lectern-lobby>`: what is on and what is coming, with a search where that is much. Owns what is shown
// of it and when the edge is asked again, which is only while somebody is looking; in which order, and
// what is found, is `lobby-list`'s.

import { html, LitElement, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { unsafeHTML } from 'lit/directives/unsafe-html.js';
import {
  arrange,
  type Entry,
  FEW,
  found,
  inText,
  type List,
  readList,
  topicsOf,
} from './lobby-list.ts';
import { lobbyStyles } from './lobby-styles.ts';
import { momentText } from './message.ts';
import { languageText, textsFor } from './texts/texts.ts';

/** People wait in a lobby; five seconds more do not matter to them, and spare the edge. */
const POLL_MS = 5_000;
const POLL_TIMEOUT_MS = 4_000;

export class LecternLobby extends LitElement {
  static override styles = lobbyStyles;

  static override properties = {
    list: { state: true },
    unreachable: { state: true },
    query: { state: true },
    topic: { state: true },
  };

  declare private list: List | null;
  declare private unreachable: boolean;
  declare private query: string;
  /** Only those of this topic; null for all. */
  declare private topic: string | null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #visible: AbortController | null = null;
  readonly #texts = textsFor(navigator.languages);

  constructor() {
    super();
    this.list = null;
    this.unreachable = false;
    this.query = '';
    this.topic = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#visible = new AbortController();
    document.addEventListener('visibilitychange', () => this.#poll(), {
      signal: this.#visible.signal,
    });
    void this.#poll();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#visible?.abort();
    clearTimeout(this.#timer);
  }

  override render() {
    const { lobby } = this.#texts;
    const entries = this.list?.entries ?? [];
    if (this.unreachable && entries.length === 0) {
      return html`<p role="status">${lobby.unreachable}</p>`;
    }
    if (!this.list) return html`<p role="status">${lobby.looking}</p>`;
    if (entries.length === 0) return this.#howTo();
    const many = entries.length > FEW;
    const shown = many ? found(entries, this.query, this.topic) : entries;
    const { live, coming, others } = arrange(shown, Date.now());
    return html`
      ${many ? this.#find(entries) : nothing}
      <p role="status" ?hidden=${shown.length > 0}>${shown.length > 0 ? '' : lobby.notFound}</p>
      ${this.#group('live', lobby.liveNow, live)}
      ${this.#group('coming', lobby.coming, coming)}
      ${this.#group('others', lobby.others, others)}
    `;
  }

  #find(entries: readonly Entry[]) {
    const { lobby } = this.#texts;
    const topics = topicsOf(entries);
    const chip = (label: string, topic: string | null) => html`<button
      type="button" aria-pressed=${this.topic === topic} dir="auto"
      @click=${() => {
        this.topic = topic;
      }}
    >${label}</button>`;
    return html`<search class="find">
      <input
        type="search" aria-label=${lobby.search} placeholder=${lobby.search} autocomplete="off"
        .value=${this.query} @input=${this.#typed}
      >
      ${
        topics.length > 0
          ? html`<div class="topics" role="group" aria-label=${lobby.topics}>
              ${chip(lobby.all, null)} ${topics.map((topic) => chip(topic, topic))}
            </div>`
          : nothing
      }
    </search>`;
  }

  readonly #typed = ({ target }: InputEvent): void => {
    if (target instanceof HTMLInputElement) this.query = target.value;
  };

  #group(name: string, title: string, entries: readonly Entry[]) {
    if (entries.length === 0) return nothing;
    return html`<section aria-labelledby=${name}>
      <h2 id=${name}>${title}</h2>
      <ul>
        ${repeat(
          entries,
          ({ id }) => id,
          (entry) => html`<li>${this.#entry(entry)}</li>`,
        )}
      </ul>
    </section>`;
  }

  #entry(entry: Entry) {
    const { id, name, state, description, topics, language, logo, viewers } = entry;
    const { words, room } = this.#texts;
    const word = {
      live: words.live,
      unbegun: words.waiting,
      away: words.paused,
      ended: words.ended,
    };
    const named = language === null ? null : languageText(this.#texts, language);
    const tags = [...(named ? [named] : []), ...topics];
    return html`<a href=${`watch/${id}`}>
      ${logo ? html`<img src=${logo} alt="" loading="lazy" decoding="async">` : nothing}
      <span class="entry">
        <span class="line">
          <strong dir="auto">${name}</strong>
          <span class="when">${this.#when(entry)}</span>
        </span>
        ${
          description
            ? html`<span class="text" dir="auto" lang=${language ?? nothing}>${description}</span>`
            : nothing
        }
        <span class="line">
          <span class="state ${state}">${word[state]}</span>
          ${state === 'live' && viewers > 0 ? html`<span>${room.viewers(viewers)}</span>` : nothing}
          ${tags.map((tag) => html`<span class="tag" dir="auto">${tag}</span>`)}
        </span>
      </span>
    </a>`;
  }

  /** Since when, or from when on, by the viewer's own clock and zone. */
  #when({ state, beganMs, startsAtMs }: Entry): string {
    const { lang, lobby } = this.#texts;
    const now = Date.now();
    if (state === 'live') {
      return beganMs === null ? '' : lobby.since(momentText(lang, beganMs, now));
    }
    if (startsAtMs === null || startsAtMs <= now) return '';
    return `${momentText(lang, startsAtMs, now)} · ${inText(lang, startsAtMs, now)}`;
  }

  #howTo() {
    const { lobby } = this.#texts;
    // Markup of our own tables, in which nothing of anybody else's stands.
    return html`<div class="card">
      <h2>${lobby.none}</h2>
      <p>${unsafeHTML(lobby.obs)}</p>
      <dl>
        <dt>${lobby.server}</dt>
        <dd><code>rtmp://${location.hostname}:1935/live</code></dd>
        <dt>${lobby.streamKey}</dt>
        <dd>${unsafeHTML(lobby.yourStreamKey)}</dd>
      </dl>
      <p>${unsafeHTML(lobby.obsOutput)}</p>
    </div>`;
  }

  async #poll(): Promise<void> {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    try {
      const answer = await fetch('live', {
        cache: 'no-cache',
        signal: AbortSignal.timeout(POLL_TIMEOUT_MS),
      });
      if (!answer.ok) throw new Error(`${answer.status}`);
      this.list = readList(await answer.json());
      if (this.topic !== null && !topicsOf(this.list.entries).includes(this.topic))
        this.topic = null;
      // An edge that cannot reach its upstream does not know what is on.
      this.unreachable = !this.list.complete;
    } catch {
      this.unreachable = true;
    }
    clearTimeout(this.#timer);
    if (this.isConnected) this.#timer = setTimeout(() => void this.#poll(), POLL_MS);
  }
}

customElements.define('lectern-lobby', LecternLobby);
