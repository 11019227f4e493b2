// dash.js, Shaka and hls.js show comments as subtitles to whoever asks for them: each at its moment, once,
// and without a stall. Who does not ask loads nothing of them. All three play at once.

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EncoderOptions } from './encoder.ts';
import { launch, Stack } from './harness.ts';
import {
  freezes,
  PLAYERS,
  type PlayerName,
  type Recorded,
  type Subtitles,
} from './players/record.ts';
import { published, Stage } from './players/stage.ts';

/** As in `players.test.ts`. */
const START_UP_MS = 4_000;
const STALL_MS = 2_500;
const DEADLINE_MS = 90_000;
/** How long after a segment's length a cue begins, and how long it lasts. */
const SETTLE_S = 1;
const CUE_S = 8;
/** How far times may be off: by what a player rounds, and by how seldom the page looks. */
const CUE_OFF_S_MAX = 0.2;
const SHOWN_OFF_S_MAX = 0.75;
const PAUSE_MS = 2_300;

interface Case {
  readonly name: string;
  readonly encoder: EncoderOptions;
  /** The last of the periods in which comments are written; the first is 0. */
  readonly period: number;
}

const CASES: readonly Case[] = [
  { name: 'regular', encoder: {}, period: 0 },
  // With the GOP of eight seconds a period begins, of segments as long.
  { name: 'irregular', encoder: { gop: 'irregular' }, period: 1 },
];

interface Written {
  readonly text: string;
  /** Media time at which the origin took it in, seconds. */
  readonly atS: number;
}

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

describe.each(CASES)('$name', ({ name, encoder, period }) => {
  let stage: Stage;
  let failed = false;
  let written: readonly Written[] = [];
  /** Seconds of a segment of text. */
  let gridS = Number.NaN;
  let unasked: readonly string[] = [];
  const recorded = new Map<PlayerName, Recorded>();
  const subtitles = new Map<PlayerName, Subtitles>();

  const askedFor = () => stage.answers.filter((answer) => answer.includes('/comments/'));
  const played = (seconds: number) =>
    Promise.all(PLAYERS.map((player) => stage.untilPlayed(player, seconds, DEADLINE_MS)));

  beforeAll(async () => {
    stack.startEncoder({ broadcast: name, ...encoder });
    try {
      await published(stack, name, DEADLINE_MS);
      stage = await Stage.open(browser, stack);
      await stage.play(PLAYERS, name);
      await played(4);
      unasked = askedFor();
      gridS = await gridOf(stack, name, period);
      for (const player of PLAYERS) await stage.showComments(player);
      written = await write(stage, stack, name, ['a', '1 <b> & 2', 'لماذا؟']);
      await played(gridS + SETTLE_S + CUE_S + 3);
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      for (const player of stage ? PLAYERS : []) {
        recorded.set(player, await stage.recorded(player));
        subtitles.set(player, await stage.subtitles(player));
      }
      await stack.stopEncoder(name);
    }
  }, 4 * DEADLINE_MS);
  afterEach(({ task }) => {
    failed ||= task.result?.state === 'fail';
  });
  afterAll(async () => {
    if (failed) {
      for (const [player, found] of subtitles) {
        console.error(player, JSON.stringify(found), recorded.get(player)?.errors);
      }
      console.error(JSON.stringify(written), ...(stage?.console ?? []), stack.logs());
      console.error(stage ? askedFor().join('\n') : '');
    }
    await stage?.close();
  });

  test('who does not ask for comments loads nothing of them', () => {
    expect(unasked).toEqual([]);
  });

  describe.each(PLAYERS)('%s', (player) => {
    const shownAs = ({ text }: Written) =>
      // Shaka hands the browser text for which markup is markup again.
      `Ada: ${player === 'shaka' ? text.replace('<b> ', ' ') : text}`;
    const of = () => {
      const found = subtitles.get(player);
      if (!found) throw new Error('nothing was recorded');
      return found;
    };

    test('has one track of them', () => {
      expect(of().tracks.map(({ kind, mode }) => [kind, mode])).toEqual([['subtitles', 'showing']]);
    });

    test('has each once, a segment and a second after it was written', () => {
      const cues = of().tracks.flatMap(({ cues }) => cues);
      expect(cues.map(({ text }) => text)).toEqual(written.map(shownAs));
      for (const [i, { fromS, toS }] of cues.entries()) {
        const expected = (written[i]?.atS ?? Number.NaN) + gridS + SETTLE_S;
        expect(Math.abs(fromS - expected), `cue at ${fromS}, not ${expected}`).toBeLessThan(
          CUE_OFF_S_MAX,
        );
        expect(toS - fromS).toBeCloseTo(CUE_S, 2);
      }
    });

    // hls.js hears of a segment of eight seconds a poll later where keyframes are uneven
    // (`docs/players.md`), and then shows but what is left of its comments.
    const prompt = player !== 'hlsjs' || name === 'regular';
    test.runIf(prompt)('shows each for all of its time, and none twice', () => {
      const { shown } = of();
      for (const { texts } of shown) expect(new Set(texts).size, `${texts}`).toBe(texts.length);
      for (const comment of written) {
        const is = shown.map(({ texts }) => texts.includes(shownAs(comment)));
        const changes = is.flatMap((on, i) => (on === (is[i - 1] ?? false) ? [] : [i]));
        const [from = Number.NaN, to = Number.NaN] = changes.map((i) => shown[i]?.mediaS);
        expect(changes, `${comment.text} comes and goes once`).toHaveLength(2);
        const late = from - (comment.atS + gridS + SETTLE_S);
        expect(Math.abs(late), `${comment.text} is ${late} s late`).toBeLessThan(SHOWN_OFF_S_MAX);
        expect(Math.abs(to - from - CUE_S)).toBeLessThan(SHOWN_OFF_S_MAX);
      }
    });

    test('plays on: no error, no refusal, no stall', () => {
      const found = recorded.get(player);
      expect(found?.errors).toEqual([]);
      expect(stage.refusals.filter((refusal) => refusal.player === player)).toEqual([]);
      const fromMs = (found?.firstMs ?? Number.NaN) + START_UP_MS;
      expect(found && freezes(found, fromMs, STALL_MS)).toEqual([]);
    });
  });
});

/** The length of the segments of text in a period, once there is one. */
async function gridOf(stack: Stack, broadcast: string, period: number): Promise<number> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await fetch(`${stack.url}/live/${broadcast}/manifest.mpd`);
    const texts = (await answer.text()).match(/<SegmentTemplate timescale="1000" [^>]*/g) ?? [];
    const duration = /duration="(\d+)"/.exec(texts[period] ?? '')?.[1];
    if (duration) return Number(duration) / 1_000;
    if (Date.now() > end) throw new Error(`${broadcast} has no period ${period}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Writes comments one after the other, as a viewer does. */
function write(
  stage: Stage,
  stack: Stack,
  broadcast: string,
  texts: readonly string[],
): Promise<Written[]> {
  return stage.page.evaluate(
    async ([url, texts, pause]) => {
      const socket = new WebSocket(url);
      const news = new EventTarget();
      const comments = new Map<string, number>();
      let t0 = Number.NaN;
      socket.addEventListener('message', ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === 'hello') t0 = message.t0;
        for (const { text, at } of message.comments ?? []) comments.set(text, at);
        news.dispatchEvent(new Event('said'));
      });
      await new Promise((resolve) => socket.addEventListener('open', resolve));
      const say = (message: object) => socket.send(JSON.stringify(message));
      say({ type: 'join', after: 0, secret: crypto.randomUUID() });
      const written = [];
      for (const [i, text] of texts.entries()) {
        say({ type: 'post', client: `c${i}`, mt: null, user: 'Ada', text });
        while (!comments.has(text)) {
          await new Promise((resolve) => news.addEventListener('said', resolve, { once: true }));
        }
        written.push({ text, atS: ((comments.get(text) ?? Number.NaN) - t0) / 1_000 });
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
      socket.close();
      return written;
    },
    [`${stack.url.replace('http', 'ws')}/live/${broadcast}/comments`, texts, PAUSE_MS] as const,
  );
}
