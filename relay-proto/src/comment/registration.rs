//! Why a viewer's answers are not taken, on the way that comments take: the same words on the wire, in the
//! metrics and to people.

use serde::{Deserialize, Serialize};

use crate::about::WrongAnswer;

/// Why a viewer is not registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum NotRegistered {
    /// Something is wrong with the answers, perhaps since other questions are asked by now.
    #[error("some answers are missing, or are not what was asked for")]
    Invalid {
        /// What, of each.
        errors: Vec<WrongAnswer>,
    },
    /// There is no such broadcast, or it asks nobody anything.
    #[error("nobody is asked to register for this broadcast")]
    NoRegistration,
    /// So many have registered that no more are taken.
    #[error("as many have registered for this broadcast as are taken")]
    Full,
    /// Too many register at once.
    #[error("too many people register at once")]
    Busy,
    /// The origin cannot store it now, or is away.
    #[error("the answers cannot be stored at the moment")]
    Unavailable,
}

impl NotRegistered {
    /// As it stands in JSON and in metric labels.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::NoRegistration => "no-registration",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}
