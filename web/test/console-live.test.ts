import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Feed, type FeedHost } from '../src/console/feed.ts';
import { decibels, shareOf } from '../src/console/level.ts';
import { byWeight, checksOf, withNews, withNewsOf } from '../src/console/live-state.ts';
import type { Broadcast, Finding, Live, Point } from '../src/console/model.ts';
import { opusAsWanted, preferred } from '../src/console/whip.ts';

const SINCE = '2026-11-22T10:00:00.000Z';
const NOW = Date.parse(SINCE) + 60_000;

const point = (second: number): Point => ({
  at: new Date(Date.parse(SINCE) + second * 1_000).toISOString(),
  video_bps: second,
  audio_bps: null,
  frame_rate: null,
  jitter_ms: null,
});

function liveWith(history: readonly Point[], findings: readonly Finding[] = []): Live {
  return {
    state: 'live',
    since: SINCE,
    publisher: { protocol: 'rtmp', key: 'k', since: SINCE },
    standby: false,
    viewers: { total: 0, by_path: {}, by_edge: [] },
    report: { figures: {} as never, history, findings },
  };
}

const finding = (code: string, severity: Finding['severity'], since = SINCE): Finding => ({
  ...{ code, severity, since, title: code, detail: '', remedy: '', params: {} },
});

test('the history goes on with each second, once, and for five minutes', () => {
  const before = liveWith([point(1)]);
  const news = (second: number) => liveWith([point(second)]);
  const next = withNews(before, news(2));
  expect(next.report?.history).toEqual([point(1), point(2)]);
  expect(withNews(next, news(2)).report?.history).toHaveLength(2);
  expect(withNews(next, news(1)).report?.history).toHaveLength(2);
  expect(withNews(next, liveWith([])).report?.history).toHaveLength(2);
  let long: Live = before;
  for (let second = 2; second < 400; second += 1) long = withNews(long, news(second));
  expect(long.report?.history).toHaveLength(300);
  expect(long.report?.history.at(-1)).toEqual(point(399));
  expect(withNews(before, { ...liveWith([]), report: null }).report).toBeNull();
});

test('another encoder has a history of its own', () => {
  const publisher = { protocol: 'whip' as const, key: 'b', since: '2026-11-22T10:00:08.000Z' };
  const other = { ...liveWith([point(9)]), publisher };
  expect(withNews(liveWith([point(1)]), other).report?.history).toEqual([point(9)]);
});

test('news has not the key of moderators, and takes it from nobody', () => {
  const news = { id: 'a', viewers: 2, moderator_key: null } as unknown as Broadcast;
  const known = { ...news, viewers: 1, moderator_key: 'mod_1' };
  expect(withNewsOf(known, news)).toMatchObject({ viewers: 2, moderator_key: 'mod_1' });
  expect(withNewsOf(known, { ...news, moderator_key: 'mod_2' }).moderator_key).toBe('mod_2');
  expect(withNewsOf(null, news).moderator_key).toBeNull();
});

test('the worst is said first', () => {
  const all = [
    finding('c', 'hint'),
    finding('b', 'warning'),
    finding('a', 'problem'),
    finding('old', 'warning', '2026'),
  ];
  expect(byWeight(all).map(({ code }) => code)).toEqual(['a', 'old', 'b', 'c']);
});

test('the checklist ticks itself', () => {
  expect(checksOf(0, null, NOW)).toEqual({
    ...{ key: 'open', encoder: 'open', picture: 'open', viewers: 'open' },
  });
  expect(checksOf(1, null, NOW)).toMatchObject({ key: 'done', encoder: 'open' });
  const live = liveWith([]);
  expect(checksOf(1, live, Date.parse(SINCE) + 1_000)).toMatchObject({
    ...{ encoder: 'done', picture: 'open', viewers: 'open' },
  });
  const seenBy = (total: number): Live => ({ ...live, viewers: { ...live.viewers, total } });
  expect(checksOf(1, seenBy(1), NOW).viewers).toBe('done');
  // One's own preview is nobody, and who watched before it began does not tick it.
  expect(checksOf(1, seenBy(1), NOW, 1).viewers).toBe('open');
  expect(checksOf(1, seenBy(2), NOW, 1).viewers).toBe('done');
  expect(checksOf(1, { ...seenBy(3), state: 'away', publisher: null }, NOW).viewers).toBe('open');
  expect(checksOf(0, live, NOW)).toMatchObject({ key: 'done', picture: 'done' });
  expect(checksOf(1, liveWith([], [finding('x', 'warning')]), NOW).picture).toBe('trouble');
  expect(checksOf(1, liveWith([], [finding('x', 'hint')]), NOW).picture).toBe('done');
  const sent = { ...liveWith([], [finding('video-refused', 'problem')]), publisher: null };
  expect(checksOf(1, { ...sent, state: 'unbegun' }, NOW)).toMatchObject({
    ...{ encoder: 'trouble', picture: 'open' },
  });
  expect(checksOf(1, { ...live, state: 'away', publisher: null }, NOW).encoder).toBe('trouble');
});

test('H.264 comes first, in the way that has large pictures', () => {
  const codec = (mimeType: string, sdpFmtpLine = '') => ({ mimeType, sdpFmtpLine });
  const all = [
    codec('video/VP8'),
    codec('video/rtx', 'apt=96'),
    codec('video/H264', 'packetization-mode=0'),
    codec('video/AV1'),
    codec('video/H264', 'packetization-mode=1;profile-level-id=42e01f'),
  ];
  expect(preferred(all).map(({ mimeType, sdpFmtpLine }) => mimeType + sdpFmtpLine)).toEqual([
    'video/H264packetization-mode=1;profile-level-id=42e01f',
    'video/H264packetization-mode=0',
    'video/VP8',
    'video/rtxapt=96',
    'video/AV1',
  ]);
});

test('speech is offered in stereo and without gaps', () => {
  const sdp = 'a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;usedtx=1;useinbandfec=1\r\n';
  expect(opusAsWanted(sdp)).toBe(
    'a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1;stereo=1;usedtx=0\r\n',
  );
  expect(opusAsWanted('v=0\r\n')).toBe('v=0\r\n');
});

test('a meter has silence at one end and the loudest at the other', () => {
  expect(decibels(new Float32Array(16))).toBe(-60);
  expect(decibels(new Float32Array(16).fill(1))).toBe(0);
  expect(decibels(new Float32Array(16).fill(0.5))).toBeCloseTo(-6.02, 1);
  expect([shareOf(-90), shareOf(-30), shareOf(3)]).toEqual([0, 0.5, 1]);
});

/** An `EventSource` that does what it is told. */
class FakeSource extends EventTarget {
  static all: FakeSource[] = [];
  readyState = 0;
  constructor(readonly url: string) {
    super();
    FakeSource.all.push(this);
  }
  close() {
    this.readyState = 2;
  }
  opened() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }
  failed(readyState: 0 | 2) {
    this.readyState = readyState;
    this.dispatchEvent(new Event('error'));
  }
  tells(type: string, data: string) {
    this.dispatchEvent(new MessageEvent(type, { data }));
  }
}

let heard: string[];
let feed: Feed;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
  heard = [];
  const host: FeedHost = {
    broadcast: ({ id }) => heard.push(`broadcast ${id}`),
    deleted: (id) => heard.push(`deleted ${id}`),
    live: (id) => heard.push(`live ${id}`),
    missed: () => heard.push('missed'),
    connected: (connected) => heard.push(connected ? 'connected' : 'away'),
    refused: () => heard.push('refused'),
  };
  feed = new Feed({
    url: (live) => `/events?${live ?? ''}`,
    host,
    create: (url) => new FakeSource(url) as unknown as EventSource,
    random: () => 0,
  });
});
afterEach(() => {
  feed.stop();
  vi.useRealTimers();
});

const last = () => FakeSource.all.at(-1) as FakeSource;

test('news is told, and nonsense is not', () => {
  feed.start();
  last().opened();
  last().tells('broadcast', '{"id":"a"}');
  last().tells('deleted', '{"id":"b"}');
  last().tells('broadcast', 'nonsense');
  expect(heard).toEqual(['broadcast a', 'deleted b']);
  feed.follow('c');
  expect(FakeSource.all).toHaveLength(2);
  expect(FakeSource.all[0]?.readyState).toBe(2);
  last().opened();
  last().tells('live', '{}');
  // What came while it was changing over was missed.
  expect(heard.slice(2)).toEqual(['missed', 'live c']);
});

test('a stream that ends and comes back is nothing to speak of', () => {
  feed.start();
  last().opened();
  last().failed(0);
  vi.advanceTimersByTime(2_000);
  last().opened();
  vi.advanceTimersByTime(60_000);
  expect(heard).toEqual(['missed']);
});

test('a server that is away is asked more and more seldom, until it is back', () => {
  feed.start();
  last().opened();
  last().failed(2);
  expect(heard).toEqual(['refused', 'away']);
  for (const pauseMs of [1_000, 2_000, 4_000]) {
    const before = FakeSource.all.length;
    vi.advanceTimersByTime(pauseMs - 1);
    expect(FakeSource.all).toHaveLength(before);
    vi.advanceTimersByTime(1);
    expect(FakeSource.all).toHaveLength(before + 1);
    last().failed(2);
  }
  feed.hurry();
  last().opened();
  expect(heard.slice(-2)).toEqual(['connected', 'missed']);
});

test('a stream that does not come back by itself for long is told', () => {
  feed.start();
  last().opened();
  for (let second = 0; second < 5; second += 1) {
    last().failed(0);
    vi.advanceTimersByTime(1_000);
  }
  expect(heard).toEqual(['away']);
  last().opened();
  expect(heard).toEqual(['away', 'connected', 'missed']);
});

const HIDDEN_MS = 5_000;

test('a page that nobody looks at holds no connection, and asks anew when it is seen', () => {
  feed.start();
  last().opened();
  feed.shown(false);
  vi.advanceTimersByTime(HIDDEN_MS - 1);
  expect(last().readyState).toBe(1);
  vi.advanceTimersByTime(1);
  expect(last().readyState).toBe(2);
  // Nothing opens another meanwhile: neither what is looked at, nor a network that is back, nor time.
  feed.follow('c');
  feed.hurry();
  vi.advanceTimersByTime(600_000);
  expect(FakeSource.all).toHaveLength(1);
  expect(heard).toEqual([]);
  feed.shown(true);
  expect(FakeSource.all).toHaveLength(2);
  expect(last().url).toBe('/events?c');
  last().opened();
  expect(heard).toEqual(['missed']);
});

test('who looks elsewhere for a moment keeps the connection', () => {
  feed.start();
  last().opened();
  feed.shown(false);
  vi.advanceTimersByTime(HIDDEN_MS - 1);
  feed.shown(true);
  vi.advanceTimersByTime(60_000);
  expect(FakeSource.all).toHaveLength(1);
  expect(last().readyState).toBe(1);
  expect(heard).toEqual([]);
});

test('a server that is away is not asked by a hidden page', () => {
  feed.start();
  last().failed(2);
  feed.shown(false);
  vi.advanceTimersByTime(HIDDEN_MS);
  const before = FakeSource.all.length;
  vi.advanceTimersByTime(600_000);
  expect(FakeSource.all).toHaveLength(before);
});

test('a tab that was opened behind others misses what happens until it is seen', () => {
  feed.shown(false);
  vi.advanceTimersByTime(HIDDEN_MS);
  feed.start();
  expect(FakeSource.all).toHaveLength(0);
  feed.shown(true);
  last().opened();
  expect(heard).toEqual(['missed']);
});

test('who has signed out is told nothing when the page is seen again', () => {
  feed.start();
  last().opened();
  feed.shown(false);
  vi.advanceTimersByTime(HIDDEN_MS);
  feed.stop();
  feed.shown(true);
  expect(FakeSource.all).toHaveLength(1);
});
