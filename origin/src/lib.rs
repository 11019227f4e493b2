//! The origin: takes in what hosts push, turns it into chunked CMAF and Opus, and publishes it on
//! the relay.
//!
//! The way of a frame, one module each: [`ingest`] (RTMP to tags) or [`whip`] (WebRTC to tags), [`mend`]
//! (B-frames re-encoded), [`clock`] (source time to media time), [`take`] (tags to frames and periods),
//! [`transcode`] (AAC to Opus), [`package`] (frames to chunks in groups), [`broadcasts`] (who may publish, and
//! chunks to the relay). Beside it: [`comments`], [`registrations`], and the
//! [`doctor`], who looks at what publishers send.

pub mod api;
pub mod broadcasts;
pub mod check;
pub mod clock;
pub mod comments;
pub mod config;
pub mod control;
pub mod database;
pub mod demo;
pub mod doctor;
pub mod ingest;
pub mod instant;
mod matroska;
pub mod mend;
pub mod metrics;
pub mod oidc;
pub mod outbound;
pub mod package;
mod readiness;
pub mod registrations;
mod seldom;
pub mod take;
pub mod timelines;
pub mod transcode;
mod wall;
pub mod webhooks;
pub mod whip;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::client::{Proxies, ProxyError};
use lectern_relay_proto::net::{
    self, EdgeLink, Identity, Publisher, PublisherConfig, PublisherMetrics, Tokens,
};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::Elsewhere;
use crate::api::server::Server;
use crate::broadcasts::{Broadcasts, OverWhip};
use crate::config::{BroadcastConfig, Config};
use crate::control::Control;
use crate::database::Database;
use crate::ingest::rtmp;
use crate::metrics::Metrics;
pub use crate::readiness::Readiness;
use crate::registrations::Registrar;
use crate::timelines::Timelines;
use crate::transcode::video::Reencoders;
use crate::webhooks::Webhooks;

/// An origin whose ports are bound.
pub struct Origin {
    relay: Publisher,
    relay_addr: SocketAddr,
    broadcasts: Arc<Broadcasts>,
    rtmp: rtmp::Server<Broadcasts>,
    rtmp_addr: SocketAddr,
    certificate_pem: String,
    desk: comments::Desk,
    registrar: Registrar,
    api: Server,
    /// The API's, for a server beside this one.
    routes: Router,
    control: Arc<Control>,
    elsewhere: Arc<Elsewhere>,
    database: Database,
    news: database::news::Metrics,
    webhooks: Arc<Webhooks>,
    oidc: Option<Arc<oidc::Provider>>,
    readiness: Readiness,
    whip: whip::Server<OverWhip>,
    edges: mpsc::Receiver<EdgeLink>,
}

/// Edges that wait to be listened to.
const EDGES_WAITING_MAX: usize = 16;

/// Why an origin could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The relay's port, certificate or session.
    #[error("origin.relay: {0}")]
    Relay(#[from] net::Error),
    /// The RTMP port is taken or not allowed.
    #[error("origin.rtmp: cannot listen on {0}: {1}")]
    Rtmp(SocketAddr, std::io::Error),
    /// Two places for one thing.
    #[error("origin.relay_token and origin.relay_token_file: one of the two")]
    TwoTokens,
    /// `relay_certificate` and `relay_key` go together.
    #[error("relay_certificate and relay_key must be given together")]
    HalfACertificate,
    /// A `[[broadcast]]` cannot be provisioned, or those of the database cannot be read.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// A proxy is neither an address nor a network.
    #[error("origin.trusted_proxies: {0}")]
    Proxies(#[from] ProxyError),
    /// A network that webhooks may reach is none.
    #[error("origin.webhook_networks: {0}")]
    Webhooks(#[from] webhooks::NetworksError),
    /// The API's port is taken or not allowed.
    #[error("origin.http: cannot listen on {0}: {1}")]
    Http(SocketAddr, std::io::Error),
    /// The database.
    #[error("origin.database: {0}")]
    Database(#[from] database::Error),
    /// The media port of WHIP.
    #[error(transparent)]
    Whip(#[from] whip::Error),
    /// The OpenID provider cannot be asked.
    #[error("origin.oidc: {0}")]
    Oidc(#[from] oidc::Error),
    /// A metric is registered twice.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

impl Origin {
    /// Binds the ports and announces the broadcasts. What must outlive the process lives in
    /// `data_dir`; `pages` is what is served beside the API.
    pub async fn start(
        config: &Config,
        provisioned: &[BroadcastConfig],
        data_dir: &Path,
        pages: Router,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let identity = match (&config.relay_certificate, &config.relay_key) {
            (Some(certificate), Some(key)) => Identity::from_pem_files(certificate, key)?,
            (None, None) => Identity::load_or_create(&data_dir.join("relay"))?,
            _ => return Err(Error::HalfACertificate),
        };
        let certificate_pem = identity.certificate_pem().to_owned();
        let token = match (&config.relay_token, &config.relay_token_file) {
            (Some(_), Some(_)) => return Err(Error::TwoTokens),
            (token, None) => token.clone().map(Tokens::from),
            (None, Some(file)) => Some(Tokens::from_file(file)?),
        };
        let answers = token.is_some();
        let metrics = PublisherMetrics::register(registry)?;
        let (arrivals, edges) = mpsc::channel(EDGES_WAITING_MAX);
        let relay = Publisher::bind(PublisherConfig {
            token,
            client_ca: config.relay_client_ca.clone(),
            edges: Some(arrivals),
            keep: Duration::from_secs(config.relay_window_secs.into()),
            keep_bytes_max: config.relay_window_bytes_max,
            ..PublisherConfig::new(config.relay, identity, metrics)
        })?;
        let relay_addr = relay.local_addr()?;
        let announcer = relay.announcer().clone();
        let metrics = Metrics::register_naming(registry, config.metrics_broadcasts_max)?;
        let reencoders = reencoders(config, registry).await;
        let database = config.database(data_dir);
        let database = Database::new(database.expose())?;
        let answered = match database.ready().await {
            Ok(()) => true,
            // It is there once the database is.
            Err(error) if database.is_remote() => {
                tracing::error!(
                    key = "origin.database",
                    %error,
                    "the database cannot be used, so nothing can be published or commented on; trying again: see \
                     whether it runs, is there by this name, and takes this user and password"
                );
                false
            }
            Err(error) => return Err(error.into()),
        };
        let watched = readiness::Metrics::register(registry)?;
        let readiness = Readiness::new(answered, metrics.takes_live.clone(), watched);
        let timelines = Timelines::new(database.clone());
        let broadcasts =
            Broadcasts::new(announcer, timelines, metrics).mending_by(reencoders.clone());
        let broadcasts = Arc::new(broadcasts);
        let comments = comments::store::Store::new(database.clone());
        if !answers {
            tracing::info!("without origin.relay_token edges cannot send comments");
        }
        let metrics = comments::Metrics::register(registry)?;
        let (mut desk, rooms) = comments::Desk::new(comments.clone(), metrics);
        let store = control::store::Store::new(database.clone());
        let control = Control::new(store, broadcasts.clone(), rooms, provisioned).await?;
        match control.load().await {
            Ok(()) => {}
            // What the configuration file provisions is known without it.
            Err(error) if database.is_remote() => {
                tracing::error!(%error, "the broadcasts of the database cannot be read; trying again");
            }
            Err(error) => return Err(control::Error::from(error).into()),
        }
        broadcasts.announce().await;
        let control = Arc::new(control);
        let networks = webhooks::Networks::parse(&config.webhook_networks)?;
        let metrics = webhooks::Metrics::register(registry)?;
        let webhooks = Arc::new(Webhooks::new(control.clone(), networks, metrics));
        let metrics = registrations::Metrics::register(registry)?;
        let (registrar, applications) = Registrar::new(control.clone(), metrics);
        desk.registers_with(applications);
        let metrics = whip::Metrics::register(registry)?;
        let gate = Arc::new(OverWhip(broadcasts.clone()));
        let whip = whip::Server::bind(&config.whip(), gate, reencoders, metrics)?;
        let listener = TcpListener::bind(config.rtmp).await;
        let listener = listener.map_err(|error| Error::Rtmp(config.rtmp, error))?;
        let rtmp_addr = listener.local_addr().map_err(|error| Error::Rtmp(config.rtmp, error))?;
        let metrics = rtmp::Metrics::register(registry)?;
        let rtmp = rtmp::Server::new(listener, broadcasts.clone(), config.limits.clone(), metrics);
        let oidc = config.oidc.clone().map(oidc::Provider::new).transpose()?.map(Arc::new);
        let settings = api::Settings {
            rtmp_port: rtmp_addr.port(),
            watch_url: config.watch_url.clone(),
            oidc: oidc.clone(),
        };
        let elsewhere = Arc::new(Elsewhere::new(control.clone()));
        let routes =
            api::routes(control.clone(), elsewhere.clone(), comments, webhooks.clone(), settings);
        let routes = routes.merge(whip.routes());
        let routes = api::requests::counted(routes, registry)?;
        let router = pages.merge(routes.clone());
        let proxies = Proxies::parse(&config.trusted_proxies)?;
        let api = Server::bind(config.http, router, proxies).await;
        let api = api.map_err(|error| Error::Http(config.http, error))?;
        Ok(Self {
            relay,
            relay_addr,
            broadcasts,
            rtmp,
            rtmp_addr,
            certificate_pem,
            desk,
            registrar,
            edges,
            api,
            routes,
            control,
            elsewhere,
            webhooks,
            whip,
            database,
            news: database::news::Metrics::register(registry)?,
            oidc,
            readiness,
        })
    }

    /// Whether encoders may be sent here.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Where RTMP is accepted.
    pub fn rtmp_addr(&self) -> SocketAddr {
        self.rtmp_addr
    }

    /// Where the API is served.
    pub fn http_addr(&self) -> SocketAddr {
        self.api.addr()
    }

    /// The API, to be served elsewhere too. There each request says whom it comes from
    /// ([`Client`](lectern_relay_proto::client::Client)).
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// What makes the first account, while there is none; also later, where the database was away.
    pub fn setup_tokens(&self) -> watch::Receiver<Option<String>> {
        self.control.setup_tokens()
    }

    /// Where media of publishers by WHIP is taken.
    pub fn media_addr(&self) -> SocketAddr {
        self.whip.local_addr()
    }

    /// By which its limits are changed while it runs.
    pub fn limiter(&self) -> Limiter {
        Limiter { publishers: self.rtmp.limiter(), control: self.control.clone() }
    }

    /// Where edges subscribe.
    pub fn relay_addr(&self) -> SocketAddr {
        self.relay_addr
    }

    /// The relay's certificate chain, which an edge must trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Runs until `cancel`, then lets go of encoders and edges.
    pub async fn run(self, cancel: CancellationToken) {
        // The origin is there without the provider, which is asked again when somebody signs in.
        let look = async {
            if let Some(oidc) = &self.oidc {
                cancel.run_until_cancelled(oidc.look()).await;
            }
        };
        let broadcasts = self.broadcasts.clone();
        let on_owner = Box::new(move |id: Option<&BroadcastId>| match id {
            Some(id) => broadcasts.owner_changed(id),
            None => broadcasts.owners_may_have_changed(),
        });
        tokio::join!(
            look,
            self.readiness.follow(self.database.clone(), cancel.clone()),
            self.database.listen(on_owner, self.news, cancel.clone()),
            self.broadcasts.run(cancel.clone()),
            self.rtmp.run(cancel.clone()),
            self.api.run(cancel.clone()),
            self.control.run(cancel.clone()),
            self.elsewhere.run(cancel.clone()),
            self.webhooks.run(cancel.clone()),
            self.whip.run(cancel.clone()),
            self.registrar.run(cancel.clone()),
            self.desk.run(self.edges, cancel.clone())
        );
        // Nobody publishes any more.
        self.broadcasts.give_back().await;
        self.database.close().await;
        self.relay.close().await;
    }
}

/// Changes the limits of an origin that runs.
#[derive(Clone)]
pub struct Limiter {
    publishers: rtmp::Limiter,
    control: Arc<Control>,
}

impl Limiter {
    /// From now on those of `config` are good: `limits`, and no other setting. Who is connected stays.
    pub fn set(&self, config: &Config) {
        self.publishers.set(config.limits.clone());
    }

    /// The broadcasts of the configuration file are these from now on, as [`Control::provision`] has it.
    pub async fn provision(
        &self,
        provisioned: Vec<BroadcastConfig>,
    ) -> Result<(), control::Refused> {
        self.control.provision(provisioned).await
    }
}

/// What re-encodes, as far as this machine can and the configuration wants it.
async fn reencoders(config: &Config, registry: &Registry) -> Option<Reencoders> {
    if !config.reencode {
        return None;
    }
    let found = Reencoders::find(config.ffmpeg.as_ref(), config.reencoders_max, registry).await;
    found
        .inspect_err(|error| {
            tracing::warn!(
                "nothing can be re-encoded: only H.264 is taken by WHIP, and what comes by RTMP with \
                 B-frames is not shown over WebRTC: {error}"
            );
        })
        .ok()
}
