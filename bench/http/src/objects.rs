//! What is asked for: the addresses of hot objects at the edge, found as a player finds them.

use anyhow::{Context as _, bail, ensure};
use lectern_bench_rig::servers::BROADCAST;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Object {
    Segment,
    Part,
    Mpd,
    Multivariant,
    Playlist,
}

impl Object {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 5] =
        [Self::Segment, Self::Part, Self::Mpd, Self::Multivariant, Self::Playlist];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Part => "part",
            Self::Mpd => "mpd",
            Self::Multivariant => "multivariant",
            Self::Playlist => "playlist",
        }
    }

    /// What a file of it is called after the dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Segment | Self::Part => "m4s",
            Self::Mpd => "mpd",
            Self::Multivariant | Self::Playlist => "m3u8",
        }
    }
}

/// The broadcast at an edge.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    client: Client,
    base: Url,
}

/// What the edge says of the broadcast.
#[derive(Debug, Deserialize)]
struct Status {
    tracks: Vec<Track>,
}

#[derive(Debug, Deserialize)]
struct Track {
    last_segment: Option<u64>,
}

impl Broadcast {
    /// At the edge at `base`.
    pub(crate) fn at(client: Client, base: Url) -> anyhow::Result<Self> {
        let base = base.join(&format!("live/{BROADCAST}/"))?;
        Ok(Self { client, base })
    }

    /// Where the video's media playlist is.
    pub(crate) fn playlist(&self) -> anyhow::Result<Url> {
        Ok(self.base.join("video-main/index.m3u8")?)
    }

    /// An address of such an object that will be there for as long as the edge's window lasts, and
    /// the object's bytes.
    pub(crate) async fn find(&self, object: Object) -> anyhow::Result<(Url, Vec<u8>)> {
        let url = match object {
            Object::Segment => return self.segment().await,
            Object::Part => {
                let playlist = self.playlist()?;
                let text = String::from_utf8(self.get(&playlist).await?)?;
                playlist.join(whole_part(&text).context("the playlist has no part")?)?
            }
            Object::Mpd => self.base.join("manifest.mpd")?,
            Object::Multivariant => self.base.join("index.m3u8")?,
            Object::Playlist => self.playlist()?,
        };
        let bytes = self.get(&url).await?;
        ensure!(!bytes.is_empty(), "{url} is empty");
        Ok((url, bytes))
    }

    /// The bytes at `url`.
    pub(crate) async fn get(&self, url: &Url) -> anyhow::Result<Vec<u8>> {
        let response = self.client.get(url.clone()).send().await?;
        let status = response.status();
        ensure!(status.is_success(), "{url}: {status}");
        Ok(response.bytes().await?.to_vec())
    }

    /// The newest segment of the video that is whole.
    async fn segment(&self) -> anyhow::Result<(Url, Vec<u8>)> {
        let status = self.get(&Url::parse(self.base.as_str().trim_end_matches('/'))?).await?;
        let status: Status = serde_json::from_slice(&status)?;
        // The last one is in progress.
        let last = status.tracks.first().and_then(|track| track.last_segment);
        let Some(number) = last.and_then(|last| last.checked_sub(1)) else {
            bail!("there is no whole segment");
        };
        let manifest = self.base.join("manifest.mpd")?;
        let text = String::from_utf8(self.get(&manifest).await?)?;
        let media = media(&text, number).context("the manifest names no media")?;
        let url = manifest.join(&media)?;
        let bytes = self.get(&url).await?;
        Ok((url, bytes))
    }
}

/// The address of segment `number` of the first representation, which is the main track, of an MPD's
/// current period.
fn media(mpd: &str, number: u64) -> Option<String> {
    let (_, period) = mpd.rsplit_once("<Period ")?;
    let after = |text| period.split_once(text)?.1.split_once('"').map(|(value, _)| value);
    let template = after(" media=\"")?.replace("$Number$", &number.to_string());
    Some(template.replace("$RepresentationID$", after("<Representation id=\"")?))
}

/// Where the newest part is that is as long as parts are: the last of a segment is what was left, and
/// the first has the keyframe.
fn whole_part(playlist: &str) -> Option<&str> {
    let parts = playlist.lines().filter(|line| line.starts_with("#EXT-X-PART:"));
    let parts: Vec<&str> = parts.collect();
    let plain = |line: &&str| !line.contains("INDEPENDENT=YES");
    let inner = parts.windows(2).rev().filter(|pair| pair.iter().all(plain));
    inner.filter_map(|pair| uri(pair[0])).next()
}

/// The URI that a tag of a playlist names.
pub(crate) fn uri(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("URI=\"")?;
    rest.split_once('"').map(|(uri, _)| uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_manifests() {
        let mpd = "<Period id=\"0\"><Representation id=\"old\"/></Period><Period id=\"1\">\
            <SegmentTemplate initialization=\"$RepresentationID$/init.mp4\" \
            media=\"$RepresentationID$/$Number$.m4s\"/><Representation id=\"v~1\" codecs=\"a\"/>";
        assert_eq!(media(mpd, 9).as_deref(), Some("v~1/9.m4s"));
        let playlist = "#EXT-X-PART:DURATION=0.3,URI=\"7.0.m4s\",INDEPENDENT=YES\n\
            #EXT-X-PART:DURATION=0.3,URI=\"7.1.m4s\"\n\
            #EXT-X-PART:DURATION=0.1,URI=\"7.2.m4s\"\n\
            #EXT-X-PART:DURATION=0.3,URI=\"8.0.m4s\",INDEPENDENT=YES\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.1.m4s\"\n";
        assert_eq!(whole_part(playlist), Some("7.1.m4s"));
        assert_eq!(whole_part("#EXTM3U\n"), None);
    }
}
