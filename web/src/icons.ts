// The icons, drawn here on a grid of 24 so that no icon set is shipped for ten of them.

import { svg, type TemplateResult } from 'lit';

export const icon = (path: string): TemplateResult =>
  svg`<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true"><path fill="none"
    stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" d=${path} /></svg>`;

const SPEAKER = 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z';

export const ICONS = {
  muted: icon(`${SPEAKER}M16 9.5l5 5M21 9.5l-5 5`),
  fullscreen: icon('M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5'),
  exitFullscreen: icon('M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5'),
  send: icon('M12 19V5M5.5 11.5L12 5l6.5 6.5'),
  remove: icon('M7 7l10 10M17 7L7 17'),
  down: icon('M12 5v14M5.5 12.5L12 19l6.5-6.5'),
  check: icon('M5 12.5l4.5 4.5L19 7.5'),
  settings: icon(
    'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5zM9 14.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z',
  ),
} as const;
