//! A publisher's hold on a broadcast: its tags as they come for the doctor, and [mended](crate::mend) for the
//! take, while the publisher is on air.

use std::sync::Arc;

use lectern_relay_proto::UtcTime;
use tokio_util::sync::CancellationToken;

use super::succession::{Heard, Over};
use super::{Broadcast, Failure, State};
use crate::ingest::{self, Tag, TakeError, flv};
use crate::mend::{Left, Mend, Out};
use crate::transcode::video::Reencoders;
use crate::wall;

/// A publisher's hold on a broadcast, until a newer one takes it or the host ends it.
pub struct TakeHandle {
    broadcast: Arc<Broadcast>,
    claim: u64,
    over: Over,
    prelude: Prelude,
    mend: Mend,
    /// What the mend gives out, in use only within a call.
    mended: Out,
    span: tracing::Span,
}

/// What a take must begin with, wherever in the publisher's media it begins.
#[derive(Default)]
struct Prelude {
    metadata: Option<Tag>,
    video: Option<Tag>,
    audio: Option<Tag>,
}

impl Prelude {
    /// Whether it is part of it.
    fn keep(&mut self, tag: &Tag) -> bool {
        let kept = match tag {
            Tag::Metadata(_) => &mut self.metadata,
            Tag::VideoConfig { .. } => &mut self.video,
            Tag::AudioConfig { .. } | Tag::OpusConfig { .. } => &mut self.audio,
            _ => return false,
        };
        *kept = Some(tag.clone());
        true
    }

    /// Whether a take may begin with this media: with a picture that needs no other, if there are pictures.
    fn is_start(&self, tag: &Tag) -> bool {
        match tag {
            Tag::Video { keyframe, .. } => *keyframe,
            _ => self.video.is_none(),
        }
    }

    fn tags(&self) -> impl Iterator<Item = Tag> {
        [&self.metadata, &self.video, &self.audio].into_iter().flatten().cloned()
    }
}

impl TakeHandle {
    pub(super) fn new(
        broadcast: Arc<Broadcast>,
        claim: u64,
        over: Over,
        reencoders: Option<Reencoders>,
        span: tracing::Span,
    ) -> Self {
        let (prelude, mend) = (Prelude::default(), Mend::new(reencoders));
        Self { broadcast, claim, over, prelude, mend, mended: Vec::new(), span }
    }

    /// Does `work` if this publisher is on air.
    fn drive(
        &mut self,
        state: &mut State,
        work: impl FnOnce(&mut Desk<'_>, &mut State) -> Result<(), Failure>,
    ) -> Result<(), TakeError> {
        if !state.succession.is_on_air(self.claim) {
            // Whoever is not needs no ffmpeg.
            self.mend.stop();
            return if state.succession.is_waiting(self.claim) {
                Ok(())
            } else {
                Err(self.over.why().unwrap_or_else(superseded))
            };
        }
        let Self { broadcast, prelude, mend, mended, .. } = self;
        let mut desk = Desk { broadcast, prelude, mend, mended };
        work(&mut desk, state).map_err(|failure| {
            tracing::error!(%failure, "the take cannot go on");
            TakeError::Unacceptable(failure.to_string())
        })
    }
}

/// What a publisher on air works with.
struct Desk<'a> {
    broadcast: &'a Broadcast,
    prelude: &'a Prelude,
    mend: &'a mut Mend,
    mended: &'a mut Out,
}

impl Desk<'_> {
    fn push(&mut self, state: &mut State, tag: Tag, arrived: UtcTime) -> Result<(), Failure> {
        self.broadcast.examine(state, &tag, arrived)?;
        self.mend.push(tag, arrived, self.mended);
        self.publish(state)
    }

    /// Publishes what the mend gave out, and says how it does.
    fn publish(&mut self, state: &mut State) -> Result<(), Failure> {
        let mut published = Ok(());
        for (tag, arrived) in self.mended.drain(..) {
            published = published.and_then(|()| self.broadcast.push(state, tag, arrived));
        }
        let Left { behind, late } = self.mend.take_left();
        for (reason, count) in [("reencoder_behind", behind), ("reencoder_late", late)] {
            if count > 0 {
                self.broadcast.means.metrics.dropped.with_label_values(&[reason]).inc_by(count);
            }
        }
        state.doctor.mending(self.mend.state());
        published
    }
}

fn superseded() -> TakeError {
    TakeError::Unacceptable("a newer publisher has taken over".to_owned())
}

impl ingest::Take for TakeHandle {
    fn push(&mut self, tag: Tag, arrived: UtcTime) -> Result<(), TakeError> {
        let span = self.span.clone();
        let _entered = span.enter();
        let kept = self.prelude.keep(&tag);
        let broadcast = self.broadcast.clone();
        let mut state = broadcast.lock();
        if tag.media().is_some() {
            let is_start = self.prelude.is_start(&tag);
            let heard = state.succession.media(self.claim, arrived, is_start);
            if heard == Heard::GoesOnAir {
                broadcast.change_over(&mut state, arrived);
            }
        }
        self.drive(&mut state, |desk, state| {
            // Nothing is missing from a take that begins with the publisher's first tag; but one that stood
            // by begins later.
            if state.take.is_none() {
                desk.mend.stop();
                for tag in desk.prelude.tags() {
                    desk.push(state, tag, arrived)?;
                }
                if kept {
                    return Ok(());
                }
            }
            desk.push(state, tag, arrived)
        })
    }

    fn poll_timeout(&self) -> Option<UtcTime> {
        let state = self.broadcast.lock();
        let take = state.take.as_ref().filter(|_| state.succession.is_on_air(self.claim))?;
        let due = [take.poll_timeout(), state.doctor.poll_timeout(), self.mend.timeout()];
        due.into_iter().flatten().min()
    }

    fn refused(&mut self, error: &flv::Error, at: UtcTime) {
        let _entered = self.span.enter();
        let mut state = self.broadcast.lock();
        if state.succession.is_on_air(self.claim) {
            state.doctor.refused(error, at);
            self.broadcast.say_findings(&mut state);
        }
    }

    fn handle_timeout(&mut self, now: UtcTime) -> Result<(), TakeError> {
        let span = self.span.clone();
        let _entered = span.enter();
        let broadcast = self.broadcast.clone();
        let mut state = broadcast.lock();
        self.drive(&mut state, |desk, state| {
            desk.mend.handle_timeout(now, desk.mended);
            desk.publish(state)?;
            state.doctor.handle_timeout(now);
            desk.broadcast.say_findings(state);
            desk.broadcast.drive(state, |take, out| take.handle_timeout(now, out))
        })
    }

    async fn ready(&mut self) {
        self.mend.ready().await;
    }

    fn handle_ready(&mut self, now: UtcTime) -> Result<(), TakeError> {
        let span = self.span.clone();
        let _entered = span.enter();
        let broadcast = self.broadcast.clone();
        let mut state = broadcast.lock();
        self.drive(&mut state, |desk, state| {
            desk.mend.handle_ready(now, desk.mended);
            desk.publish(state)
        })
    }

    fn superseded(&self) -> CancellationToken {
        self.over.token()
    }

    fn why_over(&self) -> Option<TakeError> {
        self.over.why()
    }

    fn end(mut self, clean: bool) {
        let span = self.span.clone();
        let _entered = span.enter();
        let broadcast = self.broadcast.clone();
        let mut state = broadcast.lock();
        if state.succession.is_on_air(self.claim) {
            let last = self.drive(&mut state, |desk, state| {
                desk.mend.end(wall::now(), desk.mended);
                desk.publish(state)
            });
            if let Err(error) = last {
                tracing::warn!(%error, "what was held of the take was not published");
            }
            self.broadcast.end_take(&mut state, clean);
        } else if !state.succession.is_waiting(self.claim) {
            return;
        }
        state.succession.leave(self.claim);
        drop(state);
        self.broadcast.means.signals.changed(&self.broadcast.id);
    }
}
