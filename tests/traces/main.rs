//! What an operator sees of the way of media and of a request: traces at a collector, and ids in the log and in
//! answers; and that nothing else changes when the collector is gone.

#![allow(clippy::unwrap_used)]

mod collector;

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tempfile::TempDir;

use self::collector::{AUTHORIZED, Collector, text};

/// Far beyond what anything here takes on an idle machine.
const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// `lectern all --demo`, and what it logs.
struct Lectern {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    http: SocketAddr,
    ops: SocketAddr,
    client: reqwest::Client,
    _dir: TempDir,
}

impl Lectern {
    /// With these lines in `[telemetry]`, and a file for headers.
    fn start(telemetry: &str) -> Self {
        // Before anything is started. Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::new();
        let dir = tempfile::tempdir().unwrap();
        let headers = dir.path().join("headers");
        std::fs::write(&headers, format!("authorization: {AUTHORIZED}\n")).unwrap();
        let (http, ops) = (free(), free());
        let toml = format!(
            "log_format = \"json\"\n\
             [telemetry]\nheaders_file = {headers:?}\n{telemetry}\n\
             [origin]\nrtmp = \"127.0.0.1:0\"\nrelay = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             media = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
             [edge]\nhttp = \"{http}\"\nmedia = \"127.0.0.1:0\"\nops = \"{ops}\"\n"
        );
        let config = dir.path().join("lectern.toml");
        std::fs::write(&config, toml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lectern"));
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.args(["all", "--demo", "--config"]).arg(&config);
        command.arg("--data-dir").arg(dir.path().join("data"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (said, kept) = (BufReader::new(child.stdout.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            said.lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
        });
        Self { child, lines, http, ops, client, _dir: dir }
    }

    /// What it logged with this message, in the order of time.
    fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects
            .filter(|line| line["message"].as_str().is_some_and(|m| m.contains(message)))
            .collect()
    }

    async fn get(&self, path: &str) -> Option<String> {
        let answer = self.client.get(format!("http://{}{path}", self.http)).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    async fn metrics(&self) -> String {
        let answer = self.client.get(format!("http://{}/metrics", self.ops)).send().await;
        answer.unwrap().text().await.unwrap()
    }

    /// Plays a moment of the demo over LL-HLS: a segment and a part, as soon as they are listed.
    async fn play(&self) {
        let index = until("a playlist", || self.get("/live/demo/index.m3u8")).await;
        let track = index.lines().find(|line| line.contains("video-main")).unwrap();
        let playlist = format!("/live/demo/{track}");
        let folder = playlist.rsplit_once('/').unwrap().0.to_owned();
        let (segment, part) = until("a segment and a part", || async {
            let listed = self.get(&playlist).await?;
            let segment = listed.lines().rfind(|line| line.ends_with(".m4s"))?.to_owned();
            let part = listed.lines().rfind(|line| line.contains("INDEPENDENT=YES"))?;
            let part = part.split('"').find(|word| word.ends_with(".m4s"))?.to_owned();
            Some((segment, part))
        })
        .await;
        for file in [segment, part] {
            self.get(&format!("{folder}/{file}")).await.unwrap();
        }
    }
}

impl Drop for Lectern {
    fn drop(&mut self) {
        // In order, so that it takes the encoder of the demo with it.
        let pid = self.child.id().to_string();
        Command::new("kill").arg(&pid).status().ok();
        self.child.wait().ok();
    }
}

/// A port that nobody listens on.
fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.unwrap_or_else(|_| panic!("no {what}"))
}

/// The trace of a span that is called so, once it also has all of these.
async fn trace(collector: &Collector, name: &str, with: &[&str]) -> Vec<Span> {
    until(&format!("trace with {name} and {with:?}"), || async {
        let ids = collector.named(name).into_iter().map(|span| span.trace_id);
        let mut traces = ids.map(|id| collector.trace(&id));
        traces.find(|spans| with.iter().all(|name| spans.iter().any(|span| span.name == *name)))
    })
    .await
}

fn span<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let found = named.next().unwrap_or_else(|| panic!("no {name} in {spans:?}"));
    assert!(named.next().is_none(), "two of {name} in {spans:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_follows_a_group_from_the_encoder_to_those_who_watch() {
    let (collector, at) = Collector::start().await;
    let lectern = Lectern::start(&format!(
        "endpoint = \"http://{at}/v1/traces\"\nsample_ratio = 1.0\nservice_name = \"uni\"\n\
         instance = \"node-1\""
    ));
    lectern.play().await;
    let way = ["ingest", "package", "relay", "edge"];
    for served in ["serve segment", "serve part"] {
        let spans = trace(&collector, served, &way).await;
        let before = way.map(|name| span(&spans, name));
        assert!(before[0].parent_span_id.is_empty());
        for (stage, next) in before.iter().zip(&before[1..]) {
            assert_eq!(next.parent_span_id, stage.span_id);
            assert!(next.start_time_unix_nano >= stage.start_time_unix_nano, "{spans:?}");
        }
        let (served, edge) = (span(&spans, served), before[3]);
        assert_eq!(served.parent_span_id, edge.span_id);
        assert!(served.start_time_unix_nano >= edge.start_time_unix_nano);
        for span in &spans {
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
            assert_eq!(text(&span.attributes, "lectern.broadcast").as_deref(), Some("demo"));
            assert_eq!(text(&span.attributes, "lectern.track").as_deref(), Some("video/main"));
            assert!(text(&span.attributes, "lectern.group").is_some());
        }
        // A second of video takes a second to come, so the spans are stretches and not points.
        assert!(before[0].end_time_unix_nano > before[0].start_time_unix_nano);
    }
    assert_eq!(collector.resource("service.name").as_deref(), Some("uni"));
    assert_eq!(collector.resource("service.instance.id").as_deref(), Some("node-1"));
    // The sound has traces of its own.
    let sound = trace(&collector, "edge", &way).await;
    assert!(!sound.is_empty());
    let tracks = || {
        let edges = collector.named("edge");
        edges.iter().filter_map(|span| text(&span.attributes, "lectern.track")).collect::<Vec<_>>()
    };
    until("trace of the sound", || async {
        tracks().iter().any(|track| track == "audio/opus").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_known_by_its_id_and_its_trace() {
    let (collector, at) = Collector::start().await;
    let lectern =
        Lectern::start(&format!("endpoint = \"http://{at}/v1/traces\"\nsample_ratio = 1.0"));
    until("API", || lectern.get("/time")).await;
    let url = |path: &str| format!("http://{}{path}", lectern.http);
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let asked = lectern.client.get(url("/api/v1/broadcasts"));
    let asked = asked.header("x-request-id", "from-the-proxy");
    let asked = asked.header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["x-request-id"], "from-the-proxy");
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["request_id"], "from-the-proxy");
    let id: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&trace_id[2 * at..2 * at + 2], 16).unwrap()).collect();
    let spans = until("trace of the request", || async {
        Some(collector.trace(&id)).filter(|spans| !spans.is_empty())
    })
    .await;
    let span = span(&spans, "GET /api/v1/broadcasts");
    assert_eq!(span.parent_span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert_eq!(text(&span.attributes, "http.response.status_code").as_deref(), Some("401"));
    assert_eq!(text(&span.attributes, "lectern.request").as_deref(), Some("from-the-proxy"));

    // Every other answer has one too, of ours where none came, and the log has it.
    let fresh = lectern.client.get(url("/live/none/index.m3u8")).send().await.unwrap();
    assert_eq!(fresh.headers()["x-request-id"].len(), 16);
    let refused = lectern.client.post(url("/whip")).bearer_auth("wrong");
    let refused = refused.header("content-type", "application/sdp").body("v=0\r\n");
    let refused = refused.send().await.unwrap();
    let id = refused.headers()["x-request-id"].to_str().unwrap().to_owned();
    let line = until("line about the refusal", || async {
        lectern.logged("publisher refused by WHIP").pop()
    })
    .await;
    assert_eq!(line["span"]["request"], id.as_str(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_costs_spans_and_a_line_and_sessions_are_known_in_the_log() {
    let lectern = Lectern::start(&format!(
        "endpoint = \"http://{}/v1/traces\"\nsample_ratio = 1.0\nqueue_max = 1",
        free()
    ));
    lectern.play().await;
    let count = |metrics: &str, outcome: &str| {
        let name = format!("lectern_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name}")).parse::<u64>().unwrap()
    };
    let metrics = until("spans that are lost", || async {
        let metrics = lectern.metrics().await;
        let both = ["not_taken", "queue_full"].into_iter().all(|why| count(&metrics, why) > 0);
        both.then_some(metrics)
    })
    .await;
    assert_eq!(count(&metrics, "sent"), 0);
    lectern.play().await;
    assert!(!lectern.logged("the collector did not take spans").is_empty());

    for (message, what) in [("publishing", "rtmp"), ("edge connected", "relay")] {
        let line = lectern.logged(message).pop().unwrap_or_else(|| panic!("no {message}"));
        assert_eq!(line["span"]["name"], what, "{line}");
        assert_eq!(line["span"]["session"].as_str().map(str::len), Some(16), "{line}");
    }
    let published = lectern.logged("publishing").pop().unwrap();
    assert_eq!(published["span"]["broadcast"], "demo", "{published}");
    let take = lectern.logged("a take begins").pop().unwrap();
    let spans = take["spans"].as_array().unwrap();
    assert!(spans.iter().any(|span| span["session"] == published["span"]["session"]), "{take}");
}

#[test]
fn what_cannot_be_told_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lectern.toml");
    let toml = "[telemetry]\nendpoint = \"collector:4318\"\nsample_ratio = 2.0\nheaders_file = \"/nowhere\"\n\
                timeout_secs = 0\nqueue_max = 0\nservice_name = \"\"\n";
    std::fs::write(&file, toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lectern"));
    command.env_clear().args(["check-config", "--role", "edge", "--config"]).arg(&file);
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(78));
    let wrong = String::from_utf8(stderr).unwrap();
    for key in
        ["endpoint", "sample_ratio", "headers_file", "timeout_secs", "queue_max", "service_name"]
    {
        assert!(wrong.contains(&format!("error: telemetry.{key}: ")), "{key}: {wrong}");
    }
}
