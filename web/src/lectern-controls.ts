// `<lectern-controls>`: the bar over the picture. It holds no state and touches no media: what is
// true comes down as attributes, what the viewer wants goes up as `lectern-request` events.
//
// Own and small, because the player changes between two video elements under one set of controls,
// while ready-made sets bind to one element, and because native buttons bring keyboard, focus and
// names for nothing.

import { css, html, LitElement, nothing } from 'lit';
import { ICONS } from './icons.ts';
import { type Texts, textsFor } from './texts/texts.ts';

export type ControlRequest =
  | { readonly want: 'play' | 'pause' | 'mute' | 'unmute' | 'pip' | 'fullscreen' }
  | { readonly want: 'volume'; readonly volume: number };

export class RequestEvent extends CustomEvent<ControlRequest> {
  constructor(request: ControlRequest) {
    super('lectern-request', { detail: request, bubbles: true });
  }
}

/**
 * @attr {boolean} paused - the viewer paused
 * @attr {boolean} muted
 * @attr {number} volume - 0 to 1
 * @attr {boolean} fullscreen
 * @attr {boolean} can-pip - picture in picture is possible
 * @attr {boolean} live - a live picture is shown
 * @attr {string} word - the state in a word
 * @prop {Texts} texts - in the viewer's language
 * @fires lectern-request
 */
export class LecternControls extends LitElement {
  static override properties = {
    paused: { type: Boolean },
    muted: { type: Boolean },
    volume: { type: Number },
    fullscreen: { type: Boolean },
    canPip: { type: Boolean, attribute: 'can-pip' },
    live: { type: Boolean },
    word: { type: String },
    texts: { attribute: false },
  };

  declare paused: boolean;
  declare muted: boolean;
  declare volume: number;
  declare fullscreen: boolean;
  declare canPip: boolean;
  declare live: boolean;
  declare word: string;
  declare texts: Texts;

  static override styles = css`
    :host {
      display: flex;
      align-items: center;
      gap: 0.125rem;
      padding: 2.5rem 0.5rem 0.375rem;
      color: #fff;
      background: linear-gradient(to top, rgb(0 0 0 / 0.72), transparent);
      font: inherit;
    }
    button {
      display: grid;
      place-items: center;
      width: 2.75rem;
      height: 2.75rem;
      padding: 0;
      border: 0;
      border-radius: 0.5rem;
      color: inherit;
      background: none;
      cursor: pointer;
    }
    button:hover {
      background: rgb(255 255 255 / 0.16);
    }
    :is(button, input):focus-visible {
      outline: 0.1875rem solid var(--lectern-focus, #8ec5ff);
      outline-offset: -0.125rem;
    }
    input {
      width: 5.5rem;
      height: 1.75rem;
      margin: 0 0.5rem 0 0;
      border-radius: 0.5rem;
      accent-color: #fff;
      cursor: pointer;
    }
    .state {
      display: flex;
      align-items: center;
      gap: 0.5rem;
      margin: 0 auto 0 0.5rem;
      font-size: 0.875rem;
      font-weight: 600;
      white-space: nowrap;
    }
    .state::before {
      content: '';
      width: 0.5rem;
      height: 0.5rem;
      border-radius: 50%;
      background: #9aa4b2;
    }
    :host([live]) .state::before {
      background: #ff4d4d;
    }
    /* A phone has keys for its volume. */
    @media (pointer: coarse), (max-width: 30rem) {
      input {
        display: none;
      }
    }
  `;

  constructor() {
    super();
    this.paused = false;
    this.muted = false;
    this.volume = 1;
    this.fullscreen = false;
    this.canPip = false;
    this.live = false;
    this.word = '';
    this.texts = textsFor(navigator.languages);
  }

  override render() {
    const T = this.texts.controls;
    return html`
      ${
        this.paused
          ? this.#button('play', T.play, ICONS.play)
          : this.#button('pause', T.pause, ICONS.pause)
      }
      ${
        this.muted
          ? this.#button('unmute', T.unmute, ICONS.muted)
          : this.#button('mute', T.mute, ICONS.loud)
      }
      <input
        type="range" min="0" max="1" step="0.05" aria-label=${T.volume}
        .value=${String(this.muted ? 0 : this.volume)}
        @input=${(event: Event) =>
          this.#request({
            want: 'volume',
            volume: Number((event.target as HTMLInputElement).value),
          })}
      />
      <span class="state">${this.word}</span>
      ${this.canPip ? this.#button('pip', T.pip, ICONS.pip) : nothing}
      ${this.#button(
        'fullscreen',
        this.fullscreen ? T.exitFullscreen : T.fullscreen,
        this.fullscreen ? ICONS.exitFullscreen : ICONS.fullscreen,
      )}
    `;
  }

  #button(want: Exclude<ControlRequest['want'], 'volume'>, name: string, icon: unknown) {
    return html`<button part="button" type="button" aria-label=${name} title=${name}
      @click=${() => this.#request({ want })}>${icon}</button>`;
  }

  #request(request: ControlRequest): void {
    this.dispatchEvent(new RequestEvent(request));
  }
}

customElements.define('lectern-controls', LecternControls);
