// What the player renders beside the picture, as functions of what is to be seen: the text over it, the
// bar of controls, and the line below.

import { html, nothing } from 'lit';
import type { Caption } from './captions.ts';
import type { Transport } from './engines/engine.ts';
import type { Rendition } from './info.ts';
import type { Path, State } from './ladder.ts';
import type { ChoiceEvent } from './lectern-menu.ts';
import type { Said } from './message.ts';
import { latencyText, pathText, reasonText, type Texts } from './texts/texts.ts';
import { clockText, LIVE_WITHIN_MS } from './window.ts';

/** The text where the picture would be. What counts down is read out once, and not every second. */
export function messageView(texts: Texts, said: Said | null) {
  if (!said) return nothing;
  const live = said.counts ? 'off' : nothing;
  return html`<div class="message" part="message">
    ${said.pending ? html`<div class="pulse"><i></i><i></i><i></i></div>` : nothing}
    <strong>${said.title}</strong>
    ${said.detail ? html`<span aria-live=${live}>${said.detail}</span>` : nothing}
    ${
      said.replay
        ? html`<a part="replay" href=${said.replay} target="_top">${texts.controls.replay}</a>`
        : nothing
    }
  </div>`;
}

export interface Bar {
  readonly state: State;
  readonly path: Path | null;
  readonly paused: boolean;
  /** There is something to go back to, and so far. */
  readonly windowed: boolean;
  readonly windowMs: number;
  readonly behindMs: number | null;
  readonly captions: readonly Caption[];
  readonly renditions: readonly Rendition[];
  readonly chosen: string | null;
  readonly playing: Rendition | null;
  /** The panel for those who want to know is open. */
  readonly stats: boolean;
  readonly choose: (event: ChoiceEvent) => void;
}

/** The bar: media-chrome's controls, and ours between them. */
export function barView(texts: Texts, bar: Bar) {
  const { controls: T } = texts;
  const live = bar.state === 'live';
  return html`<div
    class="bar" part="controls" role="group" aria-label=${T.controls} ?hidden=${bar.path === null}
  >
    <div
      class="time" ?hidden=${!bar.windowed}
      @pointermove=${(event: PointerEvent) => preview(event, bar.windowMs, T.live)}
    >
      <media-time-range part="control time-range"></media-time-range>
      <span class="preview" part="preview" aria-hidden="true"></span>
    </div>
    <media-play-button part="control"></media-play-button>
    <media-mute-button part="control"></media-mute-button>
    <media-volume-range part="control volume"></media-volume-range>
    ${
      live && bar.windowed
        ? html`<media-live-button part="control live" class="live"></media-live-button>`
        : html`<span class="word ${live && !bar.paused ? 'live' : ''}">${texts.words[bar.state]}</span>`
    }
    <span class="back">${bar.behindMs ? `−${clockText(bar.behindMs)}` : ''}</span>
    ${
      bar.captions.length > 0
        ? html`<media-captions-button part="control"></media-captions-button>`
        : nothing
    }
    <lectern-menu
      exportparts="menu, menu-button" .texts=${texts} .renditions=${bar.renditions}
      .chosen=${bar.chosen} .playing=${bar.playing} .captions=${bar.captions} ?stats=${bar.stats}
      @lectern-choice=${bar.choose}
    ></lectern-menu>
    ${
      document.pictureInPictureEnabled
        ? html`<media-pip-button part="control pip"></media-pip-button>`
        : nothing
    }
    <media-fullscreen-button part="control"></media-fullscreen-button>
  </div>`;
}

/**
 * Says what a click on the range would go back to. media-chrome's own preview takes every range to begin
 * at zero.
 */
function preview({ currentTarget, clientX }: PointerEvent, windowMs: number, live: string): void {
  if (!(currentTarget instanceof HTMLElement)) return;
  const label = currentTarget.querySelector<HTMLElement>('.preview');
  const { left, width } = currentTarget.getBoundingClientRect();
  if (!label || width === 0) return;
  const share = Math.min(1, Math.max(0, (clientX - left) / width));
  const backMs = (1 - share) * windowMs;
  label.textContent = backMs < LIVE_WITHIN_MS ? live : `−${clockText(backMs)}`;
  const half = label.offsetWidth / 2;
  label.style.left = `${Math.min(width - half, Math.max(half, share * width))}px`;
}

interface Line {
  readonly state: State;
  readonly path: Path | null;
  readonly transport: Transport | null;
  readonly latencyMs: number | null;
  readonly behindMs: number | null;
  readonly fallbackReason: string | null;
}

/** The line below the picture: by which path, how far from the host, and why not WebRTC. */
export function statusView(texts: Texts, line: Line) {
  const { path, fallbackReason } = line;
  return html`<div class="status" part="status" lang=${texts.lang}>
    ${path ? html`<span class="badge" part="badge">${pathText(texts, path, line.transport)}</span>` : nothing}
    ${distanceView(texts, line)}
    ${
      fallbackReason && path && path !== 'webrtc'
        ? html`<details>
            <summary>${texts.controls.why}</summary>
            <p>${reasonText(texts, fallbackReason)}</p>
          </details>`
        : nothing
    }
  </div>`;
}

/** How far from the host the picture is. */
function distanceView(texts: Texts, { state, behindMs, latencyMs }: Line) {
  if (state === 'live' && behindMs) {
    return html`<span class="latency">${texts.behindLive(clockText(behindMs))}</span>`;
  }
  return state === 'live' && latencyMs !== null
    ? html`<span class="latency">${latencyText(texts, latencyMs)}</span>`
    : html`<span>${texts.words[state]}</span>`;
}
