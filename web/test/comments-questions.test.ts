import { describe, expect, test } from 'vitest';
import { Ranking, RESTS_MS } from '../src/comments/ranking.ts';
import { KEPT_MAX, readIds, SETTLED_MS, Votes } from '../src/comments/votes.ts';
import { comment } from './comments.ts';

describe('a vote', () => {
  test('counts at once, and once', () => {
    const votes = new Votes();
    const question = comment(7, { question: true, votes: 12 });
    votes.cast('v1', question, true);
    expect([votes.has(7), votes.count(question)]).toEqual([true, 13]);
    votes.stored('v1', 0);
    expect(votes.count(question)).toBe(13);
    expect(votes.standing).toEqual([7]);
    // And now it is the edge that counts it.
    expect(votes.count({ ...question, seq: 8, votes: 13 })).toBe(13);
    expect(votes.has(7)).toBe(true);
  });

  test('that the edge told of before it answered is not counted twice', () => {
    const votes = new Votes();
    votes.cast('v1', comment(7), true);
    votes.stored('v1', 0);
    expect(votes.count(comment(7, { seq: 8, votes: 1 }))).toBe(1);
  });

  test('that the edge had already makes no difference after a while', () => {
    const votes = new Votes();
    const question = comment(7, { votes: 5 });
    votes.cast('v1', question, true);
    votes.stored('v1', 1_000);
    expect(votes.settle(1_000 + SETTLED_MS - 1)).toBe(false);
    expect(votes.count(question)).toBe(6);
    expect(votes.settle(1_000 + SETTLED_MS)).toBe(true);
    expect([votes.count(question), votes.has(7)]).toEqual([5, true]);
  });

  test('is taken back where it is refused', () => {
    const votes = new Votes([7]);
    const question = comment(7, { votes: 5 });
    votes.cast('v1', question, false);
    expect([votes.has(7), votes.count(question)]).toEqual([false, 4]);
    expect(votes.isVote('v1')).toBe(true);
    votes.refused('v1');
    expect([votes.has(7), votes.count(question), votes.standing]).toEqual([true, 5, [7]]);
  });

  test('may be changed faster than the edge answers', () => {
    const votes = new Votes();
    const question = comment(7, { votes: 5 });
    votes.cast('v1', question, true);
    votes.cast('v2', question, false);
    expect([votes.has(7), votes.count(question)]).toEqual([false, 5]);
    votes.stored('v1', 0);
    votes.stored('v2', 0);
    expect([votes.has(7), votes.standing]).toEqual([false, []]);
  });

  test('is remembered, as many as make sense', () => {
    const votes = new Votes(Array.from({ length: KEPT_MAX + 5 }, (_, i) => i));
    expect(votes.standing.length).toBe(KEPT_MAX);
    expect(votes.standing.at(-1)).toBe(KEPT_MAX + 4);
    expect(readIds('[1,"2",null,3]')).toEqual([1, 3]);
    for (const kept of [null, '', '{', '{}', 'null']) expect(readIds(kept)).toEqual([]);
  });
});

describe('questions', () => {
  const votesOf = ({ votes }: { readonly votes: number }) => votes;
  const ids = (ranked: readonly { readonly id: number }[]) => ranked.map(({ id }) => id);

  test('stand by their votes, then by their age, and below once they are answered', () => {
    const ranked = new Ranking().rank(
      [
        comment(1, { votes: 2 }),
        comment(2, { votes: 5 }),
        comment(3, { votes: 9, answered: true }),
        comment(4, { votes: 5 }),
      ],
      votesOf,
      0,
    );
    expect(ids(ranked)).toEqual([2, 4, 1, 3]);
  });

  test('do not move with every vote', () => {
    const ranking = new Ranking();
    const [one, two] = [comment(1, { votes: 2 }), comment(2, { votes: 1 })];
    expect(ids(ranking.rank([one, two], votesOf, 0))).toEqual([1, 2]);
    expect(ranking.staleUntilMs).toBeNull();
    const voted = { ...two, votes: 3 };
    expect(ids(ranking.rank([one, voted], votesOf, 100))).toEqual([1, 2]);
    expect(ranking.staleUntilMs).toBe(RESTS_MS);
    expect(ids(ranking.rank([one, voted], votesOf, RESTS_MS))).toEqual([2, 1]);
    expect(ranking.staleUntilMs).toBeNull();
  });

  test('that are new, gone or answered show at once', () => {
    const ranking = new Ranking();
    const [one, two] = [comment(1, { votes: 2 }), comment(2, { votes: 1 })];
    ranking.rank([one, two], votesOf, 0);
    const three = comment(3, { votes: 9 });
    expect(ids(ranking.rank([one, two, three], votesOf, 1))).toEqual([3, 1, 2]);
    expect(ids(ranking.rank([{ ...one, answered: true }, two], votesOf, 2))).toEqual([2, 1]);
  });
});
