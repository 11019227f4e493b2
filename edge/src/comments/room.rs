//! One broadcast's comments at this edge: the [`Log`], and those who read along.
//!
//! What is new is put into one message for all readers, at once if it was quiet before and otherwise
//! ten times a second; nobody's socket is waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::Comment;
use tokio::sync::{Notify, broadcast, watch};

use super::log::{Change, Entry, Log};

/// The least time between two messages to a reader.
const PAUSE: Duration = Duration::from_millis(100);
/// Messages that a reader may be behind; one that is further is told anew from the log.
const BEHIND_MAX: usize = 16;
/// Comments of one message.
const MESSAGE_MAX: usize = 200;
/// For how long a file is good, whatever has changed: as long as caches may keep it.
const RENDERED_FOR: Duration = Duration::from_secs(2);

/// The comments of one broadcast.
pub(super) struct Room {
    pub(super) id: BroadcastId,
    inner: Mutex<Inner>,
    readers: broadcast::Sender<News>,
    /// Wakes the one that tells the readers.
    changed: Notify,
    /// Wakes the one that asks the origin for what is missing.
    pub(super) lacking: Notify,
    /// The origin has told all that it had, once.
    settled: watch::Sender<bool>,
    webvtt: Mutex<Option<Rendered>>,
}

/// All comments as a file, for as long as nothing has changed, or a little longer.
#[derive(Clone)]
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
        Arc::new(Self {
            id,
            inner: Mutex::default(),
            readers,
            changed: Notify::new(),
            lacking: Notify::new(),
            settled: watch::Sender::new(false),
            webvtt: Mutex::default(),
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
    pub(super) fn history(&self, after: u64, newest: u64, comments: Vec<Comment>, complete: bool) {
        let mut inner = self.lock();
        if after != inner.log.head() {
            // An answer to what was asked before the last one came.
            return;
        }
        if newest < after {
            tracing::warn!(broadcast = %self.id, after, newest, "the comments began anew");
            inner.log.forget();
            inner.opening = None;
            drop(inner);
            return self.lacking.notify_one();
        }
        inner.outdate(&comments);
        let new = inner.log.history(comments, complete);
        self.told(inner, new);
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
            let (untold, lacks) = {
                let mut inner = self.lock();
                (std::mem::take(&mut inner.untold), inner.log.lacks())
            };
            let last = untold.len().div_ceil(MESSAGE_MAX);
            for (number, some) in (1..).zip(untold.chunks(MESSAGE_MAX)) {
                let head = some.last().map_or(0, |(seq, _)| *seq);
                let message = message(some, !lacks && number == last);
                // Fails only if nobody reads.
                let _ = self.readers.send(News { message, head });
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
    fn catch_up(&self, after: u64) -> (Arc<[Utf8Bytes]>, u64) {
        let mut inner = self.lock();
        let (newest, lacks) = (inner.log.head(), inner.log.lacks());
        if after > 0 || lacks {
            let (some, head) = inner.log.after(after, MESSAGE_MAX);
            let messages = (!some.is_empty()).then(|| message(&some, !lacks && head == newest));
            return (messages.into_iter().collect(), head);
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
            messages.push(message(&some, head == newest));
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
