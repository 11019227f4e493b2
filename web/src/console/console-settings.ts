// `<console-settings>`: the pages of the settings; those of the server are an admin's alone.

import { css, html, nothing, type TemplateResult } from 'lit';
import { colours } from '../colours.ts';
import { showTab, View } from './element.ts';
import { ADMIN_TABS, hashOf, SETTINGS_TABS, type SettingsTab } from './route.ts';
import './settings-account.ts';
import './settings-accounts.ts';
import './settings-tokens.ts';
import './settings-viewer-keys.ts';
import './settings-webhooks.ts';
import { sheet } from './styles.ts';

/** @prop {SettingsTab} tab */
export class ConsoleSettings extends View {
  static override properties = { ...View.properties, tab: {} };

  declare tab: SettingsTab;

  static override styles = [
    colours,
    sheet,
    css`
      .page {
        display: grid;
        grid-template-columns: 13rem minmax(0, 1fr);
        gap: 1.5rem 2rem;
        align-items: start;
      }
      nav {
        display: grid;
        gap: 0.125rem;
      }
      nav a {
        display: flex;
        align-items: center;
        min-height: 2.5rem;
        padding: 0 0.75rem;
        border-radius: 0.5rem;
        color: var(--_quiet);
        font-weight: 600;
        text-decoration: none;
        white-space: nowrap;
      }
      nav a:hover {
        background: var(--_soft);
      }
      nav a[aria-current] {
        color: var(--_text);
        background: var(--_soft);
      }
      .content {
        max-width: 46rem;
      }
      @media (max-width: 48rem) {
        .page {
          grid-template-columns: minmax(0, 1fr);
        }
        nav {
          display: flex;
          overflow-x: auto;
          scrollbar-width: none;
          margin-inline: -0.5rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.tab = 'account';
  }

  override updated(): void {
    showTab(this.renderRoot.querySelector('nav'));
  }

  override render() {
    const { settings: T } = this.T;
    const tabs = SETTINGS_TABS.filter(
      (tab) =>
        (this.app.isAdmin || !ADMIN_TABS.includes(tab)) &&
        (tab !== 'webhooks' || this.app.can('webhooks')),
    );
    return html`<div class="stack">
      <h1>${T.title}</h1>
      <div class="page">
        <nav aria-label=${T.label}>
          ${tabs.map(
            (tab) => html`<a
              class="bare" href=${hashOf({ page: 'settings', tab })}
              aria-current=${tab === this.tab ? 'page' : nothing}
            >${T[tab]}</a>`,
          )}
        </nav>
        <div class="content">${tabs.includes(this.tab) ? this.#page() : this.#forbidden()}</div>
      </div>
    </div>`;
  }

  #page(): TemplateResult {
    const { app } = this;
    switch (this.tab) {
      case 'account':
        return html`<settings-account .app=${app}></settings-account>`;
      case 'tokens':
        return html`<settings-tokens .app=${app}></settings-tokens>`;
      case 'accounts':
        return html`<settings-accounts .app=${app}></settings-accounts>`;
      case 'viewer-keys':
        return html`<settings-viewer-keys .app=${app}></settings-viewer-keys>`;
      case 'webhooks':
        return html`<settings-webhooks .app=${app}></settings-webhooks>`;
    }
  }

  #forbidden() {
    return html`<h2 tabindex="-1" data-heading>${this.T.settings[this.tab]}</h2>
      <p>${this.T.app.forbidden}</p>`;
  }
}

customElements.define('console-settings', ConsoleSettings);
