// What stands where the picture would be: which words, for which state, and what may be done. Pure.

import type { Info } from './info.ts';
import type { State } from './ladder.ts';
import { type Message, reasonText, type Texts } from './texts/texts.ts';
import { clockText } from './window.ts';

export interface Situation {
  readonly state: State;
  readonly info: Pick<Info, 'startsAtMs' | 'title' | 'replay'> | null;
  /** Why it is not WebRTC; says more where nothing plays at all. */
  readonly fallbackReason: string | null;
  /** Why the edge has no place, or does not let in. */
  readonly refusal: string | null;
  /** In how many ms it is tried again. */
  readonly retryInMs: number | null;
  /** The edge is about to stop. */
  readonly draining: boolean;
  /** There is no picture, nor will there be one. */
  readonly soundOnly: boolean;
  readonly nowMs: number;
}

export interface Said extends Message {
  /** Something is being waited for, and the waiting should look alive. */
  readonly pending: boolean;
  /** It changes every second. */
  readonly counts: boolean;
  /** Where the recording is. */
  readonly replay: string | null;
}

const PENDING: ReadonlySet<State> = new Set([
  'waiting',
  'connecting',
  'reconnecting',
  'paused',
  'full',
]);

const COUNTS = { counts: true } as const;

/** `null`: the picture speaks for itself. */
export function messageOf(texts: Texts, situation: Situation): Said | null {
  const { state, info, retryInMs } = situation;
  const said = (message: Message, more: Partial<Said> = {}): Said => ({
    ...message,
    pending: PENDING.has(state),
    counts: false,
    replay: null,
    ...more,
  });
  if (state === 'live') return situation.soundOnly ? said(texts.soundOnly) : null;
  const message = texts.states[state];
  if (!message) return null;
  const seconds = retryInMs === null ? 0 : Math.ceil(retryInMs / 1000);
  const again = seconds > 1 ? texts.againIn(`${seconds}`) : '';
  switch (state) {
    case 'waiting':
    case 'unknown':
      return scheduled(texts, situation, said) ?? said(message);
    case 'reconnecting':
    case 'connecting':
      if (!situation.draining) return said(message);
      return said({ title: message.title, detail: texts.controls.moving });
    case 'ended':
      return said(message, { replay: info?.replay ?? null });
    case 'unplayable': {
      const why = situation.fallbackReason;
      return said(why ? { title: message.title, detail: reasonText(texts, why) } : message);
    }
    case 'full': {
      const ofHost = situation.refusal === 'broadcast-full';
      const why = ofHost ? reasonText(texts, 'broadcast-full') : message.detail;
      return said({ title: message.title, detail: joined(texts, why, again) }, COUNTS);
    }
    case 'refused': {
      const why = situation.refusal;
      // Nothing comes of waiting.
      if (why?.startsWith('token-')) {
        return said({ title: message.title, detail: reasonText(texts, why) });
      }
      const known = why && why !== 'not-allowed' ? reasonText(texts, why) : message.detail;
      return said({ title: message.title, detail: joined(texts, known, again) }, COUNTS);
    }
    default:
      return said(message);
  }
}

/** Of a broadcast whose beginning is known and has not come. */
function scheduled(
  texts: Texts,
  { info, nowMs }: Situation,
  said: (message: Message, more?: Partial<Said>) => Said,
): Said | null {
  const at = info?.startsAtMs ?? null;
  if (at === null || at <= nowMs) return null;
  const title = texts.beginsAt(momentText(texts.lang, at, nowMs));
  return said(
    { title, detail: texts.beginsIn(clockText(at - nowMs)) },
    { pending: true, counts: true },
  );
}

/** The time of day; with the day where that is another. */
export function momentText(lang: string, atMs: number, nowMs: number): string {
  const [at, now] = [new Date(atMs), new Date(nowMs)];
  const today = at.toDateString() === now.toDateString();
  const day = today ? {} : ({ weekday: 'short', day: 'numeric', month: 'short' } as const);
  return at.toLocaleString(lang, { ...day, hour: 'numeric', minute: '2-digit' });
}

function joined(texts: Texts, first: string, then: string): string {
  return [first, then].filter(Boolean).join(texts.lang.startsWith('zh') ? '' : ' ');
}
