//! What many viewers of one broadcast do together: what they feel, added up, and how many watch. Pure.
//! Nothing of it is stored; it is over when the moment is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_relay_proto::comment::{Felt, News, Reaction, Viewers};

/// What an edge said is forgotten after so long without another word: three times the pause between two.
const EDGE_SILENT: Duration = Duration::from_secs(30);
/// How often it is told at most how many watch.
const VIEWERS_EACH: Duration = Duration::from_secs(2);
/// Nobody's picture is further behind, so nobody sees what is felt about anything older.
const BEHIND_MAX_MS: u64 = 120_000;
/// Edges that are remembered; more than are connected to one origin.
const EDGES_MAX: usize = 10_000;

/// Who watches a broadcast at which edge, by the edge's name.
pub type Audience = BTreeMap<Arc<str>, Viewers>;

/// What is to be told of one broadcast's viewers.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    felt: Felt,
    watching: HashMap<Arc<str>, (Viewers, Instant)>,
    /// What everybody was told last, and when.
    told: Option<(u64, Instant)>,
}

impl Crowd {
    /// Adds up what viewers of one edge felt, while the broadcast is at `live_ms`. What is of no moment
    /// that anybody sees, or of no kind that there is, is left out.
    pub(super) fn react(&mut self, reactions: Vec<Reaction>, live_ms: u64) {
        for Reaction { mt, emoji, count } in reactions.into_iter().take(Reaction::TOLD_MAX) {
            let mt = mt.unwrap_or(live_ms).min(live_ms);
            if live_ms - mt <= BEHIND_MAX_MS {
                self.felt.add(Some(mt), &emoji, count.min(Reaction::COUNT_MAX));
            }
        }
    }

    /// So many watch at `edge`.
    pub(super) fn watch(&mut self, edge: &Arc<str>, viewers: Viewers, now: Instant) {
        if self.watching.len() < EDGES_MAX || self.watching.contains_key(edge) {
            self.watching.insert(edge.clone(), (viewers, now));
        }
    }

    /// `edge` is gone.
    pub(super) fn leave(&mut self, edge: &str) {
        self.watching.remove(edge);
    }

    /// How many watch, as far as edges have said.
    pub(super) fn viewers(&self) -> u64 {
        self.watching.values().map(|(viewers, _)| viewers.total()).sum()
    }

    /// Where they are.
    pub(super) fn audience(&self) -> Audience {
        self.watching.iter().map(|(edge, (viewers, _))| (edge.clone(), *viewers)).collect()
    }

    /// What everybody is to be told now.
    pub(super) fn news(&mut self, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        let reactions = self.felt.take();
        if !reactions.is_empty() {
            news.push(News::Reactions { reactions });
        }
        self.watching.retain(|_, (_, at)| now.duration_since(*at) < EDGE_SILENT);
        let viewers = self.viewers();
        let due = match self.told {
            // Nobody has to be told that nobody watches.
            None => viewers > 0,
            // Whoever missed it hears it once more.
            Some((told, at)) => {
                let since = now.duration_since(at);
                since >= VIEWERS_EACH && (told != viewers || since >= EDGE_SILENT)
            }
        };
        if due {
            self.told = Some((viewers, now));
            news.push(News::Viewers { viewers });
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn felt(mt: Option<u64>, emoji: &str, count: u32) -> Reaction {
        Reaction { mt, emoji: emoji.to_owned(), count }
    }

    #[test]
    fn what_is_felt_is_added_up_by_second_and_kind() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        crowd.react(vec![felt(Some(61_250), "👏", 3), felt(Some(61_999), "👏", 2)], 63_000);
        crowd.react(vec![felt(Some(61_000), "🎉", 1), felt(None, "👏", 1)], 63_400);
        // Of no kind, of no moment that anybody sees, or ahead of all.
        crowd.react(vec![felt(Some(61_000), "💣", 9)], 63_400);
        let news = crowd.news(now);
        let expected = vec![
            felt(Some(61_000), "👏", 5),
            felt(Some(61_000), "🎉", 1),
            felt(Some(63_000), "👏", 1),
        ];
        assert_eq!(news, [News::Reactions { reactions: expected }]);
        assert_eq!(crowd.news(now), [], "once");
        crowd.react(vec![felt(Some(0), "👏", 1)], BEHIND_MAX_MS + 1);
        assert_eq!(crowd.news(now), []);
        crowd.react(vec![felt(Some(u64::MAX), "👏", u32::MAX)], 5_000);
        let most = vec![felt(Some(5_000), "👏", Reaction::COUNT_MAX)];
        assert_eq!(crowd.news(now), [News::Reactions { reactions: most }]);
        for second in 0..100 {
            crowd.react(vec![felt(Some(second * 1_000), "👏", 1)], 100_000);
        }
        assert_eq!(crowd.felt.take().len(), Reaction::TOLD_MAX);
    }

    #[test]
    fn who_watches_is_counted_over_edges_for_as_long_as_they_say_so() {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        let [one, other]: [Arc<str>; 2] = ["one".into(), "other".into()];
        let viewers = |webrtc| Viewers { webrtc, dash: 1, hls: 0 };
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(crowd.news(at(0)), []);
        crowd.watch(&one, viewers(10), at(0));
        crowd.watch(&other, viewers(5), at(0));
        assert_eq!(crowd.news(at(0)), [News::Viewers { viewers: 17 }]);
        crowd.watch(&one, viewers(11), at(500));
        assert_eq!(crowd.news(at(500)), [], "not so often");
        assert_eq!(crowd.news(at(2_000)), [News::Viewers { viewers: 18 }]);
        assert_eq!(crowd.news(at(4_000)), [], "nothing new");
        crowd.leave("other");
        assert_eq!(crowd.news(at(5_000)), [News::Viewers { viewers: 12 }]);
        assert_eq!(crowd.news(at(30_500)), [News::Viewers { viewers: 0 }]);
    }
}
