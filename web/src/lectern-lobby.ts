// `<lectern-lobby>`: the list of broadcasts. Asks again only while somebody is looking.

import { css, html, LitElement, nothing } from 'lit';
import { unsafeHTML } from 'lit/directives/unsafe-html.js';
import { type Texts, textsFor } from './texts/texts.ts';

/** People wait in a lobby; five seconds more do not matter to them, and spare the edge. */
const POLL_MS = 5_000;
const POLL_TIMEOUT_MS = 4_000;

interface Broadcast {
  readonly id: string;
  readonly state: string;
  readonly t0_ms: number | null;
  readonly title?: string;
  /** When it is to begin, Unix ms. */
  readonly starts_at?: number;
}

/** What the edge calls states of a broadcast, in a word for people; its own where there is none. */
function stateWord({ words }: Texts, state: string): string {
  const known: Record<string, string> = {
    live: words.live,
    away: words.paused,
    ended: words.ended,
  };
  return known[state] ?? state;
}

export class LecternLobby extends LitElement {
  static override properties = {
    broadcasts: { state: true },
    unreachable: { state: true },
  };

  declare private broadcasts: Broadcast[] | null;
  declare private unreachable: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #visible: AbortController | null = null;
  readonly #texts = textsFor(navigator.languages);

  static override styles = css`
    :host {
      display: block;
    }
    ul {
      display: grid;
      gap: 0.75rem;
      margin: 0;
      padding: 0;
      list-style: none;
    }
    a {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.25rem 1rem;
      padding: 1.125rem 1.25rem;
      border: 0.0625rem solid var(--line);
      border-radius: 0.75rem;
      color: inherit;
      background: var(--card);
      text-decoration: none;
    }
    a:hover {
      border-color: var(--accent);
    }
    a:focus-visible {
      outline: 0.1875rem solid var(--focus);
      outline-offset: 0.125rem;
    }
    strong {
      font-size: 1.125rem;
      font-weight: 600;
      overflow-wrap: anywhere;
    }
    .state {
      display: flex;
      align-items: center;
      gap: 0.5rem;
      color: var(--quiet);
      font-size: 0.9375rem;
    }
    .state::before {
      content: '';
      width: 0.5rem;
      height: 0.5rem;
      border-radius: 50%;
      background: var(--quiet);
    }
    .live::before {
      background: #e5383b;
    }
    .since {
      margin-left: auto;
      color: var(--quiet);
      font-size: 0.9375rem;
    }
    .card {
      padding: 1.5rem;
      border: 0.0625rem solid var(--line);
      border-radius: 0.75rem;
      background: var(--card);
    }
    h2 {
      margin: 0 0 0.5rem;
      font-size: 1.25rem;
      font-weight: 600;
    }
    p {
      margin: 0 0 1rem;
      color: var(--quiet);
      line-height: 1.55;
      text-wrap: pretty;
    }
    p:last-child {
      margin: 0;
    }
    dl {
      display: grid;
      grid-template-columns: max-content 1fr;
      gap: 0.5rem 1.25rem;
      margin: 0 0 1rem;
    }
    dt {
      color: var(--quiet);
    }
    dd {
      margin: 0;
      overflow-wrap: anywhere;
    }
    code {
      padding: 0.125rem 0.375rem;
      border-radius: 0.375rem;
      background: var(--code);
      font: 0.9375em ui-monospace, monospace;
    }
    @media (max-width: 30rem) {
      dl {
        grid-template-columns: 1fr;
        gap: 0.125rem;
      }
      dd {
        margin-bottom: 0.625rem;
      }
    }
  `;

  constructor() {
    super();
    this.broadcasts = null;
    this.unreachable = false;
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
    if (this.unreachable && !this.broadcasts?.length) {
      return html`<p role="status">${this.#texts.lobby.unreachable}</p>`;
    }
    if (!this.broadcasts) return html`<p role="status">${this.#texts.lobby.looking}</p>`;
    if (this.broadcasts.length === 0) return this.#howTo();
    return html`<ul>
      ${this.broadcasts.map(
        ({ id, state, t0_ms, title, starts_at }) => html`<li>
          <a href=${`watch/${id}`}>
            <strong dir="auto">${title ?? id}</strong>
            <span class="state ${state}">${
              state === 'away' && !t0_ms ? this.#texts.words.waiting : stateWord(this.#texts, state)
            }</span>
            ${
              state === 'live' && t0_ms
                ? html`<span class="since">${this.#since(t0_ms)}</span>`
                : nothing
            }
            ${
              state === 'away' && starts_at && starts_at > Date.now()
                ? html`<span class="since">${this.#begins(starts_at)}</span>`
                : nothing
            }
          </a>
        </li>`,
      )}
    </ul>`;
  }

  #since(t0Ms: number): string {
    const { lang, lobby } = this.#texts;
    return lobby.since(new Date(t0Ms).toLocaleTimeString(lang, { timeStyle: 'short' }));
  }

  #begins(atMs: number): string {
    const { lang } = this.#texts;
    return new Date(atMs).toLocaleString(lang, { dateStyle: 'medium', timeStyle: 'short' });
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
        cache: 'no-store',
        signal: AbortSignal.timeout(POLL_TIMEOUT_MS),
      });
      const list = (await answer.json()) as { broadcasts?: Broadcast[]; complete?: boolean };
      this.broadcasts = list.broadcasts ?? [];
      // An edge that cannot reach its upstream does not know what is on.
      this.unreachable = list.complete === false;
    } catch {
      this.unreachable = true;
    }
    clearTimeout(this.#timer);
    if (this.isConnected) this.#timer = setTimeout(() => void this.#poll(), POLL_MS);
  }
}

customElements.define('lectern-lobby', LecternLobby);
