import { describe, expect, test } from 'vitest';
import { hueOf, initialOf, momentText } from '../src/comments/faces.ts';
import { type Comment, read, refusalOf } from '../src/comments/protocol.ts';
import { KEPT_MAX, Room, STEP_BACK_MS } from '../src/comments/room.ts';

const ME = '00ff00ff00ff00ff';

/** A comment, the `id`th in id, seq and second unless said otherwise. */
function comment(id: number, said: Partial<Comment> = {}): Comment {
  const author = '1111111111111111';
  const mt = id * 1000;
  return { id, seq: id, mt, user: 'Ada', author, text: `no ${id}`, deleted: false, ...said };
}

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
  const many = Array.from({ length: KEPT_MAX + 10 }, (_, i) => comment(i + 1));
  room.take(many);
  const kept = ids(room, Number.POSITIVE_INFINITY);
  expect(kept.length).toBe(KEPT_MAX);
  expect(kept[0]).toBe(11);
  room.take([comment(10, { seq: 99_999 })]);
  expect(ids(room, Number.POSITIVE_INFINITY)).toEqual(kept);
  expect(room.after, 'it is known all the same').toBe(99_999);
});

test('tens of thousands of comments and moments take no time to speak of', () => {
  const room = new Room();
  const began = performance.now();
  for (let id = 1; id <= 50_000; id++) room.take([comment(id, { mt: id * 100 - (id % 7) * 900 })]);
  for (let ms = 0; ms < 5_000_000; ms += 100) room.advance(ms);
  expect(performance.now() - began).toBeLessThan(5_000);
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

describe('the protocol', () => {
  test('is read as far as it is one', () => {
    const line =
      '{"id":7,"seq":9,"mt":61250,"at":1795000000123,"user":"Ada","author":"00ff00ff00ff00ff","text":"<b>Why?</b>","rev":0,"deleted":false}';
    const said = read(`{"type":"comments","comments":[${line},{"id":"8"},null],"complete":true}`);
    // Markup is text like any other.
    const known = comment(7, { seq: 9, mt: 61_250, author: ME, text: '<b>Why?</b>' });
    expect(said).toEqual({ type: 'comments', comments: [known], complete: true });
    expect(read('{"type":"hello","author":null,"may_write":false,"t0":null}')).toEqual({
      type: 'hello',
      author: null,
      mayWrite: false,
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
    new ArrayBuffer(1),
  ])('is not read into %j', (message) => {
    expect(read(message)).toBeNull();
  });

  test('counts as the edge does', () => {
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
