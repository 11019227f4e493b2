//! What a broadcast is about, as its host says, and who may watch it: [`About`], a part of the catalog.
//!
//! Every type here holds only what is within its bounds, whether it comes from the configuration file,
//! from the API or from another node's catalog; what is refused is said in words for people. Who keeps
//! somebody out is the edge, and who asks viewers for their names is the origin.

mod access;
mod answers;
mod registration;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use url::Url;

pub use access::{Kid, PublicKey, ViewerKey, ViewerKeys, Visibility};
pub use answers::{ANSWER_CHARS_MAX, Answer, Answers, Fault, Given, WrongAnswer};
pub use registration::{Field, FieldKind, FieldName, Registration};

use crate::time::UtcTime;

/// What a broadcast is about, and for whom it is. Everything may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// When it is to begin.
    #[serde(rename = "startsAtMs", with = "millis", skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<UtcTime>,
    /// What it is about, in plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// What it is found by.
    #[serde(skip_serializing_if = "Topics::is_empty")]
    pub topics: Topics,
    /// In which language it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// A picture of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<SecureUrl>,
    /// What belongs to it elsewhere.
    #[serde(skip_serializing_if = "Links::is_empty")]
    pub links: Links,
    /// Who may watch it.
    #[serde(skip_serializing_if = "Visibility::is_public")]
    pub visibility: Visibility,
    /// Whose signatures edges believe on viewer tokens.
    #[serde(skip_serializing_if = "ViewerKeys::is_empty")]
    pub viewer_keys: ViewerKeys,
    /// How many may watch at once, on all edges and paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewers_max: Option<u32>,
    /// What viewers are asked before they watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
}

impl About {
    /// What viewers are asked before they watch. Who was invited with a viewer token is not asked, so of a
    /// broadcast that is for those alone nobody is.
    pub fn form(&self) -> Option<&Registration> {
        self.registration.as_ref().filter(|_| self.visibility != Visibility::Token)
    }

    /// Whether nobody watches without a viewer token: one that they were invited with, or were given for
    /// their answers.
    pub fn needs_token(&self) -> bool {
        self.visibility == Visibility::Token || self.registration.is_some()
    }
}

/// What it is found by.
pub type Topics = Limited<Topic, 10>;
/// What belongs to it elsewhere.
pub type Links = Limited<Link, 8>;
/// A title.
pub type Title = Line<120>;
/// A subject, such as `linear algebra`.
pub type Topic = Line<40>;

/// Why something cannot be said of a broadcast, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Empty, too long, or more than a line.
    #[error("it must be 1 to {0} characters in one line")]
    Line(usize),
    /// Empty, too long, or not plain text.
    #[error("a description is 1 to {} characters of plain text", Description::CHARS_MAX)]
    Description,
    /// Not the name of a language.
    #[error("a language is named as in BCP 47, such as en, de-AT or zh-Hant")]
    Language,
    /// Not an address that a browser follows.
    #[error(
        "an address begins with https:// or http://, has no password, and at most {0} characters"
    )]
    Url(usize),
    /// Not an address over HTTPS.
    #[error("an address begins with https://, has no password, and at most {0} characters")]
    SecureUrl(usize),
    /// Too many of something.
    #[error("there are {count}, and at most {max} are allowed")]
    TooMany {
        /// So many.
        count: usize,
        /// And so many may be.
        max: usize,
    },
    /// The same twice.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// Not the name of a key.
    #[error("a kid is 1 to 64 of a-z A-Z 0-9 - _")]
    Kid,
    /// Not a key.
    #[error("a public key is the 32 bytes of an Ed25519 key in base64url")]
    PublicKey,
    /// A key for which signatures hold that nobody made.
    #[error("this public key is one of the few that prove nothing: make another pair")]
    WeakKey,
    /// Not the name of a field.
    #[error("a field's name is 1 to 32 of a-z 0-9 with single hyphens between")]
    FieldName,
    /// Choices where nothing is chosen, or none where something is.
    #[error("a field of the kind select has 1 to {0} options, and no other has any")]
    Options(usize),
}

/// 1 to `MAX` characters in one line, without white space around them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line<const MAX: usize>(String);

impl<const MAX: usize> Line<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Line<MAX> {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        match plain(&text, MAX, |_| false) {
            Some(text) => Ok(Self(text.to_owned())),
            None => Err(Invalid::Line(MAX)),
        }
    }
}

impl<const MAX: usize> From<Line<MAX>> for String {
    fn from(line: Line<MAX>) -> Self {
        line.0
    }
}

impl<const MAX: usize> fmt::Display for Line<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Plain text in any number of lines, without white space around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

impl Description {
    /// The most characters.
    pub const CHARS_MAX: usize = 2_000;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let text = text.replace("\r\n", "\n");
        match plain(&text, Self::CHARS_MAX, |c| matches!(c, '\n' | '\t')) {
            Some(text) => Ok(Self(text.to_owned())),
            None => Err(Invalid::Description),
        }
    }
}

impl From<Description> for String {
    fn from(description: Description) -> Self {
        description.0
    }
}

/// `text` without white space around it, if it is something, short, and without other control characters.
fn plain(text: &str, chars_max: usize, control_ok: impl Fn(char) -> bool) -> Option<&str> {
    let text = text.trim();
    let fits = (1..=chars_max).contains(&text.chars().count());
    (fits && !text.chars().any(|c| c.is_control() && !control_ok(c))).then_some(text)
}

/// The name of a language, well-formed by RFC 5646 §2.1; whether there is such a language is not looked
/// up, since there are new ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

impl Language {
    /// RFC 5646 §4.4.1.
    const CHARS_MAX: usize = 35;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Language {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        let mut parts = name.split('-');
        let primary = parts.next().unwrap_or_default();
        let well_formed = (2..=8).contains(&primary.len())
            && primary.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|part| {
                (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        if well_formed && name.len() <= Self::CHARS_MAX {
            Ok(Self(name))
        } else {
            Err(Invalid::Language)
        }
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

/// Something that belongs to a broadcast elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it is.
    pub title: Line<120>,
    /// Where.
    pub url: WebUrl,
}

/// The most characters of an address.
const URL_CHARS_MAX: usize = 2_048;

/// An address that a browser follows: `https://…` or `http://…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(String);

impl WebUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebUrl {
    type Error = Invalid;

    fn try_from(url: String) -> Result<Self, Invalid> {
        web_url(&url, &["https", "http"]).map(Self).ok_or(Invalid::Url(URL_CHARS_MAX))
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> Self {
        url.0
    }
}

/// An address that a page over HTTPS may load: `https://…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecureUrl(String);

impl SecureUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecureUrl {
    type Error = Invalid;

    fn try_from(url: String) -> Result<Self, Invalid> {
        web_url(&url, &["https"]).map(Self).ok_or(Invalid::SecureUrl(URL_CHARS_MAX))
    }
}

impl From<SecureUrl> for String {
    fn from(url: SecureUrl) -> Self {
        url.0
    }
}

/// An address as a browser would write it (WHATWG URL), if it is one of these schemes. A password in it
/// would be everybody's.
fn web_url(text: &str, schemes: &[&str]) -> Option<String> {
    if text.len() > URL_CHARS_MAX {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let known = schemes.contains(&url.scheme()) && url.has_host();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let url = String::from(url);
    (known && anonymous && url.len() <= URL_CHARS_MAX).then_some(url)
}

/// At most `MAX` of something, none of them twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "Vec<T>",
    into = "Vec<T>",
    bound = "T: Clone + Named + Serialize + for<'a> Deserialize<'a>"
)]
pub struct Limited<T, const MAX: usize>(Vec<T>);

/// What tells one from another.
pub trait Named {
    /// The name, of which there may be but one.
    fn name(&self) -> String;
}

impl<T, const MAX: usize> Limited<T, MAX> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T, const MAX: usize> Default for Limited<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for Limited<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Named, const MAX: usize> TryFrom<Vec<T>> for Limited<T, MAX> {
    type Error = Invalid;

    fn try_from(all: Vec<T>) -> Result<Self, Invalid> {
        if all.len() > MAX {
            return Err(Invalid::TooMany { count: all.len(), max: MAX });
        }
        for (at, each) in all.iter().enumerate() {
            let name = each.name();
            if all[..at].iter().any(|before| before.name() == name) {
                return Err(Invalid::Twice(name));
            }
        }
        Ok(Self(all))
    }
}

impl<T, const MAX: usize> From<Limited<T, MAX>> for Vec<T> {
    fn from(limited: Limited<T, MAX>) -> Self {
        limited.0
    }
}

impl Named for Topic {
    fn name(&self) -> String {
        self.0.to_lowercase()
    }
}

impl Named for Link {
    fn name(&self) -> String {
        self.url.0.clone()
    }
}

/// An instant as Unix ms.
mod millis {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::time::UtcTime;

    pub(super) fn serialize<S: Serializer>(
        at: &Option<UtcTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(UtcTime::as_millis).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UtcTime>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(UtcTime::from_millis))
    }
}
