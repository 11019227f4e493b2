//! Records: small payloads in order, such as comments, on tracks of their own.
//!
//! While a connection lasts nothing is lost unless a reader falls seconds behind; whoever needs more
//! than that says what it has and asks for the rest, which is the business of those who use this.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moq_net::track::Subscription;
use moq_net::{group, track};
use tokio::sync::mpsc;

use super::publish::TrackPublisher;
use super::subscription::{ANSWER_TIMEOUT, End};
use super::{Error, Priority};
use crate::{GroupId, MediaTime, Timescale};

/// The track of requests of an edge's, of an origin's answers, and of a broadcast's comments.
pub(super) const TRACK: &str = "comments";
/// Longer records are not handed on: nothing of ours writes them.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records, and bytes of them, after which another group begins. Whoever joins is given the current
/// group from its beginning, which is kept whole for that.
const GROUP_RECORDS_MAX: u32 = 256;
const GROUP_BYTES_MAX: usize = 1 << 20;
/// How far newer records may be ahead of one that is still on the way before it is given up.
const AGE_MAX: Duration = Duration::from_secs(10);

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
    pub(super) async fn hand_on(mut self, to: mpsc::Sender<Bytes>) {
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
