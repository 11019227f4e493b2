//! Who is asked to register watches once they have, at any edge and after its restart; nobody else does.
//! The origin keeps what they answered, once, whatever is sent again.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use lectern_edge::{Edge, Upstream};
use lectern_origin::Origin;
use lectern_relay_proto::net::Trust;
use prometheus::Registry;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::stack::{ANY, DEADLINE, Running, client};

const POLL: Duration = Duration::from_millis(30);
const ANSWERS: &str = r#"{"full-name":"Ada","terms":true}"#;

/// An origin with an account of a host's, and no broadcast.
struct Host {
    origin: Option<Running>,
    api: SocketAddr,
    relay: SocketAddr,
    certificate: String,
    cookie: String,
    client: Client,
    _dir: TempDir,
}

impl Host {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = lectern_origin::config::Config {
            rtmp: ANY,
            relay: ANY,
            http: ANY,
            media: ANY,
            relay_token: Some("e2e".parse().unwrap()),
            ..Default::default()
        };
        let registry = Registry::new();
        let origin = Origin::start(&config, &[], dir.path(), Router::new(), &registry).await;
        let origin = origin.unwrap();
        let (api, relay) = (origin.http_addr(), origin.relay_addr());
        let certificate = origin.certificate_pem().to_owned();
        let token = origin.setup_tokens().borrow().clone().unwrap();
        let origin = Some(Running::spawn(async |cancel| origin.run(cancel).await));
        let client = client();
        let cookie = String::new();
        let mut host = Self { origin, api, relay, certificate, cookie, client, _dir: dir };
        let account = json!({"token": token, "login": "ada", "name": "Ada",
            "password": "correct horse battery"});
        let made = host.api(Method::POST, "/setup").json(&account).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED);
        let cookie = made.headers()["set-cookie"].to_str().unwrap();
        host.cookie = cookie.split(';').next().unwrap().to_owned();
        host
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}/api/v1{path}", self.api);
        self.client.request(method, url).header("cookie", &self.cookie)
    }

    /// Makes a broadcast that asks.
    async fn ask(&self, id: &str, visibility: &str) {
        let broadcast = json!({"id": id, "visibility": visibility, "registration": {
        "notice": "Kept a week.", "fields": [
            {"name": "full-name", "label": "Your name", "kind": "text", "required": true},
            {"name": "terms", "label": "I agree", "kind": "checkbox", "required": true},
        ]}});
        let made = self.api(Method::POST, "/broadcasts").json(&broadcast).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.text().await.unwrap());
    }

    async fn rows(&self, id: &str) -> Vec<String> {
        let path = format!("/broadcasts/{id}/registrations.csv");
        let file = self.api(Method::GET, &path).send().await.unwrap().text().await.unwrap();
        file.lines().skip(1).map(str::to_owned).collect()
    }

    async fn edge(&self) -> Watched {
        let config = lectern_edge::config::Config { http: ANY, media: ANY, ..Default::default() };
        let upstream = Upstream {
            addresses: vec![self.relay.to_string()],
            name: Some("localhost".to_owned()),
            trust: Trust::Certificates(self.certificate.clone()),
            token: Some("e2e".parse().unwrap()),
            identity: None,
        };
        let edge = Edge::start(&config, upstream, Router::new(), &Registry::new()).await.unwrap();
        let http = edge.http_addr();
        let running = Running::spawn(async |cancel| edge.run(cancel).await);
        Watched { http, client: self.client.clone(), running }
    }
}

/// An edge.
struct Watched {
    http: SocketAddr,
    client: Client,
    running: Running,
}

impl Watched {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// The status, and why it is none that one would like, with this token.
    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let request = self.client.get(self.url(path));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let answer = request.send().await.unwrap();
        let why = answer.headers().get("lectern-reason");
        let why = why.map(|why| why.to_str().unwrap().to_owned()).unwrap_or_default();
        (answer.status().as_u16(), why)
    }

    /// Once the edge has heard of the broadcast.
    async fn hears_of(&self, id: &str) {
        let began = Instant::now();
        let path = format!("/live/{id}/registration");
        while self.get(&path, "").await.0 != 200 {
            assert!(began.elapsed() < DEADLINE, "{id} is not heard of");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn register(&self, id: &str, answers: &str, attempt: &str) -> (u16, Value) {
        let body = format!(r#"{{"answers":{answers},"attempt":"{attempt}"}}"#);
        let request = self.client.post(self.url(&format!("/live/{id}/registration")));
        let answer = request.body(body).timeout(DEADLINE).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_is_let_in_and_stays_so_and_nobody_else_is() {
    let mut host = Host::start().await;
    for (id, visibility) in [("open", "public"), ("hidden", "unlisted")] {
        host.ask(id, visibility).await;
    }
    let edge = host.edge().await;
    for id in ["open", "hidden"] {
        edge.hears_of(id).await;
        for path in ["", "/manifest.mpd", "/index.m3u8", "/comments.vtt", "/comments/0.jsonl"] {
            let path = format!("/live/{id}{path}");
            let refused = (401, "registration-required".to_owned());
            assert_eq!(edge.get(&path, "").await, refused, "{path}");
        }
    }
    // The lobby has it all the same.
    let list = edge.client.get(edge.url("/live")).send().await.unwrap().text().await.unwrap();
    assert!(list.contains("open") && !list.contains("hidden"), "{list}");

    let (status, problem) = edge.register("open", r#"{"full-name":" "}"#, "try-1").await;
    assert_eq!((status, &problem["code"]), (422, &json!("invalid")), "{problem}");
    let (status, first) = edge.register("open", ANSWERS, "try-1").await;
    assert_eq!(status, 200, "{first}");
    let token = first["token"].as_str().unwrap().to_owned();
    // As if the answer had been lost on the way: the same, and no second row.
    let (status, again) = edge.register("open", ANSWERS, "try-1").await;
    assert_eq!((status, &again["token"]), (200, &first["token"]));
    let rows = host.rows("open").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0].ends_with(",Ada,yes"), "{rows:?}");
    edge.register("open", ANSWERS, "try-2").await;
    assert_eq!(host.rows("open").await.len(), 2);

    assert_eq!(edge.get("/live/open", &token).await.0, 200);
    let elsewhere = edge.get("/live/hidden", &token).await;
    assert_eq!(elsewhere, (401, "registration-required".to_owned()), "it is for one broadcast");

    edge.running.stop().await;
    let edge = host.edge().await;
    edge.hears_of("open").await;
    assert_eq!(edge.get("/live/open", &token).await.0, 200, "at another edge");

    // Other questions hold at once, whatever the edge knew.
    let path = "/broadcasts/open";
    let etag = host.api(Method::GET, path).send().await.unwrap().headers()["etag"].clone();
    let form = json!({"registration": {"notice": null, "fields": [
        {"name": "mail", "label": "Mail", "kind": "email", "required": true}]}});
    let set = host.api(Method::PATCH, path).header("if-match", etag).json(&form);
    assert_eq!(set.send().await.unwrap().status(), StatusCode::OK);
    let (status, problem) = edge.register("open", ANSWERS, "try-3").await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(edge.get("/live/open", &token).await.0, 200, "who was let in stays so");

    let mail = r#"{"mail":"ada@uni.example"}"#;
    // By the form that has reached the edge by now, or will.
    let began = Instant::now();
    while edge.register("open", mail, "try-4").await.0 != 200 {
        assert!(began.elapsed() < DEADLINE, "the edge does not hear of the new form");
        tokio::time::sleep(POLL).await;
    }
    host.origin.take().unwrap().stop().await;
    let (status, problem) = edge.register("open", mail, "try-5").await;
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
    assert_eq!(edge.get("/live/open", &token).await.0, 200, "also without the origin");
}
