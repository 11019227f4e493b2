// What an ICE restart says to the edge and takes from its answer (RFC 9725 §4.3.3), as text: a fragment
// goes out, a fragment comes back, and the answer of the session is given its new credentials.

/** The media type of both fragments (RFC 8840 §9). */
export const FRAGMENT_TYPE = 'application/trickle-ice-sdpfrag';

const line = (sdp: string, start: string): string | undefined =>
  sdp.split(/\r?\n/).find((each) => each.startsWith(start));

/** What a PATCH sends of a new local description; null where that is not one. */
export function restartFragment(offer: string): string | null {
  const starts = ['a=group:BUNDLE', 'm=', 'a=mid:', 'a=ice-ufrag:', 'a=ice-pwd:'];
  const lines = starts.map((start) => line(offer, start));
  const [, media, , ufrag, password] = lines;
  if (!media || !ufrag || !password) return null;
  return `${lines.filter(Boolean).join('\r\n')}\r\n`;
}

/** The answer with the credentials of the fragment that the edge sent; null if it has none. */
export function restartedAnswer(answer: string, fragment: string): string | null {
  const ufrag = line(fragment, 'a=ice-ufrag:');
  const password = line(fragment, 'a=ice-pwd:');
  if (!ufrag || !password) return null;
  return answer.replace(/^a=ice-ufrag:.*$/gm, ufrag).replace(/^a=ice-pwd:.*$/gm, password);
}
