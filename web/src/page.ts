// The watch and embed pages: takes the id from the address and gives it to the player.

import './page.css';
import { nothing, render } from 'lit';
import type { RoleEvent } from './lectern-comments.ts';
import './lectern-player.ts';
import { aboutView } from './about.ts';
import { takeCookie } from './access.ts';
import { endpoints } from './endpoints.ts';
import { isPath } from './ladder.ts';
import { forgetKey, takeKey } from './moderator-key.ts';
import { textsFor } from './texts/texts.ts';
import { forgetToken, keptToken, takeToken } from './viewer-token.ts';

/** The id in `/watch/<id>` and `/embed/<id>`, and what comes before it. */
const match = /^(.*)\/(?:watch|embed)\/([A-Za-z0-9_-]{1,64})\/?$/.exec(location.pathname);
const player = document.querySelector('lectern-player');
const [, prefix = '', id = ''] = match ?? [];

const texts = textsFor(navigator.languages);
document.documentElement.lang = texts.lang;
document.title = id ? `${id} · Lectern` : 'Lectern';
const title = document.querySelector('h1');
if (title) title.textContent = id;
const about = document.querySelector<HTMLElement>('#about');
player?.addEventListener('lectern-info', () => {
  const view = player.info && aboutView(texts, player.info);
  if (about) {
    about.hidden = !view;
    render(view ?? nothing, about);
  }
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
  const src = `${prefix}/live/${id}`;
  const enter = () => {
    const token = takeToken(id);
    if (token === null) return;
    player.token = token;
    // For the next visit, whose address has no token in it any more.
    void takeCookie(endpoints(src, document.baseURI), token);
  };
  player.token = keptToken(id);
  enter();
  window.addEventListener('hashchange', enter);
  // Whoever is not let in reads along with nobody either, and need not be told so twice.
  const place = comments?.parentElement;
  new MutationObserver(() => {
    const out = ['refused', 'registering', 'expired'].includes(player.state);
    // There may be a newer one among the cookies by the time that the page is opened again.
    if (player.state === 'expired' || player.state === 'registering') forgetToken(id);
    if (out) comments?.remove();
    else if (comments && !comments.isConnected) place?.insertBefore(comments, about);
  }).observe(player, { attributeFilter: ['state'] });
  // `?path=webrtc`, `dash` or `hls` pins a path: for tests, and for those who want to compare.
  const path = new URLSearchParams(location.search).get('path');
  if (isPath(path)) player.pin = path;
  player.src = src;
}
