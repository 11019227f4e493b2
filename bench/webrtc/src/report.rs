//! The results, and how they are shown.

use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::table::table;
use serde::{Deserialize, Serialize};

use crate::tally::Tally;

/// A core that is busier than this is what limits.
const BUSY_PERCENT: f64 = 95.0;
/// Frames per viewer-second that were published.
const VIDEO: f64 = 30.0;
const AUDIO: f64 = 50.0;
/// And how far from it a count may be: the window does not begin with a frame.
const TOLERANCE: f64 = 0.02;

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) video_bps: u64,
    pub(crate) runs: Vec<Steady>,
    pub(crate) storm: Option<Storm>,
    pub(crate) loss: Option<Lossy>,
    /// What could not be measured, and why.
    pub(crate) not_measured: Vec<String>,
}

/// From the posting of the offer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Starts {
    pub(crate) first_rtp: Quantiles,
    /// To the first whole frame, which is a keyframe.
    pub(crate) keyframe: Quantiles,
    /// Full viewers whose first whole frame was none.
    pub(crate) not_key: usize,
}

/// A run with a number of viewers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Steady {
    pub(crate) viewers: usize,
    pub(crate) watching: usize,
    pub(crate) full: usize,
    pub(crate) seconds: f64,
    /// Processor time of the edge per viewer and second.
    pub(crate) cost_us: f64,
    /// Processor time of the edge per second without viewers; it is part of the above.
    pub(crate) idle_us_per_second: f64,
    pub(crate) floor_us: f64,
    pub(crate) ratio: f64,
    pub(crate) floor_arrived_percent: f64,
    pub(crate) cipher: String,
    pub(crate) rss_before_kb: u64,
    pub(crate) rss_kb: u64,
    pub(crate) rss_per_viewer_kb: f64,
    pub(crate) latency: Quantiles,
    /// Of all frames at all viewers, those that the latencies are of.
    pub(crate) latency_known_percent: f64,
    pub(crate) starts: Starts,
    pub(crate) video_per_viewer_second: f64,
    pub(crate) audio_per_viewer_second: f64,
    pub(crate) packets_per_viewer_second: f64,
    pub(crate) missing: u64,
    pub(crate) counted: Tally,
    pub(crate) socket_drops: u64,
    pub(crate) edge_core_percent: f64,
    pub(crate) client_core_percent: f64,
    /// Of a core, by the thread that has the viewers.
    pub(crate) client_percent: f64,
    /// Of a core, by all of this program.
    pub(crate) bench_percent: f64,
    pub(crate) publisher_late: Quantiles,
    pub(crate) disagreements: u64,
    pub(crate) refused: Vec<String>,
    pub(crate) failures: Vec<String>,
}

impl Steady {
    /// What a reader should know before believing the figures.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut say = |remark: String| remarks.push(format!("{} viewers: {remark}", self.viewers));
        if self.watching < self.viewers {
            say(format!("only {} of them watch", self.watching));
        }
        let off = |rate: f64, expect: f64| (rate / expect - 1.0).abs() > TOLERANCE;
        let (video, audio) = (self.video_per_viewer_second, self.audio_per_viewer_second);
        if off(video, VIDEO) || off(audio, AUDIO) {
            say(format!("frames per viewer-second are {video:.1} and {audio:.1}, not 30 and 50"));
        }
        if self.latency_known_percent < 99.0 {
            let known = self.latency_known_percent;
            say(format!("the latency of only {known:.1} % of the frames is known"));
        }
        if self.client_core_percent > BUSY_PERCENT {
            say(format!(
                "the client's core is {:.0} % busy: times are the client's as much as the edge's",
                self.client_core_percent
            ));
        }
        if self.edge_core_percent > BUSY_PERCENT {
            say(format!("the edge's core is {:.0} % busy", self.edge_core_percent));
        }
        // The system counts them for all its sockets, ours and others'.
        if self.socket_drops > 0 && self.missing > 0 {
            say(format!("sockets had no room for {} datagrams", self.socket_drops));
        }
        if self.floor_arrived_percent < 99.9 {
            say(format!("{:.2} % of the floor's packets arrived", self.floor_arrived_percent));
        }
        if self.disagreements > 0 {
            say(format!("{} stamps contradict the timestamps", self.disagreements));
        }
        if self.starts.not_key > 0 {
            say(format!("{} began with no keyframe", self.starts.not_key));
        }
        if self.counted.malformed + self.counted.strange > 0 {
            let Tally { malformed, strange, .. } = self.counted;
            say(format!("{malformed} malformed frames, {strange} strange datagrams"));
        }
        if let Some(first) = self.refused.first() {
            say(format!("{} joins refused, the first: {first}", self.refused.len()));
        }
        if let Some(first) = self.failures.first() {
            say(format!("{} sessions failed, the first: {first}", self.failures.len()));
        }
        remarks
    }
}

/// Many joins at once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Storm {
    pub(crate) onto: usize,
    pub(crate) joining: usize,
    pub(crate) watching: usize,
    pub(crate) rate_asked: u64,
    /// From the first offer to the first packets of all viewers but the last per cent.
    pub(crate) rate_reached: f64,
    pub(crate) answered_in_seconds: f64,
    pub(crate) starts: Starts,
    /// Of those who watched already.
    pub(crate) before: Quantiles,
    pub(crate) during: Quantiles,
    pub(crate) missing_before: u64,
    pub(crate) missing_during: u64,
    pub(crate) edge_cpu_percent: f64,
    pub(crate) edge_core_percent: f64,
    pub(crate) client_core_percent: f64,
    pub(crate) socket_drops: u64,
    pub(crate) refused: Vec<String>,
    pub(crate) failures: Vec<String>,
}

/// A run with loss.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lossy {
    pub(crate) viewers: usize,
    pub(crate) watching: usize,
    pub(crate) percent: u64,
    pub(crate) rtt_ms: u64,
    pub(crate) seconds: u64,
    /// Frames published, times viewers.
    pub(crate) expected: u64,
    pub(crate) whole: u64,
    /// Whole within 500 ms of being sent.
    pub(crate) in_time: u64,
    pub(crate) whole_percent: f64,
    pub(crate) in_time_percent: f64,
    pub(crate) lost_on_the_wire_percent: f64,
    pub(crate) latency: Quantiles,
    pub(crate) missing: u64,
    pub(crate) counted: Tally,
    pub(crate) refused: Vec<String>,
    pub(crate) failures: Vec<String>,
}

/// Shows results as tables.
pub(crate) fn render(results: &Results) -> String {
    let mut parts = Vec::new();
    if !results.runs.is_empty() {
        parts.push(render_runs(results));
    }
    parts.extend(results.storm.as_ref().map(render_storm));
    parts.extend(results.loss.as_ref().map(render_loss));
    if !results.not_measured.is_empty() {
        parts.push(format!("Not measured\n  {}\n", results.not_measured.join("\n  ")));
    }
    parts.join("\n")
}

fn render_runs(results: &Results) -> String {
    let runs = &results.runs;
    let cost = table(
        &[
            "viewers",
            "full",
            "edge µs/viewer/s",
            "floor",
            "ratio",
            "idle edge µs/s",
            "RSS MB",
            "kB/viewer",
        ],
        runs.iter().map(|run| {
            vec![
                run.watching.to_string(),
                run.full.to_string(),
                format!("{:.0}", run.cost_us),
                format!("{:.0}", run.floor_us),
                format!("{:.2}", run.ratio),
                format!("{:.0}", run.idle_us_per_second),
                format!("{:.1} → {:.1}", run.rss_before_kb as f64 / 1e3, run.rss_kb as f64 / 1e3),
                format!("{:.1}", run.rss_per_viewer_kb),
            ]
        }),
    );
    let times = table(
        &[
            "viewers",
            "latency p50",
            "p99",
            "max ms",
            "POST→RTP p50",
            "p95 ms",
            "POST→keyframe p50",
            "p95 ms",
        ],
        runs.iter().map(|run| {
            let (latency, starts) = (&run.latency, &run.starts);
            let numbers = [latency.p50_ms, latency.p99_ms, latency.max_ms];
            let starts = [
                starts.first_rtp.p50_ms,
                starts.first_rtp.p95_ms,
                starts.keyframe.p50_ms,
                starts.keyframe.p95_ms,
            ];
            let numbers = numbers.into_iter().chain(starts).map(|ms| format!("{ms:.1}"));
            [run.watching.to_string()].into_iter().chain(numbers).collect()
        }),
    );
    let checks = table(
        &[
            "viewers",
            "video/s",
            "audio/s",
            "packets/s",
            "missing",
            "recovered",
            "lost",
            "core 0 %",
            "core 1 %",
            "client %",
            "publisher late p99 ms",
        ],
        runs.iter().map(|run| {
            vec![
                run.watching.to_string(),
                format!("{:.2}", run.video_per_viewer_second),
                format!("{:.2}", run.audio_per_viewer_second),
                format!("{:.0}", run.packets_per_viewer_second),
                run.missing.to_string(),
                run.counted.recovered.to_string(),
                run.counted.lost.to_string(),
                format!("{:.0}", run.edge_core_percent),
                format!("{:.0}", run.client_core_percent),
                format!("{:.0}", run.client_percent),
                format!("{:.1}", run.publisher_late.p99_ms),
            ]
        }),
    );
    let remarks: Vec<String> = runs.iter().flat_map(Steady::remarks).collect();
    let remarks: String = remarks.iter().map(|remark| format!("  ! {remark}\n")).collect();
    let (mbps, cipher) = (results.video_bps as f64 / 1e6, &runs[0].cipher);
    format!(
        "One 720p30 stream of {mbps:.2} Mb/s + Opus, a keyframe every 4 s; {cipher}; edge on core 0\n\n\
         Cost of a viewer\n{cost}\n\
         What a viewer sees: latency from RTMP in to the end of the frame, from every frame at \
         every viewer\n{times}\n\
         Checks, per viewer-second where it says /s; missing at all viewers, recovered and lost at \
         full ones\n{checks}{remarks}"
    )
}

fn render_storm(storm: &Storm) -> String {
    let rows = [
        ("before", &storm.before, storm.missing_before),
        ("during", &storm.during, storm.missing_during),
    ];
    let watching = table(
        &["those who watch", "frames", "latency p50", "p99", "max ms", "packets missing"],
        rows.into_iter().map(|(when, latency, missing)| {
            vec![
                when.to_owned(),
                latency.count.to_string(),
                format!("{:.1}", latency.p50_ms),
                format!("{:.1}", latency.p99_ms),
                format!("{:.1}", latency.max_ms),
                missing.to_string(),
            ]
        }),
    );
    let Starts { first_rtp, keyframe, .. } = &storm.starts;
    let mut text = format!(
        "Join storm: {} at {}/s onto {}\n  {} of them watch; {:.0}/s reached; POST→RTP p50 {:.1}, \
         p95 {:.1}, max {:.1} ms; POST→keyframe p50 {:.1}, p95 {:.1}, max {:.1} ms\n  \
         edge {:.0} % of a core; core 0 {:.0} %, core 1 {:.0} % busy; {} datagrams without room\n{watching}",
        storm.joining,
        storm.rate_asked,
        storm.onto,
        storm.watching,
        storm.rate_reached,
        first_rtp.p50_ms,
        first_rtp.p95_ms,
        first_rtp.max_ms,
        keyframe.p50_ms,
        keyframe.p95_ms,
        keyframe.max_ms,
        storm.edge_cpu_percent,
        storm.edge_core_percent,
        storm.client_core_percent,
        storm.socket_drops,
    );
    if let Some(first) = storm.refused.first() {
        text += &format!("  ! {} joins refused, the first: {first}\n", storm.refused.len());
    }
    if let Some(first) = storm.failures.first() {
        text += &format!("  ! {} sessions failed, the first: {first}\n", storm.failures.len());
    }
    text
}

fn render_loss(loss: &Lossy) -> String {
    let Tally { nacked, resends, recovered, useless, lost, keyframe_requests, .. } = &loss.counted;
    let mut text = format!(
        "Loss of {} % each way at {} ms round trip, {} full viewers, {} s ({:.1} % seen lost)\n  \
         frames whole within 500 ms {:.3} %, in the end {:.3} % of {}\n  \
         latency p50 {:.1}, p95 {:.1}, p99 {:.1}, max {:.1} ms\n  \
         packets missing {}, asked for {nacked} times, recovered {recovered}, given up {lost}; \
         on RTX {resends}, useless {useless}; keyframe requests {keyframe_requests}\n",
        loss.percent,
        loss.rtt_ms,
        loss.watching,
        loss.seconds,
        loss.lost_on_the_wire_percent,
        loss.in_time_percent,
        loss.whole_percent,
        loss.expected,
        loss.latency.p50_ms,
        loss.latency.p95_ms,
        loss.latency.p99_ms,
        loss.latency.max_ms,
        loss.missing,
    );
    if let Some(first) = loss.refused.iter().chain(&loss.failures).next() {
        text += &format!("  ! not all {} watch, the first: {first}\n", loss.viewers);
    }
    text
}
