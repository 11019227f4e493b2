// What an edge says of a broadcast in `GET /live/<id>`, read with care: every field may be missing, as
// in the answer of an older edge, or of one that knows little yet.

/** A quality that the broadcast has, as the edge names it. */
export interface Rendition {
  /** The track's name, such as `video/main`. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** Bits per second; null where the encoder does not say. */
  readonly bitrate: number | null;
}

/** What belongs to a broadcast elsewhere. */
export interface Link {
  readonly title: string;
  readonly url: string;
}

export interface Info {
  /** What to add to T0 plus media time to get the time at which a picture was taken, ms. */
  readonly captureOffsetMs: number | null;
  /** T0, Unix ms. */
  readonly t0Ms: number | null;
  /** Media time from which on it can be watched over HTTP, when this was said. */
  readonly oldestMs: number | null;
  /** How far back that reaches at most. */
  readonly windowMs: number | null;
  /** When it is to begin, Unix ms. */
  readonly startsAtMs: number | null;
  readonly title: string | null;
  readonly description: string | null;
  readonly topics: readonly string[];
  /** BCP 47. */
  readonly language: string | null;
  /** A picture, an absolute URL over HTTPS. */
  readonly logo: string | null;
  readonly links: readonly Link[];
  /** How many may watch at once. */
  readonly viewersMax: number | null;
  /** Where it can be watched once it is over, an absolute URL. */
  readonly replay: string | null;
  /** Best first. */
  readonly renditions: readonly Rendition[];
  /** Base addresses of other edges. */
  readonly edges: readonly string[];
  /** This edge is about to stop. */
  readonly draining: boolean;
}

const number = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

const text = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value.trim() : null;

/** Reads the answer of the edge at `base`. */
export function infoOf(answer: unknown, base: string): Info {
  const said = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<
    string,
    unknown
  >;
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  return {
    captureOffsetMs: number(said.capture_offset_ms),
    t0Ms: number(said.t0_ms),
    oldestMs: number(said.oldest_ms),
    windowMs: number(said.window_ms),
    startsAtMs: number(said.starts_at),
    title: text(said.title),
    description: text(said.description),
    topics: list(said.topics).flatMap((topic) => text(topic) ?? []),
    language: text(said.language),
    logo: text(said.logo)?.startsWith('https://') ? link(said.logo, base) : null,
    links: list(said.links).flatMap((each) => linkOf(each, base)),
    viewersMax: number(said.viewers_max),
    replay: link(said.replay, base),
    renditions: list(said.tracks)
      .flatMap((track) => rendition(track))
      .sort((a, b) => b.height - a.height || (b.bitrate ?? 0) - (a.bitrate ?? 0)),
    edges: list(said.edges).flatMap((edge) => link(edge, base)?.replace(/\/+$/, '') ?? []),
    draining: said.draining === true,
  };
}

/** Nothing that would run when it is followed. */
function link(value: unknown, base: string): string | null {
  const given = text(value);
  if (given === null || !URL.canParse(given, base)) return null;
  const url = new URL(given, base);
  return /^https?:$/.test(url.protocol) ? url.href : null;
}

function linkOf(value: unknown, base: string): Link[] {
  const said = (value ?? {}) as Record<string, unknown>;
  const [title, url] = [text(said.title), link(said.url, base)];
  return title === null || url === null ? [] : [{ title, url }];
}

function rendition(track: unknown): Rendition[] {
  const said = (track ?? {}) as Record<string, unknown>;
  const [name, width, height] = [text(said.name), number(said.width), number(said.height)];
  if (name === null || width === null || height === null) return [];
  return [{ name, width, height, bitrate: number(said.bitrate) }];
}

/** A track's name as it stands in addresses and in the manifest (edge/src/timeline/locator.rs). */
export function trackId(name: string): string {
  return name.replace(/[/-]/g, (c) => (c === '/' ? '-' : '~'));
}
