//! One run of ffmpeg: coded pictures into its standard input as Matroska, H.264 out of its standard output
//! as FLV.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::said::Said;
use super::{Codec, Coded, Queue, Reencoded};
use crate::clock::{BACKWARD_JUMP_MS_MAX, FORWARD_JUMP_MS_MAX};
use crate::ingest::Tag;
use crate::ingest::flv::container::{self, Reader};
use crate::ingest::flv::{self, Demuxer};
use crate::matroska::{self, Track};

/// Seconds from keyframe to keyframe.
const KEYFRAME_EVERY_SECS: u32 = 2;
/// The most bits per second of what is made, and the quality aimed at below that: a lecture's camera at
/// 720p takes 1 to 2 Mb/s, and slides next to nothing.
const BITRATE_MAX: &str = "4M";
const QUALITY: &str = "23";
/// The largest picture that is decoded: 4096 by 2176.
const PIXELS_MAX: &str = "8912896";
/// A write that takes longer means that ffmpeg has stopped.
const STALL_MAX: Duration = Duration::from_secs(5);
/// How long ffmpeg may take to give out what it has when its input ends.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// One read of its output.
const READ_BYTES: usize = 64 << 10;
/// The tag kind of video, Video File Format 10, §E.4.1.
const VIDEO_TAG: u8 = 9;
/// What of our own environment ffmpeg is not to see: it holds secrets.
const OWN_VARIABLES: &str = "LECTERN_";

/// How a run ended that did not fail.
pub(super) enum Ended {
    /// No pictures follow.
    SourceGone,
    /// This keyframe needs a decoder that is set up anew, or is of another time.
    Changed(Coded),
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("ffmpeg could not be started: {0}")]
    Start(std::io::Error),
    #[error("ffmpeg ended ({status}): {said}")]
    Ended { status: String, said: String },
    #[error("ffmpeg stalled: {0}")]
    Stalled(String),
    #[error("what ffmpeg wrote cannot be read: {0}")]
    Container(#[from] container::Error),
    #[error("what ffmpeg wrote cannot be read: {0}")]
    Tag(#[from] flv::Error),
}

/// Runs until the source is gone, changes or ffmpeg fails; `first` is a keyframe.
pub(super) async fn run(
    ffmpeg: &Path,
    codec: Codec,
    first: Coded,
    queue: &mut Queue,
    tags: &mpsc::Sender<Reencoded>,
) -> Result<Ended, Error> {
    let mut child = start(ffmpeg)?;
    let missing = || Error::Start(std::io::ErrorKind::BrokenPipe.into());
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let said = Said::default();
    let _listening = AbortOnDropHandle::new(tokio::spawn(said.clone().listen(stderr)));

    let base_ms = first.timestamp_ms;
    let reading = read(stdout, base_ms, tags);
    tokio::pin!(reading);
    let ended = tokio::select! {
        written = write(stdin, codec, first, queue) => match written {
            // Its input is closed by now.
            Written::Ended(ended) => {
                let flushed = timeout(FLUSH_MAX, &mut reading).await;
                if let Ok(Err(error)) = flushed {
                    tracing::debug!(%error, "the end of what was re-encoded is lost");
                }
                return Ok(ended);
            }
            Written::Stalled => Err(Error::Stalled(said.last())),
            Written::Closed => Ok(()),
        },
        read = &mut reading => read,
    };
    ended?;
    let status = timeout(FLUSH_MAX, child.wait()).await;
    let status = status.ok().and_then(Result::ok);
    let status =
        status.map_or_else(|| "still running".to_owned(), |status: ExitStatus| status.to_string());
    Err(Error::Ended { status, said: said.last() })
}

fn start(ffmpeg: &Path) -> Result<Child, Error> {
    let mut command = Command::new(ffmpeg);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(OWN_VARIABLES) {
            command.env_remove(name);
        }
    }
    command
        .args(arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::Start)
}

/// Each is there for latency unless it says otherwise.
fn arguments() -> Vec<String> {
    let fixed = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut args = fixed("-hide_banner -nostats -loglevel warning");
    // A stranger's pictures are to reach decoders and nothing else.
    args.extend(
        fixed("-protocol_whitelist pipe -max_pixels").into_iter().chain([PIXELS_MAX.to_owned()]),
    );
    // The header tells all, so nothing needs probing. What is looked at all the same is to be kept.
    args.extend(fixed("-probesize 32 -analyzeduration 0 -fpsprobesize 0"));
    args.extend(fixed("-threads 1 -f matroska -i pipe:0 -map 0:v:0"));
    // Frames pass with the times they have, to the millisecond, also where some are left out.
    args.extend(fixed("-fps_mode passthrough -enc_time_base 1:1000 -copyts"));
    // Even sizes, as 4:2:0 wants them, and no larger than phones play (not for latency).
    args.push("-vf".to_owned());
    args.push(
        "scale=w='min(iw,1920)':h='min(ih,1080)':force_original_aspect_ratio=decrease\
         :force_divisible_by=2"
            .to_owned(),
    );
    args.extend(fixed("-c:v libx264 -preset superfast -tune zerolatency -profile:v high"));
    args.extend(fixed("-pix_fmt yuv420p -bf 0 -sc_threshold 0 -g 600"));
    // Keyframes by time, whatever the frame rate.
    args.push("-force_key_frames".to_owned());
    args.push(format!("expr:gte(t,n_forced*{KEYFRAME_EVERY_SECS})"));
    args.extend(["-crf", QUALITY, "-maxrate", BITRATE_MAX, "-bufsize", "2M"].map(str::to_owned));
    args.extend(fixed("-flush_packets 1 -flvflags no_duration_filesize -f flv pipe:1"));
    args
}

enum Written {
    Ended(Ended),
    /// ffmpeg takes nothing.
    Stalled,
    /// ffmpeg closed its input.
    Closed,
}

/// Writes pictures for as long as they are of one kind.
async fn write(mut stdin: ChildStdin, codec: Codec, first: Coded, queue: &mut Queue) -> Written {
    let (base_ms, mut setup) = (first.timestamp_ms, first.setup.clone());
    let (name, private) = match codec {
        Codec::H264 => ("V_MPEG4/ISO/AVC", &setup[..]),
        Codec::Vp8 => ("V_VP8", &[][..]),
        Codec::Vp9 => ("V_VP9", &[][..]),
        Codec::Av1 => ("V_AV1", &[][..]),
    };
    let mut bytes = matroska::header(&[Track::Coded { codec: name, private }]);
    let mut last_ms = base_ms;
    let mut next = first;
    loop {
        let step = i64::from(next.timestamp_ms.wrapping_sub(last_ms).cast_signed());
        let jumped = !(-BACKWARD_JUMP_MS_MAX..=FORWARD_JUMP_MS_MAX).contains(&step);
        if next.keyframe && jumped {
            return Written::Ended(Ended::Changed(next));
        }
        last_ms = next.timestamp_ms;
        if next.keyframe && !next.setup.is_empty() && next.setup != setup {
            if !setup.is_empty() {
                return Written::Ended(Ended::Changed(next));
            }
            setup = next.setup.clone();
        }
        // Serial number arithmetic: what is shown before the first keyframe is shown with it.
        let time_ms = next.timestamp_ms.wrapping_sub(base_ms).cast_signed().max(0);
        let time_ms = u64::from(time_ms.unsigned_abs());
        bytes.extend(matroska::block_header(1, time_ms, next.keyframe, next.data.len()));
        bytes.extend_from_slice(&next.data);
        match timeout(STALL_MAX, stdin.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Written::Closed,
            Err(_) => return Written::Stalled,
        }
        bytes.clear();
        next = match queue.next().await {
            Some(next) => next,
            None => return Written::Ended(Ended::SourceGone),
        };
    }
}

/// Reads what ffmpeg makes until it ends.
async fn read(
    mut stdout: ChildStdout,
    base_ms: u32,
    tags: &mpsc::Sender<Reencoded>,
) -> Result<(), Error> {
    let mut reader = Reader::default();
    let mut demuxer = Demuxer::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        while let Some(raw) = reader.pop()? {
            if raw.kind != VIDEO_TAG {
                continue;
            }
            let timestamp_ms = base_ms.wrapping_add(raw.timestamp_ms);
            let Some(tag) = demuxer.video(timestamp_ms, raw.body)? else { continue };
            // Of this run only: the source goes on.
            if tag != Tag::EndOfSequence && tags.send(Reencoded::Tag(tag)).await.is_err() {
                return Ok(());
            }
        }
        match stdout.read(&mut buffer).await {
            Ok(count @ 1..) => reader.push(&buffer[..count]),
            _ => return Ok(()),
        }
    }
}
