// The URLs of one broadcast on one edge, derived from the player's `src`. Owns the layout of the
// edge's HTTP names as the player sees it; who fetches them, and when, is for the engines.

/** Where the pieces of one broadcast are, all absolute. */
export interface Endpoints {
  /** The edge: everything is below this. */
  readonly base: string;
  /** The playback id. */
  readonly id: string;
  /** WHEP (RFC 9725): POST an offer here. */
  readonly whep: string;
  /** The LL-DASH manifest. */
  readonly manifest: string;
  /** The multivariant playlist of LL-HLS. */
  readonly playlist: string;
  /** POST here with a viewer token for the cookie that carries it. */
  readonly access: string;
  /** What viewers are asked before they watch, and where their answers go. */
  readonly registration: string;
  /** What the edge says of the broadcast. */
  readonly status: string;
  /** POST here what the viewer experiences. */
  readonly experience: string;
  /** The WebSocket of the broadcast's comments (docs/comments.md). */
  readonly comments: string;
  /** The server's clock, ISO 8601. */
  readonly time: string;
}

/**
 * Endpoints for `src`, which is `/live/<id>` on any edge, absolute or relative to `page`, below any
 * path prefix. Throws a `TypeError` that says so when it is not.
 */
export function endpoints(src: string, page: string): Endpoints {
  const url = new URL(src, page);
  const match = /^(.*)\/live\/([A-Za-z0-9_-]{1,64})\/?$/.exec(url.pathname);
  const [prefix, id] = [match?.[1], match?.[2]];
  if (prefix === undefined || id === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`src must look like /live/<id>, not ${JSON.stringify(src)}`);
  }
  const base = `${url.origin}${prefix}`;
  return {
    base,
    id,
    whep: `${base}/whep/${id}`,
    manifest: `${base}/live/${id}/manifest.mpd`,
    playlist: `${base}/live/${id}/index.m3u8`,
    access: `${base}/live/${id}/access`,
    registration: `${base}/live/${id}/registration`,
    status: `${base}/live/${id}`,
    experience: `${base}/live/${id}/experience`,
    comments: `${base.replace(/^http/, 'ws')}/live/${id}/comments`,
    time: `${base}/time`,
  };
}
