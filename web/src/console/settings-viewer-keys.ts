// `<settings-viewer-keys>`: the keys that viewer links are signed with, own ones and those of other platforms.

import { html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { View } from './element.ts';
import { Form, input } from './form.ts';
import { whenText } from './format.ts';
import { Loaded } from './loaded.ts';
import type { ViewerKey } from './model.ts';
import { sheet } from './styles.ts';

export class SettingsViewerKeys extends View {
  static override properties = { ...View.properties, publicKey: { state: true } };

  declare private publicKey: string;
  readonly #form = new Form(this);
  readonly #keys = new Loaded<ViewerKey>(this, () => this.app.api.viewerKeys.list());

  static override styles = [colours, sheet];

  constructor() {
    super();
    this.publicKey = '';
  }

  override render() {
    const { viewerKeys: T } = this.T;
    const form = this.#form;
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <p class="quiet">${T.text}</p>
      </div>
      <div class="card">
        ${this.#keys.view(T.none, (key) => this.#key(key))}
        <p class="hint">${T.makeText}</p>
        <div><button type="button" ?disabled=${form.busy} @click=${this.#make}>${T.make}</button></div>
      </div>
      <section class="card" aria-labelledby="import">
        <h3 id="import">${T.import}</h3>
        <form @submit=${this.#import}>
          ${input({
            ...{ name: 'public_key', label: T.publicKey, hint: T.publicKeyHint, mono: true },
            ...{ value: this.publicKey, required: true, maxlength: 64 },
            error: form.error('public_key'),
            change: (key) => {
              this.publicKey = key;
              form.set('public_key', '');
            },
          })}
          ${form.notice()}
          <div><button class="primary" ?disabled=${form.busy}>${T.importAction}</button></div>
        </form>
      </section>
    </div>`;
  }

  #key({ kid, created_at, retired_at, source }: ViewerKey) {
    const { viewerKeys: T, lang } = this.T;
    return html`<div>
        <code>${kid}</code> <span class="badge">${T.sources[source]}</span>
        <div class="quiet">
          ${T.created(whenText(lang, created_at))}${
            retired_at ? ` · ${T.retired(whenText(lang, retired_at))}` : ''
          }
        </div>
      </div>
      ${
        retired_at
          ? nothing
          : html`<button
              type="button" class="small danger" aria-label=${T.retireName(kid)}
              @click=${() => this.#retire(kid)}
            >${T.retire}</button>`
      }`;
  }

  async #make(): Promise<void> {
    const made = await this.#form.run(() => this.app.api.viewerKeys.create({}));
    if (made) this.app.say(this.T.viewerKeys.made);
    await this.#keys.load();
  }

  async #import(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { viewerKeys: T } = this.T;
    const key = this.publicKey.trim();
    // 32 bytes are 43 letters, and no padding.
    if (!/^[A-Za-z0-9_-]{43}=?$/.test(key)) {
      this.#form.set('public_key', T.publicKeyHint);
      return this.focusOn('#public_key');
    }
    const body = { public_key: key.replace('=', '') };
    const made = await this.#form.run(() => this.app.api.viewerKeys.create(body));
    if (!made) return;
    this.publicKey = '';
    this.app.say(T.imported);
    await this.#keys.load();
  }

  async #retire(kid: string): Promise<void> {
    const { viewerKeys: T } = this.T;
    const sure = { title: T.retireTitle(kid), text: T.retireText, action: T.retire, danger: true };
    if (!(await this.app.ask(sure))) return;
    const done = await this.#form.run(async () => {
      await this.app.api.viewerKeys.retire(kid);
      return true;
    });
    if (done) this.app.say(T.retiredDone);
    await this.#keys.load();
    await this.focusOn('h2');
  }
}

customElements.define('settings-viewer-keys', SettingsViewerKeys);
