//! One broadcast's comments at this edge: the [`Log`], and those who read along.
//!
//! What is new is put into one message for all readers, at once if it was quiet before and otherwise
//! up to ten times a second; nobody's socket is waited for.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::{Comment, Reaction, Settings};
use tokio::sync::{Notify, broadcast, watch};

use super::crowd::Crowd;
use super::log::{Change, Entry, Log};
use super::rendition;

/// The least time between two messages to a reader, and how much longer it is for each who reads: a
/// message costs an edge some ten microseconds for each, whatever is in it.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_EACH: Duration = Duration::from_micros(5);
/// Messages that a reader may be behind; one that is further is told anew from the log.
const BEHIND_MAX: usize = 16;
/// Comments of one message.
const MESSAGE_MAX: usize = 200;
/// For how long a file is good, whatever has changed: as long as caches may keep it.
pub(super) const RENDERED_FOR: Duration = Duration::from_secs(2);

/// The comments of one broadcast.
pub(super) struct Room {
    pub(super) id: BroadcastId,
    inner: Mutex<Inner>,
    readers: broadcast::Sender<News>,
    /// Those who see what is held.
    moderators: broadcast::Sender<News>,
    pub(super) crowd: Crowd,
    /// Wakes the one that tells the readers.
    changed: Notify,
    /// Wakes the one that asks the origin for what is missing.
    pub(super) lacking: Notify,
    /// The origin has told all that it had, once.
    settled: watch::Sender<bool>,
    webvtt: Mutex<Option<Rendered>>,
    /// The same by segments.
    pub(super) subtitles: rendition::Files,
}

/// All comments as a file, for as long as nothing has changed, or a little longer.
struct Rendered {
    head: u64,
    at: Instant,
    file: Bytes,
}

#[derive(Default)]
struct Inner {
    log: Log,
    /// What readers have not been told.
    untold: Vec<Change>,
    aside: Aside,
    /// All from the beginning, as it was when a reader last joined: thousands join at once.
    opening: Option<Opening>,
}

/// What there is to say beside comments.
#[derive(Default)]
struct Aside {
    settings: Settings,
    viewers: Option<u64>,
    /// Of these two, whether readers have been told.
    settings_told: bool,
    viewers_told: bool,
    reactions: Vec<Reaction>,
    /// Nothing is missing any more, which readers have not been told.
    completed: bool,
}

/// The messages that tell all up to some change.
struct Opening {
    messages: Arc<[Utf8Bytes]>,
    head: u64,
}

/// A message, and up to which change it tells.
#[derive(Clone)]
pub(super) struct News {
    pub(super) message: Utf8Bytes,
    /// `None` if it tells of no change.
    head: Option<u64>,
    /// It says nothing to whoever has all changes up to this.
    known_by: Option<u64>,
}

/// One reader's place.
pub(super) struct Reader {
    room: Arc<Room>,
    news: broadcast::Receiver<News>,
    head: u64,
    moderator: bool,
}

impl Room {
    pub(super) fn new(id: BroadcastId) -> Arc<Self> {
        let [readers, moderators] = [(); 2].map(|()| broadcast::Sender::new(BEHIND_MAX));
        Arc::new(Self {
            id,
            inner: Mutex::default(),
            readers,
            moderators,
            crowd: Crowd::default(),
            changed: Notify::new(),
            lacking: Notify::new(),
            settled: watch::Sender::new(false),
            webvtt: Mutex::default(),
            subtitles: rendition::Files::default(),
        })
    }

    /// Takes a change as it happens.
    pub(super) fn push(&self, comment: Comment) {
        let mut inner = self.lock();
        inner.outdate(std::slice::from_ref(&comment));
        let new = inner.log.push(comment);
        self.told(inner, new);
    }

    /// Takes what the origin tells of the changes after `after`, of which `newest` is the last.
    pub(super) fn history(
        &self,
        after: u64,
        newest: u64,
        comments: Vec<Comment>,
        complete: bool,
        settings: Settings,
    ) {
        let mut inner = self.lock();
        // Otherwise it answers what was asked before the last answer came.
        if after == inner.log.head() {
            if newest < after {
                tracing::warn!(broadcast = %self.id, after, newest, "the comments began anew");
                (inner.log, inner.opening) = (Log::default(), None);
                inner.aside.settings.rev = 0;
            } else {
                inner.outdate(&comments);
                let lacked = inner.log.lacks();
                let new = inner.log.history(comments, complete);
                inner.aside.settle_on(settings);
                // Readers wait to hear that nothing is missing any more, if nothing else.
                inner.aside.completed |= lacked && !inner.log.lacks();
                self.changed.notify_one();
                self.told(inner, new);
            }
        }
        // Whether or not it was what is missing, the one who asks looks again.
        self.lacking.notify_one();
    }

    /// Takes what is in force from now on, unless something newer is known.
    pub(super) fn settle_on(&self, settings: Settings) {
        self.lock().aside.settle_on(settings);
        self.changed.notify_one();
    }

    /// Takes what viewers feel.
    pub(super) fn feel(&self, reactions: Vec<Reaction>) {
        let mut inner = self.lock();
        let room = Reaction::TOLD_MAX - inner.aside.reactions.len();
        inner.aside.reactions.extend(reactions.into_iter().take(room));
        self.changed.notify_one();
    }

    /// So many watch.
    pub(super) fn watched_by(&self, viewers: u64) {
        let mut inner = self.lock();
        if inner.aside.viewers.replace(viewers) != Some(viewers) {
            inner.aside.viewers_told = false;
            self.changed.notify_one();
        }
    }

    /// Whether a list is kept of who attends.
    pub(super) fn keeps_attendance(&self) -> bool {
        self.lock().aside.settings.attendance
    }

    /// Changes may have been lost unseen.
    pub(super) fn doubt(&self) {
        self.lock().log.doubt();
        self.lacking.notify_one();
    }

    /// After which change something is missing, if so.
    pub(super) fn lacks_after(&self) -> Option<u64> {
        let inner = self.lock();
        inner.log.lacks().then(|| inner.log.head())
    }

    /// Tells readers what is new, for ever.
    pub(super) async fn tell(&self) {
        loop {
            self.changed.notified().await;
            self.tell_once();
            let readers = u32::try_from(self.readers.receiver_count()).unwrap_or(u32::MAX);
            tokio::time::sleep(PAUSE + PAUSE_EACH.saturating_mul(readers)).await;
        }
    }

    fn tell_once(&self) {
        let (untold, lacks, completed, aside) = {
            let mut inner = self.lock();
            let (untold, lacks) = (std::mem::take(&mut inner.untold), inner.log.lacks());
            let completed = std::mem::take(&mut inner.aside.completed);
            (untold, lacks, completed, inner.aside.take())
        };
        let last = untold.len().div_ceil(MESSAGE_MAX).max(1);
        for number in 1..=last {
            let from = (number - 1) * MESSAGE_MAX;
            let some = &untold[from..untold.len().min(from + MESSAGE_MAX)];
            let (complete, aside) =
                (!lacks && number == last, if number == last { &*aside } else { "" });
            let head = some.last().map(|change| change.seq);
            for (readers, moderator) in [(&self.readers, false), (&self.moderators, true)] {
                let nothing = some.iter().all(|change| change.held && !moderator);
                // What is held leaves no trace, not even in when something is said.
                if readers.receiver_count() > 0 && !(nothing && aside.is_empty() && !completed) {
                    let message = message(some, moderator, complete, aside);
                    // What is said beside changes is for those too who know of these already.
                    let known_by = head.filter(|_| aside.is_empty() && !completed);
                    // Fails only if nobody reads.
                    let _ = readers.send(News { message, head, known_by });
                }
            }
        }
    }

    /// A reader who has all changes up to `after`.
    pub(super) fn read(self: &Arc<Self>, after: u64) -> Reader {
        // A viewer of another edge, or of a database that is gone, may have seen what was never here.
        let head = after.min(self.lock().log.head());
        Reader { room: self.clone(), news: self.readers.subscribe(), head, moderator: false }
    }

    /// Waits until the origin has told what was before this edge came, for so long at most.
    pub(super) async fn settle(&self, at_most: Duration) {
        let mut settled = self.settled.subscribe();
        // Late, or the room is closed: then what there is is told.
        let _ = tokio::time::timeout(at_most, settled.wait_for(|settled| *settled)).await;
    }

    /// What `render` makes of the comments that are to be shown and `wanted`, by media time.
    pub(super) fn shown<T>(
        &self,
        wanted: impl Fn(&Comment) -> bool,
        render: impl FnOnce(&[&Entry]) -> T,
    ) -> T {
        render(&self.lock().log.shown(wanted))
    }

    /// All that are to be shown as `render` makes a file of them: once for all who ask.
    pub(super) fn webvtt(&self, render: impl FnOnce(&[&Entry]) -> String) -> Bytes {
        // Held while it is rendered: whoever asks meanwhile would do the same.
        let mut rendered = self.webvtt.lock().unwrap_or_else(PoisonError::into_inner);
        let head = self.lock().log.head();
        let now = Instant::now();
        if let Some(there) = &*rendered
            && (there.head == head || now.duration_since(there.at) < RENDERED_FOR)
        {
            return there.file.clone();
        }
        let file: Bytes = self.shown(|_| true, render).into();
        *rendered = Some(Rendered { head, at: now, file: file.clone() });
        file
    }

    /// Every change up to this is known.
    pub(super) fn head(&self) -> u64 {
        self.lock().log.head()
    }

    /// Whether the origin has told all that there is.
    pub(super) fn is_complete(&self) -> bool {
        !self.lock().log.lacks()
    }

    fn told(&self, mut inner: MutexGuard<'_, Inner>, new: Vec<Change>) {
        let lacks = inner.log.lacks();
        if !new.is_empty() {
            inner.untold.extend(new);
            self.changed.notify_one();
        }
        drop(inner);
        if lacks {
            self.lacking.notify_one();
        } else {
            self.settled.send_if_modified(|settled| !std::mem::replace(settled, true));
        }
    }

    /// What to send to who has all changes up to `after`, and up to which change that is: everything at
    /// once, which is shared, or the next message.
    fn catch_up(&self, after: u64, moderator: bool) -> (Arc<[Utf8Bytes]>, u64) {
        let mut inner = self.lock();
        let (newest, lacks) = (inner.log.head(), inner.log.lacks());
        if after > 0 || lacks || moderator {
            let mut head = after;
            loop {
                let (some, last) = inner.log.after(head, MESSAGE_MAX);
                head = last;
                if some.is_empty() {
                    return (Arc::new([]), head);
                }
                if some.iter().any(|change| moderator || !change.held) {
                    let message = message(&some, moderator, !lacks && head == newest, "");
                    return (Arc::new([message]), head);
                }
            }
        }
        if let Some(opening) = &inner.opening
            && newest - opening.head < MESSAGE_MAX as u64
        {
            return (opening.messages.clone(), opening.head);
        }
        let (mut messages, mut head) = (Vec::new(), 0);
        while head < newest {
            let (some, last) = inner.log.after(head, MESSAGE_MAX);
            head = last;
            messages.push(message(&some, false, head == newest, ""));
        }
        let messages: Arc<[Utf8Bytes]> = messages.into();
        if newest > 0 {
            inner.opening = Some(Opening { messages: messages.clone(), head: newest });
        }
        (messages, newest)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What was told to those who came before is not to be told in its old form to others.
    fn outdate(&mut self, changed: &[Comment]) {
        if changed.iter().any(|comment| comment.rev > 0) {
            self.opening = None;
        }
    }
}

impl Reader {
    /// What was before this reader came, or what it has missed; empty once it has all.
    pub(super) fn catch_up(&mut self) -> Arc<[Utf8Bytes]> {
        let (messages, head) = self.room.catch_up(self.head, self.moderator);
        self.head = head;
        messages
    }

    /// All that there is to say beside comments, for who has just come or missed something.
    pub(super) fn state(&self) -> Utf8Bytes {
        let inner = self.room.lock();
        message(&[], self.moderator, !inner.log.lacks(), &inner.aside.all())
    }

    /// From now on what is held is told, too. Returns what is held already; what has been said since this
    /// reader's last message is to be caught up with.
    pub(super) fn become_moderator(&mut self) -> Vec<Utf8Bytes> {
        self.moderator = true;
        self.news = self.room.moderators.subscribe();
        let held = self.room.lock().log.held();
        held.chunks(MESSAGE_MAX).map(|some| message(some, true, false, "")).collect()
    }

    /// What to send next. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Next> {
        loop {
            match self.news.recv().await {
                Ok(news) if news.known_by.is_some_and(|head| head <= self.head) => {}
                Ok(news) => {
                    self.head = news.head.map_or(self.head, |head| head.max(self.head));
                    return Some(Next::News(news.message));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => return Some(Next::Behind),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// What a reader is to be sent.
pub(super) enum Next {
    /// This.
    News(Utf8Bytes),
    /// What [`Reader::catch_up`] says: it was too slow.
    Behind,
}

impl Aside {
    /// Takes what is in force, unless something newer is known.
    fn settle_on(&mut self, settings: Settings) {
        if settings.rev >= self.settings.rev && settings != self.settings {
            (self.settings, self.settings_told) = (settings, false);
        }
    }

    /// What readers have not been told, as keys of a message.
    fn take(&mut self) -> String {
        let settings =
            (!std::mem::replace(&mut self.settings_told, true)).then_some(&self.settings);
        let viewers_told = std::mem::replace(&mut self.viewers_told, true);
        let viewers = self.viewers.filter(|_| !viewers_told);
        let reactions = std::mem::take(&mut self.reactions);
        aside(settings, viewers, &reactions)
    }

    /// What is so now.
    fn all(&self) -> String {
        aside(Some(&self.settings), self.viewers, &[])
    }
}

fn aside(settings: Option<&Settings>, viewers: Option<u64>, reactions: &[Reaction]) -> String {
    let mut text = String::new();
    if let Some(Settings { rev: _, closed, approval, slow_ms, attendance }) = settings {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#","room":{{"closed":{closed},"approval":{approval},"slow_ms":{slow_ms},"attendance":{attendance}}}"#
        );
    }
    if !reactions.is_empty() {
        let reactions = serde_json::to_string(reactions).expect("plain");
        let _ = write!(text, r#","reactions":{reactions}"#);
    }
    if let Some(viewers) = viewers {
        let _ = write!(text, r#","viewers":{viewers}"#);
    }
    text
}

/// `{"type":"comments",…}` of comments that are JSON already, and of keys that are.
fn message(comments: &[Change], moderator: bool, complete: bool, aside: &str) -> Utf8Bytes {
    let length: usize = comments.iter().map(|change| change.json.len() + 1).sum();
    let mut text = String::with_capacity(length + aside.len() + 64);
    text.push_str(r#"{"type":"comments","comments":["#);
    let seen = comments.iter().filter(|change| moderator || !change.held);
    for (index, change) in seen.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&change.json);
    }
    let _ = write!(text, r#"],"complete":{complete}{aside}}}"#);
    text.into()
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::comment::Marks;

    use super::super::testing::comment;
    use super::*;

    fn room(count: u64) -> Arc<Room> {
        let room = Room::new("talk".parse().expect("an id"));
        room.history(
            0,
            count,
            (1..=count).map(|number| comment(number, number)).collect(),
            true,
            Settings::default(),
        );
        room
    }

    /// All that a reader is sent before it waits.
    fn caught_up(reader: &mut Reader) -> Vec<Utf8Bytes> {
        let mut all = Vec::new();
        loop {
            match reader.catch_up() {
                messages if messages.is_empty() => return all,
                messages => all.extend(messages.iter().cloned()),
            }
        }
    }

    #[test]
    fn what_thousands_are_told_at_once_is_made_once() {
        let room = room(1_000);
        let (one, other) = (room.read(0).catch_up(), room.read(0).catch_up());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.len(), 1_000 / MESSAGE_MAX);
        assert!(one.last().is_some_and(|last| last.ends_with(r#""complete":true}"#)));
        assert!(one[0].ends_with(r#""complete":false}"#));
        // Who lacks but a part is told it piece by piece, so that nobody holds a copy of all.
        assert_eq!(room.read(1).catch_up().len(), 1);
        assert_eq!(caught_up(&mut room.read(1)).len(), 1_000 / MESSAGE_MAX);
        assert!(caught_up(&mut room.read(1_000)).is_empty());
        assert!(caught_up(&mut room.read(u64::MAX)).is_empty());
    }

    #[test]
    fn what_was_taken_back_is_told_to_nobody_who_comes_later() {
        let room = room(10);
        assert!(caught_up(&mut room.read(0))[0].contains("text 3"));
        let gone = Comment { text: String::new(), rev: 1, deleted: true, ..comment(3, 11) };
        room.push(gone);
        let told = caught_up(&mut room.read(0));
        assert!(told.iter().all(|message| !message.contains("text 3")));
        assert!(told[0].contains(r#""id":3"#));
    }

    fn held(id: u64, seq: u64) -> Comment {
        let marks = Marks { held: true, ..Marks::default() };
        Comment { marks, ..comment(id, seq) }
    }

    #[tokio::test]
    async fn what_is_said_beside_changes_reaches_who_knows_these_already() {
        let room = room(0);
        room.tell_once();
        room.push(comment(1, 1));
        // Told of the change, and of what was in force, before the message that tells both.
        let mut reader = room.read(0);
        assert_eq!(caught_up(&mut reader).len(), 1);
        room.settle_on(Settings { rev: 1, closed: true, ..Settings::default() });
        room.tell_once();
        let Some(Next::News(told)) = reader.next().await else { panic!("nothing is told") };
        assert!(told.contains(r#""closed":true"#), "{told}");
        // One that has nothing beside it says nothing to them.
        room.push(comment(2, 2));
        let mut reader = room.read(0);
        caught_up(&mut reader);
        room.tell_once();
        room.push(comment(3, 3));
        room.tell_once();
        let Some(Next::News(told)) = reader.next().await else { panic!("nothing is told") };
        assert!(told.contains("text 3") && !told.contains("text 2"), "{told}");
    }

    #[tokio::test]
    async fn who_waits_hears_that_nothing_is_missing_though_nothing_was() {
        let room = Room::new("talk".parse().expect("an id"));
        let mut reader = room.read(0);
        caught_up(&mut reader);
        room.history(0, 0, Vec::new(), true, Settings::default());
        room.tell_once();
        let Some(Next::News(told)) = reader.next().await else { panic!("nothing is told") };
        assert!(told.contains(r#""complete":true"#), "{told}");
    }

    #[test]
    fn what_is_held_is_told_to_moderators_alone() {
        let room = room(1);
        room.push(held(2, 2));
        let (mut reader, mut moderator) = (room.read(0), room.read(1));
        let joined = |told: Vec<Utf8Bytes>| told.iter().map(Utf8Bytes::as_str).collect::<String>();
        assert!(!joined(caught_up(&mut reader)).contains("text 2"));
        // Nor to who comes back with the rest.
        assert!(caught_up(&mut room.read(1)).is_empty());
        let told = joined(moderator.become_moderator());
        assert!(told.contains("text 2") && !told.contains("text 1"));
        room.push(held(3, 3));
        room.push(Comment { rev: 1, ..comment(2, 4) });
        room.tell_once();
        assert!(joined(caught_up(&mut moderator)).contains("text 3"));
        let next = |reader: &mut Reader| reader.news.try_recv().expect("news").message;
        let (public, aside) = (next(&mut reader), next(&mut moderator));
        assert!(public.contains("text 2") && !public.contains("text 3"), "{public}");
        assert!(aside.contains("text 2") && aside.contains("text 3"), "{aside}");
        // Not even that there is something.
        room.push(held(4, 5));
        room.tell_once();
        assert!(reader.news.try_recv().is_err());
        assert!(next(&mut moderator).contains("text 4"));
    }

    #[test]
    fn what_is_in_force_is_told_when_it_changes_and_to_who_comes() {
        let room = room(0);
        room.tell_once();
        let mut reader = room.read(0);
        let in_force =
            r#""room":{"closed":true,"approval":false,"slow_ms":5000,"attendance":false}"#;
        let settings = Settings { rev: 1, closed: true, slow_ms: 5_000, ..Settings::default() };
        room.settle_on(settings.clone());
        room.settle_on(Settings { rev: 0, ..Settings::default() });
        room.watched_by(3);
        let felt = Reaction { mt: Some(1_000), emoji: "👏".to_owned(), count: 2 };
        room.feel(vec![felt; Reaction::TOLD_MAX + 1]);
        room.tell_once();
        let told = reader.news.try_recv().expect("news").message;
        assert!(told.contains(in_force) && told.ends_with(r#","viewers":3}"#), "{told}");
        assert_eq!(told.matches(r#"{"mt":1000,"emoji":"👏","count":2}"#).count(), 64);
        room.settle_on(settings);
        room.watched_by(3);
        room.tell_once();
        assert!(reader.news.try_recv().is_err(), "nothing new");
        let state = reader.state();
        assert!(state.contains(in_force) && state.contains(r#""viewers":3"#), "{state}");
        assert!(serde_json::from_str::<serde_json::Value>(&state).is_ok(), "{state}");
    }

    #[test]
    fn nothing_is_called_complete_before_it_is() {
        let room = Room::new("talk".parse().expect("an id"));
        room.history(0, 1, vec![comment(1, 1)], false, Settings::default());
        assert_eq!(room.lacks_after(), Some(1));
        let told = caught_up(&mut room.read(0));
        assert!(told.iter().all(|message| message.ends_with(r#""complete":false}"#)));
        // The answer to a question from before is no answer to this one.
        room.history(0, 9, Vec::new(), true, Settings::default());
        assert!(!room.is_complete());
        room.history(1, 1, Vec::new(), true, Settings::default());
        assert!(room.is_complete());
    }

    #[test]
    fn a_database_that_began_anew_is_followed() {
        let room = room(500);
        room.doubt();
        room.history(500, 2, Vec::new(), true, Settings::default());
        assert_eq!(room.lacks_after(), Some(0));
        room.history(0, 2, vec![comment(1, 1), comment(2, 2)], true, Settings::default());
        room.push(comment(3, 3));
        assert_eq!(room.shown(|_| true, |shown| shown.len()), 3);
    }

    #[tokio::test]
    async fn who_reads_along_is_told_each_change_once_and_in_order() {
        let room = room(2);
        let mut reader = room.read(0);
        assert_eq!(caught_up(&mut reader).len(), 1);
        let telling = room.clone();
        let _telling = tokio::spawn(async move { telling.tell().await });
        let mut told = String::new();
        for seq in 3..=40 {
            room.push(comment(seq, seq));
            if seq % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        while !told.contains("text 40") {
            match reader.next().await {
                Some(Next::News(message)) => told.push_str(&message),
                Some(Next::Behind) => {
                    told.extend(caught_up(&mut reader).iter().map(|m| m.as_str()))
                }
                None => panic!("the room is gone"),
            }
        }
        let places: Vec<_> = (3..=40)
            .map(|seq| {
                let found: Vec<_> = told.match_indices(&format!(r#""seq":{seq},"#)).collect();
                assert_eq!(found.len(), 1, "change {seq}");
                found[0].0
            })
            .collect();
        assert!(places.is_sorted());
    }
}
