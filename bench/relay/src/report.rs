//! The results, and how they are shown.

use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::table::table;
use serde::Serialize;

use crate::arrival::Arrival;
use crate::badly::Badly;
use crate::child::{Machine, Usage};
use crate::cost::Cost;
use crate::hops::Hops;
use crate::plan::{BROADCAST_BPS, Kind};

/// What a hop may add.
const HOP_P50_AIM_MS: f64 = 1.0;
const HOP_P99_AIM_MS: f64 = 5.0;
/// What a broadcast may cost a plain edge.
const MEMORY_AIM_MB: f64 = 8.0;
/// Cores that are busier than this make all times longer.
const BUSY_PERCENT: f64 = 90.0;

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) seed: u64,
    pub(crate) hops: Option<Hops>,
    pub(crate) costs: Vec<Cost>,
    pub(crate) window: Option<Cost>,
    /// What is watched with nothing else there, and then among many others.
    pub(crate) announced: Vec<Cost>,
    pub(crate) loss: Option<Badly>,
    pub(crate) narrow: Option<Badly>,
    /// What could not be measured, and why.
    pub(crate) not_measured: Vec<String>,
}

/// Shows results as tables.
pub(crate) fn render(results: &Results) -> String {
    let mut parts = Vec::new();
    parts.extend(results.hops.as_ref().map(render_hops));
    if !results.costs.is_empty() {
        parts.push(render_costs(&results.costs));
    }
    parts.extend(results.window.as_ref().map(render_window));
    if !results.announced.is_empty() {
        parts.push(render_announced(&results.announced));
    }
    parts.extend(results.loss.as_ref().map(|run| render_loss(run, results.seed)));
    parts.extend(results.narrow.as_ref().map(render_narrow));
    if !results.not_measured.is_empty() {
        parts.push(format!("Not measured\n  {}\n", results.not_measured.join("\n  ")));
    }
    parts.join("\n")
}

fn ms(value: f64) -> String {
    format!("{value:.2}")
}

fn render_hops(hops: &Hops) -> String {
    let mut rows = Vec::new();
    let mut met = true;
    for kind in [Kind::Video, Kind::Audio] {
        let mut before = Quantiles::default();
        for (hop, arrived) in (1..).zip(&hops.after) {
            let Arrival { age, written, .. } = &arrived[kind as usize];
            let (p50, p99) = (age.p50_ms - before.p50_ms, age.p99_ms - before.p99_ms);
            met &= p50 <= HOP_P50_AIM_MS && p99 <= HOP_P99_AIM_MS;
            rows.push(vec![
                kind.as_str().to_owned(),
                hop.to_string(),
                written.to_string(),
                arrived[kind as usize].missing().to_string(),
                ms(age.p50_ms),
                ms(age.p95_ms),
                ms(age.p99_ms),
                ms(age.max_ms),
                format!("{p50:+.2}"),
                format!("{p99:+.2}"),
            ]);
            before = *age;
        }
    }
    let head =
        ["track", "hops", "chunks", "missing", "p50 ms", "p95", "p99", "max", "hop p50", "hop p99"];
    format!(
        "What each hop adds, one broadcast for {} s\n{}Aim: ≤ {HOP_P50_AIM_MS:.0} ms p50 and \
         ≤ {HOP_P99_AIM_MS:.0} ms p99 for each hop: {}\n{}",
        hops.seconds,
        table(&head, rows.into_iter()),
        verdict(met),
        machine(&hops.machine, &hops.late),
    )
}

fn verdict(met: bool) -> &'static str {
    if met { "reached" } else { "missed" }
}

/// What else the machine did, for times that are partly its own.
fn machine(machine: &Machine, late: &Quantiles) -> String {
    let mut text = format!(
        "Cores {:.0} % busy in all, {:.0} % with this; the origin's own timers woke it {:.1} ms late (p50), \
         {:.1} ms (p99)\n",
        machine.busy_percent, machine.ours_percent, late.p50_ms, late.p99_ms
    );
    if machine.busy_percent > BUSY_PERCENT {
        text += "  ! the cores are busy: part of these times is theirs\n";
    }
    text
}

/// What a run cost at each node.
fn cost_cells(cost: &Cost) -> Vec<String> {
    let cpu = cost.usage.iter().map(|usage| format!("{:.1}", usage.cpu_percent));
    let rss = cost.usage.iter().map(|usage| format!("{:.0}", usage.rss_kb as f64 / 1e3));
    let each = cost.usage.iter().map(|usage| format!("{:.1}", megabytes(usage, cost.live)));
    cpu.chain(rss).chain(each).collect()
}

fn megabytes(usage: &Usage, broadcasts: usize) -> f64 {
    usage.bytes_each(broadcasts) / 1e6
}

/// What of it arrived, video and sound together.
fn arrival_cells(cost: &Cost) -> Vec<String> {
    let [video, audio, _] = &cost.arrived;
    let missing = video.missing() + audio.missing();
    let late = video.late() + audio.late();
    vec![
        (video.written + audio.written).to_string(),
        missing.to_string(),
        late.to_string(),
        ms(video.age.p50_ms),
        ms(video.age.p99_ms),
        ms(audio.age.p99_ms),
    ]
}

fn cost_tables(runs: &[Cost]) -> String {
    let of = "of origin, relay and edge";
    let spent = |cost: &Cost| [vec![cost.live.to_string()], cost_cells(cost)].concat();
    let came = |cost: &Cost| {
        let machine = vec![
            format!("{:.1}", cost.late.p99_ms),
            format!("{:.0}", cost.machine.busy_percent),
            format!("{:.0}", cost.machine.ours_percent),
            cost.machine.udp_drops.to_string(),
            cost.skipped.to_string(),
            cost.interrupted.to_string(),
            if cost.holds() { "yes" } else { "no" }.to_owned(),
        ];
        [vec![cost.live.to_string()], arrival_cells(cost), machine].concat()
    };
    let head = ["broadcasts", "CPU %", "", "", "RSS MB", "", "", "MB each", "", ""];
    let arrived = [
        "broadcasts",
        "chunks",
        "missing",
        "late",
        "p50 ms",
        "p99",
        "audio p99",
        "origin late p99",
        "cores %",
        "by this",
        "UDP drops",
        "skipped",
        "interrupted",
        "holds",
    ];
    format!(
        "Each three are {of}; MB each is what is more than with nothing to do\n{}\nOf this arrived, \
         late being more than 500 ms\n{}",
        table(&head, runs.iter().map(spent)),
        table(&arrived, runs.iter().map(came)),
    )
}

fn render_costs(costs: &[Cost]) -> String {
    let mut text = format!(
        "Broadcasts of {:.2} Mb/s through one relay to one edge, {} s kept\n{}",
        BROADCAST_BPS as f64 / 1e6,
        costs[0].keep_secs,
        cost_tables(costs),
    );
    // One alone pays for all that is there once.
    let most = costs.iter().filter(|cost| cost.holds()).max_by_key(|cost| cost.live);
    if let Some(most) = most {
        let [_, relay, edge] = most.usage.map(|usage| megabytes(&usage, most.live));
        text += &format!(
            "Aim: ≤ {MEMORY_AIM_MB:.0} MB for each broadcast at a plain edge: {}, with {edge:.1} MB at the \
             edge and {relay:.1} MB at the relay, of {} broadcasts\n",
            verdict(edge <= MEMORY_AIM_MB && relay <= MEMORY_AIM_MB),
            most.live,
        );
    }
    if let Some(least) = costs.iter().filter(|cost| !cost.holds()).min_by_key(|cost| cost.live) {
        let machine = &least.machine;
        let first = if machine.busy_percent > BUSY_PERCENT {
            if machine.ours_percent < machine.busy_percent / 2.0 {
                "this machine's cores, which others keep busy: it says nothing of the relay"
            } else {
                "this machine's cores, which all three share"
            }
        } else if least.machine.udp_drops > 0 {
            "the room in sockets"
        } else {
            "a connection, with cores to spare"
        };
        text += &format!(
            "It breaks at {} broadcasts ({:.2} Gb/s a hop), and first what gives way is {first}\n",
            least.live,
            least.live as f64 * BROADCAST_BPS as f64 / 1e9,
        );
    }
    text
}

fn render_window(cost: &Cost) -> String {
    let kept = BROADCAST_BPS as f64 / 8e6 * cost.keep_secs as f64;
    format!(
        "The same of {} broadcasts when origin and relay keep {} s of them\n{}Expected: {kept:.0} to {:.0} MB \
         each, as groups are let go of within half of that time again\n",
        cost.live,
        cost.keep_secs,
        cost_tables(std::slice::from_ref(cost)),
        kept * 1.5,
    )
}

fn render_announced(runs: &[Cost]) -> String {
    let row = |cost: &Cost| {
        let rss = cost.usage.iter().map(|usage| format!("{:.1}", usage.rss_kb as f64 / 1e3));
        let cpu = cost.usage.iter().map(|usage| format!("{:.1}", usage.cpu_percent));
        let counts = [cost.announced, cost.live, cost.watched].map(|n| n.to_string());
        let arrived = arrival_cells(cost).into_iter().skip(1).take(4);
        counts.into_iter().chain(cpu).chain(rss).chain(arrived).collect()
    };
    let head = [
        "announced",
        "with media",
        "watched",
        "CPU %",
        "",
        "",
        "RSS MB",
        "",
        "",
        "missing",
        "late",
        "p50 ms",
        "p99",
    ];
    format!(
        "Broadcasts that nobody watches; each three are of origin, relay and edge\n{}",
        table(&head, runs.iter().map(row))
    )
}

fn path_rows<'a>(run: &'a Badly) -> impl Iterator<Item = Vec<String>> + 'a {
    let row = |number: usize, kind: Kind, of: &Arrival| {
        vec![
            (number + 1).to_string(),
            kind.as_str().to_owned(),
            of.written.to_string(),
            of.missing().to_string(),
            format!("{:.1}", of.arrived_percent()),
            format!("{:.1}", of.in_time_percent()),
            format!("{:.0}", of.age.p50_ms),
            format!("{:.0}", of.age.p99_ms),
            format!("{:.0}", of.age.max_ms),
        ]
    };
    let each = run.arrived.iter().enumerate();
    each.flat_map(move |(number, arrived)| {
        let kinds = [Kind::Audio, Kind::Comments, Kind::Video];
        kinds.map(|kind| row(number, kind, &arrived[kind as usize])).into_iter()
    })
}

const PATH_HEAD: [&str; 9] = [
    "broadcast",
    "track",
    "written",
    "missing",
    "arrived %",
    "in 500 ms %",
    "p50 ms",
    "p99",
    "max",
];

fn proxied(run: &Badly) -> String {
    let down = &run.proxied.down;
    let up = &run.proxied.up;
    let rate = down.bytes as f64 * 8.0 / 1e6 / run.seconds as f64;
    format!(
        "The path carried {} datagrams ({rate:.2} Mb/s) down and {} up, lost {} and {}, and had no room for {} and {}; \
         groups given up: {}, interruptions: {}\n",
        down.datagrams,
        up.datagrams,
        down.lost,
        up.lost,
        down.dropped,
        up.dropped,
        run.skipped,
        run.interrupted
    )
}

fn render_loss(run: &Badly, seed: u64) -> String {
    format!(
        "A path of {} ms RTT that loses {} % each way (--seed {seed}), for {} s\n{}{}",
        2 * run.path.delay.as_millis(),
        run.path.loss_percent,
        run.seconds,
        table(&PATH_HEAD, path_rows(run)),
        proxied(run),
    )
}

fn render_narrow(run: &Badly) -> String {
    let carries = run.path.bytes_per_sec.unwrap_or_default() as f64 * 8.0 / 1e6;
    let videos = run.arrived.iter().map(|arrived| arrived[Kind::Video as usize].arrived_percent());
    let (least, most) = videos.fold((100.0_f64, 0.0_f64), |(l, m), v| (l.min(v), m.max(v)));
    format!(
        "A path of {carries:.2} Mb/s with a queue of {} ms for {} broadcasts of {:.2} Mb/s, for {} s\n{}{}\
         Of the broadcasts' video between {least:.0} and {most:.0} % arrives\n",
        run.path.queue_max.as_millis(),
        run.arrived.len(),
        BROADCAST_BPS as f64 / 1e6,
        run.seconds,
        table(&PATH_HEAD, path_rows(run)),
        proxied(run),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kinds;

    fn after(p50_ms: f64, p99_ms: f64) -> Kinds<Arrival> {
        let age = Quantiles { count: 1, p50_ms, p99_ms, ..Quantiles::default() };
        [Arrival { written: 1, arrived: 1, in_time: 1, age }; 3]
    }

    #[test]
    fn an_aim_is_for_each_hop_and_not_for_all() {
        let hops = |after| Hops {
            seconds: 1,
            after,
            late: Quantiles::default(),
            machine: Machine::default(),
        };
        let good = hops(vec![after(0.9, 4.0), after(1.8, 8.0)]);
        assert!(render_hops(&good).contains("reached"));
        let bad = hops(vec![after(0.2, 4.0), after(1.8, 8.0)]);
        assert!(render_hops(&bad).contains("missed"));
    }
}
