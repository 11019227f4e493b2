// The look that all views of the console share: headings, cards, buttons, fields, lists, notices. What only
// one view has stands with that view.

import { css } from 'lit';
import { unseen as unseenRule } from '../comments/comments-styles.ts';

export const sheet = css`
  :host {
    --_card: light-dark(#fff, #161e29);
    --_field: light-dark(#fff, #0f151d);
    --_edge: light-dark(#7f8a99, #64748a);
    --_wrong: light-dark(#b3261e, #ff9d94);
    --_warn: light-dark(#8a5a00, #e9c65c);
    --_good: light-dark(#146c3a, #6fd49a);
    --_live: light-dark(#d62839, #ff5a5f);
    --_soft: light-dark(#eef2f6, #232f3e);
    --_tint: light-dark(#eaf2fc, #1a2b40);
    display: block;
    line-height: 1.5;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  * {
    box-sizing: border-box;
  }
  h1,
  h2,
  h3 {
    margin: 0;
    font-weight: 650;
    letter-spacing: -0.015em;
    line-height: 1.25;
    text-wrap: balance;
    overflow-wrap: anywhere;
  }
  h1 {
    font-size: clamp(1.5rem, 4vw, 1.875rem);
  }
  h2 {
    font-size: 1.1875rem;
  }
  h3 {
    font-size: 1rem;
  }
  h1:focus,
  h2:focus {
    outline: none;
  }
  p {
    margin: 0;
    text-wrap: pretty;
  }
  .quiet,
  .hint {
    color: var(--_quiet);
    font-size: 0.9375rem;
  }
  .hint {
    font-size: 0.875rem;
  }
  .stack {
    display: grid;
    gap: 1.25rem;
    min-width: 0;
  }
  .stack.tight {
    gap: 0.75rem;
  }
  .stack > * {
    min-width: 0;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.625rem;
  }
  .row.apart {
    justify-content: space-between;
  }
  .card {
    display: grid;
    gap: 1rem;
    min-width: 0;
    padding: 1.25rem 1.375rem;
    border: 0.0625rem solid var(--_line);
    border-radius: 0.75rem;
    background: var(--_card);
  }
  .card > * {
    min-width: 0;
  }
  .empty {
    justify-items: start;
    padding: 1.75rem 1.5rem;
  }
  .grid {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr));
    align-items: start;
    gap: 1rem;
  }

  /* Buttons, and links that look like them. */
  button,
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.5rem;
    min-height: 2.5rem;
    padding: 0.375rem 1rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: none;
    font: inherit;
    font-size: 0.9375rem;
    font-weight: 600;
    line-height: 1.25;
    text-decoration: none;
    cursor: pointer;
  }
  :is(button, .button):hover {
    background: var(--_soft);
  }
  .primary {
    border-color: transparent;
    color: light-dark(#fff, #06182d);
    background: var(--_accent);
  }
  .primary:hover {
    background: light-dark(#084f9f, #9ccaff);
  }
  .danger {
    border-color: currentColor;
    color: var(--_wrong);
  }
  .danger.primary {
    border-color: transparent;
    color: light-dark(#fff, #2b0704);
    background: var(--_wrong);
  }
  .danger.primary:hover {
    background: light-dark(#8f1d17, #ffb9b2);
  }
  .on-air {
    border-color: transparent;
    color: #fff;
    background: #c81e30;
  }
  .on-air:hover {
    background: #a91524;
  }
  .link,
  a:not(.button, .bare) {
    color: var(--_accent);
    text-decoration: underline;
    text-underline-offset: 0.15em;
  }
  .link {
    min-height: 1.75rem;
    padding: 0 0.25rem;
    border: 0;
    font-weight: 500;
  }
  .small {
    min-height: 2.125rem;
    padding: 0.25rem 0.75rem;
    font-size: 0.875rem;
  }
  .icon {
    min-width: 2.5rem;
    padding: 0.375rem;
    border-color: transparent;
    color: var(--_quiet);
  }
  .icon.small {
    min-width: 2.125rem;
  }
  button:disabled {
    opacity: 0.55;
    cursor: default;
  }
  button svg,
  .button svg {
    flex: none;
    width: 1.125rem;
    height: 1.125rem;
  }
  :is(a, button, .button, input, select, textarea, summary, [tabindex='0']):focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.125rem;
    border-radius: 0.375rem;
  }

  /* Fields. */
  form {
    display: grid;
    gap: 1.125rem;
    margin: 0;
  }
  fieldset {
    display: grid;
    gap: 0.625rem;
    min-width: 0;
    margin: 0;
    padding: 0;
    border: 0;
  }
  legend {
    padding: 0;
    margin-bottom: 0.5rem;
  }
  .field {
    display: grid;
    gap: 0.3125rem;
    min-width: 0;
  }
  .field > label,
  .label,
  legend {
    font-size: 0.9375rem;
    font-weight: 600;
  }
  .optional {
    color: var(--_quiet);
    font-weight: 400;
  }
  input:not([type='checkbox'], [type='radio']),
  select,
  textarea {
    width: 100%;
    min-width: 0;
    min-height: 2.625rem;
    padding: 0.4375rem 0.75rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: var(--_field);
    font: inherit;
  }
  textarea {
    resize: vertical;
    field-sizing: content;
    min-height: 5rem;
    max-height: 24rem;
  }
  select {
    padding-inline-end: 0.5rem;
  }
  :is(input, select, textarea):disabled {
    color: var(--_quiet);
    background: var(--_soft);
  }
  .wrong :is(input, select, textarea),
  [aria-invalid='true'] {
    border-color: var(--_wrong);
  }
  .error,
  .failure {
    color: var(--_wrong);
    font-size: 0.9375rem;
    font-weight: 500;
  }
  .failure:empty {
    display: none;
  }
  .tick {
    display: grid;
    grid-template-columns: 1.25rem minmax(0, 1fr);
    gap: 0 0.625rem;
    align-items: start;
  }
  .tick > .hint {
    grid-column: 2;
  }
  .tick label {
    cursor: pointer;
  }
  input:is([type='checkbox'], [type='radio']) {
    width: 1.25rem;
    height: 1.25rem;
    margin: 0.125rem 0 0;
    accent-color: var(--_accent);
  }
  .mono,
  code,
  pre {
    font-family: ui-monospace, 'Cascadia Mono', 'Liberation Mono', monospace;
    font-size: 0.9375em;
  }
  code {
    padding: 0.0625rem 0.3125rem;
    border-radius: 0.3125rem;
    background: var(--_soft);
    overflow-wrap: anywhere;
  }

  /* Lists of things with what can be done with them. */
  ul.plain,
  ol.plain {
    display: grid;
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .lines > li {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.375rem 1rem;
    min-width: 0;
    padding: 0.75rem 0;
    border-top: 0.0625rem solid var(--_line);
  }
  .lines > li:first-child {
    padding-top: 0;
    border-top: 0;
  }
  .lines > li:last-child {
    padding-bottom: 0;
  }
  .lines > li > :first-child {
    flex: 1 1 12rem;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  .lines .quiet {
    font-size: 0.875rem;
  }
  .badge {
    display: inline-flex;
    align-items: center;
    gap: 0.375rem;
    padding: 0.0625rem 0.5rem;
    border-radius: 1rem;
    color: var(--_text);
    background: var(--_soft);
    font-size: 0.8125rem;
    font-weight: 600;
    white-space: nowrap;
  }
  .badge.warn {
    color: var(--_warn);
    background: light-dark(#fff4dc, #33290f);
  }
  .badge.bad {
    color: var(--_wrong);
    background: light-dark(#fdeceb, #3a1c1a);
  }
  .badge.good {
    color: var(--_good);
    background: light-dark(#e5f5ec, #12301f);
  }
  .notice {
    display: grid;
    gap: 0.375rem;
    justify-items: start;
    padding: 0.875rem 1.125rem;
    border-radius: 0.625rem;
    background: var(--_tint);
  }
  .notice.warn {
    background: light-dark(#fff4dc, #33290f);
  }
  .notice.bad {
    background: light-dark(#fdeceb, #3a1c1a);
  }
  dl {
    display: grid;
    grid-template-columns: max-content minmax(0, 1fr);
    gap: 0.375rem 1.25rem;
    margin: 0;
  }
  dt {
    color: var(--_quiet);
  }
  dd {
    margin: 0;
    overflow-wrap: anywhere;
    font-variant-numeric: tabular-nums;
  }
  table {
    border-collapse: collapse;
    font-size: 0.875rem;
    font-variant-numeric: tabular-nums;
  }
  :is(th, td) {
    padding: 0.25rem 1rem 0.25rem 0;
    text-align: start;
  }
  th {
    color: var(--_quiet);
    font-weight: 500;
  }
  summary {
    width: fit-content;
    padding: 0.125rem 0;
    border-radius: 0.25rem;
    cursor: pointer;
  }
  .state {
    display: inline-flex;
    align-items: center;
    gap: 0.4375rem;
    color: var(--_quiet);
    font-size: 0.9375rem;
    font-weight: 600;
    white-space: nowrap;
  }
  .state::before {
    content: '';
    width: 0.5625rem;
    height: 0.5625rem;
    border-radius: 50%;
    background: var(--_edge);
  }
  .state.live {
    color: var(--_live);
  }
  .state.live::before {
    background: var(--_live);
    animation: beat 2s ease-in-out infinite;
  }
  .state.away {
    color: var(--_warn);
  }
  .state.away::before {
    background: var(--_warn);
  }
  @keyframes beat {
    50% {
      box-shadow: 0 0 0 0.25rem color-mix(in srgb, var(--_live) 25%, transparent);
    }
  }
  .unseen {
    ${unseenRule}
  }
  @media (prefers-reduced-motion: reduce) {
    .state.live::before {
      animation: none;
    }
  }
  @media (pointer: coarse) {
    :is(button, .button, select, input:not([type='checkbox'], [type='radio'])) {
      min-height: 2.75rem;
    }
    .icon {
      min-width: 2.75rem;
    }
  }
  @media (max-width: 30rem) {
    .card {
      padding: 1rem;
    }
    dl {
      grid-template-columns: minmax(0, 1fr);
      gap: 0;
    }
    dd {
      margin-bottom: 0.5rem;
    }
  }
`;

/** Of a `<dialog>`. */
export const dialogSheet = css`
  dialog {
    width: min(30rem, calc(100vw - 1.5rem));
    max-height: min(44rem, calc(100dvh - 1.5rem));
    padding: 0;
    overflow: auto;
    border: 0.0625rem solid var(--_line);
    border-radius: 0.875rem;
    color: var(--_text);
    background: var(--_card);
    box-shadow: 0 1rem 4rem rgb(0 0 0 / 0.4);
  }
  dialog.wide {
    width: min(44rem, calc(100vw - 1.5rem));
  }
  dialog::backdrop {
    background: rgb(8 12 18 / 0.55);
  }
  dialog > :is(div, form) {
    display: grid;
    gap: 1rem;
    padding: 1.375rem 1.5rem 1.5rem;
  }
  .actions {
    display: flex;
    flex-wrap: wrap;
    justify-content: end;
    gap: 0.625rem;
    margin-top: 0.25rem;
  }
`;
