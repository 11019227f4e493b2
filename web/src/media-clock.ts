// Media time from what a path shows, and latency from media time: pure arithmetic. The edge's RTP
// timestamps carry media time since T0 modulo 2^32 without the random offset of RFC 3550 §5.1, so
// a viewer knows where in the broadcast the picture on its screen belongs.

/** Ticks per second of video RTP timestamps (RFC 6184 §8.2.1). */
export const VIDEO_HZ = 90_000;

const WRAP = 2 ** 32;

/**
 * Media time in milliseconds since T0 of a frame with this RTP timestamp, presented when media time
 * was about `expectedMs`. The timestamp wraps every 13.3 hours; the nearest turn is taken, so the
 * expectation may be off by more than six hours.
 */
export function mediaTimeMs(rtpTimestamp: number, expectedMs: number): number {
  const expected = (expectedMs * VIDEO_HZ) / 1000;
  const turns = Math.max(0, Math.round((expected - rtpTimestamp) / WRAP));
  return ((rtpTimestamp + turns * WRAP) * 1000) / VIDEO_HZ;
}

/** How far behind live a picture with media time `mediaMs` is, in milliseconds. */
export function latencyMs(serverNowMs: number, t0Ms: number, mediaMs: number): number {
  return serverNowMs - (t0Ms + mediaMs);
}

/**
 * The latency to show: an exponential mean, because the measured one jitters by a frame's time. A
 * jump, as at a path change, is taken at once.
 */
export class Smoothed {
  /** Differences beyond this are a new situation, not jitter. */
  static readonly JUMP_MS = 400;
  /** Weight of a new sample: at two samples a second a step is followed within two seconds. */
  static readonly WEIGHT = 0.4;

  #value: number | null = null;

  get value(): number | null {
    return this.#value;
  }

  push(sample: number): number {
    const old = this.#value;
    this.#value =
      old === null || Math.abs(sample - old) > Smoothed.JUMP_MS
        ? sample
        : old + (sample - old) * Smoothed.WEIGHT;
    return this.#value;
  }

  reset(): void {
    this.#value = null;
  }
}
