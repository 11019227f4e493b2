// Where in the console one is, as the fragment of the address has it. Pure: who moves there, and what is
// shown, is `console-app`'s.

export const BROADCAST_TABS = [
  'live',
  'go-live',
  'details',
  'sharing',
  'keys',
  'people',
  'files',
] as const;
export type BroadcastTab = (typeof BROADCAST_TABS)[number];

export const SETTINGS_TABS = ['account', 'tokens', 'accounts', 'viewer-keys', 'webhooks'] as const;
export type SettingsTab = (typeof SETTINGS_TABS)[number];
/** Those that are an admin's alone. */
export const ADMIN_TABS: readonly SettingsTab[] = ['accounts', 'viewer-keys', 'webhooks'];

export type Route =
  | { readonly page: 'list' }
  | { readonly page: 'new' }
  | { readonly page: 'broadcast'; readonly id: string; readonly tab: BroadcastTab | null }
  | { readonly page: 'settings'; readonly tab: SettingsTab }
  | { readonly page: 'setup'; readonly token: string }
  /** Back from the identity provider: why nobody was signed in; empty for what is no code. */
  | { readonly page: 'refused'; readonly code: string }
  | { readonly page: 'unknown' };

/** What a fragment means; whatever stands in it, there is an answer. */
export function routeOf(hash: string): Route {
  const text = hash.replace(/^#/, '');
  if (text === '' || text === '/' || text === '/broadcasts') return { page: 'list' };
  const setup = /^setup=(.+)$/.exec(text);
  if (setup?.[1]) return { page: 'setup', token: decoded(setup[1]) };
  const error = /^error=(.*)$/.exec(text);
  if (error) return { page: 'refused', code: codeOf(error[1] ?? '') };
  const [, first, second, third, ...rest] = text.split('?')[0]?.split('/').map(decoded) ?? [];
  if (rest.length > 0) return { page: 'unknown' };
  if (first === 'new' && second === undefined) return { page: 'new' };
  if (first === 'broadcasts' && second) {
    if (third === undefined || third === '') return { page: 'broadcast', id: second, tab: null };
    const tab = BROADCAST_TABS.find((each) => each === third);
    return tab ? { page: 'broadcast', id: second, tab } : { page: 'unknown' };
  }
  if (first === 'settings' && third === undefined) {
    const tab = SETTINGS_TABS.find((each) => each === (second || 'account'));
    return tab ? { page: 'settings', tab } : { page: 'unknown' };
  }
  return { page: 'unknown' };
}

/** The fragment of a route, with its `#`. */
export function hashOf(route: Route): string {
  return `#${pathOf(route)}`;
}

/** The same as a path, which the server keeps while somebody signs in elsewhere. */
export function pathOf(route: Route): string {
  switch (route.page) {
    case 'new':
      return '/new';
    case 'broadcast': {
      const id = encodeURIComponent(route.id);
      return route.tab ? `/broadcasts/${id}/${route.tab}` : `/broadcasts/${id}`;
    }
    case 'settings':
      return `/settings/${route.tab}`;
    default:
      return '/';
  }
}

export function sameRoute(one: Route, other: Route): boolean {
  return one.page === other.page && pathOf(one) === pathOf(other);
}

/** A code alone: whoever makes a link may write anything into it, and none of it is shown. */
function codeOf(text: string): string {
  return /^[a-z][a-z_-]{0,39}$/.test(text) ? text.replaceAll('_', '-') : '';
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
