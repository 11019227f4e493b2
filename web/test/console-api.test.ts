import { expect, test, vi } from 'vitest';
import { Api, ApiError } from '../src/console/api.ts';

interface Sent {
  readonly to: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

/** An API over answers that are given in turn, and what it was asked. */
function over(...answers: (Response | Error)[]) {
  const sent: Sent[] = [];
  const fake = async (to: string | URL | Request, init: RequestInit = {}) => {
    const { method = 'GET', headers, body } = init;
    sent.push({
      to: String(to),
      method,
      headers: headers as Record<string, string>,
      body: body && JSON.parse(String(body)),
    });
    const answer = answers.shift();
    if (!answer) throw new Error('asked more often than expected');
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { sent, fetch: fake as typeof fetch };
}

const problem = (status: number, body: object, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers });

test('a change names the revision that it is made to, and only what changes', async () => {
  const { sent, fetch } = over(Response.json({ id: 'a b', rev: 8 }));
  await new Api({ fetch }).broadcasts.patch('a b', { title: 'New', logo: null }, 7);
  expect(sent).toEqual([
    {
      to: '/api/v1/broadcasts/a%20b',
      method: 'PATCH',
      headers: {
        Accept: 'application/json',
        'Content-Type': 'application/json',
        'If-Match': '"7"',
      },
      body: { title: 'New', logo: null },
    },
  ]);
});

test('what is not asked for is not in the address', async () => {
  const { sent, fetch } = over(Response.json({ items: [], next: null }));
  await new Api({ fetch }).broadcasts.list({ q: 'x & y', topic: '', state: '', limit: 50 });
  expect(sent[0]?.to).toBe('/api/v1/broadcasts?q=x+%26+y&limit=50');
  expect(sent[0]?.headers['Content-Type']).toBeUndefined();
});

test('a problem is told as the server tells it, by field', async () => {
  const errors = [{ field: 'title', detail: 'Too long.' }, { nonsense: true }];
  const said = { code: 'invalid', detail: 'Some fields are not right.', errors };
  const { fetch } = over(problem(422, said));
  const failed = await new Api({ fetch }).broadcasts.create({}).catch((error) => error);
  expect(failed).toBeInstanceOf(ApiError);
  expect(failed).toMatchObject({
    status: 422,
    code: 'invalid',
    detail: 'Some fields are not right.',
    errors: [{ field: 'title', detail: 'Too long.' }],
  });
});

test('what a proxy says in its place is no riddle', async () => {
  const { fetch } = over(
    new Response('<html>Bad gateway', { status: 502 }),
    new Response('<html>', { status: 200 }),
    new TypeError('failed to fetch'),
    problem(429, {}, { 'Retry-After': '7' }),
  );
  const api = new Api({ fetch });
  const fail = () => api.info().catch((error: ApiError) => error);
  expect(await fail()).toMatchObject({ status: 502, code: 'unavailable' });
  expect(await fail()).toMatchObject({ code: 'not-json' });
  expect(await fail()).toMatchObject({ status: 0, code: 'network' });
  expect(await fail()).toMatchObject({ code: 'too-many-requests', retryAfter: 7 });
});

test('a list that is wanted whole is fetched page by page', async () => {
  const page = (items: string[], next: string | null) => Response.json({ items, next });
  const { sent, fetch } = over(page(['a', 'b'], 'n1'), page(['c'], null));
  expect(await new Api({ fetch }).keys.list('x')).toEqual(['a', 'b', 'c']);
  expect(sent.map(({ to }) => to)).toEqual([
    '/api/v1/broadcasts/x/keys?limit=200',
    '/api/v1/broadcasts/x/keys?limit=200&after=n1',
  ]);
});

test('a session that has ended is renewed, and what was asked is asked again', async () => {
  const ended = () => problem(401, { code: 'unauthorized' });
  const { sent, fetch } = over(ended(), Response.json({ id: 'x' }), ended(), ended());
  const renew = vi.fn(async () => {});
  const api = new Api({ fetch, renew });
  expect(await api.broadcasts.get('x')).toEqual({ id: 'x' });
  expect(renew).toHaveBeenCalledOnce();
  expect(sent).toHaveLength(2);
  // Once, and not for ever.
  await expect(api.broadcasts.get('x')).rejects.toMatchObject({ status: 401 });
});

test('a wrong password renews nothing', async () => {
  const renew = vi.fn(async () => {});
  const wrong = () => problem(401, { code: 'unauthorized' });
  const { fetch } = over(wrong(), wrong(), wrong());
  const api = new Api({ fetch, renew });
  await expect(api.session.signIn({ login: 'a', password: 'b' })).rejects.toThrow();
  await expect(api.accounts.setPassword('a', { password: 'b' })).rejects.toThrow();
  expect(await api.session.current()).toBeNull();
  expect(renew).not.toHaveBeenCalled();
});
