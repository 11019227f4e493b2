import { expect, test } from 'vitest';
import { alike, captionName, isCaptions, isUnasked } from '../src/captions.ts';
import { infoOf, trackId } from '../src/info.ts';
import { renditionName } from '../src/rendition-name.ts';

const EDGE = 'https://edge.example';

test('what an edge says of a broadcast is taken as far as it is there', () => {
  const said = {
    id: 'talk',
    t0_ms: 1_795_000_000_000,
    capture_offset_ms: -12,
    oldest_ms: 810,
    window_ms: 120_000,
    starts_at: 1_795_000_100_000,
    title: ' Algebra ',
    description: ' Groups. ',
    topics: ['algebra', '', 7],
    language: 'de',
    logo: 'https://uni.example/logo.svg',
    links: [
      { title: 'Script', url: 'https://uni.example/s.pdf' },
      { title: 'x', url: 'javascript:x' },
    ],
    viewers_max: 40,
    replay: '/vod/talk',
    tracks: [
      { name: 'video/low', width: 640, height: 360, bitrate: 500_000 },
      { name: 'audio/opus', codec: 'opus', bitrate: 128_000 },
      { name: 'video/main', width: 1280, height: 720 },
    ],
    edges: ['https://b.example/', 'javascript:alert(1)', 7],
    draining: true,
  };
  expect(infoOf(said, EDGE)).toEqual({
    captureOffsetMs: -12,
    t0Ms: 1_795_000_000_000,
    oldestMs: 810,
    windowMs: 120_000,
    startsAtMs: 1_795_000_100_000,
    title: 'Algebra',
    description: 'Groups.',
    topics: ['algebra'],
    language: 'de',
    logo: 'https://uni.example/logo.svg',
    links: [{ title: 'Script', url: 'https://uni.example/s.pdf' }],
    viewersMax: 40,
    replay: 'https://edge.example/vod/talk',
    renditions: [
      { name: 'video/main', width: 1280, height: 720, bitrate: null },
      { name: 'video/low', width: 640, height: 360, bitrate: 500_000 },
    ],
    edges: ['https://b.example'],
    draining: true,
  });
});

test('nothing is made of nonsense, and no link that would run', () => {
  const nothing = infoOf(null, EDGE);
  expect(nothing).toMatchObject({ t0Ms: null, replay: null, renditions: [], draining: false });
  expect(infoOf({ logo: 'http://uni.example/logo.svg' }, EDGE).logo).toBeNull();
  for (const said of ['unknown', 7, [], { t0_ms: '3', edges: 'x', tracks: {}, title: '' }]) {
    expect(infoOf(said, EDGE)).toEqual(nothing);
  }
  expect(infoOf({ replay: 'javascript:alert(1)' }, EDGE).replay).toBeNull();
});

test('a track is found in manifests by its name, as the edge writes it', () => {
  expect(trackId('video/main')).toBe('video-main');
  expect(trackId('video/low-2')).toBe('video-low~2');
});

test('a rendition is called by its height, unless that is not enough', () => {
  const of = (name: string, height: number, bitrate: number | null) => ({
    name,
    width: 0,
    height,
    bitrate,
  });
  const all = [of('a', 720, 2_400_000), of('b', 720, null), of('c', 360, 500_000)];
  expect(all.map((each) => renditionName(each, all))).toEqual([
    '720p (2400 kbit/s)',
    '720p (b)',
    '360p',
  ]);
});

test('captions are what was said; the comments are not, and are not shown unasked', () => {
  const track = (kind: TextTrackKind, label: string, language = '') => ({ kind, label, language });
  expect(isCaptions(track('captions', 'CC1'))).toBe(true);
  expect(isCaptions(track('subtitles', 'Deutsch'))).toBe(true);
  expect(isCaptions(track('subtitles', 'Comments'))).toBe(false);
  expect(isCaptions(track('metadata', 'id3'))).toBe(false);
  expect(isUnasked(track('subtitles', 'Comments'))).toBe(true);
  expect(captionName(track('captions', '', 'de'), 'en', 'Captions')).toBe('German');
  expect(captionName(track('captions', '', 'not a tag'), 'en', 'Captions')).toBe('not a tag');
  expect(captionName(track('captions', ''), 'en', 'Captions')).toBe('Captions');
  const [en, de] = [track('captions', 'English', 'en'), track('captions', 'Untertitel', 'de')];
  expect(alike([en, de], track('subtitles', 'Deutsch', 'de'))).toBe(de);
  expect(alike([en, de], null)).toBeNull();
  expect(alike([en, de], track('captions', 'CC1'))).toBeNull();
  expect(alike([en], track('captions', 'CC1'))).toBe(en);
});
