//! What viewers are asked before they watch, if the host wants to know. What they answer is
//! [`answers`](super::answers)'s; asking is the edge's, and keeping the answers the origin's.

use serde::{Deserialize, Serialize};

use super::{Description, Invalid, Limited, Line, Named};

/// What viewers are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// What becomes of their answers, in words of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<Description>,
    /// The questions.
    pub fields: Limited<Field, 12>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Field {
    name: FieldName,
    label: Line<120>,
    kind: FieldKind,
    required: bool,
    options: Vec<Line<120>>,
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// In a line of text.
    Text,
    /// With an address for mail.
    Email,
    /// With one of the options.
    Select,
    /// With yes or no.
    Checkbox,
}

impl Field {
    /// The most options.
    pub const OPTIONS_MAX: usize = 50;

    /// A question; `options` are for [`FieldKind::Select`] alone, which has at least one.
    pub fn new(
        name: FieldName,
        label: Line<120>,
        kind: FieldKind,
        required: bool,
        options: Vec<Line<120>>,
    ) -> Result<Self, Invalid> {
        let (least, most) = if kind == FieldKind::Select { (1, Self::OPTIONS_MAX) } else { (0, 0) };
        if !(least..=most).contains(&options.len()) {
            return Err(Invalid::Options(Self::OPTIONS_MAX));
        }
        for (at, option) in options.iter().enumerate() {
            if options[..at].contains(option) {
                return Err(Invalid::Twice(option.to_string()));
            }
        }
        Ok(Self { name, label, kind, required, options })
    }

    /// What its answer is stored under.
    pub fn name(&self) -> &FieldName {
        &self.name
    }

    /// The question itself.
    pub fn label(&self) -> &Line<120> {
        &self.label
    }

    /// How it is answered.
    pub fn kind(&self) -> FieldKind {
        self.kind
    }

    /// Whether there is no way around it.
    pub fn required(&self) -> bool {
        self.required
    }

    /// What may be chosen.
    pub fn options(&self) -> &[Line<120>] {
        &self.options
    }
}

impl Named for Field {
    fn name(&self) -> String {
        self.name.0.clone()
    }
}

/// A question before it is known to be one.
#[derive(Deserialize)]
struct Draft {
    name: FieldName,
    label: Line<120>,
    kind: FieldKind,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    options: Vec<Line<120>>,
}

impl TryFrom<Draft> for Field {
    type Error = Invalid;

    fn try_from(draft: Draft) -> Result<Self, Invalid> {
        let Draft { name, label, kind, required, options } = draft;
        Self::new(name, label, kind, required, options)
    }
}

/// The name of a question: 1 to 32 of `a-z 0-9` with single hyphens between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

impl FieldName {
    /// The most characters.
    pub const CHARS_MAX: usize = 32;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FieldName {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let part_ok = |part: &str| !part.is_empty() && part.bytes().all(plain);
        let ok = name.len() <= Self::CHARS_MAX && name.split('-').all(part_ok);
        if ok { Ok(Self(name)) } else { Err(Invalid::FieldName) }
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0
    }
}
