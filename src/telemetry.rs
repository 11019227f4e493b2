//! Traces to an OTLP collector, over HTTP with protobuf. What is traced, and by which ids, says
//! [`lectern_relay_proto::trace`]; here spans wait, and go out a batch at a time. A collector that is away or
//! slow costs those that find no room, which are counted, and a line in the log now and then.

mod config;

pub(crate) use self::config::Config;

use std::path::PathBuf;
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
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::{IntCounterVec, Opts, Registry};
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
        let exporter = exporter(config, endpoint, role).context("telemetry.endpoint")?;
        let sender =
            Sender { exporter, timeout: config.timeout(), metrics: metrics.clone(), said: None };
        if !trace::install(Tracer::new(ratio, rand::random(), sink)) {
            anyhow::bail!("traces are told already");
        }
        tracing::info!(endpoint, sample_ratio = config.sample_ratio, "traces are told");
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

fn exporter(config: &Config, endpoint: &str, role: &Role) -> anyhow::Result<SpanExporter> {
    let http = outbound::client().timeout(config.timeout()).build()?;
    let client = Client { http, headers_file: config.headers_file.clone() };
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
        let why = match sent {
            Ok(Ok(())) => {
                self.metrics.count("sent", count);
                if self.said.take().is_some() {
                    tracing::info!("the collector takes spans again");
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        self.metrics.count("not_taken", count);
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

/// What the exporter sends by.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    headers_file: Option<PathBuf>,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if let Some(file) = self.headers_file.clone() {
            // Reading may take as long as a network file system likes.
            let headers = tokio::task::spawn_blocking(move || config::headers(&file)).await??;
            request.headers_mut().extend(headers);
        }
        let mut answer = self.http.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(more) = answer.chunk().await? {
            if body.len() + more.len() > ANSWER_BYTES_MAX {
                return Err("the answer is too long".into());
            }
            body.extend_from_slice(&more);
        }
        let mut response = Response::new(body.into());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}
