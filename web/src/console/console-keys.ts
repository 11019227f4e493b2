// `<console-keys>`: the stream keys of a broadcast: made, seen once, revoked.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-copy.ts';
import { View } from './element.ts';
import { Form, input, select } from './form.ts';
import { agoText } from './format.ts';
import type { Broadcast, Key, KeyUse } from './model.ts';
import { sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';

const USES: readonly KeyUse[] = ['primary', 'backup'];

/** @prop {Broadcast} broadcast */
export class ConsoleKeys extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    keys: { state: true },
    failure: { state: true },
    label: { state: true },
    use: { state: true },
    made: { state: true },
  };

  declare broadcast: Broadcast;
  declare private keys: readonly Key[] | null;
  declare private failure: string;
  declare private label: string;
  declare private use: KeyUse;
  declare private made: (Key & { key: string }) | null;
  readonly #form = new Form(this);

  static override styles = [
    colours,
    sheet,
    css`
      .make {
        grid-template-columns: minmax(0, 1fr) 10rem;
        align-items: start;
      }
      .make > :nth-child(n + 3) {
        grid-column: 1 / -1;
      }
      @media (max-width: 36rem) {
        .make {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  constructor() {
    super();
    this.keys = null;
    this.failure = '';
    this.label = '';
    this.use = 'primary';
    this.made = null;
  }

  protected override entered(): void {
    this.hear('missed', () => void this.#load());
    this.hear('broadcast', ({ id }) => id === this.broadcast.id && void this.#load());
    void this.#load();
  }

  override render() {
    const { keys: T, app: A } = this.T;
    const form = this.#form;
    const active = this.keys?.filter(({ revoked_at }) => revoked_at === null) ?? [];
    const old = this.keys?.filter(({ revoked_at }) => revoked_at !== null) ?? [];
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <p class="quiet">${T.text}</p>
      </div>
      <div class="card">
        <form class="make" @submit=${this.#make}>
          ${input({
            ...{
              name: 'label',
              label: T.label,
              hint: T.labelHint,
              value: this.label,
              maxlength: 80,
            },
            ...{ required: true, error: form.error('label') },
            change: (label) => {
              this.label = label;
            },
          })}
          ${select({
            ...{ name: 'use', label: T.use, value: this.use, hint: T.usesHint[this.use] },
            options: USES.map((use) => [use, T.uses[use]] as const),
            change: (use) => {
              this.use = use;
            },
          })}
          ${form.notice()}
          <div><button class="primary" ?disabled=${form.busy}>${T.make}</button></div>
        </form>
        <div role="status">
          ${
            this.made
              ? html`<console-copy
                  secret .app=${this.app} .label="${T.made}: ${this.made.label}" .value=${this.made.key}
                  .hint=${A.shownOnce}
                ></console-copy>`
              : nothing
          }
        </div>
      </div>
      <div class="card">
        ${this.failure ? html`<p class="error" role="alert">${this.failure}</p>` : nothing}
        ${
          this.keys === null && !this.failure
            ? html`<p class="quiet" role="status">${A.loading}</p>`
            : active.length === 0
              ? html`<p class="quiet">${T.none}</p>`
              : html`<ul class="plain lines">${active.map((key) => this.#key(key))}</ul>`
        }
        ${
          old.length > 0
            ? html`<details>
                <summary>${T.old} (${old.length})</summary>
                <ul class="plain lines">${old.map((key) => this.#key(key))}</ul>
              </details>`
            : nothing
        }
      </div>
    </div>`;
  }

  #key(key: Key) {
    const { keys: T, lang } = this.T;
    const nowMs = Date.now();
    const used = key.used_at ? T.used(agoText(lang, key.used_at, nowMs)) : T.unused;
    return html`<li>
      <div>
        <strong>${key.label}</strong> <code>${key.hint}</code>
        ${key.use === 'backup' ? html`<span class="badge">${T.uses.backup}</span>` : nothing}
        <div class="quiet">
          ${used}${key.revoked_at ? ` · ${T.revokedAt(agoText(lang, key.revoked_at, nowMs))}` : ''}
        </div>
      </div>
      ${
        key.revoked_at
          ? nothing
          : html`<button
              type="button" class="small danger" aria-label=${T.revokeName(key.label)}
              @click=${() => this.#revoke(key)}
            >${T.revoke}</button>`
      }
    </li>`;
  }

  async #load(): Promise<void> {
    try {
      this.keys = await this.app.api.keys.list(this.broadcast.id);
      this.failure = '';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failure = errorText(this.T, error);
    }
  }

  async #make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const body = { label: this.label.trim(), use: this.use };
    const made = await this.#form.run(() => this.app.api.keys.create(this.broadcast.id, body));
    if (!made) return;
    this.made = made;
    this.label = '';
    await this.#load();
  }

  async #revoke({ id, label }: Key): Promise<void> {
    const { keys: T } = this.T;
    const sure = {
      title: T.revokeTitle(label),
      text: T.revokeText,
      action: T.revoke,
      danger: true,
    };
    if (!(await this.app.ask(sure))) return;
    const done = await this.#form.run(async () => {
      await this.app.api.keys.revoke(this.broadcast.id, id);
      return true;
    });
    if (!done) return;
    if (this.made?.id === id) this.made = null;
    this.app.say(T.revoked);
    await this.#load();
    await this.focusOn('h2');
  }
}

customElements.define('console-keys', ConsoleKeys);
