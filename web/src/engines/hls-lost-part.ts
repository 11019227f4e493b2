// A mend for hls.js 1.7.4, which can lose the last part of a segment and then stands still for good:
// when the playlist tells of that part while hls.js appends the one before it, it takes the segment for
// complete, and asks neither for the part nor for what follows. Seen once in some thirty starts.

import type Hls from 'hls.js';
import type { Events } from 'hls.js';

/**
 * Steps over the lost part, once `player` says that it stands still while the playlist goes on.
 * Refers to nothing outside itself, because a test hands its text to a page.
 */
export function stepOverLostPart(player: Hls): void {
  /** As far as this the playlist is ahead of what is there before anything is taken for lost. */
  const goneOnS = 0.75;
  /** More than the last part of a segment lasts, and little enough to be in the playlist by then. */
  const stepS = 0.5;
  let standing = false;
  player.on('hlsError' as Events.ERROR, (_event, { details }) => {
    if (details === 'bufferStalledError') standing = true;
  });
  player.on('hlsLevelUpdated' as Events.LEVEL_UPDATED, (_event, { details }) => {
    const { media } = player;
    const end = player.mainForwardBufferInfo?.end;
    if (!standing || !media || end === undefined || details.edge - end < goneOnS) return;
    standing = false;
    // Anything played since shows that nothing was lost.
    if (media.readyState > HTMLMediaElement.HAVE_CURRENT_DATA || media.paused) return;
    media.currentTime = Math.max(player.liveSyncPosition ?? 0, end + stepS);
  });
}
