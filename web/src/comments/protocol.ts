// What a page and an edge say to each other about comments (docs/comments.md): the shapes, and the
// reading of what an edge says. What is read here cannot be wrong; what cannot be read is passed over,
// because an edge newer than this page may say more.

/** The most characters (Unicode scalar values) of a text, and the most lines. */
export const TEXT_CHARS_MAX = 500;
export const TEXT_LINES_MAX = 12;
/** The most characters of a name. */
export const NAME_CHARS_MAX = 40;

/** A comment as everybody sees it. */
export interface Comment {
  /** Place among the broadcast's comments, from 1. */
  readonly id: number;
  /** Counts the changes of the broadcast's comments: of two forms, the higher holds. */
  readonly seq: number;
  /** Media time that the writer saw, ms since T0. */
  readonly mt: number;
  /** The name that the writer chose. */
  readonly user: string;
  /** Tells writers apart. */
  readonly author: string;
  /** Plain text, empty once deleted. */
  readonly text: string;
  readonly deleted: boolean;
}

/** What a viewer wants written, under a name for the attempt. */
export interface Post {
  readonly type: 'post';
  readonly client: string;
  readonly mt: number | null;
  readonly user: string;
  readonly text: string;
}

/** What a viewer takes back. */
export interface Delete {
  readonly type: 'delete';
  readonly client: string;
  readonly id: number;
}

export type Said =
  | { readonly type: 'hello'; readonly author: string | null; readonly mayWrite: boolean }
  | { readonly type: 'comments'; readonly comments: Comment[]; readonly complete: boolean }
  | { readonly type: 'stored'; readonly client: string; readonly id: number }
  | {
      readonly type: 'refused';
      readonly client: string;
      readonly reason: string;
      readonly retryAfterMs: number | null;
    };

/** What an edge said; null for what is not of this protocol. */
export function read(message: unknown): Said | null {
  if (typeof message !== 'string') return null;
  let said: Record<string, unknown> | null;
  try {
    said = JSON.parse(message);
  } catch {
    return null;
  }
  switch (said?.type) {
    case 'hello':
      return {
        type: 'hello',
        author: typeof said.author === 'string' ? said.author : null,
        mayWrite: said.may_write === true,
      };
    case 'comments': {
      const { comments, complete } = said;
      if (!Array.isArray(comments)) return null;
      return { type: 'comments', comments: comments.flatMap(readComment), complete: !!complete };
    }
    case 'stored':
      return typeof said.client === 'string' && isCount(said.id)
        ? { type: 'stored', client: said.client, id: said.id }
        : null;
    case 'refused':
      return typeof said.client === 'string' && typeof said.reason === 'string'
        ? {
            type: 'refused',
            client: said.client,
            reason: said.reason,
            retryAfterMs: isCount(said.retry_after_ms) ? said.retry_after_ms : null,
          }
        : null;
    default:
      return null;
  }
}

function readComment(value: unknown): Comment[] {
  const { id, seq, mt, user, author, text, deleted } = (value ?? {}) as Record<string, unknown>;
  const known =
    isCount(id) &&
    isCount(seq) &&
    isCount(mt) &&
    typeof user === 'string' &&
    typeof author === 'string' &&
    typeof text === 'string';
  return known ? [{ id, seq, mt, user, author, text, deleted: deleted === true }] : [];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Characters as the edge counts them: neither UTF-16 units nor what a reader sees as one. */
export function charsOf(text: string): number {
  let chars = 0;
  for (const _ of text) chars++;
  return chars;
}

/** Why a text would be refused, as far as a page can tell by itself and at once. */
export function refusalOf(text: string): 'empty' | 'too-long' | null {
  const trimmed = text.trim();
  if (trimmed === '') return 'empty';
  const lines = trimmed.split('\n').length;
  return charsOf(trimmed) > TEXT_CHARS_MAX || lines > TEXT_LINES_MAX ? 'too-long' : null;
}
