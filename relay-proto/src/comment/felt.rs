//! What many feel, added up: by edges of their viewers, and by the origin of its edges.

use std::collections::BTreeMap;

use super::Reaction;

/// Reactions by second of media time and kind, at most [`Reaction::TOLD_MAX`]. What there is no room for is
/// left out.
#[derive(Debug, Default)]
pub struct Felt(BTreeMap<(Option<u64>, usize), u32>);

impl Felt {
    /// So many felt this about the picture at `mt`, ms since T0. False if it is nothing that one may feel.
    pub fn add(&mut self, mt: Option<u64>, emoji: &str, count: u32) -> bool {
        let Some(kind) = Reaction::EMOJIS.iter().position(|known| *known == emoji) else {
            return false;
        };
        let moment = (mt.map(|mt| mt / 1_000 * 1_000), kind);
        if self.0.len() < Reaction::TOLD_MAX || self.0.contains_key(&moment) {
            let felt = self.0.entry(moment).or_default();
            *felt = felt.saturating_add(count);
        }
        true
    }

    /// All of it, by moment; nothing is left.
    pub fn take(&mut self) -> Vec<Reaction> {
        let felt = std::mem::take(&mut self.0).into_iter();
        let reaction = |((mt, kind), count): ((_, usize), _)| Reaction {
            mt,
            emoji: Reaction::EMOJIS[kind].to_owned(),
            count,
        };
        felt.map(reaction).collect()
    }
}
