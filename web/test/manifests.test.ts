// The manifests that the edge's own tests hold as golden files, read by parsers that players use.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Parser } from 'm3u8-parser';
import { type ParserEvent, parse, parseUTCTiming } from 'mpd-parser';
import { describe, expect, test } from 'vitest';
import { availabilityStartMs } from '../src/engines/dash.ts';

/** The golden files of a module of the edge. */
function goldens(module: string): { name: string; text: string }[] {
  const place = fileURLToPath(new URL(`../../edge/src/${module}/golden/`, import.meta.url));
  return readdirSync(place).map((name) => ({ name, text: readFileSync(place + name, 'utf8') }));
}
const mpds = goldens('dash');
const playlists = goldens('hls');

test('there are manifests', () => {
  expect(mpds).not.toEqual([]);
  expect(playlists).not.toEqual([]);
});

describe.each(mpds)('mpd-parser reads $name', ({ text: mpd }) => {
  const events: ParserEvent[] = [];
  const parsed = parse(mpd, {
    manifestUri: 'https://edge.example/live/a/manifest.mpd',
    // While what they describe is within the window.
    NOW: (availabilityStartMs(mpd) ?? 0) + 10_000,
    eventHandler: (event) => events.push(event),
  });
  const sound = Object.values(parsed.mediaGroups.AUDIO.audio ?? {});
  const tracks = [...parsed.playlists, ...sound.flatMap(({ playlists }) => playlists)];

  test('without complaint', () => {
    expect(events.filter(({ type }) => type !== 'info')).toEqual([]);
    expect(tracks.length).toBeGreaterThan(0);
  });

  test('and finds segments where the edge has them', () => {
    const segments = tracks.flatMap(({ segments }) => segments);
    expect(segments.length).toBeGreaterThan(0);
    const place =
      /^https:\/\/edge\.example\/live\/a\/(video|audio)-\w+~\w+~\w+\/(\d+\.m4s|init\.mp4)$/;
    for (const { resolvedUri, map } of segments) {
      expect(resolvedUri).toMatch(place);
      expect(map.resolvedUri).toMatch(place);
    }
  });

  test('and the clock', () => {
    expect(parseUTCTiming(mpd)).toMatchObject({ method: 'GET', value: '/time' });
  });
});

describe.each(playlists)('m3u8-parser reads $name', ({ text }) => {
  const complaints: string[] = [];
  const parser = new Parser();
  for (const kind of ['warn', 'error'] as const) {
    parser.on(kind, ({ message }) => complaints.push(message));
  }
  parser.push(text);
  parser.end();
  const { manifest } = parser;

  test('without complaint', () => expect(complaints).toEqual([]));

  test.runIf(text.includes('#EXT-X-STREAM-INF'))('and finds the renditions', () => {
    const track = /^(video|audio)-\w+\/index\.m3u8$/;
    for (const { uri, attributes } of manifest.playlists ?? []) {
      expect(uri).toMatch(track);
      expect(attributes.CODECS).toMatch(/^[\w.,]+$/);
      expect(attributes.BANDWIDTH).toBeGreaterThan(0);
    }
    expect(manifest.playlists).not.toEqual([]);
  });

  test.runIf(text.includes('#EXT-X-TARGETDURATION'))('and finds media within its bounds', () => {
    const { segments, targetDuration = 0, partTargetDuration = 0 } = manifest;
    expect(segments.length).toBeGreaterThan(0);
    for (const { duration, parts = [] } of segments) {
      expect(Math.round(duration ?? 0)).toBeLessThanOrEqual(targetDuration);
      for (const part of parts) expect(part.duration).toBeLessThanOrEqual(partTargetDuration);
    }
  });
});
