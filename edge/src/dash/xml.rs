//! The little XML that a manifest needs: elements, and attributes that are always escaped.

use std::fmt::{self, Display, Write};

/// A document being written. Nesting is that of the closures, so it is always well-formed.
#[derive(Default)]
pub(super) struct Document {
    out: String,
    depth: usize,
}

/// The attributes of an element being opened.
pub(super) struct Attributes<'a>(&'a mut String);

impl Document {
    pub(super) fn new() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into(), depth: 0 }
    }

    /// An element with children.
    pub(super) fn element(
        &mut self,
        name: &str,
        attributes: impl FnOnce(&mut Attributes<'_>),
        children: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        self.out.push_str(">\n");
        self.depth += 1;
        children(self);
        self.depth -= 1;
        self.indent();
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &str, attributes: impl FnOnce(&mut Attributes<'_>)) {
        self.open(name, attributes);
        self.out.push_str("/>\n");
    }

    /// An element with text that needs no escaping.
    pub(super) fn text(&mut self, name: &str, text: &'static str) {
        self.open(name, |_| {});
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, ">{text}</{name}>");
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn open(&mut self, name: &str, attributes: impl FnOnce(&mut Attributes<'_>)) {
        self.indent();
        self.out.push('<');
        self.out.push_str(name);
        attributes(&mut Attributes(&mut self.out));
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(' ', self.depth));
    }
}

impl Attributes<'_> {
    pub(super) fn set(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.0.push(' ');
        self.0.push_str(name);
        self.0.push_str("=\"");
        // Writing to a String cannot fail; an error could only be the value's own.
        let _ = write!(Escape(self.0), "{value}");
        self.0.push('"');
        self
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }
}

struct Escape<'a>(&'a mut String);

impl fmt::Write for Escape<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\t' | '\n' | '\r' => write!(self.0, "&#{};", c as u32)?,
                // Not characters of XML 1.0 §2.2, not even escaped.
                '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_an_attribute() {
        let mut document = Document::default();
        document.element(
            "a",
            |a| {
                a.set("b", "\"><c d='1'>&\n\u{1}");
            },
            |document| {
                document.empty("e", |a| {
                    a.maybe("f", None::<u32>).set("g", 1);
                });
            },
        );
        assert_eq!(
            document.finish(),
            "<a b=\"&quot;&gt;&lt;c d='1'&gt;&amp;&#10;\u{fffd}\">\n <e g=\"1\"/>\n</a>\n"
        );
    }
}
