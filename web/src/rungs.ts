// The words of the ladder: paths, states, why an attempt failed, what happens and what is to be done.

/** The ways to play, best first: the rungs of the ladder. */
export const PATHS = ['webrtc', 'dash', 'hls'] as const;

export type Path = (typeof PATHS)[number];

export function isPath(name: unknown): name is Path {
  return PATHS.some((path) => path === name);
}

/** Whether one path is better than another. */
export function above(path: Path, other: Path): boolean {
  return PATHS.indexOf(path) < PATHS.indexOf(other);
}

/** What the viewer is told. */
export type State =
  | 'waiting' // the broadcast is known, its host has not started
  | 'connecting'
  | 'live'
  | 'reconnecting'
  | 'paused' // the encoder sends nothing at the moment
  | 'ended'
  | 'unknown' // the edge does not know this broadcast
  | 'full' // no place on any path
  | 'refused' // the edge does not let this viewer in
  | 'registering' // the host asks this viewer something first
  | 'expired' // nor any more: the token that let them in has
  | 'unplayable'; // no path works in this browser

/** Why an attempt failed, in kinds that call for different answers. */
export type Failure =
  /** This browser cannot do this path at all. */
  | { readonly kind: 'unsupported'; readonly reason: string }
  /** This path does not work for this viewer or broadcast now; another may. */
  | { readonly kind: 'unsuitable'; readonly reason: string; readonly retryAfterMs?: number | null }
  | { readonly kind: 'not-live'; readonly retryAfterMs: number | null }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ended' }
  /** This viewer is not let in, on whatever path. */
  | { readonly kind: 'refused'; readonly reason: string; readonly retryAfterMs: number | null }
  /** The edge did not answer, or not sensibly: every path goes there, so changing path is no help. */
  | { readonly kind: 'unreachable' };

/** What the edge says of the broadcast when asked. */
export type Status =
  | 'live'
  | 'away' // its encoder sends nothing now
  | 'unbegun' // nor has it ever
  | 'ended'
  | 'unknown' // the edge has none: it has never had media, or does not exist
  | 'refused' // it is not for this viewer
  | 'unreachable';

export type LadderEvent =
  | { readonly type: 'start' }
  /** The edge has answered an attempt that it was asked to hold. */
  | { readonly type: 'answered'; readonly attempt: number }
  | { readonly type: 'connected'; readonly attempt: number }
  | { readonly type: 'frame'; readonly attempt: number }
  | { readonly type: 'failed'; readonly attempt: number; readonly failure: Failure }
  | { readonly type: 'status'; readonly status: Status; readonly reason?: string | undefined }
  /** The viewer paused or resumed: frames stop because they should. */
  | { readonly type: 'hold'; readonly held: boolean }
  /** The viewer goes back within the window, or returns to live. */
  | { readonly type: 'shift'; readonly behind: boolean }
  /**
   * Another edge is asked from now on; the picture of the former stays until there is one of it. What
   * the former still says of the broadcast is not to be passed on.
   */
  | { readonly type: 'edge' }
  /** The network came back or changed: waiting any longer is pointless. */
  | { readonly type: 'network' };

export type Action =
  /** Begin an attempt behind the picture. The edge may hold it for `waitMs`, until there is media. */
  | {
      readonly type: 'start';
      readonly attempt: number;
      readonly path: Path;
      readonly waitMs: number;
    }
  /** End an attempt. */
  | { readonly type: 'stop'; readonly attempt: number }
  /** Show this attempt's picture, then stop the one shown before. */
  | { readonly type: 'promote'; readonly attempt: number }
  /** Ask the edge for the broadcast's status and report it. */
  | { readonly type: 'probe' };
