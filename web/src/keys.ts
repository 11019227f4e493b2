// What the keys of the player mean, wherever in it the focus is. Pure.

/** What has the focus: keys that it uses itself are its own. */
export type Focus = 'range' | 'control' | 'other';

export type Command =
  | 'toggle'
  | 'mute'
  | 'fullscreen'
  | 'stats'
  | 'live'
  | 'captions'
  | 'back'
  | 'forward'
  | 'louder'
  | 'quieter';

const COMMANDS: Readonly<Record<string, Command>> = {
  ' ': 'toggle',
  k: 'toggle',
  m: 'mute',
  f: 'fullscreen',
  s: 'stats',
  l: 'live',
  c: 'captions',
  arrowleft: 'back',
  arrowright: 'forward',
  arrowup: 'louder',
  arrowdown: 'quieter',
};

type Key = Pick<KeyboardEvent, 'key' | 'altKey' | 'ctrlKey' | 'metaKey'>;

/** What is to be done; null for nothing. */
export function commandOf({ key, altKey, ctrlKey, metaKey }: Key, focus: Focus): Command | null {
  if (altKey || ctrlKey || metaKey) return null;
  if (key === ' ' && focus !== 'other') return null;
  if (key.startsWith('Arrow') && focus === 'range') return null;
  return COMMANDS[key.toLowerCase()] ?? null;
}

/** What of the player has the focus, by the innermost element that it is on. */
export function focusOf(inner: EventTarget | undefined): Focus {
  if (inner instanceof HTMLInputElement) return 'range';
  if (!(inner instanceof HTMLElement)) return 'other';
  const acts = /^(button|a|summary)$/.test(inner.localName);
  return acts || inner.getAttribute('role') === 'button' ? 'control' : 'other';
}
