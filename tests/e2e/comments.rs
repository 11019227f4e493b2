//! What is acknowledged is never lost, whatever is killed: origin and edge as processes of their own,
//! SIGKILL for both while fifty viewers write.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const VIEWERS: usize = 50;
/// Of each viewer: a burst, and then as fast as one may.
const COMMENTS: usize = 7;
const KILLS: usize = 6;
const MODERATOR_KEY: &str = "the-key-of-a-moderator";
const PATIENCE: Duration = Duration::from_secs(120);

/// Where something can listen over TCP and UDP, now and when it is started again: the system gives none of
/// these to whoever connects to anywhere in between.
fn addresses<const N: usize>() -> [SocketAddr; N] {
    /// Those given out in this process, from a place that others are unlikely to begin at.
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("small");
    let next = || loop {
        let at = (Ipv4Addr::LOCALHOST, first + GIVEN.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return SocketAddr::from(at);
        }
    };
    std::array::from_fn(|_| next())
}

/// An origin and an edge, either of which can be killed and started again.
struct Pair {
    dir: TempDir,
    edge_http: SocketAddr,
    origin_http: SocketAddr,
    origin: Child,
    edge: Option<Child>,
}

impl Pair {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [rtmp, relay, origin_http, origin_media, origin_ops, edge_http, media, edge_ops] =
            addresses();
        let data = dir.path().join("data");
        let config = format!(
            r#"
            data_dir = "{data}"
            [origin]
            rtmp = "{rtmp}"
            relay = "{relay}"
            http = "{origin_http}"
            media = "{origin_media}"
            ops = "{origin_ops}"
            relay_token = "e2e"
            [edge]
            http = "{edge_http}"
            media = "{media}"
            ops = "{edge_ops}"
            upstream = "{relay}"
            upstream_name = "localhost"
            upstream_ca = "{data}/relay/relay-cert.pem"
            relay_token = "e2e"
            comment_origins = ["https://uni.example"]
            [[broadcast]]
            id = "talk"
            stream_key = "key"
            moderator_key = "{MODERATOR_KEY}"
            attendance = true
            "#,
            data = data.display(),
        );
        std::fs::write(dir.path().join("lectern.toml"), config).unwrap();
        let origin = Self::spawn(&dir, "origin");
        let mut pair = Self { dir, edge_http, origin_http, origin, edge: None };
        let certificate = data.join("relay/relay-cert.pem");
        let began = Instant::now();
        while !certificate.exists() {
            assert!(began.elapsed() < PATIENCE, "the origin made no certificate");
            sleep(Duration::from_millis(20)).await;
        }
        pair.edge = Some(Self::spawn(&pair.dir, "edge"));
        pair
    }

    fn spawn(dir: &TempDir, role: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_lectern"))
            .arg(role)
            .arg("--config")
            .arg(dir.path().join("lectern.toml"))
            .env("RUST_LOG", "warn,lectern_relay_proto=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn kill_origin(&mut self) {
        self.origin.kill().await.unwrap();
        self.origin = Self::spawn(&self.dir, "origin");
    }

    async fn kill_edge(&mut self) {
        if let Some(edge) = &mut self.edge {
            edge.kill().await.unwrap();
        }
        self.edge = Some(Self::spawn(&self.dir, "edge"));
    }
}

/// A viewer's WebSocket.
struct Viewer(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Viewer {
    /// Joins as soon as there is an edge that knows the broadcast.
    async fn join(edge: SocketAddr, secret: Option<&str>, origin: Option<&str>) -> Self {
        let join = json!({ "type": "join", "after": 0, "secret": secret });
        Self::join_as(edge, join, origin).await
    }

    /// The same by another first message.
    async fn join_as(edge: SocketAddr, join: Value, origin: Option<&str>) -> Self {
        let began = Instant::now();
        loop {
            let url = format!("ws://{edge}/live/talk/comments");
            let mut request = url.into_client_request().unwrap();
            if let Some(origin) = origin {
                request.headers_mut().insert("origin", origin.parse().unwrap());
            }
            if let Ok((socket, _)) = tokio_tungstenite::connect_async(request).await {
                let mut viewer = Self(socket);
                viewer.say(join).await;
                return viewer;
            }
            assert!(began.elapsed() < PATIENCE, "no edge lets a viewer in");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn say(&mut self, said: Value) {
        // A connection that is gone is seen by whoever reads.
        let _ = self.0.send(Message::text(said.to_string())).await;
    }

    /// The next message of a kind; `None` once the connection is gone, or nothing comes.
    async fn told(&mut self, kinds: &[&str]) -> Option<Value> {
        let reading = async {
            loop {
                match self.0.next().await? {
                    Ok(Message::Text(text)) => {
                        let told: Value = serde_json::from_str(&text).unwrap();
                        if kinds.iter().any(|kind| told["type"] == *kind) {
                            return Some(told);
                        }
                    }
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        timeout(Duration::from_secs(5), reading).await.ok().flatten()
    }

    /// Everything that was written, once as many are there.
    async fn all(&mut self, count: usize) -> BTreeMap<u64, Value> {
        let mut comments = BTreeMap::new();
        let began = Instant::now();
        while comments.len() < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} comments are told", comments.len());
            let Some(told) = self.told(&["comments"]).await else { continue };
            for comment in told["comments"].as_array().unwrap() {
                comments.insert(comment["id"].as_u64().unwrap(), comment.clone());
            }
        }
        comments
    }
}

/// Writes all its comments, each again and again until it is stored. Returns the id of each.
async fn write(edge: SocketAddr, number: usize) -> Vec<u64> {
    let secret = format!("secret-of-viewer-{number}");
    let mut viewer = Viewer::join(edge, Some(&secret), None).await;
    let mut ids = Vec::new();
    for comment in 0..COMMENTS {
        let client = format!("c-{number}-{comment}");
        let text = format!("viewer {number} says {comment}");
        let began = Instant::now();
        let id = loop {
            assert!(began.elapsed() < PATIENCE, "{client} is never stored");
            let post =
                json!({ "type": "post", "client": client, "mt": null, "user": "V", "text": text });
            viewer.say(post).await;
            let told = viewer.told(&["stored", "refused"]).await;
            match told {
                Some(told) if told["client"] != *client => {}
                Some(told) if told["type"] == "stored" => break told["id"].as_u64().unwrap(),
                Some(told) => {
                    let wait = told["retry_after_ms"].as_u64();
                    let wait = wait.unwrap_or_else(|| panic!("refused for good: {told}"));
                    sleep(Duration::from_millis(wait)).await;
                }
                None => viewer = Viewer::join(edge, Some(&secret), None).await,
            }
        };
        ids.push(id);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_comment_is_lost_whatever_is_killed() {
    let mut pair = Pair::start().await;
    let mut writers = JoinSet::new();
    for number in 0..VIEWERS {
        writers.spawn(write(pair.edge_http, number));
    }
    for kill in 0..KILLS {
        sleep(Duration::from_millis(1_200)).await;
        if kill % 2 == 0 { pair.kill_origin().await } else { pair.kill_edge().await }
    }
    let mut acknowledged = Vec::new();
    while let Some(ids) = timeout(PATIENCE, writers.join_next()).await.expect("all are written") {
        let ids = ids.unwrap();
        assert!(ids.is_sorted(), "a viewer's comments are in the order in which it wrote them");
        acknowledged.extend(ids);
    }
    acknowledged.sort_unstable();
    let count = VIEWERS * COMMENTS;
    assert_eq!(acknowledged, (1..=count as u64).collect::<Vec<_>>(), "each has one place");

    // Whoever comes later is told all of them, whichever edge and origin there are by then.
    pair.kill_origin().await;
    pair.kill_edge().await;
    let told = Viewer::join(pair.edge_http, None, None).await.all(count).await;
    assert_eq!(told.len(), count);
    let mut texts: Vec<_> = told.values().map(|told| told["text"].as_str().unwrap()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), count, "none is there twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_with_a_reason_and_disturbs_nobody() {
    let pair = Pair::start().await;
    let edge = pair.edge_http;
    let mut reader = Viewer::join(edge, None, None).await;
    let hello = reader.told(&["hello"]).await.unwrap();
    assert_eq!((&hello["author"], &hello["may_write"]), (&Value::Null, &json!(false)));

    let mut writer = Viewer::join(edge, Some("secret-of-somebody"), None).await;
    let hello = writer.told(&["hello"]).await.unwrap();
    assert_eq!(hello["may_write"], true);
    let post = |client: &str, mt: Value, text: &str| json!({ "type": "post", "client": client, "mt": mt, "user": "V", "text": text });
    for (client, mt, text, reason) in [
        ("a", Value::Null, "\u{202e}abc", "hidden-characters"),
        ("b", Value::Null, "see https://example.org", "link"),
        ("c", json!(3_600_000), "from the future", "media-time"),
        ("d", Value::Null, "  ", "empty"),
    ] {
        writer.say(post(client, mt, text)).await;
        let told = writer.told(&["stored", "refused"]).await.unwrap();
        assert_eq!((&told["client"], &told["reason"]), (&json!(client), &json!(reason)));
    }
    let markup = "<img src=x onerror=alert(1)> \"quoted\" \\ & مرحبا";
    writer.say(post("e", Value::Null, markup)).await;
    let stored = writer.told(&["stored", "refused"]).await.unwrap();
    assert_eq!((&stored["type"], &stored["id"]), (&json!("stored"), &json!(1)));
    assert_eq!(reader.all(1).await[&1]["text"], markup);
    writer.say(post("f", Value::Null, markup)).await;
    assert_eq!(writer.told(&["refused"]).await.unwrap()["reason"], "repeated");

    // Another writer cannot take back what is not theirs, nor can a page of another site.
    let mut other = Viewer::join(edge, Some("secret-of-another"), Some("https://evil.test")).await;
    assert_eq!(other.told(&["hello"]).await.unwrap()["may_write"], false);
    let delete = json!({ "type": "delete", "client": "x", "id": 1 });
    other.say(delete.clone()).await;
    assert_eq!(other.told(&["refused"]).await.unwrap()["reason"], "not-allowed");
    let listed = Some("https://uni.example");
    let mut other = Viewer::join(edge, Some("secret-of-another"), listed).await;
    other.say(delete.clone()).await;
    assert_eq!(other.told(&["refused"]).await.unwrap()["reason"], "not-yours");

    // What is no message of ours ends the connection, and only that one.
    for nonsense in ["{", r#"{"type":"moderate"}"#, r#"{"type":"join","after":0}"#] {
        other.0.send(Message::text(nonsense)).await.unwrap();
        assert!(other.told(&["never"]).await.is_none());
        other = Viewer::join(edge, Some("secret-of-another"), None).await;
        other.told(&["hello"]).await.unwrap();
    }
    other.0.send(Message::text("x".repeat(100_000))).await.ok();
    assert!(other.told(&["never"]).await.is_none());

    writer.say(delete).await;
    assert_eq!(writer.told(&["stored"]).await.unwrap()["id"], 1);
    let gone = reader.told(&["comments"]).await.unwrap();
    let gone = &gone["comments"][0];
    assert_eq!(
        (&gone["id"], &gone["deleted"], &gone["text"]),
        (&json!(1), &json!(true), &json!(""))
    );
}

/// Waits for a message with comments of which one is `wanted`.
async fn shown(viewer: &mut Viewer, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it is never told");
        let Some(told) = viewer.told(&["comments"]).await else { continue };
        let comments = told["comments"].as_array().unwrap();
        if let Some(comment) = comments.iter().find(|comment| wanted(comment)) {
            return comment.clone();
        }
    }
}

/// Waits for something that is told beside comments.
async fn aside(viewer: &mut Viewer, key: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "{key} is never told");
        let Some(told) = viewer.told(&["comments"]).await else { continue };
        if wanted(&told[key]) {
            return told[key].clone();
        }
    }
}

/// Says something until the answer is not that one is too fast.
async fn ask(viewer: &mut Viewer, what: Value) -> Value {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "{what} is never answered");
        viewer.say(what.clone()).await;
        let told = viewer.told(&["stored", "refused", "blocks"]).await.expect("an answer");
        match told["retry_after_ms"].as_u64() {
            Some(wait) if told["reason"] == "too-fast" => sleep(Duration::from_millis(wait)).await,
            _ => return told,
        }
    }
}

async fn get(addr: SocketAddr, path: &str, key: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: origin\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moderators_keep_order_and_nobody_else_does() {
    let mut pair = Pair::start().await;
    let edge = pair.edge_http;
    let join = |secret: &str, key: &str| json!({ "type": "join", "after": 0, "secret": secret, "key": key });
    let mut reader = Viewer::join(edge, None, None).await;
    let mut writer = Viewer::join(edge, Some("secret-of-somebody"), None).await;
    let mut moderator =
        Viewer::join_as(edge, join("secret-of-a-moderator", MODERATOR_KEY), None).await;
    assert_eq!(moderator.told(&["role"]).await.unwrap()["moderator"], true);
    let mut forger =
        Viewer::join_as(edge, join("secret-of-a-forger", "not-the-key-of-a-moderator"), None).await;
    assert_eq!(forger.told(&["role"]).await.unwrap()["moderator"], false);

    let post = |client: &str, text: &str| json!({ "type": "post", "client": client, "mt": null, "user": "V", "text": text, "question": true });
    let act = |client: &str, action: Value| {
        let mut act = json!({ "type": "moderate", "client": client });
        act.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
        act
    };
    let approval = json!({ "action": "settings", "closed": false, "approval": true, "slow_ms": 0 });
    let forged = ask(&mut forger, act("f", approval.clone())).await;
    assert_eq!(forged["reason"], "not-moderator");
    let stranger = ask(&mut writer, act("f", approval.clone())).await;
    assert_eq!(stranger["reason"], "not-moderator");
    assert_eq!(ask(&mut moderator, act("1", approval)).await["type"], "stored");
    aside(&mut reader, "room", |room| room["approval"] == true).await;

    // What is held is for moderators, until they let it be seen.
    let stored = ask(&mut writer, post("a", "Is this seen?")).await;
    assert_eq!((&stored["id"], &stored["held"]), (&json!(1), &json!(true)));
    shown(&mut moderator, |comment| comment["held"] == true).await;
    let none = Viewer::join(edge, None, None).await.told(&["comments"]).await.unwrap();
    assert_eq!(none["comments"], json!([]));
    let late = &mut Viewer::join_as(edge, join("secret-of-another", MODERATOR_KEY), None).await;
    shown(late, |comment| comment["held"] == true).await;
    ask(&mut moderator, act("2", json!({ "action": "approve", "id": 1 }))).await;
    let seen = shown(&mut reader, |comment| comment["id"] == 1).await;
    assert_eq!((&seen["held"], &seen["question"]), (&Value::Null, &json!(true)));

    // Votes are counted once for each, and reach everybody.
    for (number, voter) in [&mut writer, &mut moderator, &mut forger].into_iter().enumerate() {
        let vote = json!({ "type": "vote", "client": format!("v-{number}"), "id": 1, "up": true });
        assert_eq!(ask(voter, vote).await["type"], "stored");
    }
    shown(&mut reader, |comment| comment["votes"] == 3).await;
    let pin = act("3", json!({ "action": "pin", "id": 1 }));
    assert_eq!(ask(&mut moderator, pin).await["type"], "stored");
    shown(&mut reader, |comment| comment["pinned"] == true).await;

    // Who is blocked writes no more, by whichever edge and origin.
    let block = json!({ "action": "block", "id": 1, "whom": "writer", "minutes": null });
    assert_eq!(ask(&mut moderator, act("4", block)).await["type"], "stored");
    assert_eq!(ask(&mut writer, post("b", "Still there?")).await["reason"], "blocked");
    let blocks = ask(&mut moderator, act("5", json!({ "action": "blocks" }))).await;
    assert_eq!(blocks["blocks"][0]["whom"], "writer");
    let open = json!({ "action": "settings", "closed": true, "approval": false, "slow_ms": 0 });
    ask(&mut moderator, act("6", open)).await;
    assert_eq!(ask(&mut forger, post("c", "May I?")).await["reason"], "closed");
    let present = json!({ "type": "present", "client": "p", "name": "Grace" });
    forger.say(present).await;
    let own = post("d", "=1+1, said the moderator");
    assert_eq!(ask(&mut moderator, own).await["held"], false);

    let (status, csv) =
        get(pair.origin_http, "/api/v1/broadcasts/talk/comments.csv", MODERATOR_KEY).await;
    assert_eq!(status, 200);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.contains("Is this seen?") && csv.contains("'=1+1, said"), "{csv}");
    let (_, json) =
        get(pair.origin_http, "/api/v1/broadcasts/talk/comments.json", MODERATOR_KEY).await;
    let list: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!((list.len(), &list[0]["votes"]), (2, &json!(3)));
    for (path, key, expected) in [
        ("/api/v1/broadcasts/talk/comments.csv", "not-the-key-of-a-moderator", 401),
        ("/api/v1/broadcasts/talk/comments.csv", "", 401),
        ("/api/v1/broadcasts/other/comments.csv", MODERATOR_KEY, 401),
        ("/api/v1/broadcasts/talk/secrets", MODERATOR_KEY, 404),
        ("/api/v1/nothing", MODERATOR_KEY, 404),
    ] {
        assert_eq!(get(pair.origin_http, path, key).await.0, expected, "{path}");
    }
    let began = Instant::now();
    while !get(pair.origin_http, "/api/v1/broadcasts/talk/attendance.csv", MODERATOR_KEY)
        .await
        .1
        .contains("Grace")
    {
        assert!(began.elapsed() < PATIENCE, "nobody attends");
        sleep(Duration::from_millis(100)).await;
    }

    // All of it holds when everything was killed.
    pair.kill_origin().await;
    pair.kill_edge().await;
    let mut reader = Viewer::join(edge, None, None).await;
    let pinned = shown(&mut reader, |comment| comment["pinned"] == true).await;
    assert_eq!(pinned["votes"], 3);
    aside(&mut reader, "room", |room| room["closed"] == true).await;
}
