// What the latency bench says: the results as data, and as a table beside the aims.

/** Quantiles in milliseconds. */
export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface PathResult {
  readonly path: 'webrtc' | 'dash';
  /** From the clock that was drawn into the picture to that picture on the screen. */
  readonly glass: Quantiles;
  readonly frames: number;
  /** Frames whose clock could not be read. */
  readonly unreadable: number;
  readonly freezes: number;
  readonly fps: number;
  /** From the arrival of a frame by RTMP, by the servers' own clocks, over the same time. */
  readonly stages: readonly Stage[];
}

export interface Stage {
  readonly name: string;
  readonly age: Quantiles;
}

export interface Aim {
  readonly name: string;
  readonly aimMs: number;
  readonly measuredMs: number;
}

export interface Report {
  readonly seconds: number;
  readonly cores: number;
  readonly paths: readonly PathResult[];
  readonly aims: readonly Aim[];
}

const AIMS = {
  webrtcGlassP50: 120,
  webrtcServerP50: 2,
  webrtcServerP99: 10,
  dashGlassP50: 1_500,
} as const;

/** The aims beside what these paths measured. */
export function aims(paths: readonly PathResult[]): Aim[] {
  const webrtc = paths.find(({ path }) => path === 'webrtc');
  const dash = paths.find(({ path }) => path === 'dash');
  const server = webrtc?.stages.at(-1)?.age;
  const none = Number.NaN;
  return [
    {
      name: 'WebRTC, glass to glass, p50',
      aimMs: AIMS.webrtcGlassP50,
      measuredMs: webrtc?.glass.p50 ?? none,
    },
    {
      name: 'RTMP in → RTP out, p50',
      aimMs: AIMS.webrtcServerP50,
      measuredMs: server?.p50 ?? none,
    },
    {
      name: 'RTMP in → RTP out, p99',
      aimMs: AIMS.webrtcServerP99,
      measuredMs: server?.p99 ?? none,
    },
    {
      name: 'LL-DASH, glass to glass, p50',
      aimMs: AIMS.dashGlassP50,
      measuredMs: dash?.glass.p50 ?? none,
    },
  ];
}

const NAMES = { webrtc: 'WebRTC', dash: 'LL-DASH' } as const;

export function render(report: Report): string {
  const lines = [
    `${report.seconds} s per path, ${report.cores} cores shared by encoder, servers and browser`,
    '',
  ];
  lines.push(
    ...table(
      ['glass to glass, ms', 'p50', 'p95', 'p99', 'frames', 'fps', 'freezes', 'unreadable'],
      report.paths.map((p) => [
        NAMES[p.path],
        ...quantiles(p.glass),
        `${p.frames}`,
        p.fps.toFixed(1),
        `${p.freezes}`,
        `${p.unreadable}`,
      ]),
    ),
    '',
  );
  for (const { path, glass, stages } of report.paths) {
    lines.push(
      ...table(
        [`${NAMES[path]}: where the time goes, ms`, 'p50', 'p95', 'p99', 'share of p50'],
        breakdown(glass, stages),
      ),
      '',
    );
  }
  lines.push(
    ...table(
      ['aim', 'at most, ms', 'measured, ms', 'measured / aim', ''],
      report.aims.map(({ name, aimMs, measuredMs }) => [
        name,
        `${aimMs}`,
        ms(measuredMs),
        (measuredMs / aimMs).toFixed(2),
        measuredMs <= aimMs ? 'met' : 'MISSED',
      ]),
    ),
  );
  return lines.join('\n');
}

/**
 * The stages as differences of quantiles, so that they add up to the whole. That is exact for p50
 * only as far as the stages vary little, which is why the ages themselves are in the JSON.
 */
function breakdown(glass: Quantiles, stages: readonly Stage[]): string[][] {
  const rows: [string, Quantiles][] = [];
  let before: Quantiles = { p50: 0, p95: 0, p99: 0 };
  for (const { name, age } of stages) {
    rows.push([name, minus(age, before)]);
    before = age;
  }
  rows.push(['encoder and player: the rest', minus(glass, before)]);
  return rows.map(([name, q]) => [
    name,
    ...quantiles(q),
    `${((100 * q.p50) / glass.p50).toFixed(1)} %`,
  ]);
}

function minus(a: Quantiles, b: Quantiles): Quantiles {
  return { p50: a.p50 - b.p50, p95: a.p95 - b.p95, p99: a.p99 - b.p99 };
}

function quantiles({ p50, p95, p99 }: Quantiles): string[] {
  return [ms(p50), ms(p95), ms(p99)];
}

/** Milliseconds with three significant digits or so. */
export function ms(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0);
}

/** Lines of a table whose first column is text and whose others are numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)];
}
