//! The certificate that viewers see, and its renewal while connections stay open.
//!
//! The files are read anew every few seconds rather than watched: Kubernetes renews a secret by
//! turning a symbolic link two directories up, of which a watch on the file hears nothing, certbot
//! turns another kind of link, and a network file system tells no watcher anything. Two small reads
//! see all of these, and comparing what was read rather than its time of change sees two renewals
//! within one tick of the file system's clock.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lectern_relay_proto::net;
use prometheus::{IntCounterVec, IntGauge};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(super) const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// How often the files are looked at: soon enough for whoever waits for a renewal to be seen.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The most that is read of a file: chains are a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Under which name the data directory keeps a certificate of our own making.
const DEVELOPMENT_NAME: &str = "https";

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// PEM files: the chain with the server's own certificate first, and its key.
    Files {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Self-signed for `localhost`, kept in this directory, or nowhere.
    Development(Option<PathBuf>),
}

/// Why TLS cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is missing, or not to be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the files hold is no certificate with its key.
    #[error("{} with {} cannot be used: {reason}", certificate.display(), key.display())]
    Unusable {
        /// The chain's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// No certificate could be made.
    #[error("no development certificate: {0}")]
    Development(net::Error),
    /// The library refuses our settings.
    #[error("TLS: {0}")]
    Settings(String),
}

/// Who we are to viewers.
pub struct Identity {
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
    files: Option<Files>,
}

impl Identity {
    /// Loads or makes it.
    pub fn load(source: Source) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (certified, files) = match source {
            Source::Files { certificate, key } => {
                let mut files = Files { certificate, key, seen: Err(String::new()) };
                let pem = files.read()?;
                let certified =
                    pem.certified(&provider).map_err(|reason| files.unusable(reason))?;
                files.seen = Ok(pem);
                (certified, Some(files))
            }
            Source::Development(dir) => {
                let made = match &dir {
                    Some(dir) => net::Identity::load_or_create_for(dir, DEVELOPMENT_NAME),
                    None => net::Identity::self_signed(),
                };
                let made = made.map_err(Error::Development)?;
                tracing::warn!(
                    "HTTPS shows a self-signed development certificate, which browsers warn of: \
                     set edge.tls_certificate and edge.tls_key"
                );
                let pem = Pem {
                    certificate: made.certificate_pem().as_bytes().to_vec(),
                    key: made.key_pem().as_bytes().to_vec(),
                };
                (pem.certified(&provider).map_err(Error::Settings)?, None)
            }
        };
        let shown = Arc::new(Shown(RwLock::new(Arc::new(certified))));
        let acceptor = acceptor(provider, shown.clone())?;
        Ok(Self { shown, acceptor, files })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Shows new connections what the files hold, until `cancel`. What cannot be used is said and
    /// counted, once for each change, and the certificate before it stays.
    pub(super) async fn follow_files(
        self,
        reloads: IntCounterVec,
        expiry: IntGauge,
        cancel: CancellationToken,
    ) {
        expiry.set(self.shown.expiry());
        let Self { shown, files: Some(mut files), .. } = self else { return };
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(looks.tick()).await.is_some() {
            let looked_at = shown.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let result = files.look(&looked_at);
                (files, result)
            });
            let Ok((returned, result)) = looked.await else {
                tracing::error!("the certificate's files are not looked at any more");
                return;
            };
            files = returned;
            match result {
                None => {}
                Some(Ok(())) => {
                    tracing::info!(path = %files.certificate.display(), "certificate renewed");
                    reloads.with_label_values(&["renewed"]).inc();
                    expiry.set(shown.expiry());
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the certificate stays as it was");
                    reloads.with_label_values(&["failed"]).inc();
                }
            }
        }
    }
}

fn acceptor(provider: Arc<CryptoProvider>, shown: Arc<Shown>) -> Result<TlsAcceptor, Error> {
    let settings = |error: rustls::Error| Error::Settings(error.to_string());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(settings)?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    // What resumes a session is kept by the client, sealed, and not by us for each of them.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(settings)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate that new connections see.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// When it expires, in seconds of Unix time; 0 if that cannot be told.
    fn expiry(&self) -> i64 {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        shown.cert.first().and_then(net::check::expiry).unwrap_or_default()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The files, and what was last found in them.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: Result<Pem, String>,
}

impl Files {
    /// Looks whether the files hold something else than before; `None` if not.
    fn look(&mut self, shown: &Shown) -> Option<Result<(), Error>> {
        let found = self.read();
        let now = match &found {
            Ok(pem) => Ok(pem.clone()),
            Err(error) => Err(error.to_string()),
        };
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(found.and_then(|pem| {
            let provider = aws_lc_rs::default_provider();
            let certified = pem.certified(&provider).map_err(|reason| self.unusable(reason))?;
            *shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
            Ok(())
        }))
    }

    fn read(&self) -> Result<Pem, Error> {
        Ok(Pem { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn unusable(&self, reason: String) -> Error {
        Error::Unusable { certificate: self.certificate.clone(), key: self.key.clone(), reason }
    }
}

/// What the files hold. It has no `Debug`: one half is secret.
#[derive(Clone, PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    /// The certificate with the key that is proved to be its own. A renewal that is read when only
    /// one file is written yet fails here, and is read again at the next look.
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|error| format!("certificate: {error}"))?;
        if chain.is_empty() {
            return Err("there is no certificate in the file".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|error| format!("key: {error}"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| error.to_string())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Writes a pair as Kubernetes does: the files are links into what `..data` points to.
    fn publish(dir: &Path, version: &str, pair: &rcgen::CertifiedKey<rcgen::KeyPair>) {
        fs::create_dir(dir.join(version)).unwrap();
        fs::write(dir.join(version).join("tls.crt"), pair.cert.pem()).unwrap();
        fs::write(dir.join(version).join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
        symlink(version, dir.join("..new")).unwrap();
        fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            let link = dir.join(name);
            if !link.is_symlink() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
    }

    fn pair() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn files(dir: &Path) -> Source {
        Source::Files { certificate: dir.join("tls.crt"), key: dir.join("tls.key") }
    }

    fn shown(identity: &Identity) -> Vec<u8> {
        identity.shown.0.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_renewed_secret_is_seen_and_a_broken_one_is_said_once_and_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (first, second, third) = (pair(), pair(), pair());
        publish(dir, "one", &first);
        let mut identity = Identity::load(files(dir)).unwrap();
        let mut watched = identity.files.take().unwrap();
        assert!(watched.look(&identity.shown).is_none(), "nothing has changed");

        publish(dir, "two", &second);
        assert!(matches!(watched.look(&identity.shown), Some(Ok(()))));
        assert_eq!(shown(&identity), second.cert.der().to_vec());

        // Half of the third, as whoever copies two files leaves it for a moment.
        fs::write(dir.join("two/tls.crt"), third.cert.pem()).unwrap();
        let refused = watched.look(&identity.shown);
        assert!(matches!(refused, Some(Err(Error::Unusable { .. }))));
        assert!(watched.look(&identity.shown).is_none(), "said once");
        assert_eq!(shown(&identity), second.cert.der().to_vec());
        fs::write(dir.join("two/tls.key"), third.signing_key.serialize_pem()).unwrap();
        assert!(matches!(watched.look(&identity.shown), Some(Ok(()))));
        assert_eq!(shown(&identity), third.cert.der().to_vec());

        fs::remove_file(dir.join("..data")).unwrap();
        assert!(matches!(watched.look(&identity.shown), Some(Err(Error::File { .. }))));
        assert!(watched.look(&identity.shown).is_none(), "said once");
        assert_eq!(shown(&identity), third.cert.der().to_vec());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name_and_shows_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |source| Identity::load(source).err().unwrap().to_string();
        assert!(refused(files(dir.path())).contains("tls.crt"));
        fs::write(dir.path().join("tls.crt"), pair().cert.pem()).unwrap();
        let other = pair().signing_key.serialize_pem();
        fs::write(dir.path().join("tls.key"), &other).unwrap();
        let error = refused(files(dir.path()));
        assert!(error.contains("tls.key") && !error.contains(&other[30..60]), "{error}");
    }

    #[test]
    fn a_development_certificate_is_kept_where_there_is_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let kept = || Identity::load(Source::Development(Some(dir.path().into()))).unwrap();
        assert_eq!(shown(&kept()), shown(&kept()));
        let made = || Identity::load(Source::Development(None)).unwrap();
        assert_ne!(shown(&made()), shown(&made()));
    }
}
