// Two people change one thing at once: what of it each may keep, field by field. Pure.

type Fields = Readonly<Record<string, unknown>>;

export type Side = 'mine' | 'theirs';

export interface Clash<K> {
  readonly field: K;
  readonly base: unknown;
  readonly mine: unknown;
  readonly theirs: unknown;
}

export interface Merge<T> {
  /** Everything that is clear; of what clashes, theirs. */
  readonly merged: T;
  /** What the others changed and one did not touch. */
  readonly taken: readonly (keyof T)[];
  /** What both changed, and not to the same. */
  readonly clashes: readonly Clash<keyof T>[];
}

/** Puts together what became of `base` in two places. */
export function merge<T extends object>(base: T, mine: T, theirs: T): Merge<T> {
  const merged = { ...theirs };
  const taken: (keyof T)[] = [];
  const clashes: Clash<keyof T>[] = [];
  for (const field of Object.keys(base) as (keyof T)[]) {
    const [was, here, there] = [base[field], mine[field], theirs[field]];
    const [changedHere, changedThere] = [!same(was, here), !same(was, there)];
    if (changedHere && changedThere && !same(here, there)) {
      clashes.push({ field, base: was, mine: here, theirs: there });
    } else if (changedHere) merged[field] = here;
    else if (changedThere) taken.push(field);
  }
  return { merged, taken, clashes };
}

/** What is to be saved once it was said whose each clash is. */
export function settle<T extends object>(
  { merged, clashes }: Merge<T>,
  choices: ReadonlyMap<keyof T, Side>,
): T {
  const settled = { ...merged };
  for (const { field, mine } of clashes) {
    if (choices.get(field) === 'mine') settled[field] = mine as T[keyof T];
  }
  return settled;
}

/** The merge patch (RFC 7396) that makes `to` of `from`: only what differs, null for what is gone. */
export function patchOf<T extends object>(from: T, to: T): Partial<T> {
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(to as Fields)) {
    if (!same((from as Fields)[key], value)) patch[key] = value ?? null;
  }
  return patch as Partial<T>;
}

/** By value, for what JSON can hold. */
export function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [a, b] = [one as Fields, other as Fields];
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]))
  );
}
