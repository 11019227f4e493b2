//! Video that viewers cannot be given as it is (VP8, VP9, AV1, H.264 with B-frames) to H.264 that they
//! can: by a supervised `ffmpeg` process for each source, never by a library inside ours.
//!
//! [`Reencoders`] knows the `ffmpeg` of the machine and how many may run; a [`Reencoder`] is one source's,
//! fed with coded pictures and asked for tags. Times go through as they are. It knows nothing of how
//! pictures came here. [`process`] is one run of ffmpeg, `said` what that writes to its log. An
//! [`Interleave`] keeps the sound beside a picture that is under way.

mod interleave;
mod probe;
mod process;
mod said;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::ingest::Tag;
pub use interleave::Interleave;
pub use probe::Unavailable;

/// Pictures that wait for ffmpeg, and bytes of them: three seconds of 30 a second. An ffmpeg that is
/// further behind never catches up on this machine; what waits longer is left out, up to a keyframe.
const PICTURES_MAX: usize = 90;
const BYTES_MAX: usize = 16 << 20;
/// Tags that wait for the owner, who does little with each.
const TAGS_MAX: usize = 64;
/// Between a failure and the next start; doubles up to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A run this long was well: the next failure is the first again.
const BACKOFF_RESET: Duration = Duration::from_secs(10);

/// What is re-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 with B-frames.
    H264,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

/// One coded picture, in the order of decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded {
    /// When it is to be shown, on a clock of milliseconds that wraps.
    pub timestamp_ms: u32,
    /// Whether decoding can begin here.
    pub keyframe: bool,
    /// Of a keyframe: what a decoder must be set up for anew when it changes. H.264: the
    /// AVCDecoderConfigurationRecord. Others: any bytes that differ where the size does.
    pub setup: Bytes,
    /// H.264: NAL units behind lengths of four bytes. AV1: OBUs with their sizes. Else a frame.
    pub data: Bytes,
}

/// What a re-encoder gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Reencoded {
    /// A configuration or a picture of H.264 without B-frames, a keyframe every two seconds.
    Tag(Tag),
    /// ffmpeg broke off: no picture that is under way will come.
    BrokeOff,
    /// ffmpeg is started anew, with the next keyframe.
    NeedsKeyframe,
}

/// What operators see of all re-encoders.
#[derive(Clone, Debug)]
struct Metrics {
    running: IntGauge,
    restarts: IntCounter,
    dropped: IntCounter,
}

/// All re-encoders of an origin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reencoders {
    ffmpeg: Arc<PathBuf>,
    codecs: Arc<[Codec]>,
    places: Arc<Semaphore>,
    metrics: Metrics,
}

impl Reencoders {
    /// Looks at the `ffmpeg` of this machine, or at the one given by path, and allows `most` processes
    /// of it at once. Each takes about a core for 720p.
    pub async fn find(
        ffmpeg: Option<&PathBuf>,
        most: usize,
        registry: &Registry,
    ) -> Result<Self, Unavailable> {
        let ffmpeg = ffmpeg.cloned().unwrap_or_else(|| PathBuf::from("ffmpeg"));
        let codecs = probe::codecs(&ffmpeg).await?;
        let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        let metrics = Metrics::register(registry)?;
        Ok(Self { ffmpeg: Arc::new(ffmpeg), codecs: codecs.into(), places, metrics })
    }

    /// What it can decode.
    pub fn codecs(&self) -> &[Codec] {
        &self.codecs
    }

    /// A re-encoder of one source of `codec`; `None` if as many run as may. It must be called within
    /// a runtime. ffmpeg starts with the first keyframe.
    pub fn start(&self, codec: Codec) -> Option<Reencoder> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (to_encode, waiting) = mpsc::channel(PICTURES_MAX);
        let (tags, made) = mpsc::channel(TAGS_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let queue = Queue { waiting, bytes: bytes.clone() };
        let supervisor = Supervisor {
            ffmpeg: self.ffmpeg.clone(),
            codec,
            tags,
            metrics: self.metrics.clone(),
            _place: place,
            _running: Running::new(&self.metrics.running),
        };
        let task = tokio::spawn(supervisor.run(queue).in_current_span());
        Some(Reencoder {
            to_encode,
            bytes,
            made,
            skipping: false,
            dropped: self.metrics.dropped.clone(),
            _task: AbortOnDropHandle::new(task),
        })
    }
}

/// The re-encoder of one source. When it is dropped, its ffmpeg is killed.
#[derive(Debug)]
pub struct Reencoder {
    to_encode: mpsc::Sender<Coded>,
    /// Waiting for ffmpeg.
    bytes: Arc<AtomicUsize>,
    made: mpsc::Receiver<Reencoded>,
    /// A picture was left out, and those up to the next keyframe depend on it.
    skipping: bool,
    dropped: IntCounter,
    _task: AbortOnDropHandle<()>,
}

impl Reencoder {
    /// Takes a picture. `false` if it is left out: ffmpeg is too far behind, and goes on with the next
    /// keyframe, for which the source should be asked.
    pub fn push(&mut self, coded: Coded) -> bool {
        let size = coded.data.len();
        let fits = self.bytes.load(Ordering::Relaxed) + size <= BYTES_MAX;
        let goes_on = !self.skipping || coded.keyframe;
        let taken = fits && goes_on && {
            // Before it can be taken out again.
            self.bytes.fetch_add(size, Ordering::Relaxed);
            let sent = self.to_encode.try_send(coded).is_ok();
            if !sent {
                self.bytes.fetch_sub(size, Ordering::Relaxed);
            }
            sent
        };
        if !taken {
            self.dropped.inc();
            if !self.skipping {
                tracing::warn!(
                    "re-encoding is behind; pictures are left out up to the next keyframe"
                );
            }
        }
        self.skipping = !taken;
        taken
    }

    /// Whether pictures are left out up to the next keyframe.
    pub fn is_behind(&self) -> bool {
        self.skipping
    }

    /// The next that was made. Nothing is lost if this is dropped before it is ready. `None` never comes
    /// while the runtime lives.
    pub async fn next(&mut self) -> Option<Reencoded> {
        self.made.recv().await
    }
}

/// The waiting pictures, on ffmpeg's side.
struct Queue {
    waiting: mpsc::Receiver<Coded>,
    bytes: Arc<AtomicUsize>,
}

impl Queue {
    /// The next; `None` when the source is gone.
    async fn next(&mut self) -> Option<Coded> {
        let coded = self.waiting.recv().await?;
        self.bytes.fetch_sub(coded.data.len(), Ordering::Relaxed);
        Some(coded)
    }
}

/// Runs ffmpeg for one source, again when it dies.
struct Supervisor {
    ffmpeg: Arc<PathBuf>,
    codec: Codec,
    tags: mpsc::Sender<Reencoded>,
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
    _running: Running,
}

impl Supervisor {
    async fn run(self, mut queue: Queue) {
        let mut backoff = BACKOFF_MIN;
        let mut first = None;
        loop {
            let keyframe = match first.take() {
                Some(keyframe) => keyframe,
                None => loop {
                    match queue.next().await {
                        Some(coded) if coded.keyframe => break coded,
                        Some(_) => self.metrics.dropped.inc(),
                        None => return,
                    }
                },
            };
            let started = Instant::now();
            let ended =
                process::run(&self.ffmpeg, self.codec, keyframe, &mut queue, &self.tags).await;
            match ended {
                Ok(process::Ended::SourceGone) => return,
                Ok(process::Ended::Changed(keyframe)) => {
                    tracing::debug!(
                        "the source changed its size or its clock; ffmpeg is started anew"
                    );
                    first = Some(keyframe);
                    continue;
                }
                Err(error) => {
                    self.metrics.restarts.inc();
                    tracing::warn!(%error, "re-encoding broke off; it is tried again");
                }
            }
            if self.tags.send(Reencoded::BrokeOff).await.is_err() {
                return;
            }
            if started.elapsed() > BACKOFF_RESET {
                backoff = BACKOFF_MIN;
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            // What waited meanwhile would be shown late.
            while let Some(Some(_)) = queue.next().now_or_never() {
                self.metrics.dropped.inc();
            }
            if self.tags.send(Reencoded::NeedsKeyframe).await.is_err() {
                return;
            }
        }
    }
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            running: maker.gauge("lectern_reencoders", "Sources whose video is re-encoded now")?,
            restarts: maker.counter(
                "lectern_reencoder_restarts_total",
                "Runs of ffmpeg for re-encoding that broke off",
            )?,
            dropped: maker.counter(
                "lectern_reencoder_dropped_total",
                "Pictures that were not re-encoded, since ffmpeg was behind or had just been started",
            )?,
        })
    }
}

/// Counted for as long as it lives.
struct Running(IntGauge);

impl Running {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
