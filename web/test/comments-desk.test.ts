import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { QUEUE_MAX, type Socket } from '../src/comments/connection.ts';
import { Desk, type DeskOptions } from '../src/comments/desk.ts';
import { choicesFor, slowChoices } from '../src/comments/moderation.ts';
import { Pace } from '../src/comments/pace.ts';
import { keyIn } from '../src/moderator-key.ts';
import { comment } from './comments.ts';

type Message = Record<string, unknown>;

/** A desk, the edge at the other end, and all that the page is told. */
class Page {
  readonly socket: Socket & { sent: Message[] };
  readonly desk: Desk;
  readonly felt: unknown[] = [];
  readonly listed: (string | null)[] = [];
  readonly urls: string[] = [];
  roles: boolean[] = [];
  voted: readonly number[] = [];
  nowMs = 1_000_000;
  mediaMs: number | null = 60_000;

  constructor(options: Partial<DeskOptions> = {}) {
    const sent: Message[] = [];
    this.socket = {
      ...{ onopen: null, onmessage: null, onclose: null, sent },
      send: (text) => sent.push(JSON.parse(text)),
      close: () => {},
    };
    this.desk = new Desk({
      ...{ url: 'wss://edge.example/live/talk/comments', secret: 's'.repeat(32) },
      host: {
        changed: () => {},
        felt: (felt) => this.felt.push(...felt),
        mediaMs: () => this.mediaMs,
        role: (moderator) => this.roles.push(moderator),
        voted: (ids) => {
          this.voted = ids;
        },
        listed: (name) => this.listed.push(name),
      },
      open: (url) => {
        this.urls.push(url);
        return this.socket;
      },
      now: () => this.nowMs,
      ...options,
    });
    this.socket.onopen?.();
    this.says({ type: 'hello', author: 'me', may_write: true, t0: 0, reactions: ['👏'] });
  }

  says(message: Message) {
    this.socket.onmessage?.({ data: JSON.stringify(message) });
  }

  tells(message: Message = {}) {
    this.says({ type: 'comments', comments: [], complete: true, ...message });
  }

  /** What was said last, of this type. */
  last(type: string): Message {
    return this.socket.sent.findLast((message) => message.type === type) ?? {};
  }

  stored(type: string, more: Message = {}) {
    this.says({ type: 'stored', client: this.last(type).client, id: 0, ...more });
  }

  refused(type: string, reason: string, retry_after_ms?: number) {
    this.says({ type: 'refused', client: this.last(type).client, reason, retry_after_ms });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('what is in force', () => {
  test('holds until something else is said', () => {
    const { desk, ...page } = new Page();
    expect(desk.settings).toMatchObject({ closed: false, slowMs: 0 });
    const it = new Page();
    it.tells({ room: { closed: true, approval: true, slow_ms: 0, attendance: false }, viewers: 7 });
    it.tells();
    expect(it.desk.settings).toMatchObject({ closed: true, approval: true });
    expect([it.desk.viewers, it.desk.shut]).toEqual([7, 'closed']);
    it.says({ type: 'role', moderator: true });
    expect(it.desk.shut).toBeNull();
    expect(page.roles).toEqual([]);
  });

  test('is what a moderator just said, unless it is refused', () => {
    const page = new Page();
    const settings = { action: 'settings', closed: true, approval: false, slow_ms: 5_000 } as const;
    page.desk.moderate(settings);
    expect(page.desk.settings).toMatchObject({ closed: true, slowMs: 5_000 });
    page.refused('moderate', 'not-moderator');
    expect(page.desk.settings).toMatchObject({ closed: false, slowMs: 0 });
    expect(page.desk.notice).toEqual({ what: 'done', reason: 'not-moderator' });
    page.desk.moderate(settings);
    page.tells({ room: { slow_ms: 5_000 } });
    expect(page.desk.settings, 'another moderator opened it').toMatchObject({ closed: false });
  });
});

describe('slow mode', () => {
  test('lets one write again after its time', () => {
    const page = new Page();
    page.tells({ room: { slow_ms: 30_000 } });
    expect(page.desk.waitsUntilMs).toBe(0);
    page.desk.write('Ada', 'Why?', false);
    expect(page.desk.waitsUntilMs).toBe(page.nowMs + 30_000);
    page.nowMs += 30_000;
    expect(page.desk.waitsUntilMs).toBe(0);
  });

  test('does not count what was refused, and believes the edge', () => {
    const pace = new Pace();
    pace.wrote('a', 1_000);
    pace.refused('a', 1_500, null);
    expect(pace.waitsUntilMs(5_000, 2_000)).toBe(0);
    pace.wrote('b', 2_000);
    pace.wrote('c', 3_000);
    pace.refused('c', 3_000, 3_900);
    expect(pace.waitsUntilMs(5_000, 3_000)).toBe(7_000);
    expect(pace.waitsUntilMs(0, 3_000)).toBe(0);
  });

  test('is over for what is sent again by itself, and not for moderators', () => {
    const page = new Page();
    page.tells({ room: { slow_ms: 30_000 } });
    page.desk.write('Ada', 'Why?', false);
    page.refused('post', 'slow-mode', 12_000);
    expect(page.desk.room.pending[0]?.progress.state).toBe('waiting');
    expect(page.desk.waitsUntilMs).toBe(page.nowMs + 12_000);
    page.says({ type: 'role', moderator: true });
    expect(page.desk.waitsUntilMs).toBe(0);
  });
});

describe('a moderator', () => {
  test('is told what waits, anew after each join', () => {
    const page = new Page({ key: 'k' });
    const held = { ...comment(3, { held: true }) };
    page.says({ type: 'role', moderator: true });
    page.tells({ comments: [held, { ...held, id: 4, seq: 4 }] });
    expect(page.roles).toEqual([true]);
    expect(page.desk.room.held()).toHaveLength(2);
    // One of them was decided on meanwhile.
    page.says({ type: 'role', moderator: true });
    page.tells({ comments: [held] });
    expect(page.desk.room.held().map(({ id }) => id)).toEqual([3]);
  });

  test('hears whom they blocked, and sees the list change', () => {
    const page = new Page();
    page.tells({ comments: [comment(3, { user: 'Eve' })] });
    page.desk.moderate({ action: 'blocks' });
    const block = { block: 1, whom: 'writer', user: 'Bob', until: null };
    page.says({ type: 'blocks', client: page.last('moderate').client, blocks: [block] });
    expect(page.desk.blocks).toEqual([block]);
    page.desk.moderate({ action: 'block', id: 3, whom: 'writer', minutes: 10 });
    expect(page.desk.room.isBeingMarked({ id: 3 })).toBe(true);
    page.stored('moderate', { id: 3 });
    expect(page.desk.done).toEqual({ what: 'blocked', user: 'Eve', minutes: 10 });
    expect(page.last('moderate')).toMatchObject({ action: 'blocks' });
    page.desk.moderate({ action: 'unblock', block: 1 });
    page.stored('moderate');
    expect([page.desk.blocks, page.desk.done]).toEqual([[], { what: 'unblocked' }]);
    vi.advanceTimersByTime(60_000);
    expect(page.desk.done).toBeNull();
  });

  test('can do with a comment what makes sense', () => {
    const plain = comment(1);
    expect(choicesFor(plain, false)).toEqual([
      'pin',
      'delete',
      'mute',
      'blockWriter',
      'blockAddress',
    ]);
    expect(choicesFor({ ...plain, pinned: true, question: true }, true)).toEqual([
      ...['unpin', 'answer', 'delete'],
    ]);
    expect(choicesFor({ ...plain, question: true, answered: true }, true)).toContain('reopen');
    expect(choicesFor({ ...plain, held: true }, false)[0]).toBe('delete');
    expect(slowChoices(7_000)).toEqual([0, 5_000, 7_000, 10_000, 30_000, 60_000, 300_000]);
  });

  test.each([
    ['#moderate=abc', 'abc'],
    ['#moderate=a%2Fb+c=', 'a/b+c='],
    ['#moderate=100%', '100%'],
    ['#moderate=', ''],
    ['#other=abc', ''],
    ['', ''],
  ])('comes by %j', (hash, key) => {
    expect(keyIn(hash)).toBe(key);
  });
});

test('at another edge of the broadcast the viewer is who they were, and nothing is lost', () => {
  const page = new Page({ voted: [9] });
  page.tells({ room: { attendance: true }, comments: [comment(3, { question: true })] });
  page.desk.attend('Ada');
  page.desk.write('Ada', 'Why?', false);
  page.refused('post', 'link');
  page.desk.write('Ada', 'How?', false);
  const { client } = page.last('post');
  page.socket.sent.splice(0);
  page.desk.move('wss://other.example/live/talk/comments');
  page.socket.onopen?.();
  page.says({ type: 'hello', author: 'me', may_write: true, t0: 0, reactions: [] });
  expect(page.urls.at(-1)).toBe('wss://other.example/live/talk/comments');
  expect(page.socket.sent).toMatchObject([
    { type: 'join', after: 3, secret: 's'.repeat(32) },
    { type: 'present', name: 'Ada' },
    { type: 'post', client, text: 'How?' },
  ]);
  expect(page.desk.room.pending.map(({ progress }) => progress.state)).toEqual([
    ...['failed', 'sending'],
  ]);
  expect([page.desk.votes.has(9), page.desk.room.get(3)?.id]).toEqual([true, 3]);
});

test('what may be stored already is said again as it was', () => {
  const page = new Page();
  page.desk.write('Ada', 'Why?', true);
  const first = page.last('post');
  page.refused('post', 'unavailable');
  const [own] = page.desk.room.pending;
  if (!own) throw new Error('it is not offered again');
  page.mediaMs = 90_000;
  page.desk.again(own);
  expect(page.socket.sent.filter(({ type }) => type === 'post')).toEqual([first, first]);
  page.stored('post', { id: 7 });
  expect(page.desk.room.pending[0]?.progress).toEqual({ state: 'stored', id: 7 });
});

test('what may be stored already stays where it can be said again, if that cannot be now', () => {
  const page = new Page();
  page.desk.write('Ada', 'Why?', false);
  page.refused('post', 'unavailable');
  const [own] = page.desk.room.pending;
  for (let id = 1; id <= QUEUE_MAX; id++) page.desk.delete(id);
  if (own) page.desk.again(own);
  expect(page.desk.room.pending).toEqual([own]);
  expect(page.desk.notice).toEqual({ what: 'written', reason: 'busy' });
});

test('a vote counts at once, is remembered once it is stored, and taken back if it is not', () => {
  const page = new Page({ voted: [9] });
  const question = comment(3, { question: true, votes: 2 });
  page.tells({ comments: [question] });
  page.desk.vote(question, true);
  expect(page.desk.votes.count(question)).toBe(3);
  page.refused('vote', 'unknown-comment');
  expect(page.desk.votes.count(question)).toBe(2);
  expect(page.desk.notice).toEqual({ what: 'voted', reason: 'unknown-comment' });
  page.desk.vote(question, true);
  page.stored('vote', { id: 3 });
  expect(page.voted).toEqual([9, 3]);
  expect(page.desk.notice).toBeNull();
});

test('what one feels is shown at once, and others’ at its moment', () => {
  const page = new Page();
  expect(page.desk.emojis).toEqual(['👏']);
  page.tells();
  page.desk.react('👏');
  expect(page.last('react')).toEqual({ type: 'react', emoji: '👏', mt: 60_000 });
  page.tells({ reactions: [{ mt: 60_000, emoji: '👏', count: 1 }] });
  page.tells({ reactions: [{ mt: 62_000, emoji: '👏', count: 5 }] });
  expect(page.felt).toEqual([{ emoji: '👏', count: 1 }]);
  expect(page.desk.nextMs).toBe(62_000);
  page.mediaMs = 62_000;
  page.desk.tick();
  expect(page.felt).toHaveLength(2);
});

describe('who attends', () => {
  test('is on the list only where one is kept, and if they say so', () => {
    const page = new Page();
    page.tells({ room: { attendance: true } });
    expect(page.last('present')).toEqual({});
    page.desk.attend('Ada');
    expect(page.last('present')).toMatchObject({ name: 'Ada' });
    page.refused('present', 'hidden-characters');
    expect(page.desk.attending).toBeNull();
    expect(page.desk.notice).toEqual({ what: 'listed', reason: 'hidden-characters' });
    expect(page.listed).toEqual(['Ada', null]);
  });

  test('is on it again after the page was loaded again, once it is known that there is one', () => {
    const page = new Page();
    page.desk.attend('Ada');
    expect(page.last('present')).toEqual({});
    page.tells({ room: { attendance: true } });
    expect(page.last('present')).toMatchObject({ name: 'Ada' });
  });
});
