//! `edge.prewarm`: what is subscribed to though nobody watches.

use std::collections::BTreeSet;

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::broadcast::InvalidBroadcastId;
use serde::Deserialize;

/// What stands for all broadcasts.
const ALL: &str = "*";

/// Broadcasts that are subscribed to as soon as they are announced: their ids, or `*` alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub enum Prewarm {
    /// All, as far as there is room: those that nobody watches make room for those that somebody does.
    All,
    /// These, which nothing else takes the place of.
    Listed(BTreeSet<BroadcastId>),
}

/// What `edge.prewarm` cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrewarmError {
    /// Neither an id nor the sign for all.
    #[error("{0:?} is neither the id of a broadcast nor \"*\": {1}")]
    Id(String, InvalidBroadcastId),
    /// The sign for all beside others.
    #[error("\"*\" is all broadcasts, and stands alone")]
    AllAndOthers,
}

impl Default for Prewarm {
    /// None.
    fn default() -> Self {
        Self::Listed(BTreeSet::new())
    }
}

impl Prewarm {
    /// How many there are a place for whatever happens.
    pub fn reserved(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Listed(ids) => ids.len(),
        }
    }
}

impl TryFrom<Vec<String>> for Prewarm {
    type Error = PrewarmError;

    fn try_from(listed: Vec<String>) -> Result<Self, PrewarmError> {
        if listed.iter().any(|id| id == ALL) {
            return if listed.len() == 1 { Ok(Self::All) } else { Err(PrewarmError::AllAndOthers) };
        }
        let id = |id: String| id.parse().map_err(|error| PrewarmError::Id(id, error));
        Ok(Self::Listed(listed.into_iter().map(id).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_alone_and_ids_are_ids() {
        let check = |listed: &[&str], expect: Result<usize, PrewarmError>| {
            let listed = listed.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
            assert_eq!(Prewarm::try_from(listed).map(|prewarm| prewarm.reserved()), expect);
        };
        check(&[], Ok(0));
        check(&["*"], Ok(0));
        check(&["a", "b", "a"], Ok(2));
        check(&["a", "*"], Err(PrewarmError::AllAndOthers));
        check(&["a/b"], Err(PrewarmError::Id("a/b".into(), InvalidBroadcastId)));
        assert_eq!(Prewarm::try_from(vec!["*".to_owned()]), Ok(Prewarm::All));
    }
}
