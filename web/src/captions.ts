// Which text tracks of a video are captions: what was said, to be read. The comments come as a text track
// as well, for players that know nothing of comments; ours shows them elsewhere.

/** The label of the comments' track in both manifests. */
const COMMENTS = 'Comments';

/** What is known of a text track. */
type Track = Pick<TextTrack, 'kind' | 'label' | 'language'>;

export function isCaptions({ kind, label }: Track): boolean {
  return (kind === 'captions' || kind === 'subtitles') && label !== COMMENTS;
}

/** The captions of a video, in its order. */
export function captionsOf(video: HTMLVideoElement): TextTrack[] {
  return Array.from(video.textTracks).filter(isCaptions);
}

/** A text track that nobody asked for: a player's library may show the first that it finds. */
export function isUnasked({ kind, label }: Track): boolean {
  return (kind === 'captions' || kind === 'subtitles') && label === COMMENTS;
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
  return (
    tracks.find(same) ?? tracks.find(spoken) ?? (tracks.length === 1 ? (tracks[0] ?? null) : null)
  );
}
