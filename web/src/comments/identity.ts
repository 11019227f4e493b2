// Who writes: a secret that tells one browser's comments apart from all others', kept for each edge by
// itself so that no edge can act for a viewer at another, unless a page takes it along to one that was
// named as serving the same broadcast; and the name that the viewer last wrote under.

import { keep, recall } from './kept.ts';

const SECRET = 'lectern-comments-secret';
const NAME = 'lectern-comments-name';
/** 24 bytes are 32 characters of base64url (RFC 4648 §5), without padding. */
const SECRET_BYTES = 24;

/** The secret for the edge of this origin. */
export function secretFor(origin: string): string {
  const key = `${SECRET}:${origin}`;
  const kept = recall(key);
  if (kept && /^[\w-]{16,64}$/.test(kept)) return kept;
  const secret = randomText();
  keep(key, secret);
  return secret;
}

/** The name that was last written under; empty for none. */
export function rememberedName(): string {
  return recall(NAME) ?? '';
}

export function rememberName(name: string): void {
  keep(NAME, name);
}

/** A name for an attempt to write: of `a-z A-Z 0-9 -`, and nobody else's. */
export function attemptName(): string {
  // Not `randomUUID`, which a page over plain HTTP does not have.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
