// `<console-live>`: a broadcast while it is on: what viewers see, who watches, what the doctor says, the figures
// of the encoder, the comments, and how to end it.

import { css, html, nothing } from 'lit';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import './console-chart.ts';
import './console-findings.ts';
import { View } from './element.ts';
import { bitrateText, clockText, nameOf, numberText, siblingUrl, watchUrl } from './format.ts';
import type { Broadcast, Key, Live, Point, Report } from './model.ts';
import { hashOf } from './route.ts';
import { sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';

/** A preview of a broadcast that only some may watch, for as long as a long lecture takes. */
const PREVIEW_SECS = 8 * 3_600;

/**
 * @prop {Broadcast} broadcast
 * @prop {Live | null} live
 */
export class ConsoleLive extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    live: { attribute: false },
    ready: { state: true },
    token: { state: true },
    shut: { state: true },
    keys: { state: true },
    busy: { state: true },
  };

  declare broadcast: Broadcast;
  declare live: Live | null;
  /** The player's script is there, and the edge lets it in. */
  declare private ready: boolean;
  declare private token: string;
  /** Why neither picture nor comments can be shown here; empty while nothing speaks against it. */
  declare private shut: string;
  declare private keys: readonly Key[];
  declare private busy: boolean;

  static override styles = [
    colours,
    sheet,
    css`
      .page {
        display: grid;
        grid-template-columns: minmax(0, 1fr) 23rem;
        gap: 1.25rem;
        align-items: start;
      }
      lectern-player {
        --lectern-radius: 0.75rem;
        --lectern-max-height: 60dvh;
      }
      lectern-comments {
        display: flex;
        position: sticky;
        top: 1rem;
        height: min(52rem, calc(100dvh - 2rem));
        min-height: 24rem;
      }
      .tiles {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
        gap: 0.75rem;
      }
      .tile {
        display: grid;
        align-content: start;
        gap: 0.125rem;
        padding: 0.875rem 1.125rem;
        border: 0.0625rem solid var(--_line);
        border-radius: 0.75rem;
        background: var(--_card);
      }
      .tile .quiet {
        font-size: 0.875rem;
      }
      .tile strong {
        font-size: 1.5rem;
        font-weight: 650;
        font-variant-numeric: tabular-nums;
        letter-spacing: -0.02em;
        overflow-wrap: anywhere;
      }
      .tile strong.text {
        font-size: 1.0625rem;
        line-height: 1.75;
      }
      .actions {
        justify-content: end;
      }
      .charts {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
        gap: 1.25rem 1.75rem;
      }
      @media (max-width: 64rem) {
        .page {
          grid-template-columns: minmax(0, 1fr);
        }
        .actions {
          justify-content: start;
        }
        lectern-comments {
          position: static;
          height: 36rem;
        }
      }
      @media (max-width: 36rem) {
        .tile:last-child {
          grid-column: 1 / -1;
        }
      }
    `,
  ];

  constructor() {
    super();
    this.live = null;
    this.ready = false;
    this.token = '';
    this.shut = '';
    this.keys = [];
    this.busy = false;
  }

  protected override entered(): void {
    this.every(1_000);
    void this.#prepare();
    if (this.broadcast.role !== 'moderator') void this.#loadKeys();
  }

  protected override left(): void {
    if (this.ready) this.app.previewGone(this.broadcast.id, Date.now());
  }

  override render() {
    const { live: T } = this.T;
    const { broadcast } = this;
    const { state } = broadcast;
    return html`<div class="stack">
      <h2 tabindex="-1" data-heading class="unseen">${T.title}</h2>
      ${broadcast.role === 'moderator' ? nothing : this.#actions()}
      ${
        broadcast.blocked
          ? html`<div class="notice bad"><strong>${T.blocked}</strong><p>${T.blockedText}</p></div>`
          : nothing
      }
      ${state === 'away' ? this.#told(T.away, T.awayText, 'warn') : nothing}
      ${state === 'ended' ? this.#told(T.ended, T.endedText) : nothing}
      ${state === 'unbegun' ? this.#nothingYet() : this.#page()}
    </div>`;
  }

  #page() {
    const { live: T, lang } = this.T;
    const { live, broadcast } = this;
    const since = live?.since ?? broadcast.live_since;
    return html`<div class="page">
      <div class="stack">
        ${this.#preview()}
        <div class="tiles">
          ${this.#tile(T.duration, since && broadcast.state === 'live' ? clockText(Date.now() - Date.parse(since)) : '–')}
          ${this.#tile(T.viewers, numberText(lang, live?.viewers.total ?? broadcast.viewers))}
          ${this.#encoder()}
        </div>
        <section class="card" aria-labelledby="health">
          <h2 id="health">${T.health}</h2>
          ${this.#health(live?.report ?? null)}
        </section>
        ${live?.report ? this.#charts(live.report) : nothing}
        ${live ? this.#audience(live) : nothing}
      </div>
      ${
        this.ready
          ? html`<lectern-comments for="player" .moderatorKey=${broadcast.moderator_key ?? ''}>
            </lectern-comments>`
          : nothing
      }
    </div>`;
  }

  #preview() {
    const { info } = this.app;
    const { live: T, app: A } = this.T;
    if (this.shut) {
      return html`<div class="notice warn" role="status">
        <strong>${T.noPreview}</strong>
        <p>${this.shut}</p>
        <button type="button" class="small" @click=${this.#prepare}>${A.retry}</button>
      </div>`;
    }
    if (!this.ready || !info) return nothing;
    const src = siblingUrl(watchUrl(info, this.broadcast.id, location.href), 'live');
    return html`<lectern-player
      id="player" aria-label=${this.T.live.preview} token=${this.token} .src=${src} .muted=${true}
    ></lectern-player>`;
  }

  #tile(label: string, value: string, more: string = '', text = false) {
    return html`<div class="tile">
      <span class="quiet">${label}</span>
      <strong class=${text ? 'text' : ''}>${value}</strong>
      ${more ? html`<span class="quiet">${more}</span>` : nothing}
    </div>`;
  }

  #encoder() {
    const { live: T } = this.T;
    const { publisher = null, standby = false } = this.live ?? {};
    if (!publisher) return this.#tile(T.encoder, '–', T.notLive);
    // Who made it through the API may have given it no label.
    const key = this.keys.find(({ id }) => id === publisher.key)?.label || publisher.key;
    const via = T.via(publisher.protocol.toUpperCase(), key);
    return this.#tile(T.encoder, via, standby ? T.standby : T.noStandby, true);
  }

  #health(report: Report | null) {
    const { live: T } = this.T;
    const on = this.broadcast.state === 'live';
    if (!report || (!on && report.findings.length === 0)) {
      return html`<p class="quiet">${T.noReport}</p>`;
    }
    return html`
      ${report.findings.length === 0 ? html`<p role="status">${T.good}</p>` : nothing}
      <console-findings .app=${this.app} .findings=${report.findings}></console-findings>
    `;
  }

  #charts(report: Report) {
    const { live: T, lang } = this.T;
    const { history } = report;
    const of = (pick: (point: Point) => number | null) =>
      history.map((point) => ({ atMs: Date.parse(point.at), value: pick(point) }));
    const rate = (value: number) => bitrateText(lang, value);
    const ms = (value: number) => `${numberText(lang, value)} ms`;
    const plain = (value: number) => numberText(lang, value, value < 10 ? 1 : 0);
    const chart = (
      label: string,
      pick: (point: Point) => number | null,
      format: (v: number) => string,
    ) =>
      html`<console-chart .app=${this.app} .label=${label} .samples=${of(pick)} .format=${format}>
      </console-chart>`;
    return html`<section class="card" aria-labelledby="charts">
        <h2 id="charts">${T.charts}</h2>
        <div class="charts">
          ${chart(T.bitrate, ({ video_bps }) => video_bps, rate)}
          ${chart(T.frameRate, ({ frame_rate }) => frame_rate, plain)}
          ${chart(T.jitter, ({ jitter_ms }) => jitter_ms, ms)}
        </div>
      </section>
      <section class="card" aria-labelledby="figures">
        <h2 id="figures">${T.figures}</h2>
        ${this.#figures(report)}
      </section>`;
  }

  #figures({ figures: f }: Report) {
    const { live: T, lang } = this.T;
    const number = (value: number, digits = 0) => numberText(lang, value, digits);
    const joined = (parts: readonly (string | null)[]) =>
      parts.filter(Boolean).join(' · ') || T.none;
    const video = joined([
      f.video_codec,
      f.width && f.height ? `${f.width} × ${f.height}` : null,
      f.frame_rate === null ? null : `${number(f.frame_rate, 1)} fps`,
      f.video_bps === null ? null : bitrateText(lang, f.video_bps),
    ]);
    const audio = joined([
      f.audio_codec,
      f.sample_rate === null ? null : `${number(f.sample_rate / 1000, 1)} kHz`,
      f.channels === null ? null : T.channels(f.channels),
      f.audio_bps === null ? null : bitrateText(lang, f.audio_bps),
    ]);
    const rows: readonly (readonly [string, string | null])[] = [
      [T.video, video],
      [T.audio, audio],
      [T.keyframes, f.keyframe_ms === null ? null : `${number(f.keyframe_ms / 1000, 1)} s`],
      [T.jitter, f.jitter_ms === null ? null : `${number(f.jitter_ms)} ms`],
      [T.avOffset, f.av_offset_ms === null ? null : `${number(f.av_offset_ms)} ms`],
      [
        T.level,
        f.peak_dbfs === null || f.rms_dbfs === null
          ? null
          : T.levelText(number(f.peak_dbfs, 1), number(f.rms_dbfs, 1)),
      ],
    ];
    return html`<dl>${rows.map(([name, value]) => (value ? html`<dt>${name}</dt><dd>${value}</dd>` : nothing))}</dl>`;
  }

  #audience({ viewers }: Live) {
    const { live: T, lang } = this.T;
    const paths = Object.entries(viewers.by_path).filter(([, count]) => count > 0);
    const name = (path: string) =>
      Object.hasOwn(T.paths, path) ? T.paths[path as keyof typeof T.paths] : path;
    return html`<section class="card" aria-labelledby="viewers">
      <h2 id="viewers">${T.viewers}</h2>
      ${
        viewers.total === 0
          ? html`<p class="quiet">${T.noViewers}</p>`
          : html`<div class="grid">
              <table>
                <caption class="unseen">${T.byPath}</caption>
                <thead><tr><th scope="col">${T.path}</th><th scope="col">${T.viewers}</th></tr></thead>
                <tbody>${paths.map(
                  ([path, count]) =>
                    html`<tr><td>${name(path)}</td><td>${numberText(lang, count)}</td></tr>`,
                )}</tbody>
              </table>
              <table>
                <caption class="unseen">${T.byEdge}</caption>
                <thead><tr><th scope="col">${T.edge}</th><th scope="col">${T.viewers}</th></tr></thead>
                <tbody>${viewers.by_edge.map(
                  ({ edge, total }) =>
                    html`<tr><td>${edge}</td><td>${numberText(lang, total)}</td></tr>`,
                )}</tbody>
              </table>
            </div>`
      }
    </section>`;
  }

  #told(title: string, text: string, kind = '') {
    return html`<div class="notice ${kind}" role="status"><strong>${title}</strong><p>${text}</p></div>`;
  }

  #nothingYet() {
    const { live: T } = this.T;
    const { id, role } = this.broadcast;
    const findings = this.live?.report?.findings ?? [];
    return html`${
      // Such as why an encoder was sent away.
      findings.length > 0
        ? html`<console-findings .app=${this.app} .findings=${findings}></console-findings>`
        : nothing
    }
    <div class="card empty">
      <h3>${T.notLive}</h3>
      <p class="quiet">${T.notLiveText}</p>
      ${
        role === 'moderator'
          ? nothing
          : html`<a class="button primary" href=${hashOf({ page: 'broadcast', id, tab: 'go-live' })}
              >${T.goLive}</a
            >`
      }
    </div>`;
  }

  #actions() {
    const { live: T } = this.T;
    const { state, blocked, source } = this.broadcast;
    const on = state === 'live' || state === 'away';
    const name = nameOf(this.broadcast);
    // What the configuration file provisions is blocked there, by taking it out.
    const mayBlock = source === 'console';
    const stopText = [T.stopText(name), mayBlock ? T.stopHint : ''].join(' ');
    const sure = {
      stop: { title: T.stopTitle, text: stopText, action: T.stop, danger: true },
      block: { title: T.blockTitle, text: T.blockText(name), action: T.stopBlock, danger: true },
    };
    return html`<div class="row actions">
      ${
        on
          ? html`<button
              type="button" class="danger" ?disabled=${this.busy}
              @click=${async () => (await this.app.ask(sure.stop)) && this.#stop(false)}
            >${T.stop}</button>`
          : nothing
      }
      ${
        blocked
          ? html`<button type="button" ?disabled=${this.busy} @click=${this.#unblock}>${T.unblock}</button>`
          : mayBlock
            ? html`<button
                type="button" class="danger" ?disabled=${this.busy}
                @click=${async () => (await this.app.ask(sure.block)) && this.#stop(true)}
              >${T.stopBlock}</button>`
            : nothing
      }
    </div>`;
  }

  async #act(act: () => Promise<unknown>, done: string): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      await act();
      this.app.say(done);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.app.say(errorText(this.T, error));
    } finally {
      this.busy = false;
    }
  }

  #stop(block: boolean): Promise<void> {
    const { studio, api } = this.app;
    const { id } = this.broadcast;
    return this.#act(async () => {
      // Or the page itself would connect again at once.
      if (studio.sending && studio.broadcast === id) await studio.stop();
      await api.broadcasts.stop(id, block);
    }, this.T.live.stopped);
  }

  async #unblock(): Promise<void> {
    const { id, rev } = this.broadcast;
    await this.#act(async () => {
      const saved = await this.app.api.broadcasts.patch(id, { blocked: false }, rev);
      this.app.tell('broadcast', saved);
    }, this.T.live.unblocked);
  }

  /** The player is large, and of use only here. */
  readonly #prepare = async (): Promise<void> => {
    const { live: T } = this.T;
    this.shut = '';
    try {
      await Promise.all([import('../lectern-player.ts'), import('../lectern-comments.ts')]);
    } catch (error) {
      console.warn('console: preview:', error);
      this.shut = T.noPlayer;
      return;
    }
    try {
      const { visibility, registration } = this.broadcast;
      // Who hosts it is not asked.
      if (visibility === 'token' || registration !== null) await this.#admit();
      this.ready = true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.shut = T.notAdmitted(errorText(this.T, error));
    }
  };

  /** What lets this browser in where only those with a viewer link are. */
  async #admit(): Promise<void> {
    const { id } = this.broadcast;
    const body = { expires_in_secs: PREVIEW_SECS, subject: 'console' };
    this.token = (await this.app.api.broadcasts.viewerToken(id, body)).token;
  }

  async #loadKeys(): Promise<void> {
    this.keys = await this.app.api.keys.list(this.broadcast.id).catch(() => []);
  }
}

customElements.define('console-live', ConsoleLive);
