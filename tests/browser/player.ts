// What a test sees of a player on a page: its attributes, its picture's clock, its sound. Reads only
// what any page could read.

import type { Page } from 'playwright-core';
import { readStrip, STRIP, STRIP_CANVAS } from '../../web/src/pattern-clock.ts';

/** Attributes that the player shows to machines; those not named do not matter. */
export interface Expected {
  readonly state?: string;
  readonly path?: string;
  readonly transport?: string;
}

/** Waits for the player's attributes, with a deadline. */
export async function until(page: Page, expected: Expected, timeout = 20_000): Promise<void> {
  try {
    await page.waitForFunction(
      (attributes) => {
        const player = document.querySelector('lectern-player');
        return Object.entries(attributes).every(
          ([name, value]) => player?.getAttribute(name) === value,
        );
      },
      { ...expected },
      { timeout },
    );
  } catch {
    const is = JSON.stringify(await attributes(page));
    throw new Error(`the player is ${is}, not ${JSON.stringify(expected)}, after ${timeout} ms`);
  }
}

/** Waits until the player is in any state but this. */
export async function untilNot(page: Page, state: string, timeout = 20_000): Promise<void> {
  await page.waitForFunction(
    (state) => document.querySelector('lectern-player')?.getAttribute('state') !== state,
    state,
    { timeout },
  );
}

export function attributes(page: Page): Promise<Record<string, string>> {
  return page.evaluate(() => {
    const player = document.querySelector('lectern-player');
    return Object.fromEntries(
      [...(player?.attributes ?? [])].map(({ name, value }) => [name, value]),
    );
  });
}

/** Waits until the picture on screen has moved by so many frames, counted from now. */
export async function untilMoved(page: Page, frames: number, timeout = 20_000): Promise<void> {
  await page.evaluate(
    ([frames, timeout]) =>
      new Promise<void>((resolve, reject) => {
        let seen = 0;
        const timer = setTimeout(
          () => reject(new Error(`${seen} of ${frames} frames in ${timeout} ms`)),
          timeout,
        );
        const next = () => {
          const video = document.querySelector('lectern-player')?.video;
          if (!video) return void setTimeout(next, 50);
          let over = false;
          video.requestVideoFrameCallback(() => {
            if (over) return;
            over = true;
            if (++seen < frames) return next();
            clearTimeout(timer);
            resolve();
          });
          // A video whose place another takes calls nobody any more.
          setTimeout(() => {
            if (over) return;
            over = true;
            next();
          }, 500);
        };
        next();
      }),
    [frames, timeout] as const,
  );
}

/** One presented frame of the demo pattern. */
export interface Sample {
  /** When it was to be on screen, Unix ms. */
  readonly shownMs: number;
  /** The wall clock in its pixels, Unix ms; null where it could not be read. */
  readonly drawnMs: number | null;
}

export interface Watched {
  readonly samples: Sample[];
  /** Gaps between presented frames of more than `FREEZE_MS`. */
  readonly freezes: number;
}

/** A gap that viewers notice: the definition of a freeze in W3C webrtc-stats is of this order. */
export const FREEZE_MS = 200;

/** Reads the clock in every frame presented during `ms`. */
export async function watchClock(page: Page, ms: number): Promise<Watched> {
  const frames = await page.evaluate(
    async ([ms, strip, size]) => {
      const canvas = new OffscreenCanvas(size.width, size.height);
      const context = canvas.getContext('2d', { willReadFrequently: true });
      const frames: { shownMs: number; green: number[] }[] = [];
      const end = performance.now() + ms;
      const player = document.querySelector('lectern-player');
      while (performance.now() < end) {
        // On a page without our player, the one video that there is.
        const video = player ? player.video : document.querySelector('video');
        if (!video || !context) throw new Error('no picture is shown');
        const shown = await new Promise<number | null>((resolve) => {
          const late = setTimeout(() => resolve(null), 1_000);
          video.requestVideoFrameCallback((_now, { expectedDisplayTime }) => {
            clearTimeout(late);
            resolve(expectedDisplayTime);
          });
        });
        if (shown === null) continue;
        const { videoWidth: w, videoHeight: h } = video;
        context.drawImage(
          video,
          strip.x * w,
          strip.y * h,
          strip.width * w,
          strip.height * h,
          0,
          0,
          size.width,
          size.height,
        );
        const { data } = context.getImageData(0, 0, size.width, size.height);
        const green = Array.from(
          { length: size.width * size.height },
          (_, i) => data[i * 4 + 1] ?? 0,
        );
        // Today's wall clock at that moment; the page's time origin may be off by a clock step.
        frames.push({ shownMs: Date.now() + (shown - performance.now()), green });
      }
      return frames;
    },
    [ms, STRIP, STRIP_CANVAS] as const,
  );
  const samples = frames.map(({ shownMs, green }) => {
    const data = new Uint8ClampedArray(green.length * 4);
    green.forEach((level, i) => {
      data[i * 4 + 1] = level;
    });
    return { shownMs, drawnMs: readStrip({ data, ...STRIP_CANVAS }) };
  });
  const gaps = samples.slice(1).map(({ shownMs }, i) => shownMs - (samples[i]?.shownMs ?? shownMs));
  return { samples, freezes: gaps.filter((gap) => gap > FREEZE_MS).length };
}

/** Glass to glass in ms of every frame whose clock could be read. */
export function latencies({ samples }: Watched): number[] {
  return samples.flatMap(({ shownMs, drawnMs }) => (drawnMs === null ? [] : [shownMs - drawnMs]));
}

/** The q-quantile by nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** The loudest moment of what the player plays during `ms`, 0 to 1. */
export function peakLevel(page: Page, ms: number): Promise<number> {
  return page.evaluate(async (ms) => {
    const video = document.querySelector('lectern-player')?.video as
      | (HTMLVideoElement & { captureStream(): MediaStream })
      | null
      | undefined;
    if (!video) throw new Error('no picture is shown');
    const context = new AudioContext();
    await context.resume();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(video.captureStream()).connect(analyser);
    const block = new Float32Array(analyser.fftSize);
    const end = performance.now() + ms;
    let peak = 0;
    while (performance.now() < end) {
      analyser.getFloatTimeDomainData(block);
      peak = block.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), peak);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await context.close();
    return peak;
  }, ms);
}
