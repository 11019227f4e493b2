//! Several origins on one PostgreSQL, each with edges of its own: what is said at one of them is heard at all,
//! once and in order, whatever is cut off in between.

#[path = "../comments_store/postgres.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use bytes::Bytes;
use lectern_origin::Origin;
use lectern_origin::config::{BroadcastConfig, Config, Secret};
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::comment::{
    Action, Attempt, AuthorId, Comment, Name, News, Post, Request, Response, Text,
};
use lectern_relay_proto::net::{
    Announcement, OriginLink, RecordSubscription, Subscriber, SubscriberConfig, SubscriberMetrics,
    Trust,
};
use prometheus::Registry;
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::postgres::Postgres;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "the-token";
const MODERATOR_KEY: &str = "the-key-of-a-moderator";
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// An origin, and what an edge of it asks and hears.
struct At {
    link: OriginLink,
    heard: RecordSubscription,
    registry: Registry,
    _edge: Subscriber,
    _running: DropGuard,
    _dir: TempDir,
}

impl At {
    async fn start(server: &Postgres) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let config = Config {
            rtmp: ANY,
            relay: ANY,
            http: ANY,
            media: ANY,
            reencode: false,
            relay_token: Some(TOKEN.parse().expect("a token")),
            database: Some(Secret::new(server.url())),
            ..Config::default()
        };
        let id = "talk".parse().expect("an id");
        let key = Some(MODERATOR_KEY.to_owned().try_into().expect("a key"));
        let talk =
            BroadcastConfig { moderator_key: key, ..BroadcastConfig::new(id, Secret::new("k")) };
        let registry = Registry::new();
        let origin = Origin::start(&config, &[talk], dir.path(), Router::new(), &registry).await;
        let origin = origin.expect("started");
        let mut edge = Subscriber::start(SubscriberConfig {
            upstreams: vec![origin.relay_addr().to_string()],
            server_name: Some("localhost".to_owned()),
            trust: Trust::Certificates(origin.certificate_pem().to_owned()),
            token: Some(TOKEN.parse().expect("a token")),
            relay: None,
            identity: None,
            metrics: SubscriberMetrics::register(&Registry::new()).expect("metrics"),
        })
        .expect("an edge");
        let running = CancellationToken::new();
        tokio::spawn(origin.run(running.clone()));
        let link = edge.take_link().expect("it has a token");
        let Some(Announcement::Live(live)) = within(edge.next()).await else { panic!("no talk") };
        let heard = within(live.comments()).await.expect("they can be read");
        Self { link, heard, registry, _edge: edge, _running: running.drop_guard(), _dir: dir }
    }

    async fn ask(&self, request: &Request) {
        let about = request.broadcast();
        let request: Bytes = serde_json::to_vec(request).expect("plain").into();
        let sender = self.link.sender();
        let send = || match about {
            Some(about) => sender.send(about, request.clone()),
            None => sender.send_to_all(&request),
        };
        let sent = async {
            while !send() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(sent).await;
    }

    async fn answer(&mut self) -> Response {
        let answer = within(self.link.next()).await.expect("connected");
        serde_json::from_slice(&answer).expect("an answer")
    }

    /// The number under which what was asked next is stored.
    async fn stored(&mut self) -> u64 {
        match self.answer().await {
            Response::Stored { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    async fn news(&mut self) -> News {
        let news = within(self.heard.next()).await.expect("open").expect("nothing is lost");
        serde_json::from_slice(&news).expect("news")
    }

    /// The next comment that is told.
    async fn comment(&mut self) -> Comment {
        loop {
            if let News::Comment(comment) = self.news().await {
                return comment;
            }
        }
    }

    /// The next comment that is told which is as wanted: of changes that come together the last is told alone.
    async fn comment_that(&mut self, wanted: impl Fn(&Comment) -> bool) -> Comment {
        loop {
            let comment = self.comment().await;
            if wanted(&comment) {
                return comment;
            }
        }
    }

    /// All that is told from one change to another: each once, and none left out.
    async fn all(&mut self, changes: RangeInclusive<u64>) -> Vec<Comment> {
        let mut all = Vec::new();
        for seq in changes {
            let comment = self.comment().await;
            assert_eq!(comment.seq, seq, "in order, once, without a hole");
            all.push(comment);
        }
        all
    }

    /// How often it has read what others have stored.
    fn reads(&self) -> f64 {
        self.metric("lectern_comments_reads_total")
    }

    fn metric(&self, name: &str) -> f64 {
        let all = self.registry.gather();
        let found = all.iter().find(|family| family.name() == name).expect("there");
        let metric = &found.get_metric()[0];
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }
}

/// Two on one database, both of which have told the first change: of those before what they have read at first they
/// tell the newest alone.
async fn both(server: &Postgres) -> [At; 2] {
    let mut both = [At::start(server).await, At::start(server).await];
    both[0].ask(&post(9_000, "first")).await;
    assert_eq!(both[0].stored().await, 1);
    for at in &mut both {
        at.comment_that(|comment| comment.seq == 1).await;
    }
    both
}

fn attempt(by: u64, name: &str) -> Attempt {
    Attempt {
        broadcast: "talk".parse().expect("an id"),
        author: author(by),
        client: name.to_owned().try_into().expect("a name"),
    }
}

fn author(by: u64) -> AuthorId {
    format!("{by:016x}").try_into().expect("an id")
}

fn post(by: u64, name: &str) -> Request {
    write(by, name, false)
}

fn write(by: u64, name: &str, question: bool) -> Request {
    Request::Post(Post {
        attempt: attempt(by, name),
        address: author(by).into(),
        key: None,
        mt: None,
        user: Name::parse("Ada").expect("a name"),
        text: Text::parse(&format!("{by} says {name}")).expect("a text"),
        question,
    })
}

fn moderate(name: &str, action: Action) -> Request {
    let key = MODERATOR_KEY.to_owned().try_into().expect("a key");
    Request::Moderate { attempt: attempt(9_999, name), key, action }
}

/// Cuts off all who listen; how many that were.
async fn cut(server: &Postgres) -> i64 {
    let mut beside = AnyConnection::connect(&server.url()).await.expect("connect");
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'";
    sqlx::query_scalar(cut).fetch_one(&mut beside).await.expect("cut")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_either_stores_is_heard_at_both_whatever_is_cut_off() {
    const WRITERS: u64 = 40;
    const EACH: u64 = 4;
    let server = Postgres::start();
    let mut both = both(&server).await;
    for number in 0..EACH {
        for by in 0..WRITERS {
            both[(by % 2) as usize].ask(&post(by, &number.to_string())).await;
        }
        // Whether they are there again or not: what they miss meanwhile is to be heard all the same.
        cut(&server).await;
    }
    let mut ids = Vec::new();
    for at in &mut both {
        for _ in 0..WRITERS * EACH / 2 {
            ids.push(at.stored().await);
        }
    }
    ids.sort_unstable();
    let last = 1 + WRITERS * EACH;
    let all: Vec<_> = (2..=last).collect();
    assert_eq!(ids, all);
    let mut heard = Vec::new();
    for at in &mut both {
        heard.push(at.all(2..=last).await);
    }
    assert_eq!(heard[0], heard[1]);
    // And nothing more: what comes next is what is said next.
    both[0].ask(&post(5_000, "last")).await;
    assert_eq!(both[0].stored().await, last + 1);
    for at in &mut both {
        assert_eq!(at.comment().await.seq, last + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tells_its_edges_the_time_and_compares_its_own_with_the_database() {
    let server = Postgres::start();
    let mut one = At::start(&server).await;
    let micros = || UtcTime::from(SystemTime::now()).as_micros();
    let before = micros();
    one.ask(&Request::Clock { round: 7 }).await;
    let Response::Clock { round, now_us } = one.answer().await else { panic!("no time") };
    assert_eq!(round, 7);
    // The clock by which media is stamped runs evenly, and follows the machine's slowly.
    let slack_us = 100_000;
    assert!((before - slack_us..=micros() + slack_us).contains(&now_us), "{before} {now_us}");
    // The server is on this machine, but its clock is read a moment before or after ours.
    let offset = "lectern_origin_database_clock_offset_seconds";
    let compared = async {
        while one.metric(offset) == 0.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(compared).await;
    assert!(one.metric(offset).abs() <= 0.5, "{}", one.metric(offset));
    assert_eq!(one.metric("lectern_origin_database_up"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sent_to_both_it_is_stored_once() {
    const WRITERS: u64 = 50;
    let server = Postgres::start();
    let mut both = both(&server).await;
    for by in 0..WRITERS {
        for at in &both {
            at.ask(&post(by, "once")).await;
        }
    }
    let mut stored: BTreeMap<AuthorId, Vec<u64>> = BTreeMap::new();
    for at in &mut both {
        for _ in 0..WRITERS {
            let Response::Stored { attempt, id, .. } = at.answer().await else {
                panic!("not stored")
            };
            stored.entry(attempt.author).or_default().push(id);
        }
    }
    assert!(stored.values().all(|ids| ids.len() == 2 && ids[0] == ids[1]), "{stored:?}");
    assert_eq!(stored.len() as u64, WRITERS);
    for at in &mut both {
        let heard = at.all(2..=WRITERS + 1).await;
        assert!(heard.iter().all(|comment| stored[&comment.author][0] == comment.id));
    }
    // Sent again long after, to the one that has not seen it first.
    for at in &mut both {
        at.ask(&post(0, "once")).await;
        assert_eq!(at.stored().await, stored[&author(0)][0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_at_one_and_holds_at_the_other() {
    let server = Postgres::start();
    let [mut one, mut other] = both(&server).await;
    let settings = |approval| Action::Settings { closed: false, approval, slow_ms: 0 };
    one.ask(&moderate("hold", settings(true))).await;
    one.stored().await;
    let told = within(async {
        loop {
            if let News::Settings(settings) = other.news().await {
                return settings;
            }
        }
    });
    assert!(told.await.approval);
    other.ask(&write(1, "why", true)).await;
    let Response::Stored { id, held, .. } = other.answer().await else { panic!("not stored") };
    assert!(held);
    for at in [&mut one, &mut other] {
        assert!(at.comment().await.marks.held, "as it was stored");
    }
    one.ask(&moderate("show", Action::Approve { id })).await;
    one.stored().await;
    for at in [&mut one, &mut other] {
        let shown = at.comment().await.marks;
        assert_eq!((shown.held, shown.votes), (false, 0));
    }
    let (broadcast_votes, address) = (attempt(2, "vote"), author(2).into());
    other.ask(&Request::Vote { attempt: broadcast_votes, id, address, up: true }).await;
    other.stored().await;
    for at in [&mut one, &mut other] {
        assert_eq!(at.comment().await.marks.votes, 1);
    }
    one.ask(&moderate("pin", Action::Pin { id })).await;
    one.stored().await;
    for at in [&mut one, &mut other] {
        at.comment_that(|comment| comment.marks.pinned && comment.marks.votes == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_begins_later_tells_that_there_is_something() {
    let server = Postgres::start();
    let mut one = At::start(&server).await;
    for number in 1..=3 {
        one.ask(&post(1, &number.to_string())).await;
        assert_eq!(one.stored().await, number);
    }
    let mut other = At::start(&server).await;
    // An edge that had asked before that was stored sees by this that it lacks something.
    assert_eq!(other.comment().await.seq, 3);
    other.ask(&Request::History { broadcast: "talk".parse().expect("an id"), after: 0 }).await;
    let Response::History { comments, newest, .. } = other.answer().await else { panic!("none") };
    assert_eq!((comments.len(), newest), (3, 3));
    one.ask(&post(2, "next")).await;
    assert_eq!(other.comment().await.seq, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_at_one_is_read_together_at_the_other() {
    const COMMENTS: u64 = 300;
    let server = Postgres::start();
    let (one, mut other) = (At::start(&server).await, At::start(&server).await);
    // Until it hears, so that the reading of the beginning is not counted.
    one.ask(&post(0, "begin")).await;
    assert_eq!(other.comment().await.seq, 1);
    let (before, began) = (other.reads(), Instant::now());
    let mut lags = Vec::new();
    let writing = async {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        for number in 0..COMMENTS {
            pace.tick().await;
            one.ask(&post(1 + number / 4, &number.to_string())).await;
        }
    };
    let hearing = async {
        for seq in 2..2 + COMMENTS {
            let comment = other.comment().await;
            assert_eq!(comment.seq, seq);
            let now = lectern_relay_proto::UtcTime::from(std::time::SystemTime::now());
            lags.push(now.saturating_since(comment.at));
        }
    };
    tokio::join!(writing, hearing);
    let (took, reads) = (began.elapsed(), other.reads() - before);
    lags.sort_unstable();
    let (half, most) = (lags[lags.len() / 2], lags[lags.len() - 1]);
    eprintln!(
        "{COMMENTS} comments in {took:?}: {reads} reads; heard after {half:?}, at most {most:?}"
    );
    // Ten times a second, and once more for whoever comes from a lost connection.
    assert!(reads <= took.as_secs_f64() * 10.0 + 3.0, "{reads} reads in {took:?}");
}
