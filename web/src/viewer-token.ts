// The viewer token in the address of a watch page, `/watch/<id>#token=<token>`, or `?token=` where a
// fragment does not survive. It is taken out, so that nobody shares it along with the address, and kept
// for the tab and the broadcast; and what a viewer was given who registered, kept in the same way.

import { forget, keep, recall } from './comments/kept.ts';

/** The token in an address, and the address without it; empty for none. */
export function tokenIn(address: string): { readonly token: string; readonly rest: string } {
  const url = new URL(address);
  const inHash = /^#token=(.+)$/.exec(url.hash)?.[1];
  const token = inHash ?? url.searchParams.get('token') ?? '';
  if (inHash !== undefined) url.hash = '';
  url.searchParams.delete('token');
  return { token, rest: token ? url.pathname + url.search + url.hash : '' };
}

/** Takes the token for this broadcast from the address, if there is one. */
export function takeToken(broadcast: string): string | null {
  const { token, rest } = tokenIn(location.href);
  if (!token) return null;
  history.replaceState(history.state, '', rest);
  keep(nameOf(broadcast), token, 'tab');
  return token;
}

/** The token that was taken before; empty for none. */
export function keptToken(broadcast: string): string {
  return recall(nameOf(broadcast), 'tab') ?? '';
}

/** It is no good any more. */
export function forgetToken(broadcast: string): void {
  forget(nameOf(broadcast), 'tab');
}

/** The token that was given to who registered there, at `registration` (`Endpoints`); empty for none. */
export function registeredToken(registration: string): string {
  return recall(nameOf(registration), 'tab') ?? '';
}

/** Keeps it, so that the page can be loaded again; an empty one is no good any more. */
export function keepRegistered(registration: string, token: string): void {
  if (token) keep(nameOf(registration), token, 'tab');
  else forget(nameOf(registration), 'tab');
}

function nameOf(broadcast: string): string {
  return `lectern-viewer-token:${broadcast}`;
}
