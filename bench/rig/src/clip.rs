//! What is published: eight seconds of 720p30 and a tone, encoded once, played in a loop.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use crate::stamp::Stamp;

/// Of video: two groups of four seconds.
pub const VIDEO_FRAMES: u64 = 240;
/// Of video.
pub const FRAMES_PER_SECOND: u64 = 30;
/// Eight seconds at 48 kHz in frames of 1024 samples, to the sample.
pub const AUDIO_FRAMES: u64 = 375;
/// Encoding takes a few seconds; more than this is a machine that cannot be measured on.
const ENCODE_MAX: std::time::Duration = std::time::Duration::from_secs(120);

/// One frame per picture, in one slice, no B-frames, keyframes every four seconds and nowhere else.
/// The noise is what makes 2.5 Mb/s of it.
const ENCODE: &str = "-hide_banner -loglevel error -nostdin \
    -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
    -vf noise=alls=12:allf=t -threads 1 -c:v libx264 -preset veryfast -tune zerolatency \
    -profile:v high -pix_fmt yuv420p -bf 0 -g 120 -keyint_min 120 -sc_threshold 0 \
    -b:v 2500k -maxrate 2500k -bufsize 1250k -c:a aac -b:a 128k -ac 2 -t 8.2 -f flv";

/// FLV tag bodies, which are what RTMP carries.
#[derive(Debug, Default)]
pub struct Clip {
    /// The AVC sequence header.
    pub video_config: Vec<u8>,
    /// The AAC sequence header.
    pub audio_config: Vec<u8>,
    /// One per frame.
    pub video: Vec<Vec<u8>>,
    /// One per frame.
    pub audio: Vec<Vec<u8>>,
}

impl Clip {
    /// Has ffmpeg make the clip.
    pub async fn make(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join("clip.flv");
        let ffmpeg = Command::new("ffmpeg")
            .args(ENCODE.split_ascii_whitespace())
            .arg(&file)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(ENCODE_MAX, ffmpeg).await;
        let output = output.context("ffmpeg takes too long")?.context("ffmpeg does not start")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ffmpeg cannot make the clip: {said}");
        Self::read(&std::fs::read(&file)?).context("the clip is not what was asked for")
    }

    /// Takes an FLV file apart.
    fn read(file: &[u8]) -> anyhow::Result<Self> {
        let mut clip = Self::default();
        // File header and the first back pointer; then tags, each with a back pointer.
        let mut rest = file.get(13..).context("cut short")?;
        while let Some((head, body)) = rest.split_first_chunk::<11>() {
            let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            let body = body.get(..size).context("cut short")?;
            match (head[0], body.get(1)) {
                (9, Some(0)) => clip.video_config = body.to_vec(),
                (9, Some(1)) => clip.video.push(body.to_vec()),
                (8, Some(0)) => clip.audio_config = body.to_vec(),
                (8, Some(1)) => clip.audio.push(body.to_vec()),
                (8 | 9 | 18, _) => {}
                (kind, _) => bail!("a tag of type {kind}"),
            }
            rest = rest.get(11 + size + 4..).unwrap_or_default();
        }
        let (video, audio) = (VIDEO_FRAMES as usize, AUDIO_FRAMES as usize);
        ensure!(clip.video.len() >= video && clip.audio.len() >= audio, "too short");
        clip.video.truncate(video);
        clip.audio.truncate(audio);
        let keys = clip.video.iter().enumerate().filter(|(_, body)| body[0] >> 4 == 1);
        ensure!(keys.map(|(n, _)| n).eq([0, 120]), "keyframes are not where they should be");
        Ok(clip)
    }

    /// Bits per second of the video.
    pub fn video_bps(&self) -> u64 {
        let bytes: usize = self.video.iter().map(Vec::len).sum();
        bytes as u64 * 8 * FRAMES_PER_SECOND / VIDEO_FRAMES
    }

    /// Video frame `number` of the loop, stamped.
    pub fn video(&self, number: u64, stamp: Option<Stamp>) -> Vec<u8> {
        let body = &self.video[(number % VIDEO_FRAMES) as usize];
        let Some(stamp) = stamp else { return body.clone() };
        // Behind the five bytes of FLV; units have four bytes of length.
        let unit = stamp.write();
        let mut stamped = body[..5].to_vec();
        stamped.extend((unit.len() as u32).to_be_bytes());
        stamped.extend(unit);
        stamped.extend(&body[5..]);
        stamped
    }

    /// Audio frame `number` of the loop.
    pub fn audio(&self, number: u64) -> &[u8] {
        &self.audio[(number % AUDIO_FRAMES) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut tag = vec![kind];
        tag.extend(&(body.len() as u32).to_be_bytes()[1..]);
        tag.extend([0; 7]);
        tag.extend(body);
        tag.extend((11 + body.len() as u32).to_be_bytes());
        tag
    }

    fn file() -> Vec<u8> {
        let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        file.extend(tag(18, b"metadata"));
        file.extend(tag(9, &[0x17, 0, 0, 0, 0, 1]));
        file.extend(tag(8, &[0xaf, 0, 0x11, 0x90]));
        for n in 0..245 {
            let head = if n % 120 == 0 { 0x17 } else { 0x27 };
            file.extend(tag(9, &[head, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, n]));
        }
        (0..380).for_each(|n| file.extend(tag(8, &[0xaf, 1, n as u8])));
        file
    }

    #[test]
    fn a_file_is_taken_apart_and_loops() {
        let clip = Clip::read(&file()).unwrap();
        assert_eq!((clip.video.len(), clip.audio.len()), (240, 375));
        assert_eq!(clip.video(241, None)[10], 1);
        assert_eq!(clip.audio(377), [0xaf, 1, 2]);
        let stamp = Stamp { number: 3, sent_us: 4 };
        let stamped = clip.video(3, Some(stamp));
        let size = u32::from_be_bytes(stamped[5..9].try_into().unwrap()) as usize;
        assert_eq!(Stamp::read(&stamped[9..9 + size]), Some(stamp));
        assert_eq!(stamped[9 + size..], clip.video(3, None)[5..]);
    }

    #[test]
    fn another_file_is_refused() {
        let whole = file();
        assert!(Clip::read(&whole[..whole.len() - 2_000]).is_err());
        assert!(Clip::read(b"FLV").is_err());
        let mut odd = whole;
        odd[13] = 1;
        assert!(Clip::read(&odd).is_err());
    }
}
