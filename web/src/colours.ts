// The colours and the font that all elements share. Themable from outside by custom properties; light and
// dark follow the page's `color-scheme`.

import { css } from 'lit';

export const colours = css`
  :host {
    --_text: var(--lectern-text, light-dark(#1b2430, #e8edf3));
    --_quiet: var(--lectern-quiet, light-dark(#566274, #9aa7b8));
    --_line: var(--lectern-line, light-dark(#d5dce5, #2b3645));
    --_accent: var(--lectern-accent, light-dark(#0b62c4, #7cb8ff));
    --_focus: var(--lectern-focus, light-dark(#0b62c4, #8ec5ff));
    color: var(--_text);
    font-family: var(--lectern-font, system-ui, sans-serif);
  }
`;
