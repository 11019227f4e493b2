// What viewers of LL-DASH and LL-HLS get from dash.js, Shaka and hls.js: start-up, latency by the
// clock in the pixels, rebuffering; one player after the other, each alone, on one machine and so on
// one clock. Real servers, a real encoder, a real browser.
//
//   --seconds N      per player (default 60; the aim of no rebuffering is stated for 300)
//   --player NAME    only this one: dashjs, shaka or hlsjs
//   --json           the results as JSON

import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { launch, Stack } from '../../tests/browser/harness.ts';
import { latencies, quantile, watchClock } from '../../tests/browser/player.ts';
import { freezes, PLAYERS, type PlayerName } from '../../tests/browser/players/record.ts';
import { published, Stage } from '../../tests/browser/players/stage.ts';
import { ms, table } from '../latency/report.ts';

/** Left out at the start: joining and catching up are not what is measured. */
const SETTLE_MS = 20_000;
const START_MS_MAX = 30_000;
/** How old the broadcast is at least: who joins in its first seconds is another matter. */
const AGE_MS = 10_000;
/** A position that stands still for so long is one rebuffering: three ticks of the recorder. */
const REBUFFERING_MS = 300;
/** Latency that each should hold, at the median: issue 4. */
const AIM_MS: Record<PlayerName, number> = { dashjs: 1_000, shaka: 1_300, hlsjs: 1_500 };
const NAMES: Record<PlayerName, string> = {
  dashjs: 'dash.js, LL-DASH',
  shaka: 'Shaka, LL-DASH',
  hlsjs: 'hls.js, LL-HLS',
};

interface Result {
  readonly player: PlayerName;
  readonly startMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly rebufferings: number;
  /** The longest of them. */
  readonly longestMs: number;
  /** When, and whether for want of media. */
  readonly stood: readonly string[];
  readonly frames: number;
  readonly unreadable: number;
  readonly errors: readonly string[];
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    player: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
if (!(seconds >= 1 && seconds <= 3600)) throw new Error('--seconds wants 1 to 3600');
const players = PLAYERS.filter((player) => !values.player || player === values.player);
if (players.length === 0) throw new Error(`--player wants one of ${PLAYERS.join(', ')}`);

async function measure(stack: Stack, browser: Browser, player: PlayerName): Promise<Result> {
  const stage = await Stage.open(browser, stack);
  try {
    await stage.play([player], 'demo');
    await stage.untilPlayed(player, 1, START_MS_MAX);
    await stage.page.waitForTimeout(SETTLE_MS);
    const fromMs = (await stage.recorded(player)).ticks.at(-1)?.atMs ?? 0;
    const watched = await watchClock(stage.page, seconds * 1000);
    const recorded = await stage.recorded(player);
    const glass = latencies(watched);
    // Reading out what was watched takes the page a moment, which is not the player's.
    const toMs = fromMs + seconds * 1000;
    const stood = freezes(recorded, fromMs, REBUFFERING_MS).filter((one) => one.fromMs < toMs);
    return {
      player,
      startMs: recorded.firstMs ?? Number.NaN,
      p50Ms: quantile(glass, 0.5),
      p95Ms: quantile(glass, 0.95),
      rebufferings: stood.length,
      longestMs: Math.max(0, ...stood.map(({ ms }) => ms)),
      frames: watched.samples.length,
      unreadable: watched.samples.length - glass.length,
      stood: stood.map(({ fromMs: atMs, ms, aheadS }) => {
        const at = ((atMs - fromMs) / 1000).toFixed(1);
        return `stood still for ${ms} ms at ${at} s, with ${aheadS.toFixed(2)} s of media ahead`;
      }),
      errors: [...recorded.errors, ...stage.refusals.map((refusal) => JSON.stringify(refusal))],
    };
  } catch (error) {
    const { errors } = await stage.recorded(player);
    console.error([...errors, ...stage.answers, ...stage.console].join('\n'));
    throw error;
  } finally {
    await stage.close();
  }
}

function render(results: readonly Result[]): string {
  const verdict = ({ player, p50Ms, rebufferings }: Result) =>
    p50Ms <= AIM_MS[player] && rebufferings === 0 ? 'met' : 'MISSED';
  const rows = results.map((result) => [
    NAMES[result.player],
    ms(result.startMs),
    ms(result.p50Ms),
    ms(result.p95Ms),
    `${AIM_MS[result.player]}`,
    `${result.rebufferings}`,
    ms(result.longestMs),
    `${result.frames}`,
    `${result.errors.length}`,
    verdict(result),
  ]);
  const head = [
    'player',
    'start, ms',
    'p50, ms',
    'p95, ms',
    'aim p50',
    'rebuffered',
    'longest, ms',
  ];
  const lines = table([...head, 'frames', 'errors', 'aims'], rows);
  const errors = results.flatMap(({ player, stood, errors }) =>
    [...stood, ...errors].map((what) => `${NAMES[player]}: ${what}`),
  );
  const aim = `latency of frames on screen over ${seconds} s each; the aim is no rebuffering`;
  return [...lines, '', aim, ...errors].join('\n');
}

const stack = await Stack.start({ roles: 'all', demo: true, profile: 'release' });
const browser = await launch();
try {
  await published(stack, 'demo', START_MS_MAX);
  await new Promise((resolve) => setTimeout(resolve, AGE_MS));
  const results: Result[] = [];
  for (const player of players) {
    console.error(`measuring ${NAMES[player]} for ${seconds} s …`);
    results.push(await measure(stack, browser, player));
  }
  console.log(values.json ? JSON.stringify({ seconds, results }, null, 2) : render(results));
} catch (error) {
  console.error(stack.logs());
  throw error;
} finally {
  await browser.close();
  await stack.stop();
}
