//! What is within bounds and what is not, as JSON that anybody may send.

use serde_json::{Value, json};

use super::*;

fn read(key: &str, value: Value) -> Result<About, String> {
    serde_json::from_value(json!({ key: value })).map_err(|error| error.to_string())
}

fn taken(key: &str, value: Value) {
    let about = read(key, value.clone()).unwrap_or_else(|error| panic!("{key}: {error}"));
    let written = serde_json::to_value(&about).expect("plain");
    assert_eq!(written[key], value, "{key}");
    assert_eq!(serde_json::from_value::<About>(written).expect("own"), about);
}

fn refused(key: &str, value: Value, why: &str) {
    let error = read(key, value).expect_err(key);
    assert!(error.contains(why), "{key}: {error}");
}

const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

#[test]
fn what_is_within_bounds_survives() {
    assert_eq!(serde_json::to_string(&About::default()).expect("plain"), "{}");
    taken("title", json!("Algebra I"));
    taken("startsAtMs", json!(1_795_000_000_000_u64));
    taken("description", json!("Groups.\n\nThen rings."));
    taken("topics", json!(["algebra", "groups"]));
    taken("language", json!("zh-Hant-TW"));
    taken("logo", json!("https://uni.example/logo.svg"));
    taken("links", json!([{"title": "Script", "url": "http://uni.example/script.pdf"}]));
    taken("visibility", json!("token"));
    taken("viewerKeys", json!([{"kid": "2026-1", "publicKey": KEY}]));
    taken("viewersMax", json!(500));
    let field = |kind: &str, options: Value| {
        json!({"name": "home-town", "label": "Where from?", "kind": kind, "required": true,
            "options": options})
    };
    for (kind, options) in [("text", json!([])), ("select", json!(["Here", "There"]))] {
        taken("registration", json!({"notice": "Kept a week.", "fields": [field(kind, options)]}));
    }
}

#[test]
fn the_longest_are_taken_and_longer_ones_refused_in_words() {
    let text = |chars: usize| json!("ü".repeat(chars));
    taken("title", text(120));
    refused("title", text(121), "1 to 120 characters in one line");
    refused("title", json!("a\nb"), "one line");
    refused("title", json!("  "), "one line");
    taken("description", text(2_000));
    refused("description", text(2_001), "1 to 2000 characters");
    refused("description", json!("a\u{7}b"), "plain text");
    let topics = |count: usize| (0..count).map(|n| json!(format!("topic {n}"))).collect::<Value>();
    taken("topics", topics(10));
    refused("topics", topics(11), "there are 11, and at most 10");
    refused("topics", json!(["x".repeat(41)]), "1 to 40");
    refused("topics", json!(["Algebra", "algebra"]), "twice");
    for language in ["", "e", "en_GB", "deutsch-österreich", "en-", "1e", &"en-abcdefgh".repeat(4)]
    {
        refused("language", json!(language), "BCP 47");
    }
    for logo in
        ["http://uni.example/x.png", "javascript:alert(1)", "/x.png", "https://", "https://a b"]
    {
        refused("logo", json!(logo), "begins with https://");
    }
    refused("logo", json!(format!("https://a/{}", "x".repeat(2_048))), "2048");
    for url in
        ["javascript:alert(1)", "data:text/html,x", "https://me:secret@uni.example", "uni.example"]
    {
        refused("links", json!([{"title": "x", "url": url}]), "begins with https:// or http://");
    }
    refused("visibility", json!("friends"), "unknown variant");
    refused("viewersMax", json!(-1), "invalid value");
}

#[test]
fn keys_have_names_of_their_own_and_32_bytes() {
    let key = |kid: &str, key: &str| json!([{"kid": kid, "publicKey": key}]);
    refused("viewerKeys", key("a b", KEY), "kid is 1 to 64");
    refused("viewerKeys", key(&"k".repeat(65), KEY), "kid is 1 to 64");
    refused("viewerKeys", key("k", "AAAA"), "32 bytes");
    refused("viewerKeys", key("k", "not base64!"), "32 bytes");
    refused("viewerKeys", json!([key("k", KEY)[0], key("k", KEY)[0]]), "twice");
    let many = (0..17).map(|n| key(&format!("k{n}"), KEY)[0].clone()).collect::<Value>();
    refused("viewerKeys", many, "at most 16");
    for small in [
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
        "7P_______________________________________38",
    ] {
        refused("viewerKeys", key("k", small), "prove nothing");
    }
    let padded = read("viewerKeys", key("k", &format!("{KEY}="))).expect("padded");
    assert_eq!(String::from(padded.viewer_keys[0].public_key), KEY);
}

#[test]
fn questions_are_ones_that_can_be_answered() {
    let registration = |fields: Value| json!({ "fields": fields });
    let field = |name: &str, kind: &str, options: Value| {
        registration(json!([{"name": name, "label": "?", "kind": kind, "options": options}]))
    };
    refused("registration", field("Name", "text", json!([])), "a-z 0-9");
    refused("registration", field("a--b", "text", json!([])), "a-z 0-9");
    refused("registration", field(&"a".repeat(33), "text", json!([])), "1 to 32");
    refused("registration", field("a", "select", json!([])), "1 to 50 options");
    refused("registration", field("a", "text", json!(["x"])), "no other has any");
    refused("registration", field("a", "select", json!(["x", "x"])), "twice");
    refused("registration", field("a", "date", json!([])), "unknown variant");
    let one = field("a", "text", json!([]))["fields"][0].clone();
    refused("registration", registration(json!([one, one])), "twice");
}
