// Which text tracks of a video are captions: what was said, to be read. The comments come as a text track
// as well, for players that know nothing of comments; ours shows them elsewhere.

/** The label of the comments' track in both manifests. */
const COMMENTS = 'Comments';

/** What is known of a text track. */
type Track = Pick<TextTrack, 'kind' | 'label' | 'language'>;

/** Captions that can be shown, and how they are called. */
export interface Caption extends Track {
  readonly track: TextTrack;
}

/** Whether a track holds words to be read, of whatever sort. */
export function isWords({ kind }: Pick<TextTrack, 'kind'>): boolean {
  return kind === 'captions' || kind === 'subtitles';
}

export function isCaptions(track: Track): boolean {
  return isWords(track) && track.label !== COMMENTS;
}

/** A text track that nobody asked for: a player's library may show the first that it finds. */
export function isUnasked(track: Track): boolean {
  return isWords(track) && track.label === COMMENTS;
}

/** The text tracks of a video, by the labels that the manifest gives them. */
export function labelled(
  video: HTMLVideoElement,
  labelOf: (track: TextTrack) => string,
): Caption[] {
  return Array.from(video.textTracks, (track) => ({
    track,
    kind: track.kind,
    label: labelOf(track),
    language: track.language,
  }));
}

/** How captions are called in a menu: by their label, else by their language in words of `lang`. */
export function captionName({ label, language }: Track, lang: string, otherwise: string): string {
  if (label) return label;
  try {
    const name = language && new Intl.DisplayNames([lang], { type: 'language' }).of(language);
    return name || otherwise;
  } catch {
    return language || otherwise;
  }
}

/** Which of these is the one that was wanted on another path: the same language, or label. */
export function alike<T extends Track>(tracks: readonly T[], wanted: Track | null): T | null {
  if (!wanted) return null;
  const same = (track: T) => track.label === wanted.label && track.language === wanted.language;
  const spoken = (track: T) => track.language !== '' && track.language === wanted.language;
  const only = tracks.length === 1 ? (tracks[0] ?? null) : null;
  // Those in the video itself say no language, on one path, and do on another.
  const unsaid = only && (only.language === '' || wanted.language === '') ? only : null;
  return tracks.find(same) ?? tracks.find(spoken) ?? unsaid;
}
