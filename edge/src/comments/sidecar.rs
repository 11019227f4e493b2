//! Comments as files: JSON lines by ten seconds of media time, and WebVTT for players that are not ours.

use std::fmt::Write as _;

use super::log::Entry;

/// How much media time one file of JSON lines covers.
pub(super) const BUCKET_MS: u64 = 10_000;
/// For how long a comment is shown as a cue.
pub(super) const CUE_MS: u64 = 8_000;

/// Comments, one in a line.
pub(super) fn lines(shown: &[&Entry]) -> String {
    let mut text = String::new();
    for entry in shown {
        text.push_str(&entry.json);
        text.push('\n');
    }
    text
}

/// All of them as WebVTT. `shown` is in the order of media time.
pub(super) fn webvtt(shown: &[&Entry]) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for Entry { comment, .. } in shown {
        let (from, to) = (clock(comment.mt), clock(comment.mt + CUE_MS));
        // A voice span; what is in it can be no tag, and an empty line would end the cue.
        let filled =
            |line: &str| if line.trim().is_empty() { " ".to_owned() } else { escape(line) };
        let said = comment.text.split('\n').map(filled).collect::<Vec<_>>().join("\n");
        let user = escape(&comment.user);
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}\n{from} --> {to}\n<v {user}>{said}</v>\n", comment.id);
    }
    text
}

pub(super) fn clock(ms: u64) -> String {
    let (s, m, h) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    format!("{h:02}:{:02}:{:02}.{:03}", m % 60, s % 60, ms % 1_000)
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::comment::Comment;

    use super::super::testing::comment;
    use super::*;

    fn entry(id: u64, mt: u64, user: &str, text: &str) -> Entry {
        let (user, text) = (user.to_owned(), text.to_owned());
        let comment = Comment { mt, user, text, ..comment(id, id) };
        let json = serde_json::to_string(&comment).expect("plain").into();
        Entry { comment, json }
    }

    #[test]
    fn a_file_has_a_comment_in_each_line() {
        let [a, b, c] =
            [entry(1, 9_999, "A", "a"), entry(2, 10_000, "B", "b"), entry(3, 19_999, "C", "c")];
        assert_eq!(lines(&[&a, &b, &c]), format!("{}\n{}\n{}\n", a.json, b.json, c.json));
        assert_eq!(lines(&[]), "");
    }

    #[test]
    fn cues_say_who_and_hold_no_markup() {
        let a = entry(1, 3_661_005, "<b>Ada", "1 < 2 --> &c.\n\n\nNOTE not a note");
        assert_eq!(
            webvtt(&[&a]),
            "WEBVTT\n\n1\n01:01:01.005 --> 01:01:09.005\n\
             <v &lt;b&gt;Ada>1 &lt; 2 --&gt; &amp;c.\n \n \nNOTE not a note</v>\n"
        );
    }
}
