//! Runs a role: starts its parts, says where they are, and lets go of them in order at the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use lectern_edge::demand::Prewarm;
use lectern_edge::{Edge, Upstream, pages};
use lectern_origin::{Origin, demo};
use lectern_relay_proto::net::{Token, Tokens, Trust};
use prometheus::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::config::{Config, DEMO_MODERATOR_KEY};
use crate::ops::{Ops, Readiness};
use crate::reload::{self, Reloader};

/// How long parts may take to let go of their peers. A viewer in the middle of a segment would
/// otherwise hold the process for as long as the segment takes.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Runs `role` until SIGINT or SIGTERM, or until a part of it fails. With SIGHUP, `reloader` reads its
/// configuration again.
pub(crate) async fn run(role: Role, config: Config, reloader: Reloader) -> anyhow::Result<()> {
    // From the beginning, or one that comes early would end the process.
    let hangups = signal(SignalKind::hangup())?;
    let mut parts = Parts::new(reloader);
    match role {
        Role::Origin { .. } => {
            let origin = start_origin(&config, &mut parts).await?;
            let console = format!("http://{}/console", loopback_name(origin.http));
            say_console(console, origin.setup_tokens);
        }
        Role::Edge => {
            let upstream = config.edge.upstream().context("the edge cannot start")?;
            start_edge(&config, upstream, Router::new(), &mut parts).await?;
        }
        Role::All { demo, .. } => start_all(config, demo, &mut parts).await?,
    }
    parts.run(hangups).await
}

async fn start_all(mut config: Config, demo: bool, parts: &mut Parts) -> anyhow::Result<()> {
    // The relay's port may be open to the world; who subscribes without being told this is refused.
    let token = match (&config.origin.relay_token, &config.origin.relay_token_file) {
        (Some(token), _) => Tokens::from(token.clone()),
        (None, Some(file)) => Tokens::from_file(file)?,
        (None, None) => {
            let token = kept_token(&config.data_dir)?;
            config.origin.relay_token = Some(token.clone());
            Tokens::from(token)
        }
    };
    if config.origin.relay_client_ca.is_some() {
        bail!(
            "origin.relay_client_ca is for edges elsewhere; in `all` the edge has no certificate"
        );
    }
    let origin = start_origin(&config, parts).await?;
    let upstream = Upstream {
        addresses: vec![loopback(origin.relay).to_string()],
        name: Some("localhost".to_owned()),
        trust: Trust::Certificates(origin.certificate_pem),
        token: Some(token),
        identity: None,
    };
    config.edge.data_dir = Some(config.data_dir.clone());
    // Between the two nothing has to be saved, and the first viewer need not wait.
    config.edge.prewarm.get_or_insert(Prewarm::All);
    let beside = pages::console(false, None).merge(origin.routes);
    let watch = start_edge(&config, upstream, beside, parts).await?;
    if demo {
        start_demo(&config, origin.rtmp, parts)?;
    }
    for broadcast in &config.broadcast {
        for server in &watch {
            println!("watch    {server}/watch/{}", broadcast.id);
            if demo && broadcast.id.as_str() == "demo" {
                println!("moderate {server}/watch/demo#moderate={DEMO_MODERATOR_KEY}");
            }
        }
    }
    println!("publish  rtmp://{}/live with the broadcast's stream key", loopback_name(origin.rtmp));
    if let Some(server) = watch.first() {
        say_console(format!("{server}/console"), origin.setup_tokens);
    }
    Ok(())
}

/// Says where hosts are at home, and how the first of them gets in.
fn say_console(console: String, mut setup_tokens: watch::Receiver<Option<String>>) {
    if setup_tokens.borrow().is_none() {
        println!("console  {console}");
    }
    // With a database that is away it may turn out later that there is no account.
    tokio::spawn(async move {
        if let Ok(Some(token)) = setup_tokens.wait_for(Option::is_some).await.as_deref() {
            // In the part of an address that no server, and no log of a proxy, sees.
            println!("set up   {console}#setup={token}   (once, for the first account)");
        }
    });
}

/// The scheme, host and port of a URL that has them.
fn origin_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host_len = rest.find('/').unwrap_or(rest.len());
    Some(&url[..url.len() - rest.len() + host_len])
}

struct StartedOrigin {
    rtmp: SocketAddr,
    relay: SocketAddr,
    http: SocketAddr,
    certificate_pem: String,
    routes: Router,
    setup_tokens: watch::Receiver<Option<String>>,
}

async fn start_origin(config: &Config, parts: &mut Parts) -> anyhow::Result<StartedOrigin> {
    let registry = Registry::new();
    let data_dir = &config.data_dir;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create the data directory {}", data_dir.display()))?;
    let watched = origin_of(&config.origin.watch_url);
    let pages = pages::console(true, watched);
    let origin = Origin::start(&config.origin, &config.broadcast, data_dir, pages, &registry)
        .await
        .context("the origin cannot start")?;
    let started = StartedOrigin {
        rtmp: origin.rtmp_addr(),
        relay: origin.relay_addr(),
        http: origin.http_addr(),
        certificate_pem: origin.certificate_pem().to_owned(),
        routes: origin.routes(),
        setup_tokens: origin.setup_tokens(),
    };
    let readiness = origin.readiness();
    parts
        .serve_ops("origin.ops", config.origin.ops, registry, Arc::new(move || readiness.ready()))
        .await?;
    parts.live.origin = Some(origin.limiter());
    tracing::info!(
        rtmp = %started.rtmp,
        relay = %started.relay,
        http = %started.http,
        ops = %config.origin.ops,
        "origin is up"
    );
    let cancel = parts.cancel.clone();
    parts.spawn(async move {
        origin.run(cancel).await;
        Ok(())
    });
    Ok(started)
}

/// Starts the edge; returns where it is watched on this machine.
async fn start_edge(
    config: &Config,
    upstream: Upstream,
    beside: Router,
    parts: &mut Parts,
) -> anyhow::Result<Vec<String>> {
    let registry = Registry::new();
    let edge = Edge::start(&config.edge, upstream, beside, &registry)
        .await
        .context("the edge cannot start")?;
    let (http, https) = (edge.http_addr(), edge.https_addr());
    let mut watch = vec![format!("http://{}", loopback_name(http))];
    watch.extend(https.map(|https| format!("https://{}", loopback_name(https))));
    let https = https.map(tracing::field::display);
    let readiness = edge.readiness();
    parts
        .serve_ops("edge.ops", config.edge.ops, registry, Arc::new(move || readiness.ready()))
        .await?;
    let cancel = parts.cancel.clone();
    parts.live.edge = Some(edge.limiter());
    tracing::info!(%http, https, media = %edge.media_addr(), ops = %config.edge.ops, "edge is up");
    parts.drain = config.edge.drain();
    parts.spawn(async move {
        edge.run(cancel).await;
        Ok(())
    });
    Ok(watch)
}

fn start_demo(config: &Config, rtmp: SocketAddr, parts: &mut Parts) -> anyhow::Result<()> {
    let key = config.broadcast.iter().find(|broadcast| broadcast.id.as_str() == "demo");
    let key = key.context("the broadcast `demo` is not provisioned")?.stream_key.expose();
    let feed = demo::FeedConfig::new(format!("rtmp://{}/live/{key}", loopback(rtmp)));
    let cancel = parts.cancel.clone();
    parts.spawn(
        async move { demo::run(feed, cancel).await.context("the demo's test pattern failed") },
    );
    Ok(())
}

/// What runs, and the one signal that ends it.
struct Parts {
    reloader: Reloader,
    /// What it may change.
    live: reload::Parts,
    cancel: CancellationToken,
    /// How long an edge goes on for those who are there.
    drain: Duration,
    tasks: JoinSet<anyhow::Result<()>>,
    /// Metrics and health, which are there until the others have ended.
    ops: JoinSet<anyhow::Result<()>>,
    over: CancellationToken,
}

impl Parts {
    fn new(reloader: Reloader) -> Self {
        Self {
            reloader,
            live: reload::Parts::default(),
            cancel: CancellationToken::new(),
            drain: Duration::ZERO,
            tasks: JoinSet::new(),
            ops: JoinSet::new(),
            over: CancellationToken::new(),
        }
    }

    fn spawn(&mut self, part: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.tasks.spawn(part);
    }

    async fn serve_ops(
        &mut self,
        key: &str,
        listen: SocketAddr,
        registry: Registry,
        ready: Readiness,
    ) -> anyhow::Result<()> {
        self.reloader.metrics().register(&registry)?;
        let ops = Ops::bind(listen, registry, ready)
            .await
            .with_context(|| format!("{key}: cannot listen on {listen}"))?;
        let over = self.over.clone();
        self.ops.spawn(async move { ops.run(over).await.context("metrics and health failed") });
        Ok(())
    }

    /// Waits for a signal or the first failure, then ends everything. A second signal does not wait.
    async fn run(mut self, mut hangups: Signal) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let reloading = async {
            while let Some(()) = hangups.recv().await {
                self.reloader.reload(&self.live).await;
            }
            std::future::pending::<()>().await;
        };
        // What a file system or a database holds up must not hold up the end.
        let failure = tokio::select! {
            () = reloading => None,
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            Some(ended) = self.tasks.join_next() => Some(ended),
            Some(ended) = self.ops.join_next() => Some(ended),
        };
        self.cancel.cancel();
        tracing::info!("stopping");
        let over = self.over.clone();
        let drained = async {
            while self.tasks.join_next().await.is_some() {}
            over.cancel();
            while self.ops.join_next().await.is_some() {}
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(self.drain + DRAIN_MAX) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        failure.map_or(Ok(()), |ended| ended.context("a part of the process panicked")?)
    }
}

/// The token that the origin and the edge of this process share, made at the first start: addresses that
/// moderators have blocked are known by it, and stay blocked.
fn kept_token(data_dir: &Path) -> anyhow::Result<Token> {
    let file = data_dir.join("relay-token");
    let context = || format!("cannot keep the relay token in {}", file.display());
    if file.exists() {
        let kept = std::fs::read_to_string(&file).with_context(context)?;
        return kept.trim().parse().with_context(context);
    }
    std::fs::create_dir_all(data_dir).with_context(context)?;
    let token = random_token();
    // Beside it first, so that a start which is cut short leaves all of it or nothing.
    let unfinished = data_dir.join("relay-token.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut kept = options.open(&unfinished).with_context(context)?;
    std::io::Write::write_all(&mut kept, token.as_bytes()).with_context(context)?;
    kept.sync_all().with_context(context)?;
    std::fs::rename(&unfinished, &file).with_context(context)?;
    token.parse().with_context(context)
}

fn random_token() -> String {
    use rand::distr::{Alphanumeric, SampleString as _};
    Alphanumeric.sample_string(&mut rand::rng(), 43)
}

/// `addr` as a process on this machine reaches it.
fn loopback(addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addr.port())
    } else {
        addr
    }
}

fn loopback_name(addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() { format!("localhost:{}", addr.port()) } else { addr.to_string() }
}
