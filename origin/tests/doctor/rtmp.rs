//! The doctor where it works: behind the RTMP port, with its findings counted.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lectern_origin::broadcasts::{Broadcasts, Key, Spec, key_digest};
use lectern_origin::config::{BroadcastConfig, Secret};
use lectern_origin::database::Database;
use lectern_origin::doctor::{Report, Severity, code};
use lectern_origin::ingest::rtmp;
use lectern_origin::metrics::Metrics;
use lectern_origin::timelines::Timelines;
use lectern_origin::transcode::video::Reencoders;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::net::{Identity, Publisher, PublisherConfig, PublisherMetrics};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::source::{AAC, MOVING, VOICE, X264};

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often it is looked whether something has come about that nothing announces.
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Origin {
    broadcasts: Arc<Broadcasts>,
    id: BroadcastId,
    url: String,
    metrics: Metrics,
    _relay: Publisher,
    _data: tempfile::TempDir,
}

impl Origin {
    async fn start() -> Self {
        Self::mending_by(None).await
    }

    async fn mending_by(reencoders: Option<Reencoders>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (registry, loopback) = (Registry::new(), "127.0.0.1:0");
        let identity = Identity::load_or_create(data.path()).unwrap();
        let relay_metrics = PublisherMetrics::register(&registry).unwrap();
        let relay = PublisherConfig::new(loopback.parse().unwrap(), identity, relay_metrics);
        let relay = Publisher::bind(relay).unwrap();
        let id: BroadcastId = "lecture".parse().unwrap();
        let metrics = Metrics::register(&registry).unwrap();
        let url = format!("sqlite:{}/lectern.db", data.path().display());
        let timelines = Timelines::new(Database::new(&url).unwrap());
        let broadcasts = Broadcasts::new(relay.announcer().clone(), timelines, metrics.clone());
        let broadcasts = broadcasts.mending_by(reencoders);
        let config = BroadcastConfig::new(id.clone(), Secret::new("key"));
        let key = Key { id: "key".into(), digest: key_digest("key"), backup: false };
        broadcasts.open(Spec::from(&config), &[key]).unwrap();
        let broadcasts = Arc::new(broadcasts);
        let listener = TcpListener::bind(loopback).await.unwrap();
        let url = format!("rtmp://{}/live/key", listener.local_addr().unwrap());
        let counters = rtmp::Metrics::register(&registry).unwrap();
        let server =
            rtmp::Server::new(listener, broadcasts.clone(), rtmp::Config::default(), counters);
        tokio::spawn(server.run(CancellationToken::new()));
        Self { broadcasts, id, url, metrics, _relay: relay, _data: data }
    }

    /// Waits until the report is as wanted.
    async fn report(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let look = async {
            loop {
                let report = self.broadcasts.report(&self.id).unwrap();
                if wanted(&report) {
                    return report;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(DEADLINE, look).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    fn counted(&self, code: &str) -> i64 {
        self.metrics.findings.with_label_values(&[code]).get()
    }

    fn push(&self, arguments: &[&str]) -> tokio::process::Child {
        let words = arguments.iter().flat_map(|words| words.split_whitespace());
        Command::new("ffmpeg")
            .args(["-v", "quiet", "-nostdin", "-re"])
            .args(words)
            .args(["-f", "flv", &self.url])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("ffmpeg is installed")
    }
}

fn has(report: &Report, code: &str) -> bool {
    report.findings.iter().any(|finding| finding.code == code)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_over_rtmp_is_reported_and_counted() {
    let origin = Origin::start().await;
    let nobody = "nobody".parse().unwrap();
    assert_eq!(origin.broadcasts.report(&nobody), None);
    let idle = origin.report("idle broadcast", |report| !report.live).await;
    assert_eq!((idle.findings.len(), idle.history.len()), (0, 0));

    let mut ffmpeg = origin.push(&[MOVING, VOICE, X264, AAC, "-bf 2"]);
    let found = origin.report("B-frames", |report| has(report, code::B_FRAMES)).await;
    assert!(found.live && found.figures.encoder.is_some_and(|name| name.starts_with("Lavf")));
    assert_eq!(origin.counted(code::B_FRAMES), 1);
    let heard = |report: &Report| {
        report.figures.audio.as_ref().is_some_and(|audio| audio.peak_dbfs.is_some())
    };
    origin.report("level of decoded sound", heard).await;
    ffmpeg.kill().await.unwrap();
    let gone = origin.report("end of the take", |report| !report.live).await;
    assert_eq!(gone.findings, []);
    assert_eq!(origin.counted(code::B_FRAMES), 0);

    let mp3 = origin.push(&[MOVING, VOICE, X264, "-c:a libmp3lame -ar 44100"]);
    let refused = origin.report("refusal", |report| has(report, code::AUDIO_REFUSED)).await;
    assert!(refused.findings[0].title.contains("MP3"));
    assert_eq!(origin.counted(code::AUDIO_REFUSED), 1);
    drop(mp3);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_that_are_mended_are_a_hint_and_their_delay_is_in_the_report() {
    let reencoders = Reencoders::find(None, 1, &Registry::new()).await.unwrap();
    let origin = Origin::mending_by(Some(reencoders)).await;
    let _encoder = origin.push(&[MOVING, VOICE, X264, AAC, "-bf 2"]);
    let is_mended = |report: &Report| report.figures.reencoding_delay_ms.is_some();
    let report = origin.report("re-encoding", is_mended).await;
    println!("{:?} ms", report.figures.reencoding_delay_ms);
    let report = origin.report("B-frames", |report| has(report, code::B_FRAMES)).await;
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert_eq!((finding.code, finding.severity), (code::B_FRAMES, Severity::Hint));
    assert!(finding.params.contains_key("delay_ms"), "{finding:?}");
    assert_eq!(origin.counted(code::B_FRAMES), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_that_cannot_be_mended_are_a_problem_and_why_is_said() {
    let none = Reencoders::find(None, 0, &Registry::new()).await.unwrap();
    let origin = Origin::mending_by(Some(none)).await;
    let _encoder = origin.push(&[MOVING, VOICE, X264, AAC, "-bf 2"]);
    not_mended(&origin, "as many broadcasts as it may").await;

    // One that ends, and one that takes everything and says nothing.
    for does in ["exit 1", "exec cat > /dev/null"] {
        let dir = tempfile::tempdir().unwrap();
        let ffmpeg = dir.path().join("ffmpeg");
        let script =
            format!("#!/bin/sh\ncase \"$*\" in *coders*) exec ffmpeg \"$@\";; esac\n{does}\n");
        std::fs::write(&ffmpeg, script).unwrap();
        std::fs::set_permissions(&ffmpeg, std::fs::Permissions::from_mode(0o755)).unwrap();
        let fails = Reencoders::find(Some(&ffmpeg), 1, &Registry::new()).await.unwrap();
        let origin = Origin::mending_by(Some(fails)).await;
        let _encoder = origin.push(&[MOVING, VOICE, X264, AAC, "-bf 2 -g 30"]);
        not_mended(&origin, "fails").await;
        let left_out = origin.metrics.dropped.with_label_values(&["reencoder_behind"]);
        assert!(does != "exit 1" || left_out.get() > 0);
    }
}

async fn not_mended(origin: &Origin, why: &str) {
    let report = origin.report("B-frames", |report| has(report, code::B_FRAMES)).await;
    let finding = report.findings.iter().find(|finding| finding.code == code::B_FRAMES).unwrap();
    assert_eq!(finding.severity, Severity::Problem);
    assert!(finding.detail.contains(why), "{}", finding.detail);
    assert_eq!(report.figures.reencoding_delay_ms, None);
}
