//! Feeds the demo pattern to an RTMP port: paces pictures and sound into an `ffmpeg` process that
//! encodes and publishes them, and starts another when it dies.
//!
//! Frame `n` and its sound are due `n / fps` seconds after a whole second of the wall clock, and
//! that is their presentation time whatever happens. If ffmpeg falls behind, the pipe fills and
//! frames are left out until the next that is due: latency never piles up. Only the frame that
//! begins a flash is drawn late rather than left out.

use std::collections::VecDeque;
use std::fmt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use lectern_relay_proto::UtcTime;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::pattern::{InvalidSize, Pattern};
use super::tone;
use crate::matroska::{self, Track};

/// Sound is written this far ahead of the picture. The muxer holds a picture back until it has
/// sound of the same moment, and the AAC encoder needs two frames of 21 ms before it gives one.
const AUDIO_LEAD_MS: u64 = 120;
/// Sound is written in pieces of 20 ms, so that their times are whole milliseconds.
const AUDIO_BLOCK_MS: u64 = 20;
/// Time from starting ffmpeg to frame 0, at the least.
const START_UP: Duration = Duration::from_millis(400);
/// A write that takes longer means that ffmpeg, or what it publishes to, has stopped.
const STALL_MAX: Duration = Duration::from_secs(5);
/// How long ffmpeg may take to say goodbye to the server.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// Between a failure and the next start; doubles up to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A feed that ran for this long was well: the next failure is the first again.
const BACKOFF_RESET: Duration = Duration::from_secs(10);
/// Lines of ffmpeg's that an error quotes, and the most of each.
const LAST_LINES: usize = 6;
const LINE_BYTES_MAX: usize = 300;

/// The tracks of the pipe.
const VIDEO: u8 = 1;
const AUDIO: u8 = 2;

/// What to feed, and where to.
#[derive(Clone)]
pub struct FeedConfig {
    /// `rtmp://HOST:PORT/live/KEY`. It holds the stream key, so it is never logged. (With another
    /// scheme, such as `tcp://`, ffmpeg writes the same FLV there.)
    pub rtmp_url: String,
    /// Pixels; even.
    pub width: u32,
    /// Pixels; even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Video bits per second.
    pub bitrate: u32,
    /// Seconds from keyframe to keyframe.
    pub gop_seconds: u32,
}

impl FeedConfig {
    /// 1280×720 at 30 frames a second, 2.5 Mb/s, a keyframe every two seconds.
    pub fn new(rtmp_url: impl Into<String>) -> Self {
        Self {
            rtmp_url: rtmp_url.into(),
            width: 1280,
            height: 720,
            fps: 30,
            bitrate: 2_500_000,
            gop_seconds: 2,
        }
    }

    /// The arguments of ffmpeg. Each is there for latency unless it says otherwise.
    fn arguments(&self) -> Vec<String> {
        let fixed = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut args = fixed("-hide_banner -nostats -loglevel warning");
        // The header tells all, so nothing needs probing.
        args.extend(fixed("-fflags nobuffer -probesize 32 -analyzeduration 0 -fpsprobesize 0"));
        args.extend(fixed("-threads 1 -f matroska -i pipe:0 -map 0:v -map 0:a"));
        // Frames pass with the times they have, also where some were left out.
        args.extend(fixed("-fps_mode passthrough"));
        // No scene cuts: the flash would make every second one, and keyframes irregular.
        args.extend(fixed("-c:v libx264 -preset superfast -tune zerolatency -profile:v high"));
        args.extend(fixed("-pix_fmt yuv420p -bf 0 -sc_threshold 0"));
        // What the pattern's colours are (for players, not for latency).
        args.extend(fixed("-colorspace bt709 -color_primaries bt709 -color_trc bt709"));
        args.extend(fixed("-color_range tv"));
        // Keyframes by time, also where frames were left out.
        args.extend(["-g".to_owned(), (self.fps * self.gop_seconds).to_string()]);
        let every = format!("expr:gte(t,n_forced*{})", self.gop_seconds);
        args.extend(["-force_key_frames".to_owned(), every]);
        args.extend(["-b:v".to_owned(), self.bitrate.to_string()]);
        args.extend(["-maxrate".to_owned(), self.bitrate.to_string()]);
        args.extend(["-bufsize".to_owned(), (self.bitrate / 2).to_string()]);
        args.extend(fixed("-c:a aac -b:a 128k"));
        args.extend(fixed("-flush_packets 1 -flvflags no_duration_filesize -f flv"));
        args.push(self.rtmp_url.clone());
        args
    }

    /// What ffmpeg said, without URL and key.
    fn redact(&self, line: &str) -> String {
        let mut line = line.replace(&self.rtmp_url, "[url]");
        let key = self.rtmp_url.rsplit('/').next().filter(|key| !key.is_empty());
        if let Some(key) = key {
            line = line.replace(key, "[key]");
        }
        let end = (0..=LINE_BYTES_MAX.min(line.len())).rev().find(|at| line.is_char_boundary(*at));
        line.truncate(end.unwrap_or(0));
        line
    }
}

impl fmt::Debug for FeedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}@{} {} b/s", self.width, self.height, self.fps, self.bitrate)
    }
}

/// Why the feed stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no ffmpeg to run.
    #[error("ffmpeg was not found: install it with apt-get install ffmpeg")]
    NotInstalled,
    /// The pattern cannot be drawn as configured.
    #[error(transparent)]
    Size(#[from] InvalidSize),
    /// Bit rate or keyframe interval is zero or beyond all sense.
    #[error("the demo feed wants 0.1 to 100 Mb/s and a keyframe every 1 to 10 seconds")]
    Encoding,
    /// ffmpeg could not be started.
    #[error("ffmpeg could not be started: {0}")]
    Start(std::io::Error),
    /// ffmpeg ended by itself; what it said last follows.
    #[error("ffmpeg ended ({status}): {said}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its last lines, without URL and key.
        said: String,
    },
    /// ffmpeg took nothing for seconds; what it said last follows.
    #[error("ffmpeg stalled: {said}")]
    Stalled {
        /// Its last lines, without URL and key.
        said: String,
    },
}

impl Error {
    /// Whether another try may end better without anyone doing anything.
    fn is_transient(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Stalled { .. })
    }
}

/// Feeds until `cancel`, starting ffmpeg anew when it dies: a server that is not there yet, or
/// goes away, is waited for. Returns an error only if no later try could do better. Dropping the
/// future kills ffmpeg.
pub async fn run(config: FeedConfig, cancel: CancellationToken) -> Result<(), Error> {
    let encoding_ok =
        (100_000..=100_000_000).contains(&config.bitrate) && (1..=10).contains(&config.gop_seconds);
    if !encoding_ok {
        return Err(Error::Encoding);
    }
    let mut pattern = Pattern::new(config.width, config.height, config.fps)?;
    let mut backoff = BACKOFF_MIN;
    loop {
        let started = Instant::now();
        match Session::start(&config)?.run(&mut pattern, &cancel).await {
            Ok(()) => return Ok(()),
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) => warn!(%error, "the demo feed broke off"),
        }
        if started.elapsed() > BACKOFF_RESET {
            backoff = BACKOFF_MIN;
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = sleep(backoff) => {}
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One run of ffmpeg.
struct Session<'a> {
    config: &'a FeedConfig,
    ffmpeg: Child,
    pipe: ChildStdin,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl<'a> Session<'a> {
    fn start(config: &'a FeedConfig) -> Result<Self, Error> {
        let mut ffmpeg = Command::new("ffmpeg")
            .args(config.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Error::NotInstalled,
                _ => Error::Start(error),
            })?;
        let missing = || Error::Start(std::io::ErrorKind::BrokenPipe.into());
        let pipe = ffmpeg.stdin.take().ok_or_else(missing)?;
        let stderr = ffmpeg.stderr.take().ok_or_else(missing)?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        tokio::spawn(listen(stderr, config.clone(), said.clone()));
        Ok(Self { config, ffmpeg, pipe, said })
    }

    /// Feeds until `cancel` or until ffmpeg can take no more.
    async fn run(mut self, pattern: &mut Pattern, cancel: &CancellationToken) -> Result<(), Error> {
        info!(config = ?self.config, "the demo feed begins");
        tokio::select! {
            () = cancel.cancelled() => {
                drop(self.pipe);
                // It says goodbye to the server at the end of its input, or is killed with `self`.
                let _ = timeout(GOODBYE_MAX, self.ffmpeg.wait()).await;
                Ok(())
            }
            stalled = feed(&mut self.pipe, self.config, pattern) => {
                if stalled {
                    return Err(Error::Stalled { said: self.last_lines() });
                }
                drop(self.pipe);
                match timeout(GOODBYE_MAX, self.ffmpeg.wait()).await {
                    Ok(Ok(status)) => {
                        let said = last_lines(&self.said);
                        Err(Error::Ended { status, said })
                    }
                    _ => Err(Error::Stalled { said: last_lines(&self.said) }),
                }
            }
        }
    }

    fn last_lines(&self) -> String {
        last_lines(&self.said)
    }
}

fn last_lines(said: &Mutex<VecDeque<String>>) -> String {
    let said = said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    said.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
}

/// Logs what ffmpeg says and keeps the last of it.
async fn listen(
    stderr: impl AsyncRead + Unpin,
    config: FeedConfig,
    said: Arc<Mutex<VecDeque<String>>>,
) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = config.redact(&line);
        debug!(line, "ffmpeg");
        let mut said = said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if said.len() == LAST_LINES {
            said.pop_front();
        }
        said.push_back(line);
    }
}

/// Writes pictures and sound at their time for as long as the pipe takes them. Returns whether it
/// stalled; otherwise its other end was closed.
async fn feed(pipe: &mut ChildStdin, config: &FeedConfig, pattern: &mut Pattern) -> bool {
    let header = matroska::header(&[
        Track::Pictures { width: config.width, height: config.height, fps: config.fps },
        Track::Sound { sample_rate: tone::SAMPLE_RATE, channels: tone::CHANNELS as u8 },
    ]);
    let mut output = Output { pipe, sound_ms: 0, sound: Vec::new() };
    let start = whole_second(START_UP);
    match output.paced(&header, config, pattern, start).await {
        Err(Stop::Stalled) => true,
        Err(Stop::Closed) => false,
        Ok(never) => match never {},
    }
}

/// The first whole second of the wall clock at least `lead` from now.
fn whole_second(lead: Duration) -> Instant {
    let earliest = UtcTime::from(SystemTime::now()) + lead;
    let into_second = Duration::from_micros(earliest.as_micros() % 1_000_000);
    Instant::now() + lead + (Duration::from_secs(1) - into_second)
}

enum Stop {
    Stalled,
    Closed,
}

/// The pipe, and how far the sound on it reaches.
struct Output<'a> {
    pipe: &'a mut ChildStdin,
    sound_ms: u64,
    sound: Vec<u8>,
}

impl Output<'_> {
    async fn paced(
        &mut self,
        header: &[u8],
        config: &FeedConfig,
        pattern: &mut Pattern,
        start: Instant,
    ) -> Result<std::convert::Infallible, Stop> {
        self.write(header).await?;
        let fps = u64::from(config.fps);
        let mut n = 0;
        loop {
            sleep_until(start + time_of(n, fps)).await;
            let next = next_frame(n, frame_at(start.elapsed(), fps), fps);
            if next > n {
                debug!(frames = next - n, "ffmpeg is behind; frames are left out");
                n = next;
            }
            let time_ms = time_of(n, fps).as_millis() as u64;
            self.write_sound(time_ms + AUDIO_LEAD_MS).await?;
            let picture = pattern.draw(n, SystemTime::now().into());
            let header = matroska::block_header(VIDEO, time_ms, true, picture.len());
            self.write(&header).await?;
            self.write(picture).await?;
            n += 1;
        }
    }

    /// Writes sound up to `until_ms`, or a little further.
    async fn write_sound(&mut self, until_ms: u64) -> Result<(), Stop> {
        const SAMPLES_PER_MS: u64 = tone::SAMPLE_RATE as u64 / 1000;
        let mut sound = std::mem::take(&mut self.sound);
        while self.sound_ms < until_ms {
            let next_ms = self.sound_ms + AUDIO_BLOCK_MS;
            sound.clear();
            tone::append(self.sound_ms * SAMPLES_PER_MS, next_ms * SAMPLES_PER_MS, &mut sound);
            let header = matroska::block_header(AUDIO, self.sound_ms, true, sound.len());
            self.write(&header).await?;
            self.write(&sound).await?;
            self.sound_ms = next_ms;
        }
        self.sound = sound;
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        match timeout(STALL_MAX, self.pipe.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Stop::Closed),
            Err(_) => Err(Stop::Stalled),
        }
    }
}

/// When frame `n` is due, from the start.
fn time_of(n: u64, fps: u64) -> Duration {
    Duration::from_micros(n * 1_000_000 / fps)
}

/// The frame to draw when `n` would follow and `due` is due: it, but never past the frame that
/// begins a flash, or flash and beep would part.
fn next_frame(n: u64, due: u64, fps: u64) -> u64 {
    let flash = due - due % fps;
    if flash >= n { flash } else { due.max(n) }
}

/// The frame that is due at `elapsed`.
fn frame_at(elapsed: Duration, fps: u64) -> u64 {
    elapsed.as_micros() as u64 * fps / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_says_is_passed_on_without_url_and_key() {
        let config = FeedConfig::new("rtmp://127.0.0.1:1935/live/s3cret");
        let said = config.redact("rtmp://127.0.0.1:1935/live/s3cret: Connection refused");
        assert_eq!(said, "[url]: Connection refused");
        assert!(!config.redact("publishing s3cret failed").contains("s3cret"));
        assert!(config.redact(&"é".repeat(1000)).len() <= LINE_BYTES_MAX);
    }

    #[test]
    fn frames_are_left_out_but_never_the_one_that_begins_a_flash() {
        let check = |n, due, expect| assert_eq!(next_frame(n, due, 30), expect, "{n} {due}");
        check(7, 7, 7);
        check(7, 6, 7); // early
        check(7, 9, 9);
        check(28, 33, 30);
        check(31, 33, 33);
        check(28, 95, 90); // flashes of seconds that are lost altogether
        check(0, 5, 0);
        check(30, 35, 30);
    }

    #[test]
    fn a_frame_is_due_at_its_time_and_not_before() {
        for fps in [1, 24, 25, 30, 60, 120] {
            for n in [0, 1, 2, 3, 29, 30, 31, 1_000_003] {
                let time = time_of(n, fps);
                // Times are whole microseconds, which a third of a second is not.
                let microsecond = Duration::from_micros(1);
                assert_eq!(frame_at(time + microsecond, fps), n, "{fps}");
                assert!(n == 0 || frame_at(time - microsecond, fps) == n - 1, "{fps}");
            }
        }
    }
}
