//! Fragments of SDP that a PATCH brings and takes back: `application/trickle-ice-sdpfrag`
//! (RFC 8840 §9), as far as RFC 9725 §4.3 uses them.
//!
//! Candidates are not read: a lite agent learns addresses from checks. What counts is whether a
//! fragment belongs to the ICE session that is, or begins another.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::answer;
use super::ice::Credentials;
use super::sdp;

/// Why a fragment is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// A line that a fragment cannot have.
    #[error("the fragment has a line that begins with neither a= nor m=")]
    Line,
    /// One half of the credentials, or characters that no ICE agent uses.
    #[error("the fragment's ice-ufrag and ice-pwd are not a pair that ICE allows")]
    Credentials,
}

/// A fragment as a player sent it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    /// The player's user name fragment, if it has one; then there was a password too.
    pub ufrag: Option<&'a str>,
    /// Its `group`, its first m-line and that one's `mid`, for the answer to repeat.
    described: [Option<&'a str>; 3],
}

impl<'a> Fragment<'a> {
    /// Reads a fragment.
    pub(super) fn parse(text: &'a str) -> Result<Self, Error> {
        let mut fragment = Self::default();
        let mut password = None;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let [group, media, mid] = &mut fragment.described;
            match line.split_once('=').ok_or(Error::Line)? {
                ("a", attribute) => match attribute.split_once(':') {
                    Some(("ice-ufrag", ufrag)) => fragment.ufrag = Some(ufrag),
                    Some(("ice-pwd", text)) => password = Some(text),
                    Some(("group", _)) => *group = Some(line),
                    Some(("mid", _)) => *mid = mid.or(Some(line)),
                    _ => {}
                },
                ("m", _) => *media = media.or(Some(line)),
                // Not in the grammar, and in what some players send.
                ("c", _) => {}
                _ => return Err(Error::Line),
            }
        }
        let ufrag_fits = fragment.ufrag.is_none_or(|text| sdp::is_ice_text(text, 4));
        let password_fits = password.is_none_or(|text| sdp::is_ice_text(text, 22));
        if fragment.ufrag.is_some() != password.is_some() || !ufrag_fits || !password_fits {
            return Err(Error::Credentials);
        }
        Ok(fragment)
    }

    /// The answer to it when it restarts ICE, RFC 9725 §4.3.3.
    pub(super) fn answer(
        &self,
        local: &Credentials,
        candidates: &[SocketAddr],
        with_tcp: bool,
    ) -> String {
        let mut out = String::from("a=ice-lite\r\n");
        for line in self.described.into_iter().flatten().filter(|line| sdp::is_printable(line)) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{line}\r\n");
        }
        let Credentials { ufrag, password } = local;
        let _ = write!(out, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
        answer::write_candidates(&mut out, candidates, with_tcp);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9725 figure 6, with its own line ends.
    const RESTART: &str = "a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:ysXw\r\n\
        a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn a_restart_is_answered_in_the_terms_of_the_player() {
        let fragment = Fragment::parse(RESTART).unwrap();
        assert_eq!(fragment.ufrag, Some("ysXw"));
        let local = Credentials { ufrag: "ours".into(), password: "secret".into() };
        let answer = fragment.answer(&local, &["192.0.2.9:8189".parse().unwrap()], false);
        assert_eq!(
            answer,
            "a=ice-lite\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
             a=ice-ufrag:ours\r\na=ice-pwd:secret\r\n\
             a=candidate:1 1 udp 2130706431 192.0.2.9 8189 typ host\r\na=end-of-candidates\r\n"
        );
    }

    #[test]
    fn candidates_alone_are_a_fragment_and_other_text_is_not() {
        let check = |text, expect| assert_eq!(Fragment::parse(text).map(|f| f.ufrag), expect);
        check("", Ok(None));
        check("m=audio 9 RTP/AVP 0\na=mid:0\na=end-of-candidates\n", Ok(None));
        check("hello", Err(Error::Line));
        check("v=0\r\n", Err(Error::Line));
        check("a=ice-ufrag:abcd\r\n", Err(Error::Credentials));
        check("a=ice-pwd:0123456789012345678901\r\n", Err(Error::Credentials));
        check("a=ice-ufrag:a:cd\r\na=ice-pwd:0123456789012345678901\r\n", Err(Error::Credentials));
        check("a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n", Err(Error::Credentials));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_answer_has_only_whole_lines(text in "[amc=: \\r\\n\u{0}-\u{ff}]{0,200}") {
            if let Ok(fragment) = Fragment::parse(&text) {
                let local = Credentials { ufrag: "ours".into(), password: "secret".into() };
                for line in fragment.answer(&local, &[], false).split_terminator("\r\n") {
                    prop_assert!(!line.contains(['\r', '\n']), "{line:?}");
                }
            }
        }
    }
}
