//! Where in the console somebody goes once they are signed in, whatever a link says about it: never out of it.
//! Pure.

/// Bytes of a path: the longest of the console's has a hundred.
const PATH_BYTES_MAX: usize = 256;

/// `to` if it is the path of a page of the console, or else that of the first. It becomes the fragment of the
/// console's address, so that nothing in it can name another place; what looks as if it would like to is not
/// taken all the same.
pub(super) fn checked(to: Option<&str>) -> String {
    match to {
        Some(to) if is_path(to) => to.to_owned(),
        _ => "/".to_owned(),
    }
}

fn is_path(to: &str) -> bool {
    let bytes = to.as_bytes();
    if bytes.len() > PATH_BYTES_MAX || bytes.first() != Some(&b'/') || bytes.get(1) == Some(&b'/') {
        return false;
    }
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = match first {
            b'%' => match behind {
                [high, low, behind @ ..] if means_a_letter(*high, *low) => behind,
                _ => return false,
            },
            // What encodeURIComponent leaves as it is, and what stands between parts.
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => behind,
            b'-' | b'_' | b'.' | b'~' | b'!' | b'*' | b'\'' | b'(' | b')' | b'/' => behind,
            _ => return false,
        };
    }
    true
}

/// Whether `%` with these behind it stands for what a name may have in it: neither for control characters, nor
/// for what divides an address, nor for another `%`.
fn means_a_letter(high: u8, low: u8) -> bool {
    let digit = |digit: u8| (digit as char).to_digit(16);
    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return false };
    let byte = (high * 16 + low) as u8;
    !byte.is_ascii_control() && !b"/\\:%?#@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_console_are_taken() {
        for to in [
            "/",
            "/new",
            "/broadcasts/algebra-1",
            "/broadcasts/algebra_1/go-live",
            "/settings/account",
            "/broadcasts/%C3%A4",
            "/broadcasts/a.b~c!*'()",
        ] {
            assert_eq!(checked(Some(to)), to);
        }
    }

    #[test]
    fn everything_else_is_the_first_page() {
        for to in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "evil.example",
            ".evil.example",
            "@evil.example",
            "/@evil.example",
            "#error=call+this+number",
            "error=call+this+number",
            "/#/new",
            "/?a=b",
            "/a b",
            "/a+b",
            " /new",
            "/new\r\nSet-Cookie: a=b",
            "/new\n",
            "/\t/evil.example",
            "/\0",
            "/\u{7f}",
            "/ä",
            "/\u{202e}new",
            "/%",
            "/%2",
            "/%zz",
            "/%2F%2Fevil.example",
            "/%2fevil.example",
            "/%5Cevil.example",
            "/%5cevil.example",
            "/%0d%0aSet-Cookie:a=b",
            "/%0A",
            "/%00",
            "/%7F",
            "/%252F%252Fevil.example",
            "/%3A",
            "/%23",
            "/%3F",
            "/%40",
            "%2F%2Fevil.example",
            &format!("/{}", "a".repeat(PATH_BYTES_MAX)),
        ] {
            assert_eq!(checked(Some(to)), "/", "{to:?}");
        }
        assert_eq!(checked(None), "/");
    }
}
