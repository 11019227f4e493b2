//! What may stand in a comment and in a name: bounded, visible, and never able to disturb the text
//! beside it. Markup is no concern of this: a text is shown as text.

use serde::{Deserialize, Serialize};

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use super::Refusal;

/// A text that may be shown: trimmed, 1 to [`Text::CHARS_MAX`] characters in at most
/// [`Text::LINES_MAX`] lines, none of them hidden, without a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

/// A name that may be shown: trimmed, one line of 1 to [`Name::CHARS_MAX`] characters, none hidden,
/// without a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A letter may bear as many marks as any living script piles up.
const MARKS_MAX: usize = 5;

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
        let name = visible(name, Self::CHARS_MAX, |_| false)?;
        if name.split_whitespace().any(is_link) {
            return Err(Refusal::Link);
        }
        Ok(Self(name.to_owned()))
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
        if is_joiner(c) || is_selector(c) {
            // Emoji and some scripts are joined, or told apart, by them: after a character that can be
            // seen, and, if they join, before another.
            let bears = |c: char| !c.is_whitespace() && !is_joiner(c) && !is_selector(c);
            let follows = before.is_some_and(|before| match is_joiner(c) {
                true => bears(before) || is_selector(before),
                false => bears(before),
            });
            let leads = is_selector(c) || chars.peek().is_some_and(|next| bears(*next));
            // Between plain letters they would only tell apart what looks the same.
            if !follows || !leads || before.is_some_and(|before| before.is_ascii_alphabetic()) {
                return Err(Refusal::HiddenCharacters);
            }
        } else if is_hidden(c) {
            return Err(Refusal::HiddenCharacters);
        } else if !is_mark(c) {
            marks = 0;
            seen |= !c.is_whitespace();
        }
        marks += usize::from(is_mark(c));
        if marks > MARKS_MAX {
            return Err(Refusal::StackedMarks);
        }
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

/// Takes no room, turns around the text about it (Unicode UAX #9 §2), or is no character, whatever it
/// stands between.
fn is_hidden(c: char) -> bool {
    use GeneralCategory::{Format, LineSeparator, ParagraphSeparator, PrivateUse};
    // Letters and symbols by their category, but nothing to be seen.
    let blank = matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'
            ..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{fffc}' | '\u{1d159}'
    );
    let category = c.general_category();
    blank
        || matches!(category, Format | LineSeparator | ParagraphSeparator | PrivateUse)
        // Noncharacters, and all of the last planes.
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}' | '\u{e0000}'..)
}

/// What is put upon the letter before it and takes no room of its own.
fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    !is_selector(c) && matches!(c.general_category(), NonspacingMark | EnclosingMark)
}

/// What people take for a link, and programs make one of: a scheme, `www.`, or a host with something
/// after it.
fn is_link(word: &str) -> bool {
    // As a program would that takes wide letters for plain ones.
    let word: String =
        word.nfkc().flat_map(char::to_lowercase).filter(|c| !is_selector(*c)).collect();
    let scheme = |at: usize| {
        let before = word[..at].chars().next_back();
        let after = word[at + 1..].chars().next();
        before.is_some_and(char::is_alphabetic) && matches!(after, Some('/' | '\\'))
    };
    if word.contains("www.") || word.match_indices(':').any(|(at, _)| scheme(at)) {
        return true;
    }
    if ["javascript:", "mailto:", "data:", "tel:"].iter().any(|scheme| word.contains(scheme)) {
        return true;
    }
    let Some((host, _)) = word.split_once(['/', '?', '#']) else { return false };
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let Some((name, top)) = host.rsplit_once('.') else { return false };
    let named = top.chars().count() >= 2 && top.chars().all(char::is_alphabetic);
    let address =
        host.split('.').count() == 4 && host.chars().all(|c| c == '.' || c.is_ascii_digit());
    !name.is_empty() && (named || address || top.starts_with("xn--"))
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
