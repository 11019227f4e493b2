import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  ANSWER_TIMEOUT_MS,
  BACKOFF_MAX_MS,
  BACKOFF_MS,
  Connection,
  type ConnectionHost,
  FULL_MS,
  GOOD_MS,
  HELLO_TIMEOUT_MS,
  QUEUE_MAX,
  RETRIES_MAX,
  RETRY_MAX_MS,
  SILENCES_MAX,
  type Socket,
} from '../src/comments/connection.ts';

const URL = 'wss://edge.example/live/talk/comments';

class FakeSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  closed = false;
  /** What was said to the edge, and not looked at yet. */
  sent: Record<string, unknown>[] = [];

  send(text: string) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  says(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** What was said since this was last asked, as the names of the attempts. */
  heard(): unknown[] {
    return this.sent.splice(0).map(({ type, client }) => client ?? type);
  }
}

/** A page with a connection, the edges that it finds, and all that it is told. */
class Page {
  sockets: FakeSocket[] = [];
  urls: string[] = [];
  told: unknown[] = [];
  after = 0;
  connection: Connection;

  constructor(random = 1, key = '') {
    const host: ConnectionHost = {
      after: () => this.after,
      said: ({ type }) => this.told.push(type),
      stored: ({ client, id }) => this.told.push(['stored', client, id]),
      refused: ({ client, reason }, again) => this.told.push(['refused', client, reason, again]),
      changed: () => {},
    };
    this.connection = new Connection({
      url: URL,
      secret: 's'.repeat(32),
      key,
      host,
      open: (url) => {
        const socket = new FakeSocket();
        this.urls.push(url);
        this.sockets.push(socket);
        return socket;
      },
      random: () => random,
    });
  }

  get socket(): FakeSocket {
    return this.sockets.at(-1) as FakeSocket;
  }

  /** The edge answers. */
  join() {
    this.socket.onopen?.();
    this.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(this.socket.heard()[0]).toBe('join');
    return this;
  }

  /** The edge closes, and the page connects again: after how long? */
  async lose(code = 1006): Promise<number> {
    const before = this.sockets.length;
    this.socket.onclose?.({ code });
    for (let ms = 0; ms <= 120_000; ms += 50) {
      if (this.sockets.length > before) return ms;
      await vi.advanceTimersByTimeAsync(50);
    }
    return Number.POSITIVE_INFINITY;
  }

  post(client: string) {
    const text = 'Why?';
    return this.connection.say({ type: 'post', client, mt: 5, user: 'Ada', text });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('joining', () => {
  test('says what is known, and begins when the edge has answered', () => {
    const page = new Page();
    page.after = 41;
    expect(page.connection.link).toBe('connecting');
    page.socket.onopen?.();
    expect(page.socket.sent).toEqual([{ type: 'join', after: 41, secret: 's'.repeat(32) }]);
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: 1 });
    page.socket.says({ type: 'comments', comments: [], complete: true });
    page.socket.says('nonsense');
    expect(page.connection.link).toBe('open');
    expect(page.told).toEqual(['hello', 'comments']);
  });

  test('an edge that says nothing is given up', async () => {
    const page = new Page();
    page.socket.onopen?.();
    await vi.advanceTimersByTimeAsync(HELLO_TIMEOUT_MS);
    expect(page.socket.closed).toBe(true);
    expect(page.connection.link).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(BACKOFF_MS);
    expect(page.sockets.length).toBe(2);
  });

  test('a socket that may not be opened is tried again like one that was lost', async () => {
    const page = new Page();
    const host: ConnectionHost = {
      after: () => 0,
      said: () => {},
      stored: () => {},
      refused: () => {},
      changed: () => page.told.push('changed'),
    };
    let tries = 0;
    const open = () => {
      tries++;
      throw new DOMException('no', 'SecurityError');
    };
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const connection = new Connection({ url: URL, secret: 's', host, open, random: () => 1 });
    expect(connection.link).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(BACKOFF_MS);
    expect(tries).toBe(2);
    connection.close();
    warn.mockRestore();
  });
});

describe('coming back', () => {
  test('takes longer each time, up to a bound, until a connection has lasted', async () => {
    const page = new Page();
    const waits = [];
    for (let i = 0; i < 8; i++) waits.push(await page.lose());
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, BACKOFF_MAX_MS]);
    page.join();
    expect(await page.lose(), 'a hello alone proves nothing').toBe(BACKOFF_MAX_MS);
    page.join();
    await vi.advanceTimersByTimeAsync(GOOD_MS);
    expect(await page.lose(1001)).toBe(BACKOFF_MS);
  });

  test('is spread over half of the time', async () => {
    expect(await new Page(0).lose()).toBe(BACKOFF_MS / 2);
  });

  test('asks a full edge late', async () => {
    expect(await new Page(0).lose(1013)).toBe(FULL_MS);
    const page = new Page(0.5);
    page.socket.onclose?.({ code: 1013 });
    expect(page.connection.link).toBe('full');
    await vi.advanceTimersByTimeAsync(FULL_MS * 1.5);
    expect(page.sockets.length).toBe(2);
  });

  test('is not done where rules were broken', async () => {
    const page = new Page().join();
    page.post('a');
    expect(await page.lose(1008)).toBe(Number.POSITIVE_INFINITY);
    expect(page.connection.link).toBe('refused');
    expect(page.told).toContainEqual(['refused', 'a', 'not-allowed', false]);
    page.connection.resume();
    expect(page.sockets.length).toBe(1);
    expect(page.post('b')).toBe(false);
  });

  test('is done at once when the network is back', async () => {
    const page = new Page();
    for (let i = 0; i < 5; i++) await page.lose();
    page.socket.onclose?.({ code: 1006 });
    const before = page.sockets.length;
    page.connection.resume();
    expect(page.sockets.length).toBe(before + 1);
    // And no older try is left that would make another.
    page.join();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(page.sockets.length).toBe(before + 1);
  });

  test('is not done after the end', async () => {
    const page = new Page().join();
    page.post('a');
    page.connection.close();
    expect(page.socket.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(page.sockets.length).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('what is said', () => {
  test('waits for a connection, and is said in its order', () => {
    const page = new Page();
    page.post('a');
    page.connection.say({ type: 'delete', client: 'b', id: 3 });
    expect(page.socket.sent).toEqual([]);
    page.socket.onopen?.();
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(page.socket.heard()).toEqual(['join', 'a', 'b']);
  });

  test('is said again after a reconnect, under the same name, unless it was acknowledged', async () => {
    const page = new Page().join();
    page.post('a');
    page.post('b');
    expect(page.socket.heard()).toEqual(['a', 'b']);
    page.socket.says({ type: 'stored', client: 'a', id: 1 });
    await page.lose();
    page.socket.onopen?.();
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(page.socket.heard()).toEqual(['join', 'b']);
    page.socket.says({ type: 'stored', client: 'b', id: 2 });
    page.socket.says({ type: 'stored', client: 'b', id: 2 });
    const stored = page.told.filter((told) => Array.isArray(told));
    expect(stored).toEqual([
      ['stored', 'a', 1],
      ['stored', 'b', 2],
    ]);
  });

  test('is said again when nothing is heard, and at last over another connection', async () => {
    const page = new Page().join();
    page.post('a');
    page.socket.heard();
    for (let i = 1; i < SILENCES_MAX; i++) {
      await vi.advanceTimersByTimeAsync(ANSWER_TIMEOUT_MS - 1);
      expect(page.socket.heard()).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      expect(page.socket.heard()).toEqual(['a']);
    }
    const dead = page.socket;
    await vi.advanceTimersByTimeAsync(ANSWER_TIMEOUT_MS);
    expect(dead.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(BACKOFF_MS);
    expect(page.socket).not.toBe(dead);
    page.socket.onopen?.();
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(page.socket.heard()).toEqual(['join', 'a']);
  });

  test('is said again after the time that a refusal gives, and not before', async () => {
    const page = new Page().join();
    page.post('a');
    page.socket.heard();
    page.socket.says({ type: 'refused', client: 'a', reason: 'too-fast', retry_after_ms: 30_000 });
    expect(page.told.at(-1)).toEqual(['refused', 'a', 'too-fast', true]);
    // Not even over a new connection.
    await page.lose();
    page.join();
    await vi.advanceTimersByTimeAsync(29_000);
    expect(page.socket.heard()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(page.socket.heard()).toEqual(['a']);
  });

  test('is refused when it was so for the moment too often, or for good', async () => {
    const page = new Page().join();
    page.post('a');
    for (let i = 0; i <= RETRIES_MAX; i++) {
      page.socket.says({ type: 'refused', client: 'a', reason: 'busy', retry_after_ms: 500 });
      expect(page.told.at(-1)).toEqual(['refused', 'a', 'busy', i < RETRIES_MAX]);
      await vi.advanceTimersByTimeAsync(500);
    }
    page.post('b');
    page.socket.says({ type: 'refused', client: 'b', reason: 'link' });
    expect(page.told.at(-1)).toEqual(['refused', 'b', 'link', false]);
    page.socket.heard();
    await vi.advanceTimersByTimeAsync(ANSWER_TIMEOUT_MS * 2);
    expect(page.socket.heard()).toEqual([]);
  });

  test('is bounded', () => {
    const page = new Page().join();
    for (let i = 0; i < QUEUE_MAX; i++) expect(page.post(`p${i}`)).toBe(true);
    expect(page.post('one-more')).toBe(false);
    page.socket.says({ type: 'stored', client: 'p0', id: 1 });
    expect(page.post('one-more')).toBe(true);
  });
});

describe('at another edge', () => {
  const OTHER = 'wss://other.example/live/talk/comments';

  test('it goes on at once: joins after what it has, says again what waits, and who attends', async () => {
    const page = new Page().join();
    page.connection.attend({ type: 'present', client: 'p', name: 'Ada' });
    page.post('a');
    page.post('b');
    page.socket.says({ type: 'refused', client: 'b', reason: 'too-fast', retry_after_ms: 5_000 });
    const left = page.socket;
    page.after = 41;
    page.connection.move(OTHER);
    expect([left.closed, page.urls]).toEqual([true, [URL, OTHER]]);
    page.socket.onopen?.();
    expect(page.socket.sent).toEqual([{ type: 'join', after: 41, secret: 's'.repeat(32) }]);
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(page.socket.heard()).toEqual(['join', 'p', 'a']);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(page.socket.heard()).toEqual(['b']);
    await page.lose();
    expect(page.urls.at(-1)).toBe(OTHER);
  });

  test('it stays where it is if that is the same', () => {
    const page = new Page().join();
    page.connection.move(URL);
    expect(page.urls).toEqual([URL]);
  });

  test('it may be welcome where the last one was not', () => {
    const page = new Page().join();
    page.socket.onclose?.({ code: 1008 });
    page.connection.move(OTHER);
    expect(page.join().connection.link).toBe('open');
  });
});

test('what nobody knew to be stored may turn out to be so, once', async () => {
  const page = new Page().join();
  for (const [client, reason] of [
    ['a', 'unavailable'],
    ['b', 'link'],
  ] as const) {
    page.post(client);
    page.socket.says({ type: 'refused', client, reason });
    page.told.splice(0);
    page.socket.says({ type: 'stored', client, id: 1 });
    page.socket.says({ type: 'stored', client, id: 1 });
    expect(page.told).toEqual(client === 'a' ? [['stored', 'a', 1]] : []);
  }
});

test('what would have to wait for long is its writer’s to say again', async () => {
  const page = new Page().join();
  page.post('a');
  page.socket.heard();
  const refused = { type: 'refused', client: 'a', reason: 'slow-mode' };
  page.socket.says({ ...refused, retry_after_ms: RETRY_MAX_MS + 1 });
  expect(page.told.at(-1)).toEqual(['refused', 'a', 'slow-mode', false]);
  await vi.advanceTimersByTimeAsync(RETRY_MAX_MS * 2);
  expect(page.socket.heard()).toEqual([]);
});

describe('a moderator', () => {
  test('joins with the key each time, and hears whether it is the right one', async () => {
    const page = new Page(1, 'k+/=');
    page.socket.onopen?.();
    expect(page.socket.sent[0]).toMatchObject({ type: 'join', key: 'k+/=' });
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    page.socket.says({ type: 'role', moderator: true });
    expect(page.told).toContain('role');
    await page.lose();
    page.socket.onopen?.();
    expect(page.socket.sent[0]).toMatchObject({ key: 'k+/=' });
  });

  test('says again after a reconnect what was not answered', async () => {
    const page = new Page().join();
    page.connection.say({ type: 'moderate', client: 'm', action: 'pin', id: 3 });
    page.connection.say({ type: 'moderate', client: 'b', action: 'blocks' });
    page.connection.say({ type: 'vote', client: 'v', id: 3, up: true });
    page.socket.says({ type: 'blocks', client: 'b', blocks: [] });
    page.socket.says({ type: 'blocks', client: 'b', blocks: [] });
    expect(page.told.filter((told) => told === 'blocks').length).toBe(1);
    await page.lose();
    page.socket.onopen?.();
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(page.socket.heard()).toEqual(['join', 'm', 'v']);
  });
});

describe('what nobody answers', () => {
  test('is said at once, or not at all', async () => {
    const page = new Page();
    const react = { type: 'react', emoji: '👏', mt: null } as const;
    expect(page.connection.tell(react)).toBe(false);
    page.join();
    expect(page.connection.tell(react)).toBe(true);
    expect(page.socket.heard()).toEqual(['react']);
    await page.lose();
    expect(page.join().connection.tell(react)).toBe(true);
  });

  test('who attends is told anew over each connection, and none once they leave', async () => {
    const page = new Page();
    page.connection.attend({ type: 'present', client: 'p', name: 'Ada' });
    const joined = () => {
      page.socket.onopen?.();
      page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
      return page.socket.heard();
    };
    expect(joined()).toEqual(['join', 'p']);
    await page.lose();
    expect(joined()).toEqual(['join', 'p']);
    const before = page.socket;
    page.connection.attend(null);
    expect(before.closed).toBe(true);
    expect(joined()).toEqual(['join']);
  });

  test('a name that is refused is told no more, unless it was so for the moment', async () => {
    const page = new Page().join();
    page.connection.attend({ type: 'present', client: 'p', name: 'Ada' });
    const refused = { type: 'refused', client: 'p', reason: 'too-fast' };
    page.socket.says({ ...refused, retry_after_ms: 2_000 });
    expect(page.told.at(-1)).toEqual(['refused', 'p', 'too-fast', true]);
    page.socket.heard();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(page.socket.heard()).toEqual(['p']);
    page.socket.says({ ...refused, reason: 'link' });
    expect(page.told.at(-1)).toEqual(['refused', 'p', 'link', false]);
    await page.lose();
    page.socket.onopen?.();
    page.socket.says({ type: 'hello', author: null, may_write: true, t0: null });
    expect(page.socket.heard()).toEqual(['join']);
  });
});
