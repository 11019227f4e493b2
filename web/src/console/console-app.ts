// `<console-app>`: the frame of the console. Finds out whether there is a server, a first account and a
// session; shows the view that the address names; and holds what belongs to all views: the way around, what
// was done, what is asked, and signing in again.

import { css, html, nothing, type TemplateResult } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { colours } from '../colours.ts';
import './console-broadcast.ts';
import './console-confirm.ts';
import './console-edit.ts';
import './console-list.ts';
import './console-settings.ts';
import './console-setup.ts';
import './console-sign-in.ts';
import { View } from './element.ts';
import { ICONS } from './icons.ts';
import { hashOf, type Route } from './route.ts';
import { dialogSheet, sheet } from './styles.ts';

type Phase = 'loading' | 'unreachable' | 'ready';

/** What was done is told this long. */
const SAID_MS = 6_000;
/** A view that loads has its heading by then. */
const HEADING_MS = 2_000;
/** A server that does not answer is asked again after so long. */
const AGAIN_MS = 5_000;

export class ConsoleApp extends View {
  static override properties = {
    ...View.properties,
    phase: { state: true },
    said: { state: true },
    refused: { state: true },
  };

  declare private phase: Phase;
  declare private said: string;
  declare private refused: string;
  #saidTimer: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  static override styles = [
    colours,
    sheet,
    dialogSheet,
    css`
      :host {
        min-height: 100dvh;
      }
      .skip {
        position: absolute;
        inset: 0.5rem auto auto 0.5rem;
        z-index: 3;
        padding: 0.5rem 1rem;
        border-radius: 0.5rem;
        background: var(--_card);
      }
      .skip:not(:focus) {
        clip-path: inset(50%);
        width: 1px;
        height: 1px;
        overflow: hidden;
        white-space: nowrap;
      }
      .top {
        border-bottom: 0.0625rem solid var(--_line);
        background: var(--_card);
      }
      .bar {
        display: flex;
        align-items: center;
        gap: 0.25rem 1.25rem;
        width: min(100%, 80rem);
        min-height: 3.5rem;
        margin: 0 auto;
        padding: 0.25rem 1.5rem;
      }
      .brand {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        color: inherit;
        font-weight: 650;
        text-decoration: none;
        letter-spacing: -0.01em;
      }
      .brand svg {
        color: var(--_accent);
      }
      nav {
        display: flex;
        gap: 0.25rem;
        margin-inline-end: auto;
      }
      nav a {
        display: flex;
        align-items: center;
        min-height: 2.5rem;
        padding: 0 0.75rem;
        border-radius: 0.5rem;
        color: var(--_quiet) !important;
        font-weight: 600;
        text-decoration: none !important;
      }
      nav a:hover {
        background: var(--_soft);
      }
      nav a[aria-current] {
        color: var(--_text) !important;
        background: var(--_soft);
      }
      .me {
        min-width: 0;
        overflow: hidden;
        color: var(--_quiet);
        font-size: 0.9375rem;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .strip {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        justify-content: center;
        gap: 0.5rem 1rem;
        padding: 0.5rem 1.5rem;
        color: light-dark(#4a3000, #f5dc95);
        background: light-dark(#fff0cc, #3a2e0d);
        font-size: 0.9375rem;
        text-align: center;
      }
      .strip.live {
        color: #fff;
        background: #a91524;
      }
      .strip.live :is(button, .button) {
        border-color: currentColor;
        color: #fff;
      }
      .strip.live :is(button, .button):hover {
        background: #7d0e19;
      }
      main {
        width: min(100%, 80rem);
        margin: 0 auto;
        padding: 1.75rem 1.5rem 4rem;
      }
      main.narrow {
        width: min(100%, 29rem);
        padding-top: clamp(1.5rem, 10vh, 6rem);
      }
      main:focus {
        outline: none;
      }
      .narrow h1 {
        margin-bottom: 0.5rem;
      }
      .said {
        position: fixed;
        z-index: 2;
        inset: auto 0 1.25rem;
        display: flex;
        justify-content: center;
        pointer-events: none;
      }
      .said p {
        max-width: min(34rem, calc(100vw - 2rem));
        padding: 0.625rem 1.125rem;
        border-radius: 0.625rem;
        color: light-dark(#fff, #0f151d);
        background: light-dark(#1b2430, #e8edf3);
        box-shadow: 0 0.25rem 1.5rem rgb(0 0 0 / 0.3);
        overflow-wrap: anywhere;
      }
      @media (max-width: 40rem) {
        .bar {
          gap: 0.25rem 0.5rem;
          padding-inline: 0.75rem;
        }
        .bar:has(nav) .brand span,
        .me {
          display: none;
        }
        nav a {
          padding: 0 0.5rem;
        }
        main {
          padding: 1.25rem 1rem 4rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.phase = 'loading';
    this.said = '';
    this.refused = '';
  }

  protected override entered(): void {
    const { signal } = this;
    window.addEventListener('hashchange', () => void this.app.navigated(), { signal });
    window.addEventListener('online', () => this.app.hurry(), { signal });
    window.addEventListener('pagehide', () => this.app.studio.abandon(), { signal });
    window.addEventListener(
      'beforeunload',
      (event) => {
        if (this.app.studio.sending || this.app.unsaved?.()) event.preventDefault();
      },
      { signal },
    );
    this.app.studio.addEventListener('change', () => this.requestUpdate(), { signal });
    this.hear('change', () => this.requestUpdate());
    this.hear('session', () => this.#sessionChanged());
    this.hear('said', (text) => this.#say(text));
    this.hear('route', () => void this.#arrive());
    void this.#load();
  }

  protected override left(): void {
    clearTimeout(this.#saidTimer);
    clearTimeout(this.#again);
  }

  override updated(): void {
    const dialog = this.renderRoot.querySelector<HTMLDialogElement>('#again');
    if (dialog && !dialog.open) dialog.showModal();
  }

  override render() {
    const { app: T } = this.T;
    const { account, route } = this.app;
    if (this.phase === 'loading') {
      return html`<main class="narrow"><p role="status" class="quiet">${T.loading}</p></main>`;
    }
    if (this.phase === 'unreachable') {
      return html`<main class="narrow"><div class="stack tight">
        <h1 tabindex="-1" data-heading>${T.unreachable}</h1>
        <p>${T.unreachableText}</p>
        <div><button type="button" class="primary" @click=${this.#load}>${T.retry}</button></div>
      </div></main>`;
    }
    if (!account) return this.#outside();
    return html`
      <a class="skip bare" href="#main" @click=${this.#skip}>${T.skip}</a>
      <header class="top">
        <div class="bar">
          ${this.#brand()}
          <nav aria-label=${T.main}>
            ${this.#link({ page: 'list' }, T.broadcasts, route.page !== 'settings')}
            ${this.#link({ page: 'settings', tab: 'account' }, T.settings, route.page === 'settings')}
          </nav>
          <span class="me">${account.name}</span>
          <button type="button" class="small" @click=${this.#signOut}>${T.signOut}</button>
        </div>
      </header>
      <div role="status">${
        this.app.connected ? nothing : html`<div class="strip">${T.notConnected}</div>`
      }</div>
      ${this.#onAir()}
      <main id="main" tabindex="-1">${this.#view(route)}</main>
      <div class="said" role="status">${this.said ? html`<p>${this.said}</p>` : nothing}</div>
      <console-confirm .app=${this.app}></console-confirm>
      ${this.app.ended ? this.#again_() : nothing}
    `;
  }

  /** Nobody is signed in. */
  #outside() {
    const { signIn: T, setup: S } = this.T;
    const { route, info } = this.app;
    const needed = info?.setup_needed === true;
    const [title, text] =
      route.page === 'setup' && needed
        ? [S.title, S.text]
        : needed
          ? [S.needed, S.neededText]
          : [T.title, route.page === 'setup' ? S.over : ''];
    return html`<header class="top"><div class="bar">${this.#brand()}</div></header>
      <main class="narrow">
        <h1>${title}</h1>
        <div class="stack">
          ${text ? html`<p class="quiet">${text}</p>` : nothing}
          ${
            route.page === 'setup' && needed
              ? html`<console-setup .app=${this.app} .token=${route.token}></console-setup>`
              : needed
                ? nothing
                : html`<console-sign-in .app=${this.app} .refused=${this.refused}></console-sign-in>`
          }
        </div>
      </main>
      <div class="said" role="status">${this.said ? html`<p>${this.said}</p>` : nothing}</div>`;
  }

  #view(route: Route): TemplateResult {
    const { app: T } = this.T;
    switch (route.page) {
      case 'list':
      case 'setup':
      case 'refused':
        return html`<console-list .app=${this.app}></console-list>`;
      case 'new':
        return html`<console-edit .app=${this.app}></console-edit>`;
      case 'broadcast':
        return html`${keyed(
          route.id,
          html`<console-broadcast .app=${this.app} .broadcastId=${route.id} .tab=${route.tab}>
          </console-broadcast>`,
        )}`;
      case 'settings':
        return html`<console-settings .app=${this.app} .tab=${route.tab}></console-settings>`;
      case 'unknown':
        return html`<div class="card empty">
          <h1 tabindex="-1" data-heading>${T.notFound}</h1>
          <p>${T.notFoundText}</p>
          <a class="button" href="#/">${T.toList}</a>
        </div>`;
    }
  }

  /** One is live from here, and looks at something else. */
  #onAir() {
    const { studio, route } = this.app;
    const here =
      route.page === 'broadcast' && route.id === studio.broadcast && route.tab === 'go-live';
    if (!studio.sending || !studio.broadcast || here) return nothing;
    const { browser: T } = this.T;
    return html`<div class="strip live">
      <span>${T.elsewhere(studio.broadcast)}</span>
      <button type="button" class="small" @click=${() => studio.mute(!studio.muted)}>
        ${studio.muted ? ICONS.micOff : ICONS.mic} ${studio.muted ? T.unmute : T.mute}
      </button>
      <a
        class="button small" href=${hashOf({ page: 'broadcast', id: studio.broadcast, tab: 'go-live' })}
      >${T.back}</a>
    </div>`;
  }

  #again_() {
    const { signIn: T } = this.T;
    return html`<dialog
      id="again" aria-labelledby="again-title" @cancel=${(event: Event) => event.preventDefault()}
    >
      <div>
        <h2 id="again-title">${T.ended}</h2>
        <p>${T.endedText}</p>
        <console-sign-in again .app=${this.app}></console-sign-in>
      </div>
    </dialog>`;
  }

  #brand() {
    return html`<a class="brand bare" href="#/" aria-label="Lectern">
      <svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
        <path
          fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"
          stroke-linejoin="round" d="M4 5h16l-2.5 8h-11zM12 13v6M8 20h8"
        />
      </svg>
      <span>Lectern</span>
    </a>`;
  }

  #link(route: Route, text: string, current: boolean) {
    return html`<a class="bare" href=${hashOf(route)} aria-current=${current ? 'page' : nothing}
      >${text}</a
    >`;
  }

  readonly #load = async (): Promise<void> => {
    clearTimeout(this.#again);
    await this.app.navigated();
    const { route } = this.app;
    if (route.page === 'refused') {
      this.refused = route.reason;
      history.replaceState(null, '', '#/');
      await this.app.navigated();
    }
    try {
      const [info, session] = await Promise.all([
        this.app.api.info(),
        this.app.api.session.current(),
      ]);
      this.app.info = info;
      if (session) this.app.enter(session);
      this.phase = 'ready';
      void this.#arrive(false);
    } catch {
      this.phase = 'unreachable';
      if (this.isConnected) this.#again = setTimeout(this.#load, AGAIN_MS);
    }
  };

  /** Goes to the heading of the view that was just chosen, as a new page would begin there. */
  async #arrive(focus = true): Promise<void> {
    this.requestUpdate();
    await this.updateComplete;
    if (focus) window.scrollTo({ top: 0 });
    // What is within the view follows it, a step for each level.
    await painted();
    await painted();
    const end = performance.now() + HEADING_MS;
    let heading = headingIn(this.renderRoot);
    while (!heading && performance.now() < end && this.isConnected) {
      await painted();
      heading = headingIn(this.renderRoot);
    }
    if (focus) heading?.focus({ preventScroll: true });
    const text = heading?.textContent?.trim();
    document.title = text ? `${text} · Lectern` : 'Lectern';
  }

  #sessionChanged(): void {
    // Closed, so that the focus goes back to where somebody was writing.
    const dialog = this.renderRoot.querySelector<HTMLDialogElement>('#again');
    if (dialog && !this.app.ended) dialog.close();
    else if (!this.app.ended && this.phase === 'ready') void this.#arrive();
    this.requestUpdate();
  }

  #say(text: string): void {
    clearTimeout(this.#saidTimer);
    this.said = text;
    this.#saidTimer = setTimeout(() => {
      this.said = '';
    }, SAID_MS);
  }

  async #signOut(): Promise<void> {
    const { studio } = this.app;
    const { browser: B, app: A } = this.T;
    if (studio.sending) {
      const sure = { title: B.stopTitle, text: B.stopText, action: A.signOut, danger: true };
      if (!(await this.app.ask(sure))) return;
    }
    await studio.close();
    // Signed out here in any case; the cookie ends by itself if the server does not answer.
    await this.app.api.session.signOut().catch(() => {});
    this.app.leave();
    this.#say(this.T.signIn.signedOut);
  }

  #skip(event: Event): void {
    // The fragment is the address of the view.
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>('#main')?.focus();
  }
}

function painted(): Promise<unknown> {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/** The innermost heading that is marked as one to begin at, through all shadow roots. */
function headingIn(root: ParentNode): HTMLElement | null {
  let found: HTMLElement | null = null;
  for (const element of root.querySelectorAll('*')) {
    if (element.hasAttribute('data-heading')) found = element as HTMLElement;
    if (element.shadowRoot) found = headingIn(element.shadowRoot) ?? found;
  }
  return found;
}

customElements.define('console-app', ConsoleApp);

declare global {
  interface HTMLElementTagNameMap {
    'console-app': ConsoleApp;
  }
}
