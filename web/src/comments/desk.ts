// One page's place in the room of one broadcast: what the edge said, what the viewer, or a moderator,
// does, and what became of it. Joins what is pure (comments, votes, reactions, slow mode) to the
// connection; how it looks is the elements'.

import { Connection, type Link, type Socket } from './connection.ts';
import { attemptName } from './identity.ts';
import { Pace } from './pace.ts';
import {
  type Action,
  type Block,
  type Comment,
  type Comments,
  type Refused,
  type Request,
  type Settings,
  type Stored,
  wellFormed,
} from './protocol.ts';
import { type Felt, Reactions } from './reactions.ts';
import { type Pending, Room } from './room.ts';
import { Votes } from './votes.ts';

/** What was done stands there for so long. */
const DONE_MS = 8_000;

/** What was not done, and the edge's reason. */
export interface Notice {
  readonly what: 'written' | 'deleted' | 'voted' | 'done' | 'listed';
  readonly reason: string;
}

/** What a moderator did that nothing else shows. */
export type Done =
  | { readonly what: 'blocked'; readonly user: string; readonly minutes: number | null }
  | { readonly what: 'unblocked' };

export interface DeskHost {
  /** Something is to be shown that was not, or no longer. */
  changed(): void;
  /** Viewers, this one among them, felt something that is to be shown now. */
  felt(felt: readonly Felt[]): void;
  /** What the player's picture is of, ms since T0; null if there is none. */
  mediaMs(): number | null;
  /** Whether the key is the right one. */
  role(moderator: boolean): void;
  /** The questions that this browser voted for, to be remembered. */
  voted(ids: readonly number[]): void;
  /** The name under which the viewer is on the list of who attends, likewise; null: on none. */
  listed(name: string | null): void;
}

export interface DeskOptions {
  readonly url: string;
  readonly secret: string;
  /** A moderator's key; empty for none. */
  readonly key?: string;
  /** The viewer's token; empty for none. */
  readonly token?: string;
  /** The questions that this browser voted for. */
  readonly voted?: Iterable<number>;
  readonly host: DeskHost;
  readonly open?: (url: string) => Socket;
  readonly now?: () => number;
}

const OPEN: Settings = { closed: false, approval: false, slowMs: 0, attendance: false };

export class Desk {
  readonly room = new Room();
  readonly votes: Votes;
  readonly reactions = new Reactions();
  /** What one may feel here; nothing where the edge is older. */
  emojis: readonly string[] = [];
  /** Unless the edge says no, which it says at once, there is a form. */
  mayWrite = true;
  /** All that was missed has come. */
  complete = false;
  /** Null as long as nobody said, or asked. */
  moderator: boolean | null = null;
  viewers: number | null = null;
  /** Who may not write; null until a moderator asked. */
  blocks: readonly Block[] | null = null;
  notice: Notice | null = null;
  done: Done | null = null;
  /** The name under which the viewer is on the list of who attends. */
  attending: string | null = null;

  readonly #host: DeskHost;
  readonly #connection: Connection;
  readonly #now: () => number;
  readonly #pace = new Pace();
  /** A moderator's, by the name of the attempt. */
  readonly #actions = new Map<string, Action>();
  #settings = OPEN;
  /** What a moderator wants in force, until the edge says what is. */
  #wanted: Partial<Settings> = {};
  #present: string | null = null;
  #doneTimer: ReturnType<typeof setTimeout> | undefined;

  /** Joins at once, and stays until `close`. */
  constructor({ url, secret, key, token, voted, host, open, now }: DeskOptions) {
    this.#host = host;
    this.#now = now ?? Date.now;
    this.votes = new Votes(voted);
    this.#connection = new Connection({
      ...{ url, secret },
      ...(key ? { key } : {}),
      ...(token ? { token } : {}),
      ...(open ? { open } : {}),
      host: {
        after: () => this.room.after,
        said: (said) => {
          switch (said.type) {
            case 'hello':
              this.room.author = said.author;
              this.mayWrite = said.mayWrite;
              this.emojis = said.reactions;
              break;
            case 'role':
              this.moderator = said.moderator;
              this.room.forgetHeld();
              this.#host.role(said.moderator);
              break;
            case 'blocks':
              this.#actions.delete(said.client);
              this.blocks = said.blocks;
              break;
            case 'comments':
              this.#take(said);
          }
          this.tick();
          this.#host.changed();
        },
        stored: (stored) => this.#stored(stored),
        refused: (refused, again) => this.#refused(refused, again),
        changed: () => this.#host.changed(),
      },
    });
  }

  get link(): Link {
    // Asked for by what the connection tells while it is being made.
    return this.#connection?.link ?? 'connecting';
  }

  /** What is in force; what a moderator just changed, as if it were. */
  get settings(): Settings {
    return { ...this.#settings, ...this.#wanted };
  }

  /** Why the viewer cannot write; null if they can. */
  get shut(): 'connection' | 'site' | 'closed' | null {
    if (this.link === 'refused') return 'connection';
    if (!this.mayWrite) return 'site';
    return this.settings.closed && !this.moderator ? 'closed' : null;
  }

  /** From when on the viewer may write, Unix ms; 0: now. */
  get waitsUntilMs(): number {
    return this.moderator ? 0 : this.#pace.waitsUntilMs(this.settings.slowMs, this.#now());
  }

  /** The media time at which something will have to be shown; null if nothing is known to be. */
  get nextMs(): number | null {
    const [a, b] = [this.room.nextMs, this.reactions.nextMs];
    return a === null || b === null ? (a ?? b) : Math.min(a, b);
  }

  /** Shows what the picture has come to. */
  tick(): void {
    const mediaMs = this.#host.mediaMs();
    const nowMs = this.#now();
    const moved = this.room.advance(mediaMs);
    const settled = this.votes.settle(nowMs);
    const felt = this.reactions.due(mediaMs, nowMs);
    if (felt.length > 0) this.#host.felt(felt);
    if (moved || settled) this.#host.changed();
  }

  rest(): void {
    this.#connection.rest();
  }

  resume(): void {
    this.#connection.resume();
  }

  /**
   * Goes on at another edge of the same broadcast: what was written, failed or voted for stays, and so
   * does who the viewer is.
   */
  move(url: string): void {
    this.#connection.move(url);
  }

  close(): void {
    clearTimeout(this.#doneTimer);
    this.#connection.close();
  }

  /** False: it could not even be tried. */
  write(name: string, written: string, question: boolean): boolean {
    const client = attemptName();
    const [user, text] = [wellFormed(name), wellFormed(written)];
    const post = { type: 'post', client, mt: this.#moment(), user, text, question } as const;
    if (!this.#say(post, 'written')) return false;
    this.room.write(post);
    this.#pace.wrote(client, this.#now());
    return true;
  }

  /** Says again, under its name, what may be stored already. */
  again({ client, mt, user, text, question }: Pending): void {
    if (!this.#say({ type: 'post', client, mt, user, text, question }, 'written')) return;
    this.room.again(client);
    this.#pace.wrote(client, this.#now());
  }

  delete(id: number): void {
    const client = attemptName();
    if (this.#say({ type: 'delete', client, id }, 'deleted')) this.room.delete(client, id);
  }

  vote(question: Comment, up: boolean): void {
    const client = attemptName();
    const vote = { type: 'vote', client, id: question.id, up } as const;
    if (this.#say(vote, 'voted')) this.votes.cast(client, question, up);
  }

  /** Where nobody hears it, nothing is shown. */
  react(emoji: string): void {
    const mt = this.#moment();
    if (!this.#connection.tell({ type: 'react', emoji, mt })) return;
    this.reactions.own(emoji, mt, this.#now());
    this.#host.felt([{ emoji, count: 1 }]);
  }

  moderate(action: Action): void {
    const client = attemptName();
    if (!this.#say({ type: 'moderate', client, ...action }, 'done')) return;
    this.#actions.set(client, action);
    if (action.action === 'settings') {
      const { closed, approval, slow_ms: slowMs } = action;
      this.#wanted = { closed, approval, slowMs };
    } else if ('id' in action) this.room.mark(client, action.id);
  }

  /** Puts the viewer on the list of who attends, or takes them from it: null. */
  attend(name: string | null): void {
    this.notice = null;
    this.attending = name;
    this.#host.listed(name);
    this.#present = name === null ? null : attemptName();
    const { attending, settings } = this;
    // Where no list is kept, nobody is to be told.
    if (attending !== null && this.#present !== null && settings.attendance) {
      this.#connection.attend({
        type: 'present',
        client: this.#present,
        name: wellFormed(attending),
      });
    } else this.#connection.attend(null);
    this.#host.changed();
  }

  #say(request: Request, what: Notice['what']): boolean {
    const said = this.#connection.say(request);
    this.notice = said ? null : { what, reason: 'busy' };
    this.#host.changed();
    return said;
  }

  #moment(): number | null {
    const mediaMs = this.#host.mediaMs();
    return mediaMs === null ? null : Math.max(0, Math.round(mediaMs));
  }

  #take({ comments, complete, room, viewers, reactions }: Comments): void {
    const mediaMs = this.#host.mediaMs();
    // What is new is not to be shown because nobody knew a moment ago what the picture shows.
    this.room.advance(mediaMs);
    this.room.take(comments);
    this.reactions.take(reactions, mediaMs, this.complete);
    this.complete ||= complete;
    this.viewers = viewers ?? this.viewers;
    if (!room) return;
    const listed = !this.#settings.attendance && room.attendance;
    this.#settings = room;
    this.#wanted = {};
    // Who was on the list before the page was loaded again is on it again.
    if (listed && this.attending !== null) this.attend(this.attending);
  }

  #stored({ client, id, held }: Stored): void {
    const action = this.#actions.get(client);
    this.#actions.delete(client);
    if (this.votes.stored(client, this.#now())) this.#host.voted(this.votes.standing);
    else if (action?.action === 'block') {
      const user = this.room.get(action.id)?.user ?? '';
      this.#did({ what: 'blocked', user, minutes: action.minutes });
    } else if (action?.action === 'unblock') {
      this.blocks = this.blocks?.filter(({ block }) => block !== action.block) ?? null;
      this.#did({ what: 'unblocked' });
    }
    this.room.stored(client, id, held);
    // Whoever has the list open sees who is on it now.
    if (action?.action === 'block' && this.blocks) this.moderate({ action: 'blocks' });
    this.#host.changed();
  }

  #refused({ client, reason, retryAfterMs }: Refused, again: boolean): void {
    const slow = reason === 'slow-mode' ? (retryAfterMs ?? 0) : null;
    // What is tried again by itself takes its turn, so that a writer has nothing to wait for but it.
    if (!again || slow !== null) this.#pace.refused(client, this.#now(), slow);
    if (!again) {
      const what = this.#whatWas(client);
      if (what) this.notice = { what, reason };
      if (what === 'listed') {
        this.attending = this.#present = null;
        this.#host.listed(null);
      }
      if (this.#actions.get(client)?.action === 'settings') this.#wanted = {};
      this.#actions.delete(client);
      this.votes.refused(client);
      if (reason === 'not-moderator') this.moderator = false;
    }
    this.room.refused(client, reason, again);
    this.#host.changed();
  }

  /** Of what is refused; null for a comment, which says so itself. */
  #whatWas(client: string): Notice['what'] | null {
    if (this.room.isDeletion(client)) return 'deleted';
    if (this.votes.isVote(client)) return 'voted';
    if (this.#actions.has(client)) return 'done';
    return client === this.#present ? 'listed' : null;
  }

  #did(done: Done): void {
    this.done = done;
    clearTimeout(this.#doneTimer);
    this.#doneTimer = setTimeout(() => {
      this.done = null;
      this.#host.changed();
    }, DONE_MS);
  }
}
