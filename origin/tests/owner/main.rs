//! Promise: of several origins on one PostgreSQL one publishes a broadcast, whichever its host's encoder has
//! come to last, and its timeline goes on from one to the next. On SQLite, it goes on after a restart.

// What tests call may unwrap as tests do.
#![allow(clippy::unwrap_used)]

#[path = "../comments_store/postgres.rs"]
mod postgres;
mod site;

use std::time::{Duration, SystemTime};

use lectern_origin::database::Database;
use lectern_origin::ingest::{Refusal, TakeError};
use lectern_origin::timelines::{Acquired, Timelines, Wish};
use lectern_relay_proto::net::Epoch;
use lectern_relay_proto::{BroadcastId, PublisherState};
use sqlx::{AnyConnection, Connection};

use self::postgres::Postgres;
use self::site::{BACKUP, Clock, KEY, Site, Viewer, within};

/// How far an origin's clock may be behind another's.
const SKEW_MS: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_publisher_wins_and_the_other_is_told_where_it_went() {
    let server = Postgres::start();
    let clock = Clock::start();
    let (a, b) = (Site::start(&server.url(), clock).await, Site::start(&server.url(), clock).await);
    let mut idle = Viewer::of(&b);
    let (epoch, away) = idle.catalog().await;
    assert_eq!((epoch, away.state), (Epoch::IDLE, PublisherState::Away));

    let (mut viewer, mut everywhere) = (Viewer::of(&a), Viewer::of_all(&[&a, &b]));
    let mut first = a.publisher(KEY).await.unwrap();
    first.send(0, 10_000);
    let at_a = viewer.live().await;
    assert_eq!(everywhere.live().await.0, at_a.0);
    // Ten seconds of media in none are more than anybody would allow for.
    a.stored(first.last_ms(&at_a.1)).await;
    let mut second = b.publisher(KEY).await.unwrap();
    b.tells(&a);
    within(first.over()).await;
    assert_eq!(first.why(), Some(TakeError::Elsewhere));
    assert_eq!(first.push(10_000, true).unwrap_err(), TakeError::Elsewhere);

    second.send(10_000 - SKEW_MS, 20_000);
    let mut viewer_of_b = Viewer::of(&b);
    let at_b = viewer_of_b.live().await;
    assert!(at_b.0 > at_a.0, "newest wins: {:?} {:?}", at_b.0, at_a.0);
    assert_eq!(at_b.1.t0, at_a.1.t0);
    assert!(at_b.1.period.id > at_a.1.period.id && at_b.1.period.take > at_a.1.period.take);
    assert!(at_b.1.period.sequence > at_a.1.period.sequence + 5);
    let end_ms = first.last_ms(&at_a.1);
    assert!(at_b.1.period.start_ms >= end_ms, "{} < {end_ms}", at_b.1.period.start_ms);
    assert!(at_b.1.period.start_ms < end_ms + 4_000, "{}", at_b.1.period.start_ms);

    assert_eq!(everywhere.catalog_when(|epoch, _| epoch > at_a.0).await.0, at_b.0);

    // Whoever lost it says what it is about, and where it stands.
    let (epoch, away) = viewer.catalog_when(|epoch, _| epoch == Epoch::IDLE).await;
    assert_eq!((epoch, away.state, away.t0), (Epoch::IDLE, PublisherState::Away, at_a.1.t0));
    assert!(away.period.id >= at_a.1.period.id && away.period.id <= at_b.1.period.id);
    // And back.
    let mut third = a.publisher(KEY).await.unwrap();
    third.send(21_000, 25_000);
    let back = viewer.live().await;
    assert!(back.0 > at_b.0 && back.1.period.id > at_b.1.period.id);
    assert_eq!(back.1.t0, at_a.1.t0);
    assert_eq!(everywhere.catalog_when(|epoch, _| epoch > at_b.0).await.0, back.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_come_at_once_one_is_on_air() {
    let server = Postgres::start();
    let clock = Clock::start();
    let (a, b) = (Site::start(&server.url(), clock).await, Site::start(&server.url(), clock).await);
    for round in 0..5 {
        let (one, other) = tokio::join!(a.publisher(KEY), b.publisher(KEY));
        a.tells(&b);
        b.tells(&a);
        // Who was asked first may have been told no at once.
        let mut there: Vec<_> = [one, other].into_iter().flatten().collect();
        assert!(!there.is_empty());
        if there.len() == 2 {
            let (one, other) = there.split_at_mut(1);
            within(async {
                tokio::select! { () = one[0].over() => {}, () = other[0].over() => {} }
            })
            .await;
        }
        let on_air: Vec<_> =
            there.iter_mut().map(|publisher| publisher.push(0, true).is_ok()).collect();
        assert_eq!(on_air.iter().filter(|is| **is).count(), 1, "{round}: {on_air:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_goes_on_where_one_died_with_a_clock_that_is_behind() {
    let server = Postgres::start();
    let clock = Clock::start();
    let a = Site::start(&server.url(), clock).await;
    let b = Site::start(&server.url(), clock).await;
    let mut viewer = Viewer::of(&a);
    let mut first = a.publisher(KEY).await.unwrap();
    first.send(0, 8_000);
    let at_a = viewer.live().await;
    a.stored(first.last_ms(&at_a.1)).await;
    let end_ms = first.last_ms(&at_a.1);
    a.die();
    drop(first);

    let mut second = b.publisher(KEY).await.unwrap();
    second.send(8_000 - SKEW_MS, 12_000);
    let at_b = Viewer::of(&b).live().await;
    assert!(at_b.0 > at_a.0);
    assert_eq!(at_b.1.t0, at_a.1.t0);
    assert!(at_b.1.period.id > at_a.1.period.id);
    assert!(at_b.1.period.start_ms >= end_ms, "{} < {end_ms}", at_b.1.period.start_ms);
    assert!(at_b.1.period.sequence > at_a.1.period.sequence + 4, "{:?}", at_b.1.period);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_in_order_goes_on_without_a_gap_on_either_database() {
    let server = Postgres::start();
    let dir = tempfile::tempdir().unwrap();
    for url in [server.url(), format!("sqlite:{}/lectern.db", dir.path().display())] {
        let clock = Clock::start();
        let a = Site::start(&url, clock).await;
        let mut viewer = Viewer::of(&a);
        let mut first = a.publisher(KEY).await.unwrap();
        first.send(0, 8_000);
        let at_a = viewer.live().await;
        first.leave();
        a.stop().await;
        let b = Site::start(&url, clock).await;
        let (_, away) = Viewer::of(&b).catalog().await;
        assert_eq!((away.t0, away.period.id), (at_a.1.t0, at_a.1.period.id));
        let mut second = b.publisher(KEY).await.unwrap();
        second.send(9_000, 12_000);
        let at_b = Viewer::of(&b).live().await;
        assert_eq!(at_b.1.t0, at_a.1.t0);
        let (was, is) = (at_a.1.period, at_b.1.period);
        assert_eq!((is.id, is.take), (was.id + 1, was.take + 1));
        // Eight seconds in segments of two, wherever on the grid they began.
        assert!((4..=5).contains(&(is.sequence - was.sequence)), "{was:?} {is:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_who_has_it_goes_on_and_nobody_else_begins() {
    let server = Postgres::start();
    let clock = Clock::start();
    let (a, b) = (Site::start(&server.url(), clock).await, Site::start(&server.url(), clock).await);
    let mut viewer = Viewer::of(&a);
    let mut first = a.publisher(KEY).await.unwrap();
    first.send(0, 4_000);
    let before = viewer.live().await;
    a.stored(first.last_ms(&before.1)).await;
    let mut backup = b.publisher(BACKUP).await.unwrap();
    server.stop();

    // In the middle of a take.
    first.send(4_000, 8_000);
    first.leave();
    backup.send(4_000, 8_000);
    for attempts in [1.0, 2.0] {
        let asked = std::time::Instant::now();
        let refused = b.publisher(KEY).await.err();
        assert!(matches!(refused, Some(Refusal::Unavailable(_))), "{refused:?}");
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        assert_eq!(b.refused(), attempts, "who waits was not refused");
    }
    assert_eq!(backup.why(), None);
    // Its encoder is back.
    let mut again = a.publisher(KEY).await.unwrap();
    again.send(9_000, 12_000);
    let after = viewer.catalog_when(|_, catalog| catalog.period.id > before.1.period.id).await;
    assert_eq!(after.0, before.0, "it is the same publication");
    assert_eq!(after.1.t0, before.1.t0);

    server.resume();
    a.stored(again.last_ms(&after.1)).await;
    assert_eq!(again.why(), None);
    let mut there = b.publisher(KEY).await.unwrap();
    there.send(13_000, 15_000);
    let at_b = Viewer::of(&b).live().await;
    assert_eq!(at_b.1.t0, before.1.t0);
    assert!(at_b.1.period.id > after.1.period.id);
    within(again.over()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_begins_a_new_timeline_and_stops_nobody() {
    let server = Postgres::start();
    let clock = Clock::start();
    let a = Site::start(&server.url(), clock).await;
    let mut first = a.publisher(KEY).await.unwrap();
    first.send(0, 4_000);
    let was = Viewer::of(&a).live().await;
    first.leave();
    a.stop().await;
    let mut rows = AnyConnection::connect(&server.url()).await.unwrap();
    sqlx::query("UPDATE timelines SET next_period = -3").execute(&mut rows).await.unwrap();

    let b = Site::start(&server.url(), clock).await;
    let mut second = b.publisher(KEY).await.unwrap();
    second.send(0, 4_000);
    let is = Viewer::of(&b).live().await;
    assert!(is.0 > was.0 && is.1.t0 > was.1.t0, "{is:?}");
    assert_eq!(is.1.period.id, 0);
    // A row that is gone: whoever publishes ends, and comes back.
    sqlx::query("DELETE FROM timelines").execute(&mut rows).await.unwrap();
    second.send(4_000, 6_000);
    within(second.over()).await;
    let third = b.publisher(KEY).await;
    assert!(third.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_waits_for_a_publisher_at_another_origin_and_takes_over_when_it_dies() {
    let server = Postgres::start();
    let clock = Clock::start();
    let (a, b) = (Site::start(&server.url(), clock).await, Site::start(&server.url(), clock).await);
    let mut primary = a.publisher(KEY).await.unwrap();
    primary.send(0, 4_000);
    let at_a = Viewer::of(&a).live().await;
    a.stored(primary.last_ms(&at_a.1)).await;
    let mut backup = b.publisher(BACKUP).await.unwrap();
    // As by a clock that is set back then.
    backup.send(3_600_000, 3_601_000);
    backup.send(0, 4_000);
    assert!(b.status().standby && b.status().publisher.is_none());
    assert_eq!(primary.why(), None);
    a.die();
    drop(primary);
    let mut viewer = Viewer::of(&b);
    let mut at_ms = 4_000;
    let live = within(async {
        loop {
            // A backup has to go on sending to be heard.
            backup.send(at_ms, at_ms + 1_000);
            at_ms += 1_000;
            let live = tokio::time::timeout(Duration::from_millis(500), viewer.live()).await;
            if let Ok(live) = live {
                break live;
            }
        }
    });
    let live = live.await;
    assert_eq!(live.1.t0, at_a.1.t0);
    assert!(live.0 > at_a.0 && live.1.period.id > at_a.1.period.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_and_primary_give_way_to_each_other_at_keyframes_and_stay_connected() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/lectern.db", dir.path().display());
    let site = Site::start(&url, Clock::start()).await;
    let mut viewer = Viewer::of(&site);
    let mut primary = site.publisher(KEY).await.unwrap();
    let mut backup = site.publisher(BACKUP).await.unwrap();
    let (mut on_air, mut changes) = (None, Vec::new());
    for ms in (0..16_000).step_by(40) {
        // Frozen for six seconds.
        if !(4_000..10_000).contains(&ms) {
            primary.push(ms, ms % 1_000 == 0).unwrap();
        }
        backup.push(ms, ms % 1_000 == 520).unwrap();
        let now = site.status().publisher.map(|publisher| publisher.key.to_string());
        if now != on_air {
            on_air.clone_from(&now);
            changes.push((ms, now.unwrap()));
        }
    }
    let expect = [(0, KEY), (7_520, BACKUP), (12_000, KEY)];
    assert_eq!(changes, expect.map(|(ms, key)| (ms, key.to_owned())));
    assert!(site.status().standby && primary.why().is_none() && backup.why().is_none());
    // Each is a take of its own, whose first period begins with that very keyframe.
    let (_, last) = viewer.catalog_when(|_, catalog| catalog.period.take == 2).await;
    let expect_ms = primary.last_ms(&last) - (15_960 - 12_000);
    assert_eq!(last.period.start_ms, expect_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_broadcasts_are_stored_and_read_over_a_long_way_to_the_database() {
    const BROADCASTS: usize = 200;
    let server = Postgres::start();
    let timelines = Timelines::new(Database::new(&server.url()).unwrap());
    let now = SystemTime::now().into();
    let (mut ids, mut ours) = (Vec::new(), Vec::new());
    for n in 0..BROADCASTS {
        let id: BroadcastId = format!("lecture-{n}").parse().unwrap();
        let acquired = timelines.acquire(&id, Wish::Now, None, now).await.unwrap();
        let Acquired::Ours(timeline) = acquired else { panic!("{acquired:?}") };
        ours.push((id.clone(), timeline));
        ids.push(id);
    }
    // One is another's by now, one is damaged, and one is gone.
    let other = Timelines::new(Database::new(&server.url()).unwrap());
    other.acquire(&ids[7], Wish::Now, None, now).await.unwrap();
    let mut rows = AnyConnection::connect(&server.url()).await.unwrap();
    // Each statement takes a twentieth of a second: ten seconds for one after the other.
    sqlx::raw_sql(
        "UPDATE timelines SET sequence = -1 WHERE id = 'lecture-11'; \
         DELETE FROM timelines WHERE id = 'lecture-13'; \
         CREATE FUNCTION far() RETURNS trigger LANGUAGE plpgsql \
         AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$; \
         CREATE TRIGGER far BEFORE UPDATE ON timelines FOR EACH STATEMENT EXECUTE FUNCTION far(); \
         ALTER TABLE timelines RENAME TO there; \
         CREATE VIEW timelines AS SELECT there.* FROM there, pg_sleep(0.05) AS far",
    )
    .execute(&mut rows)
    .await
    .unwrap();
    let read = timelines.read(&ids).await.unwrap();
    for (at, (read, (_, ours))) in read.iter().zip(&ours).enumerate() {
        match (at, read) {
            (7, Ok(Some(others))) => assert!(others.epoch() > ours.epoch()),
            (11, Err(_)) | (13, Ok(None)) => {}
            (_, Ok(Some(read))) => assert_eq!(read, ours),
            (at, read) => panic!("{at}: {read:?}"),
        }
    }
    sqlx::raw_sql("DROP VIEW timelines; ALTER TABLE there RENAME TO timelines")
        .execute(&mut rows)
        .await
        .unwrap();
    let stored = timelines.store(&ours).await.unwrap();
    let not: Vec<_> = (0..BROADCASTS).filter(|at| !stored[*at]).collect();
    assert_eq!(not, [7, 13], "what was damaged is whole again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_database_lost_when_it_was_replaced_is_told_it_again() {
    let server = Postgres::start();
    let clock = Clock::start();
    let (a, b) = (Site::start(&server.url(), clock).await, Site::start(&server.url(), clock).await);
    let mut first = b.publisher(KEY).await.unwrap();
    first.send(0, 2_000);
    let at_b = Viewer::of(&b).live().await;
    b.stored(first.last_ms(&at_b.1)).await;
    first.leave();
    let mut rows = AnyConnection::connect(&server.url()).await.unwrap();
    let replicate = "CREATE TABLE replica AS SELECT * FROM timelines";
    sqlx::raw_sql(replicate).execute(&mut rows).await.unwrap();
    let mut second = a.publisher(KEY).await.unwrap();
    a.tells(&b);
    second.send(2_000, 4_000);
    let at_a = Viewer::of(&a).live().await;
    a.stored(second.last_ms(&at_a.1)).await;
    // The other has heard of it.
    let mut viewer = Viewer::of(&b);
    viewer.catalog_when(|epoch, _| epoch == Epoch::IDLE).await;
    let lose = "BEGIN; DELETE FROM timelines; INSERT INTO timelines SELECT * FROM replica; COMMIT";
    sqlx::raw_sql(lose).execute(&mut rows).await.unwrap();
    // Who is on air says it again.
    second.send(4_000, 6_000);
    a.stored(second.last_ms(&at_a.1)).await;
    assert_eq!(second.why(), None);
    sqlx::raw_sql(lose).execute(&mut rows).await.unwrap();
    // Whoever comes next knows it, too.
    let mut third = b.publisher(KEY).await.unwrap();
    third.send(6_000, 8_000);
    let (epoch, catalog) = viewer.live().await;
    assert!(epoch > at_a.0 && catalog.t0 == at_a.1.t0, "{epoch:?} {:?}", at_a.0);
    assert!(catalog.period.id > at_a.1.period.id && catalog.period.take > at_a.1.period.take);
    assert!(catalog.period.sequence > at_a.1.period.sequence);
    within(second.over()).await;
}
