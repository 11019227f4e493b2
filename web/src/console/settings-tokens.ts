// `<settings-tokens>`: one's own tokens for programs that use the API.

import { html, nothing } from 'lit';
import { colours } from '../colours.ts';
import './console-copy.ts';
import { View } from './element.ts';
import { Form, input, select, tick } from './form.ts';
import { agoText, whenText } from './format.ts';
import { Loaded } from './loaded.ts';
import { SCOPES, type Scope, type Token } from './model.ts';
import { sheet } from './styles.ts';

const DAY_MS = 86_400_000;
const LASTS = { never: 0, month: 30, quarter: 90, year: 365 };
type Lasts = keyof typeof LASTS;

export class SettingsTokens extends View {
  static override properties = {
    ...View.properties,
    name: { state: true },
    scopes: { state: true },
    lasts: { state: true },
    made: { state: true },
  };

  declare private name: string;
  declare private scopes: ReadonlySet<Scope>;
  declare private lasts: Lasts;
  declare private made: (Token & { token: string }) | null;
  readonly #form = new Form(this);
  readonly #tokens = new Loaded<Token>(this, () => this.app.api.tokens.list());

  static override styles = [colours, sheet];

  constructor() {
    super();
    this.name = '';
    this.scopes = new Set(['broadcasts:read']);
    this.lasts = 'quarter';
    this.made = null;
  }

  override render() {
    const { tokens: T, app: A } = this.T;
    const form = this.#form;
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <p class="quiet">${T.text}</p>
      </div>
      <div class="card">
        <form @submit=${this.#make}>
          ${input({
            ...{ name: 'name', label: T.name, hint: T.nameHint, value: this.name, maxlength: 80 },
            ...{ required: true, error: form.error('name') },
            change: (name) => {
              this.name = name;
            },
          })}
          <fieldset>
            <legend>${T.scopes}</legend>
            ${SCOPES.map((scope) =>
              tick({
                ...{ name: scope.replace(':', '-'), label: T.scopeNames[scope] },
                checked: this.scopes.has(scope),
                change: (on) => {
                  const scopes = new Set(this.scopes);
                  if (on) scopes.add(scope);
                  else scopes.delete(scope);
                  this.scopes = scopes;
                  form.set('scopes', '');
                },
              }),
            )}
            ${form.error('scopes') ? html`<p class="error" role="alert">${form.error('scopes')}</p>` : nothing}
          </fieldset>
          ${select({
            ...{
              name: 'expires',
              label: T.expires,
              value: this.lasts,
              error: form.error('expires_at'),
            },
            options: (Object.keys(LASTS) as Lasts[]).map((each) => [each, T.lasts[each]] as const),
            change: (lasts) => {
              this.lasts = lasts;
            },
          })}
          ${form.notice()}
          <div><button class="primary" ?disabled=${form.busy}>${T.make}</button></div>
        </form>
        <div role="status">
          ${
            this.made
              ? html`<console-copy
                  secret .app=${this.app} .label="${T.made}: ${this.made.name}" .value=${this.made.token}
                  .hint=${A.shownOnce}
                ></console-copy>`
              : nothing
          }
        </div>
      </div>
      <div class="card">${this.#tokens.view(T.none, (token) => this.#token(token))}</div>
    </div>`;
  }

  #token(token: Token) {
    const { tokens: T, lang } = this.T;
    const nowMs = Date.now();
    const over = token.expires_at !== null && Date.parse(token.expires_at) <= nowMs;
    return html`<div>
        <strong>${token.name}</strong> <code>${token.hint}</code>
        ${over ? html`<span class="badge warn">${T.expired}</span>` : nothing}
        <div class="quiet">${token.scopes.map((scope) => T.scopeNames[scope] ?? scope).join(' · ')}</div>
        <div class="quiet">
          ${token.used_at ? T.used(agoText(lang, token.used_at, nowMs)) : T.unused}${
            token.expires_at ? ` · ${T.until(whenText(lang, token.expires_at))}` : ''
          }
        </div>
      </div>
      <button
        type="button" class="small danger" aria-label=${T.revokeName(token.name)}
        @click=${() => this.#revoke(token)}
      >${T.revoke}</button>`;
  }

  async #make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (this.scopes.size === 0) return this.#form.set('scopes', this.T.tokens.choose);
    const days = LASTS[this.lasts];
    const until = new Date(Date.now() + days * DAY_MS).toISOString();
    const scopes = SCOPES.filter((scope) => this.scopes.has(scope));
    const body = { name: this.name.trim(), scopes, ...(days > 0 ? { expires_at: until } : {}) };
    const made = await this.#form.run(() => this.app.api.tokens.create(body));
    if (!made) return;
    this.made = made;
    this.name = '';
    await this.#tokens.load();
  }

  async #revoke({ id, name }: Token): Promise<void> {
    const { tokens: T } = this.T;
    const sure = { title: T.revokeTitle(name), text: T.revokeText, action: T.revoke, danger: true };
    if (!(await this.app.ask(sure))) return;
    await this.#form.run(() => this.app.api.tokens.revoke(id));
    if (this.made?.id === id) this.made = null;
    await this.#tokens.load();
    await this.focusOn('h2');
  }
}

customElements.define('settings-tokens', SettingsTokens);
