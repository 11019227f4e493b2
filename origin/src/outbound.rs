//! How this origin asks servers of others over HTTP: whom it believes, and how long anything may take. What
//! is asked is for others to know; where one may be sent by people, they look at the address first.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// How long a connection may take, and a request with its answer.
const CONNECT_MAX: Duration = Duration::from_secs(5);
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// The roots that the operating system trusts.
static TLS: LazyLock<ClientConfig> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!(unusable, "this machine trusts no certificate: nobody is asked over HTTPS");
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3 are built in")
        .with_root_certificates(roots)
        .with_no_client_auth()
});

/// A client that follows no redirects, asks no proxy, and is not kept waiting.
pub fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .use_preconfigured_tls(TLS.clone())
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_MAX)
        .timeout(REQUEST_MAX)
        .user_agent(concat!("Lectern/", env!("CARGO_PKG_VERSION")))
}
