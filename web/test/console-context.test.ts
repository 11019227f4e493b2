// What waits for a session that has ended is done for whoever it was asked by, and for nobody else.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Context } from '../src/console/context.ts';
import type { Session } from '../src/console/model.ts';
import { loadTexts } from '../src/console/texts/texts.ts';

const session = (id: string): Session => ({
  account: {
    ...{ id, login: id, name: id, role: 'host', disabled: false, has_password: true, oidc: false },
    ...{ created_at: '', signed_in_at: null, rev: 1 },
  },
  expires_at: '',
});

let asked: string[];
let answers: Response[];
let app: Context;

beforeEach(async () => {
  asked = [];
  answers = [];
  vi.stubGlobal(
    'EventSource',
    class extends EventTarget {
      readyState = 0;
      close() {}
    },
  );
  vi.stubGlobal('fetch', async (_: string, { method }: RequestInit) => {
    asked.push(method ?? 'GET');
    return answers.shift() ?? new Response(null, { status: 204 });
  });
  app = new Context(await loadTexts(['en']));
});
afterEach(() => vi.unstubAllGlobals());

/** Ada deletes something with a session that has ended. */
async function waiting(): Promise<{ readonly removed: Promise<unknown> }> {
  app.enter(session('ada'));
  answers = [new Response('{"code":"unauthorized"}', { status: 401 })];
  const ended = new Promise<void>((resolve) =>
    app.on('session', () => resolve(), new AbortController().signal),
  );
  const removed = app.api.broadcasts.remove('x', 1).catch((error: unknown) => error);
  await ended;
  expect(app.ended).toBe(true);
  return { removed };
}

test('who signs in again goes on where they were', async () => {
  const { removed } = await waiting();
  app.enter(session('ada'));
  expect(await removed).toBeUndefined();
  expect(asked).toEqual(['DELETE', 'DELETE']);
});

test('nothing is done in the name of somebody else who signs in', async () => {
  const { removed } = await waiting();
  let missed = 0;
  const count = () => {
    missed += 1;
  };
  app.on('missed', count, new AbortController().signal);
  app.enter(session('grace'));
  expect(await removed).toMatchObject({ code: 'other-account' });
  expect(asked).toEqual(['DELETE']);
  expect(app.account?.id).toBe('grace');
  // What is shown is asked for again, as the other one may see it.
  expect(missed).toBe(1);
});
