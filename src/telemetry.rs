//! Traces to an OTLP collector, over HTTP with protobuf. What is traced, and by which ids, says
//! [`lectern_relay_proto::trace`]; here spans wait, and go out a batch at a time. A collector that is away or
//! slow costs those that find no room, which are counted, and a line in the log now and then.

mod config;

pub(crate) use self::config::Config;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use lectern_origin::outbound;
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::trace::{self, Ratio, Span, Tracer, Value};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::{IntCounterVec, Opts, Registry};
use prost::Message as _;
use reqwest::header::HeaderMap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::process::VERSION;

/// The most spans of a batch, and how long the first of them waits for others.
const BATCH_MAX: usize = 512;
const BATCH_AFTER: Duration = Duration::from_secs(1);
/// A collector that takes nothing is told of no more often than this.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How long what still waits may take when the process ends.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// What is read of a collector's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What is told of its reason.
const REASON_CHARS_MAX: usize = 200;

/// What becomes of spans.
#[derive(Clone)]
pub(crate) struct Metrics(IntCounterVec);

impl Metrics {
    /// Nothing has become of any.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let spans = Opts::new(
            "lectern_trace_spans_total",
            "Spans, by what became of them: sent, queue_full or not_taken by the collector",
        );
        let spans = IntCounterVec::new(spans, &["outcome"])?;
        for outcome in ["sent", "queue_full", "not_taken"] {
            spans.with_label_values(&[outcome]);
        }
        Ok(Self(spans))
    }

    /// Exports them in `registry` too.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.clone()))
    }

    fn count(&self, outcome: &str, spans: usize) {
        self.0.with_label_values(&[outcome]).inc_by(spans as u64);
    }
}

/// Sends spans until it is told to finish.
pub(crate) struct Telemetry {
    sending: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Telemetry {
    /// From now on traces are told as `config` says, if it does. Must be called within a tokio runtime.
    pub(crate) fn start(config: &Config, role: &Role, metrics: &Metrics) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let Some(endpoint) = config.endpoint.as_deref() else {
            return Ok(Self { sending: None, stop });
        };
        let ratio = Ratio::new(config.sample_ratio).context("telemetry.sample_ratio")?;
        let (queue, waiting) = mpsc::channel(config.queue_max);
        let counted = metrics.clone();
        let sink = move |span| {
            if queue.try_send(span).is_err() {
                counted.count("queue_full", 1);
            }
        };
        let rejected = Arc::<Rejected>::default();
        let exporter = exporter(config, endpoint, role, rejected.clone());
        let sender = Sender {
            exporter: exporter.context("telemetry.endpoint")?,
            rejected,
            timeout: config.timeout(),
            metrics: metrics.clone(),
            said: None,
        };
        if !trace::install(Tracer::new(ratio, rand::random(), sink)) {
            anyhow::bail!("traces are told already");
        }
        // A key may stand in its query.
        let shown = endpoint.split_once('?').map_or(endpoint, |(shown, _)| shown);
        tracing::info!(endpoint = shown, sample_ratio = config.sample_ratio, "traces are told");
        let sending = tokio::spawn(sender.run(waiting, stop.clone()));
        Ok(Self { sending: Some(sending), stop })
    }

    /// Sends what still waits, if that does not take long.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        if let Some(sending) = self.sending {
            let _ = tokio::time::timeout(FAREWELL_MAX, sending).await;
        }
    }
}

fn exporter(
    config: &Config,
    endpoint: &str,
    role: &Role,
    rejected: Arc<Rejected>,
) -> anyhow::Result<SpanExporter> {
    let http = outbound::client().timeout(config.timeout()).build()?;
    let headers = config.headers_file.clone().map(Headers::of);
    let client = Client { http, headers, rejected };
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(endpoint)
        .with_timeout(config.timeout())
        // It would hold up all that wait behind.
        .with_retry_policy(RetryPolicy::disabled())
        .build()?;
    let instance =
        config.instance.clone().unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", config.service_name.clone()),
        KeyValue::new("service.instance.id", instance),
        KeyValue::new("service.version", VERSION),
        KeyValue::new("lectern.role", role.to_string()),
    ]);
    exporter.set_resource(&resource.build());
    Ok(exporter)
}

/// Where spans wait.
struct Sender {
    exporter: SpanExporter,
    rejected: Arc<Rejected>,
    timeout: Duration,
    metrics: Metrics,
    /// When it was last said that the collector takes nothing, while it does not.
    said: Option<Instant>,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Span>, stop: CancellationToken) {
        let mut batch = Vec::new();
        while let Some(first) = stop.run_until_cancelled(waiting.recv()).await.flatten() {
            batch.push(first);
            let more = async {
                while let room @ 1.. = BATCH_MAX - batch.len() {
                    if waiting.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            let more = tokio::time::timeout(BATCH_AFTER, more);
            stop.run_until_cancelled(more).await;
            self.send(std::mem::take(&mut batch)).await;
        }
        loop {
            while batch.len() < BATCH_MAX
                && let Ok(span) = waiting.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&mut self, batch: Vec<Span>) {
        let count = batch.len();
        let batch = batch.into_iter().map(span_data).collect();
        let sent = tokio::time::timeout(self.timeout, self.exporter.export(batch)).await;
        let (not_taken, why) = match sent {
            Ok(Ok(())) => match self.rejected.take() {
                (0, _) => {
                    self.metrics.count("sent", count);
                    if self.said.take().is_some() {
                        tracing::info!("the collector takes spans again");
                    }
                    return;
                }
                (spans, why) => (spans.min(count), why),
            },
            Ok(Err(error)) => (count, error.to_string()),
            Err(_) => (count, format!("no answer within {:?}", self.timeout)),
        };
        self.metrics.count("sent", count - not_taken);
        self.metrics.count("not_taken", not_taken);
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!(
                why,
                "the collector did not take spans; they are lost, and nothing else is"
            );
        }
    }
}

/// A span as OTLP wants it.
fn span_data(span: Span) -> SpanData {
    let context = |id| {
        let (trace, span) = (TraceId::from(span.trace.0), SpanId::from(id));
        SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
    };
    let attributes = span.attributes.into_iter().map(|(key, value)| match value {
        Value::Text(text) => KeyValue::new(key, text),
        Value::Number(number) => KeyValue::new(key, number),
    });
    SpanData {
        span_context: context(span.id.0),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.0)),
        parent_span_is_remote: span.parent.is_some(),
        span_kind: if span.is_answer { SpanKind::Server } else { SpanKind::Internal },
        name: span.name.into(),
        start_time: system_time(span.start),
        end_time: system_time(span.end),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("lectern").build(),
    }
}

fn system_time(at: UtcTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(at.as_micros())
}

/// What a collector said of spans of a batch that it took otherwise.
#[derive(Debug, Default)]
struct Rejected(Mutex<(usize, String)>);

impl Rejected {
    /// How many of the last batch, and why.
    fn take(&self) -> (usize, String) {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, answer: &[u8]) {
        // What cannot be read says nothing; the status was good.
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let Some(partial) = answer.partial_success else { return };
        let spans = usize::try_from(partial.rejected_spans).unwrap_or(0);
        let why = partial.error_message.chars().take(REASON_CHARS_MAX).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (spans, why);
    }
}

/// A file of headers, which may take as long to read as a network file system likes: one read at a time.
#[derive(Debug)]
struct Headers {
    file: PathBuf,
    reading: tokio::sync::Mutex<Option<JoinHandle<Result<HeaderMap, String>>>>,
}

impl Headers {
    fn of(file: PathBuf) -> Self {
        Self { file, reading: tokio::sync::Mutex::default() }
    }

    /// What it holds. Given up, the next call waits for the same read.
    async fn read(&self) -> Result<HeaderMap, HttpError> {
        let mut reading = self.reading.lock().await;
        let read = reading.get_or_insert_with(|| {
            let file = self.file.clone();
            tokio::task::spawn_blocking(move || config::headers(&file))
        });
        let read = read.await;
        *reading = None;
        Ok(read??)
    }
}

/// What the exporter sends by.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    headers: Option<Headers>,
    rejected: Arc<Rejected>,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if let Some(headers) = &self.headers {
            request.headers_mut().extend(headers.read().await?);
        }
        let mut answer = self.http.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(more) = answer.chunk().await? {
            if body.len() + more.len() > ANSWER_BYTES_MAX {
                return Err("the answer is too long".into());
            }
            body.extend_from_slice(&more);
        }
        if answer.status().is_success() {
            self.rejected.note(&body);
        }
        let mut response = Response::new(body.into());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    #[test]
    fn spans_that_a_collector_rejects_in_a_good_answer_are_told_once() {
        let rejected = Rejected::default();
        let partial_success = ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old ".repeat(1_000),
        };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial_success) };
        rejected.note(&answer.encode_to_vec());
        let (spans, why) = rejected.take();
        assert_eq!((spans, why.len()), (3, REASON_CHARS_MAX));
        assert_eq!(rejected.take(), (0, String::new()));
        for nothing in [&b""[..], b"<html>", b"{}"] {
            rejected.note(nothing);
            assert_eq!(rejected.take(), (0, String::new()));
        }
    }

    #[tokio::test]
    async fn a_file_of_headers_that_hangs_is_read_once() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("headers");
        // It opens when somebody opens its other end.
        let made = std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo");
        assert!(made.success());
        let headers = Headers::of(file.clone());
        for _ in 0..3 {
            let read = tokio::time::timeout(Duration::from_millis(50), headers.read()).await;
            assert!(read.is_err(), "it hangs");
        }
        // Another read would wait for another writer.
        std::fs::write(&file, "x-key: value\n").expect("written");
        let read = tokio::time::timeout(Duration::from_secs(30), headers.read()).await;
        let read = read.expect("in time").expect("read");
        assert_eq!(read["x-key"], "value");
    }
}
