//! What the origin reports as stored is stored: in order, once, and for good. Each test runs on SQLite
//! and on PostgreSQL.

mod moderation;
mod postgres;

use std::time::{Duration, Instant};

use lectern_origin::comments::store::{Applied, Change, Done, Error, Store};
use lectern_origin::database::{self, Database as Opened};
use lectern_relay_proto::comment::{
    AddressId, Attempt, AuthorId, ClientId, Comment, Marks, Name, Post, Refusal, Text,
};
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::{AnyConnection, Connection};
use tempfile::TempDir;

use self::moderation::*;
use self::postgres::Postgres;

async fn open(url: &str) -> Result<Store, Error> {
    let database = Opened::new(url)?;
    database.ready().await?;
    Ok(Store::new(database))
}

/// An empty database, which ends with the test.
enum Database {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Database {
    fn url(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite:{}/lectern.db", dir.path().display()),
            Self::Postgres(server) => server.url(),
        }
    }

    async fn open(&self) -> Store {
        open(&self.url()).await.expect("open")
    }

    /// Beside the store, as an operator would look into it.
    async fn connect(&self) -> AnyConnection {
        AnyConnection::connect(&self.url()).await.expect("connect")
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let dir = tempfile::tempdir().expect("temporary directory");
                super::$name(&super::Database::Sqlite(dir)).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Database::Postgres(super::Postgres::start())).await;
            })*
        }
    };
}

on_both! {
    numbers_have_no_gap_however_many_write
    sent_again_it_is_stored_once
    only_the_author_deletes_and_only_once
    changes_come_in_pages
    what_was_stored_is_there_when_opened_again
    a_text_comes_back_as_it_was
    a_damaged_comment_is_an_error
    a_room_that_somebody_else_holds_is_an_error_and_no_wait_forever
    what_is_held_is_seen_once_it_is_approved
    one_comment_is_pinned_and_a_moderator_deletes_any
    votes_count_once_for_each_and_are_told_together
    who_is_blocked_writes_no_more_until_it_is_over
    closed_and_slow_hold_for_all_but_moderators
    attendance_is_one_row_from_coming_to_going
}

fn broadcast(id: &str) -> BroadcastId {
    id.parse().expect("valid")
}

fn author(n: u8) -> AuthorId {
    format!("{n:016x}").try_into().expect("valid")
}

fn client(id: &str) -> ClientId {
    id.to_owned().try_into().expect("valid")
}

fn at() -> UtcTime {
    UtcTime::from_millis(1_795_000_000_123)
}

/// Where writer `by` is: two of them at each place.
fn address(by: u8) -> AddressId {
    author(100 + by / 2).into()
}

fn attempt_in(room: &str, by: u8, name: &str) -> Attempt {
    Attempt { broadcast: broadcast(room), author: author(by), client: client(name) }
}

fn attempt(by: u8, name: &str) -> Attempt {
    attempt_in("demo", by, name)
}

fn post_in(room: &str, by: u8, name: &str, text: &str) -> Change {
    let post = Post {
        attempt: attempt_in(room, by, name),
        address: address(by),
        key: None,
        mt: None,
        user: Name::parse("Ada").expect("valid"),
        text: Text::parse(text).expect("valid"),
        question: false,
    };
    Change::Post { post, mt: 61_250, at: at(), moderator: false }
}

fn post(by: u8, attempt: &str) -> Change {
    post_in("demo", by, attempt, "Why?")
}

fn delete(by: u8, id: u64) -> Change {
    Change::Delete { attempt: attempt(by, "d"), id, moderator: false }
}

fn comment(by: u8, id: u64, seq: u64) -> Comment {
    Comment {
        id,
        seq,
        mt: 61_250,
        at: at(),
        user: "Ada".into(),
        author: author(by),
        text: "Why?".into(),
        rev: 0,
        deleted: false,
        marks: Marks::default(),
    }
}

/// One comment is so from now on.
fn changed(comment: Comment) -> Applied {
    let (id, held) = (comment.id, comment.marks.held);
    Applied::Done(Done { id, held, changed: vec![comment], settings: None })
}

/// It was so before.
fn already(id: u64) -> Applied {
    Applied::Done(Done { id, ..Done::default() })
}

fn refused(reason: Refusal) -> Applied {
    Applied::Refused(reason, None)
}

/// The comments that this changed.
fn changes_of(applied: Applied) -> Vec<Comment> {
    match applied {
        Applied::Done(done) => done.changed,
        Applied::Refused(reason, _) => panic!("refused: {reason}"),
    }
}

async fn apply_one(store: &Store, change: Change) -> Applied {
    let mut applied = store.apply(&[change]).await.expect("applied");
    assert_eq!(applied.len(), 1);
    applied.remove(0)
}

async fn all(store: &Store, room: &str) -> Vec<Comment> {
    store.changes(&broadcast(room), 0, 10_000).await.expect("changes")
}

async fn numbers_have_no_gap_however_many_write(database: &Database) {
    // Two origins, each with writers whose batches touch two rooms in either order.
    let (one, other) = match database {
        Database::Sqlite(_) => (database.open().await, database.open().await),
        // They may begin at once.
        Database::Postgres(_) => tokio::join!(database.open(), database.open()),
    };
    let writers = (0..8_u8).map(|writer| {
        let store = if writer % 2 == 0 { one.clone() } else { other.clone() };
        tokio::spawn(async move {
            for batch in 0..20 {
                let mut changes: Vec<_> = (0..5)
                    .map(|n| post(writer, &format!("{batch}-{n}")))
                    .chain([post_in("also", writer, &batch.to_string(), "Why?")])
                    .collect();
                if writer % 4 < 2 {
                    changes.reverse();
                }
                let applied = store.apply(&changes).await.expect("applied");
                assert_eq!(applied.len(), changes.len());
                assert!(applied.into_iter().all(|applied| changes_of(applied).len() == 1));
            }
            assert!(all(&store, "demo").await.len() >= 100);
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("writer");
    }
    for (room, count) in [("demo", 800), ("also", 160)] {
        for store in [&one, &other] {
            let comments = all(store, room).await;
            let numbers: Vec<_> =
                comments.iter().map(|comment| (comment.id, comment.seq)).collect();
            assert_eq!(numbers, (1..=count).map(|n| (n, n)).collect::<Vec<_>>());
        }
    }
    one.database().close().await;
    other.database().close().await;
}

async fn sent_again_it_is_stored_once(database: &Database) {
    let store = database.open().await;
    let changes = [post(1, "a"), post(1, "b"), post(1, "a"), post(2, "a")];
    let applied = store.apply(&changes).await.expect("applied");
    let expected = [
        changed(comment(1, 1, 1)),
        changed(comment(1, 2, 2)),
        // In one batch, and another's attempt of the same name is another's.
        already(1),
        changed(comment(2, 3, 3)),
    ];
    assert_eq!(applied, expected);
    // In another batch, to another origin, with another text, and after it was deleted.
    let other = database.open().await;
    assert_eq!(apply_one(&other, post(1, "b")).await, already(2));
    let again = post_in("demo", 1, "b", "Because.");
    assert_eq!(apply_one(&store, again).await, already(2));
    assert_eq!(changes_of(apply_one(&store, delete(1, 2)).await).len(), 1);
    assert_eq!(apply_one(&store, post(1, "b")).await, already(2));
    // No number was spent on it, and another broadcast counts for itself.
    assert_eq!(apply_one(&store, post(1, "c")).await, changed(comment(1, 4, 5)));
    let elsewhere = apply_one(&store, post_in("also", 1, "a", "Why?")).await;
    assert_eq!(elsewhere, changed(comment(1, 1, 1)));
    assert_eq!(store.apply(&[]).await.expect("nothing"), []);
}

async fn only_the_author_deletes_and_only_once(database: &Database) {
    let store = database.open().await;
    // Before there is a room; and beyond what a database counts.
    assert_eq!(apply_one(&store, delete(1, 1)).await, refused(Refusal::NotYours));
    let changes = [
        post(1, "a"),
        post(2, "a"),
        delete(2, 1),
        delete(1, 1),
        delete(1, 1),
        delete(2, 1),
        delete(1, 3),
        delete(1, 0),
        delete(1, u64::MAX),
    ];
    let applied = store.apply(&changes).await.expect("applied");
    let gone = Comment { text: String::new(), rev: 1, deleted: true, seq: 3, ..comment(1, 1, 1) };
    let expected = [
        changed(comment(1, 1, 1)),
        changed(comment(2, 2, 2)),
        refused(Refusal::NotYours),
        changed(gone.clone()),
        already(1),
        refused(Refusal::NotYours),
        refused(Refusal::NotYours),
        refused(Refusal::NotYours),
        refused(Refusal::NotYours),
    ];
    assert_eq!(applied, expected);
    assert_eq!(all(&store, "demo").await, [comment(2, 2, 2), gone]);
    assert_eq!(apply_one(&store, post(3, "a")).await, changed(comment(3, 3, 4)));
}

async fn changes_come_in_pages(database: &Database) {
    let store = database.open().await;
    let posts: Vec<_> = (0..25).map(|n| post(1, &n.to_string())).collect();
    store.apply(&posts).await.expect("applied");
    let mut after = 0;
    let mut pages = Vec::new();
    loop {
        let page = store.changes(&broadcast("demo"), after, 10).await.expect("changes");
        let Some(last) = page.last() else { break };
        assert!(page.is_sorted_by_key(|comment| comment.seq));
        assert_eq!(page[0].seq, after + 1);
        after = last.seq;
        pages.push(page.len());
    }
    assert_eq!(pages, [10, 10, 5]);
    // A comment that changes moves behind those that have not.
    store.apply(&[delete(1, 3)]).await.expect("applied");
    let page = store.changes(&broadcast("demo"), 25, 10).await.expect("changes");
    assert_eq!(page.iter().map(|c| (c.id, c.seq)).collect::<Vec<_>>(), [(3, 26)]);
    let first = store.changes(&broadcast("demo"), 0, 3).await.expect("changes");
    assert_eq!(first.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(store.changes(&broadcast("demo"), u64::MAX, 10).await.expect("changes"), []);
    assert_eq!(store.changes(&broadcast("none"), 0, 10).await.expect("changes"), []);
}

async fn what_was_stored_is_there_when_opened_again(database: &Database) {
    let store = database.open().await;
    apply_one(&store, post(1, "a")).await;
    apply_one(&store, post(2, "a")).await;
    apply_one(&store, delete(1, 1)).await;
    let before = all(&store, "demo").await;
    store.database().close().await;
    assert!(matches!(
        store.apply(&[post(1, "b")]).await,
        Err(Error::Database(database::Error::Query(_)))
    ));

    let store = database.open().await;
    assert_eq!(all(&store, "demo").await, before);
    assert_eq!(apply_one(&store, post(1, "a")).await, already(1));
    assert_eq!(apply_one(&store, post(1, "b")).await, changed(comment(1, 3, 4)));
}

async fn a_text_comes_back_as_it_was(database: &Database) {
    let store = database.open().await;
    let long = "ü".repeat(500);
    let emoji = "👩‍👩‍👧‍👦".repeat(70);
    let texts = [
        r#"'"; DROP TABLE comments; -- $1 ? \' \ \x00 {}"#,
        "two\nlines\twith a tab".split('\t').next().expect("one"),
        "日本語 العربية עברית e\u{301}",
        &long,
        &emoji,
    ];
    let posts: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| post_in("demo", 1, &n.to_string(), text))
        .collect();
    store.apply(&posts).await.expect("applied");
    let stored = all(&store, "demo").await;
    assert_eq!(stored.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), texts);

    // Numbers at their ends: what a database cannot count is the last that it can.
    let Change::Post { post, .. } = post(2, "a") else { unreachable!() };
    let at = UtcTime::from_micros(u64::MAX);
    let extreme = Change::Post { post, mt: u64::MAX, at, moderator: false };
    let extreme = changes_of(apply_one(&store, extreme).await).remove(0);
    assert_eq!(extreme.mt, i64::MAX as u64);
    assert_eq!(extreme.at.as_millis(), at.as_millis());
    assert_eq!(all(&store, "demo").await.last(), Some(&extreme));
}

async fn a_damaged_comment_is_an_error(database: &Database) {
    let store = database.open().await;
    let mut beside = database.connect().await;
    for (column, value) in [("author", "'Ada'"), ("mt_ms", "-1"), ("rev", "4294967296")] {
        apply_one(&store, post(1, &column.replace('_', "-"))).await;
        let sql = format!("UPDATE comments SET {column} = {value}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut beside).await.expect("damaged");
        let error = store.changes(&broadcast("demo"), 0, 10).await.expect_err("damaged");
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        let said =
            format!("broadcast demo is damaged: its {column} is {}", value.trim_matches('\''));
        assert!(error.to_string().contains(&said), "{error}");
        let mend = "DELETE FROM comments";
        sqlx::raw_sql(mend).execute(&mut beside).await.expect("mended");
    }
}

async fn a_room_that_somebody_else_holds_is_an_error_and_no_wait_forever(database: &Database) {
    let store = database.open().await;
    apply_one(&store, post(1, "a")).await;
    let mut beside = database.connect().await;
    let mut holds = beside.begin().await.expect("begin");
    let hold = "UPDATE comment_rooms SET last_id = last_id";
    sqlx::raw_sql(hold).execute(&mut *holds).await.expect("held");
    let began = Instant::now();
    let error = store.apply(&[post(1, "b")]).await.expect_err("held");
    assert!(matches!(error, Error::Database(database::Error::Query(_))), "{error}");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    holds.rollback().await.expect("let go");
    // Nothing of it was stored, and nothing is in the way of the next.
    assert_eq!(apply_one(&store, post(1, "c")).await, changed(comment(1, 2, 2)));
}

#[tokio::test]
async fn a_connection_that_hangs_is_an_error_and_then_replaced() {
    let database = Database::Postgres(Postgres::start());
    let store = database.open().await;
    apply_one(&store, post(1, "a")).await;
    let mut beside = database.connect().await;
    let process = "SELECT pid::bigint FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let process: i64 = sqlx::query_scalar(process).fetch_one(&mut beside).await.expect("one");
    let signal = |name: &str| {
        let kill = format!("kill -{name} {process}");
        let status = std::process::Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("sh").success());
    };
    signal("STOP");
    let error = store.apply(&[post(1, "b")]).await.expect_err("silence");
    assert!(matches!(error, Error::Database(database::Error::TimedOut { .. })), "{error}");
    assert_eq!(apply_one(&store, post(1, "b")).await, changed(comment(1, 2, 2)));
    signal("CONT");
}

#[tokio::test]
async fn a_database_out_of_reach_is_said_without_its_password() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = closed.local_addr().expect("its address");
    drop(closed);
    let url = format!("postgres://lectern:hunter2@{addr}/lectern");
    let error = open(&url).await.err().expect("nobody there");
    assert!(matches!(error, Error::Database(database::Error::Open { .. })), "{error}");
    let said = error.to_string();
    assert!(said.starts_with(&format!("cannot open PostgreSQL at {addr}: ")), "{said}");
    assert!(said.contains("refused") && !format!("{error:?} {said}").contains("hunter2"), "{said}");

    // One that listens and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = silent.local_addr().expect("its address");
    let url = format!("postgres://lectern:hunter2@{addr}/lectern");
    let error = open(&url).await.err().expect("silence");
    assert_eq!(error.to_string(), format!("PostgreSQL at {addr} does not answer"));

    let error = open("sqlite:/nowhere/lectern.db").await.err().expect("no directory");
    let said = error.to_string();
    assert!(said.starts_with("cannot open SQLite file /nowhere/lectern.db: "), "{said}");
}
