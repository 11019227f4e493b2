//! The edge: subscribes to an origin over the relay and serves viewers.
//!
//! One module per concern: [`upstream`] (relay to cache), [`timeline`] (groups to segments),
//! [`live`] (the timeline over HTTP), [`dash`] (the manifest), [`whep`] (WebRTC), [`pages`] (the
//! player and its pages), [`experience`] (what viewers say of it), [`audience`] (how many they are),
//! [`demand`] (what of the upstream is wanted), [`server`] (the HTTP listeners), [`client`] (whom a request comes from), [`comments`] (what viewers
//! say), [`access`] (who may watch), [`siblings`] (where else they may go).

pub mod access;
pub mod audience;
pub mod check;
pub mod client;
pub mod clock;
pub mod comments;
pub mod config;
pub mod dash;
pub mod demand;
pub mod experience;
mod floods;
pub mod hls;
pub mod live;
mod metrics;
mod negotiation;
pub mod pages;
mod preflight;
mod requests;
pub mod server;
pub mod siblings;
mod throttle;
pub mod timeline;
mod traced;
pub mod upstream;
pub mod whep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use lectern_relay_proto::net::{
    self, AddressFile, OriginLink, Status, Subscriber, SubscriberConfig, SubscriberMetrics, Tokens,
    Trust,
};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::audience::Audience;
use crate::clock::Clock;
use crate::comments::Comments;
use crate::config::Config;
use crate::demand::Demand;
use crate::live::Directory;
use crate::metrics::Metrics;
use crate::siblings::Siblings;

/// The most sender threads: more than the cores of any machine that would run one edge.
const WORKERS_MAX: usize = 256;
/// After so long everybody who watches has been counted.
const COUNTED_AFTER: Duration = Duration::from_secs(2);

/// Two segments of the shortest there are.
const WINDOW_SECS_MIN: u32 = 4;
/// The same at 2 Mb/s.
const WINDOW_BYTES_MIN: usize = 1 << 20;

/// An edge whose ports are bound.
pub struct Edge {
    listeners: server::Listeners,
    http_addr: SocketAddr,
    https_addr: Option<SocketAddr>,
    router: Router,
    door: Arc<server::Door>,
    subscriber: Subscriber,
    directory: Arc<Directory>,
    engine: whep::Engine,
    addresses: Option<AddressFile>,
    demand: Arc<Demand>,
    fetcher: upstream::Fetcher,
    comments: Arc<Comments>,
    audience: Arc<Audience>,
    link: Option<OriginLink>,
    siblings: Arc<Siblings>,
    drain: Duration,
    metrics: Metrics,
}

/// Why an edge could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP or HTTPS port is taken or not allowed.
    #[error("edge.{key}: cannot listen on {address}: {source}")]
    Listen {
        /// `http` or `https`.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Keys about HTTPS that make no sense together.
    #[error(transparent)]
    Https(#[from] config::HttpsError),
    /// The certificate for HTTPS.
    #[error("HTTPS: {0}")]
    Tls(#[from] server::tls::Error),
    /// More sender threads than any machine has use for.
    #[error("edge.workers is {0}, and at most {WORKERS_MAX} are started")]
    Workers(usize),
    /// A window in which no player could play.
    #[error(
        "edge.window_secs is {secs} and edge.window_bytes_max {bytes}: at least {WINDOW_SECS_MIN} s \
         and {WINDOW_BYTES_MIN} bytes are needed to play at all"
    )]
    Window {
        /// `window_secs`.
        secs: u32,
        /// `window_bytes_max`.
        bytes: usize,
    },
    /// More broadcasts to be warm than there may be.
    #[error("edge.prewarm lists {listed} broadcasts, and edge.broadcasts_max is {max}")]
    Prewarm {
        /// How many are listed.
        listed: usize,
        /// `broadcasts_max`.
        max: usize,
    },
    /// A proxy that is to be trusted.
    #[error("edge.trusted_proxies: {0}")]
    Proxies(#[from] client::ProxyError),
    /// More siblings than players are told of.
    #[error(transparent)]
    Siblings(#[from] siblings::TooMany),
    /// The media port or its threads.
    #[error("WebRTC: {0}")]
    Whep(#[from] whep::Error),
    /// The addresses of the media port.
    #[error("edge.media_addresses_file: {0}")]
    Addresses(net::Error),
    /// The upstreams' addresses or certificates, or the port for other edges.
    #[error("{key}: {0}", key = relay_key(.0))]
    Relay(#[from] net::Error),
    /// Keys about the port for other edges that make no sense together.
    #[error(transparent)]
    RelayPort(#[from] config::RelayError),
    /// A metric is registered twice.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Which setting an error of the relay's is about, as far as that can be told.
fn relay_key(error: &net::Error) -> &'static str {
    match error {
        net::Error::Bind { .. } | net::Error::Open(_) => "edge.relay",
        net::Error::Upstream { .. } => "edge.upstream",
        net::Error::Tokens { .. } => "edge.relay_token_file",
        _ => "edge.upstream, what it is trusted by, or edge.relay",
    }
}

/// The relays of origins, or of edges before this one, and how to be let in.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `host:port` each.
    pub addresses: Vec<String>,
    /// The name that their certificates must bear; the host of each address if not given.
    pub name: Option<String>,
    /// Whose certificates to believe.
    pub trust: Trust,
    /// What they want presented.
    pub token: Option<Tokens>,
    /// The certificate for those who want to see one.
    pub identity: Option<net::Identity>,
}

impl Edge {
    /// Binds the ports and begins to follow `upstream`, now or whenever it can be reached. `beside` is
    /// served on the same ports.
    pub async fn start(
        config: &Config,
        upstream: Upstream,
        beside: Router,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let (http, http_addr) = listen("http", config.http).await?;
        let (https, https_addr) = match config.https()? {
            None => (None, None),
            Some((address, source)) => {
                let (listener, address) = listen("https", address).await?;
                (Some((listener, server::tls::Identity::load(source)?)), Some(address))
            }
        };
        if config.workers > WORKERS_MAX {
            return Err(Error::Workers(config.workers));
        }
        window(config)?;
        let demand = Demand::new(wanted(config)?, demand::Metrics::register(registry)?);
        let door = server::Door::new(config.http_limits()?, server::Metrics::register(registry)?);
        let addresses = config.media_addresses_file.as_deref().map(AddressFile::read).transpose();
        let addresses = addresses.map_err(Error::Addresses)?;
        let mut whep = config.whep();
        if let Some(file) = &addresses {
            whep.public_addresses = file.addresses().to_vec();
        }
        let engine = whep::Engine::start(whep, whep::Metrics::register(registry)?)?;
        // Without a token there are no comments, and manifests list none.
        let timeline = config.timeline(upstream.token.is_some());
        let siblings = Arc::new(Siblings::new(config.siblings.clone())?);
        let metrics = live::Metrics::register(registry)?;
        let directory = Directory::beside(siblings.clone(), timeline, metrics);
        let experience = experience::Metrics::register(registry)?;
        let audience = Audience::new(audience::Metrics::register(registry)?);
        let fetcher = upstream::Fetcher::new(
            config.window_fetch_bytes_per_sec(),
            upstream::Metrics::register(registry)?,
        );
        let mut subscriber = Subscriber::start(SubscriberConfig {
            upstreams: upstream.addresses,
            server_name: upstream.name,
            trust: upstream.trust,
            token: upstream.token.clone(),
            identity: upstream.identity,
            relay: config.relay(registry)?,
            metrics: SubscriberMetrics::register(registry)?,
        })?;
        let link = subscriber.take_link();
        let clock = Clock::register(registry)?;
        let upward = link.as_ref().zip(upstream.token).map(|(link, token)| (link, token, clock));
        let metrics = comments::Metrics::register(registry)?;
        let comments = Comments::new(upward, audience.clone(), metrics);
        let access = Access::new(
            directory.clone(),
            audience.clone(),
            engine.clone(),
            demand.clone(),
            config.shared_cache,
            access::Metrics::register(registry)?,
        );
        let broadcasts = Router::new()
            .merge(live::routes(directory.clone(), audience.clone(), config.lobby))
            .merge(experience::routes(directory.clone(), audience.clone(), experience))
            .merge(comments::routes(comments.clone(), directory.clone(), config.writing_origins()))
            .merge(whep::routes(engine.clone()));
        let registers = comments.clone();
        let registration = access::registration::routes(
            directory.clone(),
            Box::new(move |request, answer| registers.ask(request, answer)),
            access::registration::Metrics::register(registry)?,
        );
        let router = Router::new()
            .merge(pages::routes(&siblings, config.lobby))
            .merge(access.guard(broadcasts))
            .merge(registration)
            .merge(beside);
        let said = Metrics::register(registry)?;
        said.limits(config);
        Ok(Self {
            listeners: server::Listeners { http, https },
            http_addr,
            https_addr,
            router,
            door,
            subscriber,
            directory,
            engine,
            addresses,
            demand,
            fetcher,
            comments,
            audience,
            link,
            siblings,
            drain: config.drain(),
            metrics: said,
        })
    }

    /// Where pages, WHEP and LL-DASH are served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where the same is served over TLS.
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https_addr
    }

    /// Where WebRTC media is sent from.
    pub fn media_addr(&self) -> SocketAddr {
        self.engine.local_addr()
    }

    /// Where other edges subscribe, if they may.
    pub fn relay_addr(&self) -> Option<SocketAddr> {
        self.subscriber.relay_addr()
    }

    /// Whether it may be sent viewers, to be asked at any time.
    pub fn readiness(&self) -> Readiness {
        Readiness { upstream: self.subscriber.status(), siblings: self.siblings.clone() }
    }

    /// By which its limits are changed while it runs.
    pub fn limiter(&self) -> Limiter {
        Limiter {
            viewers: self.engine.limiter(),
            door: self.door.clone(),
            demand: self.demand.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// How many watch at this edge, to be asked at any time.
    pub fn audience(&self) -> Arc<Audience> {
        self.audience.clone()
    }

    /// Serves until `cancel`; from then on takes no WebRTC viewer in, says so, and serves those who are
    /// there for as long as [`Config::drain`] says.
    pub async fn run(self, cancel: CancellationToken) {
        let stop = CancellationToken::new();
        let (engine, siblings, stopping) = (self.engine.clone(), self.siblings, stop.clone());
        let watched = engine.clone();
        let (drain, left, metrics) = (self.drain, self.audience.clone(), self.metrics);
        let draining = tokio::spawn(async move {
            cancel.cancelled().await;
            metrics.draining.set(1);
            siblings.drain();
            engine.drain();
            tracing::info!(secs_max = drain.as_secs(), "draining");
            let left = async {
                // Whoever came just now has not been counted.
                tokio::time::sleep(COUNTED_AFTER).await;
                left.nobody().await;
            };
            if tokio::time::timeout(drain, left).await.is_err() && !drain.is_zero() {
                tracing::warn!("stopping, although somebody is still watching");
            }
            stopping.cancel();
        });
        if let Some(addresses) = self.addresses {
            let (engine, over) = (self.engine.clone(), stop.clone());
            let follow = addresses.follow(move |now| engine.set_addresses(now));
            tokio::spawn(over.run_until_cancelled_owned(follow));
        }
        let cancelled = stop.clone();
        let consumers = upstream::Consumers {
            directory: self.directory,
            engine: self.engine,
            comments: self.comments.clone(),
            demand: self.demand,
        };
        let follow = upstream::run(self.subscriber, consumers, self.fetcher, cancelled);
        let following = tokio::spawn(follow);
        let (comments, answered) = (self.comments, stop.clone());
        let commenting = tokio::spawn(async move { comments.run(self.link, answered).await });
        let (audience, over) = (self.audience, stop.clone());
        let counting = tokio::spawn(async move { audience.run(&watched, over).await });
        server::serve(self.listeners, self.router, self.door, stop).await;
        draining.await.ok();
        following.await.ok();
        commenting.await.ok();
        counting.await.ok();
    }
}

/// Whether players can play in the window that there is to be.
fn window(config: &Config) -> Result<(), Error> {
    let (secs, bytes) = (config.window_secs, config.window_bytes_max);
    if secs < WINDOW_SECS_MIN || bytes < WINDOW_BYTES_MIN {
        return Err(Error::Window { secs, bytes });
    }
    Ok(())
}

/// What is subscribed to, if that is possible.
fn wanted(config: &Config) -> Result<demand::Config, Error> {
    let demand = config.demand();
    let (listed, max) = (demand.prewarm.reserved(), demand.subscribed_max);
    if listed > max {
        return Err(Error::Prewarm { listed, max });
    }
    Ok(demand)
}

async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Changes the limits of an edge that runs.
#[derive(Clone)]
pub struct Limiter {
    viewers: whep::Limiter,
    door: Arc<server::Door>,
    demand: Arc<Demand>,
    metrics: Metrics,
}

impl Limiter {
    /// From now on these of `config` are good: `sessions_max`, `half_open_max`,
    /// `half_open_per_client_max`, `joins_per_sec_max`, `egress_mbps_max`, `http_connections_max`,
    /// `http_connections_per_client_max` and `broadcasts_max`, and no other setting. Who watches stays.
    pub fn set(&self, config: &Config) {
        self.viewers.set(&config.whep());
        let per_client_max = config.http_connections_per_client_max.get();
        self.door.set(config.http_connections_max.get(), per_client_max);
        self.demand.set_max(config.broadcasts_max.get());
        self.metrics.limits(config);
    }
}

/// Whether an edge may be sent viewers.
#[derive(Clone, Debug)]
pub struct Readiness {
    upstream: watch::Receiver<Status>,
    siblings: Arc<Siblings>,
}

impl Readiness {
    /// `Ok` while it may; otherwise why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.siblings.draining() {
            return Err("draining: it is about to stop".to_owned());
        }
        match &*self.upstream.borrow() {
            Status::Connected => Ok(()),
            Status::Connecting => Err("connecting to the upstream".to_owned()),
            Status::Disconnected(reason) => Err(format!("upstream: {reason}")),
        }
    }
}
