// The look of the console's frame: the bar at the top, strips below it, and where views stand.

import { css } from 'lit';

export const appStyles = css`
  :host {
    min-height: 100dvh;
  }
  .skip {
    position: absolute;
    inset: 0.5rem auto auto 0.5rem;
    z-index: 3;
    padding: 0.5rem 1rem;
    border-radius: 0.5rem;
    background: var(--_card);
  }
  .skip:not(:focus) {
    clip-path: inset(50%);
    width: 1px;
    height: 1px;
    overflow: hidden;
    white-space: nowrap;
  }
  .top {
    border-bottom: 0.0625rem solid var(--_line);
    background: var(--_card);
  }
  .bar {
    display: flex;
    align-items: center;
    gap: 0.25rem 1.25rem;
    width: min(100%, 80rem);
    min-height: 3.5rem;
    margin: 0 auto;
    padding: 0.25rem 1.5rem;
  }
  .brand {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    color: inherit;
    font-weight: 650;
    text-decoration: none;
    letter-spacing: -0.01em;
  }
  .brand svg {
    color: var(--_accent);
  }
  nav {
    display: flex;
    gap: 0.25rem;
    margin-inline-end: auto;
  }
  nav a {
    display: flex;
    align-items: center;
    min-height: 2.5rem;
    padding: 0 0.75rem;
    border-radius: 0.5rem;
    color: var(--_quiet) !important;
    font-weight: 600;
    text-decoration: none !important;
  }
  nav a:hover {
    background: var(--_soft);
  }
  nav a[aria-current] {
    color: var(--_text) !important;
    background: var(--_soft);
  }
  .me {
    min-width: 0;
    overflow: hidden;
    color: var(--_quiet);
    font-size: 0.9375rem;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .strip {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: center;
    gap: 0.5rem 1rem;
    padding: 0.5rem 1.5rem;
    color: light-dark(#4a3000, #f5dc95);
    background: light-dark(#fff0cc, #3a2e0d);
    font-size: 0.9375rem;
    text-align: center;
  }
  .strip.live {
    color: #fff;
    background: #a91524;
  }
  .strip.live :is(button, .button) {
    border-color: currentColor;
    color: #fff;
  }
  .strip.live :is(button, .button):hover {
    background: #7d0e19;
  }
  main {
    width: min(100%, 80rem);
    margin: 0 auto;
    padding: 1.75rem 1.5rem 4rem;
  }
  main.narrow {
    width: min(100%, 29rem);
    padding-top: clamp(1.5rem, 10vh, 6rem);
  }
  main:focus {
    outline: none;
  }
  .narrow h1 {
    margin-bottom: 0.5rem;
  }
  .said {
    position: fixed;
    z-index: 2;
    inset: auto 0 1.25rem;
    display: flex;
    justify-content: center;
    pointer-events: none;
  }
  .said p {
    max-width: min(34rem, calc(100vw - 2rem));
    padding: 0.625rem 1.125rem;
    border-radius: 0.625rem;
    color: light-dark(#fff, #0f151d);
    background: light-dark(#1b2430, #e8edf3);
    box-shadow: 0 0.25rem 1.5rem rgb(0 0 0 / 0.3);
    overflow-wrap: anywhere;
  }
  @media (max-width: 40rem) {
    .bar {
      gap: 0.25rem 0.5rem;
      padding-inline: 0.75rem;
    }
    .bar:has(nav) .brand span,
    .me {
      display: none;
    }
    nav a {
      padding: 0 0.5rem;
    }
    main {
      padding: 1.25rem 1rem 4rem;
    }
  }
  .out svg {
    display: none;
  }
  /* Where the words of every language have no room. */
  @media (max-width: 30rem) {
    .bar {
      gap: 0.25rem;
      padding-inline: 0.625rem 0.25rem;
    }
    nav {
      gap: 0;
    }
    nav a {
      padding: 0 0.375rem;
      font-size: 0.875rem;
    }
    .out {
      min-width: 2.75rem;
      padding: 0;
      border-color: transparent;
    }
    .out svg {
      display: block;
    }
    .out span {
      position: absolute;
      width: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
  }
`;
