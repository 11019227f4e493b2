//! A doctor whose findings are logged and counted: when each appears, and when it has gone.

use lectern_relay_proto::UtcTime;
use prometheus::IntGaugeVec;

use super::{Change, Doctor, Finding, Report, Severity, code};
use crate::ingest::flv::{self, Tag};
use crate::mend::Mending;
use crate::metrics::IngestOf;
use crate::transcode::Level;

/// One broadcast's doctor, and the number of broadcasts that have each finding. What is logged stands
/// in the span of the caller, which names the broadcast.
pub struct Watch {
    doctor: Doctor,
    findings: IntGaugeVec,
    /// What of this broadcast is counted.
    counted: Vec<&'static str>,
    /// Of these, how many are more than hints.
    serious: u64,
    /// Whether a finding appeared or went since this was asked.
    changed: bool,
    /// What publishers send, whatever is found in it.
    ingest: Option<IngestOf>,
}

impl Watch {
    /// A doctor who counts in `findings`, by code.
    pub fn new(findings: IntGaugeVec) -> Self {
        for code in code::ALL {
            // So that each is exported before it is found.
            findings.with_label_values(&[code]);
        }
        let (counted, serious, changed) = (Vec::new(), 0, false);
        Self { doctor: Doctor::new(), findings, counted, serious, changed, ingest: None }
    }

    /// The same, and what publishers send is counted in `ingest`.
    pub fn counting(mut self, ingest: IngestOf) -> Self {
        self.ingest = Some(ingest);
        self
    }

    /// See [`Doctor::begin`].
    pub fn begin(&mut self, now: UtcTime) {
        self.doctor.begin(now);
        self.ingest.iter_mut().for_each(IngestOf::restart);
        self.tell();
    }

    /// See [`Doctor::end`].
    pub fn end(&mut self, now: UtcTime) {
        self.doctor.end(now);
        self.tell();
    }

    /// See [`Doctor::tag`].
    pub fn tag(&mut self, tag: &Tag, arrived: UtcTime) {
        self.doctor.tag(tag, arrived);
        self.ingest.iter_mut().for_each(|ingest| ingest.tag(tag));
        self.tell();
    }

    /// See [`Doctor::level`].
    pub fn level(&mut self, level: Level) {
        self.doctor.level(level);
    }

    /// See [`Doctor::mending`].
    pub fn mending(&mut self, mending: Mending) {
        self.doctor.mending(mending);
    }

    /// See [`Doctor::refused`].
    pub fn refused(&mut self, error: &flv::Error, now: UtcTime) {
        self.doctor.refused(error, now);
        self.tell();
    }

    /// See [`Doctor::poll_timeout`].
    pub fn poll_timeout(&self) -> Option<UtcTime> {
        self.doctor.poll_timeout()
    }

    /// See [`Doctor::handle_timeout`].
    pub fn handle_timeout(&mut self, now: UtcTime) {
        self.doctor.handle_timeout(now);
        self.tell();
    }

    /// See [`Doctor::report`].
    pub fn report(&mut self, now: UtcTime) -> Report {
        let report = self.doctor.report(now);
        self.tell();
        report
    }

    /// How many problems and warnings there are.
    pub fn serious(&self) -> u64 {
        self.serious
    }

    /// Whether a finding has appeared or gone since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// See [`Doctor::findings`].
    pub fn findings(&self) -> &[Finding] {
        self.doctor.findings()
    }

    fn tell(&mut self) {
        while let Some(change) = self.doctor.poll_change() {
            self.changed = true;
            match change {
                Change::Appeared(finding) => {
                    self.count(&finding);
                    let Finding { code, severity, title, remedy, .. } = finding;
                    match severity {
                        Severity::Hint => tracing::info!(code, "{title}. {remedy}"),
                        Severity::Warning | Severity::Problem => {
                            tracing::warn!(code, "{title}. {remedy}");
                        }
                    }
                }
                Change::Gone(Finding { code, title, severity, .. }) => {
                    self.forget(code, severity);
                    tracing::info!(code, "no longer found: {title}");
                }
            }
        }
    }

    fn count(&mut self, finding: &Finding) {
        self.findings.with_label_values(&[finding.code]).inc();
        self.counted.push(finding.code);
        self.serious += u64::from(finding.severity != Severity::Hint);
    }

    fn forget(&mut self, code: &'static str, severity: Severity) {
        self.serious -= u64::from(severity != Severity::Hint);
        self.findings.with_label_values(&[code]).dec();
        self.counted.retain(|counted| *counted != code);
    }
}

impl Drop for Watch {
    /// A broadcast that is gone has no findings.
    fn drop(&mut self) {
        for code in &self.counted {
            self.findings.with_label_values(&[code]).dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;
    use crate::ingest::flv::Unsupported;

    #[test]
    fn broadcasts_with_a_finding_are_counted_until_it_has_gone_or_they_have() {
        let opts = Opts::new("findings", "Findings");
        let gauges = IntGaugeVec::new(opts, &["code"]).expect("made");
        let mut watches = [Watch::new(gauges.clone()), Watch::new(gauges.clone())];
        let counted = || gauges.with_label_values(&[code::VIDEO_REFUSED]).get();
        let hevc = flv::Error::from(Unsupported::Video("HEVC"));
        let now = UtcTime::from_millis(1_795_000_000_000);
        for watch in &mut watches {
            watch.refused(&hevc, now);
            watch.refused(&hevc, now);
        }
        assert_eq!(counted(), 2);
        let [first, mut second] = watches;
        drop(first);
        assert_eq!(counted(), 1);
        second.report(now + std::time::Duration::from_secs(3_600));
        assert_eq!(counted(), 0);
    }
}
