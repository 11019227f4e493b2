// The stable entry `/comments.js`: `<lectern-comments for="…">` beside a player on any page.

export { LecternComments } from './lectern-comments.ts';
