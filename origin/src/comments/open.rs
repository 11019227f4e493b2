//! A room while comments are taken in: how fast one may write in it, who is in it, and how far everybody has been
//! told of what is stored. What is stored in it by others is read before what is stored here after it is told,
//! so that edges hear all of it in order, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lectern_relay_proto::comment::{Comment, ModeratorKey, News, Post, Refusal, Settings};
use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::sync::watch;

use super::crowd::{Audience, Crowd};
use super::desk::HISTORY_MAX;
use super::outlet::Outlet;
use super::rules::{Refused, Rules};
use super::store::{self, Change, Done, Newest, Store};
use crate::take::LEAD_MAX;

/// How far ahead of now what a player shows may seem to be: as far as a publisher may run ahead, and by some
/// seconds of the player's own.
const AHEAD_MAX_MS: u64 = LEAD_MAX.as_millis() as u64 + 3_000;
/// Changes that are told one after another when nobody here knew of them. Of more, everybody is told the
/// newest: edges see that they lack the others, and ask for them.
const READ_MAX: u64 = 1_000;

/// A broadcast that can be commented on.
pub struct Room {
    /// Its comments, to everybody.
    pub comments: Outlet,
    /// Its T0, Unix ms; zero until it has begun.
    pub t0_ms: Arc<AtomicU64>,
    /// Who has this is a moderator; without it, nobody is.
    pub moderator_key: Option<ModeratorKey>,
    /// Whether a list is kept of who attends.
    pub attendance: bool,
    /// Who watches, for the host.
    pub audience: watch::Sender<Audience>,
}

/// A room while comments are taken in.
pub(super) struct Open {
    pub(super) room: Room,
    pub(super) rules: Rules,
    pub(super) crowd: Crowd,
    /// There may be votes that nobody has been told of.
    pub(super) voted: bool,
    /// The newest change that everybody has been told of; `None` before the store has said how far it
    /// has come.
    told: Option<u64>,
    /// The same of what is in force.
    settings_told: u64,
    /// Everybody is to be told what is in force, also if that has not changed.
    settings_again: bool,
    /// Changes may be stored of which nobody has been told: others store them, or the store did not answer,
    /// or the relay did not take them.
    behind: bool,
    /// It waits already to be read.
    unread: bool,
}

impl Room {
    pub(super) fn is_moderator(&self, key: Option<&ModeratorKey>) -> bool {
        matches!((&self.moderator_key, key), (Some(own), Some(key)) if own.matches(key))
    }

    /// Media time at `at`, ms; `None` before the broadcast has begun.
    pub(super) fn live_ms(&self, at: UtcTime) -> Option<u64> {
        let t0_ms = self.t0_ms.load(Ordering::Relaxed);
        (t0_ms > 0).then(|| at.as_millis().saturating_sub(t0_ms))
    }
}

impl Open {
    pub(super) fn new(room: Room) -> Self {
        let (rules, crowd) = (Rules::default(), Crowd::default());
        Self {
            room,
            rules,
            crowd,
            voted: false,
            told: None,
            settings_told: 0,
            settings_again: false,
            behind: true,
            unread: false,
        }
    }

    /// From now on this makes one a moderator, and a list of who attends is kept or not.
    pub(super) fn set(&mut self, moderator_key: Option<ModeratorKey>, attendance: bool) {
        if self.room.attendance != attendance {
            // Edges are told with what is in force.
            (self.settings_again, self.behind) = (true, true);
        }
        (self.room.moderator_key, self.room.attendance) = (moderator_key, attendance);
    }

    pub(super) fn check_post(
        &mut self,
        post: Post,
        now: Instant,
        at: UtcTime,
    ) -> Result<Change, Refused> {
        // Who waits for the host talks already, at the very beginning.
        let live_ms = self.room.live_ms(at).unwrap_or(0);
        let mt = post.mt.unwrap_or(live_ms);
        if mt > live_ms + AHEAD_MAX_MS {
            return Err((Refusal::MediaTime, None));
        }
        let moderator = self.room.is_moderator(post.key.as_ref());
        self.rules.post(now, &post.attempt, post.text.as_str())?;
        Ok(Change::Post { post, mt, at, moderator })
    }

    /// Changes may be stored of which nobody here knows.
    pub(super) fn doubt(&mut self) {
        self.behind = true;
    }

    /// Whether this room has to wait to be read from now on, and did not before.
    pub(super) fn becomes_unread(&mut self) -> bool {
        self.behind && !std::mem::replace(&mut self.unread, true)
    }

    /// It does not wait to be read any more, read or not.
    pub(super) fn waits(&mut self) {
        self.unread = false;
    }

    /// Tells everybody what has been stored here; if others have stored something before it, not before that
    /// was [read](Self::read_on) with it.
    pub(super) fn tell(&mut self, done: Done) {
        if let Some(first) = done.changed.first() {
            self.behind |= self.told.is_none_or(|told| first.seq != told + 1);
        }
        if self.behind {
            return;
        }
        done.changed.into_iter().for_each(|comment| self.tell_comment(comment));
        if let Some(settings) = done.settings {
            self.tell_settings(settings);
        }
    }

    /// Tells everybody what is stored and was not told, whoever stored it.
    pub(super) async fn read_on(
        &mut self,
        id: &BroadcastId,
        store: &Store,
    ) -> Result<(), store::Error> {
        self.waits();
        let newest = store.newest(id).await?;
        // What came before this desk, edges ask for. They may have done so before the newest of it was
        // stored.
        let begins = self.told.is_none();
        let from = self.told.filter(|told| is_followed(*told, &newest));
        let mut after = from.unwrap_or(newest.seq.saturating_sub(1));
        self.told = Some(after);
        self.behind = false;
        // Of those from before there may be some votes that nobody was told of.
        self.voted |= begins && newest.seq > 0;
        while after < newest.seq {
            let comments = store.changes(id, after, HISTORY_MAX).await.inspect_err(|_| {
                self.behind = true;
            })?;
            // None, if the broadcast has been removed since.
            let Some(last) = comments.last() else { break };
            after = last.seq;
            comments.into_iter().for_each(|comment| self.tell_comment(comment));
        }
        if self.settings_again || newest.settings.rev != self.settings_told {
            self.tell_settings(newest.settings);
        }
        Ok(())
    }

    fn tell_comment(&mut self, comment: Comment) {
        let seq = comment.seq;
        // What was not told is told before what comes after it.
        if !self.behind && self.publish(&News::Comment(comment)) {
            self.told = Some(seq);
        }
    }

    fn tell_settings(&mut self, settings: Settings) {
        let (rev, attendance) = (settings.rev, self.room.attendance);
        self.settings_again = !self.publish(&News::Settings(Settings { attendance, ..settings }));
        self.settings_told = rev;
    }

    /// Tells everybody; whether that was sent out.
    pub(super) fn publish(&mut self, news: &News) -> bool {
        let record = serde_json::to_vec(news).expect("plain");
        match self.room.comments.write(record.into()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "what everybody is to know was not sent out");
                self.behind = true;
                false
            }
        }
    }
}

/// Whether everything between these is told, one after another. Not, if it is too much, or if the database was
/// put back to what it was before.
fn is_followed(told: u64, newest: &Newest) -> bool {
    (told..=told + READ_MAX).contains(&newest.seq)
}
