//! Watches what a publisher sends, and says in words of a host what of it will hurt viewers, and what
//! to change.
//!
//! [`Doctor`] is pure: tags with their arrival, levels of decoded sound and refusals go in, a
//! [`Report`] comes out. Time is cut into seconds of arrival; at the end of each every rule says
//! what it finds, so a finding comes and goes with whole seconds, and a tag costs no more than some
//! additions. What the rules are stands in [`rules`]; logging and counting findings is [`Watch`]'s.

pub mod code;
mod figures;
mod refusal;
mod report;
mod rules;
mod seen;
mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use lectern_relay_proto::UtcTime;

use self::figures::Gauges;
pub use self::report::{
    AudioFigures, Figures, Finding, HISTORY_POINTS_MAX, Point, Report, Severity, Value,
    VideoFigures,
};
use self::rules::Rule;
use self::seen::{Flows, Reader, Second, Seen};
pub use self::watch::Watch;
use crate::ingest::flv::{self, Tag};
use crate::mend::Mending;
use crate::transcode::Level;

/// What is looked at together.
const SECOND: Duration = Duration::from_secs(1);
/// Seconds without a call that are made up for one by one. A session ends after about as many
/// without media; after more the machine was asleep, or its clock was set.
const CATCH_UP_S_MAX: u64 = 40;
/// A take in which the encoder was not refused again for this long is one that goes well.
const ACCEPTED_AFTER: Duration = Duration::from_secs(5);
/// How long it is told that the last encoder was refused, if none comes back.
const REFUSAL_KEPT: Duration = Duration::from_secs(10 * 60);

/// One broadcast's doctor.
#[derive(Default)]
pub struct Doctor {
    take: Option<Box<Examination>>,
    /// Why the encoder was sent away, and when it was last.
    refusal: Option<(Finding, UtcTime)>,
    history: VecDeque<Point>,
    /// What is found now; each code once.
    findings: Vec<Finding>,
    changes: VecDeque<Change>,
}

/// A finding appeared, or has gone.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is found from now on.
    Appeared(Finding),
    /// It is not found any more.
    Gone(Finding),
}

/// What is known of the present take.
struct Examination {
    began: UtcTime,
    /// When the second ends that is being looked at.
    second_ends: UtcTime,
    reader: Reader,
    flows: Flows,
    gauges: Gauges,
    rules: Vec<Box<dyn Rule>>,
    mending: Mending,
}

impl Doctor {
    /// A doctor who has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A publisher begins to send.
    pub fn begin(&mut self, now: UtcTime) {
        self.end(now);
        self.take = Some(Box::new(Examination::new(now)));
    }

    /// The publisher is gone. What was found in its stream is forgotten, except why it was sent away.
    pub fn end(&mut self, now: UtcTime) {
        let Some(take) = self.take.take() else { return };
        let parting = take.rules.iter().filter(|rule| rule.outlives_take());
        if let Some(finding) = parting.filter_map(|rule| rule.finding()).next() {
            self.refusal = Some((finding, now));
        }
        self.conclude();
    }

    /// Looks at a tag whose last byte arrived at `arrived`.
    pub fn tag(&mut self, tag: &Tag, arrived: UtcTime) {
        self.handle_timeout(arrived);
        if let Some(take) = &mut self.take {
            take.tag(tag, arrived);
        }
    }

    /// Hears how loud the sound of the last tags is.
    pub fn level(&mut self, level: Level) {
        if let Some(take) = &mut self.take {
            take.gauges.level(level);
            take.rules.iter_mut().for_each(|rule| rule.level(&level));
        }
    }

    /// Hears what becomes of the picture here.
    pub fn mending(&mut self, mending: Mending) {
        if let Some(take) = self.take.as_mut().filter(|take| take.mending != mending) {
            take.mending = mending;
            take.rules.iter_mut().for_each(|rule| rule.mending(mending));
        }
    }

    /// The encoder was told that what it sends cannot be taken.
    pub fn refused(&mut self, error: &flv::Error, now: UtcTime) {
        if !error.is_fatal() {
            return;
        }
        let mut finding = refusal::finding(*error, now);
        if let Some((before, _)) =
            self.refusal.take().filter(|(before, _)| before.code == finding.code)
        {
            finding.since_ms = before.since_ms;
        }
        self.refusal = Some((finding, now));
        self.conclude();
    }

    /// When [`Self::handle_timeout`] is due: at the end of each second while a publisher is there,
    /// that silence is noticed too.
    pub fn poll_timeout(&self) -> Option<UtcTime> {
        self.take.as_ref().map(|take| take.second_ends)
    }

    /// Ends the seconds that are over at `now`.
    pub fn handle_timeout(&mut self, now: UtcTime) {
        let stale = |at: &UtcTime| now.saturating_since(*at) >= REFUSAL_KEPT;
        if self.refusal.as_ref().is_some_and(|(_, at)| stale(at)) {
            self.refusal = None;
            self.conclude();
        }
        let Some(take) = &mut self.take else { return };
        take.keep_up_with(now);
        let mut over = false;
        // Bounded also where time itself ends.
        for _ in 0..=CATCH_UP_S_MAX {
            if take.second_ends > now {
                break;
            }
            over = true;
            let point = take.end_second();
            if self.history.len() == HISTORY_POINTS_MAX {
                self.history.pop_front();
            }
            self.history.push_back(point);
        }
        if over {
            let well = |at: &UtcTime| now.saturating_since(*at.max(&take.began)) >= ACCEPTED_AFTER;
            self.refusal.take_if(|(_, at)| well(at));
            self.conclude();
        }
    }

    /// A finding that appeared or went since this was last asked.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// What was found at the end of the last second.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How it is at `now`.
    pub fn report(&mut self, now: UtcTime) -> Report {
        self.handle_timeout(now);
        let take = self.take.as_ref();
        Report {
            at_ms: now.as_millis(),
            live: take.is_some(),
            take_since_ms: take.map(|take| take.began.as_millis()),
            figures: take.map(|take| take.figures(&self.history)).unwrap_or_default(),
            history: self.history.iter().copied().collect(),
            findings: self.findings.clone(),
        }
    }

    /// Compares what is found with what was found before.
    fn conclude(&mut self) {
        let rules = self.take.iter().flat_map(|take| &take.rules);
        let mut found: Vec<Finding> = rules.filter_map(|rule| rule.finding()).collect();
        let missing_in = |others: &[Finding], code| others.iter().all(|other| other.code != code);
        let refusal = self.refusal.as_ref().map(|(finding, _)| finding);
        found.extend(refusal.filter(|refusal| missing_in(&found, refusal.code)).cloned());
        // One that is graver or lighter than before is another.
        let other = |others: &[Finding], than: &Finding| {
            let is = |other: &Finding| (other.code, other.severity) == (than.code, than.severity);
            !others.iter().any(is)
        };
        let gone = self.findings.iter().filter(|before| other(&found, before));
        self.changes.extend(gone.cloned().map(Change::Gone));
        let new = found.iter().filter(|now| other(&self.findings, now));
        self.changes.extend(new.cloned().map(Change::Appeared));
        self.findings = found;
        // Nobody asks for them in some tests, and must not pay for it.
        let extra = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..extra);
    }
}

/// Changes that wait to be asked for. Each rule makes one a second at the most; older ones are
/// forgotten.
const CHANGES_MAX: usize = 256;

impl Examination {
    fn new(now: UtcTime) -> Self {
        Self {
            began: now,
            second_ends: now + SECOND,
            reader: Reader::default(),
            flows: Flows::default(),
            gauges: Gauges::default(),
            rules: rules::all(),
            mending: Mending::default(),
        }
    }

    fn tag(&mut self, tag: &Tag, arrived: UtcTime) {
        let Some(seen) = self.reader.read(tag, arrived) else { return };
        self.gauges.seen(&seen);
        self.flows.seen(&seen);
        for rule in &mut self.rules {
            match &seen {
                Seen::Encoder(_) => {}
                Seen::VideoFormat(format) => rule.video_format(format),
                Seen::AudioFormat(format) => rule.audio_format(format),
                Seen::Picture(picture) => rule.picture(picture),
                Seen::Sound(sound) => rule.sound(sound),
            }
        }
    }

    fn figures(&self, history: &VecDeque<Point>) -> Figures {
        let reencoding_delay_ms = match self.mending {
            Mending::Running { delay_ms } => Some(delay_ms),
            Mending::Off | Mending::Starting | Mending::Impossible(_) => None,
        };
        Figures { reencoding_delay_ms, ..self.gauges.figures(history, self.began) }
    }

    /// Leaves out seconds that nobody lived through, and those of a clock that was set back.
    fn keep_up_with(&mut self, now: UtcTime) {
        let behind = now.saturating_since(self.second_ends);
        let ahead = self.second_ends.saturating_since(now);
        if behind.as_secs() > CATCH_UP_S_MAX || ahead > 2 * SECOND {
            self.second_ends = now + SECOND;
        }
    }

    fn end_second(&mut self) -> Point {
        let at = self.second_ends;
        self.second_ends = at + SECOND;
        let (video, audio) = self.flows.end_second();
        let second = Second { at, age: at.saturating_since(self.began), video, audio };
        self.rules.iter_mut().for_each(|rule| rule.second(&second));
        self.gauges.second(&second)
    }
}

#[cfg(test)]
mod tests;
