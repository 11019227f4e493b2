//! One broadcast's comments at this edge: the [`Log`], and those who read along.
//!
//! What is new is put into one message for all readers, at once if it was quiet before and otherwise
//! ten times a second; nobody's socket is waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::Comment;
use tokio::sync::{Notify, broadcast};

use super::log::{Change, Entry, Log};

/// The least time between two messages to a reader.
const PAUSE: Duration = Duration::from_millis(100);
/// Messages that a reader may be behind; one that is further is told anew from the log.
const BEHIND_MAX: usize = 16;
/// Comments of one message.
const MESSAGE_MAX: usize = 200;

/// The comments of one broadcast.
pub(super) struct Room {
    pub(super) id: BroadcastId,
    inner: Mutex<Inner>,
    readers: broadcast::Sender<News>,
    /// Wakes the one that tells the readers.
    changed: Notify,
    /// Wakes the one that asks the origin for what is missing.
    pub(super) lacking: Notify,
}

#[derive(Default)]
struct Inner {
    log: Log,
    /// What readers have not been told.
    untold: Vec<Change>,
    /// All from the beginning, as it was when a reader last joined: thousands join at once.
    opening: Option<Opening>,
}

/// The messages that tell all up to some change.
#[derive(Clone)]
struct Opening {
    messages: Arc<[Utf8Bytes]>,
    head: u64,
}

/// A message, and up to which change it tells.
#[derive(Clone)]
pub(super) struct News {
    pub(super) message: Utf8Bytes,
    pub(super) head: u64,
}

/// One reader's place.
pub(super) struct Reader {
    room: Arc<Room>,
    news: broadcast::Receiver<News>,
    head: u64,
}

impl Room {
    pub(super) fn new(id: BroadcastId) -> Arc<Self> {
        let readers = broadcast::Sender::new(BEHIND_MAX);
        let (inner, changed, lacking) = (Mutex::default(), Notify::new(), Notify::new());
        Arc::new(Self { id, inner, readers, changed, lacking })
    }

    /// Takes a change as it happens.
    pub(super) fn push(&self, comment: Comment) {
        let mut inner = self.lock();
        let new = inner.log.push(comment);
        self.told(inner, new);
    }

    /// Takes what the origin tells of the past. Returns whether more is to be asked for.
    pub(super) fn history(&self, comments: Vec<Comment>, complete: bool) -> bool {
        let mut inner = self.lock();
        let new = inner.log.history(comments, complete);
        self.told(inner, new);
        self.lock().log.lacks()
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
            let untold = std::mem::take(&mut self.lock().untold);
            for some in untold.chunks(MESSAGE_MAX) {
                let head = some.last().map_or(0, |(seq, _)| *seq);
                // Fails only if nobody reads.
                let _ = self.readers.send(News { message: message(some, true), head });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A reader who has all changes up to `after`.
    pub(super) fn read(self: &Arc<Self>, after: u64) -> Reader {
        // A viewer of another edge, or of a database that is gone, may have seen what was never here.
        let head = after.min(self.lock().log.head());
        Reader { room: self.clone(), news: self.readers.subscribe(), head }
    }

    /// What `render` makes of the comments that are to be shown, by media time.
    pub(super) fn shown<T>(&self, render: impl FnOnce(&[&Entry]) -> T) -> T {
        render(&self.lock().log.shown())
    }

    fn told(&self, mut inner: MutexGuard<'_, Inner>, new: Vec<Change>) {
        let lacks = inner.log.lacks();
        if !new.is_empty() {
            inner.untold.extend(new);
            self.changed.notify_one();
        }
        if lacks {
            self.lacking.notify_one();
        }
    }

    /// The messages after `after`, and up to which change they tell.
    fn catch_up(&self, after: u64) -> (Arc<[Utf8Bytes]>, u64) {
        let mut inner = self.lock();
        let newest = inner.log.head();
        if after == 0
            && let Some(opening) = &inner.opening
            && newest - opening.head < MESSAGE_MAX as u64
        {
            return (opening.messages.clone(), opening.head);
        }
        let mut messages = Vec::new();
        let mut head = after;
        loop {
            let (some, last) = inner.log.after(head, MESSAGE_MAX);
            if some.is_empty() {
                break;
            }
            head = last;
            messages.push(message(&some, head == newest));
        }
        let messages: Arc<[Utf8Bytes]> = messages.into();
        if after == 0 && newest > 0 {
            inner.opening = Some(Opening { messages: messages.clone(), head: newest });
        }
        (messages, newest)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// What was before this reader came, or what it has missed; empty once it has all.
    pub(super) fn catch_up(&mut self) -> Arc<[Utf8Bytes]> {
        let (messages, head) = self.room.catch_up(self.head);
        self.head = head;
        messages
    }

    /// What to send next. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Next> {
        loop {
            match self.news.recv().await {
                Ok(news) if news.head <= self.head => {}
                Ok(news) => {
                    self.head = news.head;
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

/// `{"type":"comments",…}` of comments that are JSON already.
pub(super) fn message(comments: &[Change], complete: bool) -> Utf8Bytes {
    let length: usize = comments.iter().map(|(_, json)| json.len() + 1).sum();
    let mut text = String::with_capacity(length + 64);
    text.push_str(r#"{"type":"comments","comments":["#);
    for (index, (_, json)) in comments.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(json);
    }
    text.push_str(if complete { r#"],"complete":true}"# } else { r#"],"complete":false}"# });
    text.into()
}
