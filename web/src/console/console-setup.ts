// `<console-setup>`: the first account, by the link that the server wrote when it started.

import { html } from 'lit';
import { colours } from '../colours.ts';
import './console-password.ts';
import { View } from './element.ts';
import { Form, input } from './form.ts';
import { PASSWORD_MIN } from './names.ts';
import { sheet } from './styles.ts';

/** @prop {string} token - from the link */
export class ConsoleSetup extends View {
  static override properties = {
    ...View.properties,
    token: {},
    name: { state: true },
    login: { state: true },
    password: { state: true },
  };

  declare token: string;
  declare private name: string;
  declare private login: string;
  declare private password: string;
  readonly #form = new Form(this);

  static override styles = [colours, sheet];

  constructor() {
    super();
    this.token = '';
    this.name = '';
    this.login = '';
    this.password = '';
  }

  protected override entered(): void {
    void this.focusOn('#name');
  }

  override render() {
    const { setup: T } = this.T;
    const form = this.#form;
    return html`<form @submit=${this.#submit}>
      ${input({
        ...{ name: 'name', label: T.name, value: this.name, autocomplete: 'name', required: true },
        ...{ error: form.error('name'), maxlength: 120 },
        change: (name) => {
          this.name = name;
        },
      })}
      ${input({
        ...{ name: 'login', label: T.login, value: this.login, autocomplete: 'username' },
        ...{ required: true, hint: T.loginHint, error: form.error('login'), maxlength: 128 },
        change: (login) => {
          this.login = login;
        },
      })}
      <console-password
        fresh .app=${this.app} .label=${T.password} .value=${this.password}
        .error=${form.error('password')} .names=${[this.name, this.login]}
        @change=${(event: Event) => {
          this.password = (event.target as HTMLInputElement).value;
        }}
      ></console-password>
      ${form.notice()}
      <div><button class="primary" ?disabled=${form.busy}>${T.action}</button></div>
    </form>`;
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { token, name, login, password } = this;
    if ([...password].length < PASSWORD_MIN) {
      this.#form.set('password', this.T.password.short(PASSWORD_MIN));
      return this.focusOn('console-password');
    }
    const body = { token, name: name.trim(), login: login.trim(), password };
    const session = await this.#form.run(() => this.app.api.session.setUp(body));
    if (!session) return;
    if (this.app.info) this.app.info = { ...this.app.info, setup_needed: false };
    this.app.enter(session);
    this.app.say(this.T.setup.done);
    this.app.go({ page: 'new' });
  }
}

customElements.define('console-setup', ConsoleSetup);
