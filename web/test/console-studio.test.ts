// When a page that was live goes on by itself, and when it does not: what people have decided stays.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../src/console/api.ts';
import type { Broadcast, Key, Live } from '../src/console/model.ts';
import { Studio } from '../src/console/studio.ts';
import { refusal, type Whip, WhipError, type WhipOptions } from '../src/console/whip.ts';

const HOUR_MS = 3_600_000;
const NOW = '2026-11-22T10:00:00.000Z';

const publisher = (key: string): Live['publisher'] => ({ protocol: 'rtmp', key, since: NOW });
const key = (id: string, more: Partial<Key> = {}): Key => ({
  ...{ id, label: 'Browser', use: 'primary', hint: '', created_at: NOW },
  ...{ used_at: null, revoked_at: null, ...more },
});

/** What the server knows, and what was done to it. */
class World {
  live: Live = {
    ...{ state: 'live', since: NOW, publisher: publisher('made'), standby: false, report: null },
    viewers: { total: 0, by_path: {}, by_edge: [] },
  };
  blocked = false;
  /** What asking it fails with. */
  away: ApiError | null = null;
  keys: Key[] = [];
  full = false;
  readonly revoked: string[] = [];
  /** What publishing fails with, in turn; nothing: it works. */
  refusals: WhipError[] = [];
  readonly published: WhipOptions[] = [];
  readonly left: string[] = [];

  #answer<T>(value: T): Promise<T> {
    return this.away ? Promise.reject(this.away) : Promise.resolve(value);
  }

  readonly studio = new Studio({
    api: {
      keys: {
        list: () => this.#answer(this.keys),
        create: () =>
          this.full
            ? Promise.reject(new ApiError(409, 'conflict', 'there are as many as may be'))
            : this.#answer({ ...key('made'), key: 'secret' }),
        revoke: async (_, id) => void this.revoked.push(id),
        revokeAtExit: () => {},
      },
      broadcasts: {
        get: () => this.#answer({ blocked: this.blocked } as Broadcast),
        live: () => this.#answer(this.live),
      },
    },
    whip: () => '/whip',
    publish: async (options) => {
      const refused = this.refusals.shift();
      if (refused) throw refused;
      this.published.push(options);
      const say = (what: string) => () => void this.left.push(what);
      return { close: say('goodbye'), leave: say('left') } as unknown as Whip;
    },
  });

  async goLive(): Promise<void> {
    this.studio.broadcast = 'a';
    this.studio.stage = 'preview';
    this.studio.stream = { getTracks: () => [], getAudioTracks: () => [] } as never;
    await this.studio.goLive();
  }

  /** The newest connection is lost; what follows within so long has happened. */
  async lose(ms = 0): Promise<void> {
    this.published.at(-1)?.lost();
    await vi.advanceTimersByTimeAsync(ms);
  }
}

let world: World;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(NOW) });
  vi.stubGlobal('location', { href: 'https://o.example/console' });
  world = new World();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** It sends nothing any more, whatever happens and however long one waits. */
async function isOver(): Promise<void> {
  const { length } = world.published;
  expect(world.studio.stage).toBe('preview');
  expect(world.revoked).toEqual(['made']);
  world.blocked = false;
  world.live = { ...world.live, publisher: null };
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(world.published).toHaveLength(length);
  // But it can be begun again.
  await world.studio.goLive();
  expect(world.studio).toMatchObject({ stage: 'live', trouble: null });
}

test('a connection that was only lost is made again, without a goodbye in between', async () => {
  await world.goLive();
  await world.lose();
  expect(world.studio.stage).toBe('live');
  expect(world.published).toHaveLength(2);
  expect(world.left).toEqual(['left']);
  // The server has noticed that the encoder is gone.
  world.live = { ...world.live, state: 'away', publisher: null };
  await world.lose();
  expect(world.published).toHaveLength(3);
  // It was started anew, and knows of nothing before.
  world.live = { ...world.live, state: 'ended', since: null };
  await world.lose();
  expect(world.published).toHaveLength(4);
  expect(world.studio).toMatchObject({ stage: 'live', trouble: null });
});

test('a network that is gone for long is waited for, and decides nothing', async () => {
  await world.goLive();
  world.away = new ApiError(0, 'network', '');
  await world.lose(HOUR_MS);
  expect(world.studio.stage).toBe('reconnecting');
  expect(world.published).toHaveLength(1);
  world.away = null;
  world.refusals = [new WhipError(0, 'no-connection'), new WhipError(503, 'full')];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.studio.stage).toBe('live');
  expect(world.published).toHaveLength(2);
});

test.each([
  ['replaced', (w: World) => ({ live: { ...w.live, publisher: publisher('obs') } })],
  ['blocked', () => ({ blocked: true })],
  ['stopped', (w: World) => ({ live: { ...w.live, state: 'ended', publisher: null } })],
] as const)('what was %s does not go on by itself', async (trouble, change) => {
  await world.goLive();
  Object.assign(world, change(world));
  await world.lose();
  expect(world.studio.trouble).toBe(trouble);
  expect(world.published).toHaveLength(1);
  await isOver();
});

test.each(['stopped', 'blocked', 'replaced'] as const)(
  'nor does it when publishing is refused: %s',
  async (code) => {
    await world.goLive();
    world.refusals = [new WhipError(503, 'In words.', code, 20)];
    await world.lose();
    expect(world.studio).toMatchObject({ trouble: code, retryAfter: 20 });
    await isOver();
  },
);

test('somebody takes over while the network is gone', async () => {
  await world.goLive();
  world.away = new ApiError(0, 'network', '');
  await world.lose(HOUR_MS);
  world.away = null;
  world.live = { ...world.live, publisher: publisher('obs') };
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.studio.trouble).toBe('replaced');
  await isOver();
});

test('a broadcast that is there no more is not waited for', async () => {
  await world.goLive();
  world.away = new ApiError(404, 'not-found', 'There is no broadcast a.');
  await world.lose();
  expect(world.studio).toMatchObject({ stage: 'preview', trouble: 'api' });
});

test('keys of pages that crashed are taken back, and of no one else', async () => {
  const at = (hours: number) => new Date(Date.parse(NOW) - hours * HOUR_MS).toISOString();
  world.keys = [
    key('crashed', { created_at: at(30), used_at: at(13) }),
    key('never-used', { created_at: at(13) }),
    key('of-today', { created_at: at(30), used_at: at(11) }),
    key('on-air', { created_at: at(30), used_at: at(29) }),
    key('of-an-encoder', { label: 'Hall 3', created_at: at(900) }),
    key('gone', { created_at: at(900), revoked_at: at(800) }),
  ];
  world.live = { ...world.live, publisher: publisher('on-air') };
  await world.goLive();
  expect(world.revoked).toEqual(['crashed', 'never-used']);
  expect(world.studio.stage).toBe('live');
});

test('as many keys as may be is told as what it is', async () => {
  world.full = true;
  await world.goLive();
  expect(world.studio).toMatchObject({ stage: 'preview', trouble: 'keys-full' });
});

test('a refusal has what the server says, and a proxy decides nothing', async () => {
  const said = (body: string, headers = {}) => new Response(body, { status: 503, headers });
  const stopped = JSON.stringify({ title: 'x', detail: 'Stopped.', code: 'stopped' });
  expect(await refusal(said(stopped, { 'Retry-After': '21' }))).toMatchObject({
    ...{ status: 503, reason: 'Stopped.', decision: 'stopped', retryAfter: 21, final: true },
  });
  for (const body of ['<html>', '{}', 'null', '{"code":"full"}', '{"code":["stopped"]}']) {
    expect(await refusal(said(body))).toMatchObject({ decision: null, final: false });
  }
  expect(new WhipError(401, '').final).toBe(true);
});
