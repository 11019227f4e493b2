//! A node that is an edge: connected to an upstream, and either handing on what it is asked for or watching
//! broadcasts itself and noting how old everything is that arrives.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::unix_us;
use lectern_relay_proto::net::{
    Announcement, BroadcastSubscription, Identity, Priority, PublisherMetrics, RelayConfig, Status,
    Subscriber, SubscriberConfig, SubscriberMetrics, TrackEvent, Trust,
};
use lectern_relay_proto::{Timescale, TrackName};
use prometheus::Registry;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::plan::{self, IN_TIME_US, Keep, Kind, Kinds, Relay, Seen, Watch, Watched, Window};
use crate::publish::stamp_of;

/// Sessions that a relay of the benchmark lets in.
const SESSIONS_MAX: usize = 8;

/// Starts an edge and waits until it is connected.
async fn connect(
    identity: &Path,
    upstream: SocketAddr,
    relay: Option<Keep>,
) -> anyhow::Result<Subscriber> {
    let identity = Identity::load_or_create(identity)?;
    let registry = Registry::new();
    let relay = match relay {
        None => None,
        Some(keep) => Some(RelayConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            identity: identity.clone(),
            token: None,
            client_ca: None,
            sessions_max: SESSIONS_MAX,
            keep: Duration::from_secs(keep.secs),
            keep_bytes_max: keep.bytes_max,
            metrics: PublisherMetrics::register(&registry)?,
        }),
    };
    let subscriber = Subscriber::start(SubscriberConfig {
        upstreams: vec![upstream.to_string()],
        identity: None,
        relay,
        server_name: Some("localhost".into()),
        trust: Trust::Certificates(identity.certificate_pem().into()),
        token: None,
        metrics: SubscriberMetrics::register(&registry)?,
    })?;
    let mut status = subscriber.status();
    let connected = status.wait_for(|status| matches!(status, Status::Connected)).await;
    connected.context("the subscriber ended")?;
    Ok(subscriber)
}

/// An edge without viewers that others subscribe to. Runs in the background until it is dropped.
pub(crate) struct Relaying {
    pub(crate) listens: SocketAddr,
    _task: JoinSet<()>,
}

impl Relaying {
    pub(crate) async fn start(plan: &Relay) -> anyhow::Result<Self> {
        let mut subscriber = connect(&plan.identity, plan.upstream, Some(plan.keep)).await?;
        let listens = subscriber.relay_addr().context("the relay has no port")?;
        let mut task = JoinSet::new();
        // An edge hears of everything, whether or not anybody watches it.
        task.spawn(async move { while subscriber.next().await.is_some() {} });
        Ok(Self { listens, _task: task })
    }
}

/// An edge that watches. Runs in the background until it is dropped.
pub(crate) struct Watching {
    shared: Arc<Shared>,
    tracks: usize,
    _task: JoinSet<()>,
}

/// What all tracks are noted in.
struct Shared {
    window: Arc<Window>,
    broadcasts: Vec<Kinds<Mutex<Arrived>>>,
    /// Tracks of which something has arrived.
    begun: AtomicUsize,
    one_more: Notify,
    skipped: AtomicU64,
    interrupted: AtomicU64,
    comments: bool,
}

#[derive(Default)]
struct Arrived {
    begun: bool,
    ages_us: Vec<u32>,
}

impl Watching {
    pub(crate) async fn start(plan: &Watch, window: Arc<Window>) -> anyhow::Result<Self> {
        let subscriber = connect(&plan.identity, plan.upstream, None).await?;
        let kinds = if plan.comments { 3 } else { 2 };
        let shared = Arc::new(Shared {
            window,
            broadcasts: (0..plan.broadcasts).map(|_| Kinds::default()).collect(),
            begun: AtomicUsize::new(0),
            one_more: Notify::new(),
            skipped: AtomicU64::new(0),
            interrupted: AtomicU64::new(0),
            comments: plan.comments,
        });
        let mut task = JoinSet::new();
        task.spawn(follow(subscriber, shared.clone()));
        Ok(Self { shared, tracks: kinds * plan.broadcasts, _task: task })
    }

    /// Waits until something has arrived of all that is watched.
    pub(crate) async fn all_begun(&self) {
        loop {
            let one_more = self.shared.one_more.notified();
            if self.shared.begun.load(Ordering::Relaxed) >= self.tracks {
                return;
            }
            one_more.await;
        }
    }

    pub(crate) fn report(&self) -> Watched {
        let mut all: Kinds<Vec<u32>> = Kinds::default();
        let mut watched = Watched {
            skipped: self.shared.skipped.load(Ordering::Relaxed),
            interrupted: self.shared.interrupted.load(Ordering::Relaxed),
            ..Watched::default()
        };
        for broadcast in &self.shared.broadcasts {
            let mut seen = Kinds::default();
            for kind in Kind::ALL.map(|kind| kind as usize) {
                let arrived = broadcast[kind].lock().unwrap_or_else(PoisonError::into_inner);
                seen[kind] = seen_of(&arrived.ages_us);
                all[kind].extend(&arrived.ages_us);
            }
            watched.broadcasts.push(seen);
        }
        watched.all = all.map(|ages_us| seen_of(&ages_us));
        watched
    }
}

fn seen_of(ages_us: &[u32]) -> Seen {
    let ages_us: Vec<u64> = ages_us.iter().copied().map(u64::from).collect();
    let in_time = ages_us.iter().filter(|age| **age <= IN_TIME_US).count() as u64;
    Seen { in_time, age: Quantiles::of_micros(ages_us) }
}

/// Watches every broadcast that is to be watched, also when it comes again.
async fn follow(mut subscriber: Subscriber, shared: Arc<Shared>) {
    let mut watching: BTreeMap<usize, JoinSet<()>> = BTreeMap::new();
    while let Some(announcement) = subscriber.next().await {
        match announcement {
            Announcement::Live(live) => {
                let number = plan::number(live.id().as_str());
                let Some(number) = number.filter(|number| *number < shared.broadcasts.len()) else {
                    continue;
                };
                watching.insert(number, watch(&live, number, &shared));
            }
            Announcement::Gone(id) => {
                let gone = plan::number(id.as_str()).and_then(|number| watching.remove(&number));
                shared.interrupted.fetch_add(gone.is_some().into(), Ordering::Relaxed);
            }
        }
    }
}

/// Watches one broadcast, until what it returns is dropped.
fn watch(live: &BroadcastSubscription, number: usize, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for kind in Kind::ALL {
        if kind == Kind::Comments && !shared.comments {
            continue;
        }
        let (live, shared) = (live.clone(), shared.clone());
        tasks.spawn(async move {
            let read = match kind {
                Kind::Comments => comments(&live, number, &shared).await,
                _ => track(&live, number, kind, &shared).await,
            };
            if let Err(error) = read {
                tracing::warn!(broadcast = number, kind = kind.as_str(), %error, "given up");
            }
        });
    }
    tasks
}

async fn track(
    live: &BroadcastSubscription,
    number: usize,
    kind: Kind,
    shared: &Shared,
) -> anyhow::Result<()> {
    let (name, timescale, priority) = match kind {
        Kind::Video => (TrackName::VIDEO_MAIN, Timescale::VIDEO, Priority::video(0)),
        _ => (TrackName::AUDIO_OPUS, Timescale::OPUS, Priority::audio(0)),
    };
    let mut track = live.track(&TrackName::new(name)?, timescale, priority).await?;
    while let Some(event) = track.next().await {
        match event? {
            TrackEvent::Chunk { chunk, .. } => {
                let first = chunk.frames.first().context("a chunk without a frame")?;
                shared.note(number, kind, first.arrived.as_micros());
            }
            TrackEvent::Skipped(_) => {
                shared.skipped.fetch_add(1, Ordering::Relaxed);
            }
            TrackEvent::GroupEnd(_) => {}
        }
    }
    Ok(())
}

async fn comments(
    live: &BroadcastSubscription,
    number: usize,
    shared: &Shared,
) -> anyhow::Result<()> {
    let mut records = live.comments().await?;
    while let Some(record) = records.next().await {
        // What is lost is found by counting.
        let Ok(record) = record else { continue };
        let stamp = stamp_of(&record).context("a record that is not ours")?;
        shared.note(number, Kind::Comments, stamp);
    }
    Ok(())
}

impl Shared {
    /// Something of this kind has arrived that was written at `stamp_us`.
    fn note(&self, broadcast: usize, kind: Kind, stamp_us: u64) {
        let age_us = unix_us().saturating_sub(stamp_us);
        let arrived = &self.broadcasts[broadcast][kind as usize];
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut arrived.begun, true) {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.one_more.notify_one();
        }
        if self.window.counts(stamp_us) {
            arrived.ages_us.push(u32::try_from(age_us).unwrap_or(u32::MAX));
        }
    }
}
