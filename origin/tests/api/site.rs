//! An API over a database of its own, called without a network. Every answer is looked up in the document
//! that the API gives of itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use lectern_origin::api::{self, Elsewhere};
use lectern_origin::broadcasts::{Broadcasts, Protocol, TakeHandle};
use lectern_origin::comments::{self, Desk};
use lectern_origin::config::{BroadcastConfig, Secret};
use lectern_origin::control::Control;
use lectern_origin::control::store::Store;
use lectern_origin::database::{Database, news};
use lectern_origin::ingest::Take as _;
use lectern_origin::ingest::flv::Demuxer;
use lectern_origin::metrics::Metrics;
use lectern_origin::oidc::Provider;
use lectern_origin::registrations::{self, Application, Applications, Registrar};
use lectern_origin::timelines::Timelines;
use lectern_origin::webhooks::{self, Networks, Webhooks};
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::comment::{Attempt, AuthorId, Response};
use lectern_relay_proto::net::{
    Announcement, CatalogSubscription, Identity, Publisher, PublisherConfig, PublisherMetrics,
    Subscriber, SubscriberConfig, SubscriberMetrics, Trust,
};
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "correct horse battery";
const PREFIX: &str = "/api/v1";

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Who<'a> {
    Nobody,
    Cookie(&'a str),
    Token(&'a str),
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// The same as it came.
    pub(crate) text: String,
    pub(crate) cookie: Option<String>,
    headers: HeaderMap,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Each of this name.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.headers.get_all(name).iter();
        all.map(|value| value.to_str().expect("text")).collect()
    }

    /// Which field is wrong.
    pub(crate) fn field(&self, at: usize) -> &str {
        self.body["errors"][at]["field"].as_str().unwrap_or("none")
    }
}

pub(crate) struct Site {
    router: Router,
    document: Value,
    control: Arc<Control>,
    elsewhere: Arc<Elsewhere>,
    broadcasts: Arc<Broadcasts>,
    database: Database,
    url: String,
    dir: Arc<TempDir>,
    oidc: Option<Arc<Provider>>,
    applications: Applications,
    registering: CancellationToken,
    following: CancellationToken,
    relay: Publisher,
    _desk: Desk,
    _telling: DropGuard,
    _following: DropGuard,
}

impl Site {
    /// Over the PostgreSQL at `url`, or over SQLite.
    pub(crate) async fn start(url: Option<String>) -> Self {
        Self::start_with(url, None).await
    }

    /// The same, with somebody who vouches for people.
    pub(crate) async fn start_with(url: Option<String>, oidc: Option<Arc<Provider>>) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("temporary directory"));
        let own = || format!("sqlite:{}/lectern.db", dir.path().display());
        Self::open(url.unwrap_or_else(own), dir.clone(), oidc).await
    }

    async fn open(url: String, dir: Arc<TempDir>, oidc: Option<Arc<Provider>>) -> Self {
        let registry = Registry::new();
        let identity = Identity::load_or_create(dir.path()).expect("identity");
        let metrics = PublisherMetrics::register(&registry).expect("metrics");
        let loopback = "127.0.0.1:0".parse().expect("an address");
        let relay = Publisher::bind(PublisherConfig::new(loopback, identity, metrics));
        let relay = relay.expect("bind");
        let database = Database::new(&url).expect("a URL");
        database.ready().await.expect("open");
        let timelines = Timelines::new(database.clone());
        let metrics = Metrics::register(&registry).expect("metrics");
        let broadcasts = Broadcasts::new(relay.announcer().clone(), timelines, metrics);
        let broadcasts = Arc::new(broadcasts);
        let comments = comments::store::Store::new(database.clone());
        let metrics = comments::Metrics::register(&registry).expect("metrics");
        let (desk, rooms) = Desk::new(comments.clone(), metrics);
        let provisioned =
            [BroadcastConfig::new("provisioned".parse().expect("an id"), Secret::new("file-key"))];
        let store = Store::new(database.clone());
        let control = Control::new(store, broadcasts.clone(), rooms, &provisioned).await;
        let control = Arc::new(control.expect("provisioned"));
        control.load().await.expect("loaded");
        let metrics = registrations::Metrics::register(&registry).expect("metrics");
        let (registrar, applications) = Registrar::new(control.clone(), metrics);
        let registering = CancellationToken::new();
        tokio::spawn(registrar.run(registering.clone()));
        let settings =
            api::Settings { rtmp_port: 1935, watch_url: "/watch/".to_owned(), oidc: oidc.clone() };
        let metrics = webhooks::Metrics::register(&registry).expect("metrics");
        let networks = Networks::parse(&["127.0.0.1".to_owned()]).expect("networks");
        let webhooks = Arc::new(Webhooks::new(control.clone(), networks, metrics));
        let (telling, following) = (CancellationToken::new(), CancellationToken::new());
        let (told, cancel) = (webhooks.clone(), telling.clone());
        tokio::spawn(async move { told.run(cancel).await });
        let elsewhere = Arc::new(Elsewhere::new(control.clone()));
        let router = api::routes(control.clone(), elsewhere.clone(), comments, webhooks, settings);
        let mut site = Self {
            router,
            document: Value::Null,
            control,
            elsewhere,
            broadcasts,
            database,
            url,
            dir,
            oidc,
            applications,
            registering,
            following: following.clone(),
            relay,
            _desk: desk,
            _telling: telling.drop_guard(),
            _following: following.drop_guard(),
        };
        site.document = site.get(Who::Nobody, "/openapi.json").await.body;
        site
    }

    /// Runs as an origin does, which follows what others on the same database change.
    pub(crate) fn follow(&self) {
        let (control, database) = (self.control.clone(), self.database.clone());
        let (cancel, also) = (self.following.clone(), self.following.clone());
        let metrics = news::Metrics::register(&Registry::new()).expect("metrics");
        let (broadcasts, over) = (self.broadcasts.clone(), self.following.clone());
        tokio::spawn(async move { control.run(cancel).await });
        tokio::spawn(async move { broadcasts.run(over).await });
        let (elsewhere, silent) = (self.elsewhere.clone(), self.following.clone());
        tokio::spawn(async move { elsewhere.run(silent).await });
        tokio::spawn(async move { database.listen(Box::new(|_| {}), metrics, also).await });
    }

    /// What edges are told of a broadcast, for as long as the other lives.
    pub(crate) async fn catalogs(&self, id: &str) -> (CatalogSubscription, Subscriber) {
        let identity = Identity::load_or_create(self.dir.path()).expect("identity");
        let mut edge = Subscriber::start(SubscriberConfig {
            upstreams: vec![self.relay.local_addr().expect("bound").to_string()],
            server_name: Some("localhost".to_owned()),
            trust: Trust::Certificates(identity.certificate_pem().to_owned()),
            token: None,
            relay: None,
            identity: None,
            metrics: SubscriberMetrics::register(&Registry::new()).expect("metrics"),
        })
        .expect("an edge");
        loop {
            match edge.next().await.expect("open") {
                Announcement::Live(live) if live.id().as_str() == id => {
                    return (live.catalogs().await.expect("there"), edge);
                }
                _ => {}
            }
        }
    }

    /// What is told over `path` as it happens.
    pub(crate) async fn events(&self, who: Who<'_>, path: &str) -> BodyDataStream {
        let Who::Cookie(cookie) = who else { panic!("signed in") };
        let request = Request::get(format!("{PREFIX}{path}")).header(COOKIE, cookie);
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().into_data_stream()
    }

    /// The same, begun anew.
    pub(crate) async fn restart(self) -> Self {
        let Self { url, dir, database, oidc, registering, .. } = self;
        registering.cancel();
        database.close().await;
        Self::open(url, dir, oidc).await
    }

    pub(crate) fn setup_token(&self) -> Option<String> {
        self.control.setup_token()
    }

    /// Whether one may publish with this key.
    pub(crate) async fn opens(&self, key: &str) -> bool {
        self.broadcasts.claim(key, Protocol::Rtmp).await.is_ok()
    }

    /// Whoever publishes with this key.
    pub(crate) async fn publish(&self, key: &str) -> TakeHandle {
        self.broadcasts.claim(key, Protocol::Rtmp).await.expect("let in")
    }

    /// Whether somebody publishes to this broadcast.
    pub(crate) fn is_on_air(&self, id: &str) -> bool {
        let status = self.broadcasts.status(&id.parse().expect("an id"));
        status.is_some_and(|status| status.publisher.is_some())
    }

    /// These are the configuration file's from now on; or why not.
    pub(crate) async fn provision(&self, file: Vec<BroadcastConfig>) -> Result<(), String> {
        self.control.provision(file).await.map_err(|why| why.to_string())
    }

    /// The cookie of the first account.
    pub(crate) async fn admin(&mut self) -> String {
        let token = self.setup_token().expect("no account yet");
        let wish = json!({"token": token, "login": "ada", "name": "Ada", "password": PASSWORD});
        let made = self.post(Who::Nobody, "/setup", wish).await;
        cookie_of(&made)
    }

    /// The cookie of another account.
    pub(crate) async fn account(&mut self, admin: Who<'_>, login: &str, role: &str) -> String {
        let wish = json!({"login": login, "name": login, "role": role, "password": PASSWORD});
        let made = self.post(admin, "/accounts", wish).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        self.sign_in(login, PASSWORD).await
    }

    pub(crate) async fn sign_in(&self, login: &str, password: &str) -> String {
        let credentials = json!({"login": login, "password": password});
        let answer = self.post(Who::Nobody, "/session", credentials).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        cookie_of(&answer)
    }

    /// What the origin tells an edge, one of whose viewers answers this.
    pub(crate) async fn register(&self, id: &str, attempt: &str, answers: Value) -> Response {
        let (sender, told) = oneshot::channel();
        let client = attempt.to_owned().try_into().expect("a name");
        let broadcast = id.parse().expect("an id");
        self.applications.send(Application {
            attempt: Attempt { broadcast, author: AuthorId::nobody(), client },
            answers: serde_json::from_value(answers).expect("an object"),
            reply: Box::new(|response| drop(sender.send(response))),
        });
        told.await.expect("an answer")
    }

    pub(crate) async fn get(&self, who: Who<'_>, path: &str) -> Answer {
        self.call(who, Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&self, who: Who<'_>, path: &str, body: Value) -> Answer {
        self.call(who, Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn call(
        &self,
        who: Who<'_>,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut headers = headers.to_vec();
        if !body.is_empty() {
            headers.push((CONTENT_TYPE.as_str(), "application/json"));
        }
        self.raw(who, method, path, body.as_bytes(), &headers).await
    }

    pub(crate) async fn raw(
        &self,
        who: Who<'_>,
        method: Method,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method.clone()).uri(format!("{PREFIX}{path}"));
        request = match who {
            Who::Nobody => request,
            Who::Cookie(cookie) => request.header(COOKIE, cookie),
            Who::Token(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_vec())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        assert!(!status.is_server_error(), "{method} {path}: {status}");
        self.look_up(&method, path, status);
        let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let cookie = headers.get(SET_COOKIE).map(|value| value.to_str().expect("text").to_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status, body, text, cookie, headers }
    }

    /// Fails if the document does not say that this may be answered.
    fn look_up(&self, method: &Method, path: &str, status: StatusCode) {
        let path = path.split('?').next().unwrap_or_default();
        let Some(paths) = self.document["paths"].as_object() else { return };
        let parts: Vec<_> = path.split('/').collect();
        let fits = |template: &str| {
            let named: Vec<_> = template.split('/').collect();
            let same = |(part, named): (&&str, &&str)| part == named || named.starts_with('{');
            named.len() == parts.len() && parts.iter().zip(&named).all(same)
        };
        // What is written out comes before what stands for anything.
        let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        let Some((template, item)) = found.first() else {
            assert_eq!(status, StatusCode::NOT_FOUND, "{path} is not documented");
            return;
        };
        let operation = &item[method.as_str().to_lowercase()];
        if operation.is_null() {
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {template}");
            return;
        }
        let documented = &operation["responses"][status.as_str()];
        assert!(documented.is_object(), "{method} {template}: {status} is not documented");
    }
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.cookie.as_deref().expect("a cookie");
    cookie.split(';').next().expect("a name and a value").to_owned()
}

/// Four seconds of silence, as an encoder sends it.
pub(crate) fn publish_sound(take: &mut TakeHandle) {
    const HEADER: [u8; 4] = [0xaf, 0, 0x11, 0x90];
    const SILENCE: [u8; 8] = [0xaf, 1, 0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];
    let mut demuxer = Demuxer::new();
    let bodies = std::iter::once(&HEADER[..]).chain(std::iter::repeat_n(&SILENCE[..], 200));
    let began = UtcTime::from(SystemTime::now());
    for (at, body) in bodies.enumerate() {
        let at_ms = at as u32 * 1_024 / 48;
        let tag = demuxer.audio(at_ms, Bytes::from_static(body)).expect("AAC");
        if let Some(tag) = tag {
            let arrived = began + Duration::from_millis(at_ms.into());
            take.push(tag, arrived).expect("taken");
        }
    }
}
