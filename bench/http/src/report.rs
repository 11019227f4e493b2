//! The results, and how they are shown.

use lectern_bench_rig::table::table;
use serde::Serialize;

use crate::hot::{Round, Turn};
use crate::objects::Object;
use crate::reload::Reloaded;

/// What the edge is to reach of nginx's throughput per core on hot segments.
const AIM_PERCENT: f64 = 80.0;
/// A core of clients that is busier than this makes their times.
const BUSY_PERCENT: f64 = 95.0;

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) video_bps: u64,
    pub(crate) connections: u64,
    pub(crate) rounds: Vec<Round>,
    pub(crate) reload: Option<Reloaded>,
    /// What could not be measured, and why.
    pub(crate) not_measured: Vec<String>,
}

/// Shows results as tables.
pub(crate) fn render(results: &Results) -> String {
    let mut parts = Vec::new();
    if !results.rounds.is_empty() {
        parts.push(render_hot(results));
    }
    parts.extend(results.reload.as_ref().map(render_reload));
    if !results.not_measured.is_empty() {
        parts.push(format!("Not measured\n  {}\n", results.not_measured.join("\n  ")));
    }
    parts.join("\n")
}

fn render_hot(results: &Results) -> String {
    let mut rows = Vec::new();
    let mut shares = Vec::new();
    let mut verdict = String::new();
    for object in Object::ALL {
        let of = |round: &&Round| round.object == object;
        let rounds: Vec<&Round> = results.rounds.iter().filter(of).collect();
        if rounds.is_empty() {
            continue;
        }
        let median = |value: &dyn Fn(&Round) -> f64| {
            median(rounds.iter().map(|round| value(round)).collect())
        };
        let bytes = median(&|round| round.bytes as f64);
        type TurnOf = fn(&Round) -> &Turn;
        let edge: TurnOf = |round| &round.edge;
        let nginx: TurnOf = |round| &round.nginx;
        for (server, turn) in [("edge", edge), ("nginx", nginx)] {
            let figure = |value: fn(&Turn) -> f64| median(&|round| value(turn(round)));
            rows.push(vec![
                object.as_str().to_owned(),
                format!("{bytes:.0}"),
                server.to_owned(),
                format!("{:.0}", figure(|turn| turn.requests_per_sec)),
                format!("{:.2}", figure(|turn| turn.gbit_per_sec)),
                format!("{:.1}", figure(|turn| turn.cpu_ms_per_1000)),
                format!("{:.0}", figure(|turn| turn.cpu_ms_per_gb)),
                format!("{:.0}", figure(|turn| turn.cpu_percent)),
                format!("{:.0}", figure(|turn| turn.core_percent)),
            ]);
        }
        let per_core = median(&|round| round.per_core() * 100.0);
        let per_rounds: Vec<String> =
            rounds.iter().map(|round| format!("{:.0}", round.per_core() * 100.0)).collect();
        shares.push(vec![
            object.as_str().to_owned(),
            format!("{per_core:.0} %"),
            format!("{:.0} %", median(&|round| round.rate() * 100.0)),
            per_rounds.join(" "),
        ]);
        if object == Object::Segment {
            let met = if per_core >= AIM_PERCENT { "reached" } else { "missed" };
            verdict = format!("Aim: {AIM_PERCENT:.0} % per core on hot segments: {met}\n");
        }
    }
    let (mbps, connections) = (results.video_bps as f64 / 1e6, results.connections);
    format!(
        "One 720p30 stream of {mbps:.2} Mb/s; {connections} connections, HTTP/1.1; edge and nginx on \
         core 0, medians\n\n\
         Hot objects; CPU is that of the server's process\n{}\n\
         The edge as a share of nginx: work per second of CPU, requests per second, and the first of \
         these in each round\n{}{verdict}",
        table(
            &[
                "object",
                "bytes",
                "server",
                "requests/s",
                "Gbit/s",
                "CPU ms/1000 req",
                "CPU ms/GB",
                "CPU %",
                "core 0 %",
            ],
            rows.into_iter(),
        ),
        table(&["object", "per core", "rate", "rounds %"], shares.into_iter()),
    )
}

fn render_reload(reload: &Reloaded) -> String {
    let rows = [
        ("each answer", &reload.each),
        ("the last answer for a part", &reload.last),
        ("from the first to the last answer", &reload.spread),
    ];
    let times = table(
        &["from the part's last frame in by RTMP to", "count", "p50", "p99", "max ms"],
        rows.into_iter().map(|(what, times)| {
            vec![
                what.to_owned(),
                times.count.to_string(),
                format!("{:.1}", times.p50_ms),
                format!("{:.1}", times.p99_ms),
                format!("{:.1}", times.max_ms),
            ]
        }),
    );
    let mut text = format!(
        "Blocking playlist reload: {} clients wait for each part\n{times}\n  \
         {} parts, {:.0} answers/s of {} bytes; edge {:.1} % of a core, RSS {:.1} → {:.1} MB; \
         the clients' core {:.0} % busy\n",
        reload.clients,
        reload.parts,
        reload.answers_per_sec,
        reload.playlist_bytes,
        reload.edge_percent,
        reload.rss_before_kb as f64 / 1e3,
        reload.rss_kb as f64 / 1e3,
        reload.client_core_percent,
    );
    if reload.late > 0 {
        text += &format!("  ! {} questions came after their part\n", reload.late);
    }
    if let Some(first) = reload.failed.first() {
        text += &format!("  ! {} clients broke off, the first: {first}\n", reload.failed.len());
    }
    if reload.client_core_percent > BUSY_PERCENT {
        text += "  ! the clients' core is busy: times are theirs as much as the edge's\n";
    }
    text
}

/// The median; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => (value + values[middle - 1]) / 2.0,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_round_does_not_decide() {
        assert_eq!(median(vec![90.0, 10.0, 80.0]), 80.0);
        assert_eq!(median(vec![90.0, 80.0]), 85.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
