// How a writer looks where there is no picture of them: a colour that goes with who they are, the first
// letter of what they call themselves, and the moment at which they wrote.

/** So many colours: more, and neighbours look alike. */
export const HUES = 12;

/** The colour of a writer, from what tells writers apart; names are free to be taken by anybody. */
export function hueOf(author: string): number {
  // FNV-1a, whose low bits alone would tell too little apart.
  let hash = 0x811c9dc5;
  for (const char of author) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}

/** The first of a name that a reader would call one character. */
export function initialOf(name: string): string {
  const trimmed = name.trim();
  const [first] = Intl.Segmenter ? new Intl.Segmenter().segment(trimmed) : [];
  const initial = first?.segment ?? [...trimmed][0] ?? '';
  const upper = initial.toLocaleUpperCase();
  // One letter becomes two in some scripts, as ß does.
  return [...upper].length > [...initial].length ? initial : upper;
}

/** Media time as players show it: 1:01, 1:01:01. */
export function momentText(mediaMs: number): string {
  const seconds = Math.floor(mediaMs / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
