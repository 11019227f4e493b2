//! What a receiver report says of a stream, RFC 3550 §6.4.1.

use std::time::Instant;

use rtc_rtcp::reception_report::ReceptionReport;

/// How a stream arrives.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    first: Option<u64>,
    newest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    jitter: f64,
    transit: Option<i64>,
    sender_report: Option<(u32, Instant)>,
}

impl Reception {
    /// A packet came, and not as a resend: `number` without end, `arrived_us` in Unix time.
    pub(crate) fn arrived(&mut self, number: u64, timestamp: u32, clock_hz: u32, arrived_us: u64) {
        self.first = Some(self.first.map_or(number, |first| first.min(number)));
        self.newest = self.newest.max(number);
        self.received += 1;
        // RFC 3550 §A.8; the offset of the clocks cancels out.
        let ticks = (u128::from(arrived_us) * u128::from(clock_hz) / 1_000_000) as u32;
        let transit = i64::from(ticks.wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            let change = (transit - before).unsigned_abs() as f64;
            self.jitter += (change - self.jitter) / 16.0;
        }
    }

    /// A sender report came; `ntp` is the middle of its NTP time.
    pub(crate) fn sender_reported(&mut self, ntp: u32, now: Instant) {
        self.sender_report = Some((ntp, now));
    }

    /// Packets received, and how many have not come.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.received, self.expected().saturating_sub(self.received))
    }

    /// The report since the last one; `None` before the first packet.
    pub(crate) fn report(&mut self, ssrc: u32, now: Instant) -> Option<ReceptionReport> {
        self.first?;
        let (expected, received) = (self.expected(), self.received);
        let due = expected - self.expected_before;
        let lost = due.saturating_sub(received - self.received_before);
        (self.expected_before, self.received_before) = (expected, received);
        let since = |at: Instant| (now.duration_since(at).as_secs_f64() * 65_536.0) as u32;
        Some(ReceptionReport {
            ssrc,
            fraction_lost: (lost * 256).checked_div(due).unwrap_or(0).min(255) as u8,
            total_lost: expected.saturating_sub(received).min(0x7f_ffff) as u32,
            last_sequence_number: self.newest as u32,
            jitter: self.jitter as u32,
            last_sender_report: self.sender_report.map_or(0, |(ntp, _)| ntp),
            delay: self.sender_report.map_or(0, |(_, at)| since(at)),
        })
    }

    fn expected(&self) -> u64 {
        self.first.map_or(0, |first| self.newest - first + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_report_says_what_was_lost_since_the_last() {
        let now = Instant::now();
        let mut reception = Reception::default();
        assert_eq!(reception.report(7, now), None);
        for number in (100..200).filter(|number| number % 4 != 1) {
            reception.arrived(number, number as u32 * 3_000, 90_000, number * 33_333);
        }
        reception.sender_reported(0x1234, now);
        let report = reception.report(7, now + Duration::from_secs(1)).unwrap();
        assert_eq!((report.fraction_lost, report.total_lost), (64, 25));
        assert_eq!((report.last_sequence_number, report.delay), (199, 65_536));
        assert_eq!(report.last_sender_report, 0x1234);
        reception.arrived(200, 0, 90_000, 0);
        assert_eq!(reception.report(7, now).unwrap().fraction_lost, 0);
        assert_eq!(reception.totals(), (76, 25));
    }
}
