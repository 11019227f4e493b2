// A blank page of the edge's with dash.js, Shaka and hls.js on it, all three playing one broadcast
// at once. Owns the page; what runs in it is `page.ts`'s.

import { dirname, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { stepOverLostPart } from '../../../web/src/engines/hls-lost-part.ts';
import { type Stack, webRequire } from '../harness.ts';
import { install } from './page.ts';
import { PLAYERS, type PlayerName, type Recorded, type Subtitles } from './record.ts';

const LIBRARIES: Record<PlayerName, string> = {
  dashjs: 'dashjs/dist/modern/umd/dash.all.min.js',
  shaka: 'shaka-player/dist/shaka-player.compiled.js',
  hlsjs: 'hls.js/dist/hls.min.js',
};
const MODULES = dirname(dirname(webRequire.resolve('playwright-core/package.json')));

/** A request of a player's that was refused. */
export interface Refusal {
  readonly player: string;
  readonly status: number;
  readonly path: string;
}

/** Answers that are kept, to be printed when a test fails. */
const ANSWERS_MAX = 4_000;

export class Stage {
  readonly page: Page;
  /** The newest answers to all of them, oldest first: time, player, status, what was asked for. */
  readonly answers: string[] = [];
  readonly refusals: Refusal[] = [];
  readonly console: string[] = [];
  readonly #stack: Stack;

  private constructor(page: Page, stack: Stack) {
    this.page = page;
    this.#stack = stack;
  }

  static async open(browser: Browser, stack: Stack): Promise<Stage> {
    const page = await browser.newPage({ viewport: { width: 1024, height: 400 } });
    const stage = new Stage(page, stack);
    page.on('console', (message) => stage.console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => stage.console.push(`error: ${error.message}`));
    page.on('response', (response) => {
      const { hostname, pathname, search } = new URL(response.url());
      const status = response.status();
      const player = hostname.split('.')[0] ?? '';
      if (!pathname.startsWith('/live/')) return;
      const time = new Date().toISOString().slice(11, 23);
      stage.answers.push(`${time} ${player} ${status} ${pathname}${search}`);
      if (stage.answers.length > ANSWERS_MAX) stage.answers.shift();
      if (status >= 400) stage.refusals.push({ player, status, path: pathname });
    });
    // The edge's plainest page. It must come from the edge: one that the test's driver makes up is
    // no local page to Chromium, and may ask nothing of this machine.
    await page.goto(`${stack.url}/time`);
    for (const player of PLAYERS) await page.addScriptTag({ path: Stage.library(player) });
    // As `docs/players.md` asks of every page that plays with hls.js.
    await page.addScriptTag({ content: `window.stepOverLostPart = ${stepOverLostPart}` });
    await page.evaluate(install);
    return stage;
  }

  /** The script of a player, to be put in a page. */
  static library(player: PlayerName): string {
    return join(MODULES, LIBRARIES[player]);
  }

  /** Where a player finds a broadcast. */
  url(player: PlayerName, broadcast: string): string {
    const manifest = player === 'hlsjs' ? 'index.m3u8' : 'manifest.mpd';
    // A host each: a browser opens six connections to a host, and every player holds some open.
    return `http://${player}.localhost:${this.#stack.ports.http}/live/${broadcast}/${manifest}`;
  }

  async play(players: readonly PlayerName[], broadcast: string): Promise<void> {
    for (const player of players) {
      await this.page.evaluate(([player, url]) => window.players.start(player, url), [
        player,
        this.url(player, broadcast),
      ] as const);
    }
  }

  recorded(player: PlayerName): Promise<Recorded> {
    return this.page.evaluate((player) => window.players.recorded(player), player);
  }

  showComments(player: PlayerName): Promise<void> {
    return this.page.evaluate((player) => window.players.showComments(player), player);
  }

  /** Times are media time. */
  async subtitles(player: PlayerName): Promise<Subtitles> {
    return this.page.evaluate((player) => window.players.subtitles(player), player);
  }

  /** Waits until a player has moved on by `seconds` of media, counted from now. */
  async untilPlayed(player: PlayerName, seconds: number, timeout: number): Promise<void> {
    await this.page.evaluate(
      ([player, seconds, timeout]) =>
        new Promise<void>((resolve, reject) => {
          let played = 0;
          let last = window.players.recorded(player).ticks.at(-1)?.time;
          const end = performance.now() + timeout;
          const timer = setInterval(() => {
            const now = window.players.recorded(player).ticks.at(-1);
            // A seek is no playing.
            if (now && last !== undefined && !now.seeking) {
              played += Math.min(Math.max(now.time - last, 0), 1);
            }
            last = now?.time;
            const late = performance.now() > end;
            if (played < seconds && !late) return;
            clearInterval(timer);
            if (!late) return resolve();
            reject(new Error(`${player} played ${played.toFixed(1)} s in ${timeout} ms`));
          }, 100);
        }),
      [player, seconds, timeout] as const,
    );
  }

  /** Waits until none of them has moved for a second. */
  async untilStopped(players: readonly PlayerName[], timeout: number): Promise<void> {
    await this.page.waitForFunction(
      (players) =>
        players.every((player) => {
          const { ticks } = window.players.recorded(player);
          const now = ticks.at(-1);
          const before = ticks.findLast(({ atMs }) => now && atMs < now.atMs - 1_000);
          return before !== undefined && before.time === now?.time;
        }),
      players,
      { timeout },
    );
  }

  async close(): Promise<void> {
    await this.page.evaluate(() => window.players.stop()).catch(() => {});
    await this.page.close();
  }
}

/** Waits until both kinds of manifest are there, and every playlist has a segment. */
export async function published(stack: Stack, broadcast: string, timeout: number): Promise<void> {
  const end = Date.now() + timeout;
  const has = async (path: string, what: RegExp) => {
    for (;;) {
      const answer = await fetch(`${stack.url}/live/${broadcast}/${path}`);
      const text = await answer.text();
      if (answer.ok && what.test(text)) return text;
      if (Date.now() > end) throw new Error(`${broadcast} has no ${path}: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await has('manifest.mpd', /<Representation/);
  const playlist = await has('index.m3u8', /#EXT-X-STREAM-INF/);
  for (const [track] of playlist.matchAll(/(video|audio)-\w+\/index\.m3u8/g)) {
    await has(track, /#EXTINF/);
  }
}
