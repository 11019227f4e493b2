import { describe, expect, test } from 'vitest';
import { crc8, type Pixels, readStrip, STRIP_CANVAS } from '../src/pattern-clock.ts';

const EXAMPLE_MS = 1_795_123_456_789;
const EXAMPLE = ['10000000011010000111110101101101', '01001000101011000101010011010010'];

/** Draws a strip cell by cell, with the given levels for black and white. */
function draw(rows: string[], black = 0, white = 255, cell = 4): Pixels {
  const [width, height] = [32 * cell, 2 * cell];
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = rows[Math.floor(y / cell)]?.[Math.floor(x / cell)] === '1' ? white : black;
      data.set([level, level, level, 255], (y * width + x) * 4);
    }
  }
  return { data, width, height };
}

describe('pattern clock', () => {
  test('reads the example of its document', () => {
    expect(readStrip(draw(EXAMPLE))).toBe(EXAMPLE_MS);
  });

  test('the CRC has the check value of its document', () => {
    expect(crc8(new TextEncoder().encode('123456789'))).toBe(0xfb);
  });

  test('reads limited range and low contrast alike', () => {
    expect(readStrip(draw(EXAMPLE, 16, 235))).toBe(EXAMPLE_MS);
    expect(readStrip(draw(EXAMPLE, 90, 140))).toBe(EXAMPLE_MS);
  });

  test('reads cells of any size, blurred at their borders', () => {
    for (const cell of [5, 10, 20]) {
      const strip = draw(EXAMPLE, 0, 255, cell);
      const blurred = Uint8ClampedArray.from(strip.data as Uint8ClampedArray);
      for (let i = 4; i < blurred.length - 4; i++) {
        blurred[i] =
          ((strip.data[i - 4] ?? 0) + (strip.data[i] ?? 0) * 2 + (strip.data[i + 4] ?? 0)) / 4;
      }
      expect(readStrip({ ...strip, data: blurred })).toBe(EXAMPLE_MS);
    }
  });

  test('refuses a picture with any one wrong data bit', () => {
    for (const row of [0, 1]) {
      for (let column = 2; column < 30; column++) {
        const rows = EXAMPLE.map((cells) => [...cells]);
        const cells = rows[row] ?? [];
        cells[column] = cells[column] === '1' ? '0' : '1';
        expect(readStrip(draw(rows.map((cells) => cells.join(''))))).toBeNull();
      }
    }
  });

  test('finds no clock in black, in noise, or without contrast', () => {
    const { width, height } = STRIP_CANVAS;
    const black = new Uint8ClampedArray(width * height * 4);
    expect(readStrip({ data: black, width, height })).toBeNull();
    let seed = 1;
    const noise = black.map(() => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed & 0xff;
    });
    expect(readStrip({ data: noise, width, height })).toBeNull();
    expect(readStrip(draw(EXAMPLE, 100, 140))).toBeNull();
  });
});
