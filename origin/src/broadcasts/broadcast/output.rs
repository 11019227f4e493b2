//! The way of a take: begun and ended on the lease of its broadcast, its output published on the relay.

use lectern_relay_proto::net::Error as RelayError;
use lectern_relay_proto::{Catalog, PublisherState, UtcTime};

use super::publication::Publication;
use super::{Broadcast, Failure, State};
use crate::ingest::Tag;
use crate::package::{Lane, Packaged};
use crate::take::{Continuation, Output, Take};
use crate::timelines::Start;
use crate::wall;

impl Broadcast {
    /// Looks at a tag as the publisher sent it. The first begins a take.
    pub(super) fn examine(
        &self,
        state: &mut State,
        tag: &Tag,
        arrived: UtcTime,
    ) -> Result<(), Failure> {
        if state.take.is_none() {
            state.take = Some(self.begin_take(state, arrived)?);
            state.doctor.begin(arrived);
        }
        state.doctor.tag(tag, arrived);
        self.say_findings(state);
        Ok(())
    }

    /// Publishes a tag as viewers get it.
    pub(super) fn push(
        &self,
        state: &mut State,
        tag: Tag,
        arrived: UtcTime,
    ) -> Result<(), Failure> {
        let driven = self.drive(state, |take, out| take.push(tag, arrived, out));
        while let Some(level) = state.take.as_mut().and_then(Take::poll_level) {
            state.doctor.level(level);
        }
        self.say_findings(state);
        driven
    }

    pub(super) fn say_findings(&self, state: &mut State) {
        if state.doctor.take_changed() {
            self.means.signals.changed(&self.id);
        }
    }

    /// Lets the take work, and publishes what comes of it even where it fails.
    pub(super) fn drive(
        &self,
        state: &mut State,
        work: impl FnOnce(&mut Take, &mut Vec<Output>) -> Result<(), crate::take::Error>,
    ) -> Result<(), Failure> {
        let State { take: Some(take), out, .. } = &mut *state else { return Ok(()) };
        let worked = work(take, out);
        self.count_dropped(take);
        self.publish(state)?;
        Ok(worked?)
    }

    fn begin_take(&self, state: &mut State, arrived: UtcTime) -> Result<Take, Failure> {
        let lease = state.lease.as_mut().ok_or(Failure::NotOurs)?;
        let Start { take, next_period, next_sequence, floor_ms } = lease.begin_take(arrived)?;
        self.means.metrics.takes.inc();
        self.means.metrics.takes_live.inc();
        tracing::info!(take, "a take begins");
        let from = Continuation { next_period, next_sequence, grid: state.grid, floor_ms };
        Ok(Take::new(lease.timeline().t0(), take, from))
    }

    pub(super) fn end_take(&self, state: &mut State, clean: bool) {
        let State { take: Some(take), out, .. } = &mut *state else { return };
        if let Err(error) = take.end(clean, out) {
            tracing::warn!(%error, "the end of the take was not packaged");
        }
        if let Err(error) = self.publish(state) {
            tracing::warn!(%error, "the end of the take was not published");
        }
        // Or edges would take the last group for one whose end was lost, and cut off its readers.
        state.publication.finish_groups();
        state.doctor.end(wall::now());
        if let Some(take) = state.take.take() {
            state.grid = take.grid();
            if let Some(lease) = &mut state.lease {
                lease.end_take(take.next_sequence(), take.end_ms() + 1);
                self.means.chores.store();
            }
            self.means.metrics.takes_live.dec();
            tracing::info!(clean, "the take ended");
        }
    }

    fn publish(&self, state: &mut State) -> Result<(), Failure> {
        for output in std::mem::take(&mut state.out) {
            match output {
                Output::Catalog(catalog) => self.publish_catalog(state, &catalog)?,
                Output::Chunk(packaged) => self.publish_chunk(state, packaged)?,
            }
        }
        Ok(())
    }

    fn publish_catalog(&self, state: &mut State, catalog: &Catalog) -> Result<(), Failure> {
        let lease = state.lease.as_mut().ok_or(Failure::NotOurs)?;
        let period = &catalog.period;
        // Before anyone hears of it: what was not reserved may be another's.
        if lease.begin_period(period.id, period.sequence, period.start_ms)? {
            self.means.metrics.periods.inc();
            self.means.chores.store();
        }
        let epoch = lease.timeline().epoch();
        // Not before there is media: until then the former one is what there is to see.
        if state.publication.epoch() != epoch && catalog.state == PublisherState::Live {
            let (next, comments) = Publication::begin(&self.means.relay, &self.id, epoch)?;
            self.go_over(state, next, comments, catalog)?;
        } else {
            self.set_catalog(state, catalog)?;
        }
        Ok(())
    }

    /// Another publication takes the place of the one there is, which ends once the other is announced.
    pub(super) fn go_over(
        &self,
        state: &mut State,
        next: Publication,
        comments: lectern_relay_proto::net::RecordPublisher,
        catalog: &Catalog,
    ) -> Result<(), RelayError> {
        let mut former = std::mem::replace(&mut state.publication, next);
        if let Err(error) = self.set_catalog(state, catalog) {
            std::mem::swap(&mut state.publication, &mut former);
            return Err(error);
        }
        self.comments.go_over(comments);
        Ok(())
    }

    /// Says how the broadcast is.
    pub(super) fn set_catalog(
        &self,
        state: &mut State,
        catalog: &Catalog,
    ) -> Result<(), RelayError> {
        let catalog = Catalog { about: state.about.clone(), ..catalog.clone() };
        state.publication.set_catalog(&catalog)?;
        state.announced = true;
        let was = std::mem::replace(&mut state.catalog, catalog).state;
        if was != state.catalog.state {
            state.since = Some(wall::now());
            self.means.signals.changed(&self.id);
        }
        Ok(())
    }

    fn publish_chunk(&self, state: &mut State, packaged: Packaged) -> Result<(), Failure> {
        let (lane, arrived) = (packaged.lane, packaged.arrived);
        match state.publication.write(packaged) {
            Ok(()) => {}
            // The rest of an endless group is lost; the next keyframe begins another.
            Err(RelayError::GroupFull(_)) => {
                self.means.metrics.dropped.with_label_values(&["group_full"]).inc();
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        if lane == Lane::Video {
            let age = wall::now().saturating_since(arrived);
            self.means.metrics.publish_age.observe(age.as_secs_f64());
        }
        Ok(())
    }

    fn count_dropped(&self, take: &mut Take) {
        let dropped = take.take_dropped();
        let reasons = [
            ("undecodable_video", dropped.undecodable),
            ("audio", dropped.audio),
            ("clock_jump", dropped.clock_jumps),
        ];
        for (reason, count) in reasons.into_iter().filter(|(_, count)| *count > 0) {
            self.means.metrics.dropped.with_label_values(&[reason]).inc_by(count);
        }
    }
}
