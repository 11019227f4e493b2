// A QR code as the path of an SVG. Pure but for the library that knows how such codes are made.

import { generate } from 'lean-qr';

/** What the standard asks for around a code, in modules (ISO/IEC 18004 §6.3.8). */
export const QUIET = 4;

export interface Qr {
  /** Modules from side to side, with the quiet zone. */
  readonly size: number;
  /** Each run of dark modules is a rectangle. */
  readonly path: string;
}

export function qrOf(text: string): Qr {
  const code = generate(text);
  const parts: string[] = [];
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) {
      const from = x;
      while (code.get(x, y)) x += 1;
      if (x > from) parts.push(`M${from + QUIET},${y + QUIET}h${x - from}v1h${from - x}z`);
    }
  }
  return { size: code.size + 2 * QUIET, path: parts.join('') };
}

/** The same as a file of its own. */
export function qrFile({ size, path }: Qr): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path d="${path}"/></svg>\n`;
}
