// What the tests use of `mpd-parser` and `m3u8-parser`, which come without types.

declare module 'mpd-parser' {
  export interface Segment {
    readonly resolvedUri: string;
    readonly duration: number;
    readonly number: number;
    readonly map: { readonly resolvedUri: string };
  }
  export interface Playlist {
    readonly attributes: { readonly NAME: string; readonly CODECS: string };
    readonly segments: readonly Segment[];
  }
  export interface Parsed {
    readonly playlists: readonly Playlist[];
    readonly mediaGroups: {
      readonly AUDIO: Record<string, Record<string, { readonly playlists: readonly Playlist[] }>>;
      readonly SUBTITLES: Record<
        string,
        Record<string, { readonly playlists: readonly Playlist[] }>
      >;
    };
  }
  export interface ParserEvent {
    readonly type: string;
    readonly message: string;
  }
  export function parse(
    mpd: string,
    options: {
      manifestUri: string;
      NOW?: number;
      eventHandler?: (event: ParserEvent) => void;
    },
  ): Parsed;
  export function parseUTCTiming(mpd: string): { method: string; value: string } | null;
}

declare module 'm3u8-parser' {
  export interface Segment {
    /** Seconds; none for what has only begun. */
    readonly duration?: number;
    readonly uri?: string;
    readonly map?: { readonly uri: string };
    readonly parts?: readonly { readonly duration: number; readonly uri: string }[];
  }
  export interface Manifest {
    readonly playlists?: readonly {
      readonly uri: string;
      readonly attributes: { readonly CODECS: string; readonly BANDWIDTH: number };
    }[];
    readonly mediaGroups?: {
      readonly AUDIO: Record<string, Record<string, { readonly uri: string }>>;
      readonly SUBTITLES: Record<string, Record<string, { readonly uri: string }>>;
    };
    readonly segments: readonly Segment[];
    readonly targetDuration?: number;
    readonly partTargetDuration?: number;
  }
  export class Parser {
    readonly manifest: Manifest;
    on(kind: 'warn' | 'error' | 'info', listener: (event: { message: string }) => void): void;
    push(text: string): void;
    end(): void;
  }
}
