//! Records: small payloads in order, such as comments, on tracks of their own; and the link between an
//! edge and its origin that is made of two such tracks, one in each direction.
//!
//! While a connection lasts nothing is lost unless a reader falls seconds behind; whoever needs more
//! than that says what it has and asks for the rest, which is the business of those who use this.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moq_net::track::Subscription;
use moq_net::{group, origin, track};
use rand::Rng as _;
use tokio::sync::{mpsc, watch};

use super::publish::TrackPublisher;
use super::subscription::{ANSWER_TIMEOUT, End};
use super::{Error, Priority};
use crate::{GroupId, MediaTime, Timescale};

/// The track of requests of an edge's, of an origin's answers, and of a broadcast's comments.
pub(super) const TRACK: &str = "comments";
/// What edges publish under.
const EDGE: &str = "edge";
/// What an origin answers its edges under.
const ORIGIN: &str = "origin";
/// Longer records are not handed on: nothing of ours writes them.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records, and bytes of them, after which another group begins. Whoever joins is given the current
/// group from its beginning, which is kept whole for that.
const GROUP_RECORDS_MAX: u32 = 256;
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Pause before a link that could not be had, or broke off, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How far newer records may be ahead of one that is still on the way before it is given up.
const AGE_MAX: Duration = Duration::from_secs(10);
/// Requests that wait for the origin, and answers that wait for the edge. When full, the sender's wait
/// with the relay.
const QUEUE_MAX: usize = 256;

/// Writes the records of a track. Dropping it ends the track.
pub struct RecordPublisher {
    track: TrackPublisher,
    group: GroupId,
    in_group: u32,
    bytes_in_group: usize,
    began: Instant,
}

impl RecordPublisher {
    pub(super) fn new(track: track::Producer) -> Self {
        let group = GroupId { period: 0, index: 0 };
        Self {
            track: TrackPublisher::new(track),
            group,
            in_group: 0,
            bytes_in_group: 0,
            began: Instant::now(),
        }
    }

    /// What such a track is.
    pub(super) fn info() -> track::Info {
        let scale = u64::from(Timescale::VIDEO.hz());
        let info = track::Info::default().with_priority(Priority::COMMENTS.0);
        // Fails for zero only.
        moq_net::Timescale::new(scale).map_or(info.clone(), |scale| info.with_timescale(scale))
    }

    /// Adds `record` after all others, at most [`RECORD_BYTES_MAX`] of it.
    pub fn write(&mut self, record: Bytes) -> Result<(), Error> {
        let bytes = self.bytes_in_group + record.len();
        if self.in_group == GROUP_RECORDS_MAX || (self.in_group > 0 && bytes > GROUP_BYTES_MAX) {
            self.group = self.group.next();
            (self.in_group, self.bytes_in_group) = (0, 0);
        }
        self.in_group += 1;
        self.bytes_in_group += record.len();
        let ticks = self.began.elapsed().as_millis() as u64 * 90;
        self.track.write(self.group, MediaTime::new(ticks, Timescale::VIDEO), record)
    }
}

/// An edge that is connected, as its origin sees it.
pub struct EdgeLink {
    /// Tells the connections of edges apart: another one each time.
    pub name: String,
    /// What it asks, in order; ends with the connection.
    pub requests: mpsc::Receiver<Bytes>,
    /// What it is answered.
    pub responses: RecordPublisher,
    /// Announced for as long as this lives.
    _broadcast: moq_net::broadcast::Producer,
}

impl EdgeLink {
    /// Hands over links with the peer once it announces itself as an edge: another one whenever one
    /// breaks off. Ends with the peer, or with whoever takes the links.
    pub(super) async fn serve(
        peer: origin::Consumer,
        ours: origin::Producer,
        links: mpsc::Sender<Self>,
    ) {
        let Some(name) = Self::announced(&peer).await else { return };
        while !links.is_closed() {
            match Self::open(&peer, &ours, &name).await {
                Ok((link, reading)) => {
                    if links.send(link).await.is_err() {
                        return;
                    }
                    reading.await;
                }
                Err(error) => tracing::debug!(edge = name, %error, "no link with the edge"),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// The name by which the peer announces itself as an edge; `None` if it never does.
    async fn announced(peer: &origin::Consumer) -> Option<String> {
        let mut announced = peer.announced();
        loop {
            let update = announced.next().await?;
            let path = update.prefix.as_str();
            let name = path.strip_prefix(EDGE).and_then(|path| path.strip_prefix('/'));
            if let Some(name) = name.filter(|name| is_name(name) && update.kind.is_active()) {
                return Some(name.to_owned());
            }
        }
    }

    async fn open(
        peer: &origin::Consumer,
        ours: &origin::Producer,
        name: &str,
    ) -> Result<(Self, impl Future<Output = ()> + use<>), Error> {
        let (sender, requests) = mpsc::channel(QUEUE_MAX);
        let path = format!("{EDGE}/{name}");
        let reading = subscribe(peer, &path).await?.hand_on(sender);
        let (broadcast, responses) = announce(ours, &format!("{ORIGIN}/{name}"))?;
        let link = Self { name: name.to_owned(), requests, responses, _broadcast: broadcast };
        Ok((link, reading))
    }
}

/// The edge's end of the link to whichever origin it is connected to.
pub struct OriginLink {
    slot: Arc<Slot>,
    responses: mpsc::Receiver<Bytes>,
}

/// Sends requests; any number of them share one connection.
#[derive(Clone)]
pub struct RequestSender(Arc<Slot>);

#[derive(Default)]
struct Slot {
    requests: Mutex<Option<RecordPublisher>>,
    /// An origin has answered, once.
    answered: watch::Sender<bool>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<RecordPublisher>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OriginLink {
    /// A link, and the end of it that connections take up.
    pub(super) fn new() -> (Self, Uplinks) {
        let (sender, responses) = mpsc::channel(QUEUE_MAX);
        let slot = Arc::new(Slot::default());
        (Self { slot: slot.clone(), responses }, Uplinks { slot, responses: sender })
    }

    /// What requests are sent with.
    pub fn sender(&self) -> RequestSender {
        RequestSender(self.slot.clone())
    }

    /// The next answer, from whichever connection. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.responses.recv().await
    }
}

impl RequestSender {
    /// Sends a request; false if no origin is connected. Whether it arrives, only its answer says.
    pub fn send(&self, request: Bytes) -> bool {
        self.0.lock().as_mut().is_some_and(|requests| requests.write(request).is_ok())
    }

    /// Whether any origin has ever listened, now and once one does: one without a token never will.
    pub fn answered(&self) -> watch::Receiver<bool> {
        self.0.answered.subscribe()
    }
}

/// Makes a link of each connection in turn.
#[derive(Clone)]
pub(super) struct Uplinks {
    slot: Arc<Slot>,
    responses: mpsc::Sender<Bytes>,
}

impl Uplinks {
    /// What a connection publishes, to be given to its client.
    pub(super) fn open(&self, up: &origin::Producer) -> Result<Uplink, Error> {
        // A new name each time, so that what is left of a former connection is another's.
        let name = format!("{:016x}", rand::rng().random::<u64>());
        let (broadcast, requests) = announce(up, &format!("{EDGE}/{name}"))?;
        let uplinks = self.clone();
        Ok(Uplink { uplinks, name, requests: Some(requests), _broadcast: broadcast })
    }
}

/// One connection's part in the link; dropping it takes its requests away.
pub(super) struct Uplink {
    uplinks: Uplinks,
    name: String,
    /// Until the origin has let us in.
    requests: Option<RecordPublisher>,
    _broadcast: moq_net::broadcast::Producer,
}

impl Uplink {
    /// Whether `path` is that of the origin's answers to this connection.
    pub(super) fn is_answered_at(&self, path: &str) -> bool {
        let name = path.strip_prefix(ORIGIN).and_then(|path| path.strip_prefix('/'));
        name == Some(self.name.as_str())
    }

    /// The origin answers at `path`: from now on requests are sent here. To be run for as long as the
    /// connection lasts.
    pub(super) fn answered(
        &mut self,
        origin: origin::Consumer,
        path: String,
    ) -> impl Future<Output = ()> + use<> {
        if let Some(requests) = self.requests.take() {
            *self.uplinks.slot.lock() = Some(requests);
        }
        let uplinks = self.uplinks.clone();
        async move {
            loop {
                match subscribe(&origin, &path).await {
                    Ok(answers) => {
                        uplinks.slot.answered.send_replace(true);
                        answers.hand_on(uplinks.responses.clone()).await;
                    }
                    Err(Error::NotFound | Error::Closed) => return,
                    Err(error) => tracing::debug!(%error, "the origin's answers cannot be read"),
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        if self.requests.is_none() {
            self.uplinks.slot.lock().take();
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn announce(
    origin: &origin::Producer,
    path: &str,
) -> Result<(moq_net::broadcast::Producer, RecordPublisher), Error> {
    let from_moq = |error: moq_net::Error| Error::from_moq(&error);
    let broadcast = origin.create_broadcast(path).map_err(from_moq)?;
    let track = broadcast.create_track(TRACK, RecordPublisher::info()).map_err(from_moq)?;
    broadcast.announce(origin::Route::default()).map_err(from_moq)?;
    Ok((broadcast, RecordPublisher::new(track)))
}

async fn subscribe(from: &origin::Consumer, path: &str) -> Result<RecordSubscription, Error> {
    let broadcast = tokio::time::timeout(ANSWER_TIMEOUT, from.request_broadcast(path)).await;
    let broadcast = broadcast.map_err(|_| Error::Timeout)?;
    RecordSubscription::open(&broadcast.map_err(|error| Error::from_moq(&error))?).await
}

/// Records may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Reads the records of a track.
pub struct RecordSubscription {
    groups: track::Ordered,
    open: Option<group::Consumer>,
    end: Option<End>,
}

impl RecordSubscription {
    /// Subscribes to the records of a broadcast, from the group that is current on.
    pub(super) async fn open(broadcast: &moq_net::broadcast::Consumer) -> Result<Self, Error> {
        let from_moq = |error: moq_net::Error| match Error::from_moq(&error) {
            Error::NotFound => Error::NoSuchTrack(TRACK.to_owned()),
            error => error,
        };
        let track = broadcast.track(TRACK).map_err(from_moq)?;
        let wanted = Subscription::default().with_priority(Priority::COMMENTS.0);
        let subscribing = track.subscribe(wanted.with_max_age(AGE_MAX));
        let subscribed = tokio::time::timeout(ANSWER_TIMEOUT, subscribing).await;
        let groups = subscribed.map_err(|_| Error::Timeout)?.map_err(from_moq)?.ordered();
        Ok(Self { groups, open: None, end: None })
    }

    /// Does not wait beyond `end`.
    pub(super) fn until(self, end: End) -> Self {
        Self { end: Some(end), ..self }
    }

    /// The next record, or that some before it may have been lost; `None` once the track has ended or
    /// the broadcast is gone. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, Lost>> {
        loop {
            let Some(group) = &mut self.open else {
                let next = self.groups.next_group();
                self.open = Some(before(&mut self.end, next).await?.ok().flatten()?);
                continue;
            };
            match before(&mut self.end, group.read_frame()).await? {
                Ok(Some(frame)) if frame.payload.len() > RECORD_BYTES_MAX => {
                    let bytes = frame.payload.len();
                    tracing::warn!(bytes, "a record is too long, and is left out");
                    return Some(Err(Lost));
                }
                Ok(Some(frame)) => return Some(Ok(frame.payload)),
                Ok(None) => self.open = None,
                Err(error) => {
                    tracing::debug!(%error, "the rest of a group of records could not be had");
                    self.open = None;
                    return Some(Err(Lost));
                }
            }
        }
    }

    /// Hands on every record, until the track ends or nobody takes them any more.
    async fn hand_on(mut self, to: mpsc::Sender<Bytes>) {
        while let Some(record) = self.next().await {
            // Whoever waits for an answer asks again.
            let Ok(record) = record else { continue };
            if to.send(record).await.is_err() {
                return;
            }
        }
    }
}

/// What comes of `read`; `None` if the end comes first.
async fn before<T>(end: &mut Option<End>, read: impl Future<Output = T>) -> Option<T> {
    match end {
        None => Some(read.await),
        Some(end) => tokio::select! {
            biased;
            read = read => Some(read),
            () = end.passed() => None,
        },
    }
}
