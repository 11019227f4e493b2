// What a recorded playback says: stalls, holes, lip sync. Pure over what `page.ts` wrote down.

export const PLAYERS = ['dashjs', 'shaka', 'hlsjs'] as const;
export type PlayerName = (typeof PLAYERS)[number];

/** A player's position at one moment. */
export interface Tick {
  /** Since the start of the player. */
  readonly atMs: number;
  /** `currentTime`, seconds. */
  readonly time: number;
  /** `buffered`, seconds. */
  readonly ranges: readonly (readonly [number, number])[];
  readonly seeking: boolean;
  /** `readyState`. */
  readonly ready: number;
  readonly rate: number;
}

export interface Recorded {
  /** From the start of the player to its first picture, or to where its sound first moved. */
  readonly firstMs: number | null;
  readonly frames: number;
  /** Of the newest picture, pixels. */
  readonly width: number;
  readonly errors: readonly string[];
  /** What the player mended by itself: stalls, and playlists that waited for media in vain. */
  readonly mended: readonly string[];
  readonly ticks: readonly Tick[];
  /** Media times at which a flash was first seen, seconds. */
  readonly flashes: readonly number[];
  /** Media times at which a beep was first heard, seconds. */
  readonly beeps: readonly number[];
  /** There was more to record than there was room. */
  readonly cut: boolean;
}

/** A player's subtitles, in media time. */
export interface Subtitles {
  readonly tracks: readonly {
    readonly label: string;
    readonly kind: string;
    readonly mode: TextTrackMode;
    readonly cues: readonly {
      readonly fromS: number;
      readonly toS: number;
      readonly text: string;
    }[];
  }[];
  /** What was on screen together, from each moment on at which it changed. */
  readonly shown: readonly { readonly mediaS: number; readonly texts: readonly string[] }[];
}

/** A stretch in which the position did not move. */
export interface Freeze {
  readonly fromMs: number;
  readonly ms: number;
  readonly time: number;
  /** The least media that lay ahead of the position meanwhile, seconds. */
  readonly aheadS: number;
}

/** Media ahead of the position, seconds; what lies behind a hole is not ahead. */
export function ahead({ time, ranges }: Tick): number {
  // Players step over holes as small as this by themselves, and sources round that much.
  const slack = 0.1;
  const range = ranges.find(([start, end]) => start - slack <= time && time <= end);
  return range ? range[1] - time : 0;
}

/** Freezes of at least `leastMs` that began after `fromMs`. */
export function freezes({ ticks }: Recorded, fromMs: number, leastMs: number): Freeze[] {
  const found: Freeze[] = [];
  const after = ticks.filter(({ atMs }) => atMs >= fromMs);
  for (let i = 0; i < after.length; ) {
    const first = after[i] as Tick;
    let end = i + 1;
    while (end < after.length && after[end]?.time === first.time) end++;
    const last = after[end] ?? after.at(-1) ?? first;
    const ms = last.atMs - first.atMs;
    if (ms >= leastMs) {
      const aheadS = Math.min(...after.slice(i, end).map(ahead));
      found.push({ fromMs: Math.round(first.atMs), ms: Math.round(ms), time: first.time, aheadS });
    }
    i = end;
  }
  return found;
}

/** For each beep, by how much the nearest flash came before it, in ms; none if none is near. */
export function lipSync({ flashes, beeps }: Recorded): number[] {
  return beeps.flatMap((beep) => {
    const nearest = flashes.map((flash) => beep - flash).sort((a, b) => Math.abs(a) - Math.abs(b));
    const offset = nearest[0];
    return offset !== undefined && Math.abs(offset) < 0.5 ? [offset * 1000] : [];
  });
}
