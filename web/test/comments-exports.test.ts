import { expect, test } from 'vitest';
import { fileName, toCsv, toJson } from '../src/comments/exports.ts';
import { comment } from './comments.ts';

const COLUMNS = 'id,mt_ms,moment,at,user,author,text,moderator,question,votes,answered,pinned,held';
const AUTHOR = '1111111111111111';

test('a table is the one that the origin makes', () => {
  // The same comment as in origin/src/api/csv.rs, and its line there.
  const one = comment(7, {
    ...{ mt: 3_725_000, at: 1_795_000_000_123, user: '=HYPERLINK("x")' },
    ...{ author: '00ff00ff00ff00ff', text: 'Why, "exactly"?\nAnd how?', question: true, votes: 3 },
  });
  const line = `7,3725000,1:02:05,2026-11-18T11:06:40Z,"'=HYPERLINK(""x"")",00ff00ff00ff00ff,"Why, ""exactly""?\nAnd how?",,yes,3,,,`;
  expect(toCsv([one])).toBe(`${COLUMNS}\r\n${line}\r\n`);
});

test('a table has a line for each comment, as RFC 4180 has it', () => {
  const csv = toCsv([
    comment(1, { at: 1_795_000_000_123, text: 'Why, "Ada"?', question: true, votes: 3 }),
    comment(2, { text: 'two\nlines', moderator: true, answered: true, pinned: true, held: true }),
  ]);
  expect(csv).toBe(
    [
      COLUMNS,
      `1,1000,0:00:01,2026-11-18T11:06:40Z,Ada,${AUTHOR},"Why, ""Ada""?",,yes,3,,,`,
      `2,2000,0:00:02,,Ada,${AUTHOR},"two\nlines",yes,,0,yes,yes,yes`,
      '',
    ].join('\r\n'),
  );
  expect(toCsv([])).toBe(`${COLUMNS}\r\n`);
});

test.each([
  ['=HYPERLINK("x")', `"'=HYPERLINK(""x"")"`],
  ['+1', "'+1"],
  ['-1', "'-1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', "'\t=1"],
  ['\r=1', `"'\r=1"`],
  ['1=1', '1=1'],
  ['لماذا؟', 'لماذا؟'],
])('no spreadsheet runs %j', (text, cell) => {
  expect(toCsv([comment(1, { text })])).toContain(`,${AUTHOR},${cell},,,0`);
  // A name can be as bad.
  expect(toCsv([comment(1, { user: text })])).toContain(`,${cell},${AUTHOR},`);
});

test('programs get the same, as it was written', () => {
  const [one] = JSON.parse(toJson([comment(1, { text: '=1', at: 9e15 })]));
  expect(one).toEqual({
    ...{ id: 1, mt: 1_000, at: '', user: 'Ada', author: AUTHOR, text: '=1', moderator: false },
    ...{ question: false, votes: 0, answered: false, pinned: false, held: false },
  });
});

test('a file has a name that any system takes', () => {
  expect(fileName('algo-101', 'csv', 0)).toBe('algo-101-comments-1970-01-01.csv');
  expect(fileName('../?', 'json', 0)).toBe('comments-comments-1970-01-01.json');
});
