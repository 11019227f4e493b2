use proptest::prelude::*;

use super::*;
use crate::about::{Fault, WrongAnswer};

#[track_caller]
fn check(text: &str, expected: Result<&str, Refusal>) {
    assert_eq!(Text::parse(text).as_ref().map(Text::as_str).map_err(|why| *why), expected);
}

#[test]
fn a_text_is_shown_as_it_was_written_save_for_the_space_around_it() {
    check(
        "  Why not n log n?\r\nI mean: on average.\n",
        Ok("Why not n log n?\nI mean: on average."),
    );
    check("<script>alert(1)</script> & co.", Ok("<script>alert(1)</script> & co."));
    check("مرحبا بالجميع", Ok("مرحبا بالجميع"));
    check("می‌خواهم", Ok("می‌خواهم"));
    for text in ["👩‍👩‍👧 👍🏽 ❤️ ❤️‍🔥 🏳️‍🌈 1️⃣", "é Việt ภาษาไทย น้ำ", "क्ष नमस्ते", "שָׁלוֹם", "بِسْمِ اللَّهِ"]
    {
        check(text, Ok(text));
    }
    check("see chapter 3.2 and/or 4, e.g. at 12:30", Ok("see chapter 3.2 and/or 4, e.g. at 12:30"));
}

#[test]
fn what_cannot_be_seen_is_refused() {
    for empty in ["", " \n ", "\u{300}"] {
        check(empty, Err(Refusal::Empty));
    }
    for hidden in [
        "a\u{202e}b",
        "a\u{2066}b\u{2069}",
        "a\u{200b}b",
        "\u{feff}a",
        "a\u{ad}b",
        "\u{3164}",
        "a\u{200d}",
        "a \u{200d}b",
        "a\u{200d}\u{200d}b",
        "\u{200c}",
        "a\u{e0041}",
        "a\u{2028}b",
        "Ada\u{200e}",
        "Ada\u{61c}",
        "a\u{2800}",
        "\u{2800}",
        "\u{1d159}",
        "a\u{fffc}",
        "a\u{ffff}",
        "A\u{200d}da",
        "Ada\u{fe0f}",
        "a \u{fe0f}",
        "❤\u{fe0f}\u{fe0f}",
        "\u{e000}",
    ] {
        check(hidden, Err(Refusal::HiddenCharacters));
    }
    for control in ["a\0b", "a\u{1b}[31mb", "a\tb", "a\u{85}b"] {
        check(control, Err(Refusal::ControlCharacters));
    }
    for mark in ["\u{301}", "\u{e49}", "\u{64b}", "\u{941}", "\u{f71}", "\u{3099}"] {
        check(&format!("ก{}", mark.repeat(6)), Err(Refusal::StackedMarks));
    }
    let interrupted = format!("ก{}", "\u{e49}\u{e49}\u{e49}\u{fe0f}".repeat(2));
    assert!(Text::parse(&interrupted).is_err());
}

#[test]
fn what_is_too_long_is_refused() {
    let longest = "ж".repeat(Text::CHARS_MAX);
    check(&longest, Ok(&longest));
    check(&format!("{longest}ж"), Err(Refusal::TooLong));
    check(&"a".repeat(1 << 20), Err(Refusal::TooLong));
    check(&"a\n".repeat(Text::LINES_MAX + 1), Err(Refusal::TooLong));
    assert_eq!(Name::parse(&"a".repeat(Name::CHARS_MAX + 1)), Err(Refusal::TooLong));
    assert_eq!(Name::parse("Ada\nLovelace"), Err(Refusal::ControlCharacters));
    assert_eq!(Name::parse(" Ada ").as_ref().map(Name::as_str), Ok("Ada"));
}

#[test]
fn links_are_refused() {
    for link in [
        "http://a.example",
        "look:HTTPS://a",
        "www.example.org",
        "example.org/buy",
        "x.co/1",
        "evil.com:80/x",
        "evil.com?x=1",
        "1.2.3.4/x",
        "пример.рф/x",
        "evil.xn--p1ai/x",
        "http:/evil.com",
        "http:\\\\evil.com",
        "javascript:alert(1)",
        "mailto:a@b.example",
        "http：／／evil.com",
    ] {
        check(link, Err(Refusal::Link));
    }
    assert_eq!(Name::parse("https://evil.com/login"), Err(Refusal::Link));
    for none in ["and/or", "n/a", "1/2", "3.5/4", "at 12:30", "f(x):=/x", "e.g./i.e.", "z.B. 3/4"] {
        check(none, Ok(none));
    }
}

#[test]
fn json_is_as_the_design_has_it() {
    let comment = Comment {
        id: 7,
        seq: 9,
        mt: 61_250,
        at: UtcTime::from_millis(1_795_000_000_123),
        user: "Ada".to_owned(),
        author: AuthorId("00ff00ff00ff00ff".to_owned()),
        text: "Why?".to_owned(),
        rev: 0,
        deleted: false,
        marks: Marks::default(),
    };
    let json = serde_json::to_string(&comment).expect("plain");
    assert_eq!(
        json,
        r#"{"id":7,"seq":9,"mt":61250,"at":1795000000123,"user":"Ada","author":"00ff00ff00ff00ff","text":"Why?","rev":0,"deleted":false}"#
    );
    assert_eq!(serde_json::from_str::<Comment>(&json).expect("reads"), comment);
    let marks = Marks { question: true, votes: 12, pinned: true, ..Marks::default() };
    let marked = Comment { marks, ..comment };
    let json = serde_json::to_string(&marked).expect("plain");
    assert!(
        json.ends_with(r#","deleted":false,"question":true,"votes":12,"pinned":true}"#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<Comment>(&json).expect("reads"), marked);
    let news = News::Comment(marked);
    let json = serde_json::to_string(&news).expect("plain");
    assert_eq!(serde_json::from_str::<News>(&json).expect("reads"), news);
}

#[test]
fn what_an_edge_says_is_checked_as_it_is_read() {
    let post = r#"{"type":"post","broadcast":"demo","client":"c-1","mt":5,"user":"Ada","author":"00ff00ff00ff00ff","address":"0123456789abcdef","text":"TEXT"}"#;
    let read = |json: &str| serde_json::from_str::<Request>(json);
    assert!(matches!(read(post), Ok(Request::Post(_))));
    for (ok, bad) in [
        ("TEXT", "a\u{202e}b"),
        ("Ada", ""),
        ("00ff00ff00ff00ff", "00FF00FF00FF00FF"),
        ("c-1", "c 1"),
        ("\"demo\"", "\"../demo\""),
        ("0123456789abcdef", "192.0.2.1"),
    ] {
        assert!(read(&post.replace(ok, bad)).is_err(), "{bad}");
    }
}

#[test]
fn what_a_moderator_does_is_read_with_all_that_it_needs() {
    let moderate = r#"{"type":"moderate","broadcast":"demo","client":"c-1","author":"00ff00ff00ff00ff","key":"0123456789-abc_DEF","#;
    let read = |rest: &str| serde_json::from_str::<Request>(&format!("{moderate}{rest}}}"));
    let action = |rest: &str| match read(rest).expect(rest) {
        Request::Moderate { action, .. } => action,
        other => panic!("{other:?}"),
    };
    assert_eq!(action(r#""action":"pin","id":7"#), Action::Pin { id: 7 });
    assert_eq!(action(r#""action":"blocks""#), Action::Blocks);
    assert_eq!(
        action(r#""action":"block","id":7,"whom":"address","minutes":null"#),
        Action::Block { id: 7, whom: Whom::Address, minutes: None }
    );
    assert_eq!(
        action(r#""action":"settings","closed":true,"approval":false,"slow_ms":5000"#),
        Action::Settings { closed: true, approval: false, slow_ms: 5_000 }
    );
    for bad in [
        r#""action":"settings","closed":true"#,
        r#""action":"rule""#,
        r#""id":7"#,
        r#""action":"block","id":7,"whom":"writer""#,
        r#""action":"block","id":7,"whom":"writer","minutes":0"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let request = read(r#""action":"blocks""#).expect("reads");
    assert!(!format!("{request:?}").contains("0123456789-abc_DEF"), "no log shows a key");
    let again = serde_json::to_string(&request).expect("plain");
    assert!(matches!(serde_json::from_str(&again), Ok(Request::Moderate { .. })), "{again}");
}

#[test]
fn a_key_is_the_whole_of_it() {
    let key = |key: &str| ModeratorKey::try_from(key.to_owned());
    let own = key("0123456789-abc_DEF").expect("a key");
    for (other, same) in [
        ("0123456789-abc_DEF", true),
        ("0123456789-abc_DEf", false),
        ("0123456789-abc_DE", false),
        ("0123456789-abc_DEF0", false),
    ] {
        assert_eq!(own.matches(&key(other).expect("a key")), same, "{other}");
    }
    for bad in ["", "short", "0123456789 abcdef", &"a".repeat(65)] {
        assert_eq!(key(bad).err(), Some(InvalidKey), "{bad}");
    }
}

#[test]
fn an_answer_names_what_it_answers() {
    let attempt = Attempt {
        broadcast: "demo".parse().expect("an id"),
        author: AuthorId("00ff00ff00ff00ff".to_owned()),
        client: ClientId("c-1".to_owned()),
    };
    let stored = Response::Stored { attempt, id: 7, held: false };
    let json = serde_json::to_string(&stored).expect("plain");
    assert_eq!(
        json,
        r#"{"type":"stored","broadcast":"demo","author":"00ff00ff00ff00ff","client":"c-1","id":7,"held":false}"#
    );
    assert_eq!(serde_json::from_str::<Response>(&json).expect("reads"), stored);
}

#[test]
fn who_registers_is_answered_in_words_that_are_read_back() {
    let attempt = Attempt {
        broadcast: "demo".parse().expect("an id"),
        author: AuthorId::nobody(),
        client: ClientId("c-1".to_owned()),
    };
    let answers = serde_json::json!({"full-name": "Ada", "terms": true});
    let answers: crate::about::Given = serde_json::from_value(answers).expect("an object");
    let request = Request::Register { attempt: attempt.clone(), answers: answers.clone() };
    let json = serde_json::to_string(&request).expect("plain");
    let read = serde_json::from_str(&json).expect("reads");
    let Request::Register { attempt: of, answers: as_read } = read else { panic!("{json}") };
    assert_eq!((of, as_read), (attempt.clone(), answers));
    let errors = vec![WrongAnswer { field: "full-name".to_owned(), fault: Fault::TooLong }];
    for why in [
        NotRegistered::Invalid { errors },
        NotRegistered::NoRegistration,
        NotRegistered::Full,
        NotRegistered::Busy,
        NotRegistered::Unavailable,
    ] {
        let word = format!(r#""reason":"{}""#, why.as_str());
        let response = Response::NotRegistered { attempt: attempt.clone(), why };
        let json = serde_json::to_string(&response).expect("plain");
        assert!(json.contains(&word), "{json}");
        assert_eq!(serde_json::from_str::<Response>(&json).expect("reads"), response);
        assert_eq!(response.attempt(), Some(&attempt));
    }
    for fault in [Fault::Required, Fault::TooLong, Fault::Option, Fault::Unknown] {
        let json = serde_json::to_string(&fault).expect("plain");
        assert_eq!(json, format!("\"{}\"", fault.as_str()));
    }
}

#[test]
fn a_refusal_has_one_name() {
    for refusal in [Refusal::TooLong, Refusal::HiddenCharacters, Refusal::NotYours, Refusal::Busy] {
        let json = serde_json::to_string(&refusal).expect("plain");
        assert_eq!(json, format!("\"{}\"", refusal.as_str()));
    }
}

proptest! {
    /// Whatever a stranger writes, checking what was accepted once more changes nothing.
    #[test]
    fn checking_twice_is_checking_once(text in "\\PC{0,40}|.{0,40}") {
        if let Ok(once) = Text::parse(&text) {
            prop_assert_eq!(Text::parse(once.as_str()), Ok(once));
        }
    }
}
