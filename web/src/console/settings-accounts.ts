// `<settings-accounts>`: who has an account here, and what each may do.

import { html, nothing } from 'lit';
import { colours } from '../colours.ts';
import './console-password.ts';
import { View } from './element.ts';
import { Form, input, select, tick } from './form.ts';
import { agoText } from './format.ts';
import { ICONS } from './icons.ts';
import { Loaded } from './loaded.ts';
import type { Account, Role } from './model.ts';
import { PASSWORD_MIN } from './names.ts';
import { dialogSheet, sheet } from './styles.ts';

const ROLES: readonly Role[] = ['admin', 'host', 'moderator'];

/** What the dialog holds; `account` null: a new one. */
interface Draft {
  readonly account: Account | null;
  readonly login: string;
  readonly name: string;
  readonly role: Role;
  readonly disabled: boolean;
  readonly password: string;
}

export class SettingsAccounts extends View {
  static override properties = { ...View.properties, draft: { state: true } };

  declare private draft: Draft | null;
  readonly #form = new Form(this);
  readonly #accounts = new Loaded<Account>(this, () => this.app.api.accounts.list());

  static override styles = [colours, sheet, dialogSheet];

  constructor() {
    super();
    this.draft = null;
  }

  override updated(): void {
    const dialog = this.renderRoot.querySelector('dialog');
    if (dialog && !dialog.open) dialog.showModal();
  }

  override render() {
    const { accounts: T } = this.T;
    const alone = (this.#accounts.items?.length ?? 0) === 1;
    return html`<div class="stack">
      <div class="row apart">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <button type="button" class="primary" @click=${this.#new}>${ICONS.plus} ${T.add}</button>
      </div>
      <p class="quiet">${T.text}</p>
      <div class="card">
        ${this.#accounts.view(T.none, (account) => this.#account(account))}
        ${alone ? html`<p class="quiet">${T.none}</p>` : nothing}
      </div>
      ${this.draft ? this.#dialog(this.draft) : nothing}
    </div>`;
  }

  #account(account: Account) {
    const { accounts: T, account: A, lang } = this.T;
    const { name, login, role, disabled, signed_in_at, id, has_password, oidc } = account;
    const seen = signed_in_at ? T.seen(agoText(lang, signed_in_at, Date.now())) : T.neverSeen;
    return html`<div>
        <strong>${name}</strong> <span class="quiet">${login}</span>
        ${id === this.app.account?.id ? html`<span class="badge good">${T.you}</span>` : nothing}
        ${disabled ? html`<span class="badge bad">${T.disabled}</span>` : nothing}
        ${!has_password && !oidc ? html`<span class="badge warn">${T.noPassword}</span>` : nothing}
        <div class="quiet">${A.roles[role]} · ${seen}</div>
      </div>
      <button
        type="button" class="small" aria-label=${T.editName(name)} @click=${() => this.#edit(account)}
      >${T.edit}</button>`;
  }

  #dialog(draft: Draft) {
    const { accounts: T, account: R, app: A } = this.T;
    const form = this.#form;
    const { account } = draft;
    const own = account?.id === this.app.account?.id;
    return html`<dialog aria-labelledby="title" @close=${this.#closed}>
      <form novalidate @submit=${this.#save}>
        <h2 id="title">${account ? T.editTitle(account.name) : T.add}</h2>
        ${
          account
            ? nothing
            : input({
                ...{
                  name: 'login',
                  label: T.login,
                  value: draft.login,
                  required: true,
                  maxlength: 128,
                },
                error: form.error('login'),
                change: (login) => this.#set({ login }),
              })
        }
        ${input({
          ...{ name: 'name', label: T.name, value: draft.name, required: true, maxlength: 120 },
          error: form.error('name'),
          change: (name) => this.#set({ name }),
        })}
        ${select({
          ...{
            name: 'role',
            label: T.role,
            value: draft.role,
            disabled: own,
            error: form.error('role'),
          },
          options: ROLES.map((role) => [role, R.roles[role]] as const),
          change: (role) => this.#set({ role }),
        })}
        <console-password
          fresh optional .app=${this.app} .label=${account ? T.newPassword : T.password} .value=${draft.password}
          .hint=${account ? T.newPasswordHint : T.passwordHint} .error=${form.error('password')}
          .names=${[draft.name, draft.login]}
          @change=${(event: Event) => this.#set({ password: (event.target as HTMLInputElement).value })}
        ></console-password>
        ${
          account && !own
            ? tick({
                ...{ name: 'disabled', label: T.lock, checked: draft.disabled },
                change: (disabled) => this.#set({ disabled }),
              })
            : nothing
        }
        ${form.notice()}
        <div class="actions">
          ${
            account && !own
              ? html`<button type="button" class="danger" @click=${() => this.#delete(account)}>${A.delete}</button>`
              : nothing
          }
          <button type="button" @click=${this.#close}>${A.cancel}</button>
          <button class="primary" ?disabled=${form.busy}>${account ? A.save : T.create}</button>
        </div>
      </form>
    </dialog>`;
  }

  #new(): void {
    this.#form.clear();
    this.draft = {
      ...{ account: null, login: '', name: '', role: 'host', disabled: false, password: '' },
    };
  }

  #edit(account: Account): void {
    this.#form.clear();
    const { login, name, role, disabled } = account;
    this.draft = { account, login, name, role, disabled, password: '' };
  }

  #set(change: Partial<Draft>): void {
    if (this.draft) this.draft = { ...this.draft, ...change };
  }

  readonly #close = (): void => {
    this.renderRoot.querySelector('dialog')?.close();
  };

  readonly #closed = (): void => {
    this.draft = null;
  };

  async #save(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { draft } = this;
    if (!draft) return;
    const { accounts: T, errors: E } = this.T;
    const { api } = this.app;
    const { account, password, role, disabled } = draft;
    const [name, login] = [draft.name.trim(), draft.login.trim()];
    const form = this.#form;
    form.clear();
    if (!name) form.set('name', E.invalid);
    if (!account && !login) form.set('login', E.invalid);
    if (password && [...password].length < PASSWORD_MIN) {
      form.set('password', this.T.password.short(PASSWORD_MIN));
    }
    const wrong = ['login', 'name', 'password'].find((field) => form.error(field));
    if (wrong) return this.focusOn(wrong === 'password' ? 'console-password' : `#${wrong}`);
    const done = await form.run(async () => {
      if (!account) {
        await api.accounts.create({ login, name, role, ...(password ? { password } : {}) });
        return true;
      }
      const patch = {
        ...(name === account.name ? {} : { name }),
        ...(role === account.role ? {} : { role }),
        ...(disabled === account.disabled ? {} : { disabled }),
      };
      if (Object.keys(patch).length > 0) await api.accounts.patch(account.id, patch, account.rev);
      if (password) await api.accounts.setPassword(account.id, { password });
      return true;
    });
    await this.#accounts.load();
    if (!done) return this.#refresh();
    if (account && account.id === this.app.account?.id) {
      this.app.account = { ...this.app.account, name };
      this.app.tell('change', null);
    }
    this.#close();
    this.app.say(account ? this.T.app.saved : T.created(name));
  }

  /** Somebody else changed it: what was written stays, on top of what there is now. */
  #refresh(): void {
    const { draft } = this;
    const account = this.#accounts.items?.find(({ id }) => id === draft?.account?.id);
    if (draft && account) this.draft = { ...draft, account };
  }

  async #delete(account: Account): Promise<void> {
    const { accounts: T, app: A } = this.T;
    const sure = {
      title: T.deleteTitle(account.name),
      ...{ text: T.deleteText, action: A.delete, danger: true },
    };
    if (!(await this.app.ask(sure))) return;
    const done = await this.#form.run(async () => {
      await this.app.api.accounts.remove(account.id, account.rev);
      return true;
    });
    await this.#accounts.load();
    if (!done) return this.#refresh();
    this.#close();
    this.app.say(T.deleted);
    await this.focusOn('h2');
  }
}

customElements.define('settings-accounts', SettingsAccounts);
