import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Report } from '../src/experience.ts';
import { Session } from '../src/session.ts';

/** As much of a video element as the browser's own HLS needs. */
class FakeVideo extends EventTarget {
  currentTime = 0;
  videoWidth = 640;
  seeking = false;
  src = '';
  canPlayType = () => 'maybe';
  play = async () => {};
  load() {}
  remove() {}
  removeAttribute() {}
}

const [A, B] = ['https://a.example', 'https://b.example'];
/** Edges that say that they are about to stop. */
let draining: Set<string>;
/** Edges that answer nothing. */
let down: Set<string>;
/** Edges that have no place for another viewer. */
let full: Set<string>;
/** The host has paused. */
let away: boolean;
/** What edges were asked for. */
let asked: string[];
/** Edges that have lost their upstream. */
let cutOff: Set<string>;
/** What the edges were told that is played, oldest first. */
let told: [edge: string, on: string | null][];
let videos: FakeVideo[];
let session: Session;

beforeEach(() => {
  vi.useFakeTimers();
  draining = new Set();
  cutOff = new Set();
  down = new Set();
  full = new Set();
  asked = [];
  away = false;
  told = [];
  videos = [];
  vi.stubGlobal('navigator', { onLine: true });
  const page = Object.assign(new EventTarget(), { baseURI: 'https://uni.example/', hidden: false });
  vi.stubGlobal('document', page);
  vi.stubGlobal('fetch', async (to: string, { body = '' }: { body?: string } = {}) => {
    const { origin, pathname } = new URL(to);
    if (down.has(origin)) throw new TypeError('refused');
    asked.push(origin + pathname);
    if (full.has(origin) && pathname.endsWith('.m3u8')) {
      const headers = { 'Lectern-Reason': 'full', 'Retry-After': '10' };
      return new Response(null, { status: 429, headers });
    }
    const cut = { state: 'away', t0_ms: 1, cut_off: true };
    const state = away ? { state: 'away', t0_ms: 1 } : {};
    const live = { ...state, ...(draining.has(origin) && { draining: true }) };
    if (pathname === '/live/talk') return Response.json(cutOff.has(origin) ? cut : live);
    if (!pathname.endsWith('/experience')) return Response.json({});
    told.push([origin, (JSON.parse(body) as Report).viewer.on]);
    const headers = new Headers();
    if (draining.has(origin)) headers.set('Lectern-Reason', 'draining');
    return new Response(null, { status: 204, headers });
  });
  const createVideo = () => {
    videos.push(new FakeVideo());
    return videos.at(-1) as unknown as HTMLVideoElement;
  };
  const host = { createVideo, promoted: () => {}, changed: () => {} };
  session = new Session({ src: `${A}/live/talk`, pin: 'hls', edges: B, token: '' }, host);
});

afterEach(() => {
  session.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Lets the newest video's picture move for so long. */
async function play(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    await vi.advanceTimersByTimeAsync(250);
    const video = videos.findLast(({ src }) => src);
    if (!video) continue;
    video.currentTime += 0.25;
    video.dispatchEvent(new Event('timeupdate'));
  }
}

test('an edge that stops is left as soon as there is somewhere to go', async () => {
  draining.add(A);
  vi.stubGlobal('navigator', { onLine: false });
  await play(9_000);
  expect(session.draining).toBe(true);
  expect(session.src).toBe(`${A}/live/talk`);
  vi.stubGlobal('navigator', { onLine: true });
  await play(15_000);
  expect(session.src).toBe(`${B}/live/talk`);
  expect(session.draining).toBe(false);
});

test('of two edges that are replaced in turn the second is left for the first again', async () => {
  await play(1_000);
  draining.add(A);
  await play(13_000);
  expect(session.src).toBe(`${B}/live/talk`);
  draining.add(B);
  await play(9_000);
  expect(session.src, 'both are about to stop: it plays on').toBe(`${B}/live/talk`);
  expect(session.draining).toBe(true);
  draining.delete(A);
  await play(6_000);
  expect(session.src, 'left less than 20 s ago, and new since').toBe(`${A}/live/talk`);
  expect(session.draining).toBe(false);
});

test('an edge that is about to stop plays on while the other is gone for good', async () => {
  await play(1_000);
  draining.add(A);
  await play(13_000);
  expect(session.src).toBe(`${B}/live/talk`);
  down.add(A);
  draining.add(B);
  await play(9_000);
  for (let seconds = 0; seconds < 40; seconds += 1) {
    await play(1_000);
    expect(session.src).toBe(`${B}/live/talk`);
    expect(session.draining).toBe(true);
  }
  // It was replaced where it is: nobody looks for another any more.
  draining.delete(B);
  await play(11_000);
  expect(session.draining).toBe(false);
  down.delete(A);
  asked = [];
  await play(9_000);
  expect(session.src).toBe(`${B}/live/talk`);
  expect(asked.filter((edge) => edge === `${A}/live/talk`)).toEqual([]);
});

test('an edge that is about to stop plays on where the other has nothing to show', async () => {
  cutOff.add(B);
  await play(1_000);
  draining.add(A);
  await play(25_000);
  expect(session.src).toBe(`${A}/live/talk`);
  cutOff.delete(B);
  await play(8_000);
  expect(session.src).toBe(`${B}/live/talk`);
});

test('an edge that had no place is tried again while the one that is about to stop plays on', async () => {
  full.add(B);
  await play(1_000);
  draining.add(A);
  await play(30_000);
  expect(told.at(-1), 'it still plays').toEqual([A, 'hls']);
  full.delete(B);
  await play(22_000);
  expect(told.at(-1)).toEqual([B, 'hls']);
});

test('while the host is away an edge that is about to stop is left for one that knows of the broadcast', async () => {
  await play(3_000);
  away = true;
  await vi.advanceTimersByTimeAsync(9_000);
  draining.add(A);
  await vi.advanceTimersByTimeAsync(40_000);
  expect(session.src).toBe(`${B}/live/talk`);
});

test('of edges that have no place none is asked without end', async () => {
  full = new Set([A, B]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.filter((path) => path.endsWith('.m3u8')).length).toBeLessThan(20);
  expect(asked.length).toBeLessThan(60);
});

test('an edge that dies is left for one that was left a moment ago and is well again', async () => {
  await play(1_000);
  draining.add(A);
  await play(13_000);
  expect(session.src).toBe(`${B}/live/talk`);
  draining.delete(A);
  down.add(B);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(session.src).toBe(`${A}/live/talk`);
});

test('an edge is told when its viewer has left for another, and not before', async () => {
  await play(9_000);
  expect(told).toEqual([[A, 'hls']]);
  draining.add(A);
  await play(15_000);
  expect(told).toEqual([
    [A, 'hls'],
    [A, 'hls'],
    [A, null],
    [B, 'hls'],
    [B, 'hls'],
  ]);
});

test('an edge that has lost its upstream is left for one that has not, and for no other', async () => {
  await play(9_000);
  cutOff = new Set([A, B]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(session.src, 'nobody has more').toBe(`${A}/live/talk`);
  cutOff.delete(B);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(session.src).toBe(`${B}/live/talk`);
});
