// The comments in a list that scrolls, with one's own below that are on their way: a template of
// `<lectern-comments>`, which keeps its reader's place.

import { html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { Texts } from '../texts/texts.ts';
import type { Ask, View } from './ask.ts';
import { commentRow, pendingRow, type Settle } from './comment-row.ts';
import type { Desk } from './desk.ts';
import type { Question } from './lectern-questions.ts';
import type { Pending, Shown } from './room.ts';

export interface ListState {
  readonly view: View;
  /** What went wrong with this one stands beside the form. */
  readonly told: Pending | undefined;
  readonly mayAct: boolean;
  readonly ask: (ask: Ask) => void;
  readonly settle: Settle;
  readonly earlier: () => void;
  readonly scrolled: () => void;
}

export function list(
  texts: Texts,
  desk: Desk | null,
  { comments, earlier }: Shown,
  { view, told, mayAct, ask, settle, earlier: showEarlier, scrolled }: ListState,
) {
  const { comments: T, lang } = texts;
  const pending = view === 'waiting' ? [] : (desk?.room.pending ?? []);
  const empty = comments.length === 0 && pending.length === 0;
  // Votes are no additions, and nobody wants to hear them.
  return html`<div
    class="log" part="list" role="log" aria-live="polite" aria-relevant="additions" tabindex="0"
    aria-label=${T.title} aria-busy=${desk?.complete ? 'false' : 'true'}
    ?hidden=${view === 'questions'} @scroll=${scrolled}
  >
    ${
      earlier > 0
        ? html`<div lang=${lang}>
            <button type="button" @click=${showEarlier}>${T.earlier}</button>
          </div>`
        : nothing
    }
    ${empty ? html`<p class="empty" lang=${lang}>${emptyText(texts, desk, view)}</p>` : nothing}
    <ul>
      ${repeat(
        desk ? comments : [],
        ({ id }) => id,
        (comment) => {
          const { room, votes } = desk as Desk;
          const state = {
            own: room.isOwn(comment),
            deleting: room.isBeingDeleted(comment),
            marking: room.isBeingMarked(comment),
            mayAct,
            moderating: desk?.moderator === true,
            votes: votes.count(comment),
            voted: votes.has(comment.id),
          };
          return commentRow(texts, comment, state, ask);
        },
      )}
      ${repeat(
        pending,
        ({ client }) => client,
        (own) => {
          const { progress } = own;
          const state = {
            author: desk?.room.author ?? '',
            deleting: progress.state === 'held' && desk?.room.isBeingDeleted(progress) === true,
            isTold: own === told,
            mayAct: desk?.shut === null,
          };
          return pendingRow(texts, own, state, settle);
        },
      )}
    </ul>
  </div>`;
}

/** What `<lectern-questions>` shows. */
export function questionsOf(desk: Desk | null): readonly Question[] {
  if (!desk) return [];
  const { room, votes } = desk;
  return room.questions().map((comment) => ({
    comment,
    votes: votes.count(comment),
    voted: votes.has(comment.id),
    busy: room.isBeingDeleted(comment) || room.isBeingMarked(comment),
  }));
}

function emptyText({ comments: T, room: R }: Texts, desk: Desk | null, view: View): string {
  if (desk?.complete) return view === 'waiting' ? R.nothingWaiting : T.none;
  // Until there is a connection, what there is to say about that stands above.
  return desk?.link === 'open' ? T.loading : '';
}
