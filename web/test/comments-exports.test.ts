import { expect, test } from 'vitest';
import { fileName, toCsv, toJson } from '../src/comments/exports.ts';
import { comment } from './comments.ts';

const COLUMNS = 'id,mt,at,user,author,text,question,votes,answered,held,pinned';
const AUTHOR = '1111111111111111';

test('a table has a line for each comment, as RFC 4180 has it', () => {
  const csv = toCsv([
    comment(1, { at: 1_795_000_000_123, text: 'Why, "Ada"?', question: true, votes: 3 }),
    comment(2, { text: 'two\nlines', held: true, pinned: true, answered: true }),
  ]);
  expect(csv).toBe(
    [
      COLUMNS,
      `1,1000,2026-11-18T11:06:40.123Z,Ada,${AUTHOR},"Why, ""Ada""?",true,3,false,false,false`,
      `2,2000,,Ada,${AUTHOR},"two\nlines",false,0,true,true,true`,
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
  expect(toCsv([comment(1, { text })])).toContain(`,${AUTHOR},${cell},false`);
  // A name can be as bad.
  expect(toCsv([comment(1, { user: text })])).toContain(`,${cell},${AUTHOR},`);
});

test('programs get the same', () => {
  const [one] = JSON.parse(toJson([comment(1, { text: '=1', at: 9e15 })]));
  expect(one).toEqual({
    ...{ id: 1, mt: 1_000, at: '', user: 'Ada', author: AUTHOR, text: '=1', question: false },
    ...{ votes: 0, answered: false, held: false, pinned: false },
  });
});

test('a file has a name that any system takes', () => {
  expect(fileName('algo-101', 'csv', 0)).toBe('algo-101-comments-1970-01-01.csv');
  expect(fileName('../?', 'json', 0)).toBe('comments-comments-1970-01-01.json');
});
