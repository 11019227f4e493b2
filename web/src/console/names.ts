// Names that are made of what people write: the id of a broadcast of its title, the name of a field of its
// label; and how good a password is. Pure.

/** As long as an id may be (relay-proto/src/broadcast.rs). */
const ID_MAX = 64;
/** Longer ones of a title are no help to anybody who has to type them. */
const ID_OF_TITLE_MAX = 48;
const FIELD_MAX = 32;

/** What letters become that are no others with a mark on them. */
const LETTERS: Readonly<Record<string, string>> = {
  ä: 'ae',
  ö: 'oe',
  ü: 'ue',
  ß: 'ss',
  æ: 'ae',
  ø: 'o',
  å: 'a',
  œ: 'oe',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ı: 'i',
};

/** The id that a title suggests; empty where nothing of it could stand in an address. */
export function idOfTitle(title: string): string {
  return kebab(title, ID_OF_TITLE_MAX);
}

/** The name that a label suggests for a field of a form. */
export function nameOfLabel(label: string): string {
  return kebab(label, FIELD_MAX);
}

export function isId(id: string): boolean {
  return id.length <= ID_MAX && /^[A-Za-z0-9_-]+$/.test(id);
}

/** A name that none of the others has. */
export function uniqueName(name: string, others: readonly string[]): string {
  if (!others.includes(name)) return name;
  for (let n = 2; ; n += 1) {
    const suffix = `-${n}`;
    const next = name.slice(0, FIELD_MAX - suffix.length) + suffix;
    if (!others.includes(next)) return next;
  }
}

function kebab(text: string, max: number): string {
  const plain = text
    .toLowerCase()
    .replace(/[^\0-\x7f]/g, (letter) => LETTERS[letter] ?? letter)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '');
  const joined = plain.replace(/['’]/g, '').replace(/[^a-z0-9]+/g, '-');
  const trimmed = joined.replace(/^-+|-+$/g, '');
  if (trimmed.length <= max) return trimmed;
  // Not in the middle of a word, where there is an end of one.
  const cut = trimmed.slice(0, max + 1);
  const end = cut.lastIndexOf('-');
  return end > max / 2 ? cut.slice(0, end) : trimmed.slice(0, max);
}

/** The server takes none that is shorter. */
export const PASSWORD_MIN = 10;

export type Strength = 'short' | 'weak' | 'fair' | 'strong';

/** How good a password is, as far as its length and variety can say: a hint, and no rule. */
export function strengthOf(password: string, names: readonly string[] = []): Strength {
  const length = [...password].length;
  if (length < PASSWORD_MIN) return 'short';
  const lower = password.toLowerCase();
  if (names.some((name) => name.length > 2 && lower.includes(name.toLowerCase()))) return 'weak';
  const distinct = new Set(lower).size;
  const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{N}/u, /[^\p{L}\p{N}]/u].filter((kind) =>
    kind.test(password),
  ).length;
  if (distinct < 6 || isRun(lower)) return 'weak';
  if (length >= 16 || (length >= 12 && kinds >= 3)) return 'strong';
  return 'fair';
}

/** Mostly neighbours on a keyboard or in an alphabet. */
function isRun(text: string): boolean {
  const rows = ['abcdefghijklmnopqrstuvwxyz', '01234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm'];
  let near = 0;
  for (let i = 1; i < text.length; i += 1) {
    if (rows.some((row) => row.includes(text.slice(i - 1, i + 1)))) near += 1;
  }
  return near >= (text.length - 1) * 0.7;
}
