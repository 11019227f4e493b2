// `<console-sharing>`: how viewers get there: the link, the code for a web page, the QR code for the first slide,
// and links of their own where only those let anybody in.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import './console-copy.ts';
import './console-qr.ts';
import { View } from './element.ts';
import { Form, input, select } from './form.ts';
import { embedCode, nameOf, watchUrl, whenText } from './format.ts';
import { ICONS } from './icons.ts';
import type { Broadcast, ViewerToken } from './model.ts';
import { qrFile, qrOf } from './qr.ts';
import { sheet } from './styles.ts';

const DAY_SECS = 86_400;
const LASTS = { day: DAY_SECS, week: 7 * DAY_SECS, month: 30 * DAY_SECS, term: 180 * DAY_SECS };
type Lasts = keyof typeof LASTS;
/** A browser has read a file of its own page by then. */
const READ_MS = 60_000;

/** @prop {Broadcast} broadcast */
export class ConsoleSharing extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    subject: { state: true },
    lasts: { state: true },
    made: { state: true },
  };

  declare broadcast: Broadcast;
  declare private subject: string;
  declare private lasts: Lasts;
  declare private made: ViewerToken | null;
  readonly #form = new Form(this);

  static override styles = [
    colours,
    sheet,
    css`
      .page {
        display: grid;
        grid-template-columns: minmax(0, 1fr) 17rem;
        gap: 1.25rem;
        align-items: start;
      }
      console-qr {
        --size: 100%;
      }
      .make {
        grid-template-columns: minmax(0, 1fr) 10rem;
        align-items: start;
      }
      .make > :nth-child(n + 3) {
        grid-column: 1 / -1;
      }
      @media (max-width: 48rem) {
        .page,
        .make {
          grid-template-columns: minmax(0, 1fr);
        }
        console-qr {
          --size: 15rem;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.subject = '';
    this.lasts = 'week';
    this.made = null;
  }

  override render() {
    const { sharing: T } = this.T;
    const { info } = this.app;
    if (!info) return nothing;
    const { broadcast } = this;
    const own = broadcast.visibility === 'token';
    const watch = watchUrl(info, broadcast.id, location.href);
    const code = (own && this.made?.url) || watch;
    return html`<div class="stack">
      <h2 tabindex="-1" data-heading>${T.title}</h2>
      <div class="page">
        <div class="stack">
          ${own && broadcast.role !== 'moderator' ? this.#own() : nothing}
          <div class="card">
            ${own ? html`<p class="notice warn">${T.openWarning}</p>` : nothing}
            <console-copy .app=${this.app} .label=${T.watch} .value=${watch} .hint=${own ? '' : T.watchHint}>
            </console-copy>
            <div><a class="button small" href=${watch} target="_blank">${ICONS.open} ${T.open}</a></div>
          </div>
          <div class="card">
            <console-copy
              block .app=${this.app} .label=${T.embed} .value=${embedCode(watch, nameOf(broadcast))}
              .hint=${T.embedHint}
            ></console-copy>
          </div>
        </div>
        <div class="card">
          <console-qr .app=${this.app} .value=${code} .label=${T.watch}></console-qr>
          <p class="hint">${T.qrHint}</p>
          <div><button type="button" class="small" @click=${() => this.#save(code)}>
            ${ICONS.download} ${T.download}
          </button></div>
        </div>
      </div>
    </div>`;
  }

  #own() {
    const { sharing: T, app: A } = this.T;
    const form = this.#form;
    return html`<section class="card" aria-labelledby="own">
      <h3 id="own">${T.token}</h3>
      <p class="quiet">${T.tokenText}</p>
      <form class="make" @submit=${this.#make}>
        ${input({
          ...{ name: 'subject', label: T.subject, hint: T.subjectHint, optional: A.optional },
          ...{ value: this.subject, maxlength: 120, error: form.error('subject') },
          change: (subject) => {
            this.subject = subject;
          },
        })}
        ${select({
          ...{ name: 'expires', label: T.expires, value: this.lasts },
          error: form.error('expires_in_secs'),
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
                .app=${this.app} .label=${T.token} .value=${new URL(this.made.url, location.href).href}
                .hint=${T.made(whenText(this.T.lang, this.made.expires_at))}
              ></console-copy>`
            : nothing
        }
      </div>
    </section>`;
  }

  async #make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const subject = this.subject.trim();
    const body = { expires_in_secs: LASTS[this.lasts], ...(subject ? { subject } : {}) };
    const made = await this.#form.run(() =>
      this.app.api.broadcasts.viewerToken(this.broadcast.id, body),
    );
    if (made) this.made = made;
  }

  #save(text: string): void {
    const file = new Blob([qrFile(qrOf(text))], { type: 'image/svg+xml' });
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = `${this.broadcast.id}-qr.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), READ_MS);
  }
}

customElements.define('console-sharing', ConsoleSharing);
