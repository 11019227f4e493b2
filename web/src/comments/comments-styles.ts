// The look of `<lectern-comments>` around its rows. Themable from outside by custom properties and parts;
// light and dark follow the page's `color-scheme`. How large it is, is the page's to say.

import { css } from 'lit';

/** What a button has that reads as a part of the text. */
export const textButton = css`
  min-height: 1.5rem;
  padding: 0 0.25rem;
  border: 0;
  border-radius: 0.25rem;
  color: var(--_accent);
  background: none;
  font: inherit;
  text-decoration: underline;
  text-underline-offset: 0.15em;
  cursor: pointer;
`;

/** Read out, and not seen. */
export const unseen = css`
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
`;

export const commentsStyles = css`
  :host {
    --_card: var(--lectern-card, light-dark(#fff, #161e29));
    --_field: var(--lectern-field, light-dark(#fff, #0f151d));
    /* What can be written into has an edge of 3:1 (WCAG 1.4.11). */
    --_edge: var(--lectern-edge, light-dark(#7f8a99, #64748a));
    --_wrong: var(--lectern-wrong, light-dark(#b3261e, #ff9d94));
    display: flex;
    flex-direction: column;
    overflow: hidden;
    box-sizing: border-box;
    border: 0.0625rem solid var(--_line);
    border-radius: var(--lectern-radius, 0.75rem);
    background: var(--_card);
  }
  :host([hidden]) {
    display: none;
  }
  header {
    flex: none;
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0 0.75rem;
    min-height: 2.75rem;
    padding: 0 1rem;
    border-bottom: 0.0625rem solid var(--_line);
  }
  h2 {
    margin: 0;
    font-size: 1rem;
    font-weight: 650;
    letter-spacing: -0.01em;
  }
  .unseen {
    ${unseen}
  }
  .views {
    display: flex;
    flex-wrap: wrap;
    gap: 0 0.25rem;
    margin-inline-start: -0.5rem;
  }
  .views button {
    position: relative;
    display: flex;
    align-items: center;
    gap: 0.3125rem;
    min-height: 2.75rem;
    padding: 0 0.5rem;
    border: 0;
    color: var(--_quiet);
    background: none;
    font: inherit;
    font-size: 0.9375rem;
    font-weight: 600;
    letter-spacing: -0.01em;
    cursor: pointer;
  }
  .views button:hover,
  .views [aria-pressed='true'] {
    color: var(--_text);
  }
  .views [aria-pressed='true']::after {
    content: '';
    position: absolute;
    inset: auto 0.5rem 0;
    height: 0.1875rem;
    border-radius: 0.125rem 0.125rem 0 0;
    background: var(--_accent);
  }
  .views b {
    min-width: 1.25rem;
    padding: 0 0.3125rem;
    border-radius: 0.625rem;
    background: light-dark(#e7ecf2, #2a3748);
    box-sizing: border-box;
    font-size: 0.75rem;
    font-variant-numeric: tabular-nums;
    line-height: 1.25rem;
    text-align: center;
  }
  .viewers {
    display: flex;
    align-items: center;
    gap: 0.3125rem;
    margin-inline-start: auto;
    color: var(--_quiet);
    font-size: 0.875rem;
    font-variant-numeric: tabular-nums;
  }
  .viewers svg {
    width: 1.125rem;
    height: 1.125rem;
  }
  .link {
    flex-basis: 100%;
    padding-bottom: 0.5rem;
    color: var(--_quiet);
    font-size: 0.875rem;
  }
  .link:empty {
    display: none;
  }
  .above {
    flex: none;
  }
  .pinned {
    flex: none;
    position: relative;
    padding: 0.4375rem 1rem 0.5625rem;
    border-bottom: 0.0625rem solid var(--_line);
    background: light-dark(#f3f6f9, #1b2532);
  }
  .pin {
    display: flex;
    align-items: center;
    gap: 0.3125rem;
    padding-inline-end: 1.75rem;
    color: var(--_quiet);
    font-size: 0.8125rem;
    line-height: 1.5;
  }
  .pin .name {
    color: var(--_text);
    font-size: 0.875rem;
  }
  .pin svg {
    flex: none;
    width: 0.9375rem;
    height: 0.9375rem;
    color: var(--_accent);
  }
  .pinned .words {
    max-height: 5.75rem;
    margin-top: 0.0625rem;
    overflow: hidden auto;
    border-radius: 0.25rem;
    font-size: 0.9375rem;
    scrollbar-width: thin;
    scrollbar-color: var(--_edge) transparent;
  }
  /* Below the picture there is less room, and the list is what it is for. */
  @media (max-width: 62.4375rem) {
    .pinned {
      padding-block: 0.25rem 0.375rem;
    }
    .pinned .words {
      max-height: 2.75rem;
    }
  }
  .middle {
    position: relative;
    flex: 1;
    display: flex;
    min-height: 0;
  }
  .log {
    flex: 1;
    display: flex;
    flex-direction: column;
    min-width: 0;
    overflow: hidden auto;
    overscroll-behavior: contain;
    /* The place is kept here, also where the browser could. */
    overflow-anchor: none;
    scrollbar-width: thin;
    scrollbar-color: var(--_edge) transparent;
  }
  .log[hidden] {
    display: none;
  }
  .empty {
    margin: auto;
    padding: 1.5rem;
    color: var(--_quiet);
    text-align: center;
    text-wrap: balance;
  }
  .log > div {
    padding: 0.5rem 1rem 0;
    font-size: 0.875rem;
    text-align: center;
  }
  .log > div button {
    ${textButton}
  }
  .newer {
    position: absolute;
    inset-block-end: 0.75rem;
    inset-inline-start: 50%;
    display: flex;
    align-items: center;
    gap: 0.375rem;
    min-height: 2.25rem;
    padding: 0 1rem 0 0.75rem;
    border: 0;
    border-radius: 1.125rem;
    color: light-dark(#fff, #0b1622);
    background: var(--_accent);
    box-shadow: 0 0.125rem 0.75rem rgb(0 0 0 / 0.3);
    font: 600 0.875rem / 1 var(--lectern-font, system-ui, sans-serif);
    white-space: nowrap;
    cursor: pointer;
    transform: translateX(-50%);
  }
  .newer svg {
    width: 1.125rem;
    height: 1.125rem;
  }
  :host(:dir(rtl)) .newer {
    transform: translateX(50%);
  }
  :is(button, .log, .words):focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.125rem;
  }
  :is(.log, .views button):focus-visible {
    outline-offset: -0.1875rem;
  }
  footer {
    flex: none;
    display: grid;
    gap: 0.5rem;
    padding: 0.625rem 1rem 0.75rem;
    border-top: 0.0625rem solid var(--_line);
  }
  .read-only {
    color: var(--_quiet);
    font-size: 0.9375rem;
    text-align: center;
  }
  .trouble {
    color: var(--_wrong);
    font-size: 0.875rem;
    text-align: center;
  }
  :is(.trouble, .read-only):empty {
    display: none;
  }
  @media (pointer: coarse) {
    .log > div button {
      min-height: 2.75rem;
      padding: 0 0.5rem;
    }
    .newer {
      min-height: 2.75rem;
      border-radius: 1.375rem;
    }
  }
`;
