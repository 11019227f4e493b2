// Lines of a chart: points to paths, and an axis that ends at a number people like. Pure.

export interface Sample {
  readonly atMs: number;
  /** Null: there was nothing to measure. */
  readonly value: number | null;
}

export interface Frame {
  readonly width: number;
  readonly height: number;
  /** What the left and right edge are. */
  readonly fromMs: number;
  readonly toMs: number;
  /** What the upper edge is; the lower is zero. */
  readonly max: number;
}

/** Samples further apart than this are not joined: in between nothing came. */
const GAP_MS = 3_000;

/** The `d` of the line through the samples: a new one after each gap. */
export function linePath(samples: readonly Sample[], frame: Frame): string {
  return runs(samples)
    .map((run) => {
      const [first = '', ...rest] = run.map((sample) => point(sample, frame));
      // A single one is a dot, which a line of no length with round ends is.
      return rest.length === 0 ? `M${first}h0` : `M${first}L${rest.join(' ')}`;
    })
    .join('');
}

/** The `d` of what lies below it. */
export function areaPath(samples: readonly Sample[], frame: Frame): string {
  return runs(samples)
    .filter((run) => run.length > 1)
    .map((run) => {
      const [first, last] = [run[0] as Measured, run.at(-1) as Measured];
      const line = run.map((sample) => point(sample, frame)).join(' ');
      return `M${x(first, frame)},${frame.height}L${line} ${x(last, frame)},${frame.height}Z`;
    })
    .join('');
}

/** The least of a few round numbers times a power of ten that is not below the value. */
export function niceMax(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step =
    [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((each) => each * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}

/** The newest of the samples, and no more than so many. */
export function thin<T>(items: readonly T[], max: number): readonly T[] {
  if (items.length <= max) return items;
  const every = Math.ceil(items.length / max);
  return items.filter((_, index) => (items.length - 1 - index) % every === 0);
}

interface Measured {
  readonly atMs: number;
  readonly value: number;
}

function runs(samples: readonly Sample[]): Measured[][] {
  const found: Measured[][] = [];
  let run: Measured[] = [];
  for (const { atMs, value } of samples) {
    const last = run.at(-1);
    if (value === null || (last && atMs - last.atMs > GAP_MS)) {
      if (run.length > 0) found.push(run);
      run = [];
    }
    if (value !== null) run.push({ atMs, value });
  }
  if (run.length > 0) found.push(run);
  return found;
}

function point(sample: Measured, frame: Frame): string {
  const share = Math.min(1, Math.max(0, sample.value / frame.max));
  return `${x(sample, frame)},${round(frame.height * (1 - share))}`;
}

function x({ atMs }: Measured, { width, fromMs, toMs }: Frame): number {
  const share = (atMs - fromMs) / Math.max(1, toMs - fromMs);
  return round(width * Math.min(1, Math.max(0, share)));
}

const round = (value: number) => Math.round(value * 10) / 10;
