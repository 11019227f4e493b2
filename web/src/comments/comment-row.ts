// How one comment looks in a list, and what can be done with it there. Templates and not an element: a
// list of a thousand rows is one shadow tree then, and stands complete in the same moment in which its
// owner keeps its place.

import { html, nothing } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { ICONS } from '../icons.ts';
import { refusalText, type Texts } from '../texts/texts.ts';
import type { Ask } from './ask.ts';
import { hueOf, initialOf, momentText } from './faces.ts';
import { COMMENT_ICONS } from './icons.ts';
import type { Comment } from './protocol.ts';
import type { Pending } from './room.ts';

/** What a row shows besides the comment. */
export interface RowState {
  readonly own: boolean;
  /** It is being deleted. */
  readonly deleting: boolean;
  /** A moderator is doing something else with it. */
  readonly marking: boolean;
  /** Its reader may delete it where it is their own, and vote. */
  readonly mayAct: boolean;
  /** Its reader is a moderator. */
  readonly moderating: boolean;
  /** How many want it answered, and whether its reader does. */
  readonly votes: number;
  readonly voted: boolean;
}

type Asks = (ask: Ask) => void;

/** Does something about one's own comment that is not among the others. */
export type Settle = (what: 'retry' | 'edit' | 'discard' | 'withdraw', own: Pending) => void;

export function commentRow(texts: Texts, comment: Comment, state: RowState, ask: Asks) {
  const { own, deleting, marking, mayAct, moderating, votes, voted } = state;
  return guard([comment, ...Object.values(state), texts], () => {
    const { comments: T, room: R, lang } = texts;
    const deletable = own && !deleting && mayAct && !moderating;
    const held = comment.held && moderating;
    const kind = `${deletable || moderating ? 'equipped' : ''} ${held ? 'held' : ''}`;
    const busy = deleting ? T.deleting : marking ? R.marking : '';
    return html`<li class=${kind} part="comment">
      ${said(texts, comment, own)}
      ${comment.question && !held ? questionLine(texts, comment, { votes, voted, mayAct }, ask) : nothing}
      ${held && !busy ? heldLine(texts, comment, ask) : nothing}
      ${busy ? html`<div class="progress" lang=${lang}><span>${busy}</span></div>` : nothing}
      ${
        deletable
          ? html`<button
              class="remove" type="button" aria-label=${T.delete} title=${T.delete} lang=${lang}
              @click=${() => ask({ ask: 'delete', comment })}
            >${ICONS.remove}</button>`
          : nothing
      }
      ${moderating && !deleting ? menuButton(texts, comment, ask) : nothing}
    </li>`;
  });
}

/** One's own comment on its way. */
export function pendingRow(
  texts: Texts,
  own: Pending,
  { author, deleting, isTold, mayAct }: PendingState,
  settle: Settle,
) {
  const { comments: T, room: R, lang } = texts;
  const { progress } = own;
  const { state } = progress;
  // What stands beside the form already is not said twice.
  const why =
    progress.state === 'failed' && !isTold ? `: ${refusalText(texts, progress.reason)}` : '';
  const words = state === 'failed' ? `${T.failed}${why}` : state === 'held' ? R.held : T.sending;
  const button = (name: string, what: Parameters<Settle>[0]) =>
    html`<button type="button" @click=${() => settle(what, own)}>${name}</button>`;
  return html`<li class=${state === 'stored' || state === 'waiting' ? 'sending' : state} part="comment">
    ${said(texts, { ...own, author, moderator: false }, true)}
    <div class="progress" lang=${lang}>
      <span>${deleting ? T.deleting : words}</span>
      ${
        state === 'failed' && mayAct
          ? [button(T.retry, 'retry'), button(T.edit, 'edit'), button(T.discard, 'discard')]
          : nothing
      }
      ${state === 'held' && mayAct && !deleting ? button(R.choices.delete, 'withdraw') : nothing}
    </div>
  </li>`;
}

export interface PendingState {
  readonly author: string;
  /** It is being taken back. */
  readonly deleting: boolean;
  /** What went wrong stands beside the form. */
  readonly isTold: boolean;
  readonly mayAct: boolean;
}

/** What stands above the others. */
export function pinnedComment(texts: Texts, comment: Comment, moderating: boolean, ask: Asks) {
  const { room: R, lang } = texts;
  const { user, text } = comment;
  return html`
    <div class="pin">
      ${COMMENT_ICONS.pin}<span lang=${lang}>${R.pinned}</span>
      <bdi class="name" dir="auto">${user}</bdi>
    </div>
    <div class="words" tabindex="0" role="group" aria-label=${R.pinned}>
      <p dir="auto">${text}</p>
    </div>
    ${moderating ? menuButton(texts, comment, ask) : nothing}
  `;
}

/** Asks to see a question answered. What changes in it is not read out: votes come by the second. */
export function voteButton(
  { room: R }: Texts,
  comment: Comment,
  { votes, voted, mayAct }: Pick<RowState, 'votes' | 'voted' | 'mayAct'>,
  ask: Asks,
) {
  return html`<span class="vote" aria-live="off"><button
    type="button" aria-pressed=${voted ? 'true' : 'false'} title=${R.vote}
    aria-label=${`${R.vote}, ${R.votes(votes)}`} ?disabled=${!mayAct}
    @click=${() => ask({ ask: 'vote', comment, up: !voted })}
  >${COMMENT_ICONS.vote}<span>${votes}</span></button></span>`;
}

export function menuButton({ lang, room: R }: Texts, comment: Comment, ask: Asks) {
  const open = ({ currentTarget }: Event) =>
    ask({ ask: 'menu', comment, button: currentTarget as HTMLElement });
  return html`<button
    class="more" type="button" aria-haspopup="menu" aria-expanded="false"
    aria-label=${R.menu(comment.user)} lang=${lang} @click=${open}
  >${COMMENT_ICONS.more}</button>`;
}

/** What a moderator decides on. */
export function heldLine({ lang, room: R }: Texts, comment: Comment, ask: Asks) {
  const approve = { action: 'approve', id: comment.id } as const;
  return html`<div class="decide" lang=${lang}>
    <span>${R.heldHere}</span>
    <button type="button" class="yes" @click=${() => ask({ ask: 'moderate', action: approve })}>
      ${R.approve}
    </button>
    <button type="button" @click=${() => ask({ ask: 'delete', comment })}>${R.reject}</button>
  </div>`;
}

function questionLine(
  texts: Texts,
  comment: Comment,
  state: Pick<RowState, 'votes' | 'voted' | 'mayAct'>,
  ask: Asks,
) {
  const { lang, room: R } = texts;
  return html`<div class="asked" lang=${lang}>
    ${voteButton(texts, comment, state, ask)}
    ${
      comment.answered
        ? html`<span class="answered">${COMMENT_ICONS.check}${R.answered}</span>`
        : html`<span>${R.question}</span>`
    }
  </div>`;
}

/** Who said what: as text, which no markup of a stranger's can leave. */
function said(
  texts: Texts,
  {
    author,
    user,
    text,
    mt,
    moderator,
  }: Pick<Comment, 'author' | 'user' | 'text' | 'moderator'> & { readonly mt: number | null },
  own: boolean,
) {
  return html`<span class="avatar hue-${hueOf(author)}" part="avatar" aria-hidden="true"
      >${initialOf(user)}</span
    >
    <div>
      <div class="head">
        <bdi class="name" part="name" dir="auto">${user}</bdi>
        ${badge(texts, moderator, own)}
        ${mt === null ? nothing : html`<span class="moment">${momentText(mt)}</span>`}
      </div>
      <p part="text" dir="auto">${text}</p>
    </div>`;
}

/** One at most, because names need the room. */
function badge({ lang, comments: T, room: R }: Texts, moderator: boolean, own: boolean) {
  if (moderator && own) {
    return html`<span class="badge" lang=${lang} title=${R.moderator}
      >${COMMENT_ICONS.shield}<span class="unseen">${R.moderator}</span> ${T.you}</span
    >`;
  }
  if (moderator) {
    return html`<span class="badge" lang=${lang}>${COMMENT_ICONS.shield}${R.moderator}</span>`;
  }
  return own ? html`<span class="you" lang=${lang}>${T.you}</span>` : nothing;
}
