// What there is to show of a broadcast's comments, and from when on: pure. Comments and media times go
// in, lists come out; where they come from is the connection's, how they look is the element's.
//
// Comments stand in the order of their media time, so that what is due is always the beginning of the
// list, and finding its end takes a dozen comparisons, however many there are.

import { type Comment, UNAVAILABLE } from './protocol.ts';

/** So many comments are kept: more than anybody reads back, in about two megabytes. */
export const KEPT_MAX = 5_000;
/**
 * A picture that goes back by less is that of another path, which is seconds later: what has been
 * read is not taken away for that. By more, the viewer went back, and what is later is hidden.
 */
export const STEP_BACK_MS = 8_000;

/** Where one's own comment is on its way. */
export type Progress =
  | { readonly state: 'sending' }
  /** Refused for the moment, and sent again by itself. */
  | { readonly state: 'waiting'; readonly reason: string }
  /** Stored under this id, and not yet seen among the comments. */
  | { readonly state: 'stored'; readonly id: number }
  /** Stored under this id, and shown once a moderator lets it. */
  | { readonly state: 'held'; readonly id: number }
  | { readonly state: 'failed'; readonly reason: string };

/** One's own comment until it is among the others. */
export interface Pending {
  readonly client: string;
  readonly mt: number | null;
  readonly user: string;
  readonly text: string;
  readonly question: boolean;
  /**
   * It was `unavailable` once, so that it may be stored although it failed: tried again it keeps its
   * `client`, under which it is stored once.
   */
  readonly unsure: boolean;
  readonly progress: Progress;
}

/** What a viewer writes. */
type Written = Omit<Pending, 'question' | 'unsure' | 'progress'> & { readonly question?: boolean };

/** What is to be shown: the end of what is due, and how much there is before it. */
export interface Shown {
  readonly comments: readonly Comment[];
  readonly earlier: number;
}

const byMoment = (a: Comment, b: Comment): number => a.mt - b.mt || a.id - b.id;

export class Room {
  /** The newest form of each comment that is kept; of deleted ones too, lest an older form comes. */
  readonly #forms = new Map<number, Comment>();
  /** The ids of these, ascending. */
  readonly #ids: number[] = [];
  /** Those that are not deleted, by the moment at which they are due. */
  readonly #order: Comment[] = [];
  /** What fell off: nothing up to this id comes back. */
  #fallenId = 0;
  #after = 0;
  /** As far as the picture has come; null while nobody knows. */
  #reachedMs: number | null = null;
  #pending: readonly Pending[] = [];
  /** Comments that are being deleted, by the name of the attempt. */
  readonly #deleting = new Map<string, number>();
  /** Comments with which a moderator is doing something else, likewise. */
  readonly #marking = new Map<string, number>();
  /** What stands above the others. It may be older than all that is kept. */
  #pinned: Comment | null = null;
  /** One's own id, as the edge says it. */
  author: string | null = null;

  /** All changes up to this `seq` have been taken in. */
  get after(): number {
    return this.#after;
  }

  /** One's own that are not among the comments yet, oldest first. */
  get pending(): readonly Pending[] {
    return this.#pending;
  }

  /** The media time of the first comment that is not due yet; null if all are. */
  get nextMs(): number | null {
    return this.#order[this.#dueCount()]?.mt ?? null;
  }

  /** Takes in changes, in whatever order, and any number of times. */
  take(comments: readonly Comment[]): void {
    for (const comment of comments) this.#take(comment);
  }

  /**
   * The picture on screen is that of this media time; null: nobody knows, and all is shown. Says
   * whether something has to be shown, or hidden, because of it.
   */
  advance(mediaMs: number | null): boolean {
    const before = this.#dueCount();
    const reached = this.#reachedMs ?? this.#order.at(-1)?.mt ?? 0;
    const steppedBack = mediaMs !== null && mediaMs < reached && reached - mediaMs < STEP_BACK_MS;
    this.#reachedMs = steppedBack ? reached : mediaMs;
    return this.#dueCount() !== before;
  }

  /** The last `limit` comments that are due. */
  shown(limit: number): Shown {
    const due = this.#dueCount();
    const earlier = Math.max(0, due - limit);
    return { comments: this.#order.slice(earlier, due), earlier };
  }

  /** What stands above the others, as soon as the picture has come so far. */
  get pinned(): Comment | null {
    const due = this.#reachedMs === null || (this.#pinned?.mt ?? 0) <= this.#reachedMs;
    return due ? this.#pinned : null;
  }

  /** The questions that are due, oldest first. */
  questions(): readonly Comment[] {
    return this.#order.slice(0, this.#dueCount()).filter(({ question, held }) => question && !held);
  }

  /**
   * What waits for a moderator, oldest first: also what the moderator's picture has not come to, because
   * others' pictures may be ahead.
   */
  held(): readonly Comment[] {
    return this.#order.filter(({ held }) => held);
  }

  /** The newest form of one that is kept. */
  get(id: number): Comment | undefined {
    return this.#forms.get(id);
  }

  /** All that are kept, due or not, by id. */
  all(): readonly Comment[] {
    return [...this.#order].sort((a, b) => a.id - b.id);
  }

  /** Whether there were more than are kept. */
  get hasDropped(): boolean {
    return this.#fallenId > 0;
  }

  isOwn(comment: Comment): boolean {
    return this.author !== null && comment.author === this.author;
  }

  /** Whether this attempt is one to delete. */
  isDeletion(client: string): boolean {
    return this.#deleting.has(client);
  }

  isBeingDeleted({ id }: Pick<Comment, 'id'>): boolean {
    return has(this.#deleting, id);
  }

  /** Whether a moderator is doing something with it that is not answered yet. */
  isBeingMarked({ id }: Pick<Comment, 'id'>): boolean {
    return has(this.#marking, id);
  }

  /** The viewer wrote something, which is shown at once. */
  write(post: Written): void {
    const progress = { state: 'sending' } as const;
    this.#pending = [...this.#pending, { question: false, ...post, unsure: false, progress }];
  }

  /** It is tried once more, under its name. */
  again(client: string): void {
    this.#change(client, { progress: { state: 'sending' } });
  }

  /** The viewer takes one of their own comments back, or a moderator takes one away. */
  delete(client: string, id: number): void {
    this.#deleting.set(client, id);
  }

  /** A moderator does something else with it. */
  mark(client: string, id: number): void {
    this.#marking.set(client, id);
  }

  /** The edge has this attempt stored. */
  stored(client: string, id: number, held = false): void {
    if (this.#marking.delete(client)) return;
    const deleted = this.#deleting.get(client);
    if (deleted !== undefined) {
      this.#deleting.delete(client);
      // What the others have vanishes when its change arrives; of what is held nobody is told.
      const own = this.#pending.find(
        ({ progress }) => progress.state === 'held' && progress.id === deleted,
      );
      if (own) this.drop(own.client);
    } else if (this.#forms.has(id) || id <= this.#fallenId) this.drop(client);
    else this.#change(client, { progress: { state: held ? 'held' : 'stored', id } });
  }

  /** The edge refused this attempt, which is tried `again` by itself or not. */
  refused(client: string, reason: string, again: boolean): void {
    const unsure = reason === UNAVAILABLE ? { unsure: true } : {};
    if (again) this.#change(client, { ...unsure, progress: { state: 'waiting', reason } });
    else if (!this.#deleting.delete(client) && !this.#marking.delete(client)) {
      this.#change(client, { ...unsure, progress: { state: 'failed', reason } });
    }
  }

  /** What is held is about to be told anew, or to be no longer told: what is not there then is gone. */
  forgetHeld(): void {
    for (const { id } of this.held()) this.#forget(id);
  }

  /** Forgets a pending comment, and says what it was. */
  drop(client: string): Pending | undefined {
    const dropped = this.#pending.find((pending) => pending.client === client);
    if (dropped) this.#pending = this.#pending.filter((pending) => pending !== dropped);
    return dropped;
  }

  #take(comment: Comment): void {
    this.#after = Math.max(this.#after, comment.seq);
    this.#pin(comment);
    if (comment.id <= this.#fallenId) return;
    const old = this.#forms.get(comment.id);
    if (old && old.seq >= comment.seq) return;
    if (old && !old.deleted) this.#order.splice(placeOf(this.#order, old, byMoment), 1);
    if (!old) insert(this.#ids, comment.id, (a, b) => a - b);
    this.#forms.set(comment.id, comment);
    if (!comment.deleted) insert(this.#order, comment, byMoment);
    if (!old) this.#confirm(comment);
    if (this.#ids.length > KEPT_MAX) this.#fallOff();
  }

  /** A comment of one's own that arrives takes the place of the pending one that it was. */
  #confirm(comment: Comment): void {
    const found = this.#pending.find(({ mt, user, text, unsure, progress }) => {
      if ('id' in progress) return progress.id === comment.id;
      if (!this.isOwn(comment)) return false;
      if (progress.state === 'failed' && !unsure) return false;
      const same = text.trim() === comment.text && user.trim() === comment.user;
      return same && (mt === null || mt === comment.mt);
    });
    if (found) this.drop(found.client);
  }

  /** Of two that say that they are pinned, the one that said so last is. */
  #pin(comment: Comment): void {
    const old = this.#pinned;
    if (old && old.seq >= comment.seq) return;
    if (comment.pinned && !comment.deleted) this.#pinned = comment;
    else if (old?.id === comment.id) this.#pinned = null;
  }

  #fallOff(): void {
    const [id] = this.#ids;
    if (id === undefined) return;
    this.#fallenId = id;
    this.#forget(id);
  }

  #forget(id: number): void {
    const old = this.#forms.get(id);
    if (!old) return;
    this.#forms.delete(id);
    this.#ids.splice(
      placeOf(this.#ids, id, (a, b) => a - b),
      1,
    );
    if (!old.deleted) this.#order.splice(placeOf(this.#order, old, byMoment), 1);
  }

  #change(client: string, change: Partial<Pending>): void {
    this.#pending = this.#pending.map((pending) =>
      pending.client === client ? { ...pending, ...change } : pending,
    );
  }

  #dueCount(): number {
    const reached = this.#reachedMs;
    const order = this.#order;
    // Nearly always all of them are due.
    if (reached === null || (order.at(-1)?.mt ?? 0) <= reached) return order.length;
    return search(order.length, (i) => (order[i]?.mt ?? 0) > reached);
  }
}

function has(attempts: ReadonlyMap<string, number>, id: number): boolean {
  for (const attempt of attempts.values()) if (attempt === id) return true;
  return false;
}

/** The first index below `length` for which `is` holds, as it does for all after it; else `length`. */
function search(length: number, is: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function placeOf<T>(sorted: readonly T[], value: T, by: (a: T, b: T) => number): number {
  return search(sorted.length, (i) => by(sorted[i] as T, value) >= 0);
}

function insert<T>(sorted: T[], value: T, by: (a: T, b: T) => number): void {
  const last = sorted.at(-1);
  // What arrives is nearly always the newest.
  if (last === undefined || by(last, value) < 0) sorted.push(value);
  else sorted.splice(placeOf(sorted, value, by), 0, value);
}
