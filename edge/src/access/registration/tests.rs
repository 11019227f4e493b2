//! The form as browsers and strangers fill it in, with an origin made up.

use axum::http::StatusCode;
use lectern_relay_proto::Catalog;
use lectern_relay_proto::about::Visibility;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::timeline::testing::Script;
use crate::{live, timeline};

/// What an origin would say to each who registers, or nothing.
type Origin = fn(Attempt) -> Option<Told>;

fn lets_in(attempt: Attempt) -> Option<Told> {
    Some(Told::Registered { attempt, token: "a.b.c".to_owned(), expires: 4_000_000_000_000 })
}

struct Edge {
    router: Router,
    asked: Arc<Mutex<Vec<Value>>>,
    registry: Registry,
}

impl Edge {
    /// With `talk`, which asks for a name and a mark, `open`, which asks nobody anything, and `closed`, which
    /// is for those who were invited and would ask others.
    fn new(origin: Origin) -> Self {
        let registry = Registry::new();
        let metrics = live::Metrics::register(&registry).unwrap();
        let directory = Directory::new(timeline::Config::default(), metrics);
        directory.set_informed(true);
        let form = json!({"notice": "Kept a week.", "fields": [
            {"name": "full-name", "label": "Your name", "kind": "text", "required": true},
            {"name": "terms", "label": "I agree", "kind": "checkbox", "required": true},
        ]});
        let asking: About =
            serde_json::from_value(json!({"title": "A talk", "registration": form})).unwrap();
        let closed = About { visibility: Visibility::Token, ..asking.clone() };
        for (id, about) in [("talk", asking), ("open", About::default()), ("closed", closed)] {
            let live = directory.open(id.parse().unwrap()).unwrap();
            live.set_catalog(Catalog { about, ..Script::new(&[2_000; 2]).catalog() });
        }
        directory.open("soon".parse().unwrap()).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let ask: Ask = Box::new(move |request, sender| {
            kept.lock().unwrap().push(serde_json::to_value(request).unwrap());
            if let Some(told) = origin(request.attempt().unwrap().clone()) {
                sender.try_send(told).unwrap();
            } else {
                // It is not answered, and nobody hangs up.
                std::mem::forget(sender);
            }
            Ok(())
        });
        let metrics = Metrics::register(&registry).unwrap();
        Self { router: routes(directory, ask, metrics), asked, registry }
    }

    async fn send(&self, method: &str, id: &str, body: impl Into<Body>) -> Answer {
        let request = axum::http::Request::builder().method(method);
        let request = request.uri(format!("/live/{id}/registration"));
        let request = request.header("origin", "https://lms.example").body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        assert_eq!(head.headers["access-control-allow-origin"], "https://lms.example");
        assert_eq!(head.headers["access-control-allow-credentials"], "true");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn post(&self, body: Value) -> Answer {
        self.send("POST", "talk", body.to_string()).await
    }

    fn counted(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics.iter().map(|metric| metric.get_counter().get_value()).sum()
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

fn answers() -> Value {
    json!({"full-name": "Ada", "terms": true})
}

#[tokio::test]
async fn the_form_is_for_everybody_and_only_where_there_is_one() {
    let edge = Edge::new(lets_in);
    let form = edge.send("GET", "talk", "").await;
    assert_eq!(form.status, StatusCode::OK);
    assert_eq!(form.headers["cache-control"], "no-store");
    let name = json!({"name": "full-name", "label": "Your name", "kind": "text",
        "required": true, "options": []});
    assert_eq!(
        (&form.body["title"], &form.body["notice"]),
        (&json!("A talk"), &json!("Kept a week."))
    );
    assert_eq!(form.body["fields"][0], name);
    for (id, code) in
        [("open", "no-registration"), ("closed", "no-registration"), ("nobody", "unknown")]
    {
        for method in ["GET", "POST"] {
            let answer = edge.send(method, id, json!({"answers": {}}).to_string()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {id}");
            assert_eq!(answer.body["code"], code, "{method} {id}");
        }
    }
    let soon = edge.send("GET", "soon", "").await;
    assert_eq!(soon.status, StatusCode::SERVICE_UNAVAILABLE);
    let asked = edge.send("OPTIONS", "talk", "").await;
    assert_eq!(asked.status, StatusCode::NO_CONTENT);
    assert_eq!(asked.headers["access-control-allow-headers"], "Authorization, Content-Type");
}

#[tokio::test]
async fn who_answers_is_let_in_with_a_token_and_the_cookie() {
    let edge = Edge::new(lets_in);
    let answer = edge.post(json!({"answers": answers(), "attempt": "try-1"})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body, json!({"token": "a.b.c", "expires_at": 4_000_000_000_000_u64}));
    assert_eq!(answer.headers["cache-control"], "no-store");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].to_str().unwrap().starts_with("lectern-viewer=a.b.c; Max-Age="));
    // Another without a name is another each time.
    edge.post(json!({"answers": answers()})).await;
    edge.post(json!({"answers": answers()})).await;
    let asked = edge.asked.lock().unwrap().clone();
    assert_eq!((&asked[0]["type"], &asked[0]["client"]), (&json!("register"), &json!("try-1")));
    assert_eq!(asked[0]["answers"], answers());
    assert_ne!(asked[1]["client"], asked[2]["client"]);
    assert_eq!(edge.counted("lectern_edge_registrations_total"), 3.0);
}

#[tokio::test]
async fn what_is_no_filled_form_gets_no_further() {
    let edge = Edge::new(lets_in);
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    for (answers, field, code) in [
        (json!({"terms": true}), "full-name", "required"),
        (json!({"full-name": "Ada"}), "terms", "required"),
        (json!({"full-name": "Ada", "terms": false}), "terms", "required"),
        (json!({"full-name": "a\nb", "terms": true}), "full-name", "line"),
        (json!({"full-name": "x".repeat(501), "terms": true}), "full-name", "too-long"),
        (json!({"full-name": {"a": 1}, "terms": true}), "full-name", "kind"),
        (json!({"full-name": "Ada", "terms": true, "more": 1}), "more", "unknown"),
    ] {
        let shown = answers.to_string();
        let answer = edge.post(json!({ "answers": answers })).await;
        assert_eq!((answer.status, &answer.body["code"]), (invalid, &json!("invalid")), "{shown}");
        let error = &answer.body["errors"][0];
        assert_eq!((&error["field"], &error["code"]), (&json!(field), &json!(code)), "{shown}");
        assert!(error["detail"].is_string() && answer.body["errors"][1].is_null(), "{shown}");
    }
    let bad = StatusCode::BAD_REQUEST;
    for (body, status) in [
        (String::new(), bad),
        ("{".to_owned(), bad),
        ("[]".to_owned(), bad),
        (r#"{"answers":[]}"#.to_owned(), bad),
        (r#"{"answers":{},"x":1}"#.to_owned(), bad),
        (r#"{"answers":{},"attempt":"a b"}"#.to_owned(), bad),
        ("[".repeat(10_000), bad),
        (" ".repeat(BODY_BYTES_MAX + 1), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let shown = body.chars().take(40).collect::<String>();
        let answer = edge.send("POST", "talk", body).await;
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{shown}");
    }
    assert!(edge.asked.lock().unwrap().is_empty());
    assert_eq!(edge.counted("lectern_edge_registrations_refused_total"), 15.0);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_away_or_refuses_is_told_of() {
    let refuses: [(Origin, u16, &str); 4] = [
        (|_| None, 503, "unavailable"),
        (|attempt| Some(Told::NotRegistered { attempt, why: NotRegistered::Busy }), 503, "busy"),
        (
            |attempt| Some(Told::NotRegistered { attempt, why: NotRegistered::Full }),
            409,
            "registration-full",
        ),
        (
            |attempt| {
                let (reason, retry_after_ms) = (comment::Refusal::Unavailable, Some(3_000));
                Some(Told::Refused { attempt, reason, retry_after_ms })
            },
            503,
            "unavailable",
        ),
    ];
    for (origin, status, code) in refuses {
        let answer = Edge::new(origin).post(json!({"answers": answers()})).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)));
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503, "{code}");
        assert!(answer.body["detail"].as_str().unwrap().ends_with('.'), "{}", answer.body);
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn one_client_registers_a_lecture_hall_and_no_more() {
    let edge = Edge::new(lets_in);
    let mut taken = 0;
    loop {
        let answer = edge.post(json!({"answers": answers()})).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers.contains_key("retry-after"));
            break;
        }
        taken += 1;
        assert!(taken < 2 * LINE.burst, "there is no end");
    }
    assert!(taken >= LINE.burst);
}
