// `<console-sign-in>`: by password, or at the identity provider. The same form stands on the page of its own
// and in the dialog of a session that has ended.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import type { ApiError } from './api.ts';
import './console-password.ts';
import { View } from './element.ts';
import { Form, input } from './form.ts';
import { pathOf } from './route.ts';
import { sheet } from './styles.ts';

/**
 * @prop {boolean} again - a session has ended, and the page is to stay
 * @prop {string} refused - why the identity provider's answer was of no use
 */
export class ConsoleSignIn extends View {
  static override properties = {
    ...View.properties,
    again: { type: Boolean },
    refused: {},
    login: { state: true },
    password: { state: true },
  };

  declare again: boolean;
  declare refused: string;
  declare private login: string;
  declare private password: string;
  readonly #form = new Form(this);

  static override styles = [
    colours,
    sheet,
    css`
      .or {
        display: grid;
        grid-template-columns: 1fr auto 1fr;
        align-items: center;
        gap: 0.875rem;
        color: var(--_quiet);
        font-size: 0.875rem;
      }
      .or::before,
      .or::after {
        content: '';
        border-top: 0.0625rem solid var(--_line);
      }
      :is(button, .button) {
        width: 100%;
      }
    `,
  ];

  constructor() {
    super();
    this.again = false;
    this.refused = '';
    this.login = '';
    this.password = '';
  }

  protected override entered(): void {
    this.login = this.again ? (this.app.account?.login ?? '') : '';
    // Who comes back from the provider's tab is signed in already.
    if (this.again) {
      window.addEventListener('focus', () => void this.#look(), { signal: this.signal });
    }
    void this.focusOn(this.login ? 'console-password' : '#login');
  }

  override render() {
    const { signIn: T, setup: S } = this.T;
    const { oidc } = this.app.info ?? {};
    const form = this.#form;
    return html`<div class="stack">
      ${
        this.refused
          ? html`<div class="notice bad" role="alert">${T.refused(this.refused)}</div>`
          : nothing
      }
      <form @submit=${this.#submit}>
        ${input({
          ...{ name: 'login', label: S.login, value: this.login, autocomplete: 'username' },
          ...{ required: true, error: form.error('login'), maxlength: 128, mono: false },
          change: (login) => {
            this.login = login;
          },
        })}
        <console-password
          .app=${this.app} .label=${S.password} .value=${this.password}
          @change=${(event: Event) => {
            this.password = (event.target as HTMLInputElement).value;
          }}
        ></console-password>
        ${form.notice()}
        <button class="primary" ?disabled=${form.busy}>${T.action}</button>
      </form>
      ${
        oidc
          ? html`<div class="or">${T.or}</div>
              <a
                class="button" href=${this.app.api.session.oidc(pathOf(this.app.route))}
                target=${this.again ? '_blank' : nothing}
              >${T.with(oidc.name)}</a>
              ${this.again ? html`<p class="hint">${T.inTab(oidc.name)}</p>` : nothing}`
          : nothing
      }
    </div>`;
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { login, password } = this;
    if (!login || !password) return;
    const told = ({ status }: ApiError) => (status === 401 ? this.T.signIn.wrong : null);
    const session = await this.#form.run(
      () => this.app.api.session.signIn({ login, password }),
      told,
    );
    if (!session) return this.focusOn('console-password');
    this.password = '';
    this.app.enter(session);
  }

  async #look(): Promise<void> {
    const session = await this.app.api.session.current().catch(() => null);
    if (session && this.isConnected) this.app.enter(session);
  }
}

customElements.define('console-sign-in', ConsoleSignIn);
