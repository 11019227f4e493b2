import { describe, expect, test } from 'vitest';
import { between, histogram, quantile } from '../../bench/latency/prometheus.ts';
import { aims, type PathResult, render } from '../../bench/latency/report.ts';

const TEXT = `# HELP x_seconds x
# TYPE x_seconds histogram
x_seconds_bucket{track="video",le="0.001"} 10
x_seconds_bucket{track="video",le="0.002"} 30
x_seconds_bucket{track="video",le="+Inf"} 40
x_seconds_bucket{track="audio",le="0.001"} 7
x_seconds_bucket{track="audio",le="+Inf"} 9
x_seconds_count{track="video"} 40
`;

describe('histograms of the servers', () => {
  test('are read by label, or summed over labels that are not named', () => {
    const video = histogram(TEXT, 'x_seconds', { track: 'video' });
    expect(video).toEqual([
      [0.001, 10],
      [0.002, 30],
      [Number.POSITIVE_INFINITY, 40],
    ]);
    expect(histogram(TEXT, 'x_seconds')[0]).toEqual([0.001, 17]);
    expect(histogram(TEXT, 'x')).toEqual([]);
  });

  test('quantiles lie evenly within a bucket, and the open one counts as its lower bound', () => {
    const video = histogram(TEXT, 'x_seconds', { track: 'video' });
    expect(quantile(video, 0.5)).toBeCloseTo(0.0015);
    expect(quantile(video, 0.125)).toBeCloseTo(0.0005);
    expect(quantile(video, 0.99)).toBe(0.002);
    expect(quantile([], 0.5)).toBeNaN();
  });

  test('only what was counted between two scrapes counts', () => {
    const after = [
      [0.001, 10],
      [0.002, 50],
      [Number.POSITIVE_INFINITY, 60],
    ] as const;
    const counted = between(histogram(TEXT, 'x_seconds', { track: 'video' }), after);
    expect(counted).toEqual([
      [0.001, 0],
      [0.002, 20],
      [Number.POSITIVE_INFINITY, 20],
    ]);
    expect(quantile(counted, 0.5)).toBeCloseTo(0.0015);
  });
});

test('the report puts what was measured beside the aims, and its stages add up', () => {
  const q = (p50: number) => ({ p50, p95: p50 * 2, p99: p50 * 4 });
  const common = { frames: 900, unreadable: 0, freezes: 0, fps: 30 };
  const stages = [
    { name: 'RTMP in → published', age: q(0.5) },
    { name: 'relay → edge', age: q(1) },
  ];
  const paths: PathResult[] = [
    {
      path: 'webrtc',
      glass: q(100),
      ...common,
      stages: [...stages, { name: 'edge → RTP out', age: q(3) }],
    },
    { path: 'dash', glass: q(1_400), ...common, stages },
  ];
  expect(aims(paths).map(({ measuredMs }) => measuredMs)).toEqual([100, 3, 12, 1_400]);
  const text = render({ seconds: 30, cores: 2, paths, aims: aims(paths) });
  expect(text).toMatch(/RTMP in → RTP out, p50 +2 +3\.00 +1\.50 +MISSED/);
  expect(text).toMatch(/WebRTC, glass to glass, p50 +120 +100 +0\.83 +met/);
  expect(text).toMatch(/edge → RTP out +2\.00 +4\.00 +8\.00 +2\.0 %/);
  expect(text).toMatch(/encoder and player: the rest +97\.0/);
});
