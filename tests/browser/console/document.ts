// What the real origin says of its API, held against what the fake answers: in its OpenAPI document, which is
// asked of the binary under test. Stricter than the document, which lets answers have more than it names, and
// less of what may be null: neither happens on the real one.

import type { ValidateFunction } from 'ajv/dist/2020.js';
import { Stack, webRequire } from '../harness.ts';

const { Ajv2020 } = webRequire('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js');

/** Left out where there is nothing to say; everything else is null then. */
const LEFT_OUT: readonly string[] = ['errors', 'key', 'token', 'secret'];
/** What belongs to a feature that a server may lack, and its document with it. */
const OF_FEATURES: readonly (readonly [RegExp, string])[] = [
  [/^\/webhooks(\/|$)/, 'webhooks'],
  [/\/registrations\.csv$/, 'registration'],
];
const EVENTS: Readonly<Record<string, string>> = { broadcast: 'Broadcast', live: 'Live' };
const NAME = 'document';

type Json = Readonly<Record<string, unknown>>;
type Operations = Readonly<Record<string, { readonly responses: Readonly<Record<string, Json>> }>>;

export class Document {
  readonly #paths: Readonly<Record<string, Operations>>;
  readonly #features: readonly string[];
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json, features: readonly string[]) {
    this.#paths = document.paths as Readonly<Record<string, Operations>>;
    this.#features = features;
    this.#ajv.addSchema(closed(document), NAME, undefined, false);
  }

  /** That of the binary under test. */
  static async ask(): Promise<Document> {
    const stack = await Stack.start({ roles: 'all' });
    try {
      const api = `http://127.0.0.1:${stack.ports.originHttp}/api/v1`;
      const get = async (path: string) => (await fetch(api + path)).json();
      const { features } = (await get('/info')) as { features: string[] };
      return new Document((await get('/openapi.json')) as Json, features);
    } finally {
      await stack.stop();
    }
  }

  /** What the real one would not answer like this. */
  answer(method: string, path: string, status: number, body: unknown): readonly string[] {
    const named = `${method} ${path} ${status}`;
    const template = this.#template(path);
    if (template === null) {
      const feature = OF_FEATURES.find(([of]) => of.test(path))?.[1];
      return feature && !this.#features.includes(feature) ? [] : [`${named}: no such path`];
    }
    const operation = this.#paths[template]?.[method.toLowerCase()];
    if (!operation) return [`${named}: no such method`];
    const content = operation.responses[status]?.content as Json | undefined;
    if (!operation.responses[status]) return [`${named}: no such status`];
    // A file is what it is.
    if (typeof body === 'string') return content ? [] : [`${named}: no file`];
    if (!content) return body === undefined ? [] : [`${named}: a body`];
    const type = Object.keys(content).find((each) => /json$/.test(each)) ?? '';
    const parts = ['paths', template, method.toLowerCase(), 'responses', status];
    return this.#check(named, body, [...parts, 'content', type, 'schema']);
  }

  /** What the real one would not tell like this. */
  news(event: string, data: unknown): readonly string[] {
    const schema = EVENTS[event];
    return schema ? this.#check(`event ${event}`, data, ['components', 'schemas', schema]) : [];
  }

  #template(path: string): string | null {
    if (this.#paths[path]) return path;
    const fits = (template: string) => {
      const [wanted, given] = [template.split('/'), path.split('/')];
      return (
        wanted.length === given.length &&
        wanted.every((part, index) => /^\{.*\}$/.test(part) || part === given[index])
      );
    };
    return Object.keys(this.#paths).find(fits) ?? null;
  }

  #check(named: string, data: unknown, pointer: readonly (string | number)[]): readonly string[] {
    const escaped = pointer.map((part) =>
      encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1')),
    );
    const $ref = `${NAME}#/${escaped.join('/')}`;
    const validate = this.#compiled.get($ref) ?? this.#ajv.compile({ $ref });
    this.#compiled.set($ref, validate);
    // As it is on the way: without what is undefined.
    if (validate(data === undefined ? undefined : JSON.parse(JSON.stringify(data)))) return [];
    return (validate.errors ?? []).map(({ instancePath, message, params }) => {
      return `${named}: ${instancePath} ${message} ${JSON.stringify(params)}`;
    });
  }
}

/** The document with every object as it is answered: with all that it may have, and no more. */
function closed(document: Json): Json {
  const parts = new Set<unknown>();
  walk(document, (schema) => {
    for (const part of Array.isArray(schema.allOf) ? schema.allOf : []) {
      parts.add(part);
      const name = /^#\/components\/schemas\/(.*)$/.exec(String((part as Json).$ref))?.[1];
      const { schemas } = document.components as { schemas: Json };
      if (name) parts.add(schemas[name]);
    }
    return {};
  });
  return walk(document, (schema) => {
    const open = 'additionalProperties' in schema || parts.has(schema.of);
    const known = schema.properties as Json | undefined;
    if (known && schema.type === 'object') {
      const required = Object.keys(known).filter((name) => !LEFT_OUT.includes(name));
      return { required, ...(open ? {} : { unevaluatedProperties: false }) };
    }
    return Array.isArray(schema.allOf) && !open ? { unevaluatedProperties: false } : {};
  }) as Json;
}

/** A copy in which each object has what is said of it besides; `of` is the object itself. */
function walk(value: unknown, more: (schema: Json & { of: unknown }) => Json): unknown {
  if (Array.isArray(value)) return value.map((each) => walk(each, more));
  if (typeof value !== 'object' || value === null) return value;
  const copied = Object.entries(value).map(([key, each]) => [key, walk(each, more)]);
  return { ...Object.fromEntries(copied), ...more({ ...(value as Json), of: value }) };
}
