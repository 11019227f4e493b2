// What the edge serves is what the standards and the parsers of others take it for: manifests and
// media of a live broadcast, as served.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type * as M3u8Parser from 'm3u8-parser';
import type * as Mp4box from 'mp4box';
import type * as MpdParser from 'mpd-parser';
import { beforeAll, expect, test } from 'vitest';
import { ROOT, webRequire } from './harness.ts';
import { Stage } from './players/stage.ts';
import { scene } from './scene.ts';

const run = promisify(execFile);
const { parse } = webRequire('mpd-parser') as typeof MpdParser;
const { Parser } = webRequire('m3u8-parser') as typeof M3u8Parser;
const mp4box = webRequire('mp4box') as typeof Mp4box;

/** Manifests as the edge renders them in states that no one test can bring about. */
const GOLDEN = (kind: 'dash' | 'hls') => join(ROOT, `edge/src/${kind}/golden`);
/** Of each Representation so many segments are taken apart. */
const SEGMENTS = 2;
const READY_MS = 60_000;

const s = scene({ roles: 'all' });

/** The body of a page, once it is there. */
async function eventually(url: string): Promise<string> {
  const end = Date.now() + READY_MS;
  for (;;) {
    const answer = await fetch(url);
    if (answer.ok) return answer.text();
    if (Date.now() > end) throw new Error(`${url} still answers ${answer.status}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function bytes(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await fetch(url);
  expect(answer.status, url).toBe(200);
  return new Uint8Array(await answer.arrayBuffer());
}

const manifest = () => eventually(`${s.stack.url}/live/demo/manifest.mpd`);

beforeAll(() => s.stack.startEncoder());

test('the MPD is valid against its schema', async (context) => {
  // The schema is not ours to distribute; the edge's own tests look for it at the same places.
  const directory = process.env.LECTERN_DASH_SCHEMA ?? join(ROOT, '../shared/schemas');
  const schema = join(directory, 'DASH-MPD-local.xsd');
  if (!existsSync(schema)) return context.skip(`no DASH schema (set LECTERN_DASH_SCHEMA)`);
  const place = await mkdtemp(join(tmpdir(), 'lectern-mpd-'));
  try {
    const file = join(place, 'manifest.mpd');
    await writeFile(file, await manifest());
    await run('xmllint', ['--nonet', '--noout', '--schema', schema, file]);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
});

test('dash.js parses the MPD, and those that the edge renders in every other state', async () => {
  await manifest();
  const page = await s.open('/time');
  await page.addScriptTag({ path: Stage.library('dashjs') });
  await page.route('**/golden/*', (route) =>
    route.fulfill({
      path: join(GOLDEN('dash'), basename(new URL(route.request().url()).pathname)),
    }),
  );
  const goldens = (await readdir(GOLDEN('dash'))).map((name) => `/golden/${name}`);
  for (const path of ['/live/demo/manifest.mpd', ...goldens]) {
    const periods = await page.evaluate(
      (url) =>
        new Promise<number>((resolve, reject) => {
          const player = window.dashjs.MediaPlayer().create();
          player.initialize();
          player.retrieveManifest(url, (manifest, error) => {
            const { Period } = (manifest ?? {}) as unknown as { Period?: unknown[] };
            if (Period) resolve(Period.length);
            else reject(new Error(JSON.stringify(error)));
          });
        }),
      s.stack.url + path,
    );
    expect(periods, path).toBe(path.includes('two_periods') ? 2 : 1);
  }
});

test('hls.js parses the playlists, and those that the edge renders in every other state', async () => {
  const live = '/live/demo/index.m3u8';
  const variants = await eventually(s.stack.url + live);
  const page = await s.open('/time');
  await page.addScriptTag({ path: Stage.library('hlsjs') });
  const contentType = 'application/vnd.apple.mpegurl';
  await page.route('**/golden/*', (route) =>
    route.fulfill({
      path: join(GOLDEN('hls'), basename(new URL(route.request().url()).pathname)),
      contentType,
    }),
  );
  // hls.js reads media playlists of one rendition by themselves; what a multivariant one leads to is
  // there only while it is live.
  const goldens = (await readdir(GOLDEN('hls'))).map((name) => join(GOLDEN('hls'), name));
  const texts = await Promise.all(
    goldens.map(async (file) => [file, await readFile(file, 'utf8')]),
  );
  const media = texts.flatMap(([file = '', text = '']) =>
    text.includes('#EXT-X-STREAM-INF') ? [] : [`/golden/${basename(file)}`],
  );
  expect(variants).toContain('#EXT-X-STREAM-INF');
  expect(media).not.toEqual([]);
  for (const path of [live, ...media]) {
    const fragments = await page.evaluate(
      (url) =>
        new Promise<number>((resolve, reject) => {
          const player = new window.Hls({ enableWorker: false });
          player.on(window.Hls.Events.LEVEL_LOADED, (_event, { details }) => {
            const { fragments, playlistParsingError } = details;
            if (playlistParsingError) reject(playlistParsingError);
            else resolve(fragments.length);
            player.destroy();
          });
          player.on(window.Hls.Events.ERROR, (_event, { details, reason }) => {
            reject(new Error(`${details} ${reason}`));
            player.destroy();
          });
          player.loadSource(url);
        }),
      s.stack.url + path,
    );
    expect(fragments, path).toBeGreaterThan(0);
  }
});

test('m3u8-parser finds parts that add up to their segments', async () => {
  const url = `${s.stack.url}/live/demo/index.m3u8`;
  const { playlists = [], mediaGroups } = m3u8(await eventually(url));
  const sound = Object.values(mediaGroups?.AUDIO ?? {}).flatMap((group) => Object.values(group));
  const tracks = [...playlists, ...sound].map(({ uri }) => new URL(uri, url).href);
  expect(tracks.map((track) => new URL(track).pathname)).toEqual([
    '/live/demo/video-main/index.m3u8',
    expect.stringMatching(/^\/live\/demo\/audio-\w+\/index\.m3u8$/),
  ]);
  const [comments] = Object.values(mediaGroups?.SUBTITLES?.comments ?? {});
  const text = new URL(comments?.uri ?? '', url).href;
  const files = m3u8(await eventually(text)).segments.map(({ uri }) => new URL(uri ?? '', text));
  expect(await eventually(files.at(-1)?.href ?? '')).toMatch(/^WEBVTT\nX-TIMESTAMP-MAP=/);
  for (const track of tracks) {
    const whole = await wholeSegment(track);
    const segment = await bytes(new URL(whole.uri ?? '', track).href);
    const parts = await Promise.all(
      (whole.parts ?? []).map(({ uri }) => bytes(new URL(uri, track).href)),
    );
    expect(parts.length).toBeGreaterThan(1);
    expect(Buffer.concat(parts).equals(segment), track).toBe(true);
    const init = await bytes(new URL(whole.map?.uri ?? '', track).href);
    expect(await probe([init, ...parts])).toBe(samples([init, segment]));
  }
});

/** The newest segment of a media playlist that is whole, once there is one. */
async function wholeSegment(track: string): Promise<M3u8Parser.Segment> {
  const end = Date.now() + READY_MS;
  for (;;) {
    const { segments } = m3u8(await eventually(track));
    const whole = segments.findLast(({ uri, parts }) => uri && parts && parts.length > 1);
    if (whole) return whole;
    if (Date.now() > end) throw new Error(`${track} has no whole segment`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** What m3u8-parser makes of a playlist, of which it must not complain. */
function m3u8(text: string): M3u8Parser.Manifest {
  const parser = new Parser();
  const complaints: string[] = [];
  for (const kind of ['warn', 'error'] as const) {
    parser.on(kind, ({ message }) => complaints.push(message));
  }
  parser.push(text);
  parser.end();
  expect(complaints, text).toEqual([]);
  return parser.manifest;
}

test('mpd-parser finds media that ffprobe and mp4box.js take apart alike', async () => {
  const url = `${s.stack.url}/live/demo/manifest.mpd`;
  const end = Date.now() + READY_MS;
  for (;;) {
    const complaints: string[] = [];
    const parsed = parse(await manifest(), {
      manifestUri: url,
      eventHandler: ({ type, message }) => type !== 'info' && complaints.push(message),
    });
    expect(complaints).toEqual([]);
    const sound = Object.values(parsed.mediaGroups.AUDIO.audio ?? {});
    const playlists = [...parsed.playlists, ...sound.flatMap(({ playlists }) => playlists)];
    expect(playlists.map(({ attributes }) => attributes.CODECS)).toEqual([
      expect.stringMatching(/^avc1\./),
      'opus',
      'mp4a.40.2',
    ]);
    const texts = Object.values(parsed.mediaGroups.SUBTITLES?.subs ?? {});
    const [file] = texts[0]?.playlists[0]?.segments.slice(-1) ?? [];
    expect(file?.resolvedUri).toMatch(/\/live\/demo\/comments\/[^/]+\.vtt$/);
    // The newest may be in progress, and the first is there only once it began.
    if (playlists.every(({ segments }) => segments.length > SEGMENTS)) {
      for (const { segments } of playlists) {
        const whole = segments.slice(-SEGMENTS - 1, -1);
        const init = await bytes(whole[0]?.map.resolvedUri ?? '');
        const media = await Promise.all(whole.map(({ resolvedUri }) => bytes(resolvedUri)));
        const packets = await probe([init, ...media]);
        expect(packets).toBeGreaterThan(20);
        expect(samples([init, ...media])).toBe(packets);
      }
      return;
    }
    if (Date.now() > end) throw new Error('there are too few segments');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}, 120_000);

/** Packets that ffprobe finds, which must have nothing to say about them. */
async function probe(pieces: Uint8Array[]): Promise<number> {
  const place = await mkdtemp(join(tmpdir(), 'lectern-media-'));
  try {
    const file = join(place, 'track.mp4');
    await writeFile(file, Buffer.concat(pieces));
    const wanted = ['-show_entries', 'packet=dts_time', '-of', 'csv=p=0', file];
    const { stdout, stderr } = await run('ffprobe', ['-v', 'warning', ...wanted]);
    expect(stderr).toBe('');
    const times = stdout.trim().split('\n').map(Number);
    expect(times, 'decode times rise').toEqual([...times].sort((a, b) => a - b));
    const [first = 0, last = 0] = [times[0], times.at(-1)];
    const step = (last - first) / (times.length - 1);
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? time));
    expect(Math.max(...gaps), 'no hole between two samples').toBeLessThan(step * 3);
    return times.length;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** Samples that mp4box.js finds in the one track of these pieces. */
function samples(pieces: Uint8Array<ArrayBuffer>[]): number {
  const file = mp4box.createFile();
  const errors: string[] = [];
  let tracks = 0;
  let found = 0;
  file.onError = (module, message) => errors.push(`${module}: ${message}`);
  file.onReady = (movie) => {
    tracks = movie.tracks.length;
    for (const { id } of movie.tracks) file.setExtractionOptions(id, null, { nbSamples: 1 });
    file.start();
  };
  file.onSamples = (_id, _user, samples) => {
    found += samples.length;
  };
  let at = 0;
  for (const piece of pieces) {
    file.appendBuffer(mp4box.MP4BoxBuffer.fromArrayBuffer(piece.buffer, at));
    at += piece.byteLength;
  }
  file.flush();
  expect(errors).toEqual([]);
  expect(tracks).toBe(1);
  return found;
}
