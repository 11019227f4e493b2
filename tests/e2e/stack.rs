//! An origin and an edge on free ports of loopback, ffmpeg as the encoder, and patient requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use lectern_edge::config::Config as EdgeConfig;
use lectern_edge::demand::Prewarm;
use lectern_edge::{Edge, Upstream};
use lectern_origin::Origin;
use lectern_origin::config::{BroadcastConfig, Config, Secret};
use lectern_relay_proto::net::Trust;
use prometheus::Registry;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far beyond what anything here takes on an idle machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Any port of loopback.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A video source of 320×180 at 25 frames a second.
pub(crate) const VIDEO: &str = "-re -f lavfi -i testsrc2=size=320x180:rate=25";
/// A tone at 44.1 kHz.
pub(crate) const AUDIO: &str = "-re -f lavfi -i sine=frequency=440:sample_rate=44100";
/// What OBS would call x264 with a keyframe every second and no B-frames.
pub(crate) const H264: &str =
    "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v high -pix_fmt yuv420p -g 25";
pub(crate) const AAC: &str = "-c:a aac -b:a 96k";

/// Both roles, and what they keep.
pub(crate) struct Stack {
    pub(crate) rtmp: SocketAddr,
    pub(crate) relay: SocketAddr,
    certificate: String,
    http: SocketAddr,
    data_dir: TempDir,
    broadcasts: Vec<BroadcastConfig>,
    config: Config,
    origin: Option<Running>,
    /// What the edge counts.
    registry: Registry,
    _edge: Running,
    client: reqwest::Client,
}

pub(crate) struct Running {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Stack {
    /// With the public broadcasts `a` and `b`, whose keys are `a-key` and `b-key`.
    pub(crate) async fn start() -> Self {
        Self::start_as(Config::default()).await
    }

    /// The same, with an origin set up so, but for its ports.
    pub(crate) async fn start_as(config: Config) -> Self {
        let broadcast =
            |id: &str| BroadcastConfig::new(id.parse().unwrap(), Secret::new(format!("{id}-key")));
        Self::start_both(["a", "b"].map(broadcast).into(), config).await
    }

    /// With these broadcasts.
    pub(crate) async fn start_with(broadcasts: Vec<BroadcastConfig>) -> Self {
        Self::start_both(broadcasts, Config::default()).await
    }

    async fn start_both(broadcasts: Vec<BroadcastConfig>, config: Config) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let (origin, rtmp, relay, certificate) =
            start_origin(&config, ANY, ANY, data_dir.path().into(), &broadcasts).await;
        let (_edge, http, registry) = start_edge(relay, &certificate, warm()).await;
        let client = client();
        let origin = Some(origin);
        Self {
            rtmp,
            relay,
            certificate,
            http,
            data_dir,
            broadcasts,
            config,
            origin,
            registry,
            _edge,
            client,
        }
    }

    /// Another edge of the same origin.
    pub(crate) async fn another_edge(&self) -> Self {
        self.another_edge_by(self.relay).await
    }

    /// The same, which finds the origin's relay at `relay`.
    pub(crate) async fn another_edge_by(&self, relay: SocketAddr) -> Self {
        self.another_edge_as(relay, warm()).await
    }

    /// The same, set up so but for its ports.
    pub(crate) async fn another_edge_as(&self, relay: SocketAddr, config: EdgeConfig) -> Self {
        let (_edge, http, registry) = start_edge(relay, &self.certificate, config).await;
        Self {
            certificate: self.certificate.clone(),
            http,
            data_dir: tempfile::tempdir().unwrap(),
            broadcasts: Vec::new(),
            config: self.config.clone(),
            origin: None,
            registry,
            _edge,
            client: self.client.clone(),
            ..*self
        }
    }

    /// Stops the origin and starts another on the same ports and data.
    pub(crate) async fn restart_origin(&mut self) {
        let origin = self.origin.take().unwrap();
        origin.stop().await;
        let data_dir = self.data_dir.path().into();
        let (rtmp, relay) = (self.rtmp, self.relay);
        let (origin, ..) =
            start_origin(&self.config, rtmp, relay, data_dir, &self.broadcasts).await;
        self.origin = Some(origin);
    }

    /// Publishes with ffmpeg until the child is dropped. `arguments` are split at spaces.
    pub(crate) fn publish(&self, key: &str, arguments: &str) -> Child {
        Command::new("ffmpeg")
            .args("-v error -nostdin".split(' '))
            .args(arguments.split(' '))
            .args(["-f", "flv", &format!("rtmp://{}/live/{key}", self.rtmp)])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("ffmpeg is installed")
    }

    /// What the edge counts.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).timeout(DEADLINE).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> reqwest::Response {
        self.client.delete(self.url(path)).timeout(DEADLINE).send().await.unwrap()
    }

    /// Posts a WHEP offer.
    pub(crate) async fn offer(&self, id: &str, sdp: &'static str) -> reqwest::Response {
        let request = self.client.post(self.url(&format!("/whep/{id}")));
        request.header("Content-Type", "application/sdp").body(sdp).send().await.unwrap()
    }

    /// The status of a broadcast once `ready` finds in it what it looks for.
    pub(crate) async fn status_when<T>(
        &self,
        id: &str,
        what: &str,
        ready: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let began = tokio::time::Instant::now();
        loop {
            let answer = self.get(&format!("/live/{id}")).await;
            let status: Value = answer.json().await.unwrap_or_default();
            if let Some(found) = ready(&status) {
                return found;
            }
            assert!(began.elapsed() < DEADLINE, "{what}; the last status was {status}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the edge serves segment number `count` after the first one it has, of every
    /// track.
    pub(crate) async fn segments(&self, id: &str, count: u64) -> Value {
        let what = format!("{id} never had {count} segments");
        self.status_when(id, &what, |status| {
            let tracks = status["tracks"].as_array().filter(|tracks| !tracks.is_empty())?;
            let served = |track: &Value| {
                let first = track["first_segment"].as_u64()?;
                Some(track["last_segment"].as_u64()? - first)
            };
            tracks
                .iter()
                .all(|track| served(track).is_some_and(|served| served >= count))
                .then(|| status.clone())
        })
        .await
    }

    /// Waits until the manifest is as wanted.
    pub(crate) async fn manifest_when(&self, id: &str, wanted: impl Fn(&str) -> bool) {
        let began = tokio::time::Instant::now();
        loop {
            let answer = self.get(&format!("/live/{id}/manifest.mpd")).await;
            let manifest = answer.text().await.unwrap();
            if wanted(&manifest) {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "the last manifest was {manifest}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn manifest(&self, id: &str) -> String {
        let answer = self.get(&format!("/live/{id}/manifest.mpd")).await;
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }
}

/// What asks over HTTP.
pub(crate) fn client() -> reqwest::Client {
    // As it is built here the library brings no cryptography; what it has is not used on loopback.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

/// As in one process with its origin: it subscribes to everything.
fn warm() -> EdgeConfig {
    EdgeConfig { prewarm: Some(Prewarm::All), ..EdgeConfig::default() }
}

/// An edge of the relay that presents this certificate; where it serves, and what it counts.
pub(crate) async fn start_edge(
    relay: SocketAddr,
    certificate: &str,
    config: EdgeConfig,
) -> (Running, SocketAddr, Registry) {
    let config = EdgeConfig { http: ANY, media: ANY, ..config };
    let upstream = Upstream {
        addresses: vec![relay.to_string()],
        name: Some("localhost".to_owned()),
        trust: Trust::Certificates(certificate.to_owned()),
        token: None,
        identity: None,
    };
    let registry = Registry::new();
    let edge = Edge::start(&config, upstream, Router::new(), &registry).await.unwrap();
    let http = edge.http_addr();
    (Running::spawn(async |cancel| edge.run(cancel).await), http, registry)
}

/// The sum of a metric over its labels.
pub(crate) fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let of = families.iter().filter(|family| family.name() == name);
    let metrics = of.flat_map(|family| family.get_metric());
    metrics.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
}

/// Waits until a metric is as wanted.
pub(crate) async fn metric_when(registry: &Registry, name: &str, wanted: impl Fn(f64) -> bool) {
    let began = tokio::time::Instant::now();
    loop {
        let value = metric(registry, name);
        if wanted(value) {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "{name} was {value} at the end");
        tokio::time::sleep(POLL).await;
    }
}

async fn start_origin(
    config: &Config,
    rtmp: SocketAddr,
    relay: SocketAddr,
    data_dir: PathBuf,
    broadcasts: &[BroadcastConfig],
) -> (Running, SocketAddr, SocketAddr, String) {
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config { rtmp, relay, http, media: ANY, ..config.clone() };
    let origin = Origin::start(&config, broadcasts, &data_dir, Router::new(), &Registry::new())
        .await
        .unwrap();
    let (rtmp, relay) = (origin.rtmp_addr(), origin.relay_addr());
    let certificate = origin.certificate_pem().to_owned();
    (Running::spawn(async |cancel| origin.run(cancel).await), rtmp, relay, certificate)
}

impl Running {
    pub(crate) fn spawn<F>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run(cancel.clone()));
        Self { cancel, task }
    }

    /// Ends it, and waits until it has.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

/// Where each Representation of a manifest is found, in order: its id in the template of its set.
pub(crate) fn representations(manifest: &str) -> Vec<String> {
    let value = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
    let mut template = String::new();
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some((_, rest)) = line.split_once("initialization=\"") {
            template = value(rest);
        }
        if let Some((_, rest)) = line.split_once("<Representation id=\"") {
            let init = template.replace("$RepresentationID$", &value(rest));
            found.push(init.trim_end_matches("/init.mp4").to_owned());
        }
    }
    found
}
