// The look of the bar over the picture: media-chrome's controls and ours.

import { css } from 'lit';

export const controlStyles = css`
  .bar {
    position: relative;
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    align-self: stretch;
    gap: 0.125rem;
    box-sizing: border-box;
    width: 100%;
    padding: 2.5rem 0.5rem 0.25rem;
    color: #fff;
    background: linear-gradient(to top, rgb(0 0 0 / 0.76), rgb(0 0 0 / 0.4) 55%, transparent);
    font: 600 0.875rem / 1.25 var(--lectern-font, system-ui, sans-serif);
  }
  .bar[hidden],
  .bar > [hidden] {
    display: none;
  }
  /* What has the focus of a keyboard is seen, however long ago anything moved. */
  .bar:has(:focus-visible),
  .bar:has(lectern-menu[open]) {
    opacity: 1 !important;
  }
  .bar > :is(media-play-button, media-mute-button, media-captions-button),
  .bar > :is(media-pip-button, media-fullscreen-button) {
    width: 2.75rem;
    height: 2.75rem;
    border-radius: 0.5rem;
    --media-control-padding: 0.5rem;
  }
  .bar :is(media-time-range, media-volume-range):focus-within:has(:focus-visible),
  .bar > :focus-visible {
    border-radius: 0.5rem;
    outline: 0.1875rem solid #8ec5ff;
    outline-offset: -0.1875rem;
  }
  .time {
    position: relative;
    flex: 1 0 100%;
    margin: 0 0.25rem -0.125rem;
  }
  .preview {
    position: absolute;
    bottom: calc(100% + 0.25rem);
    padding: 0.1875rem 0.5rem;
    border-radius: 0.375rem;
    background: rgb(18 24 33 / 0.92);
    opacity: 0;
    translate: -50%;
    pointer-events: none;
    font-size: 0.8125rem;
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  @media (hover: hover) {
    .time:hover .preview:not(:empty) {
      opacity: 1;
    }
  }
  media-time-range {
    width: 100%;
    height: 1.5rem;
    padding: 0;
    --media-range-track-height: 0.25rem;
    --media-range-track-border-radius: 0.125rem;
    --media-range-bar-color: var(--lectern-range, #ff4d4d);
    --media-range-thumb-background: var(--lectern-range, #ff4d4d);
    --media-range-thumb-width: 0.875rem;
    --media-range-thumb-height: 0.875rem;
    --media-control-hover-background: transparent;
  }
  media-volume-range {
    width: 5.5rem;
    height: 2.75rem;
    padding: 0 0.25rem;
    --media-control-hover-background: transparent;
    --media-range-track-height: 0.25rem;
    --media-range-track-border-radius: 0.125rem;
  }
  media-live-button {
    min-height: 2.25rem;
    padding: 0 0.625rem;
    border-radius: 0.5rem;
    --media-live-button-icon-color: #c3cedb;
    --media-live-button-indicator-color: #ff4d4d;
  }
  .word {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    margin: 0 0.625rem;
    white-space: nowrap;
  }
  .word::before {
    content: '';
    width: 0.5rem;
    height: 0.5rem;
    border-radius: 50%;
    background: #9aa4b2;
  }
  .word.live::before {
    background: #ff4d4d;
  }
  .back {
    margin-right: auto;
    font-variant-numeric: tabular-nums;
  }
  /* A phone has keys for its volume. */
  @media (pointer: coarse), (max-width: 30rem) {
    media-volume-range {
      display: none;
    }
  }
  @media (max-width: 30rem) {
    .bar {
      padding-inline: 0.25rem;
    }
    media-live-button,
    .word {
      margin: 0;
      padding-inline: 0.375rem;
    }
  }
`;
