// Every word that a viewer reads, by language: which table it is, and the few sentences that are put
// together. A language is a file of the same shape, and its line below.

import type { Choice } from '../comments/moderation.ts';
import type { Transport } from '../engines/engine.ts';
import type { Path, State } from '../ladder.ts';
import { de } from './de.ts';
import { en } from './en.ts';
import { es } from './es.ts';
import { pt } from './pt.ts';
import { zh } from './zh.ts';

/** Why it is not WebRTC, as far as it has words of its own. */
export type Reason =
  | 'answer-refused'
  | 'b-frames'
  | 'broadcast-full'
  | 'busy'
  | 'client-busy'
  | 'codec'
  | 'connection-lost'
  | 'draining'
  | 'egress'
  | 'full'
  | 'incomplete'
  | 'no-connection'
  | 'no-media'
  | 'not-allowed'
  | 'refused'
  | 'token-expired'
  | 'token-invalid'
  | 'token-missing'
  | 'token-wrong-broadcast'
  | 'undecodable'
  | 'webrtc-unsupported';

/** Why a comment is not taken (docs/comments.md). */
export type Refusal =
  | 'blocked'
  | 'busy'
  | 'closed'
  | 'control-characters'
  | 'empty'
  | 'hidden-characters'
  | 'link'
  | 'media-time'
  | 'not-allowed'
  | 'not-moderator'
  | 'not-yours'
  | 'repeated'
  | 'slow-mode'
  | 'stacked-marks'
  | 'too-fast'
  | 'too-long'
  | 'unavailable'
  | 'unknown-broadcast'
  | 'unknown-comment';

/** What is wrong with an answer of who registers (docs/access.md). */
export type Fault = 'required' | 'kind' | 'too-long' | 'line' | 'email' | 'option' | 'unknown';

export interface Message {
  readonly title: string;
  readonly detail: string;
}

export interface Texts {
  /** BCP 47. */
  readonly lang: string;
  /** What stands where the picture would be; `null`: nothing. */
  readonly states: Readonly<Record<State, Message | null>>;
  /** One word for the state, beside the controls. */
  readonly words: Readonly<Record<State, string>>;
  /** Of a live broadcast without a picture. */
  readonly soundOnly: Message;
  readonly reasons: Readonly<Record<Reason, string>>;
  /** For a reason of the server's that has no words here: better shown than hidden. */
  readonly otherReason: (code: string) => string;
  /** The latency, of so many seconds in words of the language. */
  readonly behind: (seconds: string) => string;
  /** How far back one is, by choice; the time as a clock has it. */
  readonly behindLive: (time: string) => string;
  /** What is played while the choice of quality is left to the player. */
  readonly autoNow: (name: string) => string;
  /** When a broadcast is to begin, and in how long. */
  readonly beginsAt: (time: string) => string;
  readonly beginsIn: (time: string) => string;
  /** When it is tried again by itself. */
  readonly againIn: (seconds: string) => string;
  /** WebRTC's media over TCP. */
  readonly overTcp: (path: string) => string;
  readonly controls: Readonly<
    Record<
      | 'play'
      | 'pause'
      | 'mute'
      | 'unmute'
      | 'volume'
      | 'pip'
      | 'fullscreen'
      | 'exitFullscreen'
      | 'tapToUnmute'
      | 'controls'
      | 'player'
      | 'why'
      | 'live'
      | 'toLive'
      | 'atLive'
      | 'seek'
      | 'captions'
      | 'showCaptions'
      | 'hideCaptions'
      | 'noCaptions'
      | 'unnamed'
      | 'exitPip'
      | 'settings'
      | 'quality'
      | 'auto'
      | 'stats'
      | 'copy'
      | 'copied'
      | 'close'
      | 'replay'
      | 'moving',
      string
    >
  >;
  /** What the panel for those who want to know calls what it shows. */
  readonly stats: Readonly<
    Record<
      | 'path'
      | 'why'
      | 'latency'
      | 'behind'
      | 'jitterBuffer'
      | 'packets'
      | 'recovered'
      | 'bitrate'
      | 'picture'
      | 'rendition'
      | 'frameRate'
      | 'dropped'
      | 'buffer'
      | 'window'
      | 'edge'
      | 'session'
      | 'shifted',
      string
    >
  >;
  readonly comments: Readonly<
    Record<
      | 'title'
      | 'connecting'
      | 'reconnecting'
      | 'full'
      | 'closed'
      | 'loading'
      | 'none'
      | 'readOnly'
      | 'name'
      | 'writingAs'
      | 'changeName'
      | 'nameMissing'
      | 'text'
      | 'placeholder'
      | 'hint'
      | 'send'
      | 'sending'
      | 'sentAgain'
      | 'failed'
      | 'retry'
      | 'edit'
      | 'discard'
      | 'you'
      | 'delete'
      | 'deleting'
      | 'notDeleted'
      | 'earlier'
      | 'newer',
      string
    >
  > & {
    /** So many characters may still be written; below zero, so many are too many. */
    readonly left: (count: number) => string;
    readonly refusals: Readonly<Record<Refusal, string>>;
    /** For a refusal that has no words here. */
    readonly otherRefusal: (code: string) => string;
  };
  /** Order in the room: moderators, questions, reactions, and who is there. */
  readonly room: Readonly<
    Record<
      | 'view'
      | 'questions'
      | 'waiting'
      | 'noQuestions'
      | 'nothingWaiting'
      | 'question'
      | 'ask'
      | 'answered'
      | 'vote'
      | 'enlarge'
      | 'reduce'
      | 'pinned'
      | 'moderator'
      | 'youModerate'
      | 'wrongKey'
      | 'keyElsewhere'
      | 'closed'
      | 'closedToOthers'
      | 'approvalOn'
      | 'held'
      | 'heldHere'
      | 'approve'
      | 'reject'
      | 'marking'
      | 'settings'
      | 'close'
      | 'closing'
      | 'approval'
      | 'slow'
      | 'slowOff'
      | 'blocks'
      | 'noBlocks'
      | 'writer'
      | 'address'
      | 'forGood'
      | 'unblock'
      | 'unblocked'
      | 'exports'
      | 'older'
      | 'notDone'
      | 'notVoted'
      | 'notListed'
      | 'reactions'
      | 'attendance'
      | 'attend'
      | 'leave',
      string
    >
  > & {
    /** How many watch. */
    readonly viewers: (count: number) => string;
    /** How many want a question answered. */
    readonly votes: (count: number) => string;
    /** What opens what a moderator can do with somebody's comment. */
    readonly menu: (user: string) => string;
    readonly choices: Readonly<Record<Choice, string>>;
    readonly muted: (user: string, duration: string) => string;
    readonly blocked: (user: string) => string;
    readonly until: (time: string) => string;
    readonly slowOn: (duration: string) => string;
    readonly slowWait: (duration: string) => string;
    /** What a file would have in it. */
    readonly exported: (count: number) => string;
    readonly react: (emoji: string) => string;
    /** Under which name the viewer is on the list. */
    readonly attending: (name: string) => string;
  };
  /** What is asked of those who want to watch. */
  readonly registration: Readonly<
    Record<
      | 'title'
      | 'loading'
      | 'optional'
      | 'choose'
      | 'send'
      | 'sending'
      | 'unreachable'
      | 'changed'
      | 'full',
      string
    >
  > & {
    /** It did not work, and may in so many seconds. */
    readonly later: (seconds: string) => string;
    readonly faults: Readonly<Record<Fault, string>>;
  };
  readonly lobby: {
    readonly title: string;
    readonly looking: string;
    readonly unreachable: string;
    readonly since: (time: string) => string;
    readonly none: string;
    readonly search: string;
    readonly liveNow: string;
    readonly coming: string;
    readonly others: string;
    readonly topics: string;
    /** Of any topic. */
    readonly all: string;
    readonly notFound: string;
    /** How to start from OBS; `<b>` marks words of its menus. */
    readonly obs: string;
    readonly server: string;
    readonly streamKey: string;
    readonly yourStreamKey: string;
    readonly obsOutput: string;
  };
}

const LANGUAGES: readonly Texts[] = [en, de, pt, es, zh];

/** The texts for the first of these languages (BCP 47, best first) that there are texts for. */
export function textsFor(languages: readonly string[]): Texts {
  const primary = (tag: string) => tag.toLowerCase().split('-')[0];
  for (const wanted of languages) {
    const found = LANGUAGES.find(({ lang }) => primary(lang) === primary(wanted));
    if (found) return found;
  }
  return en;
}

const PATHS: Record<Path, string> = { webrtc: 'WebRTC', dash: 'LL-DASH', hls: 'LL-HLS' };

/** What plays. UDP is how WebRTC is meant to be; TCP tells why a poor network shows more. */
export function pathText(texts: Texts, path: Path, transport: Transport | null): string {
  return transport === 'tcp' ? texts.overTcp(PATHS[path]) : PATHS[path];
}

/** Why it is not WebRTC. */
export function reasonText(texts: Texts, reason: string): string {
  return Object.hasOwn(texts.reasons, reason)
    ? texts.reasons[reason as Reason]
    : texts.otherReason(reason);
}

/** Why a comment was not taken. */
export function refusalText({ comments }: Texts, reason: string): string {
  return Object.hasOwn(comments.refusals, reason)
    ? comments.refusals[reason as Refusal]
    : comments.otherRefusal(reason);
}

/** A language by its name, in that of the texts; null for one that this browser has never heard of. */
export function languageText({ lang }: Texts, language: string): string | null {
  try {
    return new Intl.DisplayNames(lang, { type: 'language', fallback: 'none' }).of(language) ?? null;
  } catch {
    return null;
  }
}

/** Latency with the precision that means something: tenths of seconds from ten seconds up. */
export function latencyText(texts: Texts, ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  const digits = seconds < 10 ? 2 : 1;
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return texts.behind(seconds.toLocaleString(texts.lang, format));
}

/** Seconds, or minutes where there are many: always in full. */
export function durationText({ lang }: Texts, ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const inMinutes = seconds >= 120 || (seconds > 0 && seconds % 60 === 0);
  const [unit, value] = inMinutes ? ['minute', Math.ceil(seconds / 60)] : ['second', seconds];
  const style = { style: 'unit', unit: `${unit}`, unitDisplay: 'short' } as const;
  return new Intl.NumberFormat(lang, style).format(Number(value));
}

/** A time of day, with the day where it is another. */
export function timeText({ lang }: Texts, ms: number, nowMs: number): string {
  const same = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  const style = same ? ({} as const) : ({ dateStyle: 'short' } as const);
  return new Intl.DateTimeFormat(lang, { ...style, timeStyle: 'short' }).format(ms);
}
