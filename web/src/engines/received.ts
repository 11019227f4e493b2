// What the browser says of the media it receives over WebRTC, between two looks at its counters
// (W3C webrtc-stats). Pure.

import type { EngineDetails } from './engine.ts';

/** The counters of one look, summed over sound and picture where they are of both. */
export interface Counters {
  readonly atMs: number;
  readonly bytes: number;
  readonly lost: number;
  readonly recovered: number;
  /** Of the picture, or of the sound where there is none. */
  readonly emitted: number;
  readonly delayS: number;
  readonly dropped: number | null;
}

/** Reads them from a report of `getStats`. */
export function countersOf(report: Iterable<object>, atMs: number): Counters {
  let [bytes, lost, recovered, emitted, delayS] = [0, 0, 0, 0, 0];
  let dropped: number | null = null;
  let seen = '';
  for (const entry of report) {
    const said = entry as RTCInboundRtpStreamStats & { retransmittedPacketsReceived?: number };
    if (said.type !== 'inbound-rtp') continue;
    bytes += (said.bytesReceived ?? 0) + (said.headerBytesReceived ?? 0);
    lost += Math.max(0, said.packetsLost ?? 0);
    recovered += said.retransmittedPacketsReceived ?? 0;
    if (said.kind === 'video') dropped = said.framesDropped ?? null;
    if (seen === 'video') continue;
    seen = said.kind;
    emitted = said.jitterBufferEmittedCount ?? 0;
    delayS = said.jitterBufferDelay ?? 0;
  }
  return { atMs, bytes, lost, recovered, emitted, delayS, dropped };
}

/** What has been between two looks, and in all. */
export function between(before: Counters | null, after: Counters): EngineDetails {
  const seconds = before ? (after.atMs - before.atMs) / 1000 : 0;
  const frames = before ? after.emitted - before.emitted : 0;
  return {
    bitrateBps: before && seconds > 0 ? ((after.bytes - before.bytes) * 8) / seconds : null,
    jitterBufferMs: before && frames > 0 ? ((after.delayS - before.delayS) / frames) * 1000 : null,
    packetsLost: after.lost,
    packetsRecovered: after.recovered,
    framesDropped: after.dropped,
  };
}
