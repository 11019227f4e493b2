//! A comment for the tests of this module.

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::comment::{Comment, Marks};

/// Comment `id` as change `seq`, in second `id` of the media.
pub(super) fn comment(id: u64, seq: u64) -> Comment {
    Comment {
        id,
        seq,
        mt: 1_000 * id,
        at: UtcTime::from_millis(1),
        user: "Ada".to_owned(),
        author: "00ff00ff00ff00ff".to_owned().try_into().expect("an id"),
        text: format!("text {id}"),
        rev: 0,
        deleted: false,
        marks: Marks::default(),
    }
}
