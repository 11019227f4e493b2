// dash.js, Shaka and hls.js play what encoders do: keyframes where scenes are cut, a restart in the
// middle, sound alone. None stalls, reports an error or falls out of sync. All three play at once.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EncoderOptions } from './encoder.ts';
import { launch, Stack } from './harness.ts';
import { quantile } from './player.ts';
import { freezes, lipSync, type PlayerName, type Recorded } from './players/record.ts';
import { Stage } from './players/stage.ts';

/** Those that are held to this. */
const PLAYERS = ['dashjs', 'shaka'] as const satisfies PlayerName[];
/** After this a player has found its place: it may seek and wait until then. */
const START_UP_MS = 5_000;
/** A player that stands still for so long has stalled. A shorter wait is a busy machine's. */
const STALL_MS = 1_500;
const LIP_SYNC_MS_MAX = 150;
const DEADLINE_MS = 60_000;

interface Case {
  readonly name: string;
  readonly encoder: EncoderOptions;
  /** Seconds of media that each player must play. */
  readonly playS: number;
  /** The encoder dies after that, comes back, and as much again must be played. */
  readonly restarts?: boolean;
}

const CASES: Case[] = [
  { name: 'regular', encoder: {}, playS: 15 },
  { name: 'irregular', encoder: { gop: 'irregular' }, playS: 32 },
  { name: 'restart', encoder: {}, playS: 8, restarts: true },
  { name: 'sound', encoder: { video: false }, playS: 12 },
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
