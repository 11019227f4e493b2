//! What a fault was seen to do, and how that is shown. Pure.

use std::time::Duration;

use lectern_bench_rig::table::table;
use serde::Serialize;

use crate::fault::Fault;

/// What a viewer saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Watched {
    /// The longest time without a new picture.
    pub gap: Duration,
    /// How often what it watched had to be begun anew at the same edge …
    pub anew: usize,
    /// … and how often it went to the other.
    pub moved: usize,
}

impl Watched {
    /// Sessions that did not last.
    pub fn lost(&self) -> usize {
        self.anew + self.moved
    }
}

/// What became of comments.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comments {
    /// That they are stored was said of so many.
    pub acknowledged: usize,
    /// Of these, not there exactly once in the end, or not seen by somebody.
    pub lost: usize,
    /// Refused for good, by rules that nobody has broken.
    pub refused: usize,
    /// Never acknowledged, until nobody waited any longer.
    pub unanswered: usize,
    /// From the first time that one was said until it was acknowledged, at the longest.
    pub slowest: Duration,
}

/// What one fault did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The longest time in which the encoder got nothing to any origin.
    pub source_gap: Duration,
    /// By WHEP.
    pub webrtc: Watched,
    /// LL-DASH.
    pub dash: Watched,
    /// LL-HLS.
    pub hls: Watched,
    /// What no viewer would have come back from without a reload.
    pub reloads: Vec<String>,
    /// What became of comments.
    pub comments: Comments,
    /// Memory of each origin in the end, in MB.
    pub origins_mb: Vec<u64>,
    /// And of each edge.
    pub edges_mb: Vec<u64>,
}

impl Outcome {
    /// The longest time without a new picture, by path.
    pub fn gaps(&self) -> [(&'static str, Duration); 3] {
        [("WebRTC", self.webrtc.gap), ("LL-DASH", self.dash.gap), ("LL-HLS", self.hls.gap)]
    }

    /// Whether what must never be has been.
    pub fn is_failure(&self) -> bool {
        let Comments { lost, refused, unanswered, .. } = self.comments;
        lost + refused + unanswered > 0 || !self.reloads.is_empty()
    }
}

/// A fault, and what it did or why that is not known.
#[derive(Debug, Serialize)]
pub struct Row {
    /// By its name.
    pub fault: String,
    /// What it did.
    pub outcome: Result<Outcome, String>,
    /// Which aims were missed.
    pub missed: Vec<String>,
}

impl Row {
    /// Judges what `fault` did.
    pub fn new(fault: Fault, outcome: anyhow::Result<Outcome>) -> Self {
        let outcome = outcome.map_err(|error| format!("{error:#}"));
        let missed = outcome.as_ref().map(|outcome| fault.missed(outcome)).unwrap_or_default();
        Self { fault: fault.to_string(), outcome, missed }
    }

    /// In a line, for who waits for the table.
    pub fn brief(&self) -> String {
        let Ok(outcome) = &self.outcome else { return format!("{}: not measured", self.fault) };
        let gaps = outcome.gaps().map(|(path, gap)| format!("{path} {gap:.1?}"));
        let (lost, missed) = (outcome.comments.lost, self.missed.len());
        format!("{}: {}; {lost} comments lost; {missed} aims missed", self.fault, gaps.join(", "))
    }

    /// Whether it was measured, and nothing was lost nor needs a reload.
    pub fn is_well(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|outcome| !outcome.is_failure())
    }
}

/// The table, and below it what was missed.
pub fn render(rows: &[Row]) -> String {
    let head = [
        "fault",
        "source's gap",
        "WebRTC gap",
        "LL-DASH stall",
        "LL-HLS stall",
        "anew/moved W D H",
        "reloads",
        "comments",
        "lost",
        "refused",
        "unanswered",
        "slowest",
        "origins MB",
        "edges MB",
    ];
    let mut text = table(&head, rows.iter().map(cells));
    for row in rows {
        if let Err(why) = &row.outcome {
            text += &format!("\n{}: not measured: {why}", row.fault);
        }
        for missed in &row.missed {
            text += &format!("\n{}: {missed}", row.fault);
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let Ok(outcome) = &row.outcome else { return vec![row.fault.clone()] };
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let list = |all: &[u64]| all.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    let sessions = [&outcome.webrtc, &outcome.dash, &outcome.hls];
    let sessions = sessions.map(|watched| format!("{}/{}", watched.anew, watched.moved));
    let [webrtc, dash, hls] = outcome.gaps().map(|(_, gap)| seconds(gap));
    vec![
        row.fault.clone(),
        seconds(outcome.source_gap),
        webrtc,
        dash,
        hls,
        sessions.join(" "),
        outcome.reloads.len().to_string(),
        outcome.comments.acknowledged.to_string(),
        outcome.comments.lost.to_string(),
        outcome.comments.refused.to_string(),
        outcome.comments.unanswered.to_string(),
        seconds(outcome.comments.slowest),
        list(&outcome.origins_mb),
        list(&outcome.edges_mb),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_and_what_was_not_measured_is_below_the_table() {
        let mut outcome = Outcome::default();
        outcome.reloads.push("T0 changed".to_owned());
        let rows = [
            Row::new(Fault::Loss, Ok(outcome)),
            Row::new(Fault::Delay, Err(anyhow::anyhow!("no origin"))),
            Row::new(Fault::Nothing, Ok(Outcome::default())),
        ];
        assert_eq!(rows.iter().map(Row::is_well).collect::<Vec<_>>(), [false, false, true]);
        let text = render(&rows);
        assert!(text.contains("loss: needs a reload: T0 changed"), "{text}");
        assert!(text.contains("delay: not measured: no origin"), "{text}");
    }
}
