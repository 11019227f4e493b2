//! An origin without its ports but the relay's, encoders whose media comes when the test says, and viewers of
//! what it announces.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lectern_origin::broadcasts::{Broadcasts, Key, Protocol, Spec, Status, TakeHandle, key_digest};
use lectern_origin::config::{BroadcastConfig, Secret};
use lectern_origin::database::Database;
use lectern_origin::ingest::{Refusal, Tag, Take, TakeError};
use lectern_origin::metrics::Metrics;
use lectern_origin::timelines::Timelines;
use lectern_relay_proto::net::{
    Announcement, BroadcastSubscription, CatalogSubscription, Epoch, Identity, Publisher,
    PublisherConfig, PublisherMetrics, Subscriber, SubscriberConfig, SubscriberMetrics, Trust,
};
use lectern_relay_proto::{BroadcastId, Catalog, PublisherState, UtcTime};
use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const KEY: &str = "key";
pub(crate) const BACKUP: &str = "backup-key";
/// No wait is longer than this; none is that long unless something is broken.
const DEADLINE: Duration = Duration::from_secs(40);
/// What nothing tells of is looked at so often.
const LOOK_EACH: Duration = Duration::from_millis(20);
/// H.264 High, 1280x720, 25 pictures a second.
const AVCC: [u8; 47] = [
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50,
    0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83,
    0x19, 0x60, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let done = tokio::time::timeout(DEADLINE, future).await;
        done.unwrap_or_else(|_| panic!("not in time: {caller}"))
    }
}

/// When a test began: encoders' milliseconds count from there.
#[derive(Clone, Copy)]
pub(crate) struct Clock(UtcTime);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(SystemTime::now().into())
    }
}

fn id() -> BroadcastId {
    "lecture".parse().unwrap()
}

pub(crate) struct Site {
    pub(crate) broadcasts: Arc<Broadcasts>,
    clock: Clock,
    relay: Publisher,
    identity: Identity,
    timelines: Timelines,
    metrics: Registry,
    cancel: CancellationToken,
    running: JoinHandle<()>,
}

impl Site {
    /// Over the database at `url`, with one broadcast.
    pub(crate) async fn start(url: &str, clock: Clock) -> Self {
        let registry = Registry::new();
        let identity = Identity::self_signed().unwrap();
        let metrics = PublisherMetrics::register(&registry).unwrap();
        let loopback = (Ipv4Addr::LOCALHOST, 0).into();
        let relay = Publisher::bind(PublisherConfig::new(loopback, identity.clone(), metrics));
        let relay = relay.unwrap();
        let timelines = Timelines::new(Database::new(url).unwrap());
        let metrics = Metrics::register(&registry).unwrap();
        let broadcasts = Broadcasts::new(relay.announcer().clone(), timelines.clone(), metrics);
        let key = |name: &str, backup| Key { id: name.into(), digest: key_digest(name), backup };
        let spec = Spec::from(&BroadcastConfig::new(id(), Secret::new(KEY)));
        broadcasts.open(spec, &[key(KEY, false), key(BACKUP, true)]).unwrap();
        broadcasts.announce().await;
        let (broadcasts, cancel) = (Arc::new(broadcasts), CancellationToken::new());
        let (kept_up, until) = (broadcasts.clone(), cancel.clone());
        let running = tokio::spawn(async move { kept_up.run(until).await });
        Self { broadcasts, clock, relay, identity, timelines, metrics: registry, cancel, running }
    }

    /// Whoever publishes with this key.
    pub(crate) async fn publisher(&self, key: &str) -> Result<Encoder, Refusal> {
        let take = self.broadcasts.claim(key, Protocol::Rtmp).await?;
        let over = take.superseded();
        Ok(Encoder { take: Some(take), over, clock: self.clock, began: None, sent_ms: 0 })
    }

    /// Tells another that this one may have become the owner, as the database's news do.
    pub(crate) fn tells(&self, other: &Self) {
        other.broadcasts.owner_changed(&id());
    }

    pub(crate) fn status(&self) -> Status {
        self.broadcasts.status(&id()).unwrap()
    }

    /// Waits until it is stored that media has come so far.
    pub(crate) async fn stored(&self, end_ms: u64) {
        let is_stored = async || {
            let rows = self.timelines.read(&[id()]).await;
            let row = rows.ok().and_then(|mut rows| rows.pop()?.ok()?);
            row.is_some_and(|timeline| timeline.floor_ms() >= end_ms)
        };
        within(async {
            while !is_stored().await {
                tokio::time::sleep(LOOK_EACH).await;
            }
        })
        .await;
    }

    /// Publishers who were refused, whatever for.
    pub(crate) fn refused(&self) -> f64 {
        let families = self.metrics.gather();
        let refused = families.iter().filter(|it| it.name().ends_with("_refused_total"));
        refused.flat_map(|it| it.get_metric()).map(|it| it.get_counter().get_value()).sum()
    }

    /// It says nothing to the database any more.
    pub(crate) fn die(&self) {
        self.running.abort();
    }

    /// Stops it as an operator does.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.running.await.unwrap();
        self.broadcasts.give_back().await;
        self.relay.close().await;
    }
}

/// An encoder of 25 pictures a second.
pub(crate) struct Encoder {
    take: Option<TakeHandle>,
    over: CancellationToken,
    clock: Clock,
    /// When it sent its first picture.
    began: Option<u64>,
    sent_ms: u64,
}

impl Encoder {
    /// Sends what it makes from `from_ms` to `to_ms`, each picture when it is due; a keyframe each second. Ends
    /// where it is told to.
    pub(crate) fn send(&mut self, from_ms: u64, to_ms: u64) {
        for ms in (from_ms..to_ms).step_by(40) {
            let began = self.began.unwrap_or(ms);
            if self.push(ms, ms.abs_diff(began).is_multiple_of(1_000)).is_err() {
                return;
            }
        }
    }

    /// Sends one picture.
    pub(crate) fn push(&mut self, ms: u64, keyframe: bool) -> Result<(), TakeError> {
        let arrived = self.clock.0 + Duration::from_millis(ms);
        let take = self.take.as_mut().expect("it has not left");
        if self.began.is_none() {
            self.began = Some(ms);
            take.push(Tag::VideoConfig { avcc: Bytes::from_static(&AVCC) }, arrived)?;
        }
        let data = Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]);
        // Its clock began somewhere else.
        let timestamp_ms = (ms as u32).wrapping_add(77_000);
        take.push(Tag::Video { timestamp_ms, composition_ms: 0, keyframe, data }, arrived)?;
        self.sent_ms = ms;
        Ok(())
    }

    /// The media time of the last picture, in milliseconds.
    pub(crate) fn last_ms(&self, catalog: &Catalog) -> u64 {
        let at = self.clock.0 + Duration::from_millis(self.sent_ms);
        at.saturating_since(catalog.t0).as_millis() as u64
    }

    /// Completes once its right is over.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(crate) fn why(&self) -> Option<TakeError> {
        self.take.as_ref()?.why_over()
    }

    /// Says goodbye.
    pub(crate) fn leave(&mut self) {
        self.take.take().expect("it has not left").end(true);
    }
}

/// Who follows the broadcast.
pub(crate) struct Viewer {
    subscriber: Subscriber,
    follows: Option<(BroadcastSubscription, CatalogSubscription)>,
}

impl Viewer {
    pub(crate) fn of(site: &Site) -> Self {
        Self::of_all(&[site])
    }

    /// Of one that announces it at each of these.
    pub(crate) fn of_all(sites: &[&Site]) -> Self {
        let certificates: String =
            sites.iter().map(|site| site.identity.certificate_pem()).collect();
        let config = SubscriberConfig {
            upstreams: sites
                .iter()
                .map(|site| site.relay.local_addr().unwrap().to_string())
                .collect(),
            relay: None,
            identity: None,
            server_name: Some("localhost".into()),
            trust: Trust::Certificates(certificates),
            token: None,
            metrics: SubscriberMetrics::register(&Registry::new()).unwrap(),
        };
        Self { subscriber: Subscriber::start(config).unwrap(), follows: None }
    }

    /// The next catalog, and the epoch of its publication.
    pub(crate) async fn catalog(&mut self) -> (Epoch, Catalog) {
        self.catalog_when(|_, _| true).await
    }

    /// The next that says that media comes.
    pub(crate) async fn live(&mut self) -> (Epoch, Catalog) {
        self.catalog_when(|_, catalog| catalog.state == PublisherState::Live).await
    }

    pub(crate) async fn catalog_when(
        &mut self,
        wanted: impl Fn(Epoch, &Catalog) -> bool,
    ) -> (Epoch, Catalog) {
        within(async {
            loop {
                let (epoch, catalog) = self.next().await;
                if wanted(epoch, &catalog) {
                    return (epoch, catalog);
                }
            }
        })
        .await
    }

    async fn next(&mut self) -> (Epoch, Catalog) {
        loop {
            let catalog = async {
                match &mut self.follows {
                    Some((broadcast, catalogs)) => {
                        catalogs.next().await?.ok().map(|catalog| (broadcast.epoch(), catalog))
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                catalog = catalog => match catalog {
                    Some(catalog) => return catalog,
                    None => self.follows = None,
                },
                announced = self.subscriber.next() => match announced.expect("connected") {
                    Announcement::Live(broadcast) => {
                        // It may have given way to a newer one, which is announced next.
                        let catalogs = broadcast.catalogs().await.ok();
                        self.follows = catalogs.map(|catalogs| (broadcast, catalogs));
                    }
                    Announcement::Gone(_) => self.follows = None,
                },
            }
        }
    }
}
