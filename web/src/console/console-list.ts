// `<console-list>`: the broadcasts of whoever looks: what is live, what is coming, the rest. What the server
// tells of each is taken in at once; what is searched for is asked of the server.

import { css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import { repeat } from 'lit/directives/repeat.js';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import { View } from './element.ts';
import { clockText, GROUPS, type Group, groupOf, inOrder, nameOf, whenText } from './format.ts';
import { ICONS } from './icons.ts';
import type { Broadcast, State } from './model.ts';
import { hashOf } from './route.ts';
import { sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';

/** Who types faster than this is not done typing. */
const DEBOUNCE_MS = 250;
const PAGE = 50;
const TICK_MS = 1_000;
const STATES: readonly State[] = ['live', 'away', 'unbegun', 'ended'];

export class ConsoleList extends View {
  static override properties = {
    ...View.properties,
    q: { state: true },
    topic: { state: true },
    state: { state: true },
    items: { state: true },
    next: { state: true },
    busy: { state: true },
    failure: { state: true },
  };

  declare private q: string;
  declare private topic: string;
  declare private state: State | '';
  declare private items: ReadonlyMap<string, Broadcast> | null;
  declare private next: string | null;
  declare private busy: boolean;
  declare private failure: string;
  #topics = new Set<string>();
  #asking: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  static override styles = [
    colours,
    sheet,
    css`
      .filters {
        display: grid;
        grid-template-columns: minmax(0, 1fr) 12rem 12rem;
        gap: 0.75rem;
      }
      .items {
        gap: 0.625rem;
      }
      .item {
        display: grid;
        grid-template-columns: 2.75rem minmax(0, 1fr) auto;
        align-items: center;
        gap: 0.25rem 1rem;
        padding: 0.875rem 1.125rem;
        border: 0.0625rem solid var(--_line);
        border-radius: 0.75rem;
        color: inherit;
        background: var(--_card);
        text-decoration: none;
      }
      .item:hover {
        border-color: var(--_accent);
      }
      .logo {
        display: grid;
        place-items: center;
        width: 2.75rem;
        height: 2.75rem;
        border-radius: 0.5rem;
        overflow: hidden;
        color: var(--_quiet);
        background: var(--_soft);
        font-size: 1.125rem;
        font-weight: 650;
      }
      .logo img {
        width: 100%;
        height: 100%;
        object-fit: contain;
      }
      strong {
        font-size: 1.0625rem;
        font-weight: 600;
        overflow-wrap: anywhere;
      }
      .about {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.125rem 0.75rem;
        color: var(--_quiet);
        font-size: 0.875rem;
      }
      .now {
        display: grid;
        justify-items: end;
        gap: 0.1875rem;
        font-size: 0.9375rem;
        font-variant-numeric: tabular-nums;
      }
      .more {
        justify-self: center;
      }
      @media (max-width: 48rem) {
        .filters {
          grid-template-columns: 1fr 1fr;
        }
        .filters > :first-child {
          grid-column: 1 / -1;
        }
      }
      @media (max-width: 36rem) {
        .item {
          grid-template-columns: minmax(0, 1fr);
        }
        .logo {
          display: none;
        }
        .now {
          display: flex;
          flex-wrap: wrap;
          align-items: center;
          gap: 0.25rem 0.875rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.q = '';
    this.topic = '';
    this.state = '';
    this.items = null;
    this.next = null;
    this.busy = false;
    this.failure = '';
  }

  protected override entered(): void {
    this.hear('broadcast', (broadcast) => this.#take(broadcast));
    this.hear('deleted', (id) => this.#drop(id));
    this.hear('missed', () => void this.#load());
    this.every(TICK_MS, () => {
      if ([...(this.items?.values() ?? [])].some(({ state }) => state === 'live'))
        this.requestUpdate();
    });
    void this.#load();
  }

  protected override left(): void {
    clearTimeout(this.#timer);
    this.#asking?.abort();
  }

  override render() {
    const { list: T, app: A } = this.T;
    const { items } = this;
    const filtered = this.q !== '' || this.topic !== '' || this.state !== '';
    const nowMs = Date.now();
    const all = inOrder(items?.values() ?? [], nowMs);
    const groups = GROUPS.map(
      (group) => [group, all.filter((b) => groupOf(b, nowMs) === group)] as const,
    );
    const empty = items !== null && items.size === 0 && !this.busy && !this.failure;
    return html`<div class="stack">
      <div class="row apart">
        <h1 tabindex="-1" data-heading>${T.title}</h1>
        ${
          this.app.mayCreate
            ? html`<a class="button primary" href=${hashOf({ page: 'new' })}>${ICONS.plus} ${T.create}</a>`
            : nothing
        }
      </div>
      ${empty && !filtered ? nothing : this.#filters()}
      <div role="status" class="unseen">${
        filtered && items && !this.busy ? T.found(items.size) : ''
      }</div>
      ${
        this.failure
          ? html`<div class="notice bad" role="alert">
              <p>${this.failure}</p>
              <button type="button" class="small" @click=${() => this.#load()}>${A.retry}</button>
            </div>`
          : nothing
      }
      ${items === null && !this.failure ? html`<p class="quiet" role="status">${A.loading}</p>` : nothing}
      ${groups.map(([group, some]) => (some.length > 0 ? this.#group(group, some, groups) : nothing))}
      ${empty ? this.#empty(filtered) : nothing}
      ${
        this.next
          ? html`<button type="button" class="more" ?disabled=${this.busy} @click=${this.#more}>
              ${T.more}
            </button>`
          : nothing
      }
    </div>`;
  }

  #filters() {
    const { list: T, states } = this.T;
    return html`<form role="search" class="filters" @submit=${(event: Event) => event.preventDefault()}>
      <input
        type="search" aria-label=${T.search} placeholder=${T.search} .value=${live(this.q)} maxlength="200"
        @input=${(event: Event) => this.#filter({ q: (event.target as HTMLInputElement).value })}
      >
      <select
        aria-label=${T.topic}
        @change=${(event: Event) => this.#filter({ topic: (event.target as HTMLSelectElement).value })}
      >
        <option value="">${T.allTopics}</option>
        ${[...this.#topics]
          .sort((a, b) => a.localeCompare(b, this.T.lang))
          .map(
            (topic) =>
              html`<option value=${topic} .selected=${live(topic === this.topic)}>${topic}</option>`,
          )}
      </select>
      <select
        aria-label=${T.state}
        @change=${(event: Event) =>
          this.#filter({ state: (event.target as HTMLSelectElement).value as State | '' })}
      >
        <option value="">${T.allStates}</option>
        ${STATES.map(
          (state) =>
            html`<option value=${state} .selected=${live(state === this.state)}>${states[state]}</option>`,
        )}
      </select>
    </form>`;
  }

  #group(
    group: Group,
    items: readonly Broadcast[],
    all: readonly (readonly [Group, readonly Broadcast[]])[],
  ) {
    const { list: T } = this.T;
    const alone = all.filter(([, some]) => some.length > 0).length === 1 && group === 'rest';
    return html`<section class="stack tight" aria-label=${alone ? T.title : T[group]}>
      ${alone ? nothing : html`<h2>${T[group]}</h2>`}
      <ul class="plain items">
        ${repeat(
          items,
          ({ id }) => id,
          (broadcast) => html`<li>${this.#item(broadcast)}</li>`,
        )}
      </ul>
    </section>`;
  }

  #item(broadcast: Broadcast) {
    const { list: T, states, lang } = this.T;
    const { id, state, starts_at, topics, logo, live_since, viewers, findings } = broadcast;
    const name = nameOf(broadcast);
    const coming = groupOf(broadcast, Date.now()) === 'coming' && starts_at;
    return html`<a class="item bare" href=${hashOf({ page: 'broadcast', id, tab: null })}>
      <span class="logo" aria-hidden="true"
        >${logo ? html`<img src=${logo} alt="" loading="lazy" referrerpolicy="no-referrer">` : initial(name)}</span
      >
      <span>
        <strong dir="auto">${name}</strong>
        <span class="about">
          ${name === id ? nothing : html`<span>${id}</span>`}
          ${coming ? html`<span>${T.begins(whenText(lang, starts_at))}</span>` : nothing}
          ${topics.slice(0, 4).map((topic) => html`<span class="badge">${topic}</span>`)}
          ${broadcast.source === 'config' ? html`<span class="badge">${T.fromFile}</span>` : nothing}
          ${broadcast.blocked ? html`<span class="badge bad">${T.blocked}</span>` : nothing}
        </span>
      </span>
      <span class="now">
        <span class="row">
          ${findings > 0 && state === 'live' ? html`<span class="badge warn">${T.findings(findings)}</span>` : nothing}
          <span class="state ${state}">${states[state]}</span>
        </span>
        ${
          state === 'live' || state === 'away'
            ? html`<span class="quiet">
                ${T.viewers(viewers)}${live_since ? ` · ${T.since(clockText(Date.now() - Date.parse(live_since)))}` : ''}
              </span>`
            : nothing
        }
      </span>
    </a>`;
  }

  #empty(filtered: boolean) {
    const { list: T } = this.T;
    if (filtered) {
      return html`<div class="card empty">
        <h2>${T.noneFound}</h2>
        <p class="quiet">${T.noneFoundText}</p>
        <button type="button" @click=${() => this.#filter({ q: '', topic: '', state: '' })}>
          ${T.showAll}
        </button>
      </div>`;
    }
    const { mayCreate } = this.app;
    return html`<div class="card empty">
      <h2>${mayCreate ? T.none : T.noneYours}</h2>
      <p class="quiet">${mayCreate ? T.noneText : T.noneYoursText}</p>
      ${
        mayCreate
          ? html`<a class="button primary" href=${hashOf({ page: 'new' })}>${ICONS.plus} ${T.create}</a>`
          : nothing
      }
    </div>`;
  }

  #filter(change: { q?: string; topic?: string; state?: State | '' }): void {
    Object.assign(this, change);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(), change.q ? DEBOUNCE_MS : 0);
  }

  /** Everything anew; what comes late for a former question is not taken. */
  async #load(): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.busy = true;
    try {
      const { broadcasts } = this.app.api;
      const query = { q: this.q, topic: this.topic, limit: PAGE };
      const page = await broadcasts.list({ ...query, state: this.state }, asking.signal);
      for (const { topics } of page.items) for (const each of topics) this.#topics.add(each);
      this.items = new Map(page.items.map((each) => [each.id, each]));
      this.next = page.next;
      this.failure = '';
    } catch (error) {
      if (asking.signal.aborted) return;
      this.failure = error instanceof ApiError ? errorText(this.T, error) : this.T.errors.other;
    }
    this.busy = false;
  }

  async #more(): Promise<void> {
    if (!this.next || this.busy) return;
    const asking = this.#asking;
    this.busy = true;
    try {
      const { q, topic, state, next: after } = this;
      const page = await this.app.api.broadcasts.list(
        { q, topic, state, after, limit: PAGE },
        asking?.signal,
      );
      for (const { topics } of page.items) for (const each of topics) this.#topics.add(each);
      const items = new Map(this.items);
      for (const each of page.items) items.set(each.id, each);
      this.items = items;
      this.next = page.next;
    } catch (error) {
      if (asking?.signal.aborted) return;
      if (error instanceof ApiError) this.app.say(errorText(this.T, error));
    }
    this.busy = false;
  }

  #take(broadcast: Broadcast): void {
    const { items } = this;
    if (!items) return;
    const fits = this.state === '' || broadcast.state === this.state;
    const searched = this.q !== '' || this.topic !== '';
    // Whether something new is among what was searched for, only the server knows.
    if (!items.has(broadcast.id) && (searched || !fits)) return;
    const changed = new Map(items);
    if (fits) changed.set(broadcast.id, broadcast);
    else changed.delete(broadcast.id);
    this.items = changed;
  }

  #drop(id: string): void {
    if (!this.items?.has(id)) return;
    const changed = new Map(this.items);
    changed.delete(id);
    this.items = changed;
  }
}

function initial(name: string): string {
  return [...name][0]?.toUpperCase() ?? '';
}

customElements.define('console-list', ConsoleList);
