// How the fake API answers: problems, pages, what it checks of what it is sent.

import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type * as M from '../../../web/src/console/model.ts';

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly { field: string; detail: string }[];

  constructor(status: number, code: string, detail = code, errors: Refusal['errors'] = []) {
    super(detail);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

export function paged<T>(items: readonly T[], limit: number, after: string | null): M.Page<T> {
  const from = Number(after ?? 0);
  const next = from + limit < items.length ? String(from + limit) : null;
  return { items: items.slice(from, from + limit), next };
}

export function check(body: Record<string, unknown>, needed: readonly string[]): void {
  const errors = needed
    .filter((field) => typeof body[field] !== 'string' || body[field] === '')
    .map((field) => ({ field, detail: 'It must not be empty.' }));
  if (errors.length > 0) throw new Refusal(422, 'invalid', 'Some fields are not right.', errors);
}

export function checkAbout({ title, logo, links }: Partial<M.Broadcast>): void {
  const errors = [
    ...((title ?? '').length > 200 ? [{ field: 'title', detail: 'At most 200 characters.' }] : []),
    ...(logo && !logo.startsWith('https://')
      ? [{ field: 'logo', detail: 'It must be an https address.' }]
      : []),
    ...(links ?? []).flatMap(({ url }, index) =>
      URL.canParse(url) ? [] : [{ field: `links.${index}.url`, detail: 'This is no address.' }],
    ),
  ];
  if (errors.length > 0) throw new Refusal(422, 'invalid', 'Some fields are not right.', errors);
}

export function revised(match: string | null, rev: number): void {
  if (match === null) throw new Refusal(428, 'precondition-required');
  if (match !== String(rev)) throw new Refusal(412, 'precondition-failed', 'It has changed.');
}

export function reply(
  response: ServerResponse,
  status: number,
  body: unknown,
  type = 'application/json',
): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  response.end(body === undefined ? '' : JSON.stringify(body));
}

export async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

export function now(): string {
  return new Date().toISOString();
}

export function ago(hours: number): string {
  return new Date(Date.now() - hours * 3_600_000).toISOString();
}

export function secret(prefix: string): string {
  return prefix + randomBytes(15).toString('base64url');
}
