//! What the process says while it runs: lines for people, or an object of JSON in each for machines.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry, reload};

use crate::config::LogFormat;

/// Says from now on what `filter` lets through. Returns what gives it another.
pub(crate) fn begin(
    filter: EnvFilter,
    format: LogFormat,
) -> Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync> {
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer();
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stdout().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    registry().with(filter).with(lines).init();
    Box::new(move |filter| handle.reload(filter).context("the log cannot be changed"))
}
