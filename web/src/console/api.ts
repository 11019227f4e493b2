// The console's one client of `/api/v1`: JSON over fetch, errors as they are told (RFC 9457), ETag and
// If-Match, and signing in again where a session has ended meanwhile. Knows nothing of elements.

import type * as M from './model.ts';

/** A server that does not answer within this is away, and somebody waits in front of a form. */
const TIMEOUT_MS = 15_000;
/** A list that is wanted whole comes in pages of so many, and in so many pages at most. */
const LIST_PAGE = 200;
const LIST_PAGES_MAX = 25;

/** One thing that is wrong with what was sent. */
export interface FieldError {
  readonly field: string;
  readonly detail: string;
}

/** What the server said no with; status 0 and code `network`: it said nothing at all. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  /** When to come back, seconds; null where it was not said. */
  readonly retryAfter: number | null;

  constructor(
    status: number,
    code: string,
    detail: string,
    errors: readonly FieldError[] = [],
    retryAfter: number | null = null,
  ) {
    super(`${status} ${code}: ${detail}`);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

export interface ApiOptions {
  readonly base?: string;
  readonly fetch?: typeof fetch;
  /**
   * The session has ended: resolves once there is another, and what was asked is asked again. Rejects,
   * or is not there: the error goes to who asked.
   */
  readonly renew?: () => Promise<void>;
}

type Query = Readonly<Record<string, string | number | null | undefined>>;

interface Request {
  readonly body?: unknown;
  readonly rev?: number;
  readonly query?: Query;
  readonly signal?: AbortSignal | undefined;
  /** A 401 means that the password is wrong, and not that the session has ended. */
  readonly signingIn?: boolean;
}

export type NewBroadcast = Partial<M.About> & { readonly id?: string };
/** A JSON merge patch (RFC 7396): null clears. */
export type BroadcastPatch = Partial<M.About> & { readonly blocked?: boolean };

export class Api {
  readonly base: string;
  readonly #fetch: typeof fetch;
  readonly #renew: (() => Promise<void>) | undefined;

  constructor({ base = '/api/v1', fetch: with_ = fetch, renew }: ApiOptions = {}) {
    this.base = base;
    this.#fetch = (...args) => with_(...args);
    this.#renew = renew;
  }

  readonly info = () => this.#get<M.Info>('/info');

  readonly session = {
    /** Null where nobody is signed in. */
    current: async (): Promise<M.Session | null> => {
      try {
        return await this.#send<M.Session>('GET', '/session', { signingIn: true });
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
    setUp: (body: { token: string; login: string; name: string; password: string }) =>
      this.#send<M.Session>('POST', '/setup', { body, signingIn: true }),
    signIn: (body: { login: string; password: string }) =>
      this.#send<M.Session>('POST', '/session', { body, signingIn: true }),
    signOut: () => this.#send<void>('DELETE', '/session', { signingIn: true }),
    /** Where a link to the identity provider goes; it comes back to `to`, a route of the console. */
    oidc: (to: string) => `${this.base}/oidc/login?to=${encodeURIComponent(to)}`,
    /** Likewise, to sign in so from now on; a session that has ended is told of in the console. */
    connect: (to: string) => `${this.base}/oidc/login?link=1&to=${encodeURIComponent(to)}`,
  };

  readonly broadcasts = {
    list: (
      query: { q?: string; topic?: string; state?: string; limit?: number; after?: string } = {},
      signal?: AbortSignal,
    ) => this.#get<M.Page<M.Broadcast>>('/broadcasts', query, signal),
    create: (body: NewBroadcast) => this.#send<M.Broadcast>('POST', '/broadcasts', { body }),
    get: (id: string) => this.#get<M.Broadcast>(at('/broadcasts', id)),
    patch: (id: string, body: BroadcastPatch, rev: number) =>
      this.#send<M.Broadcast>('PATCH', at('/broadcasts', id), { body, rev }),
    remove: (id: string, rev: number) => this.#send<void>('DELETE', at('/broadcasts', id), { rev }),
    stop: (id: string, block: boolean) =>
      this.#send<void>('POST', at('/broadcasts', id, 'stop'), { body: { block } }),
    newModeratorKey: (id: string) =>
      this.#send<{ moderator_key: string }>('POST', at('/broadcasts', id, 'moderator-key')),
    live: (id: string) => this.#get<M.Live>(at('/broadcasts', id, 'live')),
    viewerToken: (id: string, body: { expires_in_secs: number; subject?: string }) =>
      this.#send<M.ViewerToken>('POST', at('/broadcasts', id, 'viewer-tokens'), { body }),
    /** The address of a file about a broadcast. */
    file: (id: string, name: string) => this.base + at('/broadcasts', id, name),
  };

  readonly keys = {
    list: (id: string) => this.#all<M.Key>(at('/broadcasts', id, 'keys')),
    create: (id: string, body: { label?: string; use?: M.KeyUse }) =>
      this.#send<M.Key & { key: string }>('POST', at('/broadcasts', id, 'keys'), { body }),
    revoke: (id: string, key: string) =>
      this.#send<void>('DELETE', at('/broadcasts', id, 'keys', key)),
    /** The same where the page goes away and nobody reads the answer. */
    revokeAtExit: (id: string, key: string): void => {
      const to = this.base + at('/broadcasts', id, 'keys', key);
      this.#fetch(to, { method: 'DELETE', keepalive: true }).catch(() => {});
    },
  };

  readonly members = {
    list: (id: string) => this.#all<M.Member>(at('/broadcasts', id, 'members')),
    set: (id: string, account: string, role: M.BroadcastRole) =>
      this.#send<void>('PUT', at('/broadcasts', id, 'members', account), { body: { role } }),
    remove: (id: string, account: string) =>
      this.#send<void>('DELETE', at('/broadcasts', id, 'members', account)),
  };

  readonly accounts = {
    list: () => this.#all<M.Account>('/accounts'),
    create: (body: { login: string; name: string; role: M.Role; password?: string }) =>
      this.#send<M.Account>('POST', '/accounts', { body }),
    patch: (id: string, body: { name?: string; role?: M.Role; disabled?: boolean }, rev: number) =>
      this.#send<M.Account>('PATCH', at('/accounts', id), { body, rev }),
    remove: (id: string, rev: number) => this.#send<void>('DELETE', at('/accounts', id), { rev }),
    setPassword: (id: string, body: { current?: string; password: string }) =>
      // A wrong current password is no session that has ended.
      this.#send<void>('PUT', at('/accounts', id, 'password'), { body, signingIn: true }),
    sessions: (id: string) => this.#all<M.SignIn>(at('/accounts', id, 'sessions')),
    endSessions: (id: string) => this.#send<void>('DELETE', at('/accounts', id, 'sessions')),
  };

  readonly tokens = {
    list: () => this.#all<M.Token>('/tokens'),
    create: (body: { name: string; scopes: readonly M.Scope[]; expires_at?: string }) =>
      this.#send<M.Token & { token: string }>('POST', '/tokens', { body }),
    revoke: (id: string) => this.#send<void>('DELETE', at('/tokens', id)),
  };

  readonly viewerKeys = {
    list: () => this.#all<M.ViewerKey>('/viewer-keys'),
    create: (body: { public_key?: string }) =>
      this.#send<M.ViewerKey>('POST', '/viewer-keys', { body }),
    retire: (kid: string) => this.#send<void>('DELETE', at('/viewer-keys', kid)),
  };

  readonly webhooks = {
    list: () => this.#all<M.Webhook>('/webhooks'),
    create: (body: { url: string; events: readonly M.WebhookEvent[]; broadcast?: string }) =>
      this.#send<M.Webhook & { secret: string }>('POST', '/webhooks', { body }),
    patch: (
      id: string,
      body: { url?: string; events?: readonly M.WebhookEvent[]; active?: boolean },
      rev: number,
    ) => this.#send<M.Webhook>('PATCH', at('/webhooks', id), { body, rev }),
    remove: (id: string, rev: number) => this.#send<void>('DELETE', at('/webhooks', id), { rev }),
    deliveries: (id: string) => this.#get<M.Page<M.Delivery>>(at('/webhooks', id, 'deliveries')),
    test: (id: string) => this.#send<void>('POST', at('/webhooks', id, 'test')),
  };

  /** The address of the stream of news; of one broadcast each second, if it is named. */
  events(live: string | null): string {
    return `${this.base}/events${live ? `?live=${encodeURIComponent(live)}` : ''}`;
  }

  #get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return this.#send<T>('GET', path, { query, signal });
  }

  /** Every page of a list that people made by hand, and that is therefore short. */
  async #all<T>(path: string): Promise<readonly T[]> {
    const items: T[] = [];
    let after: string | null = null;
    for (let page = 0; page < LIST_PAGES_MAX; page += 1) {
      const found: M.Page<T> = await this.#get(path, { limit: LIST_PAGE, after });
      items.push(...found.items);
      after = found.next;
      if (after === null) break;
    }
    return items;
  }

  async #send<T>(method: string, path: string, request: Request = {}): Promise<T> {
    try {
      return await this.#once<T>(method, path, request);
    } catch (error) {
      const ended = error instanceof ApiError && error.status === 401 && !request.signingIn;
      if (!ended || !this.#renew) throw error;
      await this.#renew();
      return this.#once<T>(method, path, request);
    }
  }

  async #once<T>(method: string, path: string, request: Request): Promise<T> {
    const { body, rev, query = {}, signal } = request;
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (rev !== undefined) headers['If-Match'] = `"${rev}"`;
    const patience = AbortSignal.timeout(TIMEOUT_MS);
    let answer: Response;
    try {
      answer = await this.#fetch(this.base + path + search(query), {
        method,
        headers,
        cache: 'no-store',
        credentials: 'same-origin',
        signal: signal ? AbortSignal.any([signal, patience]) : patience,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, 'network', '');
    }
    if (!answer.ok) throw await problem(answer);
    if (answer.status === 204 || answer.status === 202) return undefined as T;
    try {
      return (await answer.json()) as T;
    } catch {
      // Such as the page of a proxy that has another opinion of where the API is.
      throw new ApiError(answer.status, 'not-json', '');
    }
  }
}

function at(...parts: readonly string[]): string {
  const [first = '', ...rest] = parts;
  return [first, ...rest.map(encodeURIComponent)].join('/');
}

function search(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const pairs = given.filter(([, value]) => value !== '').map(([k, v]) => [k, String(v)]);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

/** Reads what the server says is wrong, with care: a proxy may have answered in its place. */
export async function problem(answer: Response): Promise<ApiError> {
  const said = await answer.json().catch(() => null);
  const { code, detail, title, errors } = (typeof said === 'object' && said ? said : {}) as Record<
    string,
    unknown
  >;
  const wait = answer.headers.get('Retry-After') ?? '';
  return new ApiError(
    answer.status,
    typeof code === 'string' ? code : codeOf(answer.status),
    typeof detail === 'string' ? detail : typeof title === 'string' ? title : '',
    Array.isArray(errors) ? errors.flatMap(fieldError) : [],
    /^\d{1,6}$/.test(wait) ? Number(wait) : null,
  );
}

function fieldError(given: unknown): FieldError[] {
  const { field, detail } = (given ?? {}) as Record<string, unknown>;
  return typeof field === 'string' && typeof detail === 'string' ? [{ field, detail }] : [];
}

const CODES: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  412: 'precondition-failed',
  422: 'invalid',
  428: 'precondition-required',
  429: 'too-many-requests',
  503: 'unavailable',
};

function codeOf(status: number): string {
  return CODES[status] ?? (status >= 500 ? 'unavailable' : 'invalid');
}
