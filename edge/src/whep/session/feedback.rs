//! What a viewer says over RTCP, and what a session does about it: resends, a new start, another pace
//! and another rendition.

use std::time::Duration;

use super::{Context, Media, Session, is_local};
use crate::whep::pace;
use crate::whep::quota::Quota;
use crate::whep::rtcp::{self, Feedback};
use crate::whep::srtp;
use crate::whep::stream::Stream;

/// Items of RTCP that a viewer may have looked at in a [`TURN`]. A browser asks for a packet ten times
/// at most, and names what it lost of seventeen in one item: of 10 Mb/s that is 640 a second if all
/// is lost. So many items take a millisecond or two of a thread that also sends to others.
const ITEMS_MAX: u32 = 1_000;
const TURN: Duration = Duration::from_secs(1);

/// How much of what a viewer says is looked at.
pub(super) const QUOTA: Quota = Quota::new(ITEMS_MAX, TURN);

impl Session {
    /// Takes an SRTCP packet.
    pub(super) fn handle_rtcp(&mut self, datagram: &mut [u8], cx: &mut Context<'_>) {
        let Some(media) = &mut self.media else {
            cx.metrics.bad("rtcp-early");
            return;
        };
        let compound = match media.opener.open_rtcp(datagram) {
            Ok(compound) => compound,
            Err(error) => {
                cx.metrics.bad(match error {
                    srtp::Error::Replay => "rtcp-replay",
                    srtp::Error::Sources => "rtcp-sources",
                    srtp::Error::Short => "rtcp-short",
                    _ => "rtcp-forged",
                });
                return;
            }
        };
        self.heard = cx.now;
        let (mut tells_of_link, mut too_much) = (false, false);
        let whole = rtcp::read(compound, |item| {
            if !self.quota.take(cx.now) {
                too_much = true;
                return;
            }
            tells_of_link |= matches!(item, Feedback::Bandwidth { .. } | Feedback::Report { .. });
            self.take_feedback(item, cx);
        });
        if !whole {
            cx.metrics.bad("rtcp-malformed");
        }
        cx.outbox.flush();
        if too_much {
            cx.metrics.bad("rtcp-flood");
            return;
        }
        self.set_speed(cx);
        if tells_of_link {
            self.judge(cx);
        }
    }

    /// Paces what is cached by what is now known of the link.
    fn set_speed(&mut self, cx: &mut Context<'_>) {
        let Some(media) = &mut self.media else { return };
        let Some(on) = media.viewing.on() else { return };
        let local = is_local(media.path.peer.ip());
        let speed = pace::speed(&self.link, cx.video.history(on).bitrate(), local, cx.now);
        media.cursor.set_speed(speed, 90_000, cx.now);
        if self.pace.is_some() {
            // What comes next may be due sooner or later now.
            self.pump_video(cx);
        }
    }

    fn take_feedback(&mut self, item: Feedback, cx: &mut Context<'_>) {
        match item {
            Feedback::Report { ssrc, fraction_lost, last_report, delay } => {
                let Some((stream, _, is_video)) = self.stream(ssrc) else { return };
                let rtt = stream.reported(last_report, delay, cx.now);
                rtt.into_iter().for_each(|rtt| self.link.round_trip(rtt));
                // The audio is too little to tell what the link carries.
                if is_video {
                    self.link.lost(fraction_lost, cx.now);
                    if let Some(video) = &mut self.parts.video {
                        video.set_full(self.link.is_full());
                    }
                }
            }
            Feedback::Nack { ssrc, first, following } => {
                let (video, audio) = (cx.video.histories(), std::slice::from_ref(cx.audio));
                let Some((stream, media, is_video)) = self.stream(ssrc) else { return };
                let histories = if is_video { video } else { audio };
                let mut way = media.way(cx.outbox);
                let resent = stream.resend(first, following, histories, cx.now, &mut way);
                cx.metrics.nacks.count(&resent);
                if is_video && media.cursor.is_catching(cx.now) {
                    self.link.missing(resent.lost, cx.now);
                }
            }
            Feedback::PictureLoss { ssrc } | Feedback::KeyframeRequest { ssrc } => {
                let Some((_, media, true)) = self.stream(ssrc) else { return };
                let answered = media.cursor.restart(cx.now);
                let outcome = if answered { "answered" } else { "damped" };
                cx.metrics.keyframe_requests.with_label_values(&[outcome]).inc();
                if answered {
                    self.pump_video(cx);
                }
            }
            Feedback::Bandwidth { bps } => self.link.bandwidth(bps, cx.now),
            // A receiver has no stream to say goodbye to.
            Feedback::Bye => {}
        }
    }

    /// The stream with this SSRC, and whether it is the video.
    fn stream(&mut self, ssrc: u32) -> Option<(&mut Stream, &mut Media, bool)> {
        let media = self.media.as_mut()?;
        let video = self.parts.video.as_mut().filter(|stream| stream.ssrc() == ssrc);
        if let Some(stream) = video {
            return Some((stream, media, true));
        }
        let audio = self.parts.audio.as_mut().filter(|stream| stream.ssrc() == ssrc);
        audio.map(|stream| (stream, media, false))
    }
}
