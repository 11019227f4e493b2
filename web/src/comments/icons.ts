// The icons of comments and of those who keep them in order.

import { icon } from '../icons.ts';

export const COMMENT_ICONS = {
  more: icon('M12 5v.01M12 12v.01M12 19v.01'),
  shield: icon('M12 3l7 2.5v5.5c0 4.5-3 8-7 10-4-2-7-5.5-7-10V5.5z'),
  pin: icon('M9 4h6l-.8 6 3.3 3.5h-11l3.3-3.5zM12 13.5V20.5'),
  sliders: icon('M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5v5M8 14.5v5'),
  eye: icon(
    'M2.5 12c2-4 5.5-6.5 9.5-6.5s7.5 2.5 9.5 6.5c-2 4-5.5 6.5-9.5 6.5s-7.5-2.5-9.5-6.5zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 1 0 0-5',
  ),
  vote: icon('M12 6l7 9H5z'),
  check: icon('M5 12.5l4.5 4.5L19 7'),
  question: icon('M8.5 8.5a3.5 3.5 0 1 1 5 3.200c-1 .5-1.5 1.200-1.5 2.3M12 18v.01'),
} as const;
