// dash.js, Shaka and hls.js play what encoders do: keyframes where scenes are cut, a restart in the
// middle, sound alone. None stalls, reports an error or falls out of sync. All three play at once.

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EncoderOptions } from './encoder.ts';
import { launch, Stack } from './harness.ts';
import { quantile } from './player.ts';
import { freezes, lipSync, PLAYERS, type PlayerName, type Recorded } from './players/record.ts';
import { published, Stage } from './players/stage.ts';

/** After this a player has found its place: until then it may seek and wait. */
const START_UP_MS = 4_000;
/**
 * A player that stands still for so long has stalled. They play a second behind the encoder, so on a
 * busy machine one waits for some hundred ms now and then, when encoder or browser get no turn; what
 * a wrong manifest or a hole in the media does lasts for seconds, or for ever.
 */
const STALL_MS = 2_500;
/** From the flash to the beep, of which a looking glass in the page takes some 50 ms by itself. */
const LIP_SYNC_MS_MAX = 150;
const DEADLINE_MS = 90_000;

interface Case {
  readonly name: string;
  readonly encoder: EncoderOptions;
  /** Seconds of media that each player must play. */
  readonly playS: number;
  /** Then the encoder dies and comes back, and as much again must be played. */
  readonly restarts: boolean;
}

const CASES: readonly Case[] = [
  { name: 'regular', encoder: {}, playS: 14, restarts: false },
  // Long enough for the GOP of eight seconds, the Period that begins with it, and what follows.
  { name: 'irregular', encoder: { gop: 'irregular' }, playS: 28, restarts: false },
  { name: 'restart', encoder: {}, playS: 8, restarts: true },
  { name: 'sound', encoder: { video: false }, playS: 10, restarts: false },
];

let stack: Stack;
let browser: Browser;
beforeAll(async () => {
  stack = await Stack.start({ roles: 'all', broadcasts: CASES.map(({ name }) => name) });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

describe.each(CASES)('$name', ({ name, encoder, playS, restarts }) => {
  let stage: Stage;
  let failed = false;
  const recorded = new Map<PlayerName, Recorded>();
  /** Since the start of each player; while the encoder is away nobody plays. */
  const away = new Map<PlayerName, { readonly fromMs: number; toMs: number }>();

  const played = () =>
    Promise.all(PLAYERS.map((player) => stage.untilPlayed(player, playS, DEADLINE_MS)));
  const nowMs = async (player: PlayerName) => (await stage.recorded(player)).ticks.at(-1)?.atMs;

  beforeAll(async () => {
    const options = { broadcast: name, ...encoder };
    stack.startEncoder(options);
    try {
      await published(stack, name, DEADLINE_MS);
      stage = await Stage.open(browser, stack);
      await stage.play(PLAYERS, name);
      await played();
      if (restarts) {
        for (const player of PLAYERS) {
          away.set(player, { fromMs: (await nowMs(player)) ?? 0, toMs: Number.POSITIVE_INFINITY });
        }
        await stack.stopEncoder(name);
        await stage.untilStopped(PLAYERS, DEADLINE_MS);
        stack.startEncoder(options);
        // Whoever plays again has found the new media; from there on the rule holds again.
        for (const player of PLAYERS) {
          await stage.untilPlayed(player, 1, DEADLINE_MS);
          const gone = away.get(player);
          if (gone) gone.toMs = ((await nowMs(player)) ?? 0) + START_UP_MS;
        }
        await played();
      }
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      for (const player of stage ? PLAYERS : []) {
        recorded.set(player, await stage.recorded(player));
      }
      await stack.stopEncoder(name);
    }
  }, 4 * DEADLINE_MS);
  afterEach(({ task }) => {
    failed ||= task.result?.state === 'fail';
  });
  afterAll(async () => {
    if (failed) {
      for (const [player, { ticks, errors, mended }] of recorded) {
        const seconds = ticks.filter((_, i) => i % 10 === 0).map((tick) => JSON.stringify(tick));
        console.error([`--- ${player} ---`, ...errors, ...mended, ...seconds].join('\n'));
      }
      console.error(
        [...(stage?.answers ?? []), ...(stage?.console ?? []), stack.logs()].join('\n'),
      );
    }
    await stage?.close();
  });

  describe.each(PLAYERS)('%s', (player) => {
    const of = () => {
      const found = recorded.get(player);
      if (!found) throw new Error('nothing was recorded');
      return found;
    };

    test('reports no error, and is refused no request', () => {
      expect(of().errors).toEqual([]);
      expect(stage.refusals.filter((refusal) => refusal.player === player)).toEqual([]);
    });

    test('does not stall once it plays', () => {
      const { firstMs, ticks } = of();
      const fromMs = (firstMs ?? Number.NaN) + START_UP_MS;
      const { fromMs: goneMs, toMs } = away.get(player) ?? { fromMs: 1 / 0, toMs: 1 / 0 };
      const found = freezes(of(), fromMs, STALL_MS).filter(
        (freeze) => freeze.fromMs + freeze.ms < goneMs || freeze.fromMs > toMs,
      );
      expect(found).toEqual([]);
      expect(ticks.length).toBeGreaterThan(playS);
    });

    test.runIf(encoder.video !== false)('keeps sound and picture together', () => {
      const offsets = lipSync(of());
      expect(offsets.length, 'flashes with their beeps').toBeGreaterThan(playS / 2);
      expect(Math.abs(quantile(offsets, 0.5))).toBeLessThan(LIP_SYNC_MS_MAX);
    });

    test.runIf(encoder.video === false)('is heard', () => {
      expect(of().beeps.length).toBeGreaterThan(playS / 2);
    });
  });
});
