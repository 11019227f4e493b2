// The moderator's key in the address of a watch page, `/watch/<id>#moderate=<key>`. It is taken out, so
// that nobody shares it along with the address, and kept for the tab and the broadcast.

import { forget, keep, recall } from './comments/kept.ts';

/** The key in this fragment of an address; empty for none. */
export function keyIn(hash: string): string {
  const key = /^#moderate=(.+)$/.exec(hash)?.[1] ?? '';
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

/** Takes the key for this broadcast from the address, or from where it was kept; empty for none. */
export function takeKey(broadcast: string): string {
  const key = keyIn(location.hash);
  if (!key) return recall(nameOf(broadcast), 'tab') ?? '';
  history.replaceState(history.state, '', location.pathname + location.search);
  keep(nameOf(broadcast), key, 'tab');
  return key;
}

/** It was not the right one. */
export function forgetKey(broadcast: string): void {
  forget(nameOf(broadcast), 'tab');
}

function nameOf(broadcast: string): string {
  return `lectern-moderator-key:${broadcast}`;
}
