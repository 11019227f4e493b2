//! What a media playlist of ours says, as far as a player needs it to go on from part to part. Pure.

/// Where something stands in a playlist: the number of its segment, and within it.
pub(crate) type Place = (u64, u64);

/// Something to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Of a segment that is listed whole and without parts, zero within it.
    pub(crate) place: Place,
    /// The part that follows, or the first of the next segment.
    pub(crate) next: Place,
    pub(crate) uri: String,
    /// Its initialisation segment.
    pub(crate) map: String,
}

/// A playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Playlist {
    /// The number of the first segment.
    pub(crate) first: u64,
    /// From oldest to newest.
    pub(crate) pieces: Vec<Piece>,
    /// The part after the last one listed.
    pub(crate) next: Place,
}

impl Playlist {
    /// Reads a playlist.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with("#EXTM3U") {
            return Err("not a playlist");
        }
        let mut playlist = Self::default();
        let (mut map, mut segment, mut part, mut gap) = (String::new(), None, 0, false);
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                playlist.first = number.parse().map_err(|_| "a media sequence")?;
                segment = Some(playlist.first);
            } else if let Some(tag) = line.strip_prefix("#EXT-X-MAP:") {
                map = uri(tag).ok_or("a map without URI")?.to_owned();
            } else if let Some(tag) = line.strip_prefix("#EXT-X-PART:") {
                let number = segment.ok_or("no media sequence")?;
                let uri = uri(tag).ok_or("a part without URI")?.to_owned();
                let (place, next) = ((number, part), (number, part + 1));
                if !tag.contains("GAP=YES") {
                    playlist.pieces.push(Piece { place, next, uri, map: map.clone() });
                }
                part += 1;
            } else if line == "#EXT-X-GAP" {
                gap = true;
            } else if !line.starts_with('#') && !line.is_empty() {
                let number = segment.ok_or("no media sequence")?;
                let next = (number + 1, 0);
                if part == 0 && !gap {
                    let uri = line.to_owned();
                    playlist.pieces.push(Piece { place: (number, 0), next, uri, map: map.clone() });
                } else if let Some(last) = playlist.pieces.last_mut().filter(|_| part > 0) {
                    last.next = next;
                }
                (segment, part, gap) = (Some(number + 1), 0, false);
            }
        }
        playlist.next = (segment.ok_or("no media sequence")?, part);
        Ok(playlist)
    }

    /// Where to begin: at the last segment that has come so far that a player has enough of it.
    pub(crate) fn begin(&self) -> Option<Place> {
        /// Parts of a segment that make up for the one before.
        const ENOUGH: u64 = 6;
        let (last, parts) = self.next;
        let from = if parts >= ENOUGH { last } else { last.saturating_sub(1) };
        let found = self.pieces.iter().find(|piece| piece.place.0 >= from);
        found.map(|piece| piece.place)
    }
}

/// The media playlists of a multivariant one: of the first variant, and of the first sound.
pub(crate) fn renditions(text: &str) -> Option<Vec<String>> {
    let audio = text.lines().find(|line| line.starts_with("#EXT-X-MEDIA:TYPE=AUDIO"));
    let variant = text.lines().find(|line| !line.starts_with('#') && !line.is_empty())?;
    let found = [Some(variant.to_owned()), audio.and_then(uri).map(str::to_owned)];
    Some(found.into_iter().flatten().collect())
}

fn uri(tag: &str) -> Option<&str> {
    tag.split_once("URI=\"")?.1.split_once('"').map(|(uri, _)| uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYLIST: &str = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"../a/init.mp4\"\n\
        #EXTINF:2.0,\n../a/7.m4s\n#EXT-X-GAP\n#EXTINF:2.0,\n../a/8.m4s\n\
        #EXT-X-PART:DURATION=0.24,URI=\"../a/9.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.24,URI=\"../a/9.1.m4s\"\n#EXTINF:2.0,\n../a/9.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"../b/init.mp4\"\n\
        #EXT-X-PART:DURATION=0.24,URI=\"../b/10.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../b/10.1.m4s\"\n";

    #[test]
    fn parts_and_whole_segments_are_found_and_gaps_are_not() {
        let playlist = Playlist::read(PLAYLIST).unwrap();
        let places: Vec<(Place, Place)> =
            playlist.pieces.iter().map(|piece| (piece.place, piece.next)).collect();
        let expect = [((7, 0), (8, 0)), ((9, 0), (9, 1)), ((9, 1), (10, 0)), ((10, 0), (10, 1))];
        assert_eq!(places, expect);
        assert_eq!((playlist.first, playlist.next), (7, (10, 1)));
        assert_eq!(playlist.pieces[3].map, "../b/init.mp4");
        assert_eq!(playlist.pieces[1].uri, "../a/9.0.m4s");
        assert_eq!(playlist.begin(), Some((9, 0)));
    }

    #[test]
    fn renditions_are_found() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"audio-aac/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\nvideo-main/index.m3u8\n";
        assert_eq!(renditions(text).unwrap(), ["video-main/index.m3u8", "audio-aac/index.m3u8"]);
        assert_eq!(renditions("#EXTM3U\n"), None);
    }

    #[test]
    fn what_is_no_playlist_is_refused() {
        assert!(Playlist::read("<html>").is_err());
        assert!(Playlist::read("#EXTM3U\na.m4s\n").is_err());
        assert!(Playlist::read(&PLAYLIST.replace(":7", ":x")).is_err());
    }
}
