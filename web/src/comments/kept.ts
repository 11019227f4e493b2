// What a browser keeps between pages, or between the pages of one tab; where it may not, it lasts as
// long as the page.

export type Keeping = 'browser' | 'tab';

/** What could not be kept, or may not be. */
const memory = new Map<string, string>();

export function recall(key: string, keeping: Keeping = 'browser'): string | null {
  try {
    return storage(keeping).getItem(key) ?? memory.get(key) ?? null;
  } catch {
    // Where storage is forbidden, reading it already throws.
    return memory.get(key) ?? null;
  }
}

export function keep(key: string, value: string, keeping: Keeping = 'browser'): void {
  memory.set(key, value);
  try {
    storage(keeping).setItem(key, value);
  } catch {
    // It lasts as long as the page, then.
  }
}

export function forget(key: string, keeping: Keeping = 'browser'): void {
  memory.delete(key);
  try {
    storage(keeping).removeItem(key);
  } catch {
    // It was never there.
  }
}

function storage(keeping: Keeping): Storage {
  return keeping === 'tab' ? sessionStorage : localStorage;
}
