//! Webhooks, told to a server that listens.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lectern_origin::ingest::Take as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::postgres::Postgres;
use super::site::{Site, Who, publish_sound};

const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// A server of somebody who wants to hear what happens.
struct Listener {
    addr: SocketAddr,
    heard: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
}

impl Listener {
    /// Answers with each of `statuses` in turn, then with 204.
    async fn start(statuses: &[u16]) -> Self {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let addr = socket.local_addr().expect("bound");
        let (sender, heard) = mpsc::unbounded_channel();
        let statuses: Arc<Mutex<VecDeque<u16>>> =
            Arc::new(Mutex::new(statuses.iter().copied().collect()));
        let hear = async move |headers: HeaderMap, body: Bytes| {
            sender.send((headers, body)).expect("the test listens");
            let status = statuses.lock().expect("whole").pop_front().unwrap_or(204);
            StatusCode::from_u16(status).expect("a status")
        };
        let router = Router::new().route("/hook", axum::routing::post(hear));
        tokio::spawn(async move { axum::serve(socket, router).await });
        Self { addr, heard }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    /// What comes next, if `secret` signed it: its name and body.
    async fn next(&mut self, secret: &str) -> (String, Value) {
        let heard = tokio::time::timeout(HEARD_WITHIN, self.heard.recv()).await;
        let (headers, body) = heard.expect("in time").expect("open");
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        let key = BASE64.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = [id.as_bytes(), b".", at.as_bytes(), b".", &body].concat();
        let signature = header("webhook-signature");
        let signature = signature.strip_prefix("v1,").expect("version 1");
        let signature = BASE64.decode(signature).expect("base64");
        hmac::verify(&key, &signed, &signature).expect("signed by us");
        let seconds: u64 = at.parse().expect("seconds");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later");
        assert!(now.as_secs().abs_diff(seconds) < 5);
        (id, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn next_event(&mut self, secret: &str) -> String {
        self.next(secret).await.1["type"].as_str().expect("a word").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_hears_what_happens_on_sqlite() {
    a_webhook_hears_what_happens(Site::start(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_hears_what_happens_on_postgres() {
    let server = Postgres::start();
    a_webhook_hears_what_happens(Site::start(Some(server.url())).await).await;
}

async fn a_webhook_hears_what_happens(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let made = site.post(ada, "/broadcasts", json!({"id": "algebra-1", "title": "Algebra"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let key = site.post(ada, "/broadcasts/algebra-1/keys", json!({})).await;
    let key = key.body["key"].as_str().expect("shown once").to_owned();
    let mut listener = Listener::start(&[503]).await;
    let events = json!(["broadcast.live", "broadcast.ended", "finding.appeared"]);
    let wish = json!({"url": listener.url(), "events": events, "broadcast": "algebra-1"});
    let made = site.post(ada, "/webhooks", wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let secret = made.body["secret"].as_str().expect("shown once").to_owned();
    let path = format!("/webhooks/{}", made.body["id"].as_str().expect("an id"));
    let etag = made.header("etag").to_owned();
    let seen = site.get(ada, &path).await;
    assert!(seen.body.get("secret").is_none(), "{}", seen.body);
    assert_eq!(seen.body["last"], Value::Null);

    // Another broadcast is none of its business.
    let mut other = site.publish("file-key").await;
    publish_sound(&mut other);
    let mut take = site.publish(&key).await;
    publish_sound(&mut take);
    // Both happen at once, and are under way at a time.
    let (name, first) = listener.next(&secret).await;
    let (_, second) = listener.next(&secret).await;
    let is_live = first["type"] == "broadcast.live";
    let (live, found) = if is_live { (&first, &second) } else { (&second, &first) };
    assert_eq!(live["type"], "broadcast.live");
    let broadcast = &live["data"]["broadcast"];
    assert_eq!((&broadcast["id"], &broadcast["title"]), (&json!("algebra-1"), &json!("Algebra")));
    assert_eq!(broadcast["state"], "live");
    assert_eq!(found["type"], "finding.appeared");
    assert_eq!(found["data"]["finding"]["code"], "video-missing");
    // The second did not wait for the first, which was answered 503 and is told once more, under the same name.
    assert_eq!(listener.next(&secret).await, (name.clone(), first.clone()));
    take.end(true);
    assert_eq!(listener.next_event(&secret).await, "broadcast.ended");

    let all = format!("{path}/deliveries");
    // Each is noted once it has been answered, and two are under way at a time.
    let is_noted = |item: &Value| item["status"] == 204;
    let noted = |body: &Value| body["items"].as_array().is_some_and(|all| all.iter().all(is_noted));
    let told = until(&site, ada, &all, noted).await;
    let items = told["items"].as_array().expect("a list");
    assert_eq!(items.len(), 3, "{told}");
    let again = items.iter().find(|item| item["id"] == name).expect("remembered");
    assert_eq!((&again["event"], &again["attempts"]), (&first["type"], &json!(2)));
    assert_eq!((&again["error"], &again["next_at"]), (&Value::Null, &Value::Null));
    let rest = site.get(ada, &format!("{path}/deliveries?limit=1")).await.body;
    let after = rest["next"].as_str().expect("there is more");
    let rest = site.get(ada, &format!("{path}/deliveries?after={after}")).await.body;
    assert_eq!(rest["items"], json!(items[1..]));

    // Turned off, it hears nothing.
    let change = json!({"active": false, "events": ["broadcast.live"]});
    let headers = [("if-match", etag.as_str())];
    let changed = site.call(ada, Method::PATCH, &path, Some(change.clone()), &headers).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    let stale = site.call(ada, Method::PATCH, &path, Some(change), &headers).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let refused = site.post(ada, &format!("{path}/test"), json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let etag = changed.header("etag").to_owned();
    let on = Some(json!({"active": true}));
    let changed = site.call(ada, Method::PATCH, &path, on, &[("if-match", &etag)]).await;
    let etag = changed.header("etag").to_owned();
    let tested = site.post(ada, &format!("{path}/test"), json!({})).await;
    assert_eq!(tested.status, StatusCode::ACCEPTED);
    assert_eq!(listener.next_event(&secret).await, "test");

    let removed = site.call(ada, Method::DELETE, &path, None, &[("if-match", &etag)]).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(ada, &path).await.status, StatusCode::NOT_FOUND);
    assert!(listener.heard.try_recv().is_err(), "nothing else was told");
}

/// What was to be told is told by whoever has the database next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_heard_is_told_after_a_restart() {
    let mut site = Site::start(None).await;
    let cookie = site.admin().await;
    let ada = Who::Cookie(&cookie);
    let mut listener = Listener::start(&[500]).await;
    let wish = json!({"url": listener.url(), "events": ["broadcast.live"]});
    let made = site.post(ada, "/webhooks", wish).await;
    let secret = made.body["secret"].as_str().expect("shown once").to_owned();
    let path = format!("/webhooks/{}", made.body["id"].as_str().expect("an id"));
    site.post(ada, &format!("{path}/test"), json!({})).await;
    let (name, _) = listener.next(&secret).await;
    let deliveries = format!("{path}/deliveries");
    let failed = until(&site, ada, &deliveries, |body| body["items"][0]["status"] == 500).await;
    assert!(failed["items"][0]["next_at"].is_string(), "{failed}");
    let last = site.get(ada, &path).await.body["last"].clone();
    assert!(last["error"].as_str().is_some_and(|why| why.contains("500")), "{last}");
    let _site = site.restart().await;
    assert_eq!(listener.next(&secret).await.0, name);
}

/// A server that says that it is gone is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_is_turned_off_and_who_leads_elsewhere_is_not_followed() {
    let mut site = Site::start(None).await;
    let cookie = site.admin().await;
    let ada = Who::Cookie(&cookie);
    for (status, active, says) in [(410, false, "turned off"), (302, true, "not followed")] {
        let listener = Listener::start(&[status]).await;
        let wish = json!({"url": listener.url(), "events": ["broadcast.live"]});
        let made = site.post(ada, "/webhooks", wish).await;
        let path = format!("/webhooks/{}", made.body["id"].as_str().expect("an id"));
        site.post(ada, &format!("{path}/test"), json!({})).await;
        let told = until(&site, ada, &path, |body| body["last"].is_object()).await;
        assert_eq!(told["active"], active, "{told}");
        assert!(told["last"]["error"].as_str().is_some_and(|why| why.contains(says)), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_to_what_is_not_public() {
    let mut site = Site::start(None).await;
    let cookie = site.admin().await;
    let ada = Who::Cookie(&cookie);
    for url in [
        "https://127.0.0.2/",
        "http://[::1]:8088/api/v1/session",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "http://93.184.216.34/",
        "file:///etc/passwd",
        "https://user:secret@lms.example/",
        "not an address",
        "",
    ] {
        let refused = site.post(ada, "/webhooks", json!({"url": url, "events": ["test"]})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
        assert_eq!(refused.field(0), "url", "{url}");
    }
    // What a name leads to is seen when it is used.
    let wish = json!({"url": "https://localhost:1/", "events": ["broadcast.live"]});
    let made = site.post(ada, "/webhooks", wish).await;
    let path = format!("/webhooks/{}", made.body["id"].as_str().expect("an id"));
    site.post(ada, &format!("{path}/test"), json!({})).await;
    let told = until(&site, ada, &path, |body| body["last"].is_object()).await;
    let why = told["last"]["error"].as_str().expect("a sentence");
    // Where it is 127.0.0.1 alone, which is allowed here, nobody answers.
    assert!(why.contains("not a public address") || why.contains("nobody answers"), "{why}");

    let unknown = json!({"url": "https://lms.example/", "events": [], "broadcast": "none"});
    let refused = site.post(ada, "/webhooks", unknown).await;
    assert_eq!((refused.field(0), refused.field(1)), ("events", "broadcast"));
    let host = site.account(ada, "bob", "host").await;
    assert_eq!(site.get(Who::Cookie(&host), "/webhooks").await.status, StatusCode::FORBIDDEN);
}

/// What stands at `path` once it is as `wanted`.
async fn until(site: &Site, who: Who<'_>, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..400 {
        let body = site.get(who, path).await.body;
        if wanted(&body) {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} has not become what was wanted");
}
