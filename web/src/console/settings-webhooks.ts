// `<settings-webhooks>`: other systems that are told what happens here, and whether they heard it.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-copy.ts';
import { View } from './element.ts';
import { Form, input, tick } from './form.ts';
import { agoText, whenText } from './format.ts';
import { Loaded } from './loaded.ts';
import { type Delivery, WEBHOOK_EVENTS, type Webhook, type WebhookEvent } from './model.ts';
import { dialogSheet, sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';

/** What came of a test is looked at after so long. */
const HEARD_MS = 2_000;

export class SettingsWebhooks extends View {
  static override properties = {
    ...View.properties,
    url: { state: true },
    broadcast: { state: true },
    events: { state: true },
    made: { state: true },
    looked: { state: true },
    deliveries: { state: true },
  };

  declare private url: string;
  declare private broadcast: string;
  declare private events: ReadonlySet<WebhookEvent>;
  declare private made: (Webhook & { secret: string }) | null;
  /** Whose deliveries are shown. */
  declare private looked: Webhook | null;
  declare private deliveries: readonly Delivery[] | string | null;
  #later: ReturnType<typeof setTimeout> | undefined;
  readonly #form = new Form(this);
  readonly #webhooks = new Loaded<Webhook>(this, () => this.app.api.webhooks.list());

  static override styles = [
    colours,
    sheet,
    dialogSheet,
    css`
      .tools {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        align-items: center;
      }
      .lines > li > :first-child {
        flex-basis: 100%;
      }
      .tools .tick {
        margin-inline-end: 0.5rem;
      }
    `,
  ];

  constructor() {
    super();
    this.url = '';
    this.broadcast = '';
    this.events = new Set(['broadcast.live', 'broadcast.ended']);
    this.made = null;
    this.looked = null;
    this.deliveries = null;
  }

  override updated(): void {
    const dialog = this.renderRoot.querySelector('dialog');
    if (dialog && !dialog.open) dialog.showModal();
  }

  override render() {
    const { webhooks: T, app: A } = this.T;
    const form = this.#form;
    return html`<div class="stack">
      <div class="stack tight">
        <h2 tabindex="-1" data-heading>${T.title}</h2>
        <p class="quiet">${T.text}</p>
      </div>
      <div class="card">${this.#webhooks.view(T.none, (webhook) => this.#webhook(webhook))}</div>
      <section class="card" aria-labelledby="add">
        <h3 id="add">${T.add}</h3>
        <form novalidate @submit=${this.#create}>
          ${input({
            ...{ name: 'url', label: T.url, hint: T.urlHint, type: 'url', placeholder: 'https://' },
            ...{ value: this.url, required: true, error: form.error('url') },
            change: (url) => {
              this.url = url;
              form.set('url', '');
            },
          })}
          <fieldset>
            <legend>${T.events}</legend>
            ${WEBHOOK_EVENTS.map((event) =>
              tick({
                ...{ name: event.replace('.', '-'), label: T.eventNames[event] },
                checked: this.events.has(event),
                change: (on) => {
                  const events = new Set(this.events);
                  if (on) events.add(event);
                  else events.delete(event);
                  this.events = events;
                  form.set('events', '');
                },
              }),
            )}
            ${form.error('events') ? html`<p class="error" role="alert">${form.error('events')}</p>` : nothing}
          </fieldset>
          ${input({
            ...{
              name: 'broadcast',
              label: T.broadcast,
              hint: T.broadcastHint,
              optional: A.optional,
            },
            ...{ value: this.broadcast, mono: true, maxlength: 64, error: form.error('broadcast') },
            change: (broadcast) => {
              this.broadcast = broadcast;
            },
          })}
          ${form.notice()}
          <div><button class="primary" ?disabled=${form.busy}>${T.create}</button></div>
        </form>
        <div role="status">
          ${
            this.made
              ? html`<console-copy
                  secret .app=${this.app} .label=${T.secret} .value=${this.made.secret} .hint=${A.shownOnce}
                ></console-copy>`
              : nothing
          }
        </div>
      </section>
      ${this.looked ? this.#dialog(this.looked) : nothing}
    </div>`;
  }

  #webhook(webhook: Webhook) {
    const { webhooks: T, app: A, lang } = this.T;
    const { url, events, broadcast, active, last, id } = webhook;
    const ok = last?.status != null && last.status >= 200 && last.status < 300;
    const when = last ? agoText(lang, last.at, Date.now()) : '';
    const told = last ? (ok ? T.ok(when) : T.failed(when)) : T.never;
    return html`<div>
        <strong>${url}</strong>
        <div class="quiet">${events.map((event) => T.eventNames[event] ?? event).join(' · ')}</div>
        <div class="row">
          <span class="badge">${broadcast ?? T.all}</span>
          <span class="badge ${last ? (ok ? 'good' : 'bad') : ''}">${told}</span>
        </div>
      </div>
      <div class="tools">
        ${tick({
          ...{
            name: `active-${id}`,
            checked: active,
            change: (on) => void this.#turn(webhook, on),
          },
          label: html`${T.active}<span class="unseen">: ${url}</span>`,
        })}
        <button type="button" class="small" aria-label=${T.testName(url)} @click=${() => this.#test(webhook)}>
          ${T.test}
        </button>
        <button
          type="button" class="small" aria-label=${T.deliveriesOf(url)} @click=${() => this.#look(webhook)}
        >${T.deliveries}</button>
        <button
          type="button" class="small danger" aria-label=${T.deleteName(url)}
          @click=${() => this.#delete(webhook)}
        >${A.delete}</button>
      </div>`;
  }

  #dialog(webhook: Webhook) {
    const { webhooks: T, app: A } = this.T;
    const { deliveries } = this;
    return html`<dialog
      class="wide" aria-labelledby="deliveries"
      @close=${() => {
        this.looked = null;
      }}
    >
      <div>
        <h2 id="deliveries">${T.deliveriesOf(webhook.url)}</h2>
        <div role="status">
          ${
            deliveries === null
              ? A.loading
              : typeof deliveries === 'string'
                ? deliveries
                : deliveries.length === 0
                  ? T.noDeliveries
                  : nothing
          }
        </div>
        ${
          Array.isArray(deliveries) && deliveries.length > 0
            ? html`<ul class="plain lines">
                ${(deliveries as readonly Delivery[]).map((delivery) => this.#delivery(delivery))}
              </ul>`
            : nothing
        }
        <div class="actions">
          <button type="button" @click=${() => this.#look(webhook)}>${T.refresh}</button>
          <button
            type="button" class="primary" @click=${() => this.renderRoot.querySelector('dialog')?.close()}
          >${A.close}</button>
        </div>
      </div>
    </dialog>`;
  }

  #delivery({ event, broadcast, at, attempts, status, error, next_at }: Delivery) {
    const { webhooks: T, lang } = this.T;
    const ok = status !== null && status >= 200 && status < 300;
    const told = status === null ? (error ?? '–') : T.status(status);
    return html`<li>
      <div>
        <strong>${T.eventNames[event] ?? event}</strong> <span class="quiet">${broadcast}</span>
        <div class="quiet">
          ${whenText(lang, at)} · ${T.attempts(attempts)}${
            next_at ? ` · ${T.next(agoText(lang, next_at, Date.now()))}` : ''
          }
        </div>
      </div>
      <span class="badge ${ok ? 'good' : 'bad'}">${told}</span>
    </li>`;
  }

  async #create(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const { webhooks: T } = this.T;
    const form = this.#form;
    const url = this.url.trim();
    if (!URL.canParse(url) || !/^https?:/.test(url)) {
      form.set('url', T.urlHint);
      return this.focusOn('#url');
    }
    if (this.events.size === 0) return form.set('events', T.choose);
    const broadcast = this.broadcast.trim();
    const events = WEBHOOK_EVENTS.filter((each) => this.events.has(each));
    const body = { url, events, ...(broadcast ? { broadcast } : {}) };
    const made = await form.run(() => this.app.api.webhooks.create(body));
    if (!made) return;
    this.made = made;
    this.url = '';
    this.broadcast = '';
    await this.#webhooks.load();
  }

  async #turn({ id, rev }: Webhook, active: boolean): Promise<void> {
    await this.#try(() => this.app.api.webhooks.patch(id, { active }, rev), this.T.app.saved);
  }

  async #test({ id }: Webhook): Promise<void> {
    await this.#try(() => this.app.api.webhooks.test(id), this.T.webhooks.tested);
    // By then it is known whether it was heard.
    clearTimeout(this.#later);
    this.#later = setTimeout(() => void this.#webhooks.load(), HEARD_MS);
  }

  protected override left(): void {
    clearTimeout(this.#later);
  }

  async #delete({ id, url, rev }: Webhook): Promise<void> {
    const { webhooks: T, app: A } = this.T;
    const sure = { title: T.deleteTitle, text: T.deleteText(url), action: A.delete, danger: true };
    if (!(await this.app.ask(sure))) return;
    if (this.made?.id === id) this.made = null;
    await this.#try(() => this.app.api.webhooks.remove(id, rev), T.deleted);
    await this.focusOn('h2');
  }

  async #look(webhook: Webhook): Promise<void> {
    this.looked = webhook;
    this.deliveries = null;
    try {
      this.deliveries = (await this.app.api.webhooks.deliveries(webhook.id)).items;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.deliveries = errorText(this.T, error);
    }
  }

  /** Does it, and says so: there is no form around it that could. */
  async #try(act: () => Promise<unknown>, done: string): Promise<void> {
    try {
      await act();
      this.app.say(done);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.app.say(errorText(this.T, error));
    }
    await this.#webhooks.load();
  }
}

customElements.define('settings-webhooks', SettingsWebhooks);
