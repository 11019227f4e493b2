//! What is known of one broadcast's comments, in the order of their changes, without a hole. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use lectern_relay_proto::comment::Comment;

/// Comments that are kept; of more, those that changed longest ago are let go of. About a kilobyte each,
/// and five at their longest.
const COMMENTS_MAX: usize = 20_000;
/// Changes that are kept while one before them is missing. Those after them are asked for anew.
const AHEAD_MAX: usize = 1_024;

/// A change: the comment as JSON, and who may see it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) seq: u64,
    pub(super) json: Arc<str>,
    /// Only moderators.
    pub(super) held: bool,
}

/// A comment and how it reads as JSON.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) comment: Comment,
    pub(super) json: Arc<str>,
}

impl Entry {
    fn change(&self) -> Change {
        let Comment { seq, ref marks, .. } = self.comment;
        Change { seq, json: self.json.clone(), held: marks.held }
    }
}

/// The comments of a broadcast.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// By `seq`, the newest form of each comment alone.
    entries: BTreeMap<u64, Entry>,
    seq_of: HashMap<u64, u64>,
    /// Every change up to this is known.
    head: u64,
    /// Whether the origin has told all that it had, once.
    complete: bool,
    /// What came before what is missing.
    ahead: BTreeMap<u64, Comment>,
    /// More came than [`AHEAD_MAX`] since the origin was last asked.
    dropped: bool,
}

impl Log {
    /// Every change up to this is known.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Whether something is known to be missing.
    pub(super) fn lacks(&self) -> bool {
        !self.complete || !self.ahead.is_empty()
    }

    /// The origin may have changed, or changes may have been lost unseen.
    pub(super) fn doubt(&mut self) {
        self.complete = false;
    }

    /// Takes a change as it happens. Returns what is new by it, in order.
    pub(super) fn push(&mut self, comment: Comment) -> Vec<Change> {
        if comment.seq > self.head {
            if self.ahead.len() < AHEAD_MAX {
                self.ahead.insert(comment.seq, comment);
            } else {
                self.dropped = true;
            }
        }
        // Before the history is there, nothing says where a first change belongs.
        if self.complete { self.advance() } else { Vec::new() }
    }

    /// Takes what the origin says of the changes after `head`. Returns what is new, in order.
    pub(super) fn history(&mut self, comments: Vec<Comment>, complete: bool) -> Vec<Change> {
        let mut new = Vec::new();
        for comment in comments {
            if comment.seq > self.head {
                self.head = comment.seq;
                new.push(self.insert(comment));
            }
        }
        if complete {
            self.complete = !std::mem::take(&mut self.dropped);
            new.extend(self.advance());
        }
        new
    }

    /// Up to `max` changes after `after`, and the `seq` of the last.
    pub(super) fn after(&self, after: u64, max: usize) -> (Vec<Change>, u64) {
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let changes: Vec<_> =
            self.entries.range(range).take(max).map(|(_, entry)| entry.change()).collect();
        let last = changes.last().map_or(after, |change| change.seq);
        (changes, last)
    }

    /// What waits for a moderator, in order.
    pub(super) fn held(&self) -> Vec<Change> {
        let held = |entry: &&Entry| entry.comment.marks.held && !entry.comment.deleted;
        self.entries.values().filter(held).map(Entry::change).collect()
    }

    /// Those that are to be shown and that are `wanted`, by media time.
    pub(super) fn shown(&self, wanted: impl Fn(&Comment) -> bool) -> Vec<&Entry> {
        let seen = |entry: &&Entry| !entry.comment.deleted && !entry.comment.marks.held;
        let shown = self.entries.values().filter(seen);
        let mut shown: Vec<_> = shown.filter(|entry| wanted(&entry.comment)).collect();
        shown.sort_by_key(|entry| (entry.comment.mt, entry.comment.id));
        shown
    }

    fn advance(&mut self) -> Vec<Change> {
        let mut new = Vec::new();
        while let Some(next) = self.ahead.first_entry() {
            if *next.key() > self.head + 1 {
                break;
            }
            let comment = next.remove();
            if comment.seq > self.head {
                self.head = comment.seq;
                new.push(self.insert(comment));
            }
        }
        new
    }

    fn insert(&mut self, comment: Comment) -> Change {
        if let Some(former) = self.seq_of.insert(comment.id, comment.seq) {
            self.entries.remove(&former);
        }
        let json = serde_json::to_string(&comment).expect("plain").into();
        let (seq, entry) = (comment.seq, Entry { comment, json });
        let change = entry.change();
        self.entries.insert(seq, entry);
        if self.entries.len() > COMMENTS_MAX
            && let Some((_, oldest)) = self.entries.pop_first()
        {
            self.seq_of.remove(&oldest.comment.id);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::comment::Marks;

    use super::super::testing::comment;
    use super::*;

    fn seqs(changes: &[Change]) -> Vec<u64> {
        let read = |json: &Arc<str>| serde_json::from_str::<Comment>(json).expect("reads").seq;
        assert!(changes.iter().all(|change| change.seq == read(&change.json)));
        changes.iter().map(|change| change.seq).collect()
    }

    #[test]
    fn nothing_is_told_before_what_was_before_it() {
        let mut log = Log::default();
        assert!(log.lacks());
        assert!(log.push(comment(3, 3)).is_empty());
        let told = log.history(vec![comment(1, 1), comment(2, 2)], true);
        assert_eq!((seqs(&told), log.head(), log.lacks()), (vec![1, 2, 3], 3, false));
        assert_eq!(seqs(&log.push(comment(4, 4))), [4]);
        assert!(log.push(comment(4, 4)).is_empty(), "once is enough");
    }

    #[test]
    fn a_hole_is_seen_and_closed() {
        let mut log = Log::default();
        log.history(vec![comment(1, 1)], true);
        assert!(log.push(comment(3, 3)).is_empty());
        assert!(log.push(comment(4, 4)).is_empty());
        assert!(log.lacks());
        assert_eq!(seqs(&log.history(vec![comment(2, 2), comment(3, 3)], true)), [2, 3, 4]);
        assert!(!log.lacks());
    }

    #[test]
    fn history_comes_in_pieces_and_leaves_out_what_has_changed_since() {
        let mut log = Log::default();
        assert_eq!(seqs(&log.history(vec![comment(2, 2), comment(1, 5)], false)), [2, 5]);
        assert!(log.lacks());
        assert_eq!(seqs(&log.history(vec![comment(6, 6)], true)), [6]);
        assert_eq!(seqs(&log.after(2, 1).0), [5]);
        assert_eq!(log.after(2, 10).1, 6);
    }

    #[test]
    fn of_a_comment_the_newest_form_is_kept() {
        let mut log = Log::default();
        log.history(vec![comment(1, 1), comment(2, 2)], true);
        let gone = Comment { deleted: true, text: String::new(), rev: 1, ..comment(1, 3) };
        assert_eq!(seqs(&log.push(gone)), [3]);
        assert_eq!(seqs(&log.after(0, 10).0), [2, 3]);
        assert_eq!(
            log.shown(|_| true).iter().map(|entry| entry.comment.id).collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn what_is_held_is_for_moderators_until_it_is_not() {
        let mut log = Log::default();
        log.history(vec![comment(1, 1)], true);
        let marks = Marks { held: true, ..Marks::default() };
        let changes = log.push(Comment { marks, ..comment(2, 2) });
        assert!(changes[0].held);
        assert_eq!((log.shown(|_| true).len(), seqs(&log.held())), (1, vec![2]));
        let changes = log.push(Comment { rev: 1, ..comment(2, 3) });
        assert!(!changes[0].held);
        assert_eq!((log.shown(|_| true).len(), log.held().len()), (2, 0));
    }

    #[test]
    fn memory_has_a_bound() {
        let mut log = Log::default();
        log.history(Vec::new(), true);
        for number in 1..=COMMENTS_MAX as u64 + 100 {
            log.push(comment(number, number));
        }
        assert_eq!((log.entries.len(), log.seq_of.len()), (COMMENTS_MAX, COMMENTS_MAX));
        let mut log = Log::default();
        for number in 1..=AHEAD_MAX as u64 + 100 {
            log.push(comment(number, number));
        }
        assert_eq!(log.ahead.len(), AHEAD_MAX);
    }
}
