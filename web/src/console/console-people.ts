// `<console-people>`: who may change a broadcast or keep order in it, with an account or by a link.

import { css, html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-copy.ts';
import { View } from './element.ts';
import { Form, input, select } from './form.ts';
import { watchUrl } from './format.ts';
import type { Account, Broadcast, BroadcastRole, Member } from './model.ts';
import { sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';

const ROLES: readonly BroadcastRole[] = ['host', 'moderator'];

/** @prop {Broadcast} broadcast */
export class ConsolePeople extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    members: { state: true },
    accounts: { state: true },
    failure: { state: true },
    who: { state: true },
    chosen: { state: true },
  };

  declare broadcast: Broadcast;
  declare private members: readonly Member[] | null;
  /** Those to choose from, which only an admin may list. */
  declare private accounts: readonly Account[];
  declare private failure: string;
  declare private who: string;
  declare private chosen: BroadcastRole;
  readonly #form = new Form(this);

  static override styles = [
    colours,
    sheet,
    css`
      .add {
        grid-template-columns: minmax(0, 1fr) 12rem;
        align-items: start;
      }
      .add > :nth-child(n + 3) {
        grid-column: 1 / -1;
      }
      li select {
        width: auto;
      }
      @media (max-width: 36rem) {
        .add {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  constructor() {
    super();
    this.members = null;
    this.accounts = [];
    this.failure = '';
    this.who = '';
    this.chosen = 'host';
  }

  protected override entered(): void {
    this.hear('missed', () => void this.#load());
    void this.#load();
    if (this.app.isAdmin) void this.#loadAccounts();
  }

  override render() {
    const { people: T, app: A } = this.T;
    const form = this.#form;
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <p class="quiet">${T.text}</p>
      </div>
      <div class="card">
        <form class="add" @submit=${this.#add}>
          ${input({
            ...{ name: 'account', label: T.who, hint: T.whoHint, value: this.who, required: true },
            ...{ error: form.error('account'), list: 'accounts', maxlength: 128 },
            change: (who) => {
              this.who = who;
            },
          })}
          ${select({
            ...{ name: 'role', label: T.role, value: this.chosen },
            options: ROLES.map((role) => [role, T[role]] as const),
            change: (role) => {
              this.chosen = role;
            },
          })}
          <datalist id="accounts">
            ${this.accounts.map(({ login, name }) => html`<option value=${login}>${name}</option>`)}
          </datalist>
          ${form.notice()}
          <div><button class="primary" ?disabled=${form.busy}>${T.add}</button></div>
        </form>
      </div>
      <div class="card">
        ${this.failure ? html`<p class="error" role="alert">${this.failure}</p>` : nothing}
        ${
          this.members === null && !this.failure
            ? html`<p class="quiet" role="status">${A.loading}</p>`
            : (this.members?.length ?? 0) === 0
              ? html`<p class="quiet">${T.none}</p>`
              : html`<ul class="plain lines">${this.members?.map((member) => this.#member(member))}</ul>`
        }
      </div>
      ${this.#moderatorLink()}
    </div>`;
  }

  #member({ account, role }: Member) {
    const { people: T, app: A } = this.T;
    return html`<li>
      <div><strong>${account.name}</strong> <span class="quiet">${account.login}</span></div>
      <select
        aria-label=${T.roleOf(account.name)}
        @change=${(event: Event) =>
          this.#set(account.id, (event.target as HTMLSelectElement).value as BroadcastRole)}
      >
        ${ROLES.map(
          (each) =>
            html`<option value=${each} .selected=${live(each === role)}>${T[each]}</option>`,
        )}
      </select>
      <button
        type="button" class="small danger" aria-label=${T.removeName(account.name)}
        @click=${() => this.#remove(account)}
      >${A.remove}</button>
    </li>`;
  }

  #moderatorLink() {
    const { people: T } = this.T;
    const { info } = this.app;
    if (!info) return nothing;
    const { moderator_key: key, id, source, visibility } = this.broadcast;
    const link = `${watchUrl(info, id, location.href)}#moderate=${encodeURIComponent(key ?? '')}`;
    return html`<section class="card" aria-labelledby="link">
      <h3 id="link">${T.moderatorLink}</h3>
      <p class="quiet">
        ${T.moderatorLinkText}${visibility === 'token' ? ` ${T.moderatorLinkToken}` : ''}
      </p>
      ${
        key
          ? html`<console-copy secret .app=${this.app} .label=${T.moderatorLink} .value=${link}></console-copy>`
          : html`<p class="quiet">${T.noLink}</p>`
      }
      ${
        source === 'config'
          ? nothing
          : html`<div><button type="button" class="small" @click=${this.#newLink}>${T.newLink}</button></div>`
      }
    </section>`;
  }

  async #load(): Promise<void> {
    try {
      this.members = await this.app.api.members.list(this.broadcast.id);
      this.failure = '';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failure = errorText(this.T, error);
    }
  }

  async #loadAccounts(): Promise<void> {
    this.accounts = await this.app.api.accounts.list().catch(() => []);
  }

  async #add(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { people: T } = this.T;
    const who = this.who.trim();
    const known = this.accounts.find(({ login }) => login.toLowerCase() === who.toLowerCase());
    const done = await this.#form.run(
      async () => {
        await this.app.api.members.set(this.broadcast.id, known?.id ?? who, this.chosen);
        return true;
      },
      ({ status }) => {
        if (status !== 404) return null;
        this.#form.set('account', T.unknown);
        return '';
      },
    );
    if (!done) return;
    this.who = '';
    this.app.say(T.added(known?.name ?? who));
    await this.#load();
  }

  async #set(account: string, role: BroadcastRole): Promise<void> {
    const done = await this.#form.run(async () => {
      await this.app.api.members.set(this.broadcast.id, account, role);
      return true;
    });
    if (done) this.app.say(this.T.app.saved);
    await this.#load();
  }

  async #remove({ id, name }: Member['account']): Promise<void> {
    const { people: T, app: A } = this.T;
    const sure = { title: T.removeTitle(name), text: T.removeText, action: A.remove, danger: true };
    if (!(await this.app.ask(sure))) return;
    await this.#form.run(() => this.app.api.members.remove(this.broadcast.id, id));
    await this.#load();
    await this.focusOn('h2');
  }

  async #newLink(): Promise<void> {
    const { people: T } = this.T;
    const { id, moderator_key } = this.broadcast;
    const sure = { title: T.newLinkTitle, text: T.newLinkText, action: T.newLink, danger: true };
    if (moderator_key && !(await this.app.ask(sure))) return;
    const made = await this.#form.run(() => this.app.api.broadcasts.newModeratorKey(id));
    if (made) this.app.tell('broadcast', { ...this.broadcast, ...made });
  }
}

customElements.define('console-people', ConsolePeople);
