// Quantiles of a time span from Prometheus histograms: the text exposition is parsed, two scrapes
// are subtracted, and within a bucket the values are taken to be spread evenly.

/** Cumulative counts by upper bound (`le`), ascending; the last bound is infinite. */
export type Histogram = readonly (readonly [bound: number, count: number])[];

/** The buckets of the metric `name` in an exposition, of the series with all of these labels. */
export function histogram(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Histogram {
  const sums = new Map<number, number>();
  for (const line of text.split('\n')) {
    const match = /^(\w+)_bucket\{([^}]*)\} (\S+)/.exec(line);
    if (match?.[1] !== name) continue;
    const has = Object.fromEntries(
      [...(match[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
    );
    if (Object.entries(labels).some(([key, value]) => has[key] !== value)) continue;
    const bound = has.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(has.le);
    sums.set(bound, (sums.get(bound) ?? 0) + Number(match[3]));
  }
  return [...sums].sort(([a], [b]) => a - b);
}

/** What was counted between two scrapes of the same histogram. */
export function between(before: Histogram, after: Histogram): Histogram {
  const old = new Map(before);
  return after.map(([bound, count]) => [bound, count - (old.get(bound) ?? 0)] as const);
}

/** The q-quantile; NaN if nothing was counted. The open bucket counts as its lower bound. */
export function quantile(buckets: Histogram, q: number): number {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total === 0) return Number.NaN;
  const rank = q * total;
  let [lower, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank && count > below) {
      if (!Number.isFinite(bound)) return lower;
      return lower + ((bound - lower) * (rank - below)) / (count - below);
    }
    [lower, below] = [bound, count];
  }
  return lower;
}
