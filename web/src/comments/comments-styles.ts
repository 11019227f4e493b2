// The look of `<lectern-comments>`. Themable from outside by custom properties and parts; light and dark
// follow the page's `color-scheme`. How large it is, is the page's to say.

import { css, unsafeCSS } from 'lit';
import { HUES } from './faces.ts';

/** The edge's policy forbids styles in attributes, so each colour is a rule. */
const hues = unsafeCSS(
  Array.from(
    { length: HUES },
    (_, hue) => `.hue-${hue} { --_hue: ${Math.round((hue * 360) / HUES) + 15} }`,
  ).join('\n'),
);

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
    align-items: baseline;
    gap: 0.125rem 0.75rem;
    padding: 0.75rem 1rem;
    border-bottom: 0.0625rem solid var(--_line);
  }
  h2 {
    margin: 0;
    font-size: 1rem;
    font-weight: 650;
    letter-spacing: -0.01em;
  }
  .link {
    color: var(--_quiet);
    font-size: 0.875rem;
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
  ul {
    /* A few comments stand at the bottom, where the next one comes. */
    margin: auto 0 0;
    padding: 0.5rem 0;
    list-style: none;
  }
  .empty {
    margin: auto;
    padding: 1.5rem;
    color: var(--_quiet);
    text-align: center;
    text-wrap: balance;
  }
  li {
    position: relative;
    display: grid;
    grid-template-columns: 2rem minmax(0, 1fr);
    gap: 0 0.625rem;
    /* Nothing of a text gets out of its comment. */
    overflow: hidden;
    padding: 0.4375rem 1rem;
  }
  li:hover {
    background: light-dark(#f3f6f9, #1b2532);
  }
  .avatar {
    display: grid;
    place-items: center;
    width: 2rem;
    height: 2rem;
    overflow: hidden;
    border-radius: 50%;
    color: light-dark(#fff, #0f151d);
    background: light-dark(oklch(0.5 0.12 var(--_hue)), oklch(0.8 0.09 var(--_hue)));
    font-size: 0.9375rem;
    font-weight: 650;
    user-select: none;
  }
  ${hues}
  .head {
    display: flex;
    align-items: baseline;
    gap: 0.4375rem;
    min-height: 1.375rem;
    font-size: 0.875rem;
    line-height: 1.375rem;
  }
  .name {
    overflow: hidden;
    font-weight: 600;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .you {
    flex: none;
    padding: 0 0.375rem;
    border: 0.0625rem solid currentColor;
    border-radius: 1rem;
    color: var(--_accent);
    font-size: 0.75rem;
    font-weight: 600;
    line-height: 1.125rem;
  }
  .moment {
    flex: none;
    color: var(--_quiet);
    font-size: 0.8125rem;
    font-variant-numeric: tabular-nums;
  }
  .deletable .head {
    padding-inline-end: 1.75rem;
  }
  p {
    margin: 0;
    font-size: 0.9375rem;
    line-height: 1.45;
    white-space: pre-wrap;
    overflow-wrap: anywhere;
  }
  .remove {
    position: absolute;
    inset-block-start: 0.375rem;
    inset-inline-end: 0.75rem;
    display: grid;
    place-items: center;
    width: 1.5rem;
    height: 1.5rem;
    padding: 0;
    border: 0;
    border-radius: 0.375rem;
    color: var(--_quiet);
    background: none;
    cursor: pointer;
  }
  .remove svg {
    width: 1.125rem;
    height: 1.125rem;
  }
  .remove:hover {
    color: var(--_wrong);
  }
  .progress {
    grid-column: 2;
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.25rem 0.625rem;
    color: var(--_quiet);
    font-size: 0.8125rem;
    line-height: 1.5rem;
  }
  /* What is there in a moment need not be told. */
  .sending .progress {
    animation: told 0.2s 0.4s backwards;
  }
  @keyframes told {
    from {
      opacity: 0;
    }
  }
  .failed .progress span {
    color: var(--_wrong);
    font-weight: 600;
  }
  :is(.progress, .log > div) button {
    ${textButton}
  }
  .log > div {
    padding: 0.5rem 1rem 0;
    font-size: 0.875rem;
    text-align: center;
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
  :is(button, .log):focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.125rem;
  }
  .log:focus-visible {
    outline-offset: -0.1875rem;
  }
  footer {
    flex: none;
    padding: 0.75rem 1rem;
    border-top: 0.0625rem solid var(--_line);
  }
  .read-only {
    color: var(--_quiet);
    font-size: 0.9375rem;
    text-align: center;
  }
  @media (pointer: coarse) {
    .remove {
      inset-block-start: 0;
      inset-inline-end: 0.25rem;
      width: 2.75rem;
      height: 2.75rem;
    }
    .deletable {
      min-height: 2.75rem;
    }
    .deletable .head {
      padding-inline-end: 2.25rem;
    }
    :is(.progress, .log > div) button {
      min-height: 2.75rem;
      padding: 0 0.5rem;
    }
    .newer {
      min-height: 2.75rem;
      border-radius: 1.375rem;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    .sending .progress {
      animation-duration: 1ms;
    }
  }
`;
