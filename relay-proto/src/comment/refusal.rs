//! Why what a viewer asked for is not done: the same words on the wire, in the metrics and to people.

use serde::{Deserialize, Serialize};

/// Why a comment is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Nothing that can be seen.
    #[error("there is nothing in it")]
    Empty,
    /// More characters, bytes or lines than allowed.
    #[error("it is too long")]
    TooLong,
    /// Control characters.
    #[error("it has control characters")]
    ControlCharacters,
    /// Characters that cannot be seen, or turn the text around them.
    #[error("it has hidden characters, or such as turn text around")]
    HiddenCharacters,
    /// Marks piled upon marks.
    #[error("it has marks piled upon marks")]
    StackedMarks,
    /// Links are not for the audience to give.
    #[error("it has a link in it")]
    Link,
    /// The same author wrote the same a moment ago.
    #[error("the same was written a moment ago")]
    Repeated,
    /// The author writes too fast.
    #[error("comments come too fast from one writer")]
    TooFast,
    /// A moderator asks writers to write less often.
    #[error("writers are asked to write less often")]
    SlowMode,
    /// More is written than anybody could read, or than is in progress at once.
    #[error("too much is being written at once")]
    Busy,
    /// The media time is one that nobody can have seen.
    #[error("its media time is in the future")]
    MediaTime,
    /// A moderator has closed the comments.
    #[error("comments are closed")]
    Closed,
    /// A moderator lets this writer, or those of this address, write no more.
    #[error("a moderator has blocked this writer")]
    Blocked,
    /// No such broadcast, or none that has begun.
    #[error("there is no such broadcast")]
    UnknownBroadcast,
    /// No such comment, or none that this can be done with.
    #[error("there is no such comment, or it is gone")]
    UnknownComment,
    /// No such comment, or another's.
    #[error("it is no comment of this writer's")]
    NotYours,
    /// Moderators alone may do that, and this is not their key.
    #[error("that is for moderators")]
    NotModerator,
    /// Pages of this site may only read.
    #[error("this site may only read")]
    NotAllowed,
    /// The origin cannot store it now.
    #[error("it cannot be stored now")]
    Unavailable,
}

impl Refusal {
    /// As it stands in JSON and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::ControlCharacters => "control-characters",
            Self::HiddenCharacters => "hidden-characters",
            Self::StackedMarks => "stacked-marks",
            Self::Link => "link",
            Self::Repeated => "repeated",
            Self::TooFast => "too-fast",
            Self::SlowMode => "slow-mode",
            Self::Busy => "busy",
            Self::MediaTime => "media-time",
            Self::Closed => "closed",
            Self::Blocked => "blocked",
            Self::UnknownBroadcast => "unknown-broadcast",
            Self::UnknownComment => "unknown-comment",
            Self::NotYours => "not-yours",
            Self::NotModerator => "not-moderator",
            Self::NotAllowed => "not-allowed",
            Self::Unavailable => "unavailable",
        }
    }
}
