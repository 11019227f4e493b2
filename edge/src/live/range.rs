//! The one kind of Range request that media players make: a single span of bytes (RFC 9110 §14).

use std::ops::Range;

/// What a Range header asks of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: not a byte range, several ranges, or not well-formed (RFC 9110 §14.2 lets a
    /// server ignore all of these).
    Whole,
    /// These bytes, at least one.
    Part(Range<usize>),
    /// Nothing that there is (416).
    Nothing,
}

/// Reads a Range header for a body of `len` bytes.
pub(super) fn parse(header: &str, len: usize) -> Asked {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Asked::Whole;
    };
    match (position(first), position(last)) {
        (Position::Bad, _) | (_, Position::Bad) | (Position::None, Position::None) => Asked::Whole,
        (Position::At(first), Position::At(last)) if first > last => Asked::Whole,
        (Position::At(first), _) if first >= len => Asked::Nothing,
        (Position::At(first), Position::At(last)) => {
            Asked::Part(first..last.saturating_add(1).min(len))
        }
        (Position::At(first), Position::None) => Asked::Part(first..len),
        (Position::None, Position::At(suffix)) if suffix == 0 || len == 0 => Asked::Nothing,
        (Position::None, Position::At(suffix)) => Asked::Part(len.saturating_sub(suffix)..len),
    }
}

enum Position {
    None,
    At(usize),
    Bad,
}

/// Digits only; a number too large for memory is as good as the largest.
fn position(digits: &str) -> Position {
    match digits {
        "" => Position::None,
        digits if digits.len() > 20 || !digits.bytes().all(|b| b.is_ascii_digit()) => Position::Bad,
        digits => Position::At(digits.parse().unwrap_or(usize::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_span_is_read_and_the_rest_is_the_whole() {
        let check = |header, expect| assert_eq!(parse(header, 10), expect, "{header}");
        check("bytes=0-3", Asked::Part(0..4));
        check("bytes=9-9", Asked::Part(9..10));
        check("bytes=4-", Asked::Part(4..10));
        check("bytes=-4", Asked::Part(6..10));
        check("bytes=-40", Asked::Part(0..10));
        check("bytes=4-18446744073709551615", Asked::Part(4..10));
        check("bytes=4-99999999999999999999", Asked::Part(4..10));
        check("bytes=10-", Asked::Nothing);
        check("bytes=-0", Asked::Nothing);
        check("bytes=4-3", Asked::Whole);
        check("bytes=-", Asked::Whole);
        check("bytes=0-1,3-4", Asked::Whole);
        check("bytes= 0-1", Asked::Whole);
        check("items=0-1", Asked::Whole);
        check("bytes=+1-2", Asked::Whole);
        check("bytes=999999999999999999999999-", Asked::Whole);
        assert_eq!(parse("bytes=0-", 0), Asked::Nothing);
        assert_eq!(parse("bytes=-1", 0), Asked::Nothing);
    }
}
