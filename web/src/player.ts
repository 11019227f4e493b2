// The stable entry `/player.js`: one script tag brings `<lectern-player>` to any page.

export { LecternPlayer } from './lectern-player.ts';
