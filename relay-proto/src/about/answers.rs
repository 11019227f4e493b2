//! What viewers answer to a [`Registration`], and whether it is what was asked. The edge checks it to say
//! at once what is wrong, and the origin because it believes no edge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Field, FieldKind, FieldName, Registration};

/// The most characters of an answer.
pub const ANSWER_CHARS_MAX: usize = 500;
/// The most characters of an address for mail (RFC 5321 §4.5.3.1.3), and of its part before the `@`
/// (§4.5.3.1.1).
const EMAIL_CHARS_MAX: usize = 254;
const EMAIL_LOCAL_CHARS_MAX: usize = 64;

/// Answers as they come: of anything, to anything.
pub type Given = BTreeMap<String, Value>;

/// Answers to the questions of a form: to each that is required, and to no other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answers(BTreeMap<FieldName, Answer>);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// Yes or no.
    Truth(bool),
    /// In words: a line, an address, or one of the options.
    Text(String),
}

/// What is wrong with the answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongAnswer {
    /// Which, by its name.
    pub field: String,
    /// What.
    pub fault: Fault,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// There is none, and there is no way around it.
    #[error("it has to be answered")]
    Required,
    /// It is no text where one is asked for, or neither yes nor no.
    #[error("it is of another kind than was asked for")]
    Kind,
    /// It has too many characters.
    #[error("it has more than {ANSWER_CHARS_MAX} characters")]
    TooLong,
    /// It is more than a line.
    #[error("it has to be one line of plain text")]
    Line,
    /// It is no address for mail.
    #[error("it is no address for mail")]
    Email,
    /// It is none of the options.
    #[error("it is none of the options")]
    Option,
    /// Nobody asked.
    #[error("nobody asks for this")]
    Unknown,
}

impl Fault {
    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Kind => "kind",
            Self::TooLong => "too-long",
            Self::Line => "line",
            Self::Email => "email",
            Self::Option => "option",
            Self::Unknown => "unknown",
        }
    }
}

impl Registration {
    /// The answers that are given, if they are what is asked; otherwise all that is wrong with them, in the
    /// order of the questions, and of what nobody asked one alone.
    ///
    /// `null`, and text without anything in it, is no answer.
    pub fn check(&self, mut given: Given) -> Result<Answers, Vec<WrongAnswer>> {
        let mut answers = BTreeMap::new();
        let mut wrong = Vec::new();
        for field in self.fields.iter() {
            let name = field.name();
            match field.answer(given.remove(name.as_str())) {
                Ok(Some(answer)) => {
                    answers.insert(name.clone(), answer);
                }
                Ok(None) => {}
                Err(fault) => wrong.push(WrongAnswer { field: name.as_str().to_owned(), fault }),
            }
        }
        if let Some((field, _)) = given.into_iter().next() {
            // Whatever it is called, it is told back no longer than a name can be.
            let field = field.chars().take(FieldName::CHARS_MAX).collect();
            wrong.push(WrongAnswer { field, fault: Fault::Unknown });
        }
        if wrong.is_empty() { Ok(Answers(answers)) } else { Err(wrong) }
    }
}

impl Field {
    /// The answer to this question; `None` if there is none and need not be.
    fn answer(&self, given: Option<Value>) -> Result<Option<Answer>, Fault> {
        let answer = match (self.kind(), given) {
            (_, None | Some(Value::Null)) => None,
            (FieldKind::Checkbox, Some(Value::Bool(truth))) => Some(Answer::Truth(truth)),
            (FieldKind::Text, Some(Value::String(text))) => line(&text)?.map(Answer::Text),
            (FieldKind::Email, Some(Value::String(text))) => match line(&text)? {
                Some(text) if is_email(&text) => Some(text),
                Some(_) => return Err(Fault::Email),
                None => None,
            }
            .map(Answer::Text),
            (FieldKind::Select, Some(Value::String(text))) if text.is_empty() => None,
            (FieldKind::Select, Some(Value::String(text))) => {
                if !self.options().iter().any(|option| option.as_str() == text) {
                    return Err(Fault::Option);
                }
                Some(Answer::Text(text))
            }
            _ => return Err(Fault::Kind),
        };
        match answer {
            // Who has to agree does not do so by saying no.
            None | Some(Answer::Truth(false)) if self.required() => Err(Fault::Required),
            answer => Ok(answer),
        }
    }
}

impl Answers {
    /// Each answer with the name of its question.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldName, &Answer)> {
        self.0.iter()
    }

    /// The answer to one question.
    pub fn get(&self, name: &FieldName) -> Option<&Answer> {
        self.0.get(name)
    }

    /// As they came.
    pub fn given(self) -> Given {
        let value = |answer| match answer {
            Answer::Truth(truth) => Value::Bool(truth),
            Answer::Text(text) => Value::String(text),
        };
        self.0.into_iter().map(|(name, answer)| (name.into(), value(answer))).collect()
    }
}

/// One line of text without white space around it; `None` if there is nothing in it.
fn line(text: &str) -> Result<Option<String>, Fault> {
    let text = text.trim();
    if text.chars().count() > ANSWER_CHARS_MAX {
        return Err(Fault::TooLong);
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(Fault::Line);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Whether mail could be sent there, as far as can be told without sending any: something before an `@`,
/// and a name of several parts behind it, as browsers check it, in any script (RFC 6531).
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_ok = (1..=EMAIL_LOCAL_CHARS_MAX).contains(&local.chars().count())
        && !local.starts_with('.')
        && !local.ends_with('.')
        && local.split('@').count() == 1
        && local.chars().all(|c| !c.is_whitespace() && !"()<>[]:;,\\\"".contains(c));
    let part_ok = |part: &str| {
        !part.is_empty()
            && part.chars().count() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let parts = domain.split('.');
    text.chars().count() <= EMAIL_CHARS_MAX
        && local_ok
        && parts.clone().count() >= 2
        && parts.into_iter().all(part_ok)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> Registration {
        let form = json!({"notice": "Kept a week.", "fields": [
            {"name": "full-name", "label": "Your name", "kind": "text", "required": true},
            {"name": "mail", "label": "Mail", "kind": "email", "required": false},
            {"name": "year", "label": "Year", "kind": "select", "required": true,
                "options": ["First", "Second"]},
            {"name": "news", "label": "News?", "kind": "checkbox", "required": false},
            {"name": "terms", "label": "I agree", "kind": "checkbox", "required": true},
        ]});
        serde_json::from_value(form).expect("a form")
    }

    fn given(more: Value) -> Given {
        let mut all = json!({"full-name": "Ada", "year": "First", "terms": true});
        all.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        serde_json::from_value(all).expect("an object")
    }

    fn wrong(more: Value, expect: &[(&str, Fault)]) {
        let shown = more.to_string();
        let found = form().check(given(more)).expect_err(&shown);
        let found: Vec<_> = found.iter().map(|each| (each.field.as_str(), each.fault)).collect();
        assert_eq!(found, expect, "{shown}");
    }

    #[test]
    fn what_is_asked_is_taken_as_it_was_meant() {
        let more =
            json!({"full-name": "  Ada Lovelace ", "mail": "ada@uni.example", "news": false});
        let answers = form().check(given(more)).expect("right");
        let written = json!({"full-name": "Ada Lovelace", "mail": "ada@uni.example",
            "news": false, "terms": true, "year": "First"});
        assert_eq!(serde_json::to_value(&answers).expect("plain"), written);
        let read: Answers = serde_json::from_value(written).expect("own");
        assert_eq!(read, answers);
        assert_eq!(form().check(answers.clone().given()), Ok(answers));
        // What need not be answered is left out, however that is said.
        let least = form().check(given(json!({"mail": " ", "news": null}))).expect("right");
        assert_eq!(least.iter().count(), 3);
        let long = "ü".repeat(ANSWER_CHARS_MAX);
        assert!(form().check(given(json!({"full-name": long}))).is_ok());
        assert_eq!(Registration::default().check(Given::new()), Ok(Answers::default()));
    }

    #[test]
    fn what_is_wrong_is_said_of_each_answer() {
        wrong(json!({"full-name": null}), &[("full-name", Fault::Required)]);
        wrong(json!({"full-name": " \t "}), &[("full-name", Fault::Required)]);
        wrong(json!({"full-name": 7}), &[("full-name", Fault::Kind)]);
        wrong(json!({"full-name": ["Ada"]}), &[("full-name", Fault::Kind)]);
        wrong(json!({"full-name": "a\nb"}), &[("full-name", Fault::Line)]);
        wrong(json!({"full-name": "a\u{2028}b"}), &[("full-name", Fault::Line)]);
        let long = "x".repeat(ANSWER_CHARS_MAX + 1);
        wrong(json!({"full-name": long}), &[("full-name", Fault::TooLong)]);
        wrong(json!({"year": ""}), &[("year", Fault::Required)]);
        wrong(json!({"year": "Third"}), &[("year", Fault::Option)]);
        wrong(json!({"year": "first"}), &[("year", Fault::Option)]);
        wrong(json!({"terms": false}), &[("terms", Fault::Required)]);
        wrong(json!({"terms": "true"}), &[("terms", Fault::Kind)]);
        wrong(json!({"news": 1}), &[("news", Fault::Kind)]);
        wrong(json!({"colour": "red", "size": 1}), &[("colour", Fault::Unknown)]);
        wrong(
            json!({"full-name": "", "mail": "x", "terms": null}),
            &[("full-name", Fault::Required), ("mail", Fault::Email), ("terms", Fault::Required)],
        );
        let huge = "x".repeat(10_000);
        let found = form().check(given(json!({ huge: 1 }))).expect_err("nobody asked");
        assert_eq!(found[0].field.len(), FieldName::CHARS_MAX);
    }

    #[test]
    fn an_address_is_one_that_mail_could_be_sent_to() {
        for good in [
            "a@b.example",
            "ada.lovelace+news@cs.uni.example",
            "o'neil@x-y.example",
            "аня@почта.рф",
        ] {
            assert!(form().check(given(json!({ "mail": good }))).is_ok(), "{good}");
        }
        for bad in [
            "ada",
            "@uni.example",
            "ada@",
            "ada@uni",
            "ada@.example",
            "ada@uni..example",
            "ada@-uni.example",
            "ada@uni.example.",
            ".ada@uni.example",
            "ada.@uni.example",
            "a b@uni.example",
            "ada@uni example.org",
            "a@b@uni.example",
            "<ada@uni.example>",
            "Ada <ada@uni.example>",
            "ada@uni.example, bob@uni.example",
            &format!("{}@uni.example", "x".repeat(65)),
            &format!("ada@{}.example", "x.".repeat(130)),
        ] {
            wrong(json!({ "mail": bad }), &[("mail", Fault::Email)]);
        }
    }
}
