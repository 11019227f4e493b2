//! `[telemetry]`: whether traces are told, to whom, and how much of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use lectern_relay_proto::net::check::Checkup;
use lectern_relay_proto::trace::Ratio;
use serde::Deserialize;
use url::Url;

/// What is read of a file with headers.
const HEADERS_BYTES_MAX: u64 = 64 * 1024;
/// The longest name of a service or an instance.
const NAME_LEN_MAX: usize = 255;
/// The most spans that may wait, of about half a kilobyte each.
const QUEUE_MAX: usize = 65_536;
/// The longest that the collector may be given.
const TIMEOUT_SECS_MAX: u32 = 60;

/// `[telemetry]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where traces are sent: an OTLP collector's URL for traces over HTTP with protobuf, such as
    /// `http://collector:4318/v1/traces`. Without it, nothing is traced.
    pub(crate) endpoint: Option<String>,
    /// How much is traced, of groups of frames and of requests to the API: from 0, nothing, to 1, everything. All
    /// origins and edges need the same, or traces lack the spans of those with less.
    pub(crate) sample_ratio: f64,
    /// A file with headers for the collector, one in each line, such as `authorization: Bearer …`. It is read
    /// again each time that something is sent.
    pub(crate) headers_file: Option<PathBuf>,
    /// What traces call the service, `service.name`.
    pub(crate) service_name: String,
    /// What they call this process, `service.instance.id`; without it, something random at each start. In a pod its name
    /// is a good one.
    pub(crate) instance: Option<String>,
    /// How long the collector may take to answer, in seconds, 1 to 60. What it does not take by then is lost.
    pub(crate) timeout_secs: u32,
    /// How many spans may wait for it, 1 to 65536, of about half a kilobyte each. Further ones are lost.
    pub(crate) queue_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample_ratio: 0.01,
            headers_file: None,
            service_name: "lectern".to_owned(),
            instance: None,
            timeout_secs: 5,
            queue_max: 2_048,
        }
    }
}

impl Config {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs.into())
    }

    /// All that is wrong with it.
    pub(crate) fn check(&self, checkup: &mut Checkup) {
        if let Some(Err(wrong)) = self.endpoint.as_deref().map(endpoint) {
            checkup.refuse("telemetry.endpoint", wrong);
        }
        if Ratio::new(self.sample_ratio).is_none() {
            let wrong = format!("{}; it is from 0, nothing, to 1, everything", self.sample_ratio);
            checkup.refuse("telemetry.sample_ratio", wrong);
        }
        if let Some(Err(wrong)) =
            self.headers_file.as_deref().filter(|_| checkup.sees_machine()).map(headers)
        {
            checkup.refuse("telemetry.headers_file", wrong);
        }
        let names = [
            ("telemetry.service_name", Some(&self.service_name)),
            ("telemetry.instance", self.instance.as_ref()),
        ];
        for (key, name) in names {
            if name.is_some_and(|name| name.is_empty() || name.len() > NAME_LEN_MAX) {
                checkup.refuse(key, format!("it is 1 to {NAME_LEN_MAX} bytes long"));
            }
        }
        if !(1..=TIMEOUT_SECS_MAX).contains(&self.timeout_secs) {
            let wrong = format!("{}; it is 1 to {TIMEOUT_SECS_MAX}", self.timeout_secs);
            checkup.refuse("telemetry.timeout_secs", wrong);
        }
        if !(1..=QUEUE_MAX).contains(&self.queue_max) {
            let wrong = format!("{}; it is 1 to {QUEUE_MAX}", self.queue_max);
            checkup.refuse("telemetry.queue_max", wrong);
        }
    }
}

/// Whether spans can be sent to `text`. What it says does not repeat that: there may be a password in it.
fn endpoint(text: &str) -> Result<(), String> {
    let expected = "it is a URL such as http://collector:4318/v1/traces";
    let url = Url::parse(text).map_err(|error| format!("{error}; {expected}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme is {}; {expected}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "there is a password in it: put a header into telemetry.headers_file".to_owned()
        );
    }
    if url.path() == "/" {
        return Err(format!("it has no path, and most collectors want /v1/traces; {expected}"));
    }
    Ok(())
}

/// The headers in a file, or what is wrong with it, without what is in it.
pub(super) fn headers(path: &Path) -> Result<HeaderMap, String> {
    use std::io::Read as _;
    let shown = path.display();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(HEADERS_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| format!("{shown}: {error}; name a file with a header in each line"))?;
    if text.len() as u64 > HEADERS_BYTES_MAX {
        return Err(format!("{shown}: it is longer than {HEADERS_BYTES_MAX} bytes"));
    }
    let mut headers = HeaderMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let header = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        let Some((name, value)) = header else {
            return Err(format!(
                "{shown}: line {number} is no header; it is written as name: value"
            ));
        };
        headers.append(name, value);
    }
    if headers.is_empty() {
        return Err(format!("{shown}: there is no header in it; write one in each line"));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::net::check::Scope;

    use super::*;

    fn found(config: Config) -> Vec<String> {
        let mut checkup = Checkup::new(Scope::here());
        config.check(&mut checkup);
        checkup.into_faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        assert!(found(Config::default()).is_empty());
        let good = Config {
            endpoint: Some("https://otlp.example/v1/traces".to_owned()),
            ..Config::default()
        };
        assert!(found(good.clone()).is_empty());
        let at = |endpoint: &str| {
            found(Config { endpoint: Some(endpoint.to_owned()), ..Config::default() }).concat()
        };
        assert!(at("collector").starts_with("telemetry.endpoint: relative URL"));
        assert!(at("grpc://collector:4317").contains("the scheme is grpc"));
        assert!(at("http://collector:4318").contains("/v1/traces"));
        let secret = at("http://me:s3cret@collector/v1/traces");
        assert!(secret.contains("headers_file") && !secret.contains("s3cret"));
        let bad = Config {
            sample_ratio: 1.5,
            service_name: String::new(),
            instance: Some("x".repeat(256)),
            timeout_secs: 0,
            queue_max: 0,
            ..good
        };
        assert_eq!(found(bad).len(), 5);
    }

    #[test]
    fn headers_are_read_a_line_each_and_never_told() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("headers");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("written");
            headers(&file)
        };
        let two = read("authorization: Bearer a:b\n\nX-Scope-OrgID: 1\n").expect("headers");
        assert_eq!(two["authorization"], "Bearer a:b");
        assert_eq!(two["x-scope-orgid"], "1");
        assert!(!format!("{two:?}").contains("Bearer"), "no log shows it");
        for bad in ["s3cret", "na me: s3cret", "\n", "", &"a: b\n".repeat(20_000)] {
            let wrong = read(bad).expect_err("refused");
            assert!(!wrong.contains("s3cret"), "{wrong}");
        }
        assert!(headers(&dir.path().join("none")).is_err());
    }
}
