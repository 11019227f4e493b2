// Comments as files to take away: CSV for spreadsheets (RFC 4180) and JSON for programs. Pure.

import type { Comment } from './protocol.ts';

const COLUMNS = [
  'id',
  'mt',
  'at',
  'user',
  'author',
  'text',
  'question',
  'votes',
  'answered',
  'held',
  'pinned',
] as const;

type Row = Readonly<Record<(typeof COLUMNS)[number], string | number | boolean>>;

/** One line for each comment, below the names of the columns. */
export function toCsv(comments: readonly Comment[]): string {
  const lines = comments.map((comment) => {
    const row = rowOf(comment);
    return COLUMNS.map((column) => cell(row[column])).join(',');
  });
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

export function toJson(comments: readonly Comment[]): string {
  return `${JSON.stringify(comments.map(rowOf), null, 2)}\n`;
}

/** What a file of this broadcast is called: whatever it is, the name is one that any system takes. */
export function fileName(broadcast: string, extension: 'csv' | 'json', nowMs: number): string {
  const day = new Date(nowMs).toISOString().slice(0, 10);
  return `${broadcast.replaceAll(/[^\w-]/g, '') || 'comments'}-comments-${day}.${extension}`;
}

function rowOf(comment: Comment): Row {
  const { id, mt, at, user, author, text, question, votes, answered, held, pinned } = comment;
  return { id, mt, at: timeOf(at), user, author, text, question, votes, answered, held, pinned };
}

/** ISO 8601; empty for none, and for what no calendar reaches. */
function timeOf(at: number): string {
  const time = new Date(at);
  return at === 0 || Number.isNaN(time.getTime()) ? '' : time.toISOString();
}

/** What begins like a formula would be run by a spreadsheet, whoever wrote it. */
function cell(value: string | number | boolean): string {
  const text = typeof value === 'string' ? value.replace(/^(?=[=+\-@\t\r])/, "'") : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
