// What the fake API knows of at first: broadcasts in each state, and a picture with something wrong with it.

import { BLANK } from '../../../web/src/console/draft.ts';
import type { Broadcast, Finding, Live, Point, Report } from '../../../web/src/console/model.ts';
import type { Fake } from './fake.ts';

const HOUR_MS = 3_600_000;

export function broadcast(id: string): Broadcast {
  const at = new Date().toISOString();
  return {
    ...BLANK,
    id,
    blocked: false,
    source: 'console',
    rev: 1,
    created_at: at,
    updated_at: at,
    state: 'unbegun',
    live_since: null,
    viewers: 0,
    findings: 0,
    role: 'admin',
    moderator_key: 'mod_1',
  };
}

/** A second of a picture that wavers a little. */
export function pointAt(atMs: number, index: number): Point {
  const wave = Math.sin(index / 9) + Math.sin(index / 3.7) / 3;
  const gone = index > 120 && index < 135;
  return {
    at: new Date(atMs).toISOString(),
    video_bps: gone ? 900_000 : Math.round(2_500_000 + wave * 220_000),
    audio_bps: 128_000,
    frame_rate: gone ? 19 : 30 - (index % 17 === 0 ? 1 : 0),
    jitter_ms: Math.round(Math.abs(wave) * 7 + (gone ? 60 : 3)),
  };
}

export const B_FRAMES: Finding = {
  code: 'b-frames',
  severity: 'problem',
  since: new Date(Date.now() - 90_000).toISOString(),
  title: 'Your video uses B-frames',
  detail:
    'Viewers over WebRTC would see the picture jump back and forth, so they get a version that is seconds behind.',
  remedy:
    'In OBS: Settings › Output › set Output Mode to Advanced, and Max B-frames to 0. In ffmpeg: -bf 0.',
  params: {},
};

export const QUIET: Finding = {
  code: 'audio-silent',
  severity: 'warning',
  since: new Date(Date.now() - 20_000).toISOString(),
  title: 'There is no sound',
  detail: 'Viewers hear nothing.',
  remedy: 'Check that the microphone is on, and that its level moves in the mixer of OBS.',
  params: {},
};

export const DROP: Finding = {
  code: 'bitrate-drop',
  severity: 'warning',
  since: new Date(Date.now() - 20_000).toISOString(),
  title: 'Your video has dropped from 2500 to 900 kbit/s',
  detail: 'Viewers see a blurred or blocky picture; small writing cannot be read.',
  remedy: 'Use a cable instead of Wi-Fi, and stop other uploads.',
  params: { usual_kbps: 2500, kbps: 900 },
};

/** Of a server that knows more than this console. */
export const UNKNOWN: Finding = {
  code: 'lens-cap-on',
  severity: 'problem',
  since: new Date(Date.now() - 20_000).toISOString(),
  title: 'Your picture is black',
  detail: 'Viewers see nothing.',
  remedy: 'Take the cap off the lens.',
  params: {},
};

export function liveOf(nowMs: number, findings: readonly Finding[] = []): Live {
  const since = new Date(nowMs - 25 * 60_000).toISOString();
  return {
    state: 'live',
    since,
    publisher: { protocol: 'rtmp', key: 'hall', since },
    standby: true,
    viewers: {
      total: 128,
      by_path: { webrtc: 97, dash: 22, hls: 9 },
      by_edge: [
        { edge: 'edge-1', total: 80, by_path: { webrtc: 60, dash: 15, hls: 5 } },
        { edge: 'edge-2', total: 48, by_path: { webrtc: 37, dash: 7, hls: 4 } },
      ],
    },
    report: {
      figures: {
        encoder: 'obs-output module (libobs version 31.0.0)',
        video_codec: 'avc1.64001f',
        video_profile: 'High',
        width: 1280,
        height: 720,
        frame_rate: 30,
        stated_frame_rate: 30,
        video_bps: 2_480_000,
        audio_codec: 'mp4a.40.2',
        audio_profile: 'AAC-LC',
        audio_bps: 128_000,
        sample_rate: 48_000,
        channels: 2,
        keyframe_ms: 2_000,
        keyframe_ms_max: 2_034,
        jitter_ms: 8,
        reencoding_delay_ms: null,
        av_offset_ms: 12,
        peak_dbfs: -3.2,
        rms_dbfs: -18.4,
      },
      history: Array.from({ length: 300 }, (_, index) =>
        pointAt(nowMs - (300 - index) * 1_000, index),
      ),
      findings,
    },
  };
}

/** What is said of a broadcast to which nobody publishes. */
export const NOTHING: Report = {
  figures: {
    ...{ encoder: null, video_codec: null, video_profile: null, width: null, height: null },
    ...{ frame_rate: null, stated_frame_rate: null, video_bps: null },
    ...{ audio_codec: null, audio_profile: null, audio_bps: null },
    ...{ sample_rate: null, channels: null },
    ...{ keyframe_ms: null, keyframe_ms_max: null, jitter_ms: null, av_offset_ms: null },
    reencoding_delay_ms: null,
    ...{ peak_dbfs: null, rms_dbfs: null },
  },
  history: [],
  findings: [],
};

/** A term's worth of lectures. */
export function furnish(fake: Fake): void {
  const in_ = (hours: number) => new Date(Date.now() + hours * HOUR_MS).toISOString();
  fake.put({
    id: 'algebra-1',
    title: 'Linear Algebra I',
    description: 'Vector spaces, linear maps, determinants.',
    topics: ['Mathematics', 'First year'],
    language: 'en',
    attendance: true,
    links: [{ title: 'Slides', url: 'https://uni.example/algebra/slides.pdf' }],
    findings: 2,
  });
  fake.keys.set('algebra-1', [
    {
      id: 'hall',
      label: 'Lecture hall 3',
      use: 'primary',
      hint: '…a1b2',
      created_at: in_(-700),
      used_at: in_(-0.5),
      revoked_at: null,
      key: 'secret-of-the-hall',
    },
    {
      id: 'backup',
      label: 'Backup laptop',
      use: 'backup',
      hint: '…9f3c',
      created_at: in_(-700),
      used_at: null,
      revoked_at: null,
      key: 'secret-of-the-backup',
    },
  ]);
  fake.goLive('algebra-1', liveOf(Date.now(), [QUIET, B_FRAMES]));
  fake.put({
    id: 'physics',
    title: 'Experimental Physics',
    topics: ['Physics'],
    starts_at: in_(2),
  });
  fake.put({
    id: 'colloquium',
    title: 'Colloquium: What Computers Cannot Do',
    topics: ['Computer science', 'Guests'],
    starts_at: in_(26),
    visibility: 'token',
  });
  fake.put({ id: 'old', title: 'Opening of the Academic Year', state: 'ended' });
  const provisioned = { source: 'config', created_at: null, updated_at: null } as const;
  fake.put({ id: 'lobby-screen', title: 'Screen in the foyer', ...provisioned });
  fake.put({ id: 'door-screen', title: 'Screen at the door', ...provisioned });
  fake.put({ id: 'secret', title: 'Senate', visibility: 'unlisted', blocked: true });
}
