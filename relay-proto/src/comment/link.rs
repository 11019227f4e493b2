//! What edges and origins say to each other about comments, and what an origin tells everybody.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::registration::NotRegistered;
use super::{AddressId, AuthorId, ClientId, Comment, ModeratorKey, Name, Refusal, Text};
use crate::about::Given;
use crate::{BroadcastId, UtcTime};

/// What an edge says to its origin, on its track `comments`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// A viewer wrote something.
    Post(Post),
    /// A viewer takes back what they wrote, or a moderator what somebody did.
    Delete {
        /// This attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// Which comment.
        id: u64,
        /// A moderator's.
        key: Option<ModeratorKey>,
    },
    /// A viewer wants a question answered, or does not any more.
    Vote {
        /// This attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// Which comment.
        id: u64,
        /// Where it comes from.
        address: AddressId,
        /// Whether they want it.
        up: bool,
    },
    /// A moderator puts the room in order.
    Moderate {
        /// This attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// Theirs.
        key: ModeratorKey,
        /// What to do.
        #[serde(flatten)]
        action: Action,
    },
    /// Whether a viewer is a moderator.
    Role {
        /// This attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// What the viewer has.
        key: ModeratorKey,
    },
    /// A viewer answers what is asked of those who want to watch.
    Register {
        /// This attempt, of [`AuthorId::nobody`].
        #[serde(flatten)]
        attempt: Attempt,
        /// The answers, as the edge let them pass.
        answers: Given,
    },
    /// The edge lacks changes, because it joined or because some were lost on the way.
    History {
        /// The broadcast.
        broadcast: BroadcastId,
        /// It has all changes up to this.
        after: u64,
    },
    /// What the edge's viewers felt since it last said so. Nobody answers.
    Reactions {
        /// The broadcast.
        broadcast: BroadcastId,
        /// At most [`Reaction::TOLD_MAX`].
        reactions: Vec<Reaction>,
    },
    /// How many of the edge's viewers watch now. Nobody answers; what an edge said is forgotten when it
    /// goes, and after half a minute.
    Viewers {
        /// The broadcast.
        broadcast: BroadcastId,
        /// How many.
        #[serde(flatten)]
        viewers: Viewers,
    },
    /// Who of the edge's viewers is there, of those who want to be on the list. Said again every half
    /// minute. Nobody answers.
    Present {
        /// The broadcast.
        broadcast: BroadcastId,
        /// At most [`Attendee::TOLD_MAX`].
        present: Vec<Attendee>,
    },
    /// What the time is at the origin: whichever that is, each answers.
    Clock {
        /// For the answer.
        round: u64,
    },
}

/// What a viewer wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Post {
    /// This attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// Where it comes from.
    pub address: AddressId,
    /// A moderator's.
    pub key: Option<ModeratorKey>,
    /// The media time that the player showed, ms since T0; `None` if it showed nothing.
    pub mt: Option<u64>,
    /// The writer's name.
    pub user: Name,
    /// What.
    pub text: Text,
    /// It is a question.
    #[serde(default)]
    pub question: bool,
}

/// What a moderator does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Shows a comment that is held.
    Approve {
        /// Which.
        id: u64,
    },
    /// Puts a comment above the others; what stood there no longer does.
    Pin {
        /// Which.
        id: u64,
    },
    /// Takes it from there.
    Unpin {
        /// Which.
        id: u64,
    },
    /// A question is answered.
    Answer {
        /// Which.
        id: u64,
    },
    /// It is not, after all.
    Reopen {
        /// Which.
        id: u64,
    },
    /// Whoever wrote a comment may write no more.
    Block {
        /// Which.
        id: u64,
        /// Them alone, or all from the same address.
        whom: Whom,
        /// For so long; `None`: for good, which has to be said.
        #[serde(deserialize_with = "Option::deserialize")]
        minutes: Option<NonZeroU32>,
    },
    /// They may again.
    Unblock {
        /// [`Block::block`].
        block: u64,
    },
    /// Who is blocked.
    Blocks,
    /// What is in force from now on. A longer `slow_ms` counts as the longest.
    Settings {
        /// Only moderators write.
        closed: bool,
        /// What others write is held until a moderator lets it be seen.
        approval: bool,
        /// The least time between two comments of one writer's, at most [`Settings::SLOW_MS_MAX`].
        slow_ms: u32,
    },
}

/// Whom a block is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// One writer, as far as their browser says so.
    Writer,
    /// All who write from one address.
    Address,
}

/// Somebody who may not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its number in the broadcast.
    pub block: u64,
    /// Whom it is meant for.
    pub whom: Whom,
    /// The name in the comment by which they were blocked.
    pub user: String,
    /// Until when, Unix ms; `None`: for good.
    pub until: Option<u64>,
}

/// What an origin says to one of its edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    /// What was asked for is stored, and will not be lost.
    Stored {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// The comment; 0 where it was about none.
        id: u64,
        /// It waits for a moderator.
        #[serde(default)]
        held: bool,
    },
    /// It is not stored; or nobody knows, if the reason is [`Refusal::Unavailable`].
    Refused {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// Why.
        reason: Refusal,
        /// When the same may be tried again, if ever, in ms.
        retry_after_ms: Option<u32>,
    },
    /// Whether this is a moderator.
    Role {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// The key is the right one.
        moderator: bool,
    },
    /// Who is blocked.
    Blocks {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// The newest first, at most [`Block::TOLD_MAX`].
        blocks: Vec<Block>,
    },
    /// A viewer's answers are stored, and will not be lost.
    Registered {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// With this they watch.
        token: String,
        /// Until then, Unix ms.
        expires: u64,
    },
    /// They are not; or nobody knows, if that is [`NotRegistered::Unavailable`].
    NotRegistered {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// Why.
        #[serde(flatten)]
        why: NotRegistered,
    },
    /// Changes in order, as many as one answer holds.
    History {
        /// The broadcast.
        broadcast: BroadcastId,
        /// As it was asked.
        after: u64,
        /// The newest change that there is; less than `after` if the comments began anew.
        newest: u64,
        /// Each comment that changed, in the order of `seq`.
        comments: Vec<Comment>,
        /// Whether these are all there are; otherwise the edge asks for more.
        complete: bool,
        /// What is in force.
        settings: Settings,
    },
    /// What the time is.
    Clock {
        /// As it was asked.
        round: u64,
        /// By which this origin stamps media, in microseconds of Unix time.
        now_us: u64,
    },
}

/// What an origin tells everybody, on the broadcast's track `comments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum News {
    /// A comment is new, or has changed.
    Comment(Comment),
    /// Something else is in force.
    Settings(Settings),
    /// What viewers of all edges felt of late.
    Reactions {
        /// At most [`Reaction::TOLD_MAX`].
        reactions: Vec<Reaction>,
    },
    /// How many watch, on all edges and paths.
    Viewers {
        /// How many.
        viewers: u64,
    },
}

/// What is in force in a broadcast's room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Counts changes of these settings: of two forms the higher holds.
    pub rev: u64,
    /// Only moderators write.
    pub closed: bool,
    /// What others write is held until a moderator lets it be seen.
    pub approval: bool,
    /// The least time between two comments of one writer's; 0: their own pace alone.
    pub slow_ms: u32,
    /// A list is kept of who attends, of those who want to be on it.
    pub attendance: bool,
}

/// How often viewers felt something at one second of the lecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The beginning of that second of media time, ms since T0; `None`: the present one.
    pub mt: Option<u64>,
    /// One of [`Reaction::EMOJIS`].
    pub emoji: String,
    /// How often.
    pub count: u32,
}

/// How many watch, by path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewers {
    /// By WebRTC.
    pub webrtc: u32,
    /// By LL-DASH.
    pub dash: u32,
    /// By LL-HLS.
    pub hls: u32,
}

/// Somebody on the list of who attends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendee {
    /// Who, as in their comments.
    pub author: AuthorId,
    /// The name that they gave.
    pub user: Name,
}

/// One attempt of one writer's: what an answer is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The writer.
    pub author: AuthorId,
    /// The attempt.
    pub client: ClientId,
}

impl Request {
    /// What it is about; `None` if that is no broadcast.
    pub fn broadcast(&self) -> Option<&BroadcastId> {
        match self {
            Self::Post(Post { attempt, .. })
            | Self::Delete { attempt, .. }
            | Self::Vote { attempt, .. }
            | Self::Moderate { attempt, .. }
            | Self::Role { attempt, .. }
            | Self::Register { attempt, .. } => Some(&attempt.broadcast),
            Self::History { broadcast, .. }
            | Self::Reactions { broadcast, .. }
            | Self::Viewers { broadcast, .. }
            | Self::Present { broadcast, .. } => Some(broadcast),
            Self::Clock { .. } => None,
        }
    }

    /// What is to be answered to a viewer; `None` where none asks.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Post(Post { attempt, .. })
            | Self::Delete { attempt, .. }
            | Self::Vote { attempt, .. }
            | Self::Moderate { attempt, .. }
            | Self::Role { attempt, .. }
            | Self::Register { attempt, .. } => Some(attempt),
            Self::History { .. }
            | Self::Reactions { .. }
            | Self::Viewers { .. }
            | Self::Present { .. }
            | Self::Clock { .. } => None,
        }
    }
}

impl Response {
    /// What it answers; `None` if it is for the edge itself.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Stored { attempt, .. }
            | Self::Refused { attempt, .. }
            | Self::Role { attempt, .. }
            | Self::Blocks { attempt, .. }
            | Self::Registered { attempt, .. }
            | Self::NotRegistered { attempt, .. } => Some(attempt),
            Self::History { .. } | Self::Clock { .. } => None,
        }
    }
}

impl Block {
    /// The most that are told.
    pub const TOLD_MAX: u32 = 200;

    /// Whether it is over at `at`.
    pub fn is_over(&self, at: UtcTime) -> bool {
        self.until.is_some_and(|until| until <= at.as_millis())
    }
}

impl Settings {
    /// An hour.
    pub const SLOW_MS_MAX: u32 = 3_600_000;
}

impl Reaction {
    /// What viewers may feel.
    pub const EMOJIS: [&str; 6] = ["👍", "❤️", "👏", "😂", "😮", "🎉"];
    /// Of how many seconds and kinds an edge or an origin tells at once.
    pub const TOLD_MAX: usize = 64;
    /// The most of one kind and second that one edge is believed.
    pub const COUNT_MAX: u32 = 100_000;
}

impl Viewers {
    /// The paths, as metric labels name them.
    pub const PATHS: [&str; 3] = ["webrtc", "dash", "hls"];

    /// In the order of [`Viewers::PATHS`].
    pub fn by_path(self) -> [u32; 3] {
        [self.webrtc, self.dash, self.hls]
    }

    /// On all paths.
    pub fn total(self) -> u64 {
        self.by_path().into_iter().map(u64::from).sum()
    }

    /// With those elsewhere.
    pub fn and(self, other: Self) -> Self {
        Self {
            webrtc: self.webrtc.saturating_add(other.webrtc),
            dash: self.dash.saturating_add(other.dash),
            hls: self.hls.saturating_add(other.hls),
        }
    }
}

impl Attendee {
    /// `author`, by the name of `user`.
    pub fn new(author: &AuthorId, user: &Name) -> Self {
        Self { author: author.clone(), user: user.clone() }
    }

    /// How many an edge tells at once.
    pub const TOLD_MAX: usize = 500;
}
