// The look of `<lectern-moderation>`: a strip above the comments, and the settings in a dialog.

import { css } from 'lit';
import { textButton, unseen } from './comments-styles.ts';

export const moderationStyles = css`
  :host {
    display: block;
  }
  .strip {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.125rem 0.75rem;
    padding: 0.3125rem 1rem;
    border-bottom: 0.0625rem solid var(--_line);
    color: var(--_text);
    background: light-dark(#eaf2fc, #1a2b40);
    font-size: 0.875rem;
    line-height: 1.5;
  }
  .strip.wrong {
    flex-wrap: nowrap;
    align-items: start;
    justify-content: space-between;
    padding-inline-end: 0.5rem;
    color: var(--_wrong);
    background: none;
  }
  .who {
    display: flex;
    align-items: center;
    gap: 0.375rem;
    font-weight: 600;
  }
  .who svg {
    color: var(--_accent);
  }
  svg {
    flex: none;
    width: 1.125rem;
    height: 1.125rem;
  }
  .tools {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    margin-inline-start: auto;
  }
  .open {
    display: flex;
    align-items: center;
    gap: 0.375rem;
    ${textButton}
    min-height: 1.75rem;
  }
  /* Where both have no room in one line, the icon is enough. */
  .waiting + .open span {
    ${unseen}
  }
  .waiting {
    min-height: 1.75rem;
    padding: 0 0.3125rem 0 0.625rem;
    border: 0.0625rem solid light-dark(#8a5a00, #e9c65c);
    border-radius: 0.875rem;
    color: inherit;
    background: none;
    font: inherit;
    font-weight: 600;
    cursor: pointer;
  }
  .waiting b {
    display: inline-block;
    min-width: 1.25rem;
    margin-inline-start: 0.125rem;
    padding: 0 0.3125rem;
    border-radius: 0.625rem;
    color: light-dark(#fff, #1d1702);
    background: light-dark(#8a5a00, #e9c65c);
    box-sizing: border-box;
    font-size: 0.75rem;
    line-height: 1.25rem;
    text-align: center;
  }
  .waiting[aria-pressed='true'] {
    color: light-dark(#fff, #1d1702);
    background: light-dark(#8a5a00, #e9c65c);
  }
  .told {
    flex-basis: 100%;
  }
  .told:empty {
    display: none;
  }
  .fault {
    color: var(--_wrong);
  }
  dialog {
    width: min(27rem, calc(100vw - 1.5rem));
    max-height: min(42rem, calc(100dvh - 1.5rem));
    padding: 0;
    overflow: hidden;
    border: 0.0625rem solid var(--_line);
    border-radius: 0.875rem;
    color: var(--_text);
    background: var(--_card);
    box-shadow: 0 1rem 4rem rgb(0 0 0 / 0.4);
    box-sizing: border-box;
  }
  dialog[open] {
    display: flex;
    flex-direction: column;
  }
  dialog::backdrop {
    background: rgb(8 12 18 / 0.5);
  }
  header {
    flex: none;
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: 0.75rem 0.75rem 0.75rem 1.25rem;
    border-bottom: 0.0625rem solid var(--_line);
  }
  h2,
  h3 {
    margin: 0;
    font-size: 1.0625rem;
    font-weight: 650;
    letter-spacing: -0.01em;
  }
  h3 {
    margin: 1.25rem 0 0.375rem;
    padding-top: 1.125rem;
    border-top: 0.0625rem solid var(--_line);
    font-size: 0.9375rem;
  }
  .close {
    display: grid;
    place-items: center;
    width: 2.25rem;
    height: 2.25rem;
    padding: 0;
    border: 0;
    border-radius: 0.5rem;
    color: var(--_quiet);
    background: none;
    cursor: pointer;
  }
  .body {
    flex: 1;
    min-height: 0;
    padding: 0.875rem 1.25rem 1.25rem;
    overflow: auto;
    font-size: 0.9375rem;
    line-height: 1.45;
    scrollbar-width: thin;
  }
  label {
    display: grid;
    grid-template-columns: 1.25rem 1fr;
    align-items: start;
    gap: 0.625rem;
    padding: 0.4375rem 0;
    cursor: pointer;
  }
  label.choice {
    grid-template-columns: 1fr auto;
    align-items: center;
    cursor: auto;
  }
  input {
    width: 1.25rem;
    height: 1.25rem;
    margin: 0.0625rem 0 0;
    accent-color: var(--_accent);
  }
  select {
    min-height: 2.25rem;
    padding: 0 0.5rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: var(--_field);
    font: inherit;
  }
  ul {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  li {
    display: flex;
    align-items: center;
    gap: 0.75rem;
    padding: 0.25rem 0;
  }
  li div {
    flex: 1;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  li b {
    font-weight: 600;
  }
  .quiet,
  p {
    margin: 0;
    color: var(--_quiet);
    font-size: 0.875rem;
  }
  .files {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
    margin-top: 0.625rem;
  }
  .plain {
    flex: none;
    min-height: 2.25rem;
    padding: 0 0.875rem;
    border: 0.0625rem solid var(--_edge);
    border-radius: 0.5rem;
    color: var(--_text);
    background: none;
    font: inherit;
    font-weight: 600;
    cursor: pointer;
  }
  :is(.plain, .close):hover {
    background: light-dark(#eef2f6, #2a3748);
  }
  :is(button, input, select, .body):focus-visible {
    outline: 0.1875rem solid var(--_focus);
    outline-offset: 0.125rem;
  }
  .body:focus-visible {
    outline-offset: -0.1875rem;
  }
  @media (pointer: coarse) {
    :is(.plain, .close, .open, .waiting, select, label) {
      min-height: 2.75rem;
    }
    .open {
      min-width: 2.75rem;
      justify-content: center;
    }
    .waiting {
      border-radius: 1.375rem;
    }
    .strip {
      padding-block: 0.1875rem;
    }
    .close {
      width: 2.75rem;
    }
  }
`;
