//! What may stand in a comment and in a name: bounded, visible, and never able to disturb the text
//! beside it. Markup is no concern of this: a text is shown as text.

use serde::{Deserialize, Serialize};

use super::Refusal;

/// A text that may be shown: trimmed, 1 to [`Text::CHARS_MAX`] characters in at most
/// [`Text::LINES_MAX`] lines, none of them hidden, without a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

/// A name that may be shown: trimmed, one line of 1 to [`Name::CHARS_MAX`] characters, none hidden.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A letter may bear as many marks as any script of Latin, Greek or Cyrillic letters piles up.
const MARKS_MAX: usize = 4;

impl Text {
    /// The most characters.
    pub const CHARS_MAX: usize = 500;
    /// The most lines.
    pub const LINES_MAX: usize = 12;

    /// Checks what a stranger wrote.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.replace("\r\n", "\n");
        let text = visible(&text, Self::CHARS_MAX, |c| c == '\n')?;
        if text.lines().count() > Self::LINES_MAX {
            return Err(Refusal::TooLong);
        }
        if text.split_whitespace().any(is_link) {
            return Err(Refusal::Link);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    /// The most characters.
    pub const CHARS_MAX: usize = 40;

    /// Checks what a stranger calls itself.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        visible(name, Self::CHARS_MAX, |_| false).map(|name| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `text` without white space around it, if all of it may be shown.
fn visible(
    text: &str,
    chars_max: usize,
    control_ok: impl Fn(char) -> bool,
) -> Result<&str, Refusal> {
    // Before anything is looked at one by one; no character takes more than four bytes.
    if text.len() > 4 * chars_max + 64 {
        return Err(Refusal::TooLong);
    }
    let text = text.trim();
    let mut count = 0;
    let mut marks = 0;
    let mut seen = false;
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        count += 1;
        if c.is_control() && !control_ok(c) {
            return Err(Refusal::ControlCharacters);
        }
        if is_joiner(c) {
            // Emoji and some scripts are joined by them, between two characters that can be seen.
            let joins = |c: char| !c.is_whitespace() && !is_joiner(c);
            if !before.is_some_and(joins) || !chars.peek().copied().is_some_and(joins) {
                return Err(Refusal::HiddenCharacters);
            }
        } else if is_hidden(c) {
            return Err(Refusal::HiddenCharacters);
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MARKS_MAX {
            return Err(Refusal::StackedMarks);
        }
        seen |= !c.is_whitespace() && !is_mark(c) && !is_joiner(c) && !is_selector(c);
        before = Some(c);
    }
    match count {
        count if count > chars_max => Err(Refusal::TooLong),
        _ if !seen => Err(Refusal::Empty),
        _ => Ok(text),
    }
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// Takes no room, or turns around the text about it (Unicode UAX #9 §2), whatever it stands between.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// The combining marks that can be piled upon any letter.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// What people take for a link, and programs make one of: a scheme, `www.`, or a host and a path.
fn is_link(word: &str) -> bool {
    let word = word.to_lowercase();
    if word.contains("://") || word.contains("www.") {
        return true;
    }
    let Some((host, _)) = word.split_once('/') else { return false };
    let Some((name, top)) = host.rsplit_once('.') else { return false };
    !name.is_empty() && top.len() >= 2 && top.bytes().all(|b| b.is_ascii_lowercase())
}

impl TryFrom<String> for Text {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for Name {
    type Error = Refusal;

    fn try_from(name: String) -> Result<Self, Refusal> {
        Self::parse(&name)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}
