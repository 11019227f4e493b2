// What a moderator can do with a comment, and how slow a room can be made: pure.

import type { Comment, Mark } from './protocol.ts';

/** So long may a muted writer not write. */
export const MUTE_MINUTES = 10;

/** Slow mode's choices, ms between two comments of one writer; 0 is off. */
export const SLOW_CHOICES_MS = [0, 5_000, 10_000, 30_000, 60_000, 300_000] as const;

/** What a menu offers; the words for it are in the texts, under the same names. */
export type Choice = Exclude<Mark, 'approve'> | 'delete' | 'mute' | 'blockWriter' | 'blockAddress';

/** What can be done with a comment, in the order in which it is offered. */
export function choicesFor(
  comment: Pick<Comment, 'question' | 'answered' | 'pinned' | 'held'>,
  own: boolean,
): readonly Choice[] {
  const { question, answered, pinned, held } = comment;
  const choices: Choice[] = [];
  // Nobody sees what is held, so that there is nothing to pin.
  if (!held) choices.push(pinned ? 'unpin' : 'pin');
  if (!held && question) choices.push(answered ? 'reopen' : 'answer');
  choices.push('delete');
  // A moderator who cannot write any more can still unblock, but will not know why.
  if (!own) choices.push('mute', 'blockWriter', 'blockAddress');
  return choices;
}

/** Slow mode's choices, and whatever else is in force. */
export function slowChoices(slowMs: number): readonly number[] {
  return [...new Set([...SLOW_CHOICES_MS, slowMs])].sort((a, b) => a - b);
}
