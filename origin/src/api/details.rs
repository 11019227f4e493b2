//! What a broadcast is about, as JSON has it, read into types that cannot be wrong.

use lectern_relay_proto::about::{
    self, Description, Field, FieldKind, FieldName, Invalid, Language, Limited, Line, Link,
    Registration, SecureUrl, Title, Topic, Visibility, WebUrl,
};
use lectern_relay_proto::{About, UtcTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{patched, set};
use super::problem::{FieldError, Problem};
use crate::control::records::Broadcast;
use crate::instant::Instant;

/// What viewers are told of a broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct DetailsBody {
    title: Option<String>,
    description: Option<String>,
    topics: Vec<String>,
    /// BCP 47.
    language: Option<String>,
    starts_at: Option<Instant>,
    visibility: Seen,
    logo: Option<String>,
    links: Vec<LinkBody>,
    /// How many may watch at once.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 4_294_967_295_i64)]
    viewers_max: Option<u32>,
    registration: Option<RegistrationBody>,
}

/// Who may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Visibility)]
enum Seen {
    /// Everybody, and the lobby lists it.
    Public,
    /// Everybody who has the link.
    Unlisted,
    /// Who has a viewer token for it.
    Token,
}

/// Something that belongs to a broadcast elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Link)]
struct LinkBody {
    #[schema(min_length = 1, max_length = 120)]
    title: String,
    /// `https://…` or `http://…`
    #[schema(max_length = 2048)]
    url: String,
}

/// What viewers are asked before they watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
struct RegistrationBody {
    /// What becomes of the answers.
    #[schema(max_length = 2000)]
    notice: Option<String>,
    #[schema(max_items = 12)]
    fields: Vec<FieldBody>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RegistrationField)]
struct FieldBody {
    /// What its answer is stored under: a-z 0-9 with single hyphens between.
    #[schema(min_length = 1, max_length = 32)]
    name: String,
    #[schema(min_length = 1, max_length = 120)]
    label: String,
    kind: Kind,
    #[serde(default)]
    required: bool,
    /// What may be chosen, for `select` alone.
    #[serde(default)]
    #[schema(max_items = 50)]
    options: Vec<String>,
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RegistrationFieldKind)]
enum Kind {
    Text,
    Email,
    Select,
    Checkbox,
}

/// What a broadcast is to be. What is not there stays as it is, and `null` clears it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BroadcastFields)]
pub(super) struct Fields {
    /// Its public id, only for a new one; made of the title without.
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$")]
    id: Option<String>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<String>, max_length = 120)]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<Vec<String>>, max_items = 10)]
    topics: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<String>, max_length = 35)]
    language: Option<Option<String>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<Instant>)]
    starts_at: Option<Option<Instant>>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Seen)]
    visibility: Option<Seen>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    logo: Option<Option<String>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<Vec<LinkBody>>, max_items = 8)]
    links: Option<Option<Vec<LinkBody>>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 4_294_967_295_i64)]
    viewers_max: Option<Option<u32>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<RegistrationBody>)]
    registration: Option<Option<RegistrationBody>>,
    /// Whether a list is kept of who attends.
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = bool)]
    attendance: Option<bool>,
    /// Nobody may publish.
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = bool)]
    blocked: Option<bool>,
}

impl Fields {
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Makes `broadcast` so, or says what is wrong with which field and leaves it half done.
    pub(super) fn apply(self, broadcast: &mut Broadcast) -> Result<(), Problem> {
        let mut errors = Errors::default();
        let about = &mut broadcast.about;
        errors.set(&mut about.title, "title", self.title, Title::try_from);
        errors.set(&mut about.description, "description", self.description, Description::try_from);
        errors.set(&mut about.language, "language", self.language, Language::try_from);
        errors.set(&mut about.logo, "logo", self.logo, SecureUrl::try_from);
        if let Some(topics) = self.topics {
            let topics = errors.each("topics", topics.unwrap_or_default(), topic);
            errors.set_list(&mut about.topics, "topics", topics);
        }
        if let Some(links) = self.links {
            let links = errors.each("links", links.unwrap_or_default(), link);
            errors.set_list(&mut about.links, "links", links);
        }
        if let Some(starts_at) = self.starts_at {
            about.starts_at = starts_at.map(UtcTime::from);
        }
        if let Some(visibility) = self.visibility {
            about.visibility = visibility.into();
        }
        match self.viewers_max {
            Some(Some(0)) => errors.push("viewers_max", "at least 1"),
            Some(viewers_max) => about.viewers_max = viewers_max,
            None => {}
        }
        if let Some(registration) = self.registration {
            about.registration = registration.and_then(|body| errors.registration(body));
        }
        broadcast.attendance = self.attendance.unwrap_or(broadcast.attendance);
        broadcast.blocked = self.blocked.unwrap_or(broadcast.blocked);
        if errors.0.is_empty() { Ok(()) } else { Err(Problem::invalid(errors.0)) }
    }
}

/// What is wrong, so far.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn push(&mut self, field: impl Into<String>, detail: impl ToString) {
        self.0.push(FieldError::new(field, detail));
    }

    fn set<T>(
        &mut self,
        to: &mut Option<T>,
        field: &str,
        value: Option<Option<String>>,
        read: impl Fn(String) -> Result<T, Invalid>,
    ) {
        match value {
            None => {}
            Some(None) => *to = None,
            // An empty field of a form.
            Some(Some(text)) if text.trim().is_empty() => *to = None,
            Some(Some(text)) => match read(text) {
                Ok(value) => *to = Some(value),
                Err(error) => self.push(field, error),
            },
        }
    }

    /// What could be read of a list; of the rest, what is wrong.
    fn each<T, U, E: ToString>(
        &mut self,
        field: &str,
        values: Vec<T>,
        read: impl Fn(T) -> Result<U, (Option<&'static str>, E)> + Copy,
    ) -> Vec<U> {
        let mut all = Vec::new();
        for (at, value) in values.into_iter().enumerate() {
            match read(value) {
                Ok(value) => all.push(value),
                Err((Some(part), error)) => self.push(format!("{field}.{at}.{part}"), error),
                Err((None, error)) => self.push(format!("{field}.{at}"), error),
            }
        }
        all
    }

    fn set_list<T: about::Named, const MAX: usize>(
        &mut self,
        to: &mut Limited<T, MAX>,
        field: &str,
        values: Vec<T>,
    ) {
        match Limited::try_from(values) {
            Ok(values) => *to = values,
            Err(error) => self.push(field, error),
        }
    }

    fn registration(&mut self, body: RegistrationBody) -> Option<Registration> {
        let mut registration = Registration::default();
        self.set(
            &mut registration.notice,
            "registration.notice",
            Some(body.notice),
            Description::try_from,
        );
        let fields = self.each("registration.fields", body.fields, question);
        self.set_list(&mut registration.fields, "registration.fields", fields);
        Some(registration)
    }
}

fn topic(text: String) -> Result<Topic, (Option<&'static str>, Invalid)> {
    Topic::try_from(text).map_err(|error| (None, error))
}

fn link(body: LinkBody) -> Result<Link, (Option<&'static str>, Invalid)> {
    let title = Line::try_from(body.title).map_err(|error| (Some("title"), error))?;
    let url = WebUrl::try_from(body.url).map_err(|error| (Some("url"), error))?;
    Ok(Link { title, url })
}

fn question(body: FieldBody) -> Result<Field, (Option<&'static str>, Invalid)> {
    let name = FieldName::try_from(body.name).map_err(|error| (Some("name"), error))?;
    let label = Line::try_from(body.label).map_err(|error| (Some("label"), error))?;
    let options = body.options.into_iter().map(Line::try_from).collect::<Result<_, _>>();
    let options = options.map_err(|error| (Some("options"), error))?;
    Field::new(name, label, body.kind.into(), body.required, options)
        .map_err(|error| (Some("options"), error))
}

impl From<&About> for DetailsBody {
    fn from(about: &About) -> Self {
        let link = |link: &Link| LinkBody {
            title: link.title.as_str().to_owned(),
            url: link.url.as_str().to_owned(),
        };
        Self {
            title: about.title.as_ref().map(|title| title.as_str().to_owned()),
            description: about.description.as_ref().map(|text| text.as_str().to_owned()),
            topics: about.topics.iter().map(|topic| topic.as_str().to_owned()).collect(),
            language: about.language.as_ref().map(|language| language.as_str().to_owned()),
            starts_at: about.starts_at.map(Instant::from),
            visibility: about.visibility.into(),
            logo: about.logo.as_ref().map(|logo| logo.as_str().to_owned()),
            links: about.links.iter().map(link).collect(),
            viewers_max: about.viewers_max,
            registration: about.registration.as_ref().map(RegistrationBody::from),
        }
    }
}

impl From<&Registration> for RegistrationBody {
    fn from(registration: &Registration) -> Self {
        let field = |field: &Field| FieldBody {
            name: field.name().as_str().to_owned(),
            label: field.label().as_str().to_owned(),
            kind: field.kind().into(),
            required: field.required(),
            options: field.options().iter().map(|option| option.as_str().to_owned()).collect(),
        };
        Self {
            notice: registration.notice.as_ref().map(|notice| notice.as_str().to_owned()),
            fields: registration.fields.iter().map(field).collect(),
        }
    }
}

/// The same words, in two places that must not know each other.
macro_rules! same {
    ($one:ident, $other:ident, $($variant:ident)+) => {
        impl From<$one> for $other {
            fn from(one: $one) -> Self {
                match one { $($one::$variant => Self::$variant,)+ }
            }
        }
        impl From<$other> for $one {
            fn from(other: $other) -> Self {
                match other { $($other::$variant => Self::$variant,)+ }
            }
        }
    };
}
same!(Seen, Visibility, Public Unlisted Token);
same!(Kind, FieldKind, Text Email Select Checkbox);

#[cfg(test)]
mod tests {
    use super::*;

    fn broadcast() -> Broadcast {
        let at = Instant::from(UtcTime::from_millis(0));
        Broadcast {
            id: "algebra-1".parse().expect("an id"),
            rev: 1,
            about: About::default(),
            moderator_key: None,
            attendance: false,
            blocked: false,
            created_at: at,
            updated_at: at,
        }
    }

    fn apply(broadcast: &mut Broadcast, json: &str) -> Result<(), Problem> {
        serde_json::from_str::<Fields>(json).expect("fields").apply(broadcast)
    }

    #[test]
    fn what_is_not_there_stays_and_null_clears() {
        let mut broadcast = broadcast();
        let all = r#"{"title":"Algebra","topics":["Maths","Rings"],"language":"de",
            "starts_at":"2026-11-22T10:00:00Z","visibility":"token","viewers_max":5,
            "links":[{"title":"Script","url":"https://uni.example/a"}],"attendance":true,
            "registration":{"notice":null,"fields":[{"name":"mail","label":"Mail","kind":"email"}]}}"#;
        apply(&mut broadcast, all).expect("valid");
        let before = DetailsBody::from(&broadcast.about);
        apply(&mut broadcast, "{}").expect("valid");
        assert_eq!(DetailsBody::from(&broadcast.about), before);
        assert!(broadcast.attendance);
        apply(&mut broadcast, r#"{"title":null,"topics":null,"registration":null,"links":[]}"#)
            .expect("valid");
        let after = DetailsBody::from(&broadcast.about);
        assert_eq!((after.title, after.topics.len(), after.links.len()), (None, 0, 0));
        assert!(after.registration.is_none() && after.language.is_some());
    }

    #[test]
    fn what_is_wrong_is_said_of_each_field() {
        let json = r#"{"title":"a\nb","language":"?","logo":"http://a.example/l.png",
            "topics":["ok",""],"links":[{"title":"x","url":"javascript:alert(1)"}],"viewers_max":0,
            "registration":{"notice":null,"fields":[
                {"name":"Mail","label":"Mail","kind":"email"},
                {"name":"pick","label":"Pick","kind":"select"}]}}"#;
        let problem = apply(&mut broadcast(), json).expect_err("invalid");
        let text = format!("{problem:?}");
        for field in [
            "title",
            "language",
            "logo",
            "topics.1",
            "links.0.url",
            "viewers_max",
            "registration.fields.0.name",
            "registration.fields.1.options",
        ] {
            assert!(text.contains(&format!("field: {field:?}")), "{field} in {text}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Fields>(r#"{"titel":"x"}"#).is_err());
    }
}
