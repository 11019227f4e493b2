//! Drives one session: waits for whatever comes first, lets the session make of it what it will, and
//! hands media to the take, by way of the re-encoder where viewers could not be given it as it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use lectern_relay_proto::UtcTime;
use prometheus::IntGauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::media::{Left, Made};
use super::metrics::Metrics;
use super::registry::{Datagram, Place};
use super::session::{self, Output, Session};
use super::socket::{Path, Socket};
use crate::ingest::live::{Live, sleep_until};
use crate::ingest::{Tag, Take, TakeError};
use crate::transcode::video::{Interleave, Reencoded, Reencoder};
use crate::wall;

/// Ways to the publisher whose end on our side is remembered; as many as a session may use, and some
/// that it left.
const WAYS_MAX: usize = 16;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Session(#[from] session::Ended),
    #[error("the publisher deleted it")]
    Deleted,
    #[error("a newer publisher took over")]
    Superseded,
    #[error("stopped: {0}")]
    Take(#[from] TakeError),
    #[error("the server is shutting down")]
    Shutdown,
}

impl Ended {
    /// A short fixed name, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Session(session::Ended::ByPublisher) => "by_publisher",
            Self::Session(session::Ended::NotConnected) => "not_connected",
            Self::Session(session::Ended::Silent) => "silent",
            Self::Session(session::Ended::Failed(_)) => "failed",
            Self::Deleted => "deleted",
            Self::Superseded => "superseded",
            Self::Take(_) => "stopped",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whether the publisher wanted it.
    fn is_clean(&self) -> bool {
        matches!(self, Self::Deleted | Self::Session(session::Ended::ByPublisher))
    }
}

/// A session with all that it works with.
pub(super) struct Driver<T: Take> {
    pub(super) session: Session,
    pub(super) take: T,
    pub(super) reencoder: Option<Reencoder>,
    pub(super) place: Place,
    pub(super) datagrams: mpsc::Receiver<Datagram>,
    pub(super) socket: Arc<Socket>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
    pub(super) shutdown: CancellationToken,
}

impl<T: Take> Driver<T> {
    /// Runs the session to its end.
    pub(super) async fn run(self) -> Ended {
        let Self { session, take, reencoder, place, datagrams, socket, metrics, stop, shutdown } =
            self;
        // Counted as a publisher once it is connected.
        let mut running = Running {
            session,
            live: Live::new(take, &metrics.sessions),
            reencoder,
            interleave: Interleave::default(),
            place,
            socket,
            metrics,
            ways: Vec::new(),
            connected: None,
            out: Vec::new(),
        };
        let ended = running.drive(datagrams, stop, shutdown).await;
        let Running { mut session, live, place, socket, ways, .. } = running;
        // First of all, so that a newer publisher does not wait for the older one's farewell.
        live.end(ended.is_clean());
        let mut last_words = Vec::new();
        session.close(&mut last_words);
        for output in last_words {
            if let Output::Send(peer, bytes) = output {
                send(&socket, &ways, peer, &bytes);
            }
        }
        drop(place);
        ended
    }
}

struct Running<T: Take> {
    session: Session,
    live: Live<T>,
    reencoder: Option<Reencoder>,
    /// Where sound waits for pictures that are re-encoded.
    interleave: Interleave,
    place: Place,
    socket: Arc<Socket>,
    metrics: Arc<Metrics>,
    /// Which of our addresses a peer's datagrams come to.
    ways: Vec<(SocketAddr, Option<IpAddr>)>,
    connected: Option<Connected>,
    out: Vec<Output>,
}

impl<T: Take> Running<T> {
    async fn drive(
        &mut self,
        mut datagrams: mpsc::Receiver<Datagram>,
        stop: CancellationToken,
        shutdown: CancellationToken,
    ) -> Ended {
        let superseded = self.live.superseded.clone();
        loop {
            let stepped = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ended::Shutdown,
                () = superseded.cancelled() => return Ended::Superseded,
                () = stop.cancelled() => return Ended::Deleted,
                () = sleep_until(self.live.due()) => {
                    self.live.handle_timeout(wall::now()).map_err(Ended::Take)
                }
                made = next(&mut self.reencoder) => self.handle_reencoded(made),
                // Ours is in the registry for as long as the place is.
                Some(datagram) = datagrams.recv() => self.handle_datagram(datagram),
                () = sleep_until(Some(self.session.poll_timeout())) => self.handle_timeout(),
                () = sleep_until(due(self.interleave.timeout())) => Ok(()),
            };
            let stepped = stepped.and_then(|()| self.release_sound());
            if let Err(ended) = stepped {
                return ended;
            }
        }
    }

    fn handle_datagram(&mut self, datagram: Datagram) -> Result<(), Ended> {
        let Datagram { path: Path { peer, local }, bytes, at, arrived } = datagram;
        self.metrics.received_bytes.inc_by(bytes.len() as u64);
        match self.ways.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, known)) => *known = local,
            None => {
                if self.ways.len() == WAYS_MAX {
                    self.ways.remove(0);
                }
                self.ways.push((peer, local));
            }
        }
        self.session.handle_datagram(at, arrived, peer, &bytes, &mut self.out);
        self.handle_outputs(arrived)
    }

    fn handle_timeout(&mut self) -> Result<(), Ended> {
        let arrived = wall::now();
        self.session.handle_timeout(Instant::now(), arrived, &mut self.out);
        self.handle_outputs(arrived)
    }

    fn handle_outputs(&mut self, arrived: UtcTime) -> Result<(), Ended> {
        let mut outputs = std::mem::take(&mut self.out);
        let mut result = Ok(());
        for output in outputs.drain(..) {
            if result.is_ok() {
                result = self.handle_output(output, arrived);
            }
        }
        self.out = outputs;
        let Left { lost, undecodable } = self.session.take_left();
        for (reason, count) in [("lost", lost), ("undecodable", undecodable)] {
            if count > 0 {
                self.metrics.pictures_left_out.with_label_values(&[reason]).inc_by(count);
            }
        }
        result
    }

    fn handle_output(&mut self, output: Output, arrived: UtcTime) -> Result<(), Ended> {
        match output {
            Output::Send(peer, bytes) => send(&self.socket, &self.ways, peer, &bytes),
            Output::Passed(address) => self.place.take(address),
            Output::Left(address) => self.place.leave(address),
            Output::Made(Made::Tag(tag @ Tag::Audio { .. })) if self.reencoder.is_some() => {
                self.interleave.sound(tag, arrived);
            }
            Output::Made(Made::Tag(tag)) => self.push(tag, arrived)?,
            Output::Made(Made::Coded(coded)) => {
                self.interleave.coded(coded.timestamp_ms, arrived);
                let taken = self.reencoder.as_mut().is_some_and(|reencoder| reencoder.push(coded));
                if !taken {
                    self.session.break_off();
                }
            }
            Output::Connected => {
                tracing::info!("publishing");
                self.connected = Some(Connected::new(&self.metrics.publishers));
            }
            Output::Ended(ended) => return Err(ended.into()),
        }
        Ok(())
    }

    fn handle_reencoded(&mut self, made: Option<Reencoded>) -> Result<(), Ended> {
        match made {
            Some(Reencoded::Tag(tag)) => match self.interleave.made(tag, wall::now()) {
                Some((tag, arrived)) => self.push(tag, arrived),
                None => {
                    self.metrics.pictures_left_out.with_label_values(&["late"]).inc();
                    Ok(())
                }
            },
            Some(Reencoded::BrokeOff) => {
                self.interleave.break_off();
                Ok(())
            }
            Some(Reencoded::NeedsKeyframe) => {
                self.session.break_off();
                self.handle_timeout()
            }
            None => {
                self.reencoder = None;
                Ok(())
            }
        }
    }

    /// Hands on sound that waits for no picture any more.
    fn release_sound(&mut self) -> Result<(), Ended> {
        while let Some((tag, arrived)) = self.interleave.pop(wall::now()) {
            self.push(tag, arrived)?;
        }
        Ok(())
    }

    fn push(&mut self, tag: Tag, arrived: UtcTime) -> Result<(), Ended> {
        let kind = match &tag {
            Tag::Video { .. } => "video",
            Tag::Audio { .. } => "audio",
            _ => "other",
        };
        self.metrics.tags.with_label_values(&[kind]).inc();
        Ok(self.live.push(tag, arrived)?)
    }
}

/// An instant of the wall clock on the clock that timers use.
fn due(at: Option<UtcTime>) -> Option<Instant> {
    Some(Instant::now() + at?.saturating_since(wall::now()))
}

async fn next(reencoder: &mut Option<Reencoder>) -> Option<Reencoded> {
    match reencoder {
        Some(reencoder) => reencoder.next().await,
        None => std::future::pending().await,
    }
}

fn send(socket: &Socket, ways: &[(SocketAddr, Option<IpAddr>)], peer: SocketAddr, bytes: &[u8]) {
    let local = ways.iter().find(|(known, _)| *known == peer).and_then(|(_, local)| *local);
    if let Err(error) = socket.send(Path { peer, local }, bytes) {
        tracing::trace!(%error, %peer, "send failed");
    }
}

/// Counted for as long as it lives.
struct Connected(IntGauge);

impl Connected {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}
