// What there is to say about the room in a sentence: the connection, what holds, and what was refused.
// Pure.

import { durationText, refusalText, type Texts } from '../texts/texts.ts';
import type { Link } from './connection.ts';
import type { Notice } from './desk.ts';
import type { Settings } from './protocol.ts';
import type { Pending } from './room.ts';

/** What there is to say about the connection; empty if it is as it should be. */
export function linkText({ comments: T }: Texts, link: Link | undefined): string {
  switch (link) {
    // It stands where the form was.
    case 'refused':
    case undefined:
    case 'open':
      return '';
    case 'connecting':
      return T.connecting;
    case 'reconnecting':
      return T.reconnecting;
    case 'full':
      return T.full;
  }
}

/** What holds here, as far as it concerns who writes. */
export function ruleText(texts: Texts, settings: Settings, moderator: boolean): string {
  const { room: R } = texts;
  if (moderator) return settings.closed ? R.closedToOthers : '';
  const slow = settings.slowMs > 0 ? R.slowOn(durationText(texts, settings.slowMs)) : '';
  return [settings.approval ? R.approvalOn : '', slow].filter(Boolean).join(' ');
}

/** What became of a comment of one's own that was refused. */
export function troubleText(texts: Texts, own: Pending | undefined): string {
  if (!own) return '';
  const { progress } = own;
  if (progress.state === 'failed') return refusalText(texts, progress.reason);
  if (progress.state !== 'waiting') return '';
  return `${refusalText(texts, progress.reason)} ${texts.comments.sentAgain}`;
}

/** What was not done, and why. */
export function noticeText(texts: Texts, { what, reason }: Notice): string {
  const { comments: T, room: R } = texts;
  const before = {
    written: '',
    deleted: `${T.notDeleted} `,
    voted: `${R.notVoted} `,
    done: `${R.notDone} `,
    // It stands where the list is.
    listed: '',
  };
  return before[what] + refusalText(texts, reason);
}
