// The look of `<lectern-player>`. Themable from outside by custom properties and parts; light and
// dark follow the page's `color-scheme`.

import { css } from 'lit';

export const playerStyles = css`
  :host {
    position: relative;
    display: flex;
    flex-direction: column;
  }
  :host([hidden]) {
    display: none;
  }
  /* What the host asks stands in the place of the picture, as tall as it is. */
  .frame[hidden] {
    display: none;
  }
  lectern-registration {
    min-height: 12rem;
  }
  .frame {
    position: relative;
    overflow: hidden;
    aspect-ratio: 16 / 9;
    /* As wide as there is room for, and never taller than what leaves the status line in view. */
    max-height: var(--lectern-max-height, none);
    background: #0b0f14;
    border-radius: var(--lectern-radius, 0);
  }
  :host(:fullscreen) .frame {
    flex: 1;
    aspect-ratio: auto;
    max-height: none;
    border-radius: 0;
  }
  :host(:fullscreen) :is(.status, slot[name='title']) {
    display: none;
  }
  media-controller {
    display: block;
    width: 100%;
    height: 100%;
    line-height: 1.3;
    --media-background-color: transparent;
    --media-control-background: transparent;
    --media-control-hover-background: rgb(255 255 255 / 0.16);
    --media-primary-color: #fff;
    --media-font: 600 0.875rem / 1.25 var(--lectern-font, system-ui, sans-serif);
    --media-focus-box-shadow: none;
  }
  media-controller:focus {
    outline: none;
  }
  /* Inside the frame, which cuts off what is outside. */
  media-controller:focus-visible::after {
    content: '';
    position: absolute;
    inset: 0;
    border: 0.1875rem solid #8ec5ff;
    pointer-events: none;
  }
  lectern-media {
    display: block;
    position: relative;
    width: 100%;
    height: 100%;
  }
  lectern-stats {
    position: absolute;
    z-index: 1;
    top: 0.75rem;
    left: 0.75rem;
    max-width: min(30rem, calc(100% - 1.5rem));
    max-height: calc(100% - 6rem);
  }
  /* Where there is no room over the picture, below it. */
  @media (max-width: 40rem) {
    :host(:not(:fullscreen)) lectern-stats {
      position: static;
      max-width: none;
      max-height: none;
      margin-top: 0.5rem;
    }
  }
  video {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
    object-fit: contain;
    visibility: hidden;
  }
  video.front {
    visibility: visible;
  }
  .says {
    position: absolute;
    inset: 0;
    pointer-events: none;
  }
  .message {
    position: absolute;
    inset: 0;
    display: flex;
    flex-direction: column;
    align-items: center;
    justify-content: center;
    gap: 0.5rem;
    padding: 1rem 1.5rem 3.5rem;
    color: #fff;
    text-align: center;
    text-wrap: balance;
    background: radial-gradient(ellipse at 50% 35%, #1c2a3c, #0b0f14 75%);
  }
  /* Over a last picture, which stays in sight. */
  :host([path]) .message {
    background: rgb(8 12 18 / 0.66);
  }
  .message strong {
    font-size: clamp(1.125rem, 2.6vw, 1.75rem);
    font-weight: 600;
    letter-spacing: -0.01em;
  }
  .message span {
    max-width: 34rem;
    color: #c3cedb;
    font-size: clamp(0.875rem, 1.5vw, 1.0625rem);
    line-height: 1.45;
  }
  .message a {
    display: flex;
    align-items: center;
    min-height: 2.75rem;
    margin-top: 0.75rem;
    padding: 0 1.25rem;
    border-radius: 1.375rem;
    color: #10202f;
    background: #fff;
    font-weight: 600;
    text-decoration: none;
    pointer-events: auto;
  }
  .pulse {
    display: flex;
    gap: 0.375rem;
    margin-bottom: 0.5rem;
  }
  .pulse i {
    width: 0.5rem;
    height: 0.5rem;
    border-radius: 50%;
    background: #8ec5ff;
    animation: pulse 1.6s ease-in-out infinite;
  }
  .pulse i:nth-child(2) {
    animation-delay: 0.2s;
  }
  .pulse i:nth-child(3) {
    animation-delay: 0.4s;
  }
  @keyframes pulse {
    0%,
    60%,
    100% {
      opacity: 0.25;
    }
    30% {
      opacity: 1;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    .pulse i {
      animation: none;
    }
  }
  .unmute {
    position: absolute;
    top: 1rem;
    left: 1rem;
    display: flex;
    align-items: center;
    gap: 0.5rem;
    min-height: 2.75rem;
    padding: 0 1rem 0 0.75rem;
    border: 0;
    border-radius: 1.375rem;
    color: #10202f;
    background: #fff;
    box-shadow: 0 0.125rem 0.75rem rgb(0 0 0 / 0.4);
    font: 600 0.9375rem / 1 var(--lectern-font, system-ui, sans-serif);
    cursor: pointer;
  }
  .unmute:focus-visible {
    outline-color: #8ec5ff;
  }
  :is(.unmute, .message a, summary):focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.125rem;
  }
  .status {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.375rem 0.75rem;
    min-height: 2.25rem;
    padding: 0.375rem 0 0;
    color: var(--_quiet);
    font-size: 0.9375rem;
    line-height: 1.5;
  }
  .badge {
    padding: 0.0625rem 0.5625rem;
    border: 0.0625rem solid currentColor;
    border-radius: 1rem;
    color: var(--_accent);
    font-size: 0.8125rem;
    font-weight: 600;
  }
  .latency {
    color: var(--_text);
    font-variant-numeric: tabular-nums;
  }
  summary {
    border-radius: 0.25rem;
    color: var(--_accent);
    cursor: pointer;
  }
  details[open] {
    flex-basis: 100%;
  }
  details p {
    margin: 0.25rem 0 0;
    max-width: 65ch;
  }
`;
