//! The edge's end of the relay: it stays connected to its upstreams, says what is live among them, and hands
//! the same on to other edges if it is their upstream. What is done with a broadcast is the caller's
//! business.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moq_net::origin;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::follow::{Announcement, Follower};
use super::link::{self, Asking, OriginLink};
use super::serve::{Doors, Server, cache, links};
use super::upstream::{Board, Dialler, Status, host_of};
use super::{Error, Identity, PublisherMetrics, SubscriberMetrics, Tokens, Trust, vital};

/// Announcements that may wait for the caller. When full, the upstream's wait in its own cursor,
/// which keeps one per path.
const ANNOUNCEMENTS_MAX: usize = 64;
/// How long media that the caller did not read yet is kept, and how much of it over all broadcasts.
const KEEP: Duration = Duration::from_secs(4);
const CACHE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Names of upstreams.
const UPSTREAMS_MAX: usize = 16;
/// Origins of which it is known that they are there; of one more it does not matter.
const ORIGINS_MAX: usize = 1_024;

/// How a subscriber is set up.
#[derive(Clone, Debug)]
pub struct SubscriberConfig {
    /// Relays, `host:port` each: origins, or edges that relay. Every address that a name has is dialled, and
    /// names are resolved anew every ten seconds.
    pub upstreams: Vec<String>,
    /// The name in their certificates; each upstream's host if `None`.
    pub server_name: Option<String>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// What is presented to them.
    pub token: Option<Tokens>,
    /// The certificate that is presented to those who want one; its files are read for each connection.
    pub identity: Option<Identity>,
    /// A port on which the same is served to others.
    pub relay: Option<RelayConfig>,
    /// What it counts.
    pub metrics: SubscriberMetrics,
}

/// How what is subscribed to is served to others.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// What it presents to them.
    pub identity: Identity,
    /// What they must present. `None` serves anybody who can reach the port, and lets nobody ask origins.
    pub token: Option<Tokens>,
    /// PEM file of the certificates of which one has to have signed theirs; read again when it changes. `None`
    /// asks for none.
    pub client_ca: Option<PathBuf>,
    /// Sessions that may be open; further ones are refused.
    pub sessions_max: usize,
    /// How long a group can be fetched after its end, by those who join late.
    pub keep: Duration,
    /// The most bytes of media kept so, over all broadcasts.
    pub keep_bytes_max: u64,
    /// What it counts.
    pub metrics: PublisherMetrics,
}

/// The upstreams that `all` names, each once: named twice is dialled once.
pub(super) fn named(all: Vec<String>) -> Result<BTreeSet<String>, Error> {
    let invalid = |upstream: &str, reason: &str| Error::Upstream {
        upstream: upstream.to_owned(),
        reason: reason.to_owned(),
    };
    for upstream in &all {
        host_of(upstream).map_err(|reason| invalid(upstream, reason))?;
    }
    let upstreams: BTreeSet<String> = all.into_iter().collect();
    if upstreams.is_empty() {
        return Err(invalid("(none)", "there is no upstream to subscribe to"));
    }
    if upstreams.len() > UPSTREAMS_MAX {
        return Err(invalid("(all)", &format!("more than {UPSTREAMS_MAX} are named")));
    }
    Ok(upstreams)
}

/// Follows its upstreams for as long as it lives.
pub struct Subscriber {
    announcements: mpsc::Receiver<Announcement>,
    status: watch::Receiver<Status>,
    link: Option<OriginLink>,
    relay: Option<Server>,
    /// Aborted on drop.
    _tasks: JoinSet<()>,
}

impl Subscriber {
    /// Starts to connect, from within a tokio runtime. Fails only on a configuration that can never
    /// work, and if the port for others is not to be had.
    pub fn start(config: SubscriberConfig) -> Result<Self, Error> {
        let SubscriberConfig { upstreams, server_name, trust, token, identity, relay, metrics } =
            config;
        let upstreams = named(upstreams)?;
        trust.client_config(identity.as_ref())?;

        let (keep, keep_bytes_max) = relay
            .as_ref()
            .map_or((KEEP, CACHE_BYTES_MAX), |relay| (relay.keep.max(KEEP), relay.keep_bytes_max));
        let mut tasks = JoinSet::new();
        let down = vital::broadcasts(&mut tasks, cache(keep, keep_bytes_max));
        // An origin listens to none that did not present its token.
        let up = token.as_ref().map(|_| vital::broadcasts(&mut tasks, links()));
        let (link, asking) = match &up {
            None => (None, None),
            Some(up) => {
                let (link, asking) = OriginLink::new(down.consume(), up.clone());
                (Some(link), Some(asking))
            }
        };
        let relay = match relay {
            None => None,
            Some(relay) => {
                let RelayConfig {
                    listen, identity, token, client_ca, sessions_max, metrics, ..
                } = relay;
                let take = up.clone().filter(|_| token.is_some());
                let give = down.consume();
                let doors = Doors { give, take, token, client_ca, sessions_max, metrics };
                Some(Server::bind(listen, &identity, doors)?)
            }
        };
        let names: Vec<_> = upstreams.into_iter().collect();
        let board = Board::new(&names, metrics.clone());
        tasks.extend(token.clone().map(Tokens::follow));
        let (announce, announcements) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let status = board.status();
        let follower = Follower::new(down.consume(), announce, metrics.clone());
        let listening = listen(down.consume(), board.clone(), follower, asking);
        vital::spawn(&mut tasks, "what is announced", listening);
        let up = up.map(|up| up.consume());
        let dialler =
            Arc::new(Dialler { server_name, trust, token, identity, down, up, metrics, board });
        for name in names {
            vital::spawn(&mut tasks, "an upstream's name", dialler.clone().follow(name));
        }
        Ok(Self { announcements, status, link, relay, _tasks: tasks })
    }

    /// By which this edge can ask origins for something; `None` without a token, and if it has
    /// been taken.
    pub fn take_link(&mut self) -> Option<OriginLink> {
        self.link.take()
    }

    /// Whether origins can be reached, now and as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Where others are served, if they are.
    pub fn relay_addr(&self) -> Option<SocketAddr> {
        self.relay.as_ref().and_then(|relay| relay.local_addr().ok())
    }

    /// What becomes live and what goes, in order. Never ends while the subscriber lives. Cancelling
    /// it loses nothing.
    pub async fn next(&mut self) -> Option<Announcement> {
        self.announcements.recv().await
    }
}

/// Hands on every announcement to whom it concerns.
async fn listen(
    heard: origin::Consumer,
    board: Arc<Board>,
    mut follower: Follower,
    mut asking: Option<Asking>,
) {
    let mut announced = heard.announced();
    let mut origins = BTreeSet::new();
    while let Some(update) = announced.next().await {
        let followed = match link::appeared(&update) {
            None => follower.update(&update).await,
            Some(node) => {
                if !update.kind.is_active() {
                    origins.remove(&node);
                } else if origins.len() < ORIGINS_MAX {
                    origins.insert(node);
                }
                None
            }
        };
        // Of one before this release, what it publishes says that it is there.
        board.heard(!(origins.is_empty() && follower.origins().is_empty()));
        let Some(asking) = &mut asking else { continue };
        match followed {
            Some(id) => {
                asking.published(&id, follower.publisher(&id));
                asking.origins(follower.origins());
            }
            None => asking.update(&update),
        }
    }
}
