//! Two origins on one PostgreSQL: what one of them changes, the other does.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{Method, StatusCode};
use futures::StreamExt as _;
use lectern_origin::broadcasts::TakeHandle;
use lectern_origin::control::store::{Saying, Store};
use lectern_origin::database::Database;
use lectern_origin::ingest::Take as _;
use lectern_relay_proto::net::Epoch;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};

use super::postgres::Postgres;
use super::site::{Site, Who, publish_sound};

/// Far beyond the second in which it is to happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

async fn both(server: &Postgres) -> (Site, Site) {
    let one = Site::start(Some(server.url())).await;
    let other = Site::start(Some(server.url())).await;
    one.follow();
    other.follow();
    (one, other)
}

/// What `look` finds, once it finds something.
async fn once<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(POLL).await,
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("it never happened that {what}"))
}

/// The broadcast at this origin, once it is as wanted.
async fn seen(site: &Site, who: Who<'_>, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    once(&format!("{id} is as wanted"), async || {
        let seen = site.get(who, &format!("/broadcasts/{id}")).await;
        (seen.status == StatusCode::OK && wanted(&seen.body)).then_some(seen.body)
    })
    .await
}

async fn gone(site: &Site, who: Who<'_>, id: &str) {
    once(&format!("{id} is gone"), async || {
        let seen = site.get(who, &format!("/broadcasts/{id}")).await;
        (seen.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}

async fn make(site: &Site, who: Who<'_>, id: &str) -> String {
    let made = site.post(who, "/broadcasts", json!({"id": id, "title": "Algebra"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let key = site.post(who, &format!("/broadcasts/{id}/keys"), json!({})).await;
    assert_eq!(key.status, StatusCode::CREATED, "{}", key.body);
    key.body["key"].as_str().expect("shown once").to_owned()
}

/// Changes it, whoever has changed it since.
async fn change(site: &Site, who: Who<'_>, id: &str, change: Value) {
    let path = format!("/broadcasts/{id}");
    let etag = site.get(who, &path).await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let changed = site.call(who, Method::PATCH, &path, Some(change), &headers).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
}

/// Cuts off all who listen; how many that were.
async fn cut(server: &Postgres) -> i64 {
    let mut beside = AnyConnection::connect(&server.url()).await.expect("connect");
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'";
    sqlx::query_scalar(cut).fetch_one(&mut beside).await.expect("cut")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_changes_the_other_does() {
    let server = Postgres::start();
    let (mut one, other) = both(&server).await;
    assert!(other.setup_token().is_some());
    let ada = one.admin().await;
    let ada = Who::Cookie(&ada);
    once("nobody is asked for the first account any more", async || {
        other.setup_token().is_none().then_some(())
    })
    .await;
    // A broadcast, and who may publish to it.
    let key = make(&one, ada, "algebra-1").await;
    seen(&other, ada, "algebra-1", |seen| seen["title"] == "Algebra").await;
    let take = published(&other, &key).await;
    let over = take.superseded();
    let keys = one.get(ada, "/broadcasts/algebra-1/keys").await.body;
    let path =
        format!("/broadcasts/algebra-1/keys/{}", keys["items"][0]["id"].as_str().expect("id"));
    let revoked = one.call(ada, Method::DELETE, &path, None, &[]).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    tokio::time::timeout(PATIENCE, over.cancelled()).await.expect("ended with its key");
    once("the key opens nothing", async || (!other.opens(&key).await).then_some(())).await;
    // Changed at either, by who has seen what the other made of it.
    change(&one, ada, "algebra-1", json!({"title": "Algebra I"})).await;
    seen(&other, ada, "algebra-1", |seen| seen["title"] == "Algebra I").await;
    change(&other, ada, "algebra-1", json!({"title": "Algebra II"})).await;
    seen(&one, ada, "algebra-1", |seen| seen["title"] == "Algebra II").await;
    let moderator = other.post(ada, "/broadcasts/algebra-1/moderator-key", json!({})).await;
    let moderator_key = &moderator.body["moderator_key"];
    assert!(moderator_key.is_string(), "{}", moderator.body);
    seen(&one, ada, "algebra-1", |seen| seen["moderator_key"] == *moderator_key).await;
    // Removed at one, it is gone at the other, and its name is free at neither.
    let etag = one.get(ada, "/broadcasts/algebra-1").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let removed = one.call(ada, Method::DELETE, "/broadcasts/algebra-1", None, &headers).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.body);
    gone(&other, ada, "algebra-1").await;
    for site in [&one, &other] {
        let again = site.post(ada, "/broadcasts", json!({"id": "algebra-1"})).await;
        assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    }
}

/// Whoever publishes with a key, once it opens.
async fn published(site: &Site, key: &str) -> TakeHandle {
    once("the key opens", async || match site.opens(key).await {
        true => Some(site.publish(key).await),
        false => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_whoever_publishes_wherever() {
    let server = Postgres::start();
    let (mut one, other) = both(&server).await;
    let ada = one.admin().await;
    let ada = Who::Cookie(&ada);
    let key = make(&one, ada, "algebra-1").await;
    for (id, key) in [("algebra-1", key.as_str()), ("provisioned", "file-key")] {
        let take = published(&other, key).await;
        let over = take.superseded();
        assert!(!over.is_cancelled());
        let stopped = one.post(ada, &format!("/broadcasts/{id}/stop"), json!({})).await;
        assert_eq!(stopped.status, StatusCode::NO_CONTENT);
        tokio::time::timeout(PATIENCE, over.cancelled()).await.expect("stopped");
        assert!(take.why_over().is_some(), "by the host");
        assert!(!other.opens(key).await, "not at once");
    }
    // Blocked, nobody comes back before it is unblocked.
    let blocked = one.post(ada, "/broadcasts/algebra-1/stop", json!({"block": true})).await;
    assert_eq!(blocked.status, StatusCode::NO_CONTENT);
    seen(&other, ada, "algebra-1", |seen| seen["blocked"] == true).await;
    assert!(!other.opens(&key).await);
    change(&one, ada, "algebra-1", json!({"blocked": false})).await;
    once("it opens again", async || other.opens(&key).await.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_heard_is_followed_once_there_is_a_connection_again() {
    let server = Postgres::start();
    let (mut one, other) = both(&server).await;
    let ada = one.admin().await;
    let ada = Who::Cookie(&ada);
    let key = make(&one, ada, "algebra-1").await;
    make(&one, ada, "gone").await;
    for id in ["algebra-1", "gone"] {
        seen(&other, ada, id, |_| true).await;
    }
    let take = published(&other, &key).await;
    let over = take.superseded();
    // Both are cut off, again and again, and each time something else is missed.
    once("both are cut off", async || (cut(&server).await == 2).then_some(())).await;
    let stopped = one.post(ada, "/broadcasts/algebra-1/stop", json!({})).await;
    assert_eq!(stopped.status, StatusCode::NO_CONTENT);
    change(&one, ada, "algebra-1", json!({"title": "Algebra I"})).await;
    make(&one, ada, "new").await;
    let etag = one.get(ada, "/broadcasts/gone").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let removed = one.call(ada, Method::DELETE, "/broadcasts/gone", None, &headers).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.body);
    tokio::time::timeout(PATIENCE, over.cancelled()).await.expect("stopped");
    seen(&other, ada, "algebra-1", |seen| seen["title"] == "Algebra I").await;
    seen(&other, ada, "new", |_| true).await;
    gone(&other, ada, "gone").await;
    once("both are cut off", async || (cut(&server).await == 2).then_some(())).await;
    change(&other, ada, "new", json!({"title": "Old"})).await;
    seen(&one, ada, "new", |seen| seen["title"] == "Old").await;
}

/// The next event of a stream, and what it says.
async fn next_event(events: &mut BodyDataStream) -> (String, Value) {
    let next = async {
        loop {
            let bytes = events.next().await.expect("open").expect("whole");
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            let field =
                |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some((event, data)) = field("event:").zip(field("data:")) {
                return (event.to_owned(), serde_json::from_str(data).expect("JSON"));
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_what_happens_at_the_other_and_to_whom() {
    let server = Postgres::start();
    let (mut one, other) = both(&server).await;
    let ada = one.admin().await;
    let ada = Who::Cookie(&ada);
    let bob = one.account(ada, "bob", "host").await;
    let mut all = other.events(ada, "/events").await;
    let mut his = other.events(Who::Cookie(&bob), "/events").await;
    assert_eq!(next_event(&mut all).await.1["id"], "provisioned");
    make(&one, ada, "algebra-1").await;
    let (event, made) = next_event(&mut all).await;
    assert_eq!((event.as_str(), &made["id"]), ("broadcast", &json!("algebra-1")));
    // Who is given a part in it sees it from then on, and no longer than they have it.
    let path = "/broadcasts/algebra-1/members/bob";
    let set = one.call(ada, Method::PUT, path, Some(json!({"role": "host"})), &[]).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    let (event, made) = next_event(&mut his).await;
    assert_eq!((event.as_str(), &made["id"]), ("broadcast", &json!("algebra-1")));
    let bobs = one.get(Who::Cookie(&bob), "/session").await.body["account"]["id"].clone();
    let bobs = bobs.as_str().expect("an id");
    let path = format!("/broadcasts/algebra-1/members/{bobs}");
    let removed = one.call(ada, Method::DELETE, &path, None, &[]).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.body);
    assert_eq!(next_event(&mut his).await, ("deleted".to_owned(), json!({"id": "algebra-1"})));
    change(&one, ada, "algebra-1", json!({"title": "Algebra I"})).await;
    once("the new title is told", async || {
        (next_event(&mut all).await.1["title"] == "Algebra I").then_some(())
    })
    .await;
    // Whose account is disabled hears nothing more.
    let account = format!("/accounts/{bobs}");
    let etag = one.get(ada, &account).await.header("etag").to_owned();
    let disabled = Some(json!({"disabled": true}));
    let headers = [("if-match", etag.as_str())];
    let set = one.call(ada, Method::PATCH, &account, disabled, &headers).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.body);
    let ends = async { while his.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ends).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_air_at_one_is_shown_at_the_other() {
    let server = Postgres::start();
    let (mut one, other) = both(&server).await;
    let ada = one.admin().await;
    let ada = Who::Cookie(&ada);
    let mut beside = AnyConnection::connect(&server.url()).await.expect("connect");
    // Of a later version, which says it otherwise.
    let foreign = "INSERT INTO live (broadcast, epoch, origin, told_ms, said) VALUES ('gone', 1, \
                   'later', CAST(extract(epoch FROM now()) * 1000 AS BIGINT), '{}')";
    sqlx::query(foreign).execute(&mut beside).await.expect("inserted");
    let key = make(&one, ada, "algebra-1").await;
    seen(&other, ada, "algebra-1", |seen| seen["state"] == "unbegun").await;
    let mut take = one.publish(&key).await;
    publish_sound(&mut take);
    // There is no picture.
    let is_found = |seen: &Value| seen["state"] == "live" && seen["findings"] == 1;
    let shown = seen(&other, ada, "algebra-1", is_found).await;
    assert_eq!(shown, one.get(ada, "/broadcasts/algebra-1").await.body);
    let list = other.get(ada, "/broadcasts?state=live").await.body;
    assert_eq!(list["items"][0]["id"], "algebra-1", "{list}");
    let own = one.get(ada, "/broadcasts/algebra-1/live").await.body;
    assert_eq!(own["publisher"]["protocol"], "rtmp");
    // Seconds end meanwhile, of which the other hears later.
    let lasting = |live: &Value| {
        let mut live = live.clone();
        let figures = live["report"]["figures"].take();
        (live["report"]["history"].take(), live, figures["audio_codec"].clone())
    };
    let (history, rest, codec) = lasting(&other.get(ada, "/broadcasts/algebra-1/live").await.body);
    let (own_history, own_rest, own_codec) = lasting(&own);
    assert_eq!((rest, codec), (own_rest, own_codec));
    let history = history.as_array().expect("points");
    assert!(history.len() > 1, "{history:?}");
    let later = one.get(ada, "/broadcasts/algebra-1/live").await.body;
    let known = [own_history, later["report"]["history"].clone()];
    let is_known = |point: &Value| {
        known.iter().any(|all| all.as_array().is_some_and(|all| all.contains(point)))
    };
    assert!(history.iter().all(is_known), "{history:?} are not among {known:?}");
    let mut events = other.events(ada, "/events?live=algebra-1").await;
    let live = once("it is told how it is", async || {
        let (event, live) = next_event(&mut events).await;
        (event == "live").then_some(live)
    });
    let live = live.await;
    assert_eq!((&live["publisher"], &live["viewers"]), (&own["publisher"], &own["viewers"]));
    assert!(live["report"]["history"].as_array().is_some_and(|all| all.len() <= 10), "{live}");
    // Who leaves in order is gone there too, and who publishes at the other is shown at this one.
    take.end(true);
    seen(&other, ada, "algebra-1", |seen| seen["state"] == "ended").await;
    let mut take = published(&other, &key).await;
    publish_sound(&mut take);
    seen(&one, ada, "algebra-1", |seen| seen["state"] == "live").await;
    // An origin that has lost it, and does not know that yet, says nothing over its owner.
    let store = Store::new(Database::new(&server.url()).expect("a URL"));
    let broadcast = "algebra-1".parse().expect("an id");
    let late = Saying { broadcast, epoch: Epoch(1), said: "{}".to_owned() };
    store.tell_live("late", &[late]).await.expect("told");
    let said = store.live().await.expect("read");
    assert!(said.iter().any(|said| said.broadcast.as_str() == "algebra-1"));
    assert!(said.iter().all(|said| said.origin != "late"));
    // An origin that has died says nothing any more.
    let died = "INSERT INTO live (broadcast, epoch, origin, told_ms, said) SELECT 'provisioned', 1, \
                'died', told_ms, said FROM live WHERE broadcast = 'algebra-1'";
    sqlx::query(died).execute(&mut beside).await.expect("inserted");
    take.end(true);
    // Also where it has been on air before.
    seen(&one, ada, "algebra-1", |seen| seen["state"] == "ended").await;
    for site in [&one, &other] {
        let shown = seen(site, ada, "provisioned", |seen| seen["state"] == "away").await;
        assert_eq!((&shown["live_since"], &shown["findings"]), (&Value::Null, &json!(0)));
        let live = site.get(ada, "/broadcasts/provisioned/live").await.body;
        assert_eq!((&live["publisher"], &live["viewers"]["total"]), (&Value::Null, &json!(0)));
        assert!(live["since"].is_string(), "{live}");
    }
    // Whoever stops it knows that it is over.
    let stopped = one.post(ada, "/broadcasts/provisioned/stop", json!({})).await;
    assert_eq!(stopped.status, StatusCode::NO_CONTENT);
    for site in [&one, &other] {
        seen(site, ada, "provisioned", |seen| seen["state"] == "unbegun").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_let_in_by_the_keys_of_either() {
    let server = Postgres::start();
    let (mut one, other) = both(&server).await;
    let ada = one.admin().await;
    let ada = Who::Cookie(&ada);
    let wish = json!({"id": "closed", "title": "Algebra", "visibility": "token"});
    let made = one.post(ada, "/broadcasts", wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    seen(&other, ada, "closed", |_| true).await;
    let edge = tokio::time::timeout(PATIENCE, other.catalogs("closed"));
    let (mut catalogs, _edge) = edge.await.expect("announced");
    let mut told = async |what: &str, kids: &[&str]| {
        once(what, async || {
            let catalog = catalogs.next().await.expect("open").expect("whole");
            let told = catalog.about.viewer_keys.iter().map(|key| key.kid.as_str());
            told.eq(kids.iter().copied()).then_some(())
        })
        .await;
    };
    told("there is no key yet", &[]).await;
    let made = one.post(ada, "/viewer-keys", json!({})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let kid = made.body["kid"].as_str().expect("a name").to_owned();
    told("edges of the other are told the key", &[&kid]).await;
    let path = format!("/viewer-keys/{kid}");
    let retired = one.call(ada, Method::DELETE, &path, None, &[]).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT, "{}", retired.body);
    told("and that it has ended", &[]).await;
}
