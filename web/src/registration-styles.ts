// The look of `<lectern-registration>`. Themable from outside by custom properties; light and dark follow
// the page's `color-scheme`.

import { css } from 'lit';

export const registrationStyles = css`
  :host {
    --_card: var(--lectern-card, light-dark(#fff, #161e29));
    --_field: var(--lectern-field, light-dark(#fff, #0f151d));
    /* What can be written into has an edge of 3:1 (WCAG 1.4.11). */
    --_edge: var(--lectern-edge, light-dark(#7f8a99, #64748a));
    --_wrong: var(--lectern-wrong, light-dark(#b3261e, #ff9d94));
    display: block;
    box-sizing: border-box;
    overflow: auto;
    border: 0.0625rem solid var(--_line);
    border-radius: var(--lectern-radius, 0);
    background: var(--_card);
    line-height: 1.5;
  }
  form,
  .alone {
    box-sizing: border-box;
    width: min(100%, 34rem);
    margin: 0 auto;
    padding: clamp(1.25rem, 4vw, 2.5rem) clamp(1rem, 4vw, 1.5rem);
  }
  form {
    display: flex;
    flex-direction: column;
    gap: 1.125rem;
  }
  h2 {
    margin: 0;
    font-size: clamp(1.25rem, 2.6vw, 1.625rem);
    font-weight: 650;
    letter-spacing: -0.01em;
    line-height: 1.25;
  }
  p {
    margin: 0;
    overflow-wrap: anywhere;
  }
  .of {
    margin-top: 0.25rem;
    font-weight: 600;
  }
  .notice {
    color: var(--_quiet);
    white-space: pre-line;
  }
  .quiet {
    color: var(--_quiet);
    font-weight: 400;
  }
  .field {
    display: flex;
    flex-direction: column;
    gap: 0.375rem;
  }
  .check {
    display: flex;
    align-items: flex-start;
    gap: 0.75rem;
  }
  label {
    font-weight: 600;
    overflow-wrap: anywhere;
  }
  .check label {
    flex: 1;
    font-weight: 400;
  }
  :is(input, select) {
    box-sizing: border-box;
    width: 100%;
    min-height: 2.75rem;
    padding: 0 0.75rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: var(--_field);
    /* A phone zooms into what is smaller. */
    font: inherit;
    font-size: 1rem;
  }
  input[type='checkbox'] {
    flex: none;
    width: 1.5rem;
    min-height: 1.5rem;
    height: 1.5rem;
    margin: 0;
    accent-color: var(--_accent);
  }
  [aria-invalid] {
    border-color: var(--_wrong);
    box-shadow: 0 0 0 0.0625rem var(--_wrong);
  }
  .wrong,
  .trouble {
    color: var(--_wrong);
  }
  .wrong {
    font-size: 0.9375rem;
  }
  .wrong:empty {
    display: none;
  }
  /* There before it says something, so that it is read out when it does. */
  .trouble:empty {
    position: absolute;
  }
  button {
    align-self: flex-start;
    min-height: 2.75rem;
    padding: 0 1.5rem;
    border: 0;
    border-radius: 0.5rem;
    color: light-dark(#fff, #0b1622);
    background: var(--_accent);
    font: inherit;
    font-weight: 600;
    cursor: pointer;
  }
  button[disabled] {
    opacity: 0.6;
    cursor: progress;
  }
  :is(input, select, button):focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.125rem;
  }
  @media (max-width: 40rem) {
    button {
      align-self: stretch;
    }
  }
`;
