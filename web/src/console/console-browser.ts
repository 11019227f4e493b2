// `<console-browser>`: going live from this page with camera or screen. Shows what the studio does, which goes
// on when this element leaves.

import { css, html, nothing } from 'lit';
import { live as asIs } from 'lit/directives/live.js';
import { colours } from '../colours.ts';
import { ApiError } from './api.ts';
import { View } from './element.ts';
import { bitrateText } from './format.ts';
import { ICONS } from './icons.ts';
import { Meter, shareOf } from './level.ts';
import type { Broadcast } from './model.ts';
import { Studio, type Trouble } from './studio.ts';
import { sheet } from './styles.ts';
import { errorText } from './texts/texts.ts';
import type { Source } from './whip.ts';

/** A meter is to follow speech, and not to flicker. */
const METER_MS = 60;
const STATS_MS = 1_000;
/** Whoever says nothing for this long may have the wrong microphone. */
const QUIET_MS = 6_000;
const QUIET_DB = -55;

/** @prop {Broadcast} broadcast */
export class ConsoleBrowser extends View {
  static override properties = {
    ...View.properties,
    broadcast: { attribute: false },
    quiet: { state: true },
    sending: { state: true },
    source: { state: true },
  };

  declare broadcast: Broadcast;
  declare private quiet: boolean;
  declare private sending: { readonly bps: number; readonly codec: string } | null;
  declare private source: Source;
  #meter: Meter | null = null;
  #metered: MediaStream | null = null;
  #heardMs = 0;
  #sent: { bytes: number; atMs: number } | null = null;

  static override styles = [
    colours,
    sheet,
    css`
      .stage {
        position: relative;
        overflow: hidden;
        aspect-ratio: 16 / 9;
        border-radius: 0.75rem;
        background: #0b0f14;
      }
      video {
        width: 100%;
        height: 100%;
        object-fit: contain;
      }
      .stage .state {
        position: absolute;
        inset: 0.625rem auto auto 0.625rem;
        padding: 0.125rem 0.625rem;
        border-radius: 1rem;
        color: #fff;
        background: rgb(10 14 20 / 0.78);
      }
      .choices {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.75rem;
      }
      .choices button {
        flex-direction: column;
        min-height: 5.5rem;
      }
      .choices svg {
        width: 1.75rem;
        height: 1.75rem;
        color: var(--_accent);
      }
      .devices {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr));
        gap: 0.75rem;
      }
      .level {
        display: grid;
        grid-template-columns: auto minmax(0, 1fr);
        align-items: center;
        gap: 0.625rem;
      }
      .level svg {
        color: var(--_quiet);
      }
      meter {
        width: 100%;
        height: 0.875rem;
      }
    `,
  ];

  constructor() {
    super();
    this.quiet = false;
    this.sending = null;
    this.source = 'camera';
  }

  protected override entered(): void {
    const { studio } = this.app;
    studio.addEventListener('change', () => this.requestUpdate(), { signal: this.signal });
    this.every(METER_MS, () => this.#measure());
    this.every(STATS_MS, () => void this.#count());
  }

  protected override left(): void {
    this.#meter?.close();
    this.#meter = null;
    this.#metered = null;
    const { studio } = this.app;
    // A camera that nobody sees the picture of had better be off.
    if (!studio.sending) void studio.close();
  }

  override updated(): void {
    const { stream } = this.app.studio;
    const video = this.renderRoot.querySelector('video');
    if (video && video.srcObject !== stream) video.srcObject = stream;
    if (stream === this.#metered) return;
    this.#meter?.close();
    this.#metered = stream;
    this.#heardMs = Date.now();
    this.#meter = stream && stream.getAudioTracks().length > 0 ? new Meter(stream) : null;
  }

  override render() {
    const { browser: T } = this.T;
    const { studio, info } = this.app;
    if (!window.isSecureContext) return this.#sorry(T.insecure);
    if (!Studio.supported) return this.#sorry(T.unsupported);
    if (!info?.whip) return this.#sorry(T.notOffered);
    if (studio.sending && studio.broadcast !== this.broadcast.id) {
      return this.#sorry(T.elsewhere(studio.broadcast ?? ''));
    }
    return html`<div class="stack">
      ${studio.stage === 'off' ? this.#begin() : this.#stage()}
      <div role="alert">${
        studio.trouble ? html`<p class="notice bad">${this.#trouble(studio.trouble)}</p>` : nothing
      }</div>
    </div>`;
  }

  #sorry(text: string) {
    return html`<p class="notice">${text}</p>`;
  }

  #begin() {
    const { browser: T } = this.T;
    const choice = (source: Source, icon: unknown, text: string) =>
      html`<button type="button" @click=${() => this.#open(source)}>${icon} ${text}</button>`;
    return html`<p>${T.text}</p>
      <div class="stack tight">
        <h3 id="source">${T.source}</h3>
        <div class="choices" role="group" aria-labelledby="source">
          ${choice('camera', ICONS.camera, T.camera)}
          ${
            'getDisplayMedia' in navigator.mediaDevices
              ? choice('screen', ICONS.screen, T.screen)
              : nothing
          }
        </div>
      </div>`;
  }

  #stage() {
    const { browser: T, states } = this.T;
    const { studio } = this.app;
    const { stage, stream } = studio;
    const sound = (stream?.getAudioTracks().length ?? 0) > 0;
    return html`<div class="stage">
        <video autoplay playsinline .muted=${true} aria-label=${T.preview}></video>
        <span class="state ${stage === 'live' ? 'live' : stage === 'reconnecting' ? 'away' : ''}">${
          {
            live: states.live,
            preview: T.preview,
            connecting: T.connecting,
            reconnecting: T.connecting,
            off: '',
          }[stage]
        }</span>
      </div>
      <div role="status">
        ${stage === 'live' ? html`<strong>${T.live}</strong>. ${T.keepOpen}` : nothing}
        ${stage === 'reconnecting' ? html`<p class="notice warn">${T.reconnecting}</p>` : nothing}
        ${stage === 'connecting' ? T.connecting : nothing}
      </div>
      ${
        sound
          ? html`<div class="level">
              ${studio.muted ? ICONS.micOff : ICONS.mic}
              <meter min="0" max="1" low="0.25" high="0.93" optimum="0.6" aria-label=${T.level}></meter>
            </div>`
          : nothing
      }
      ${studio.muted ? html`<p class="quiet" role="status">${T.muted}</p>` : nothing}
      ${this.quiet && !studio.muted ? html`<p class="quiet" role="status">${T.quiet}</p>` : nothing}
      <div class="row">
        ${
          studio.sending
            ? html`<button type="button" class="danger" @click=${this.#stop}>${ICONS.stop} ${T.stop}</button>`
            : html`<button
                type="button" class="on-air" ?disabled=${this.broadcast.blocked}
                @click=${this.#goLive}
              >${T.goLive}</button>`
        }
        ${
          sound
            ? html`<button
                type="button" aria-pressed=${studio.muted} @click=${() => studio.mute(!studio.muted)}
              >${studio.muted ? ICONS.micOff : ICONS.mic} ${studio.muted ? T.unmute : T.mute}</button>`
            : nothing
        }
        ${
          studio.sending
            ? nothing
            : html`<button type="button" @click=${() => studio.close()}>${T.off}</button>`
        }
      </div>
      ${
        this.sending && stage === 'live'
          ? html`<p class="hint">${T.sending(bitrateText(this.T.lang, this.sending.bps), this.sending.codec)}</p>`
          : nothing
      }
      ${this.#devices()}`;
  }

  #devices() {
    const { browser: T } = this.T;
    const { studio } = this.app;
    const { devices, source } = studio;
    const using = (kind: 'audio' | 'video') =>
      studio.stream
        ?.getTracks()
        .find((track) => track.kind === kind)
        ?.getSettings().deviceId ?? '';
    const names = (kind: MediaDeviceKind) =>
      devices
        .filter((device) => device.kind === kind)
        .map(({ deviceId, label }, index) => ({ deviceId, label: label || T.device(index + 1) }));
    const [cameras, microphones] = [names('videoinput'), names('audioinput')];
    const other: Source = source === 'camera' ? 'screen' : 'camera';
    return html`<div class="devices">
        ${
          source === 'camera'
            ? html`<div class="field">
                <label for="camera">${T.cameraDevice}</label>
                <select
                  id="camera"
                  @change=${(event: Event) => {
                    studio.camera = (event.target as HTMLSelectElement).value;
                    void this.#open('camera');
                  }}
                >
                  ${cameras.map(
                    ({ deviceId, label }) =>
                      html`<option value=${deviceId} .selected=${asIs(deviceId === using('video'))}>${label}</option>`,
                  )}
                </select>
              </div>`
            : nothing
        }
        <div class="field">
          <label for="microphone">${T.microphone}</label>
          <select
            id="microphone"
            @change=${(event: Event) => {
              const { value } = event.target as HTMLSelectElement;
              studio.microphone = value === 'none' ? null : value;
              void this.#open(source);
            }}
          >
            ${microphones.map(
              ({ deviceId, label }) =>
                html`<option value=${deviceId} .selected=${asIs(this.#isMicrophone(deviceId, using('audio')))}>${label}</option>`,
            )}
            <option value="none" .selected=${asIs(studio.microphone === null)}>${T.noMicrophone}</option>
          </select>
        </div>
      </div>
      ${
        'getDisplayMedia' in navigator.mediaDevices
          ? html`<div><button type="button" class="small" @click=${() => this.#open(other)}>
              ${other === 'screen' ? ICONS.screen : ICONS.camera} ${other === 'screen' ? T.pick : T.camera}
            </button></div>`
          : nothing
      }`;
  }

  #isMicrophone(deviceId: string, using: string): boolean {
    const { microphone } = this.app.studio;
    return microphone !== null && (microphone ? microphone === deviceId : using === deviceId);
  }

  #trouble(trouble: Trouble): string {
    const { browser: T, errors: E } = this.T;
    const { reason, retryAfter } = this.app.studio;
    switch (trouble) {
      case 'denied':
        return T.denied;
      case 'not-found':
        return T.notFound;
      case 'in-use':
        return T.inUse;
      case 'screen-ended':
        return T.ended;
      case 'lost-device':
        return T.lostDevice;
      case 'refused':
        return T.refused(reason || E.other);
      case 'failed':
        return T.failed;
      case 'keys-full':
        return T.keysFull;
      case 'stopped':
        return [T.stopped, retryAfter === null ? '' : E.waitSeconds(retryAfter)].join(' ').trim();
      case 'blocked':
        return T.blocked;
      case 'replaced':
        return T.replaced;
      case 'api':
        return reason || E.other;
    }
  }

  async #open(source: Source): Promise<void> {
    await this.app.studio.open(this.broadcast.id, source);
  }

  /** Goes live, and not instead of somebody else without being told to. */
  async #goLive(): Promise<void> {
    const { browser: T } = this.T;
    const { api, studio } = this.app;
    try {
      const { publisher } = await api.broadcasts.live(this.broadcast.id);
      const sure = {
        title: T.insteadTitle,
        text: T.insteadText,
        action: T.instead,
        danger: true,
      };
      if (publisher && !(await this.app.ask(sure))) return;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return this.app.say(errorText(this.T, error));
    }
    await studio.goLive();
  }

  async #stop(): Promise<void> {
    const { browser: T } = this.T;
    const sure = { title: T.stopTitle, text: T.stopText, action: T.stop, danger: true };
    if (await this.app.ask(sure)) await this.app.studio.stop();
  }

  #measure(): void {
    const meter = this.renderRoot.querySelector('meter');
    if (!meter || !this.#meter) return;
    const db = this.#meter.read();
    meter.value = shareOf(db);
    const nowMs = Date.now();
    if (db > QUIET_DB) this.#heardMs = nowMs;
    this.quiet = nowMs - this.#heardMs > QUIET_MS;
  }

  async #count(): Promise<void> {
    const report = await this.app.studio.stats();
    let bytes = 0;
    let codec = '';
    for (const each of report?.values() ?? []) {
      if (each.type !== 'outbound-rtp') continue;
      bytes += each.bytesSent ?? 0;
      if (each.kind === 'video')
        codec = report?.get(each.codecId)?.mimeType?.split('/')[1] ?? codec;
    }
    const atMs = performance.now();
    const before = this.#sent;
    this.#sent = report ? { bytes, atMs } : null;
    if (!before || !report || bytes < before.bytes) {
      this.sending = null;
      return;
    }
    this.sending = { bps: ((bytes - before.bytes) * 8_000) / (atMs - before.atMs), codec };
  }
}

customElements.define('console-browser', ConsoleBrowser);
