// How a quality is called where there is a choice.

import type { Rendition } from './info.ts';

/** How a rendition is called: by its height, and by its bitrate where another is as high. */
export function renditionName(rendition: Rendition, all: readonly Rendition[]): string {
  const name = `${rendition.height}p`;
  const shared = all.filter(({ height }) => height === rendition.height).length > 1;
  if (!shared) return name;
  const { bitrate } = rendition;
  return bitrate === null
    ? `${name} (${rendition.name})`
    : `${name} (${Math.round(bitrate / 1000)} kbit/s)`;
}
