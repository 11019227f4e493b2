//! A WHIP server on loopback whose gate writes down what it sees.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use lectern_origin::ingest::{Gate, Refusal, Tag, Take, TakeError};
use lectern_origin::whip;
use lectern_relay_proto::UtcTime;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Longest wait for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What the gate and its takes saw, in order.
#[derive(Debug)]
pub(crate) enum Seen {
    Claimed,
    Tag(Tag),
    Ended { clean: bool },
}

/// Lets in who has the key `lecture`, the newest only.
struct RecordingGate {
    seen: mpsc::UnboundedSender<Seen>,
    newest: Mutex<CancellationToken>,
}

impl Gate for RecordingGate {
    type Take = RecordingTake;

    async fn admits(&self, stream_key: &str) -> Result<(), Refusal> {
        match stream_key {
            "lecture" | "panics" => Ok(()),
            "busy" => Err(Refusal::Unavailable("The origin is draining.".into())),
            _ => Err(Refusal::UnknownKey),
        }
    }

    async fn claim(&self, stream_key: &str, _: SocketAddr) -> Result<RecordingTake, Refusal> {
        self.admits(stream_key).await?;
        let superseded = CancellationToken::new();
        std::mem::replace(&mut *self.newest.lock().unwrap(), superseded.clone()).cancel();
        self.seen.send(Seen::Claimed).unwrap();
        let panics = stream_key == "panics";
        Ok(RecordingTake { panics, superseded, seen: self.seen.clone() })
    }
}

struct RecordingTake {
    panics: bool,
    superseded: CancellationToken,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Take for RecordingTake {
    fn push(&mut self, tag: Tag, _: UtcTime) -> Result<(), TakeError> {
        assert!(!self.panics, "a take that panics, as the test wants");
        // The test may have seen enough.
        let _ = self.seen.send(Seen::Tag(tag));
        Ok(())
    }

    fn poll_timeout(&self) -> Option<UtcTime> {
        None
    }

    fn handle_timeout(&mut self, _: UtcTime) -> Result<(), TakeError> {
        Ok(())
    }

    fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }

    fn end(self, clean: bool) {
        let _ = self.seen.send(Seen::Ended { clean });
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) media: SocketAddr,
    pub(crate) registry: Registry,
    seen: mpsc::UnboundedReceiver<Seen>,
    cancel: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    /// At most so many publish at once.
    pub(crate) fn start(sessions_max: usize) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let gate = RecordingGate { seen: sender, newest: Mutex::default() };
        let config = whip::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            sessions_max,
            ..whip::Config::default()
        };
        let registry = Registry::new();
        let metrics = whip::Metrics::register(&registry).unwrap();
        let server = whip::Server::bind(&config, Arc::new(gate), None, metrics).unwrap();
        let (router, media) = (server.routes(), server.local_addr());
        let cancel = CancellationToken::new();
        let running = tokio::spawn(server.run(cancel.clone()));
        Self { router, media, registry, seen, cancel, running }
    }

    /// What comes next.
    pub(crate) async fn seen(&mut self) -> Seen {
        let seen = tokio::time::timeout(DEADLINE, self.seen.recv()).await;
        seen.expect("in time").expect("the server runs")
    }

    /// A tag, if one is there.
    pub(crate) fn tag_now(&mut self) -> Option<Tag> {
        match self.seen.try_recv() {
            Ok(Seen::Tag(tag)) => Some(tag),
            _ => None,
        }
    }

    /// How the take ends, whatever tags come before.
    pub(crate) async fn ended(&mut self) -> bool {
        loop {
            match self.seen().await {
                Seen::Ended { clean } => return clean,
                Seen::Tag(_) => {}
                Seen::Claimed => panic!("claimed before it ended"),
            }
        }
    }

    /// A counter or gauge by its name and the value of its one label.
    pub(crate) fn counted(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("registered");
        let of_label = |metric: &&prometheus::proto::Metric| {
            label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label)
        };
        let metric = family.get_metric().iter().find(of_label);
        metric
            .map_or(0.0, |metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
    }

    /// Stops it as an operator would.
    pub(crate) async fn stop(mut self) -> Vec<Seen> {
        self.cancel.cancel();
        tokio::time::timeout(DEADLINE, &mut self.running).await.expect("in time").unwrap();
        let mut rest = Vec::new();
        while let Ok(seen) = self.seen.try_recv() {
            rest.push(seen);
        }
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What a refusal says to people.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(problem["status"], self.status.as_u16());
        problem["detail"].as_str().expect("text").to_owned()
    }
}

/// Asks `router`; `headers` are pairs of name and value.
pub(crate) async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let body = String::from_utf8(body.into()).expect("text");
    Answer { status: parts.status, headers: parts.headers, body }
}
