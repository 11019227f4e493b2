//! The clock and the locks around the roll, and what requests say.

use axum::body::Body;
use prometheus::{Registry, TextEncoder};

use super::*;

const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
const SAFARI: &str =
    "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1";
const APPLE_MEDIA: &str =
    "AppleCoreMedia/1.0.0.21A329 (iPhone; U; CPU OS 17_0 like Mac OS X; en_us)";

fn audience() -> (Arc<Audience>, Registry) {
    let registry = Registry::new();
    (Audience::new(Metrics::register(&registry).unwrap()), registry)
}

fn request(address: &str, agent: &str, path: &str) -> Request<Body> {
    let mut request = Request::get(path).header(USER_AGENT, agent).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Client(address.parse().unwrap()));
    request
}

impl Audience {
    fn is_asked(&self, address: &str, agent: &str, asked: Asked) -> bool {
        let asking = self.asking(&request(address, agent, "/live/talk/any"), asked);
        asking.map(|asking| self.asked(asking, StatusCode::OK)).is_some()
    }

    fn is_told(&self, address: &str, agent: &str, report: &str) {
        let request = request(address, agent, "/");
        let client = client_of(request.extensions());
        let viewer = serde_json::from_str(report).unwrap();
        self.said(&"talk".parse().unwrap(), client, request.headers(), viewer);
    }

    fn counted(&self) -> [u32; 3] {
        self.count([]);
        self.counts(&"talk".parse().unwrap()).by_path()
    }
}

#[tokio::test(start_paused = true)]
async fn most_requests_end_before_the_roll() {
    let (audience, _) = audience();
    let part = Asked::Media(Some(HttpPath::Hls));
    let mut passed = 0;
    for _ in 0..130 {
        passed += usize::from(audience.is_asked("192.0.2.1", CHROME, part));
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(passed, 13);
    assert_eq!(audience.counted(), [0, 0, 1]);
    let refused = audience.asking(&request("192.0.2.2", CHROME, "/live/talk/any"), part).unwrap();
    audience.asked(refused, StatusCode::NOT_FOUND);
    for path in ["/live/a%20b/any", "/live", "/"] {
        assert!(audience.asking(&request("192.0.2.3", CHROME, path), part).is_none(), "{path}");
    }
    assert_eq!(audience.roll.lock().unwrap().count(Instant::now().into_std()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_does_not_wait_for_the_count() {
    let (audience, _) = audience();
    let counting = audience.roll.lock().unwrap();
    assert!(audience.is_asked("192.0.2.1", CHROME, Asked::Media(None)));
    drop(counting);
}

#[tokio::test(start_paused = true)]
async fn browsers_are_told_apart_by_address_and_make_and_apples_are_one() {
    let (audience, _) = audience();
    let players = [
        ("192.0.2.1", CHROME),
        ("192.0.2.2", CHROME),
        ("192.0.2.2", "VLC/3.0.20 LibVLC/3.0.20"),
        ("192.0.2.2", SAFARI),
        ("192.0.2.2", APPLE_MEDIA),
    ];
    for _ in 0..15 {
        for (address, agent) in players {
            audience.is_asked(address, agent, Asked::Manifest(HttpPath::Hls));
            audience.is_asked(address, agent, Asked::Media(None));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(audience.counted(), [0, 0, 4]);
    // The page of one of them reports: what the system asks for is its.
    let said = r#"{"id":"00112233445566ff","n":0,"on":"hls"}"#;
    audience.is_told("192.0.2.2", SAFARI, said);
    assert_eq!(audience.counted(), [0, 0, 4]);
    audience.is_told("192.0.2.2", SAFARI, &said.replace("6ff", "600"));
    assert_eq!(audience.counted(), [0, 0, 5]);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_and_the_gauge_is_over_all_broadcasts() {
    let (audience, registry) = audience();
    let mut viewers = audience.follow();
    viewers.mark_unchanged();
    let sessions = |talk, other| {
        let id = |name: &str| name.parse::<BroadcastId>().unwrap();
        [(id("talk"), talk), (id("other"), other), (id("empty"), 0)]
    };
    audience.count(sessions(0, 0));
    assert!(!viewers.has_changed().unwrap());
    audience.is_told("192.0.2.1", CHROME, r#"{"id":"0011223344556677","n":0,"on":"dash"}"#);
    audience.is_told("192.0.2.2", CHROME, r#"{"id":"0011223344556678","n":0,"on":"webrtc"}"#);
    audience.count(sessions(2, 3));
    assert!(viewers.has_changed().unwrap());
    let told = viewers.borrow_and_update().clone();
    assert_eq!(told.len(), 2);
    let talk = told[&"talk".parse().unwrap()];
    assert_eq!(talk, Viewers { webrtc: 2, dash: 1, hls: 0 });
    assert_eq!(talk.total(), 3);
    audience.count(sessions(2, 3));
    assert!(!viewers.has_changed().unwrap());
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for (path, count) in [("webrtc", 5), ("dash", 1), ("hls", 0)] {
        let line = format!("lectern_edge_viewers{{path=\"{path}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_counted_is_counted_as_such() {
    let (audience, registry) = audience();
    for viewer in 0..501 {
        let said = format!(r#"{{"id":"{viewer:016x}","n":0,"on":"hls"}}"#);
        // One subscriber's network.
        audience.is_told(&format!("2001:db8::{viewer:x}"), CHROME, &said);
    }
    assert_eq!(audience.counted(), [0, 0, 500]);
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains("lectern_edge_viewers_uncounted_total{limit=\"client\"} 1\n"), "{text}");
}

#[test]
fn a_viewers_id_has_one_form() {
    let read = |id: &str| ViewerId::try_from(id.to_owned()).map(|ViewerId(id)| id).ok();
    assert_eq!(read("00000000000000ff"), Some(255));
    for id in ["", "ff", "00000000000000FF", "+0000000000000ff", "00000000000000ff0"] {
        assert_eq!(read(id), None, "{id}");
    }
}
