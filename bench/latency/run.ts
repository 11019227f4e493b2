// `make bench-latency`: glass to glass through a real encoder, the real servers and a real browser,
// read from a clock in the pixels, with the share of each stage from the servers' histograms. Both
// paths are measured in one run, one after the other, on one machine and so one clock.
//
//   --seconds N   per path (default 30)
//   --json        the results as JSON, with every age in full

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { launch, metrics, type Ports, Stack, watch } from '../../tests/browser/harness.ts';
import { latencies, quantile, until, watchClock } from '../../tests/browser/player.ts';
import { between, histogram, quantile as histogramQuantile } from './prometheus.ts';
import { aims, type PathResult, type Quantiles, type Report, render } from './report.ts';

/** Left out at the start: joining and catching up are not what is measured. */
const SETTLE_MS = { webrtc: 5_000, dash: 15_000 } as const;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
if (!(seconds >= 1 && seconds <= 3600)) throw new Error('--seconds wants 1 to 3600');

/** The servers' histograms, each the age of a frame since its arrival by RTMP at that point. */
const STAGES = {
  publish: {
    name: 'RTMP in → published',
    metric: 'lectern_origin_publish_age_seconds',
    port: 'originOps',
    labels: {},
  },
  edge: {
    name: 'relay → edge',
    metric: 'lectern_edge_chunk_age_seconds',
    port: 'edgeOps',
    labels: { track: 'video' },
  },
  sent: {
    name: 'edge → RTP out',
    metric: 'lectern_webrtc_frame_age_seconds',
    port: 'edgeOps',
    labels: {},
  },
} as const;
type StageName = keyof typeof STAGES;

async function scrape(ports: Ports): Promise<Record<StageName, ReturnType<typeof histogram>>> {
  const texts = {
    originOps: await metrics(ports.originOps),
    edgeOps: await metrics(ports.edgeOps),
  };
  const of = ({ metric, port, labels }: (typeof STAGES)[StageName]) =>
    histogram(texts[port], metric, labels);
  return { publish: of(STAGES.publish), edge: of(STAGES.edge), sent: of(STAGES.sent) };
}

function quantiles(of: (q: number) => number): Quantiles {
  return { p50: of(0.5), p95: of(0.95), p99: of(0.99) };
}

async function measure(
  stack: Stack,
  browser: Browser,
  path: 'webrtc' | 'dash',
): Promise<PathResult> {
  const { page } = await watch(browser, `${stack.url}/watch/demo?path=${path}`);
  await until(page, { state: 'live', path }, 60_000);
  await page.waitForTimeout(SETTLE_MS[path]);

  const before = await scrape(stack.ports);
  const watched = await watchClock(page, seconds * 1000);
  const after = await scrape(stack.ports);
  await page.close();

  const glass = latencies(watched);
  const passed: StageName[] = path === 'webrtc' ? ['publish', 'edge', 'sent'] : ['publish', 'edge'];
  return {
    path,
    glass: quantiles((q) => quantile(glass, q)),
    frames: watched.samples.length,
    unreadable: watched.samples.length - glass.length,
    freezes: watched.freezes,
    fps: watched.samples.length / seconds,
    stages: passed.map((stage) => {
      const counted = between(before[stage], after[stage]);
      return {
        name: STAGES[stage].name,
        age: quantiles((q) => histogramQuantile(counted, q) * 1000),
      };
    }),
  };
}

const stack = await Stack.start({ roles: 'all', demo: true, profile: 'release' });
const browser = await launch();
try {
  const paths: PathResult[] = [];
  for (const path of ['webrtc', 'dash'] as const) {
    console.error(`measuring ${path} for ${seconds} s …`);
    paths.push(await measure(stack, browser, path));
  }
  const report: Report = { seconds, cores: cpus().length, paths, aims: aims(paths) };
  console.log(values.json ? JSON.stringify(report, null, 2) : render(report));
} catch (error) {
  console.error(stack.logs());
  throw error;
} finally {
  await browser.close();
  await stack.stop();
}
