// The look of `<lectern-player>`. Themable from outside by custom properties and parts; light and
// dark follow the page's `color-scheme`.

import { css } from 'lit';

export const playerStyles = css`
  :host {
    display: flex;
    flex-direction: column;
  }
  :host([hidden]) {
    display: none;
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
  :host(:fullscreen) :is(.status, slot) {
    display: none;
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
    lectern-controls {
      transition: none;
    }
  }
  lectern-controls[hidden] {
    display: none;
  }
  lectern-controls {
    position: absolute;
    inset: auto 0 0;
    transition: opacity 0.25s;
  }
  .frame.idle lectern-controls:not(:focus-within) {
    opacity: 0;
  }
  .frame.idle {
    cursor: none;
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
  :is(.frame, .unmute, summary):focus-visible {
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
