// What the elements of the comments ask of `<lectern-comments>`, which alone talks to the edge: requests
// go up as events, and what became of them comes down as properties.

import type { Action, Comment } from './protocol.ts';

/** All comments, the questions, or, for moderators, what waits for them. */
export type View = 'all' | 'questions' | 'waiting';

export type Ask =
  | { readonly ask: 'look'; readonly view: View }
  | { readonly ask: 'delete'; readonly comment: Comment }
  | { readonly ask: 'vote'; readonly comment: Comment; readonly up: boolean }
  | { readonly ask: 'react'; readonly emoji: string }
  | { readonly ask: 'moderate'; readonly action: Action }
  /** What can be done with this comment, beside the button that opens it. */
  | { readonly ask: 'menu'; readonly comment: Comment; readonly button: HTMLElement }
  | { readonly ask: 'attend'; readonly name: string | null };

export class AskEvent extends CustomEvent<Ask> {
  constructor(ask: Ask) {
    super('lectern-ask', { detail: ask });
  }
}

declare global {
  interface HTMLElementEventMap {
    'lectern-ask': AskEvent;
  }
}
