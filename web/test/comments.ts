// Comments for tests.

import type { Comment } from '../src/comments/protocol.ts';

/** A comment, the `id`th in id, seq and second unless said otherwise. */
export function comment(id: number, said: Partial<Comment> = {}): Comment {
  return {
    ...{ id, seq: id, mt: id * 1000, at: 0, user: 'Ada', author: '1111111111111111' },
    ...{ text: `no ${id}`, deleted: false, moderator: false, question: false, votes: 0 },
    ...{ answered: false, pinned: false, held: false },
    ...said,
  };
}
