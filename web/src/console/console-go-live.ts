// `<console-go-live>`: everything that an encoder needs, by whatever way one sends, and a checklist that ticks
// itself while one follows it.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-browser.ts';
import './console-copy.ts';
import './console-qr.ts';
import { View } from './element.ts';
import { Form } from './form.ts';
import { embedCode, ffmpegCommand, nameOf, rtmpUrl, watchUrl } from './format.ts';
import { ICONS } from './icons.ts';
import { byWeight, type Check, checksOf } from './live-state.ts';
import type { Broadcast, Info, Key, Live } from './model.ts';
import { hashOf } from './route.ts';
import { sheet } from './styles.ts';
import { findingText } from './texts/findings/findings.ts';

const WAYS = ['browser', 'obs', 'ffmpeg', 'bbb', 'phone'] as const;
type Way = (typeof WAYS)[number];

/**
 * @prop {Broadcast} broadcast
 * @prop {Live | null} live - what comes in
 */
export class ConsoleGoLive extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    live: { attribute: false },
    way: { state: true },
    keys: { state: true },
    secret: { state: true },
  };

  declare broadcast: Broadcast;
  declare live: Live | null;
  declare private way: Way;
  declare private keys: readonly Key[] | null;
  /** The key that was just made: it is not told again. */
  declare private secret: string;
  readonly #form = new Form(this);

  static override styles = [
    colours,
    sheet,
    css`
      .page {
        display: grid;
        grid-template-columns: minmax(0, 1fr) 21rem;
        gap: 1.25rem;
        align-items: start;
      }
      .ways {
        display: flex;
        flex-wrap: wrap;
        gap: 0.25rem;
        padding: 0.25rem;
        border-radius: 0.75rem;
        background: var(--_soft);
      }
      .ways button {
        flex: 1 1 auto;
        border: 0;
        padding-inline: 0.75rem;
        color: var(--_quiet);
      }
      .ways button[aria-selected='true'] {
        color: var(--_text);
        background: var(--_card);
        box-shadow: 0 0.0625rem 0.25rem rgb(0 0 0 / 0.16);
      }
      .steps {
        display: grid;
        gap: 0.5rem;
        margin: 0;
        padding-inline-start: 1.375rem;
      }
      .checks {
        counter-reset: check;
        gap: 1rem;
      }
      .checks li {
        counter-increment: check;
        display: grid;
        grid-template-columns: 1.75rem minmax(0, 1fr);
        gap: 0 0.75rem;
      }
      .checks > li > div {
        display: grid;
        gap: 0.5rem;
        min-width: 0;
      }
      .mark {
        display: grid;
        place-items: center;
        width: 1.75rem;
        height: 1.75rem;
        border: 0.125rem solid var(--_edge);
        border-radius: 50%;
        color: var(--_quiet);
        font-size: 0.875rem;
        font-weight: 650;
      }
      .mark::before {
        content: counter(check);
      }
      .mark svg {
        width: 1.125rem;
        height: 1.125rem;
      }
      .mark:has(svg)::before {
        display: none;
      }
      .done .mark {
        border-color: transparent;
        color: light-dark(#fff, #06180d);
        background: var(--_good);
      }
      .trouble .mark {
        border-color: transparent;
        color: light-dark(#fff, #1d1702);
        background: var(--_warn);
      }
      .checks b {
        font-weight: 600;
        line-height: 1.75rem;
      }
      .with-code {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 1rem 1.5rem;
        align-items: start;
      }
      @media (max-width: 60rem) {
        .page {
          grid-template-columns: minmax(0, 1fr);
        }
      }
      @media (max-width: 36rem) {
        .with-code {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  constructor() {
    super();
    this.live = null;
    this.way = 'obs';
    this.keys = null;
    this.secret = '';
  }

  protected override entered(): void {
    const { studio } = this.app;
    if (studio.stage !== 'off' && studio.broadcast === this.broadcast.id) this.way = 'browser';
    studio.addEventListener('change', () => this.requestUpdate(), { signal: this.signal });
    void this.#load();
  }

  override render() {
    const { goLive: T } = this.T;
    const { info } = this.app;
    if (!info) return nothing;
    return html`<div class="stack">
      <h2 tabindex="-1" data-heading class="unseen">${T.title}</h2>
      <div class="page">
        <div class="stack">
          ${this.broadcast.blocked ? html`<div class="notice bad">${T.blocked}</div>` : nothing}
          <div class="card">
            <h2 id="how">${T.how}</h2>
            ${this.#ways()}
            <div role="tabpanel" id="panel" aria-labelledby="way-${this.way}" class="stack">
              ${this.#way(info)}
            </div>
          </div>
        </div>
        ${this.#checklist(info)}
      </div>
    </div>`;
  }

  #ways() {
    const { goLive: T } = this.T;
    return html`<div class="ways" role="tablist" aria-labelledby="how" @keydown=${this.#key}>
      ${WAYS.map(
        (way) => html`<button
          type="button" role="tab" id="way-${way}" aria-controls="panel" aria-selected=${way === this.way}
          tabindex=${way === this.way ? 0 : -1}
          @click=${() => {
            this.way = way;
          }}
        >${T.ways[way]}</button>`,
      )}
    </div>`;
  }

  #way(info: Info) {
    const { goLive: T } = this.T;
    const url = rtmpUrl(info, location.hostname);
    const key = this.secret || T.keyPlace;
    const steps = (all: readonly string[]) =>
      html`<ol class="steps">${all.map((step) => html`<li>${step}</li>`)}</ol>`;
    switch (this.way) {
      case 'browser':
        return html`<console-browser .app=${this.app} .broadcast=${this.broadcast}></console-browser>`;
      case 'obs':
        return html`${this.#server(url)} ${this.#secret()} ${steps(T.obs)}`;
      case 'ffmpeg':
        return html`${this.#secret()}
          <console-copy
            block .app=${this.app} .label=${'ffmpeg'} .value=${ffmpegCommand(url, key)}
            .masked=${this.secret} .hint=${T.ffmpeg}
          ></console-copy>`;
      case 'bbb':
        return html`${this.#secret()} ${this.#whole(`${url}/${key}`)} ${steps(T.bbb)}
          <p class="hint">${T.bbbHint}</p>`;
      case 'phone':
        return html`${this.#secret()}
          <div class="with-code">
            <div class="stack">${this.#whole(`${url}/${key}`)} ${steps(T.phone)}</div>
            ${
              this.secret
                ? html`<div class="stack tight">
                    <console-qr .app=${this.app} .value=${`${url}/${key}`} .label=${T.whole}></console-qr>
                    <p class="hint">${T.scan}</p>
                  </div>`
                : nothing
            }
          </div>`;
    }
  }

  #server(url: string) {
    return html`<console-copy .app=${this.app} .label=${this.T.goLive.server} .value=${url}></console-copy>`;
  }

  #whole(address: string) {
    const { goLive: T } = this.T;
    return html`<console-copy
      .app=${this.app} .label=${T.whole} .value=${address} ?secret=${this.secret !== ''}
    ></console-copy>`;
  }

  /** The key while it can be shown, and the way to one. */
  #secret() {
    const { goLive: T, app: A } = this.T;
    const form = this.#form;
    if (this.secret) {
      return html`<div class="stack tight">
        <console-copy
          secret .app=${this.app} .label=${T.key} .value=${this.secret} .hint=${A.shownOnce}
        ></console-copy>
        <p class="hint">${T.keySecret}</p>
        <div><button type="button" class="small" ?disabled=${form.busy} @click=${this.#make}>
          ${T.makeAnother}
        </button></div>
      </div>`;
    }
    const active = this.keys ?? [];
    const list = active.map(({ label, hint }) => `${label} (${hint})`).join(', ');
    return html`<div class="notice">
      <p>${active.length > 0 ? T.keyHint : T.noKey}</p>
      ${active.length > 0 ? html`<p class="quiet">${T.youHave(list)}</p>` : nothing}
      <button
        type="button" class=${active.length > 0 ? '' : 'primary'} ?disabled=${form.busy || this.keys === null}
        @click=${this.#make}
      >${active.length > 0 ? T.makeAnother : T.makeKey}</button>
      ${form.notice()}
    </div>`;
  }

  #checklist(info: Info) {
    const { goLive: T, sharing: S, lang, findings } = this.T;
    const { broadcast, live } = this;
    const now = Date.now();
    const own = this.app.previewCounts(broadcast.id, now) ? 1 : 0;
    const checks = checksOf(this.keys?.length ?? null, live, now, own);
    const watch = watchUrl(info, broadcast.id, location.href);
    const toLive = hashOf({ page: 'broadcast', id: broadcast.id, tab: 'live' });
    const [first] = byWeight(live?.report?.findings ?? []);
    const worst = first ? findingText(lang, findings, first) : null;
    const encoder =
      checks.encoder === 'done'
        ? nothing
        : html`${
            worst
              ? html`<p lang=${worst.lang}><strong>${worst.title}</strong> ${worst.remedy}</p>`
              : nothing
          }
            <p class="hint">${T.waiting}</p>`;
    const picture =
      checks.picture === 'trouble'
        ? html`<p class="hint">
            <span lang=${worst?.lang ?? nothing}>${worst?.title}</span> <a href=${toLive}>${T.toFindings}</a>
          </p>`
        : checks.encoder !== 'done'
          ? nothing
          : html`<p class="hint">${checks.picture === 'done' ? T.looksGood : T.checking}</p>`;
    return html`<section class="card" aria-labelledby="checks">
      <h2 id="checks">${T.checklist}</h2>
      <ol class="plain checks">
        ${this.#check('key', checks.key, checks.key === 'done' ? nothing : html`<p class="hint">${T.noKeyYet}</p>`)}
        ${this.#check('encoder', checks.encoder, encoder)}
        ${this.#check('picture', checks.picture, picture)}
        ${this.#check(
          'viewers',
          checks.viewers,
          html`<console-copy .app=${this.app} .label=${S.watch} .value=${watch}></console-copy>
            <details>
              <summary>${S.embed}</summary>
              <console-copy
                block .app=${this.app} .label=${S.embed} .value=${embedCode(watch, nameOf(broadcast))}
              ></console-copy>
            </details>
            <details>
              <summary>QR</summary>
              <console-qr .app=${this.app} .value=${watch} .label=${S.watch}></console-qr>
            </details>`,
        )}
      </ol>
      ${
        checks.encoder === 'done'
          ? html`<a class="button primary" href=${toLive}>${T.toLive}</a>`
          : nothing
      }
    </section>`;
  }

  #check(name: keyof ReturnType<typeof checksOf>, check: Check, more: unknown) {
    const { goLive: T } = this.T;
    const told = { done: T.checkDone, open: T.checkOpen, trouble: T.checkTrouble }[check];
    return html`<li class=${check}>
      <span class="mark" aria-hidden="true"
        >${{ done: ICONS.check, trouble: ICONS.warning, open: nothing }[check]}</span
      >
      <div>
        <span role="status"><b>${T.checks[name]}</b><span class="unseen">: ${told}</span></span>
        ${more}
      </div>
    </li>`;
  }

  async #load(): Promise<void> {
    try {
      const keys = await this.app.api.keys.list(this.broadcast.id);
      this.keys = keys.filter(({ revoked_at }) => revoked_at === null);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // One can be made all the same.
      this.keys = [];
    }
  }

  async #make(): Promise<void> {
    const { goLive: T } = this.T;
    const label = T.keyLabel;
    const made = await this.#form.run(() => this.app.api.keys.create(this.broadcast.id, { label }));
    if (!made) return;
    const { key, ...known } = made;
    this.secret = key;
    this.keys = [...(this.keys ?? []), known];
  }

  /** The keys of tabs (ARIA Authoring Practices, Tabs). */
  async #key(event: KeyboardEvent): Promise<void> {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const at = (WAYS.indexOf(this.way) + by + WAYS.length) % WAYS.length;
    this.way = WAYS[at] ?? this.way;
    await this.focusOn(`#way-${this.way}`);
  }
}

customElements.define('console-go-live', ConsoleGoLive);
