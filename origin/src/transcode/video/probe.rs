//! What the machine's ffmpeg can do, asked once at start-up.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::Codec;

/// How long it may take to list its codecs; and how much it may say, of which it says 20 kB.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Why nothing can be re-encoded here.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// There is no such program.
    #[error("{0} cannot be run ({1}); install ffmpeg, or name it in origin.ffmpeg")]
    Missing(String, std::io::Error),
    /// It does not answer as ffmpeg does.
    #[error("{0} does not answer as ffmpeg does; name ffmpeg in origin.ffmpeg")]
    Odd(String),
    /// It was built without what makes H.264.
    #[error("{0} has no libx264; install an ffmpeg that has, such as Debian's")]
    NoEncoder(String),
    /// Metrics are registered twice.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// What `ffmpeg` can decode, if it can encode H.264.
pub(super) async fn codecs(ffmpeg: &Path) -> Result<Vec<Codec>, Unavailable> {
    let name = ffmpeg.display().to_string();
    let encoders = ask(ffmpeg, "-encoders").await?;
    if !has(&encoders, "libx264") {
        return Err(Unavailable::NoEncoder(name));
    }
    let decoders = ask(ffmpeg, "-decoders").await?;
    // By those that need no hardware: ffmpeg's own for AV1 does.
    let wanted = [
        (Codec::H264, &["h264"][..]),
        (Codec::Vp8, &["vp8", "libvpx"]),
        (Codec::Vp9, &["vp9", "libvpx-vp9"]),
        (Codec::Av1, &["libdav1d", "libaom-av1"]),
    ];
    let can = |(_, names): &(Codec, &[&str])| names.iter().any(|name| has(&decoders, name));
    Ok(wanted.into_iter().filter(can).map(|(codec, _)| codec).collect())
}

async fn ask(ffmpeg: &Path, what: &str) -> Result<String, Unavailable> {
    let name = ffmpeg.display().to_string();
    let mut child = Command::new(ffmpeg)
        .args(["-hide_banner", "-loglevel", "error", what])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Unavailable::Missing(name.clone(), error))?;
    let mut said = Vec::new();
    let listen = async {
        let stdout = child.stdout.take()?;
        stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut said).await.ok()?;
        child.wait().await.ok().filter(std::process::ExitStatus::success)
    };
    match timeout(ANSWER_MAX, listen).await {
        Ok(Some(_)) => Ok(String::from_utf8_lossy(&said).into_owned()),
        _ => Err(Unavailable::Odd(name)),
    }
}

/// Lines are ` V....D libx264   libx264 H.264 / AVC`.
fn has(list: &str, name: &str) -> bool {
    list.lines().any(|line| line.split_ascii_whitespace().nth(1) == Some(name))
}
