// Every word that a viewer reads in the player, in one place, so that another language is another
// table of the same shape.

import type { Transport } from './engines/engine.ts';
import type { Path, State } from './ladder.ts';

/** What the picture says while it is not a live picture. `null`: nothing. */
export const STATE_TEXT: Record<State, { title: string; detail: string } | null> = {
  waiting: {
    title: 'Waiting for the host…',
    detail: 'The broadcast has not started yet. It begins here by itself.',
  },
  connecting: { title: 'Connecting…', detail: '' },
  live: null,
  reconnecting: { title: 'Reconnecting…', detail: 'The connection was interrupted.' },
  paused: {
    title: 'The host has paused',
    detail: 'Nothing is being sent at the moment. It goes on here by itself.',
  },
  ended: { title: 'This broadcast has ended', detail: '' },
  unknown: {
    title: 'No such broadcast',
    detail: 'Please check the link. If it is right, the host may not have set it up yet.',
  },
  unplayable: {
    title: 'This cannot be played here',
    detail: 'No way of playing works in this browser at the moment.',
  },
};

/** What stands where the picture would be, of a live broadcast without one. */
export const SOUND_ONLY_TEXT = { title: 'Sound only', detail: 'The host sends no picture.' };

/** One word for the state, beside the controls. */
export const STATE_WORD: Record<State, string> = {
  waiting: 'Waiting',
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  paused: 'Paused by host',
  ended: 'Ended',
  unknown: 'Not found',
  unplayable: 'Cannot play',
};

const PATH_TEXT: Record<Path, string> = {
  webrtc: 'WebRTC',
  dash: 'LL-DASH',
  hls: 'LL-HLS',
};

/** What plays. UDP is how WebRTC is meant to be; TCP tells why a poor network shows more. */
export function pathText(path: Path, transport: Transport | null): string {
  return PATH_TEXT[path] + (transport === 'tcp' ? ' over TCP' : '');
}

const REASON_TEXT: Record<string, string> = {
  'webrtc-unsupported': 'This browser has no WebRTC.',
  'mse-unsupported': 'This browser cannot play streamed media.',
  'no-connection':
    'No WebRTC connection could be made: the network probably blocks its port, for UDP and TCP. It is tried again now and then.',
  'no-media': 'WebRTC connected, but no picture came through it.',
  'connection-lost': 'The WebRTC connection was lost.',
  'answer-refused': 'This browser did not accept the WebRTC offer of the server.',
  undecodable: 'This browser could not decode the picture.',
  'b-frames': 'The encoder sends B-frames, which WebRTC cannot carry.',
  codec: 'The encoder sends a format that WebRTC in this browser cannot play.',
  full: 'The server has no room for another WebRTC viewer.',
  busy: 'Too many viewers were joining at once for another WebRTC viewer.',
  'client-busy': 'Too many viewers were joining from this network at once.',
  egress: 'The server has no bandwidth left for another WebRTC viewer.',
  incomplete: 'The server did not understand the WebRTC offer of this browser.',
  refused: 'The server refused WebRTC.',
  'dash-error': 'The stream could not be loaded.',
  'hls-error': 'The stream could not be loaded.',
  'hls-unsupported': 'This browser cannot play HLS.',
};

/** Why it is not WebRTC; a code that is not known here is better shown than hidden. */
export function reasonText(reason: string): string {
  return REASON_TEXT[reason] ?? `The server gave a reason: ${reason}.`;
}

/** Latency with the precision that means something: tenths of seconds from ten seconds up. */
export function latencyText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s behind live`;
}

export const CONTROL_TEXT = {
  play: 'Play',
  pause: 'Pause',
  mute: 'Mute',
  unmute: 'Unmute',
  volume: 'Volume',
  pip: 'Picture in picture',
  fullscreen: 'Full screen',
  exitFullscreen: 'Leave full screen',
  tapToUnmute: 'Tap to unmute',
  controls: 'Player controls',
  player: 'Live player',
  why: 'Why not WebRTC?',
} as const;
