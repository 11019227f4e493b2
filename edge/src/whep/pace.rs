//! How fast a viewer may be sent what is cached: a pure function of what is known of the link.

use std::time::Instant;

use super::link::Link;

/// How much faster than live a start is sent when nothing is known of the link. On 5 Mb/s with a
/// small queue 1.8 lost nothing, and 10 froze the picture.
pub(super) const SPEED_UNKNOWN: f64 = 1.5;
/// The same on the viewer's own network, where the link is many times the bitrate.
pub(super) const SPEED_LOCAL: f64 = 10.0;
/// The fastest: a group of ten seconds in half a second. More gains nobody anything.
const SPEED_MAX: f64 = 20.0;
/// The slowest: on a link that carries no more the viewer stays as far behind as it is, until the
/// next keyframe, and slower than live it would fall further.
const SPEED_MIN: f64 = 1.0;
/// What of the link a start may fill. The rest is for the audio, headers and resent packets.
const LINK_SHARE: f64 = 0.85;
/// How much more than it carried without loss the link is tried with.
const PROBE: f64 = 2.0;

/// How much faster than live the video may be sent to a viewer on this link: rule J of the
/// measurements behind the start, `min(20, 0.85 × link / bitrate)`, where the link is what it is
/// believed to carry. `local` is for a viewer on our own network, `bitrate` the video's.
pub(super) fn speed(link: &Link, bitrate: Option<u64>, local: bool, now: Instant) -> f64 {
    let unknown = if local { SPEED_LOCAL } else { SPEED_UNKNOWN };
    let Some(bitrate) = bitrate.filter(|bps| *bps > 0) else { return unknown };
    let fill = |bps: f64| (LINK_SHARE * bps / bitrate as f64).clamp(SPEED_MIN, SPEED_MAX);
    let carried = link.carried(now);
    match link.estimate(now) {
        // Less than went through means that it went late. More is low only because little was sent.
        Some(estimate) if carried.is_none_or(|carried| estimate < carried) => fill(estimate as f64),
        estimate => {
            let tried = carried.map_or(0.0, |carried| PROBE * carried as f64);
            fill(tried.max(estimate.unwrap_or(0) as f64)).max(unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_speed_fills_the_link_as_far_as_it_is_known() {
        let now = Instant::now();
        let bitrate = Some(2_000_000);
        let mut link = Link::default();
        assert_eq!(speed(&link, bitrate, false, now), SPEED_UNKNOWN);
        assert_eq!(speed(&link, bitrate, true, now), SPEED_LOCAL);
        link.bandwidth(20_000_000, now);
        assert_eq!(speed(&link, bitrate, false, now), 8.5);
        assert_eq!(speed(&link, Some(500_000), false, now), SPEED_MAX);
        assert_eq!(speed(&link, None, false, now), SPEED_UNKNOWN);
        link.bandwidth(1_000_000, now);
        assert_eq!(speed(&link, bitrate, false, now), SPEED_MIN);
        assert_eq!(speed(&link, bitrate, true, now), SPEED_MIN);
    }

    #[test]
    fn what_went_through_unharmed_raises_the_speed_and_loss_lowers_it() {
        let mut now = Instant::now();
        let bitrate = Some(2_000_000);
        let mut link = Link::default();
        let mut report = |link: &mut Link, bps: usize, fraction: u8| {
            link.sent(bps / 8, bps / 8_000, now);
            now += Duration::from_secs(1);
            link.lost(fraction, now);
            now
        };
        report(&mut link, 0, 0);
        let at = report(&mut link, 3_000_000, 0);
        assert_eq!(speed(&link, bitrate, false, at), 2.55);
        let at = report(&mut link, 5_000_000, 0);
        assert_eq!(speed(&link, bitrate, false, at), 4.25);
        // Little was sent, which takes nothing back.
        let at = report(&mut link, 1_000_000, 0);
        assert_eq!(speed(&link, bitrate, false, at), SPEED_UNKNOWN);
        let at = report(&mut link, 4_000_000, 64);
        assert_eq!(speed(&link, bitrate, false, at), 1.275);
        assert_eq!(speed(&link, bitrate, true, at), 1.275);
    }
}
