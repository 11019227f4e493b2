// `<console-broadcast>`: one broadcast. Owns what is known of it and of its picture, kept up to date by news,
// and which of its pages is shown.

import { css, html, nothing, type TemplateResult } from 'lit';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-edit.ts';
import './console-files.ts';
import './console-go-live.ts';
import './console-keys.ts';
import './console-live.ts';
import './console-people.ts';
import './console-sharing.ts';
import { showTab, View } from './element.ts';
import { clockText, nameOf } from './format.ts';
import { withNews, withNewsOf } from './live-state.ts';
import type { Broadcast, Live } from './model.ts';
import { BROADCAST_TABS, type BroadcastTab, hashOf } from './route.ts';
import { sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';

const TICK_MS = 1_000;
/** What moderators may see; everything else is the hosts'. */
const MODERATOR_TABS: readonly BroadcastTab[] = ['live', 'sharing', 'files'];

/**
 * @prop {string} broadcastId
 * @prop {BroadcastTab | null} tab - null: whichever is of use now
 */
export class ConsoleBroadcast extends View {
  static override properties = {
    ...View.properties,
    broadcastId: {},
    tab: {},
    broadcast: { state: true },
    live: { state: true },
    failure: { state: true },
  };

  declare broadcastId: string;
  declare tab: BroadcastTab | null;
  declare private broadcast: Broadcast | null;
  declare private live: Live | null;
  declare private failure: ApiError | 'deleted' | null;

  static override styles = [
    colours,
    sheet,
    css`
      .crumb {
        font-size: 0.9375rem;
      }
      nav {
        display: flex;
        gap: 0.25rem;
        overflow-x: auto;
        border-bottom: 0.0625rem solid var(--_line);
        scrollbar-width: none;
      }
      nav a {
        flex: none;
        display: flex;
        align-items: center;
        min-height: 2.75rem;
        padding: 0 0.875rem;
        border-bottom: 0.1875rem solid transparent;
        color: var(--_quiet);
        font-weight: 600;
        text-decoration: none;
      }
      nav a:hover {
        color: var(--_text);
      }
      nav a[aria-current] {
        border-color: var(--_accent);
        color: var(--_text);
      }
      nav a:focus-visible {
        outline-offset: -0.1875rem;
      }
      .head {
        gap: 0.5rem 1rem;
      }
      @media (max-width: 40rem) {
        nav {
          margin-inline: -1rem;
          padding-inline: 0.5rem;
        }
        nav a {
          padding: 0 0.6875rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.broadcastId = '';
    this.tab = null;
    this.broadcast = null;
    this.live = null;
    this.failure = null;
  }

  protected override entered(): void {
    const id = this.broadcastId;
    this.app.follow(id);
    this.hear('broadcast', (news) => {
      if (news.id === id) this.broadcast = withNewsOf(this.broadcast, news);
    });
    this.hear('deleted', (deleted) => {
      if (deleted === id) this.failure = 'deleted';
    });
    this.hear('live', (told) => {
      if (told.id === id) this.live = withNews(this.live, told.news);
    });
    this.hear('missed', () => void this.#load());
    this.every(TICK_MS, () => this.broadcast?.state === 'live' && this.requestUpdate());
    void this.#load();
  }

  protected override left(): void {
    this.app.follow(null);
  }

  override updated(): void {
    showTab(this.renderRoot.querySelector('nav'));
  }

  override render() {
    const { app: A, edit: E } = this.T;
    const { broadcast, failure } = this;
    if (failure && (failure === 'deleted' || !broadcast)) {
      const gone = failure === 'deleted' || failure.status === 404;
      return html`<div class="card empty">
        <h1 tabindex="-1" data-heading>${gone ? A.notFound : this.T.errors.other}</h1>
        <p>${failure === 'deleted' ? E.gone : gone ? A.notFoundText : errorText(this.T, failure)}</p>
        <div class="row">
          <a class="button" href="#/">${A.toList}</a>
          ${gone ? nothing : html`<button type="button" @click=${this.#load}>${A.retry}</button>`}
        </div>
      </div>`;
    }
    return html`<div class="stack">
      ${this.#head(broadcast)}
      ${
        broadcast
          ? html`${this.#tabs(broadcast)} ${this.#page(broadcast)}`
          : html`<p class="quiet" role="status">${A.loading}</p>`
      }
    </div>`;
  }

  #head(broadcast: Broadcast | null) {
    const { app: A, states, list: L } = this.T;
    const { state = 'unbegun', live_since = null } = broadcast ?? {};
    return html`<header class="stack tight">
      <a class="crumb" href="#/">‹ ${A.broadcasts}</a>
      <div class="row head">
        <h1 tabindex="-1" data-heading dir="auto">${broadcast ? nameOf(broadcast) : this.broadcastId}</h1>
        ${
          broadcast
            ? html`<span class="state ${state}">${states[state]}</span>
                ${
                  state === 'live' && live_since
                    ? html`<span class="quiet">${clockText(Date.now() - Date.parse(live_since))}</span>`
                    : nothing
                }
                ${broadcast.blocked ? html`<span class="badge bad">${L.blocked}</span>` : nothing}
                ${broadcast.source === 'config' ? html`<span class="badge">${L.fromFile}</span>` : nothing}`
            : nothing
        }
      </div>
    </header>`;
  }

  #tabs({ id, role }: Broadcast) {
    const { tabs: T } = this.T;
    const current = this.#tab();
    return html`<nav aria-label=${T.label}>
      ${(role === 'moderator' ? MODERATOR_TABS : BROADCAST_TABS).map(
        (tab) => html`<a
          class="bare" href=${hashOf({ page: 'broadcast', id, tab })}
          aria-current=${tab === current ? 'page' : nothing}
        >${T[tab]}</a>`,
      )}
    </nav>`;
  }

  #page(broadcast: Broadcast): TemplateResult {
    const { app, live } = this;
    switch (this.#tab()) {
      case 'live':
        return html`<console-live .app=${app} .broadcast=${broadcast} .live=${live}></console-live>`;
      case 'go-live':
        return html`<console-go-live .app=${app} .broadcast=${broadcast} .live=${live}></console-go-live>`;
      case 'details':
        return html`<console-edit .app=${app} .broadcast=${broadcast}></console-edit>`;
      case 'sharing':
        return html`<console-sharing .app=${app} .broadcast=${broadcast}></console-sharing>`;
      case 'keys':
        return html`<console-keys .app=${app} .broadcast=${broadcast}></console-keys>`;
      case 'people':
        return html`<console-people .app=${app} .broadcast=${broadcast}></console-people>`;
      case 'files':
        return html`<console-files .app=${app} .broadcast=${broadcast}></console-files>`;
    }
  }

  #tab(): BroadcastTab {
    const { tab, broadcast } = this;
    if (broadcast?.role === 'moderator') return tab && MODERATOR_TABS.includes(tab) ? tab : 'live';
    return tab ?? (broadcast?.state === 'unbegun' ? 'go-live' : 'live');
  }

  readonly #load = async (): Promise<void> => {
    const { api } = this.app;
    const id = this.broadcastId;
    try {
      const [broadcast, live] = await Promise.all([
        api.broadcasts.get(id),
        api.broadcasts.live(id),
      ]);
      this.broadcast = broadcast;
      this.live = live;
      this.failure = null;
      // From now on it is this page, also when the state changes under its reader.
      if (!this.tab && this.isConnected) {
        const tab = this.#tab();
        this.tab = tab;
        const route = { page: 'broadcast', id, tab } as const;
        history.replaceState(null, '', hashOf(route));
        this.app.route = route;
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failure = error;
    }
  };
}

customElements.define('console-broadcast', ConsoleBroadcast);
