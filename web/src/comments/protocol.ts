// What a page and an edge say to each other about comments (docs/comments.md): the shapes, and the
// reading of what an edge says. What is read here cannot be wrong; what cannot be read is passed over,
// because an edge newer than this page may say more, and what is missing is as if it were not so,
// because an older one says less.

/** The most characters (Unicode scalar values) of a text, and the most lines. */
export const TEXT_CHARS_MAX = 500;
export const TEXT_LINES_MAX = 12;
/** The most characters of a name. */
export const NAME_CHARS_MAX = 40;
/** The reason with which nobody knows whether it is stored; under the same name it is stored once. */
export const UNAVAILABLE = 'unavailable';
/** No page has room for more buttons than this, nor for one so long. */
const REACTIONS_MAX = 12;
const EMOJI_UNITS_MAX = 32;

/** A comment as everybody sees it; held ones, only moderators. */
export interface Comment {
  /** Place among the broadcast's comments, from 1. */
  readonly id: number;
  /** Counts the changes of the broadcast's comments: of two forms, the higher holds. */
  readonly seq: number;
  /** Media time that the writer saw, ms since T0. */
  readonly mt: number;
  /** When the origin took it in, Unix ms; 0 if nobody says. */
  readonly at: number;
  /** The name that the writer chose. */
  readonly user: string;
  /** Tells writers apart. */
  readonly author: string;
  /** Plain text, empty once deleted. */
  readonly text: string;
  readonly deleted: boolean;
  /** Its writer is a moderator. */
  readonly moderator: boolean;
  readonly question: boolean;
  /** How many want the question answered. */
  readonly votes: number;
  /** A moderator says that the question is. */
  readonly answered: boolean;
  /** It stands above the others. */
  readonly pinned: boolean;
  /** It waits for a moderator. */
  readonly held: boolean;
}

/** What is in force in the room. */
export interface Settings {
  /** Only moderators write. */
  readonly closed: boolean;
  /** What is written is shown once a moderator lets it. */
  readonly approval: boolean;
  /** The least time between two comments of one writer; 0 for none. */
  readonly slowMs: number;
  /** A list is kept of who attends. */
  readonly attendance: boolean;
}

/** What viewers felt in one second of the lecture, as far as it was not told before. */
export interface Reaction {
  /** The beginning of that second, ms since T0; null: now. */
  readonly mt: number | null;
  readonly emoji: string;
  readonly count: number;
}

/** Somebody who may not write. */
export interface Block {
  readonly block: number;
  readonly whom: Whom;
  /** The name in the comment by which they were blocked. */
  readonly user: string;
  /** Unix ms; null for good. */
  readonly until: number | null;
}

/** One writer, or all who write from one address. */
export type Whom = 'writer' | 'address';

/** What a viewer wants written, under a name for the attempt. */
export interface Post {
  readonly type: 'post';
  readonly client: string;
  readonly mt: number | null;
  readonly user: string;
  readonly text: string;
  readonly question?: boolean;
}

/** What a viewer takes back, or a moderator takes away. */
export interface Delete {
  readonly type: 'delete';
  readonly client: string;
  readonly id: number;
}

/** That a question be answered, or no longer. */
export interface Vote {
  readonly type: 'vote';
  readonly client: string;
  readonly id: number;
  readonly up: boolean;
}

/** What a moderator does with one comment, other than to delete it or to block its writer. */
export type Mark = 'approve' | 'pin' | 'unpin' | 'answer' | 'reopen';

/** What a moderator does. */
export type Action =
  | { readonly action: Mark; readonly id: number }
  | {
      readonly action: 'block';
      readonly id: number;
      readonly whom: Whom;
      /** For so long; null for good. */
      readonly minutes: number | null;
    }
  | { readonly action: 'unblock'; readonly block: number }
  | { readonly action: 'blocks' }
  | {
      readonly action: 'settings';
      readonly closed: boolean;
      readonly approval: boolean;
      readonly slow_ms: number;
    };

export type Moderate = { readonly type: 'moderate'; readonly client: string } & Action;

/** What is answered, and said again until it is. */
export type Request = Post | Delete | Vote | Moderate;

/** What a viewer feels. Nobody answers. */
export interface React {
  readonly type: 'react';
  readonly emoji: string;
  readonly mt: number | null;
}

/** On the list of who attends, as long as the connection lasts. Answered if it is refused. */
export interface Present {
  readonly type: 'present';
  readonly client: string;
  readonly name: string;
}

export interface Hello {
  readonly type: 'hello';
  readonly author: string | null;
  readonly mayWrite: boolean;
  readonly reactions: readonly string[];
}

export interface Comments {
  readonly type: 'comments';
  readonly comments: readonly Comment[];
  readonly complete: boolean;
  /** Null: nothing is said of it, and what was said before holds. */
  readonly room: Settings | null;
  readonly viewers: number | null;
  readonly reactions: readonly Reaction[];
}

export interface Stored {
  readonly type: 'stored';
  readonly client: string;
  /** The comment; 0 where it was about none. */
  readonly id: number;
  readonly held: boolean;
}

export interface Refused {
  readonly type: 'refused';
  readonly client: string;
  readonly reason: string;
  /** After this the same may be said again; null: never. */
  readonly retryAfterMs: number | null;
}

export interface Role {
  readonly type: 'role';
  readonly moderator: boolean;
}

export interface Blocks {
  readonly type: 'blocks';
  readonly client: string;
  readonly blocks: readonly Block[];
}

export type Said = Hello | Comments | Stored | Refused | Role | Blocks;

/** What an edge said; null for what is not of this protocol. */
export function read(message: unknown): Said | null {
  if (typeof message !== 'string') return null;
  let said: Fields | null;
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
        reactions: list(said.reactions).filter(isEmoji).slice(0, REACTIONS_MAX),
      };
    case 'comments':
      if (!Array.isArray(said.comments)) return null;
      return {
        type: 'comments',
        comments: said.comments.flatMap(readComment),
        complete: !!said.complete,
        room: readSettings(said.room),
        viewers: isCount(said.viewers) ? said.viewers : null,
        reactions: list(said.reactions).flatMap(readReaction),
      };
    case 'stored': {
      const { client, id, held } = said;
      if (typeof client !== 'string' || !isCount(id ?? 0)) return null;
      return { type: 'stored', client, id: (id ?? 0) as number, held: held === true };
    }
    case 'refused': {
      const { client, reason, retry_after_ms } = said;
      if (typeof client !== 'string' || typeof reason !== 'string') return null;
      const retryAfterMs = isCount(retry_after_ms) ? retry_after_ms : null;
      return { type: 'refused', client, reason, retryAfterMs };
    }
    case 'role':
      return typeof said.moderator === 'boolean'
        ? { type: 'role', moderator: said.moderator }
        : null;
    case 'blocks':
      return typeof said.client === 'string' && Array.isArray(said.blocks)
        ? { type: 'blocks', client: said.client, blocks: said.blocks.flatMap(readBlock) }
        : null;
    default:
      return null;
  }
}

type Fields = Record<string, unknown>;

function readComment(value: unknown): Comment[] {
  const said = (value ?? {}) as Fields;
  const { id, seq, mt, at, user, author, text, votes } = said;
  const known =
    isCount(id) &&
    isCount(seq) &&
    isCount(mt) &&
    typeof user === 'string' &&
    typeof author === 'string' &&
    typeof text === 'string';
  if (!known) return [];
  return [
    {
      ...{ id, seq, mt, user, author, text },
      at: isCount(at) ? at : 0,
      votes: isCount(votes) ? votes : 0,
      deleted: said.deleted === true,
      moderator: said.moderator === true,
      question: said.question === true,
      answered: said.answered === true,
      pinned: said.pinned === true,
      held: said.held === true,
    },
  ];
}

function readSettings(value: unknown): Settings | null {
  if (typeof value !== 'object' || value === null) return null;
  const { closed, approval, slow_ms, attendance } = value as Fields;
  return {
    closed: closed === true,
    approval: approval === true,
    slowMs: isCount(slow_ms) ? slow_ms : 0,
    attendance: attendance === true,
  };
}

function readReaction(value: unknown): Reaction[] {
  const { mt, emoji, count } = (value ?? {}) as Fields;
  const known = (isCount(mt) || (mt ?? null) === null) && isEmoji(emoji) && isCount(count);
  return known && count > 0 ? [{ mt: (mt ?? null) as number | null, emoji, count }] : [];
}

function readBlock(value: unknown): Block[] {
  const { block, whom, user, until } = (value ?? {}) as Fields;
  const known = isCount(block) && isWhom(whom) && typeof user === 'string';
  return known ? [{ block, whom, user, until: isCount(until) ? until : null }] : [];
}

function isWhom(value: unknown): value is Whom {
  return value === 'writer' || value === 'address';
}

function isEmoji(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= EMOJI_UNITS_MAX;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
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

/**
 * A text without halves of characters, which no UTF-8 has: where a field cut an emoji in two, the edge
 * would take the whole message for nonsense.
 */
export function wellFormed(text: string): string {
  return text.replace(
    /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    '',
  );
}

/** Why a text would be refused, as far as a page can tell by itself and at once. */
export function refusalOf(text: string): 'empty' | 'too-long' | null {
  const trimmed = text.trim();
  if (trimmed === '') return 'empty';
  const lines = trimmed.split('\n').length;
  return charsOf(trimmed) > TEXT_CHARS_MAX || lines > TEXT_LINES_MAX ? 'too-long' : null;
}
