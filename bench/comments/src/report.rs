//! The results, and how they are shown.

use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::table::table;
use serde::Serialize;

/// What is to be reached.
const P99_AIM_MS: f64 = 250.0;
const IDLE_AIM_KB: f64 = 20.0;
/// A core of viewers that is busier than this makes their times.
const BUSY_PERCENT: f64 = 95.0;

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) readers: u64,
    pub(crate) seconds: f64,
    /// Of the edge, before anybody came, with all readers, and after the comments.
    pub(crate) rss_kb: [u64; 3],
    /// Of a core, by the edge, with all readers and nothing to read.
    pub(crate) idle_percent: f64,
    pub(crate) edge_percent: f64,
    pub(crate) client_core_percent: f64,
    pub(crate) written: usize,
    /// From writing a comment to reading it.
    pub(crate) delivery: Quantiles,
    /// From writing a comment to its acknowledgement.
    pub(crate) acknowledged: Quantiles,
    /// To all readers.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) comments: u64,
    /// Viewers that broke off, and why.
    pub(crate) failed: Vec<String>,
}

/// Shows results as tables.
pub(crate) fn render(results: &Results) -> String {
    let Results { readers, seconds, written, delivery, acknowledged, .. } = results;
    let each = |total: u64| total as f64 / *readers as f64 / seconds;
    let [before, idle, after] = results.rss_kb;
    let idle_kb = (idle.saturating_sub(before)) as f64 / *readers as f64;
    let row = |name: &str, of: &Quantiles, aim: &str| {
        let ms = |value: f64| format!("{value:.1}");
        vec![
            name.to_owned(),
            ms(of.p50_ms),
            ms(of.p95_ms),
            ms(of.p99_ms),
            ms(of.max_ms),
            aim.into(),
        ]
    };
    let aim = format!("p99 {P99_AIM_MS:.0}");
    let rows = [row("read", delivery, &aim), row("acknowledged", acknowledged, "")];
    let mut text = format!(
        "{written} comments in {seconds:.0} s to {readers} readers\n{}",
        table(&["ms after writing", "p50", "p95", "p99", "max", "aim"], rows.into_iter())
    );
    let per_reader = results.edge_percent * 10_000.0 / *readers as f64;
    text += &format!(
        "\nEdge, on one core\n  \
         memory of an idle reader   {idle_kb:.1} kB (aim {IDLE_AIM_KB:.0}); RSS {before} → {idle} → {after} kB\n  \
         CPU while all is quiet     {:.1} %\n  \
         CPU while they write       {:.1} %, {per_reader:.1} µs for each reader and second\n  \
         to each reader             {:.1} messages/s, {:.0} bytes/s, {:.1} comments/s\n",
        results.idle_percent,
        results.edge_percent,
        each(results.messages),
        each(results.bytes),
        each(results.comments),
    );
    if results.client_core_percent > BUSY_PERCENT {
        text += &format!(
            "  The viewers' core was busy for {:.0} % of the time: part of these times is theirs.\n",
            results.client_core_percent
        );
    }
    if let Some(first) = results.failed.first() {
        text +=
            &format!("  {} viewers broke off, the first because: {first}\n", results.failed.len());
    }
    text
}
