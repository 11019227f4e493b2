//! Drives one session over one socket: reads, writes, asks the gate, hands tags to the take, and
//! says goodbye so that the encoder hears why.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use lectern_relay_proto::UtcTime;
use prometheus::IntCounter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::session::{self, Output, PublishRequest, Session};
use crate::ingest::live::{Live, cancelled, sleep_until};
use crate::ingest::{Gate, Refusal, Tag, Take, TakeError};
use crate::wall;

/// One read: a fortieth of a second of 10 Mb/s, and two thirds of what the kernel holds.
const READ_BYTES: usize = 32 << 10;
/// Answers that an encoder leaves unread. It is owed a few hundred bytes in a session, and sixteen
/// for every 2.5 MB it sends; one that has not read this much never will.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// How long the gate may think about a stream key: it looks in a database.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closing connection waits for the encoder to read why. Closing with unread input
/// would reset the connection and lose the message.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the encoder closed the connection")]
    ByEncoder,
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("a newer publisher took over")]
    Superseded,
    #[error("stopped: {0}")]
    Take(#[from] TakeError),
    #[error("{0}")]
    Session(#[from] session::Error),
    #[error("the encoder does not read its answers")]
    NotReading,
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    #[error("the server is shutting down")]
    Shutdown,
}

impl Ended {
    /// A short fixed name, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ByEncoder => "by_encoder",
            Self::Refused(_) => "refused",
            Self::Superseded => "superseded",
            Self::Take(_) => "stopped",
            Self::Session(error) => error.reason(),
            Self::NotReading => "not_reading",
            Self::Io(_) => "socket",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whether the encoder may still be there to hear a last word.
    fn owes_farewell(&self) -> bool {
        !matches!(self, Self::ByEncoder | Self::NotReading | Self::Io(_))
    }
}

/// Runs a connection to its end.
pub(super) async fn run<G: Gate>(
    mut socket: TcpStream,
    peer: SocketAddr,
    gate: &G,
    metrics: &Metrics,
    shutdown: CancellationToken,
) -> Ended {
    let (mut reader, mut writer) = socket.split();
    let mut connection = Connection::new(peer, gate, metrics);
    let mut buffer = vec![0; READ_BYTES];
    let ended = match connection.drive(&mut reader, &mut writer, &mut buffer, shutdown).await {
        Err(ended) => ended,
        Ok(never) => match never {},
    };
    // First of all, so that a newer publisher does not wait for the older one's farewell.
    connection.live = None;
    if let Ended::Session(error) = &ended {
        connection.metrics.bad_input.with_label_values(&[error.reason()]).inc();
    }
    if ended.owes_farewell() {
        connection.collect_answers();
        let farewell = farewell(&mut reader, &mut writer, &connection.answers, &mut buffer);
        // Whether it was heard changes nothing.
        let _ = timeout(FAREWELL_TIMEOUT, farewell).await;
    }
    ended
}

async fn farewell(
    reader: &mut ReadHalf<'_>,
    writer: &mut WriteHalf<'_>,
    answers: &[u8],
    buffer: &mut [u8],
) -> io::Result<()> {
    writer.write_all(answers).await?;
    writer.shutdown().await?;
    while reader.read(buffer).await? > 0 {}
    Ok(())
}

struct Connection<'a, G: Gate> {
    peer: SocketAddr,
    gate: &'a G,
    metrics: &'a Metrics,
    session: Session,
    live: Option<Live<G::Take>>,
    /// Answers not yet written.
    answers: BytesMut,
    /// When the last read returned.
    arrived: UtcTime,
    /// Reasons for leaving something out that were said once.
    said: Vec<&'static str>,
    video_tags: IntCounter,
    audio_tags: IntCounter,
    other_tags: IntCounter,
}

enum Never {}

async fn ready<T: Take>(live: &mut Option<Live<T>>) {
    match live {
        Some(live) => live.ready().await,
        None => std::future::pending().await,
    }
}

impl<'a, G: Gate> Connection<'a, G> {
    fn new(peer: SocketAddr, gate: &'a G, metrics: &'a Metrics) -> Self {
        let tags = |kind| metrics.tags.with_label_values(&[kind]);
        Self {
            peer,
            gate,
            metrics,
            session: Session::new(Instant::now().into_std()),
            live: None,
            answers: BytesMut::new(),
            arrived: UtcTime::default(),
            said: Vec::new(),
            video_tags: tags("video"),
            audio_tags: tags("audio"),
            other_tags: tags("other"),
        }
    }

    /// Waits for whatever comes first, and lets the session make of it what it will.
    async fn drive(
        &mut self,
        reader: &mut ReadHalf<'_>,
        writer: &mut WriteHalf<'_>,
        buffer: &mut [u8],
        shutdown: CancellationToken,
    ) -> Result<Never, Ended> {
        loop {
            let superseded = self.live.as_ref().map(|live| live.superseded.clone());
            let take_due = self.live.as_ref().and_then(Live::due);
            let result = tokio::select! {
                read = reader.read(buffer) => match read? {
                    0 => return Err(Ended::ByEncoder),
                    bytes => self.handle_input(&buffer[..bytes]),
                },
                written = writer.write(&self.answers), if !self.answers.is_empty() => {
                    self.answers.advance(written?);
                    Ok(())
                }
                () = sleep_until(self.session.poll_timeout()) => {
                    self.session.handle_timeout(Instant::now().into_std())
                }
                () = sleep_until(take_due) => {
                    self.drive_take(Live::handle_timeout)?;
                    Ok(())
                }
                () = ready(&mut self.live) => {
                    self.drive_take(Live::handle_ready)?;
                    Ok(())
                }
                () = cancelled(superseded) => {
                    if let Some(why) = self.live.as_ref().and_then(Live::why_over) {
                        self.session.fail_publish(&why.to_string());
                        return Err(Ended::Take(why));
                    }
                    self.session.supersede();
                    return Err(Ended::Superseded);
                }
                () = shutdown.cancelled() => {
                    self.session.fail_publish("The server is restarting; connect again.");
                    return Err(Ended::Shutdown);
                }
            };
            // What the session made of the input before it failed still counts.
            self.handle_outputs().await?;
            if let (Err(session::Error::Media(error)), Some(live)) = (&result, &mut self.live) {
                live.refused(error, self.arrived);
            }
            result?;
            if self.answers.len() > WRITE_BYTES_MAX {
                return Err(Ended::NotReading);
            }
        }
    }

    fn handle_input(&mut self, input: &[u8]) -> Result<(), session::Error> {
        self.arrived = wall::now();
        self.metrics.received_bytes.inc_by(input.len() as u64);
        self.session.handle_input(Instant::now().into_std(), input)
    }

    async fn handle_outputs(&mut self) -> Result<(), Ended> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(answer) => self.answers.extend_from_slice(&answer),
                Output::Publish(request) => self.handle_publish(request).await?,
                Output::Tag(tag) => self.handle_tag(tag)?,
                Output::Dropped(error) => self.say_dropped(error.reason(), &error),
                Output::DataIgnored(error) => self.say_dropped("data", &error),
                Output::Unpublish => {
                    if let Some(live) = self.live.take() {
                        tracing::info!("unpublished by the encoder");
                        live.end(true);
                    }
                }
            }
        }
        Ok(())
    }

    async fn handle_publish(&mut self, request: PublishRequest) -> Result<(), Ended> {
        let claim = self.gate.claim(&request.stream_key, self.peer);
        let claim = timeout(CLAIM_TIMEOUT, claim).await.unwrap_or_else(|_| {
            Err(Refusal::Unavailable("The server is busy; try again in a moment.".into()))
        });
        let result = match &claim {
            Ok(_) => "accepted",
            Err(Refusal::UnknownKey) => "unknown_key",
            Err(Refusal::Unavailable(_)) => "unavailable",
            Err(Refusal::Stopped(_)) => "stopped",
            Err(Refusal::Blocked) => "blocked",
        };
        self.metrics.publishes.with_label_values(&[result]).inc();
        match claim {
            Ok(take) => {
                let PublishRequest { app, flash_version, .. } = request;
                tracing::info!(?app, ?flash_version, "publishing");
                self.live = Some(Live::new(take, &self.metrics.publishers));
                self.said.clear();
                self.session.accept_publish(Instant::now().into_std())?;
                Ok(())
            }
            Err(refusal) => {
                self.session.refuse_publish(&refusal);
                Err(Ended::Refused(refusal))
            }
        }
    }

    fn handle_tag(&mut self, tag: Tag) -> Result<(), Ended> {
        let counter = match &tag {
            Tag::Video { .. } => &self.video_tags,
            Tag::Audio { .. } => &self.audio_tags,
            _ => &self.other_tags,
        };
        counter.inc();
        let Some(live) = &mut self.live else { return Ok(()) };
        live.push(tag, self.arrived).map_err(|error| {
            self.session.fail_publish(&error.to_string());
            Ended::Take(error)
        })
    }

    fn drive_take(
        &mut self,
        work: impl FnOnce(&mut Live<G::Take>, UtcTime) -> Result<(), TakeError>,
    ) -> Result<(), Ended> {
        let Some(live) = &mut self.live else { return Ok(()) };
        work(live, wall::now()).map_err(|error| {
            self.session.fail_publish(&error.to_string());
            Ended::Take(error)
        })
    }

    /// Counts what was left out, and says it once in a publication.
    fn say_dropped(&mut self, reason: &'static str, error: &dyn std::fmt::Display) {
        self.metrics.bad_input.with_label_values(&[reason]).inc();
        if !self.said.contains(&reason) {
            self.said.push(reason);
            tracing::warn!("left out: {error}; from now on such input is only counted");
        }
    }

    /// The answers that an ending session still makes; nothing else of it is wanted.
    fn collect_answers(&mut self) {
        while let Some(output) = self.session.poll_output() {
            if let Output::Send(answer) = output {
                self.answers.extend_from_slice(&answer);
            }
        }
    }
}
