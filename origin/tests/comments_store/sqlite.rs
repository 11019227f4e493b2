//! A process that is killed in the middle of writing has lost nothing that it had reported.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::{Applied, Store, all, apply_one, post};

/// How many are stored before it is killed.
const STORED: usize = 50;
const URL: &str = "LECTERN_TEST_STORE_URL";

#[tokio::test]
async fn what_was_reported_survives_kill_9() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let url = format!("sqlite:{}/lectern.db", dir.path().display());
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "sqlite::writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(URL, &url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("another of this program");
    let said = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = said.map(|line| line.expect("a line"));
    let stored = said.filter_map(|line| line.strip_prefix("stored ")?.parse::<u64>().ok());
    let stored: Vec<_> = stored.take(STORED).collect();
    // SIGKILL: nothing of it can be tidied up.
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(stored.len(), STORED);

    let store = Store::open(&url).await.expect("open");
    let there: Vec<_> = all(&store, "demo").await.iter().map(|comment| comment.id).collect();
    assert!(there.starts_with(&stored), "{stored:?} {there:?}");
    // It may have come further than it could say.
    let next = there.len() as u64 + 1;
    let applied = apply_one(&store, post(1, "after")).await;
    assert!(matches!(applied, Applied::Changed(comment) if comment.id == next));
}

#[tokio::test]
#[ignore = "the process that what_was_reported_survives_kill_9 kills"]
async fn writes_until_it_is_killed() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = Store::open(&url).await.expect("open");
    // The test's name stands on the line that has begun.
    println!();
    for n in 0_u64.. {
        let applied = apply_one(&store, post(1, &n.to_string())).await;
        let Applied::Changed(comment) = applied else { panic!("{applied:?}") };
        println!("stored {}", comment.id);
    }
}
