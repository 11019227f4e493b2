//! Comments, and who attended or registered, as CSV (RFC 4180) for spreadsheets.

use csv::Writer;
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::about::{Answer, FieldName};
use lectern_relay_proto::comment::Comment;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::comments::store::Attendance;
use crate::control::records::Registration;

/// Comments, with their names before the first.
pub(super) fn comments(comments: &[Comment], first: bool) -> String {
    const NAMES: [&str; 13] = [
        "id",
        "mt_ms",
        "moment",
        "at",
        "user",
        "author",
        "text",
        "moderator",
        "question",
        "votes",
        "answered",
        "pinned",
        "held",
    ];
    let rows = comments.iter().map(|comment| {
        let marks = &comment.marks;
        let truth = |truth: bool| if truth { "yes" } else { "" }.to_owned();
        vec![
            comment.id.to_string(),
            comment.mt.to_string(),
            moment(comment.mt),
            instant(comment.at),
            inert(&comment.user),
            comment.author.as_str().to_owned(),
            inert(&comment.text),
            truth(marks.moderator),
            truth(marks.question),
            marks.votes.to_string(),
            truth(marks.answered),
            truth(marks.pinned),
            truth(marks.held),
        ]
    });
    table(first.then_some(&NAMES), rows)
}

/// Who was there, with the names of columns before the first.
pub(super) fn attendance(rows: &[Attendance], first: bool) -> String {
    const NAMES: [&str; 5] = ["user", "author", "joined", "left", "minutes"];
    let rows = rows.iter().map(|row| {
        let stayed_ms = row.seen.as_millis().saturating_sub(row.joined.as_millis());
        vec![
            inert(&row.user),
            row.author.clone(),
            instant(row.joined),
            instant(row.seen),
            stayed_ms.div_ceil(60_000).to_string(),
        ]
    });
    table(first.then_some(&NAMES), rows)
}

/// Who registered, with what they answered to these questions; the names of columns before the first.
pub(super) fn registrations(columns: &[FieldName], rows: &[Registration], first: bool) -> String {
    // A question's name has no underscore, nor anything that a formula begins with.
    let mut names = vec!["registered_at"];
    names.extend(columns.iter().map(FieldName::as_str));
    let rows = rows.iter().map(|row| {
        let mut cells = vec![instant(row.registered_at)];
        cells.extend(columns.iter().map(|name| match row.answers.get(name) {
            Some(Answer::Text(text)) => inert(text),
            Some(Answer::Truth(true)) => "yes".to_owned(),
            Some(Answer::Truth(false)) => "no".to_owned(),
            None => String::new(),
        }));
        cells
    });
    table(first.then_some(&names), rows)
}

fn table(names: Option<&[&str]>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory does not fail, and each row has as many cells as there are names.
    let mut write = |row: &mut dyn Iterator<Item = &str>| {
        row.for_each(|cell| writer.write_field(cell).expect("written"));
        writer.write_record(None::<&[u8]>).expect("written");
    };
    if let Some(names) = names {
        write(&mut names.iter().copied());
    }
    rows.for_each(|row| write(&mut row.iter().map(String::as_str)));
    text(writer)
}

fn text(writer: Writer<Vec<u8>>) -> String {
    let bytes = writer.into_inner().expect("written");
    String::from_utf8(bytes).expect("made of text")
}

/// What a stranger wrote, as a text that no spreadsheet takes for a formula.
fn inert(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

/// `1:02:05`, as players show it.
fn moment(mt_ms: u64) -> String {
    let (s, m, h) = (mt_ms / 1_000, mt_ms / 60_000, mt_ms / 3_600_000);
    format!("{h}:{:02}:{:02}", m % 60, s % 60)
}

/// RFC 3339, in UTC; empty if no calendar has it.
fn instant(at: UtcTime) -> String {
    let seconds = i64::try_from(at.as_millis() / 1_000).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::comment::Marks;

    use super::*;

    #[test]
    fn what_strangers_write_stays_in_its_cell_and_is_no_formula() {
        let comment = Comment {
            id: 7,
            seq: 9,
            mt: 3_725_000,
            at: UtcTime::from_millis(1_795_000_000_123),
            user: "=HYPERLINK(\"x\")".to_owned(),
            author: "00ff00ff00ff00ff".to_owned().try_into().expect("an id"),
            text: "Why, \"exactly\"?\nAnd how?".to_owned(),
            rev: 0,
            deleted: false,
            marks: Marks { question: true, votes: 3, ..Marks::default() },
        };
        let csv = comments(std::slice::from_ref(&comment), true);
        let (names, rows) = csv.split_once("\r\n").expect("two lines");
        assert_eq!(
            names,
            "id,mt_ms,moment,at,user,author,text,moderator,question,votes,answered,pinned,held"
        );
        assert_eq!(
            rows,
            "7,3725000,1:02:05,2026-11-18T11:06:40Z,\"'=HYPERLINK(\"\"x\"\")\",00ff00ff00ff00ff,\
             \"Why, \"\"exactly\"\"?\nAnd how?\",,yes,3,,,\r\n"
        );
        assert_eq!(comments(&[comment], false), rows);
    }

    #[test]
    fn a_list_tells_who_was_there_and_for_how_long() {
        let row = Attendance {
            author: "00ff00ff00ff00ff".to_owned(),
            user: "Ada".to_owned(),
            joined: UtcTime::from_millis(1_795_000_000_000),
            seen: UtcTime::from_millis(1_795_000_090_000),
        };
        assert_eq!(
            attendance(&[row], true),
            "user,author,joined,left,minutes\r\n\
             Ada,00ff00ff00ff00ff,2026-11-18T11:06:40Z,2026-11-18T11:08:10Z,2\r\n"
        );
        assert_eq!(attendance(&[], true), "user,author,joined,left,minutes\r\n");
    }

    #[test]
    fn answers_stand_under_their_questions() {
        let columns = ["mail", "terms", "former"].map(|name| name.to_owned().try_into().unwrap());
        let answers = r#"{"mail":"+1@b.example","terms":false,"unheard-of":"x"}"#;
        let row = Registration {
            number: 1,
            answers: serde_json::from_str(answers).expect("answers"),
            registered_at: UtcTime::from_millis(1_795_000_000_000),
        };
        let names = "registered_at,mail,terms,former\r\n";
        let rows = "2026-11-18T11:06:40Z,'+1@b.example,no,\r\n";
        let row = std::slice::from_ref(&row);
        assert_eq!(registrations(&columns, row, true), format!("{names}{rows}"));
        assert_eq!(registrations(&columns, row, false), rows);
        assert_eq!(registrations(&columns, &[], true), names);
    }
}
