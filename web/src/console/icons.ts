// The icons that only the console has.

import { icon } from '../icons.ts';

export const ICONS = {
  copy: icon('M9 9h11v11H9zM5 15H4V4h11v1'),
  check: icon('M5 12.5l4.5 4.5L19 7.5'),
  close: icon('M7 7l10 10M17 7L7 17'),
  plus: icon('M12 5v14M5 12h14'),
  up: icon('M12 19V5M5.5 11.5L12 5l6.5 6.5'),
  down: icon('M12 5v14M5.5 12.5L12 19l6.5-6.5'),
  eye: icon(
    'M2.5 12s3.5-6.5 9.5-6.5 9.5 6.5 9.5 6.5-3.5 6.5-9.5 6.5S2.5 12 2.5 12zM12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6z',
  ),
  mic: icon(
    'M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21',
  ),
  micOff: icon(
    'M9 9v2a3 3 0 0 0 4.5 2.6M15 10V6a3 3 0 0 0-5.7-1.3M5.5 11a6.5 6.5 0 0 0 10.5 5M12 17.5V21M4 4l16 16',
  ),
  camera: icon('M3.5 6.5h11v11h-11zM14.5 10.5l6-3v9l-6-3'),
  screen: icon('M3 5h18v12H3zM9 21h6'),
  download: icon('M12 4v11M6.5 10L12 15.5 17.5 10M5 20h14'),
  open: icon('M14 4h6v6M20 4l-9 9M18 14v5H5V6h5'),
  warning: icon('M12 4l9 16H3zM12 10v4.5M12 17.4v.1'),
  stop: icon('M7 7h10v10H7z'),
  signOut: icon('M14 4H5v16h9M10 12h10M16 7.5l4.5 4.5-4.5 4.5'),
} as const;
