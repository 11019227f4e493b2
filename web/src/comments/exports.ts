// Comments as files to take away: CSV for spreadsheets (RFC 4180) and JSON for programs. Pure. The tables
// are those of the origin (origin/src/api/csv.rs), so that who has one of each can put them together.

import type { Comment } from './protocol.ts';

const COLUMNS = [
  'id',
  'mt_ms',
  'moment',
  'at',
  'user',
  'author',
  'text',
  'moderator',
  'question',
  'votes',
  'answered',
  'pinned',
  'held',
] as const;

/** One line for each comment, below the names of the columns. */
export function toCsv(comments: readonly Comment[]): string {
  const lines = comments.map((comment) => {
    const row = rowOf(comment);
    return COLUMNS.map((column) => cell(row[column])).join(',');
  });
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

export function toJson(comments: readonly Comment[]): string {
  const rows = comments.map((comment) => {
    const { id, mt, at, user, author, text, moderator, question, votes, answered, pinned, held } =
      comment;
    return {
      ...{ id, mt, at: timeOf(at), user, author, text },
      ...{ moderator, question, votes, answered, pinned, held },
    };
  });
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/** What a file of this broadcast is called: whatever it is, the name is one that any system takes. */
export function fileName(broadcast: string, extension: 'csv' | 'json', nowMs: number): string {
  const day = new Date(nowMs).toISOString().slice(0, 10);
  return `${broadcast.replaceAll(/[^\w-]/g, '') || 'comments'}-comments-${day}.${extension}`;
}

function rowOf(comment: Comment): Readonly<Record<(typeof COLUMNS)[number], string>> {
  const { id, mt, at, user, author, text, moderator, question, votes, answered, pinned, held } =
    comment;
  const truth = (truth: boolean) => (truth ? 'yes' : '');
  return {
    id: String(id),
    mt_ms: String(mt),
    moment: momentOf(mt),
    at: timeOf(at),
    user: inert(user),
    author,
    text: inert(text),
    moderator: truth(moderator),
    question: truth(question),
    votes: String(votes),
    answered: truth(answered),
    pinned: truth(pinned),
    held: truth(held),
  };
}

/** 1:02:05, with the hours also where there are none: spreadsheets take 2:05 for hours and minutes. */
function momentOf(mediaMs: number): string {
  const seconds = Math.floor(mediaMs / 1000);
  const two = (value: number) => String(value % 60).padStart(2, '0');
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60))}:${two(seconds)}`;
}

/** RFC 3339 in UTC, in whole seconds; empty for none, and for what no calendar reaches. */
function timeOf(at: number): string {
  const time = new Date(at);
  if (at === 0 || Number.isNaN(time.getTime()) || time.getUTCFullYear() > 9999) return '';
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** What begins like a formula would be run by a spreadsheet, whoever wrote it. */
function inert(text: string): string {
  return text.replace(/^(?=[=+\-@\t\r])/, "'");
}

function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
