// Starts the real binary and a real Chromium for the browser tests and the latency bench. Owns
// processes, ports, config files and their clean-up; what is promised of them is each test's.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { type EncoderOptions, encoderArguments } from './encoder.ts';
import { Link } from './link.ts';
import { recordConnections } from './rtc.ts';

const run = promisify(execFile);
/** The repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Finds web's packages, which Node does not find from here by itself. */
export const webRequire = createRequire(join(ROOT, 'web/package.json'));
const { chromium } = webRequire('playwright-core') as typeof import('playwright-core');
/** A role is up within this, on a machine that is busy building something else. */
const READY_MS = 30_000;
/** After this a process that was asked to stop is killed. */
const STOP_MS = 5_000;

/** The binary under test. */
export function binary(profile: 'debug' | 'release' = 'debug'): string {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const path = process.env.LECTERN_BIN ?? join(target, profile, 'lectern');
  if (!existsSync(path)) throw new Error(`${path} is missing: build it, or name it in LECTERN_BIN`);
  return path;
}

/** A child process with its output kept for when something fails. */
export class Process {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #log = '';

  constructor(name: string, command: string, args: string[], env: Record<string, string> = {}) {
    this.name = name;
    this.#child = spawn(command, args, {
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (chunk: Buffer) => {
      this.#log = (this.#log + chunk).slice(-64_000);
    };
    this.#child.stdout?.on('data', keep);
    this.#child.stderr?.on('data', keep);
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', (error) => {
        this.#log += `\n${error}`;
        resolve();
      });
    });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get log(): string {
    return `--- ${this.name} ---\n${this.#log}`;
  }

  /** Asks it to end, and does not wait. */
  ask(): void {
    this.#child.kill('SIGTERM');
  }

  /** Ends it: at once with SIGKILL, as a crash would, or asked to first. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (!this.running) return;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
  }
}

/** Our own environment without what the binary would take for configuration. */
function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('LECTERN_')),
  );
}

export interface Ports {
  readonly rtmp: number;
  readonly relay: number;
  readonly originHttp: number;
  /** Where publishers by WHIP send. */
  readonly originMedia: number;
  readonly originOps: number;
  readonly http: number;
  readonly media: number;
  readonly edgeOps: number;
  /** Of the second edge, where there is one. */
  readonly http2: number;
  readonly media2: number;
  readonly edgeOps2: number;
}

export interface StackOptions {
  /** Roles in one process, or each in its own. */
  readonly roles: 'all' | 'split';
  /** Two edges, of which each tells players of the other; of roles that are split. */
  readonly twoEdges?: boolean;
  /** Feed the demo pattern; else encoders are expected on RTMP. */
  readonly demo?: boolean;
  /** Broadcasts whose stream keys are their ids, `demo` if nothing is said. */
  readonly broadcasts?: readonly string[];
  /** What makes one a moderator of each of them; those of `--demo` have none. */
  readonly moderatorKey?: string;
  /** Further settings of a broadcast, as lines of TOML. */
  readonly settings?: Readonly<Record<string, readonly string[]>>;
  /** Ed25519 public keys of those who sign viewer tokens, in base64url, by kid. */
  readonly viewerKeys?: Readonly<Record<string, string>>;
  /** A list is kept of who attends each of them. */
  readonly attendance?: boolean;
  /** Addresses that the edge tells WebRTC viewers. */
  readonly mediaAddresses?: readonly string[];
  readonly profile?: 'debug' | 'release';
}

export type Role = 'all' | 'origin' | 'edge' | 'edge2';

/** The roles of one deployment on loopback, with ports of their own and a directory of their own. */
export class Stack {
  readonly ports: Ports;
  readonly #dir: string;
  readonly #options: StackOptions;
  readonly #roles = new Map<Role, Process>();
  /** Those that have ended, for their logs. */
  readonly #past: Process[] = [];
  /** By broadcast. */
  readonly #encoders = new Map<string, Process>();
  /** Between the first edge and the origin. */
  readonly link: Link;

  private constructor(dir: string, ports: Ports, options: StackOptions, link: Link) {
    this.#dir = dir;
    this.ports = ports;
    this.#options = options;
    this.link = link;
  }

  static async start(options: StackOptions): Promise<Stack> {
    const held = await hold(11);
    const [rtmp, originHttp, originOps, relay, originMedia, ...edges] = held.ports;
    const [http, media, edgeOps, http2, media2, edgeOps2] = edges;
    const origin = { rtmp, relay, originHttp, originMedia, originOps };
    const first = { ...origin, http, media, edgeOps };
    const ports = { ...first, http2, media2, edgeOps2 } as Ports;
    // It takes a port too, which has to be none of these.
    const link = await Link.open(ports.relay);
    await held.release();
    const dir = await mkdtemp(join(tmpdir(), 'lectern-test-'));
    const stack = new Stack(dir, ports, options, link);
    try {
      const split: Role[] = ['origin', 'edge', ...(options.twoEdges ? (['edge2'] as const) : [])];
      for (const role of options.roles === 'all' ? (['all'] as const) : split) {
        await stack.startRole(role);
      }
    } catch (error) {
      console.error(stack.logs());
      await stack.stop();
      throw error;
    }
    return stack;
  }

  get url(): string {
    return `http://127.0.0.1:${this.ports.http}`;
  }

  /** Starts a role and waits until it says that it is ready. */
  async startRole(role: Role): Promise<void> {
    const config = join(this.#dir, `${role}.toml`);
    await writeFile(config, this.#config(role));
    const args = [role === 'edge2' ? 'edge' : role, '--config', config];
    if (this.#options.demo && role === 'all') args.push('--demo');
    const child = new Process(role, binary(this.#options.profile), args, {
      LECTERN_LOG: process.env.LECTERN_LOG ?? 'info',
    });
    this.#roles.set(role, child);
    const { originOps, edgeOps, edgeOps2 } = this.ports;
    const ops = {
      all: [originOps, edgeOps],
      origin: [originOps],
      edge: [edgeOps],
      edge2: [edgeOps2],
    };
    for (const port of ops[role]) await ready(`http://127.0.0.1:${port}/readyz`, child);
  }

  /** Asks a role to stop, as an operator would, and does not wait for it. */
  askRole(role: Role): void {
    this.#roles.get(role)?.ask();
  }

  async stopRole(role: Role, signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    const child = this.#roles.get(role);
    this.#roles.delete(role);
    await child?.stop(signal);
    if (child) this.#past.push(child);
  }

  /** Pushes a moving picture and beeps by RTMP, as a host's encoder would. */
  startEncoder(options: EncoderOptions = {}): void {
    const { broadcast = 'demo', key = broadcast } = options;
    const args = encoderArguments(`rtmp://127.0.0.1:${this.ports.rtmp}/live/${key}`, options);
    this.#encoders.set(broadcast, new Process(`encoder of ${broadcast}`, 'ffmpeg', args));
  }

  async stopEncoder(broadcast = 'demo'): Promise<void> {
    const encoder = this.#encoders.get(broadcast);
    this.#encoders.delete(broadcast);
    await encoder?.stop('SIGKILL');
    if (encoder) this.#past.push(encoder);
  }

  async stop(): Promise<void> {
    for (const broadcast of [...this.#encoders.keys()]) await this.stopEncoder(broadcast);
    for (const role of [...this.#roles.keys()]) await this.stopRole(role, 'SIGTERM');
    this.link.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** What a role says of how to make the first account: an address of the console. */
  get setupLink(): string {
    const link = /set up +(\S+)/.exec(this.logs())?.[1];
    if (!link) throw new Error('no set-up link was printed');
    return link;
  }

  /** Everything the processes have written. */
  logs(): string {
    const all = [...this.#past, ...this.#roles.values(), ...this.#encoders.values()];
    return all.map(({ log }) => log).join('\n');
  }

  #broadcast(id: string): string {
    const { moderatorKey, attendance } = this.#options;
    const lines = [`id = "${id}"`, `stream_key = "${id}"`];
    if (moderatorKey !== undefined) lines.push(`moderator_key = ${JSON.stringify(moderatorKey)}`);
    if (attendance) lines.push('attendance = true');
    lines.push(...(this.#options.settings?.[id] ?? []));
    return `\n[[broadcast]]\n${lines.join('\n')}\n`;
  }

  #config(role: Role): string {
    const { ports } = this;
    const addresses = JSON.stringify(this.#options.mediaAddresses ?? ['127.0.0.1']);
    const data = join(this.#dir, 'origin');
    const origin = `
[origin]
rtmp = "127.0.0.1:${ports.rtmp}"
relay = "127.0.0.1:${ports.relay}"
http = "127.0.0.1:${ports.originHttp}"
media = "127.0.0.1:${ports.originMedia}"
ops = "127.0.0.1:${ports.originOps}"
relay_token = "browser-tests"
`;
    const edge = (http: number, media: number, ops: number, sibling: number) => `
[edge]
http = "127.0.0.1:${http}"
media = "127.0.0.1:${media}"
media_addresses = ${addresses}
ops = "127.0.0.1:${ops}"
${this.#options.twoEdges ? `siblings = ["http://127.0.0.1:${sibling}"]` : ''}
`;
    const first = edge(ports.http, ports.media, ports.edgeOps, ports.http2);
    const second = edge(ports.http2, ports.media2, ports.edgeOps2, ports.http);
    const upstream = (port: number) => `upstream = "127.0.0.1:${port}"
upstream_ca = "${join(data, 'relay/relay-cert.pem')}"
upstream_name = "localhost"
relay_token = "browser-tests"
`;
    const keys = Object.entries(this.#options.viewerKeys ?? {}).map(
      ([kid, key]) => `\n[[viewer_key]]\nkid = "${kid}"\npublic_key = "${key}"\n`,
    );
    const ids = this.#options.demo ? [] : (this.#options.broadcasts ?? ['demo']);
    const broadcast = [...ids.map((id) => this.#broadcast(id)), ...keys].join('');
    switch (role) {
      case 'all':
        return `data_dir = "${data}"\n${origin}${first}${broadcast}`;
      case 'origin':
        return `data_dir = "${data}"\n${origin}${broadcast}`;
      case 'edge':
      case 'edge2':
        return `data_dir = "${join(this.#dir, role)}"\n${
          role === 'edge' ? first + upstream(this.link.port) : second + upstream(ports.relay)
        }`;
    }
  }
}

async function ready(url: string, child: Process): Promise<void> {
  const end = Date.now() + READY_MS;
  while (Date.now() < end && child.running) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${child.name} ${child.running ? `is not ready at ${url}` : 'has ended'}`);
}

/** So many ports that are free for UDP and for TCP, and nobody else's until they are released. */
async function hold(count: number): Promise<{ ports: number[]; release: () => Promise<void> }> {
  const held = new Map<number, Held[]>();
  const others: Held[] = [];
  while (held.size < count) {
    const tcp = await holdTcp();
    const udp = await holdUdp(tcp.port).catch(() => null);
    if (udp) held.set(tcp.port, [tcp, udp]);
    else others.push(tcp);
  }
  const release = async () => {
    for (const one of [...held.values(), others].flat()) await one.release();
  };
  return { ports: [...held.keys()], release };
}

interface Held {
  readonly port: number;
  readonly release: () => Promise<void>;
}

function holdTcp(): Promise<Held> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      resolve({ port, release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

function holdUdp(port: number): Promise<Held> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4').once('error', reject);
    socket.bind(port, '127.0.0.1', () => {
      const { port } = socket.address();
      resolve({ port, release: () => new Promise((done) => socket.close(() => done())) });
    });
  });
}

/** A fresh Chromium with an empty profile, that plays with sound unasked; with these arguments more. */
export function launch(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      ...more,
    ],
  });
}

/** A watch page, whose console is kept; in a browser without the globals that are named. */
export async function watch(
  browser: Browser,
  url: string,
  without: readonly string[] = [],
): Promise<{ page: Page; console: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const lines: string[] = [];
  page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => lines.push(`error: ${error.message}`));
  await recordConnections(page);
  await page.addInitScript((names) => {
    for (const name of names) Reflect.deleteProperty(globalThis, name);
  }, without);
  await page.goto(url);
  return { page, console: lines };
}

/** Drops packets to and from one local port until `undo`; needs root and nftables. */
export async function cut(
  port: number,
  protocols: readonly ('udp' | 'tcp')[],
): Promise<{ undo: () => Promise<void> }> {
  const table = `lectern_test_${port}`;
  const nft = (...args: string[]) => run('nft', args);
  await nft('add', 'table', 'inet', table);
  try {
    for (const [hook, field] of [
      ['input', 'dport'],
      ['output', 'sport'],
    ] as const) {
      await nft('add', 'chain', 'inet', table, hook, `{ type filter hook ${hook} priority 0 ; }`);
      for (const protocol of protocols) {
        await nft('add', 'rule', 'inet', table, hook, protocol, field, `${port}`, 'drop');
      }
    }
  } catch (error) {
    await nft('delete', 'table', 'inet', table);
    throw error;
  }
  return { undo: async () => void (await nft('delete', 'table', 'inet', table)) };
}

/** The text of a role's `/metrics`. */
export async function metrics(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`);
  return answer.text();
}
