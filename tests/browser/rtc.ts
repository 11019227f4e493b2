// What the browser itself says of its WebRTC connections: getStats of every peer connection of a page.

import type { Page } from 'playwright-core';

declare global {
  interface Window {
    /** Every connection that the page has made, oldest first. */
    peerConnections: RTCPeerConnection[];
  }
}

/** Keeps hold of the connections that a page makes; to be called before it is loaded. */
export async function recordConnections(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const Original = window.RTCPeerConnection;
    window.peerConnections = [];
    window.RTCPeerConnection = class extends Original {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        window.peerConnections.push(this);
      }
    };
  });
}

/** The counters of W3C webrtc-stats `RTCInboundRtpStreamStats` that health is read from. */
export interface Received {
  readonly framesDecoded: number;
  readonly freezes: number;
  readonly emitted: number;
  /** Seconds that the emitted frames spent in the jitter buffer, summed. */
  readonly delayS: number;
  /** The same as the network alone would have it, without waiting for the sound. */
  readonly minimumDelayS: number;
}

/** What the page's newest connection received of the video. */
export async function receivedVideo(page: Page): Promise<Received> {
  const stats = await page.evaluate(async () => {
    const report = await window.peerConnections.at(-1)?.getStats();
    for (const entry of report?.values() ?? []) {
      if (entry.type === 'inbound-rtp' && entry.kind === 'video') return entry;
    }
    return null;
  });
  if (!stats) throw new Error('no video is received');
  return {
    framesDecoded: stats.framesDecoded ?? 0,
    freezes: stats.freezeCount ?? 0,
    emitted: stats.jitterBufferEmittedCount ?? 0,
    delayS: stats.jitterBufferDelay ?? 0,
    minimumDelayS: stats.jitterBufferMinimumDelay ?? 0,
  };
}
