//! `Prefer: wait=N` (RFC 7240), of which nothing else means anything here.

use std::time::Duration;

use axum::http::HeaderMap;

/// How long the client would rather wait than be refused; the first `wait` counts, §2.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let seconds = values.flat_map(|value| value.split(',')).find_map(|preference| {
        let preference = preference.split(';').next()?;
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit is more than anybody is made to wait.
    digits.then(|| Duration::from_secs(seconds.parse().unwrap_or(u64::from(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_wait_is_found_among_other_preferences() {
        let check = |lines: &[&str], seconds: Option<u64>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("prefer", HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(wait(&headers), seconds.map(Duration::from_secs), "{lines:?}");
        };
        check(&[], None);
        check(&["wait=10"], Some(10));
        check(&["respond-async, Wait = \"7\"; x=1, wait=9"], Some(7));
        check(&["return=minimal", "wait=0"], Some(0));
        check(&["wait=99999999999999999999999"], Some(u64::from(u32::MAX)));
        for odd in ["wait", "wait=", "wait=-1", "wait=1.5", "await=3", "wait=x"] {
            check(&[odd], None);
        }
    }
}
