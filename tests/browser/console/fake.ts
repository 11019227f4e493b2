// An API server in memory that speaks the contract of `/api/v1`, and serves the built pages beside it: for
// looking at the console, and for its tests, without an origin. It checks what the real one checks of requests
// (revisions, fields, sessions), and knows nothing of media.

import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { BLANK } from '../../../web/src/console/draft.ts';
import type * as M from '../../../web/src/console/model.ts';
import { ROOT } from '../harness.ts';
import {
  ago,
  check,
  checkAbout,
  now,
  paged,
  Refusal,
  read,
  reply,
  revised,
  secret,
} from './answers.ts';
import type { Document } from './document.ts';
import { broadcast, liveOf, NOTHING, pointAt } from './fixtures.ts';

const DIST = join(ROOT, 'web/dist');
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** What pages may do, as edge/src/pages.rs has it, and the logos that the console may show. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; style-src-elem 'self' 'unsafe-inline'; " +
  "img-src 'self' data: https:; media-src 'self' blob:; connect-src 'self' ws:; worker-src 'self' blob:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

interface Asked {
  readonly method: string;
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly body: Record<string, unknown>;
  readonly match: string | null;
  readonly cookie: string | null;
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly rev?: number;
  readonly cookie?: string;
}

interface Stream {
  readonly response: ServerResponse;
  readonly live: string | null;
}

export interface FakeOptions {
  /** There is no account yet. */
  readonly fresh?: boolean;
  readonly oidc?: string;
  /** What the real one says that it answers. */
  readonly document?: Document;
}

export const PASSWORD = 'correct horse battery';
export const SETUP_TOKEN = 'first-time';

export class Fake {
  readonly broadcasts = new Map<string, M.Broadcast>();
  readonly keys = new Map<string, (M.Key & { key: string })[]>();
  readonly members = new Map<string, M.Member[]>();
  readonly accounts = new Map<string, M.Account>();
  readonly lives = new Map<string, M.Live>();
  readonly webhooks = new Map<string, M.Webhook>();
  tokens: M.Token[] = [];
  viewerKeys: M.ViewerKey[] = [];
  info: M.Info;
  /** Every request, as `METHOD path`. */
  readonly asked: string[] = [];
  /** What was said that the real one would not say. */
  readonly strange: string[] = [];
  readonly #document: Document | undefined;
  readonly #passwords = new Map<string, string>();
  readonly #sessions = new Map<string, string>();
  readonly #streams = new Set<Stream>();
  #server: Server | null = null;
  #ids = 0;

  constructor({ fresh = false, oidc, document }: FakeOptions = {}) {
    this.#document = document;
    this.info = {
      name: 'Lectern',
      version: '0.1.0',
      setup_needed: fresh,
      oidc: oidc ? { name: oidc } : null,
      rtmp_port: 1935,
      whip: '/whip',
      watch: '/watch/',
      features: ['webhooks', 'registration'],
    };
    if (!fresh) this.#account('ada', 'Ada Lovelace', 'admin', PASSWORD);
  }

  get url(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    if (!address) throw new Error('the fake has not been started');
    return `http://127.0.0.1:${address.port}`;
  }

  async start(port = 0): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    for (const { response } of this.#streams) response.destroy();
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
  }

  /** As if the origin went away: nothing is answered until it is back. */
  away = false;

  dropStreams(): void {
    for (const { response } of this.#streams) response.destroy();
  }

  /** Puts a broadcast there, and tells everybody. */
  put(given: Partial<M.Broadcast> & { id: string }): M.Broadcast {
    const known = this.broadcasts.get(given.id) ?? broadcast(given.id);
    const next = { ...known, ...given };
    this.broadcasts.set(given.id, next);
    this.#tell('broadcast', shown(next));
    return next;
  }

  /** Another host changes something. */
  edit(id: string, change: Partial<M.Broadcast>): M.Broadcast {
    const known = this.#broadcast(id);
    return this.put({ ...known, ...change, rev: known.rev + 1 });
  }

  /** An encoder is there. */
  goLive(id: string, live: M.Live = liveOf(Date.now())): void {
    this.lives.set(id, live);
    this.put({ id, state: 'live', live_since: live.since, viewers: live.viewers.total });
    this.tellLive(id);
  }

  tellLive(id: string): void {
    const live = this.lives.get(id);
    if (!live) return;
    const { report } = live;
    const news = { ...live, report: report && { ...report, history: [pointAt(Date.now(), 0)] } };
    this.#note(this.#document?.news('live', news));
    for (const stream of this.#streams) if (stream.live === id) send(stream, 'live', news);
  }

  endSessions(): void {
    this.#sessions.clear();
    this.dropStreams();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const method = request.method ?? 'GET';
    if (this.away) return void request.destroy();
    try {
      if (!url.pathname.startsWith('/api/v1')) return await this.#page(url.pathname, response);
      const path = url.pathname.split('/').slice(3).map(decodeURIComponent);
      this.asked.push(`${method} /${path.join('/')}`);
      const cookie = /(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1] ?? null;
      if (path[0] === 'events') return this.#events(cookie, url.searchParams, request, response);
      const text = await read(request);
      if (text && request.headers['content-type'] !== 'application/json') {
        throw new Refusal(415, 'invalid', 'The body must be JSON.');
      }
      const asked = {
        method,
        path,
        query: url.searchParams,
        body: text ? JSON.parse(text) : {},
        match: /^"(.*)"$/.exec(request.headers['if-match'] ?? '')?.[1] ?? null,
        cookie,
      };
      const answer = this.#answer(asked);
      this.#note(
        this.#document?.answer(asked.method, `/${path.join('/')}`, answer.status, answer.body),
      );
      if (answer.rev !== undefined) response.setHeader('ETag', `"${answer.rev}"`);
      if (answer.cookie !== undefined) {
        response.setHeader(
          'Set-Cookie',
          `session=${answer.cookie}; HttpOnly; SameSite=Lax; Path=/`,
        );
      }
      if (typeof answer.body === 'string') {
        response.writeHead(answer.status, { 'Content-Type': 'text/csv' }).end(answer.body);
      } else reply(response, answer.status, answer.body);
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      const { status, code, message, errors } =
        error instanceof Refusal ? error : new Refusal(500, 'unavailable', String(error));
      const problem = { type: 'about:blank', title: code, status, detail: message, code, errors };
      const body = { ...problem, request_id: '0123456789abcdef' };
      this.#note(this.#document?.answer(method, url.pathname.slice(7), status, body));
      if (status === 429) response.setHeader('Retry-After', '7');
      reply(response, status, body, 'application/problem+json');
    }
  }

  async #page(pathname: string, response: ServerResponse): Promise<void> {
    const name = /^\/(console)?$/.test(pathname)
      ? 'console.html'
      : pathname.startsWith('/watch/')
        ? 'watch.html'
        : normalize(pathname).replace(/^\/+/, '');
    if (pathname.startsWith('/live/')) {
      return reply(response, 200, { id: pathname.slice(6), state: 'away', title: null });
    }
    const file = await readFile(join(DIST, name)).catch(() => null);
    if (!file || name.includes('..')) return void response.writeHead(404).end();
    const type = TYPES[extname(name)] ?? 'application/octet-stream';
    response.writeHead(200, { 'Content-Type': type, 'Content-Security-Policy': POLICY }).end(file);
  }

  #events(
    cookie: string | null,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    this.#signedIn(cookie);
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('retry: 500\n\n');
    const stream = { response, live: query.get('live') };
    this.#streams.add(stream);
    request.on('close', () => this.#streams.delete(stream));
  }

  #answer(asked: Asked): Answer {
    const { method, path, body, cookie } = asked;
    const [first = '', id = '', third = '', fourth = ''] = path;
    const route = `${method} ${first}`;
    if (route === 'GET info') return { status: 200, body: this.info };
    if (route === 'POST setup') return this.#setUp(body);
    if (route === 'POST session') return this.#signIn(body);
    const account = this.#signedIn(cookie);
    switch (first) {
      case 'session':
        if (method === 'GET') return { status: 200, body: session(account) };
        this.#sessions.delete(cookie ?? '');
        return { status: 204 };
      case 'broadcasts':
        return id ? this.#one(asked, id, third, fourth) : this.#list(asked);
      case 'accounts':
        return this.#accounts(asked, account);
      case 'tokens':
        return this.#tokens(asked);
      case 'viewer-keys':
        return this.#viewerKeys(asked);
      case 'webhooks':
        return this.#webhooks(asked);
    }
    throw new Refusal(404, 'not-found');
  }

  #setUp({ token, login, name, password }: Record<string, unknown>): Answer {
    if (!this.info.setup_needed) throw new Refusal(409, 'conflict', 'The set-up is done already.');
    if (token !== SETUP_TOKEN)
      throw new Refusal(403, 'forbidden', 'The link is not the right one.');
    check({ login, name, password }, ['login', 'name', 'password']);
    const account = this.#account(String(login), String(name), 'admin', String(password));
    this.info = { ...this.info, setup_needed: false };
    return { status: 201, body: session(account), cookie: this.#session(account) };
  }

  #signIn({ login, password }: Record<string, unknown>): Answer {
    const account = [...this.accounts.values()].find((each) => each.login === login);
    if (password === 'again and again') throw new Refusal(429, 'too-many-requests');
    if (!account || account.disabled || this.#passwords.get(account.id) !== password) {
      throw new Refusal(401, 'unauthorized', 'Login or password is wrong.');
    }
    return { status: 200, body: session(account), cookie: this.#session(account) };
  }

  #list({ method, query, body }: Asked): Answer {
    if (method === 'POST') return this.#create(body as Partial<M.Broadcast>);
    const [q, topic, state] = ['q', 'topic', 'state'].map((name) => query.get(name) ?? '');
    const limit = Number(query.get('limit') ?? 50);
    const found = [...this.broadcasts.values()].filter(
      (each) =>
        `${each.id} ${each.title ?? ''}`.toLowerCase().includes((q ?? '').toLowerCase()) &&
        (!topic || each.topics.includes(topic)) &&
        (!state || each.state === state),
    );
    return { status: 200, body: paged(found.map(shown), limit, query.get('after')) };
  }

  #create(body: Partial<M.Broadcast>): Answer {
    const id = body.id ?? `broadcast-${this.#id()}`;
    if (this.broadcasts.has(id)) {
      throw new Refusal(409, 'conflict', `There is a broadcast ${id} already.`);
    }
    checkAbout(body);
    const made = this.put({ ...BLANK, ...body, id, moderator_key: secret('mod_') });
    return { status: 201, body: made, rev: made.rev };
  }

  #one(asked: Asked, id: string, what: string, which: string): Answer {
    const { method, body, match } = asked;
    const known = this.#broadcast(id);
    switch (`${method} ${what}`) {
      case 'GET ':
        return { status: 200, body: known, rev: known.rev };
      case 'PATCH ': {
        if (known.source === 'config') throw new Refusal(409, 'conflict', 'It is from the file.');
        revised(match, known.rev);
        checkAbout(body as Partial<M.Broadcast>);
        const changed = this.put({ ...known, ...body, id, rev: known.rev + 1 });
        return { status: 200, body: changed, rev: changed.rev };
      }
      case 'DELETE ':
        revised(match, known.rev);
        this.broadcasts.delete(id);
        this.#tell('deleted', { id });
        return { status: 204 };
      case 'POST stop':
        if (body.block === true && known.source === 'config') {
          throw new Refusal(409, 'conflict', 'It is from the file.');
        }
        this.lives.delete(id);
        this.put({
          id,
          state: 'ended',
          live_since: null,
          viewers: 0,
          blocked: body.block === true,
        });
        return { status: 204 };
      case 'POST moderator-key': {
        const { moderator_key } = this.put({ id, moderator_key: secret('mod_') });
        return { status: 200, body: { moderator_key } };
      }
      case 'GET live':
        return { status: 200, body: this.lives.get(id) ?? idle(known) };
      case 'POST viewer-tokens': {
        if (known.source === 'config') {
          throw new Refusal(409, 'conflict', 'It is in the configuration file: make tokens there.');
        }
        const token = secret('ey');
        const expires_at = new Date(
          Date.now() + Number(body.expires_in_secs) * 1_000,
        ).toISOString();
        const url = `/watch/${id}#token=${token}`;
        return { status: 201, body: { token, url, expires_at } };
      }
      case 'GET comments.csv':
      case 'GET attendance.csv':
      case 'GET registrations.csv':
        return { status: 200, body: 'id,text\r\n' };
      case 'GET comments.json':
        return { status: 200, body: [] };
    }
    if (what === 'keys') return this.#keys(asked, id, which);
    if (what === 'members') return this.#members(asked, id, which);
    throw new Refusal(404, 'not-found');
  }

  #keys({ method, body, query }: Asked, id: string, which: string): Answer {
    const keys = this.keys.get(id) ?? [];
    this.keys.set(id, keys);
    if (method === 'GET') {
      const listed = keys.map(({ key: _, ...rest }) => rest);
      return {
        status: 200,
        body: paged(listed, Number(query.get('limit') ?? 50), query.get('after')),
      };
    }
    if (method === 'POST') {
      const key = secret('');
      const made = {
        ...{ id: this.#id(), label: String(body.label ?? 'Key'), hint: `…${key.slice(-4)}`, key },
        ...{ use: (body.use ?? 'primary') as M.KeyUse, created_at: now(), used_at: null },
        revoked_at: null,
      };
      keys.push(made);
      return { status: 201, body: made };
    }
    const at = keys.findIndex((each) => each.id === which);
    const found = keys[at];
    if (!found) throw new Refusal(404, 'not-found');
    keys[at] = { ...found, revoked_at: now() };
    return { status: 204 };
  }

  #members({ method, body }: Asked, id: string, which: string): Answer {
    const members = this.members.get(id) ?? [];
    const others = members.filter(({ account }) => account.id !== which);
    if (method === 'GET') return { status: 200, body: { items: members, next: null } };
    const account = [...this.accounts.values()].find(
      (each) => each.id === which || each.login === which,
    );
    if (!account) throw new Refusal(404, 'not-found');
    const { login, name } = account;
    const role = body.role as M.BroadcastRole;
    const added = method === 'PUT' ? [{ account: { id: account.id, login, name }, role }] : [];
    this.members.set(id, [...others, ...added]);
    return { status: 204 };
  }

  #accounts({ method, path, body, match, query }: Asked, own: M.Account): Answer {
    const [, id = '', what = ''] = path;
    if (!id && method === 'GET') {
      const all = [...this.accounts.values()];
      return {
        status: 200,
        body: paged(all, Number(query.get('limit') ?? 50), query.get('after')),
      };
    }
    if (!id) {
      check(body, ['login', 'name']);
      if ([...this.accounts.values()].some(({ login }) => login === body.login)) {
        throw new Refusal(409, 'conflict', `There is an account ${body.login} already.`, [
          { field: 'login', detail: 'It is taken already.' },
        ]);
      }
      const { login, name, role, password } = body as Record<string, string>;
      const made = this.#account(login ?? '', name ?? '', (role ?? 'host') as M.Role, password);
      return { status: 201, body: made };
    }
    const known = this.accounts.get(id);
    if (!known) throw new Refusal(404, 'not-found');
    if (what === 'password') {
      if (id === own.id && this.#passwords.get(id) !== body.current) {
        throw new Refusal(403, 'forbidden', 'The current password is wrong.');
      }
      this.#passwords.set(id, String(body.password));
      return { status: 204 };
    }
    if (what === 'sessions') {
      if (method === 'DELETE') return { status: 204 };
      const agent =
        'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36';
      const item = { created_at: ago(3), seen_at: now(), agent };
      const phone =
        'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1';
      const items = [
        { ...item, id: 's1', current: true },
        { ...item, id: 's2', current: false, agent: phone, seen_at: ago(2) },
      ];
      return { status: 200, body: { items, next: null } };
    }
    revised(match, known.rev);
    if (method === 'DELETE') {
      this.accounts.delete(id);
      return { status: 204 };
    }
    const changed = { ...known, ...body, rev: known.rev + 1 };
    this.accounts.set(id, changed);
    return { status: 200, body: changed, rev: changed.rev };
  }

  #tokens({ method, path, body }: Asked): Answer {
    if (method === 'GET') return { status: 200, body: { items: this.tokens, next: null } };
    if (method === 'DELETE') {
      this.tokens = this.tokens.filter(({ id }) => id !== path[1]);
      return { status: 204 };
    }
    check(body, ['name']);
    const token = secret('lec_');
    const made = {
      ...{ id: this.#id(), name: String(body.name), scopes: body.scopes as M.Scope[] },
      ...{ expires_at: (body.expires_at as string) ?? null, created_at: now(), used_at: null },
      hint: `…${token.slice(-4)}`,
    };
    this.tokens.push(made);
    return { status: 201, body: { ...made, token } };
  }

  #viewerKeys({ method, path, body }: Asked): Answer {
    if (method === 'GET') return { status: 200, body: { items: this.viewerKeys, next: null } };
    if (method === 'DELETE') {
      this.viewerKeys = this.viewerKeys.map((key) =>
        key.kid === path[1] ? { ...key, retired_at: now() } : key,
      );
      return { status: 204 };
    }
    const source = body.public_key ? ('imported' as const) : ('own' as const);
    const made = { kid: secret('k'), created_at: now(), retired_at: null, source };
    this.viewerKeys.push(made);
    return { status: 201, body: made };
  }

  #webhooks({ method, path, body, match }: Asked): Answer {
    const [, id = '', what = ''] = path;
    if (!id && method === 'GET') {
      return { status: 200, body: { items: [...this.webhooks.values()], next: null } };
    }
    if (!id) {
      check(body, ['url']);
      const made: M.Webhook = {
        ...{ id: this.#id(), url: String(body.url), events: body.events as M.WebhookEvent[] },
        ...{ broadcast: (body.broadcast as string) ?? null, active: true, created_at: now() },
        ...{ rev: 1, last: null },
      };
      this.webhooks.set(made.id, made);
      return { status: 201, body: { ...made, secret: secret('whsec_') } };
    }
    const known = this.webhooks.get(id);
    if (!known) throw new Refusal(404, 'not-found');
    if (what === 'test') {
      const last = { at: now(), status: 204, error: null, attempts: 1 };
      this.webhooks.set(id, { ...known, last });
      return { status: 202 };
    }
    if (what === 'deliveries') {
      const item = { event: 'broadcast.live' as const, broadcast: 'algebra-1', attempts: 1 };
      const items = [
        { ...item, id: 'd2', at: now(), status: 204, error: null, next_at: null },
        { ...item, id: 'd1', at: ago(1), status: null, error: 'timed out', next_at: ago(-1) },
      ];
      return { status: 200, body: { items: known.last ? items : [], next: null } };
    }
    revised(match, known.rev);
    if (method === 'DELETE') {
      this.webhooks.delete(id);
      return { status: 204 };
    }
    const changed = { ...known, ...body, rev: known.rev + 1 };
    this.webhooks.set(id, changed);
    return { status: 200, body: changed, rev: changed.rev };
  }

  #account(login: string, name: string, role: M.Role, password?: string): M.Account {
    const id = this.#id();
    const made = {
      ...{ id, login, name, role, disabled: false, has_password: password !== undefined },
      ...{ oidc: false, created_at: now(), signed_in_at: null, rev: 1 },
    };
    this.accounts.set(id, made);
    if (password !== undefined) this.#passwords.set(id, password);
    return made;
  }

  #session({ id }: M.Account): string {
    const cookie = secret('s');
    this.#sessions.set(cookie, id);
    return cookie;
  }

  #signedIn(cookie: string | null): M.Account {
    const account = this.accounts.get(this.#sessions.get(cookie ?? '') ?? '');
    if (!account) throw new Refusal(401, 'unauthorized', 'Sign in first.');
    return account;
  }

  #broadcast(id: string): M.Broadcast {
    const known = this.broadcasts.get(id);
    if (!known) throw new Refusal(404, 'not-found', `There is no broadcast ${id}.`);
    return known;
  }

  #note(strange: readonly string[] = []): void {
    this.strange.push(...strange);
  }

  #tell(event: string, data: unknown): void {
    this.#note(this.#document?.news(event, data));
    for (const stream of this.#streams) send(stream, event, data);
  }

  #id(): string {
    this.#ids += 1;
    return `id${this.#ids}`;
  }
}

function send({ response }: Stream, event: string, data: unknown): void {
  response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** As lists and news have it: without the key of moderators. */
function shown(broadcast: M.Broadcast): M.Broadcast {
  return { ...broadcast, moderator_key: null };
}

function session(account: M.Account): M.Session {
  return { account, expires_at: ago(-24) };
}

function idle({ state }: M.Broadcast): M.Live {
  const viewers = { total: 0, by_path: {}, by_edge: [] };
  return { state, since: null, publisher: null, standby: false, viewers, report: NOTHING };
}
