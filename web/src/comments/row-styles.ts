// The look of comments in a list, and of the buttons that they have wherever they stand.

import { css, unsafeCSS } from 'lit';
import { textButton } from './comments-styles.ts';
import { HUES } from './faces.ts';

/** The edge's policy forbids styles in attributes, so each colour is a rule. */
const hues = unsafeCSS(
  Array.from(
    { length: HUES },
    (_, hue) => `.hue-${hue} { --_hue: ${Math.round((hue * 360) / HUES) + 15} }`,
  ).join('\n'),
);

/** What to vote with, what opens a moderator's menu, and what says that a question is answered. */
export const buttonStyles = css`
  .vote {
    display: inline-flex;
  }
  .vote button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.1875rem;
    min-width: 2.75rem;
    min-height: 1.625rem;
    padding: 0 0.5rem 0 0.3125rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: none;
    font: inherit;
    font-weight: 600;
    font-variant-numeric: tabular-nums;
    cursor: pointer;
  }
  .vote button:hover {
    border-color: var(--_accent);
  }
  .vote svg {
    width: 1rem;
    height: 1rem;
  }
  .vote button[aria-pressed='true'] {
    border-color: var(--_accent);
    color: light-dark(#fff, #0b1622);
    background: var(--_accent);
  }
  .vote button[aria-pressed='true'] path {
    fill: currentColor;
  }
  .vote button:disabled {
    border-color: var(--_line);
    cursor: default;
  }
  .answered {
    display: inline-flex;
    align-items: center;
    gap: 0.25em;
    color: light-dark(#1a6b35, #7fd79c);
    font-weight: 600;
  }
  .answered svg {
    width: 1.125em;
    height: 1.125em;
  }
  .more {
    position: absolute;
    inset-block-start: 0.3125rem;
    inset-inline-end: 0.625rem;
    display: grid;
    place-items: center;
    width: 1.75rem;
    height: 1.75rem;
    padding: 0;
    border: 0;
    border-radius: 0.375rem;
    color: var(--_quiet);
    background: none;
    cursor: pointer;
  }
  .more svg {
    width: 1.25rem;
    height: 1.25rem;
  }
  .more path {
    stroke-width: 3;
  }
  :is(.more:hover, .more[aria-expanded='true']) {
    color: var(--_text);
    background: light-dark(#e4eaf1, #2a3748);
  }
  :is(.vote, li, .pinned) > button:focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.0625rem;
  }
  @media (pointer: coarse) {
    .vote button {
      min-height: 2.75rem;
    }
    .more {
      inset-block-start: 0;
      inset-inline-end: 0.25rem;
      width: 2.75rem;
      height: 2.75rem;
    }
  }
`;

export const rowStyles = css`
  ul {
    /* A few comments stand at the bottom, where the next one comes. */
    margin: auto 0 0;
    padding: 0.5rem 0;
    list-style: none;
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
  :is(.you, .badge) {
    flex: none;
    padding: 0 0.375rem;
    border: 0.0625rem solid currentColor;
    border-radius: 1rem;
    color: var(--_accent);
    font-size: 0.75rem;
    font-weight: 600;
    line-height: 1.125rem;
  }
  .badge {
    display: inline-flex;
    align-items: center;
    align-self: center;
    gap: 0.1875rem;
    padding-inline-start: 0.25rem;
    border-color: transparent;
    color: light-dark(#fff, #0b1622);
    background: var(--_accent);
  }
  .badge svg {
    width: 0.875rem;
    height: 0.875rem;
  }
  .moment {
    flex: none;
    color: var(--_quiet);
    font-size: 0.8125rem;
    font-variant-numeric: tabular-nums;
  }
  .equipped .head {
    padding-inline-end: 1.75rem;
  }
  p {
    margin: 0;
    font-size: 0.9375rem;
    line-height: 1.45;
    white-space: pre-wrap;
    overflow-wrap: anywhere;
  }
  :is(.asked, .decide) {
    grid-column: 2;
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.375rem 0.625rem;
    margin-top: 0.25rem;
    color: var(--_quiet);
    font-size: 0.8125rem;
    line-height: 1.5rem;
  }
  .held {
    background: light-dark(#fdf6e3, #2b2615);
  }
  .held:hover {
    background: light-dark(#faf0d2, #332d19);
  }
  .decide span {
    flex-basis: 100%;
    color: light-dark(#6b4e00, #e9c65c);
    font-weight: 600;
  }
  .decide button {
    min-height: 2rem;
    padding: 0 0.875rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: var(--_card);
    font: inherit;
    font-size: 0.875rem;
    font-weight: 600;
    cursor: pointer;
  }
  .decide .yes {
    border-color: var(--_accent);
    color: light-dark(#fff, #0b1622);
    background: var(--_accent);
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
  .progress button {
    ${textButton}
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
  @media (pointer: coarse) {
    .remove {
      inset-block-start: 0;
      inset-inline-end: 0.25rem;
      width: 2.75rem;
      height: 2.75rem;
    }
    .equipped {
      min-height: 2.75rem;
    }
    .equipped .head {
      padding-inline-end: 2.25rem;
    }
    :is(.progress, .decide) button {
      min-height: 2.75rem;
    }
    .progress button {
      padding: 0 0.5rem;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    .sending .progress {
      animation-duration: 1ms;
    }
  }
`;
