// The manifests that the edge's own tests hold as golden files, read by parsers that players use.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ParserEvent, parse, parseUTCTiming } from 'mpd-parser';
import { describe, expect, test } from 'vitest';
import { availabilityStartMs } from '../src/engines/dash.ts';

const GOLDEN = fileURLToPath(new URL('../../edge/src/dash/golden/', import.meta.url));
const manifests = readdirSync(GOLDEN).filter((name) => name.endsWith('.mpd'));

test('there are manifests', () => expect(manifests).not.toEqual([]));

describe.each(manifests)('mpd-parser reads %s', (name) => {
  const mpd = readFileSync(GOLDEN + name, 'utf8');
  const events: ParserEvent[] = [];
  const parsed = parse(mpd, {
    manifestUri: 'https://edge.example/live/a/manifest.mpd',
    // While what they describe is within the window.
    NOW: (availabilityStartMs(mpd) ?? 0) + 10_000,
    eventHandler: (event) => events.push(event),
  });
  const sound = Object.values(parsed.mediaGroups.AUDIO.audio ?? {});
  const playlists = [...parsed.playlists, ...sound.flatMap(({ playlists }) => playlists)];

  test('without complaint', () => {
    expect(events.filter(({ type }) => type !== 'info')).toEqual([]);
    expect(playlists.length).toBeGreaterThan(0);
  });

  test('and finds segments where the edge has them', () => {
    const segments = playlists.flatMap(({ segments }) => segments);
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
