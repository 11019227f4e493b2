// The icons, drawn here on a grid of 24 so that no icon set is shipped for ten of them.

import { svg, type TemplateResult } from 'lit';

export const icon = (path: string): TemplateResult =>
  svg`<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true"><path fill="none"
    stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" d=${path} /></svg>`;

const SPEAKER = 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z';

export const ICONS = {
  play: icon('M7 4.5v15l12-7.5z'),
  pause: icon('M8 5v14M16 5v14'),
  loud: icon(`${SPEAKER}M15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11`),
  muted: icon(`${SPEAKER}M16 9.5l5 5M21 9.5l-5 5`),
  pip: icon('M20 11V6a1 1 0 0 0-1-1H4a1 1 0 0 0-1 1v11a1 1 0 0 0 1 1h6M14 14h7v5h-7z'),
  fullscreen: icon('M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5'),
  send: icon('M12 19V5M5.5 11.5L12 5l6.5 6.5'),
  remove: icon('M7 7l10 10M17 7L7 17'),
  down: icon('M12 5v14M5.5 12.5L12 19l6.5-6.5'),
  exitFullscreen: icon('M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5'),
} as const;
