// Figures, times and addresses as people read them, in the console's language. Pure.

import type { Broadcast, Info } from './model.ts';

/** 4.2 Mbit/s, 128 kbit/s. */
export function bitrateText(lang: string, bps: number): string {
  const [value, unit] = bps >= 1_000_000 ? [bps / 1_000_000, 'Mbit/s'] : [bps / 1_000, 'kbit/s'];
  return `${numberText(lang, value, value < 10 && unit === 'Mbit/s' ? 1 : 0)} ${unit}`;
}

export function numberText(lang: string, value: number, digits = 0): string {
  const style = { minimumFractionDigits: 0, maximumFractionDigits: digits };
  return new Intl.NumberFormat(lang, style).format(value);
}

/** How long something has been going on, as a clock has it: 4:05, 1:02:05. */
export function clockText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A date with its time of day, where the reader is. */
export function whenText(lang: string, at: string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return at;
  return time.toLocaleString(lang, { dateStyle: 'medium', timeStyle: 'short' });
}

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

/** "5 minutes ago", "in 2 hours"; within a minute, "now". */
export function agoText(lang: string, at: string, nowMs: number): string {
  const format = new Intl.RelativeTimeFormat(lang, { numeric: 'auto' });
  const ms = Date.parse(at) - nowMs;
  if (Number.isNaN(ms)) return at;
  for (const [unit, size] of STEPS) {
    if (Math.abs(ms) >= size) return format.format(Math.trunc(ms / size), unit);
  }
  return format.format(0, 'second');
}

/** The zone's name where the reader is, such as "Central European Standard Time". */
export function zoneText(lang: string, atMs: number): string {
  const parts = new Intl.DateTimeFormat(lang, { timeZoneName: 'long' }).formatToParts(atMs);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

/** What an `<input type="datetime-local">` shows for a time; empty for none. */
export function localInput(at: string | null): string {
  const time = new Date(at ?? Number.NaN);
  if (Number.isNaN(time.getTime())) return '';
  const shifted = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/** The time that was entered there; null for none. */
export function timeOfInput(value: string): string | null {
  const time = new Date(value);
  return value === '' || Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/** A language by its own tag, or the tag. */
export function languageText(lang: string, tag: string): string {
  try {
    return new Intl.DisplayNames([lang], { type: 'language' }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** What one calls a broadcast. */
export function nameOf({ title, id }: Pick<Broadcast, 'title' | 'id'>): string {
  return title?.trim() || id;
}

/** Where viewers watch, an absolute address. */
export function watchUrl({ watch }: Pick<Info, 'watch'>, id: string, page: string): string {
  return new URL(`${watch.replace(/\/*$/, '/')}${encodeURIComponent(id)}`, page).href;
}

/** Beside it: where the picture alone is, and the media. */
export function siblingUrl(watch: string, what: 'embed' | 'live'): string {
  return watch.replace(/\/watch\/([^/]*)$/, `/${what}/$1`);
}

export function embedCode(watch: string, title: string): string {
  const attributes = [
    `src="${attribute(siblingUrl(watch, 'embed'))}"`,
    `title="${attribute(title)}"`,
    'allow="autoplay; fullscreen; picture-in-picture"',
    'width="960" height="540"',
  ];
  return `<iframe ${attributes.join(' ')} style="border:0;max-width:100%"></iframe>`;
}

function attribute(text: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '"': '&quot;', '<': '&lt;' };
  return text.replace(/[&"<]/g, (c) => names[c] ?? c);
}

/** Where an encoder publishes: the host that the console was reached at. */
export function rtmpUrl({ rtmp_port: port }: Pick<Info, 'rtmp_port'>, hostname: string): string {
  return `rtmp://${hostname}${port === 1935 ? '' : `:${port}`}/live`;
}

/** A command that sends the camera or a file to the broadcast, for a shell. */
export function ffmpegCommand(url: string, key: string): string {
  return [
    'ffmpeg -re -i lecture.mp4',
    '-c:v libx264 -preset veryfast -tune zerolatency -bf 0',
    '-b:v 2500k -maxrate 2500k -bufsize 2500k -g 60 -keyint_min 60 -sc_threshold 0 -pix_fmt yuv420p',
    '-c:a aac -b:a 128k -ar 48000 -ac 2',
    `-f flv ${quoted(`${url}/${key}`)}`,
  ].join(' \\\n  ');
}

function quoted(text: string): string {
  return /^[\w:/.@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The order of the list: what is live, what is coming by its time, then the rest, newest first. */
export function inOrder(broadcasts: Iterable<Broadcast>, nowMs: number): Broadcast[] {
  const group = (each: Broadcast) => groupOf(each, nowMs);
  const start = ({ starts_at }: Broadcast) => Date.parse(starts_at ?? '') || 0;
  return [...broadcasts].sort((a, b) => {
    const [one, other] = [GROUPS.indexOf(group(a)), GROUPS.indexOf(group(b))];
    if (one !== other) return one - other;
    if (group(a) === 'coming' && start(a) !== start(b)) return start(a) - start(b);
    if (group(a) === 'live' && a.viewers !== b.viewers) return b.viewers - a.viewers;
    // What the configuration file provisions says not when it was made, and comes last.
    return (b.created_at ?? '').localeCompare(a.created_at ?? '') || a.id.localeCompare(b.id);
  });
}

export const GROUPS = ['live', 'coming', 'rest'] as const;
export type Group = (typeof GROUPS)[number];

/** A start that has just passed is still to come, while the lecturer looks for the cable. */
const LATE_MS = 2 * 3_600_000;

export function groupOf({ state, starts_at }: Broadcast, nowMs: number): Group {
  if (state === 'live' || state === 'away') return 'live';
  if (state === 'ended') return 'rest';
  return Date.parse(starts_at ?? '') > nowMs - LATE_MS ? 'coming' : 'rest';
}
