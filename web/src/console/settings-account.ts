// `<settings-account>`: one's own account: the name, the password, and where one is signed in.

import { html, nothing } from 'lit';
import { colours } from '../colours.ts';
import type { ApiError } from './api.ts';
import './console-password.ts';
import { View } from './element.ts';
import { Form } from './form.ts';
import { agoText, whenText } from './format.ts';
import { Loaded } from './loaded.ts';
import type { Account, SignIn } from './model.ts';
import { PASSWORD_MIN } from './names.ts';
import { pathOf } from './route.ts';
import { sheet } from './styles.ts';

export class SettingsAccount extends View {
  static override properties = {
    ...View.properties,
    current: { state: true },
    password: { state: true },
    wrong: { state: true },
  };

  declare private current: string;
  declare private password: string;
  /** What is wrong with the current password. */
  declare private wrong: string;
  readonly #form = new Form(this);
  readonly #sessions = new Loaded<SignIn>(this, async () => {
    const { account, api } = this.app;
    return account ? api.accounts.sessions(account.id) : [];
  });

  static override styles = [colours, sheet];

  constructor() {
    super();
    this.current = '';
    this.password = '';
    this.wrong = '';
  }

  protected override entered(): void {
    this.hear('change', () => this.requestUpdate());
  }

  override render() {
    const { account: T, settings: S } = this.T;
    const { account } = this.app;
    if (!account) return nothing;
    const form = this.#form;
    const others = this.#sessions.items?.some(({ current }) => !current) ?? false;
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${S.account}</h2>
        <p>${T.signedInAs(account.name, account.login)} <span class="badge">${T.roles[account.role]}</span></p>
      </div>
      <section class="card" aria-labelledby="password">
        <h3 id="password">${account.has_password ? T.password : T.setPassword}</h3>
        <form @submit=${this.#change}>
          <input type="text" name="username" autocomplete="username" .value=${account.login} hidden readonly>
          ${
            account.has_password
              ? html`<console-password
                  class="current" .app=${this.app} .label=${T.current} .value=${this.current} .error=${this.wrong}
                  @change=${(event: Event) => {
                    this.current = (event.target as HTMLInputElement).value;
                  }}
                ></console-password>`
              : nothing
          }
          <console-password
            fresh class="new" .app=${this.app} .label=${T.new} .value=${this.password}
            .error=${form.error('password')} .names=${[account.name, account.login]}
            @change=${(event: Event) => {
              this.password = (event.target as HTMLInputElement).value;
            }}
          ></console-password>
          ${form.notice()}
          <div><button class="primary" ?disabled=${form.busy}>
            ${account.has_password ? T.change : T.setPassword}
          </button></div>
        </form>
      </section>
      ${this.#provider(account)}
      <section class="card" aria-labelledby="sessions">
        <h3 id="sessions">${T.sessions}</h3>
        ${this.#sessions.view(T.onlyHere, (session) => this.#session(session))}
        ${
          others
            ? html`<div><button type="button" class="danger" @click=${this.#end}>${T.endOthers}</button></div>`
            : nothing
        }
      </section>
    </div>`;
  }

  /** Who else may vouch for one, where there is somebody. */
  #provider({ oidc }: Account) {
    const { account: T } = this.T;
    const { api, info } = this.app;
    if (!info?.oidc) return nothing;
    const { name } = info.oidc;
    const here = pathOf({ page: 'settings', tab: 'account' });
    return html`<section class="card" aria-labelledby="provider">
      <h3 id="provider">${T.oidc(name)}</h3>
      <p>${oidc ? T.connected(name) : T.oidcText(name)}</p>
      ${
        oidc
          ? nothing
          : html`<div><a class="button" href=${api.session.connect(here)}>${T.connect(name)}</a></div>`
      }
    </section>`;
  }

  #session({ agent, seen_at, created_at, current }: SignIn) {
    const { account: T, lang } = this.T;
    return html`<div>
      ${agent ? agentText(agent) : T.unknownAgent}
      ${current ? html`<span class="badge good">${T.thisOne}</span>` : nothing}
      <div class="quiet">
        ${whenText(lang, created_at)}${current ? '' : ` · ${T.seen(agoText(lang, seen_at, Date.now()))}`}
      </div>
    </div>`;
  }

  async #change(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { account: T } = this.T;
    const { account, api } = this.app;
    if (!account) return;
    this.wrong = '';
    if ([...this.password].length < PASSWORD_MIN) {
      this.#form.set('password', this.T.password.short(PASSWORD_MIN));
      return this.focusOn('.new');
    }
    const { current, password } = this;
    const body = account.has_password ? { current, password } : { password };
    const told = ({ status, errors }: ApiError) => {
      if (status !== 401 && status !== 403 && !errors.some(({ field }) => field === 'current')) {
        return null;
      }
      this.wrong = T.wrong;
      void this.focusOn('.current');
      return '';
    };
    const done = await this.#form.run(async () => {
      await api.accounts.setPassword(account.id, body);
      return true;
    }, told);
    if (!done) return;
    this.current = '';
    this.password = '';
    this.app.account = { ...account, has_password: true };
    this.app.say(T.changed);
    await this.#sessions.load();
  }

  async #end(): Promise<void> {
    const { account: T } = this.T;
    const { account, api } = this.app;
    const sure = {
      title: T.endOthersTitle,
      text: T.endOthersText,
      action: T.endOthers,
      danger: true,
    };
    if (!account || !(await this.app.ask(sure))) return;
    await this.#form.run(() => api.accounts.endSessions(account.id));
    if (!this.#form.failure) this.app.say(T.endedOthers);
    await this.#sessions.load();
  }
}

/** Browser and system, of the much that browsers say of themselves. */
export function agentText(agent: string): string {
  const browser = [
    [/\bEdg(?:A|iOS)?\//, 'Edge'],
    [/\bOPR\//, 'Opera'],
    [/\bFirefox\/|\bFxiOS\//, 'Firefox'],
    [/\bChrome\/|\bCriOS\//, 'Chrome'],
    [/\bSafari\//, 'Safari'],
  ].find(([pattern]) => (pattern as RegExp).test(agent))?.[1];
  const system = [
    [/\bAndroid\b/, 'Android'],
    [/\b(?:iPhone|iPad)\b/, 'iOS'],
    [/\bWindows\b/, 'Windows'],
    [/\bMac OS X\b/, 'macOS'],
    [/\bCrOS\b/, 'ChromeOS'],
    [/\bLinux\b/, 'Linux'],
  ].find(([pattern]) => (pattern as RegExp).test(agent))?.[1];
  return browser && system ? `${browser}, ${system}` : agent.slice(0, 80);
}

customElements.define('settings-account', SettingsAccount);
