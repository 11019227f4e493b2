// The watch and embed pages: takes the id from the address and gives it to the player.

import './page.css';
import type { RoleEvent } from './lectern-comments.ts';
import './lectern-player.ts';
import { isPath } from './ladder.ts';
import { forgetKey, takeKey } from './moderator-key.ts';
import { textsFor } from './texts/texts.ts';

/** The id in `/watch/<id>` and `/embed/<id>`, and what comes before it. */
const match = /^(.*)\/(?:watch|embed)\/([A-Za-z0-9_-]{1,64})\/?$/.exec(location.pathname);
const player = document.querySelector('lectern-player');
const [, prefix = '', id = ''] = match ?? [];

document.documentElement.lang = textsFor(navigator.languages).lang;
document.title = id ? `${id} · Lectern` : 'Lectern';
const title = document.querySelector('h1');
if (title) title.textContent = id;
player?.addEventListener('lectern-info', () => {
  const name = player.broadcastTitle ?? id;
  if (!name || title?.textContent === name) return;
  if (title) title.textContent = name;
  document.title = `${name} · Lectern`;
});

// After the player, whose picture is not to wait for them; their place is kept by the page's styles.
const comments = document.querySelector('lectern-comments');
if (comments) {
  const moderate = () => {
    comments.moderatorKey = takeKey(id);
  };
  moderate();
  // The link may be opened where the page is open already.
  window.addEventListener('hashchange', moderate);
  comments.addEventListener('lectern-role', (event) => {
    const { moderator } = (event as RoleEvent).detail;
    comments.classList.toggle('moderating', moderator);
    if (!moderator) forgetKey(id);
  });
  void import('./lectern-comments.ts');
}

if (player) {
  // `?path=webrtc`, `dash` or `hls` pins a path: for tests, and for those who want to compare.
  const path = new URLSearchParams(location.search).get('path');
  if (isPath(path)) player.pin = path;
  player.src = `${prefix}/live/${id}`;
}
