//! What moderators settle holds at once, for all, and for as long as they say.

use super::*;

use lectern_relay_proto::comment::{Action, Attendee, Settings, Whom};

fn after_secs(secs: u64) -> UtcTime {
    UtcTime::from_millis(at().as_millis() + secs * 1_000)
}

/// As moderator 9, so many seconds after all else.
fn moderate(action: Action, secs: u64) -> Change {
    Change::Moderate { attempt: attempt(9, "m"), action, at: after_secs(secs) }
}

fn settings(closed: bool, approval: bool, slow_ms: u32) -> Change {
    moderate(Action::Settings { closed, approval, slow_ms }, 0)
}

fn question(by: u8, name: &str) -> Change {
    let Change::Post { mut post, mt, at, moderator } = super::post(by, name) else {
        unreachable!()
    };
    post.question = true;
    Change::Post { post, mt, at, moderator }
}

/// The same as a moderator, or so many seconds later.
fn post_as(by: u8, name: &str, as_moderator: bool, secs: u64) -> Change {
    let Change::Post { post, mt, .. } = super::post(by, name) else { unreachable!() };
    Change::Post { post, mt, at: after_secs(secs), moderator: as_moderator }
}

fn vote(by: u8, id: u64, up: bool) -> Change {
    Change::Vote { attempt: attempt(by, "v"), address: address(by), id, up, at: at() }
}

fn tally() -> Change {
    Change::Tally { broadcast: broadcast("demo") }
}

pub(super) async fn what_is_held_is_seen_once_it_is_approved(database: &Database) {
    let store = database.open().await;
    let Applied::Done(done) = apply_one(&store, settings(false, true, 0)).await else {
        panic!("refused")
    };
    let in_force = Settings { rev: 1, approval: true, ..Settings::default() };
    assert_eq!(done, Done { settings: Some(in_force.clone()), ..Done::default() });
    assert_eq!(apply_one(&store, settings(false, true, 0)).await, already(0), "no change");
    let newest = store.newest(&broadcast("demo")).await.expect("newest");
    assert_eq!((newest.seq, newest.settings), (0, in_force));

    let marks = Marks { held: true, ..Marks::default() };
    let held = Comment { marks, ..comment(1, 1, 1) };
    assert_eq!(apply_one(&store, post(1, "a")).await, changed(held));
    let Applied::Done(again) = apply_one(&store, post(1, "a")).await else { panic!("refused") };
    assert_eq!((again.id, again.held, again.changed.len()), (1, true, 0));
    let pin = moderate(Action::Pin { id: 1 }, 0);
    assert_eq!(apply_one(&store, pin).await, refused(Refusal::UnknownComment));
    let approve = || moderate(Action::Approve { id: 1 }, 0);
    let shown = Comment { rev: 1, ..comment(1, 1, 2) };
    assert_eq!(apply_one(&store, approve()).await, changed(shown));
    assert_eq!(apply_one(&store, approve()).await, already(1));
    let none = moderate(Action::Approve { id: 2 }, 0);
    assert_eq!(apply_one(&store, none).await, refused(Refusal::UnknownComment));
    // Moderators' own is not held, and says whose it is.
    let own = changes_of(apply_one(&store, post_as(9, "a", true, 0)).await).remove(0);
    assert_eq!(own.marks, Marks { moderator: true, ..Marks::default() });
}

pub(super) async fn one_comment_is_pinned_and_a_moderator_deletes_any(database: &Database) {
    let store = database.open().await;
    store.apply(&[post(1, "a"), post(2, "b"), post(3, "c")]).await.expect("applied");
    let pin = |id| moderate(Action::Pin { id }, 0);
    let marks = |changed: Vec<Comment>| {
        changed.iter().map(|c| (c.id, c.seq, c.marks.pinned)).collect::<Vec<_>>()
    };
    assert_eq!(marks(changes_of(apply_one(&store, pin(1)).await)), [(1, 4, true)]);
    assert_eq!(apply_one(&store, pin(1)).await, already(1));
    let moved = changes_of(apply_one(&store, pin(2)).await);
    assert_eq!(marks(moved), [(2, 5, true), (1, 6, false)]);
    let unpin = moderate(Action::Unpin { id: 1 }, 0);
    assert_eq!(apply_one(&store, unpin).await, already(1));
    let delete = |id| Change::Delete { attempt: attempt(9, "d"), id, moderator: true };
    let gone = changes_of(apply_one(&store, delete(2)).await).remove(0);
    assert!(gone.deleted && gone.text.is_empty() && !gone.marks.pinned);
    assert_eq!(apply_one(&store, delete(2)).await, already(2));
    assert_eq!(apply_one(&store, delete(7)).await, refused(Refusal::UnknownComment));
    assert_eq!(apply_one(&store, pin(2)).await, refused(Refusal::UnknownComment));
    let all = all(&store, "demo").await;
    assert!(all.iter().all(|comment| !comment.marks.pinned));
    assert_eq!(all.last().map(|comment| comment.seq), Some(7));
}

pub(super) async fn votes_count_once_for_each_and_are_told_together(database: &Database) {
    let store = database.open().await;
    store.apply(&[question(1, "a"), post(2, "b")]).await.expect("applied");
    for by in 1..=5 {
        assert_eq!(apply_one(&store, vote(by, 1, true)).await, already(1));
    }
    let more = [vote(1, 1, true), vote(5, 1, false), vote(5, 1, false), vote(3, 2, true)];
    let applied = store.apply(&more).await.expect("applied");
    let no_question = refused(Refusal::UnknownComment);
    assert_eq!(applied, [already(1), already(1), already(1), no_question]);
    let told = changes_of(apply_one(&store, tally()).await);
    let counts: Vec<_> = told.iter().map(|c| (c.id, c.seq, c.rev, c.marks.votes)).collect();
    assert_eq!(counts, [(1, 3, 0, 4)]);
    assert_eq!(changes_of(apply_one(&store, tally()).await), [], "nothing new");
    // Whatever else is told of a question tells its votes too.
    apply_one(&store, vote(5, 1, true)).await;
    let answered = moderate(Action::Answer { id: 1 }, 0);
    let answered = changes_of(apply_one(&store, answered).await).remove(0);
    assert!(answered.marks.answered && answered.marks.question);
    assert_eq!((answered.marks.votes, answered.rev), (5, 1));
    assert_eq!(changes_of(apply_one(&store, tally()).await), []);
    let reopen = moderate(Action::Reopen { id: 1 }, 0);
    assert!(!changes_of(apply_one(&store, reopen).await)[0].marks.answered);
    let none = moderate(Action::Answer { id: 2 }, 0);
    assert_eq!(apply_one(&store, none).await, refused(Refusal::UnknownComment));
}

pub(super) async fn who_is_blocked_writes_no_more_until_it_is_over(database: &Database) {
    let store = database.open().await;
    store.apply(&[question(1, "a"), post(4, "a")]).await.expect("applied");
    let block = |id, whom, minutes: Option<u32>| {
        let minutes = minutes.map(|minutes| minutes.try_into().expect("some"));
        moderate(Action::Block { id, whom, minutes }, 0)
    };
    assert_eq!(apply_one(&store, block(1, Whom::Writer, Some(10))).await, already(1));
    assert_eq!(apply_one(&store, block(2, Whom::Address, None)).await, already(2));
    let nobody = apply_one(&store, block(3, Whom::Writer, None)).await;
    assert_eq!(nobody, refused(Refusal::UnknownComment));
    let blocked = refused(Refusal::Blocked);
    let later = |by, secs| post_as(by, &format!("s-{secs}"), false, secs);
    for (change, expected) in [
        (later(1, 1), &blocked),
        (later(1, 599), &blocked),
        // From the same address as writer 4; and from elsewhere.
        (later(5, 1), &blocked),
        (vote(5, 1, true), &blocked),
        (vote(1, 1, true), &blocked),
    ] {
        assert_eq!(apply_one(&store, change).await, *expected);
    }
    assert_eq!(apply_one(&store, post(1, "a")).await, already(1), "what was stored before is");
    assert_eq!(changes_of(apply_one(&store, later(6, 1)).await).len(), 1);
    assert_eq!(changes_of(apply_one(&store, later(1, 600)).await).len(), 1, "over");
    let listed = store.blocks(&broadcast("demo"), at()).await.expect("blocks");
    let until = at().as_millis() + 600_000;
    let listed: Vec<_> = listed.iter().map(|b| (b.block, b.whom, b.until)).collect();
    assert_eq!(listed, [(2, Whom::Address, None), (1, Whom::Writer, Some(until))]);
    let left = store.blocks(&broadcast("demo"), after_secs(600)).await.expect("blocks");
    assert_eq!(left.len(), 1);
    let unblock = moderate(Action::Unblock { block: 2 }, 0);
    assert_eq!(apply_one(&store, unblock).await, already(0));
    assert_eq!(changes_of(apply_one(&store, later(5, 700)).await).len(), 1);
    // The same one again is one block.
    for minutes in [1, 20] {
        apply_one(&store, block(1, Whom::Writer, Some(minutes))).await;
    }
    let again = store.blocks(&broadcast("demo"), at()).await.expect("blocks");
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].until, Some(at().as_millis() + 1_200_000));
}

pub(super) async fn closed_and_slow_hold_for_all_but_moderators(database: &Database) {
    let store = database.open().await;
    store.apply(&[settings(false, false, 30_000), post(1, "a")]).await.expect("applied");
    let slow = Applied::Refused(Refusal::SlowMode, Some(Duration::from_secs(20)));
    assert_eq!(apply_one(&store, post_as(1, "b", false, 10)).await, slow);
    assert_eq!(apply_one(&store, post(1, "a")).await, already(1), "no less stored");
    for change in
        [post_as(1, "c", true, 10), post_as(2, "a", false, 10), post_as(1, "d", false, 41)]
    {
        assert_eq!(changes_of(apply_one(&store, change).await).len(), 1);
    }
    // Deleting does not make one faster.
    apply_one(&store, delete(1, 4)).await;
    assert!(matches!(apply_one(&store, post_as(1, "e", false, 42)).await, Applied::Refused(..)));
    apply_one(&store, settings(true, false, 0)).await;
    let closed = refused(Refusal::Closed);
    assert_eq!(apply_one(&store, post_as(3, "a", false, 100)).await, closed);
    assert_eq!(changes_of(apply_one(&store, post_as(3, "b", true, 100)).await).len(), 1);
    let elsewhere = post_in("also", 3, "a", "Why?");
    assert_eq!(changes_of(apply_one(&store, elsewhere).await).len(), 1);
}

pub(super) async fn attendance_is_one_row_from_coming_to_going(database: &Database) {
    let store = database.open().await;
    let talk = broadcast("demo");
    let someone = |by, name| Attendee::new(&author(by), &Name::parse(name).expect("a name"));
    let all = [someone(1, "Ada"), someone(2, "Grace")];
    for secs in [0, 30, 60] {
        assert!(store.attend(&talk, &all, after_secs(secs)).await.expect("noted"));
    }
    store.attend(&talk, &[someone(1, "Ada L.")], after_secs(90)).await.expect("noted");
    // After an absence, another row; and another broadcast has a list of its own.
    store.attend(&talk, &[someone(2, "Grace")], after_secs(600)).await.expect("noted");
    store.attend(&broadcast("also"), &all, after_secs(0)).await.expect("noted");
    let list = store.attendance(&talk, 0, 10).await.expect("list");
    let secs = |time: UtcTime| (time.as_millis() - at().as_millis()) / 1_000;
    let rows: Vec<_> =
        list.iter().map(|a| (a.user.as_str(), secs(a.joined), secs(a.seen))).collect();
    assert_eq!(rows, [("Ada L.", 0, 90), ("Grace", 0, 60), ("Grace", 600, 600)]);
    assert_eq!(store.attendance(&talk, 2, 10).await.expect("list"), list[2..]);
}
