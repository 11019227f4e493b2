// What a player brings that it may watch: a viewer token, and the name by which the edge knows who
// watches already (docs/access.md). Pure, except for `takeCookie`, which asks the edge.

import type { Endpoints } from './endpoints.ts';

/** Headers of a request to an edge. */
export type Headers = Readonly<Record<string, string>>;

/** The protocol of the comments' WebSocket, and the one that carries a token there. */
const PROTOCOL = 'lectern.comments';
const TOKEN_PROTOCOL = 'lectern.token.';
/** What a JWT is made of; anything else would be no header. */
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** What each request for a broadcast has; nothing where there is no token, and perhaps a cookie. */
export function tokenHeaders(token: string): Headers {
  return TOKEN.test(token) ? { Authorization: `Bearer ${token}` } : {};
}

/** What is offered for the comments' connection, where a page may set no header. */
export function protocols(token: string): string[] {
  return TOKEN.test(token) ? [PROTOCOL, `${TOKEN_PROTOCOL}${token}`] : [];
}

/** Whether the edge at `base` would be asked first whether it may be told a header, by a page at `page`. */
export function isElsewhere(base: string, page: string): boolean {
  return new URL(base, page).origin !== new URL(page).origin;
}

/** Has the browser keep the token as a cookie, for players that send no header. False: it is no good. */
export async function takeCookie({ access }: Endpoints, token: string): Promise<boolean> {
  try {
    const headers = tokenHeaders(token);
    const answer = await fetch(access, { method: 'POST', headers, credentials: 'include' });
    return answer.ok;
  } catch {
    // The edge is away, or older than tokens.
    return false;
  }
}
