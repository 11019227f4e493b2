import { describe, expect, test } from 'vitest';
import { hueOf, initialOf, momentText } from '../src/comments/faces.ts';
import { read, refusalOf, wellFormed } from '../src/comments/protocol.ts';
import { KEPT_MAX, Room, STEP_BACK_MS } from '../src/comments/room.ts';
import { comment } from './comments.ts';

const ME = '00ff00ff00ff00ff';

const ids = (room: Room, limit = 200) => room.shown(limit).comments.map(({ id }) => id);

describe('what is due', () => {
  test('is what was written at the moment on screen, or before', () => {
    const room = new Room();
    room.take([1, 2, 3, 4].map((id) => comment(id * 10)));
    room.advance(20_000);
    expect(ids(room)).toEqual([10, 20]);
    expect(room.nextMs).not.toBeNull();
    expect(room.advance(29_999)).toBe(false);
    expect(room.advance(30_000)).toBe(true);
    expect(ids(room)).toEqual([10, 20, 30]);
    room.advance(40_000);
    expect(room.nextMs).toBeNull();
  });

  test('is everything as long as nobody knows the moment', () => {
    const room = new Room();
    room.take([comment(1), comment(100)]);
    expect(ids(room)).toEqual([1, 100]);
    room.advance(1_000);
    expect(ids(room)).toEqual([1]);
    expect(room.advance(null)).toBe(true);
    expect(ids(room)).toEqual([1, 100]);
  });

  test('stands in the order of moments, not of arrival', () => {
    const room = new Room();
    room.take([comment(1, { mt: 5_000 }), comment(2, { mt: 3_000 }), comment(3, { mt: 5_000 })]);
    expect(ids(room)).toEqual([2, 1, 3]);
  });

  test('goes again when the viewer goes back, but not when a path is a little later', () => {
    const room = new Room();
    room.take([comment(10), comment(20), comment(60)]);
    room.advance(60_000);
    room.advance(60_001 - STEP_BACK_MS);
    expect(ids(room)).toEqual([10, 20, 60]);
    // And still so, until the picture is there again.
    room.advance(59_000);
    expect(room.nextMs).toBeNull();
    expect(room.advance(15_000)).toBe(true);
    expect(ids(room)).toEqual([10]);
    room.advance(20_000);
    expect(ids(room)).toEqual([10, 20]);
  });

  test('does not go when the first picture comes, which is a little later than live', () => {
    const room = new Room();
    room.advance(null);
    room.take([comment(10), comment(58), comment(60)]);
    room.advance(56_000);
    expect(ids(room)).toEqual([10, 58, 60]);
    room.take([comment(61)]);
    expect(ids(room), 'but what comes then waits').toEqual([10, 58, 60]);
    room.advance(61_000);
    expect(ids(room)).toEqual([10, 58, 60, 61]);
  });

  test('is shown from its end, with what there is before', () => {
    const room = new Room();
    room.take([10, 20, 30, 40, 50].map((id) => comment(id)));
    room.advance(40_000);
    expect(room.shown(2)).toEqual({ comments: [comment(30), comment(40)], earlier: 2 });
  });
});

describe('of two forms', () => {
  test('the later change holds, whichever comes last', () => {
    const room = new Room();
    room.take([comment(1, { seq: 5, text: 'new' }), comment(1, { seq: 2, text: 'old' })]);
    room.take([comment(1, { seq: 5, text: 'new' })]);
    expect(room.shown(9).comments.map(({ text }) => text)).toEqual(['new']);
    expect(room.after).toBe(5);
  });

  test('what is deleted vanishes and stays so', () => {
    const room = new Room();
    room.take([comment(1), comment(2)]);
    room.take([comment(1, { seq: 3, deleted: true, text: '' })]);
    room.take([comment(1)]);
    expect(ids(room)).toEqual([2]);
  });

  test('a comment that has moved stands where it belongs now', () => {
    const room = new Room();
    room.take([comment(1), comment(2), comment(1, { seq: 3, mt: 9_000 })]);
    expect(ids(room)).toEqual([2, 1]);
  });
});

test('no more than so many are kept, and what fell off does not come back', () => {
  const room = new Room();
  expect(room.hasDropped).toBe(false);
  const many = Array.from({ length: KEPT_MAX + 10 }, (_, i) => comment(i + 1));
  room.take(many);
  const kept = ids(room, Number.POSITIVE_INFINITY);
  expect(kept.length).toBe(KEPT_MAX);
  expect(kept[0]).toBe(11);
  expect(room.hasDropped).toBe(true);
  room.take([comment(10, { seq: 99_999 })]);
  expect(ids(room, Number.POSITIVE_INFINITY)).toEqual(kept);
  expect(room.after, 'it is known all the same').toBe(99_999);
});

test('tens of thousands of comments and moments take no time to speak of', () => {
  const room = new Room();
  // Of this process, whatever else keeps the machine busy.
  const before = process.cpuUsage();
  for (let id = 1; id <= 50_000; id++) room.take([comment(id, { mt: id * 100 - (id % 7) * 900 })]);
  for (let ms = 0; ms < 5_000_000; ms += 100) room.advance(ms);
  expect(process.cpuUsage(before).user / 1_000).toBeLessThan(5_000);
});

describe('of one’s own', () => {
  const post = { client: 'c1', mt: 7_000, user: 'Me', text: ' Why? ' };
  const mine = comment(7, { author: ME, user: 'Me', text: 'Why?' });
  const room = () => {
    const room = new Room();
    room.author = ME;
    room.write(post);
    return room;
  };
  const states = (room: Room) => room.pending.map(({ progress }) => progress.state);

  test('it is there at once, and then among the others, acknowledged first or not', () => {
    const first = room();
    expect(states(first)).toEqual(['sending']);
    first.stored('c1', 7);
    expect(states(first)).toEqual(['stored']);
    first.take([mine]);
    expect([first.pending.length, ids(first)]).toEqual([0, [7]]);

    const last = room();
    last.take([mine]);
    expect(states(last)).toEqual([]);
    last.stored('c1', 7);
    expect([last.pending.length, ids(last)]).toEqual([0, [7]]);
  });

  test('neither another’s nor an older one of the same words confirms it', () => {
    const it = room();
    it.take([comment(5, { mt: 7_000, user: 'Me', text: 'Why?' }), { ...mine, id: 6, mt: 2_000 }]);
    expect(states(it)).toEqual(['sending']);
  });

  test('of two of the same words each is confirmed by its own', () => {
    const it = room();
    it.write({ ...post, client: 'c2' });
    it.take([mine]);
    expect(it.pending.map(({ client }) => client)).toEqual(['c2']);
  });

  test('a server’s other form of the words is confirmed by its id', () => {
    const it = room();
    it.take([{ ...mine, text: 'Why not?' }]);
    expect(states(it)).toEqual(['sending']);
    it.stored('c1', 7);
    expect(states(it)).toEqual([]);
  });

  test('refused it says why, and can be taken back to be written better', () => {
    const it = room();
    it.refused('c1', 'too-fast', true);
    expect(it.pending[0]?.progress).toEqual({ state: 'waiting', reason: 'too-fast' });
    it.refused('c1', 'link', false);
    expect(it.pending[0]?.progress).toEqual({ state: 'failed', reason: 'link' });
    expect(it.drop('c1')).toMatchObject(post);
    expect(it.pending).toEqual([]);
  });

  test('failed without anybody knowing whether it is stored, it may yet turn out to be', () => {
    const told = room();
    told.refused('c1', 'unavailable', false);
    told.take([comment(5, { mt: 7_000, user: 'Me', text: 'Why?' })]);
    expect(states(told), 'another’s does not say so').toEqual(['failed']);
    told.take([mine]);
    expect(states(told)).toEqual([]);

    const answered = room();
    answered.refused('c1', 'unavailable', false);
    answered.stored('c1', 7);
    expect(states(answered)).toEqual(['stored']);
    answered.take([mine]);
    expect(states(answered)).toEqual([]);
  });

  test('once nobody knew, what it is refused for later does not tell', () => {
    const it = room();
    expect(it.pending[0]?.unsure).toBe(false);
    it.refused('c1', 'unavailable', true);
    it.refused('c1', 'too-fast', false);
    expect(it.pending[0]).toMatchObject({ unsure: true, progress: { reason: 'too-fast' } });
    it.again('c1');
    expect(it.pending[0]).toMatchObject({ ...post, unsure: true, progress: { state: 'sending' } });
    it.refused('c1', 'repeated', false);
    it.take([mine]);
    expect(states(it)).toEqual([]);
  });

  test('refused for a reason it is not among the others, whatever looks like it', () => {
    const it = room();
    it.refused('c1', 'repeated', false);
    it.take([mine]);
    expect(states(it)).toEqual(['failed']);
  });

  test('a deletion is marked until it is answered', () => {
    const it = room();
    it.take([mine]);
    it.delete('d1', 7);
    expect(it.isBeingDeleted(mine)).toBe(true);
    it.refused('d1', 'unavailable', true);
    expect(it.isBeingDeleted(mine)).toBe(true);
    it.refused('d1', 'not-yours', false);
    expect(it.isBeingDeleted(mine)).toBe(false);
  });
});

describe('what stands above the others', () => {
  test('is what was pinned last, as soon as the picture is there', () => {
    const room = new Room();
    room.take([comment(1), comment(2, { pinned: true }), comment(30, { seq: 3 })]);
    expect(room.pinned?.id).toBe(2);
    room.take([comment(30, { seq: 4, pinned: true })]);
    expect(room.pinned?.id, 'also before it is told that the other no longer is').toBe(30);
    room.take([comment(2, { seq: 5 })]);
    expect(room.pinned?.id).toBe(30);
    room.advance(2_000);
    expect(room.pinned).toBeNull();
    room.advance(30_000);
    expect(room.pinned?.id).toBe(30);
    room.take([comment(30, { seq: 6, deleted: true, text: '', pinned: true })]);
    expect(room.pinned).toBeNull();
  });

  test('is kept though it is older than all that is', () => {
    const room = new Room();
    room.take([comment(1, { pinned: true })]);
    room.take(Array.from({ length: KEPT_MAX }, (_, i) => comment(i + 2)));
    expect(room.pinned?.id).toBe(1);
    room.take([comment(1, { seq: 99_999 })]);
    expect(room.pinned).toBeNull();
  });
});

describe('what waits for a moderator', () => {
  test('is told to moderators, due or not, and anew after each join', () => {
    const room = new Room();
    room.take([comment(1), comment(2, { held: true }), comment(90, { held: true })]);
    room.advance(3_000);
    expect(room.held().map(({ id }) => id)).toEqual([2, 90]);
    expect(ids(room)).toEqual([1, 2]);
    room.take([comment(2, { seq: 91 })]);
    expect(room.held().map(({ id }) => id)).toEqual([90]);
    room.forgetHeld();
    expect(room.held()).toEqual([]);
    // The same form: it was forgotten, and not out of date.
    room.take([comment(90, { held: true })]);
    expect(room.held().map(({ id }) => id)).toEqual([90]);
  });

  test('is no question yet', () => {
    const room = new Room();
    room.take([comment(1, { question: true, held: true }), comment(2, { question: true })]);
    expect(room.questions().map(({ id }) => id)).toEqual([2]);
  });

  test('is marked while something is done with it', () => {
    const room = new Room();
    room.take([comment(1, { held: true }), comment(2)]);
    room.mark('m1', 1);
    room.mark('m2', 2);
    expect(room.isBeingMarked({ id: 1 })).toBe(true);
    room.stored('m1', 1);
    room.refused('m2', 'unavailable', true);
    expect([room.isBeingMarked({ id: 1 }), room.isBeingMarked({ id: 2 })]).toEqual([false, true]);
    room.refused('m2', 'not-moderator', false);
    expect(room.isBeingMarked({ id: 2 })).toBe(false);
  });

  test('is shown to its writer until it appears, or is taken back', () => {
    const room = new Room();
    room.author = ME;
    room.write({ client: 'c1', mt: 7_000, user: 'Me', text: 'Why?', question: true });
    room.stored('c1', 7, true);
    expect(room.pending[0]?.progress).toEqual({ state: 'held', id: 7 });
    // The same words, written again by the same writer, are not it.
    room.take([comment(8, { author: ME, user: 'Me', text: 'Why?', mt: 7_000 })]);
    expect(room.pending.length).toBe(1);
    room.take([comment(7, { seq: 9, author: ME, user: 'Me', text: 'Why?' })]);
    expect(room.pending).toEqual([]);
    room.write({ client: 'c2', mt: 7_000, user: 'Me', text: 'And this?' });
    room.stored('c2', 10, true);
    room.delete('d1', 10);
    expect(room.isBeingDeleted({ id: 10 })).toBe(true);
    room.stored('d1', 10);
    expect(room.pending).toEqual([]);
  });
});

test('all that there is can be taken away, in the order in which it was written', () => {
  const room = new Room();
  room.take([
    comment(1, { mt: 9_000 }),
    comment(2),
    comment(3),
    comment(2, { seq: 4, deleted: true }),
  ]);
  room.advance(3_000);
  expect(room.all().map(({ id }) => id)).toEqual([1, 3]);
});

describe('the protocol', () => {
  test('is read as far as it is one', () => {
    const line =
      '{"id":7,"seq":9,"mt":61250,"at":1795000000123,"user":"Ada","author":"00ff00ff00ff00ff","text":"<b>Why?</b>","rev":0,"deleted":false}';
    const said = read(`{"type":"comments","comments":[${line},{"id":"8"},null],"complete":true}`);
    // Markup is text like any other.
    const known = { seq: 9, mt: 61_250, at: 1_795_000_000_123, author: ME, text: '<b>Why?</b>' };
    expect(said).toEqual({
      type: 'comments',
      comments: [comment(7, known)],
      complete: true,
      room: null,
      viewers: null,
      reactions: [],
    });
    expect(read('{"type":"hello","author":null,"may_write":false,"t0":null}')).toEqual({
      type: 'hello',
      author: null,
      mayWrite: false,
      reactions: [],
    });
    expect(read('{"type":"refused","client":"a","reason":"link"}')).toMatchObject({
      retryAfterMs: null,
    });
  });

  test.each([
    '',
    '{',
    'null',
    '[]',
    '7',
    '{"type":"news"}',
    '{"type":"stored"}',
    '{"type":"stored","client":"a","id":-1}',
    '{"type":"role","moderator":"yes"}',
    '{"type":"blocks","client":"a"}',
    new ArrayBuffer(1),
  ])('is not read into %j', (message) => {
    expect(read(message)).toBeNull();
  });

  test('says of a comment what is so, and nothing else', () => {
    const line = { id: 1, seq: 1, mt: 1_000, at: 5, user: 'Ada', author: ME, text: 'Why?' };
    const read1 = (more: object) => {
      const said = read(JSON.stringify({ type: 'comments', comments: [{ ...line, ...more }] }));
      return said?.type === 'comments' ? said.comments[0] : undefined;
    };
    const plain = comment(1, { at: 5, author: ME, text: 'Why?' });
    expect(read1({})).toEqual(plain);
    expect(read1({ at: 'noon', votes: -1, held: 1, pinned: 'yes', news: true })).toEqual({
      ...plain,
      at: 0,
    });
    const all = {
      moderator: true,
      question: true,
      votes: 3,
      answered: true,
      pinned: true,
      held: true,
    };
    expect(read1(all)).toEqual({ ...plain, ...all });
  });

  test('says what is in force, who watches and what is felt, each when there is something to say', () => {
    const said = read(
      JSON.stringify({
        type: 'comments',
        comments: [],
        complete: true,
        room: { closed: true, slow_ms: 5_000, curfew: 'soon' },
        viewers: 123,
        reactions: [
          { mt: 61_000, emoji: '👏', count: 3 },
          { mt: null, emoji: '🎉', count: 1 },
          { mt: -1, emoji: '👏', count: 3 },
          { mt: 0, emoji: '', count: 3 },
          { mt: 0, emoji: '👏', count: 0 },
          'x',
        ],
      }),
    );
    expect(said).toEqual({
      type: 'comments',
      comments: [],
      complete: true,
      room: { closed: true, approval: false, slowMs: 5_000, attendance: false },
      viewers: 123,
      reactions: [
        { mt: 61_000, emoji: '👏', count: 3 },
        { mt: null, emoji: '🎉', count: 1 },
      ],
    });
    const hello = read('{"type":"hello","author":"a","may_write":true,"reactions":["👍",7,""]}');
    expect(hello).toMatchObject({ reactions: ['👍'] });
  });

  test('answers moderators', () => {
    expect(read('{"type":"stored","client":"a","id":7,"held":true}')).toEqual({
      ...{ type: 'stored', client: 'a', id: 7, held: true },
    });
    expect(read('{"type":"stored","client":"a"}')).toMatchObject({ id: 0, held: false });
    expect(read('{"type":"role","moderator":false}')).toEqual({ type: 'role', moderator: false });
    const block = { block: 3, whom: 'writer', user: 'Ada', until: null };
    const blocks = [block, { ...block, whom: 'planet' }, { ...block, until: 5 }, null];
    expect(read(JSON.stringify({ type: 'blocks', client: 'a', blocks }))).toEqual({
      ...{ type: 'blocks', client: 'a', blocks: [block, { ...block, until: 5 }] },
    });
  });

  test('counts as the edge does', () => {
    expect(wellFormed('a\ud83d b\ude00 😀')).toBe('a b 😀');
    expect(refusalOf(' \n ')).toBe('empty');
    expect(refusalOf('😀'.repeat(500))).toBeNull();
    expect(refusalOf('x'.repeat(501))).toBe('too-long');
    expect(refusalOf(` ${'x'.repeat(500)}\n`)).toBeNull();
    expect(refusalOf('x\n'.repeat(12))).toBeNull();
    expect(refusalOf('x\n'.repeat(13))).toBe('too-long');
  });
});

test('writers have a face without a picture', () => {
  expect(['ada', 'ß', '👩‍👩‍👧 Us', ' ليلى', ''].map(initialOf)).toEqual([
    'A',
    'ß',
    '👩‍👩‍👧',
    'ل',
    '',
  ]);
  expect([0, 61_999, 3_661_000].map(momentText)).toEqual(['0:00', '1:01', '1:01:01']);
  const authors = Array.from({ length: 240 }, (_, i) => i.toString(16).padStart(16, '0'));
  const counts = new Map<number, number>();
  for (const author of authors) counts.set(hueOf(author), (counts.get(hueOf(author)) ?? 0) + 1);
  expect(counts.size).toBe(12);
  expect(Math.max(...counts.values())).toBeLessThan(45);
});
