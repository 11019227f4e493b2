// `<console-app>`: the frame of the console. Finds out whether there is a server, a first account and a
// session; shows the view that the address names; and holds what belongs to all views: the way around, what
// was done, what is asked, and signing in again.

import { html, nothing, type TemplateResult } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { colours } from '../colours.ts';
import { appStyles } from './app-styles.ts';
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
import { refusalText } from './texts/texts.ts';

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

  static override styles = [colours, sheet, dialogSheet, appStyles];

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
    const look = () => this.app.shown(!document.hidden);
    document.addEventListener('visibilitychange', look, { signal });
    look();
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
    this.hear('route', () => {
      if (this.app.account) this.refused = '';
      void this.#arrive();
    });
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
          <button type="button" class="small out" @click=${this.#signOut}>
            ${ICONS.signOut}<span>${T.signOut}</span>
          </button>
        </div>
      </header>
      <div role="status">${
        this.app.connected ? nothing : html`<div class="strip">${T.notConnected}</div>`
      }</div>
      <div role="alert">${
        this.refused
          ? html`<div class="strip">${this.T.account.notConnected(this.refused)}</div>`
          : nothing
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
      this.refused = refusalText(this.T, route.code);
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
    // Signed in after all; what is refused while the page loads is about the account of who is.
    if (this.phase === 'ready') this.refused = '';
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
