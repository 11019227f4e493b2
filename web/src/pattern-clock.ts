// Reads the wall clock that the demo pattern draws into its pictures (`docs/pattern-clock.md`).
// Owns the decoding, pure over pixels; used by the browser tests and the latency bench, never by
// the player.

/** The parts of `ImageData` that are needed. */
export interface Pixels {
  readonly data: ArrayLike<number>;
  readonly width: number;
  readonly height: number;
}

/** The clock strip in the lattice of 64 × 36 points that spans the picture, in fractions of it. */
export const STRIP = { x: 16 / 64, y: 32 / 36, width: 32 / 64, height: 2 / 36 } as const;
/** Pixels to draw the strip to: four by four for each of its 32 × 2 cells. */
export const STRIP_CANVAS = { width: 128, height: 8 } as const;

const COLUMNS = 32;
const ROWS = 2;
/** Cells with a fixed value, `[row, column, value]`: two at each end, inverted between the rows. */
const FIXED: readonly (readonly [number, number, 0 | 1])[] = [
  [0, 0, 1],
  [0, 1, 0],
  [0, 30, 0],
  [0, 31, 1],
  [1, 0, 0],
  [1, 1, 1],
  [1, 30, 1],
  [1, 31, 0],
];
/** Less difference than this between black and white is noise, not a clock. */
const CONTRAST_MIN = 48;

/** Unix milliseconds drawn in a picture of the clock strip alone; null where no clock can be read. */
export function readStrip(strip: Pixels): number | null {
  const level = (row: number, column: number) => cellLevel(strip, row, column);
  const levels = (value: 0 | 1) =>
    FIXED.filter((fixed) => fixed[2] === value).map(([row, column]) => level(row, column));
  const white = Math.min(...levels(1));
  const black = Math.max(...levels(0));
  if (!(white - black >= CONTRAST_MIN)) return null;

  const threshold = (white + black) / 2;
  const bytes = new Uint8Array(7);
  for (let bit = 0; bit < 56; bit++) {
    const [row, column] = [Math.floor(bit / 28), 2 + (bit % 28)];
    if (level(row, column) > threshold) {
      const index = bit >> 3;
      bytes[index] = (bytes[index] ?? 0) | (0x80 >> (bit & 7));
    }
  }
  const time = bytes.subarray(0, 6);
  if (crc8(time) !== bytes[6]) return null;
  // 48 bits: beyond what bitwise operators hold, within what a double holds exactly.
  return time.reduce((value, byte) => value * 256 + byte, 0);
}

/** CRC-8, polynomial 0x07, initial value 0xFF, neither reflected nor inverted at the end. */
export function crc8(bytes: Uint8Array): number {
  let crc = 0xff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = ((crc << 1) ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
  }
  return crc;
}

/** Mean of the green channel over the central half of a cell, rounded outward to whole pixels. */
function cellLevel({ data, width, height }: Pixels, row: number, column: number): number {
  const [left, right] = span(column, width / COLUMNS);
  const [top, bottom] = span(row, height / ROWS);
  let sum = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) sum += data[(y * width + x) * 4 + 1] ?? 0;
  }
  return sum / ((right - left) * (bottom - top));
}

function span(cell: number, size: number): [number, number] {
  return [Math.floor((cell + 0.25) * size), Math.ceil((cell + 0.75) * size)];
}
