//! Who a node is, and whom it trusts: certificates, keys and roots of the QUIC connections.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::{Error, renew};

/// Under which name a directory keeps the relay's identity.
const RELAY: &str = "relay";
/// The names that a certificate of our own making is for.
const SELF_SIGNED_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The MoQ version that is spoken. Its SETUP carries a request path, which is where the token stands, and
/// [`super::bounded`] knows its messages.
pub(super) const ALPNS: [&str; 1] = ["moq-lite-06"];

/// A node's certificate chain and private key.
#[derive(Clone)]
pub struct Identity {
    certificate_pem: String,
    key_pem: String,
    /// Where they are read again.
    files: Option<(PathBuf, PathBuf)>,
}

impl Identity {
    /// The identity kept in `dir`; the first start makes one, self-signed for `localhost`.
    ///
    /// The key's file is readable by its owner only.
    pub fn load_or_create(dir: &Path) -> Result<Self, Error> {
        Self::load_or_create_for(dir, RELAY)
    }

    /// The same for another server, as `<name>-cert.pem` and `<name>-key.pem`.
    pub fn load_or_create_for(dir: &Path, name: &str) -> Result<Self, Error> {
        let certificate = dir.join(format!("{name}-cert.pem"));
        let key = dir.join(format!("{name}-key.pem"));
        if !certificate.exists() || !key.exists() {
            let identity = Self::self_signed()?;
            fs::create_dir_all(dir).map_err(|source| file_error(dir, source))?;
            // The key first: a start that is cut short between the two leaves no certificate, so
            // the next one makes a new pair.
            write_private(&key, &identity.key_pem)?;
            fs::write(&certificate, &identity.certificate_pem)
                .map_err(|source| file_error(&certificate, source))?;
            tracing::info!(path = %certificate.display(), "made a self-signed certificate");
        }
        Self::from_pem_files(&certificate, &key)
    }

    /// A certificate chain, the relay's own certificate first, and its key, both PEM.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let files = Some((certificate.to_owned(), key.to_owned()));
        let (certificate_pem, key_pem) = (renew::read(certificate)?, renew::read(key)?);
        let identity = Self { certificate_pem, key_pem, files };
        // Said now, with the file's name at hand, rather than at the first connection.
        identity.server_config(None).map_err(|error| {
            let files = format!("{} with {}", certificate.display(), key.display());
            Error::Tls(format!("{files} cannot be used: {error}"))
        })?;
        Ok(identity)
    }

    /// A new self-signed identity for `localhost`, kept nowhere.
    pub fn self_signed() -> Result<Self, Error> {
        let names = SELF_SIGNED_NAMES.map(String::from).to_vec();
        let made = rcgen::generate_simple_self_signed(names).map_err(tls_error)?;
        let (certificate_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
        Ok(Self { certificate_pem, key_pem, files: None })
    }

    /// What its files hold now; itself if it has none.
    pub(super) fn reread(&self) -> Result<Self, Error> {
        match &self.files {
            None => Ok(self.clone()),
            Some((certificate, key)) => Self::from_pem_files(certificate, key),
        }
    }

    /// Whether both are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.certificate_pem == other.certificate_pem && self.key_pem == other.key_pem
    }

    fn chain_and_key(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let chain = certificates(self.certificate_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(tls_error)?;
        Ok((chain, key))
    }

    /// The certificate that it begins with.
    pub(super) fn first(&self) -> Option<CertificateDer<'static>> {
        certificates(self.certificate_pem.as_bytes()).ok()?.into_iter().next()
    }

    /// The certificate chain, which a subscriber may trust as it stands.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key: for whoever terminates TLS, and no log.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// What a QUIC server presents; and of clients it wants a certificate that one of `client_ca`, PEM, has
    /// signed.
    pub(super) fn server_config(&self, client_ca: Option<&str>) -> Result<QuicServerConfig, Error> {
        let (chain, key) = self.chain_and_key()?;
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let roots = Arc::new(roots_of(pem)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                builder.with_client_cert_verifier(verifier.build().map_err(tls_error)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(tls_error)?;
        config.alpn_protocols = ALPNS.map(|alpn| alpn.as_bytes().to_vec()).to_vec();
        QuicServerConfig::try_from(config).map_err(tls_error)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// Whom a subscriber believes to be its upstream.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The roots that the operating system trusts.
    System,
    /// These certificates, PEM: a private authority, or the upstream's own self-signed one.
    Certificates(String),
    /// The same from a file, which is read for each connection.
    File(PathBuf),
}

impl Trust {
    /// What a QUIC client checks, and what it presents if it is asked for a certificate.
    pub(super) fn client_config(
        &self,
        identity: Option<&Identity>,
    ) -> Result<QuicClientConfig, Error> {
        let roots = match self {
            Self::System => {
                let mut roots = rustls::RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                let (_, unusable) = roots.add_parsable_certificates(found.certs);
                if unusable > 0 || !found.errors.is_empty() {
                    let errors = found.errors.len();
                    tracing::debug!(unusable, errors, "some system roots were not read");
                }
                roots
            }
            Self::Certificates(pem) => roots_of(pem)?,
            Self::File(path) => roots_of(&renew::read(path)?)?,
        };
        if roots.is_empty() {
            return Err(Error::Tls("no trusted certificate".into()));
        }
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.chain_and_key()?;
                builder.with_client_auth_cert(chain, key).map_err(tls_error)?
            }
        };
        config.alpn_protocols = ALPNS.map(|alpn| alpn.as_bytes().to_vec()).to_vec();
        QuicClientConfig::try_from(config).map_err(tls_error)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots_of(pem: &str) -> Result<rustls::RootCertStore, Error> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(pem.as_bytes())? {
        roots.add(certificate).map_err(tls_error)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found.map_err(tls_error)? {
        found if found.is_empty() => Err(Error::Tls("no certificate in the PEM".into())),
        found => Ok(found),
    }
}

fn write_private(path: &Path, contents: &str) -> Result<(), Error> {
    // A key file left over from a start that was cut short may have any permissions.
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(file_error(path, source));
        }
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|source| file_error(path, source))?;
    file.write_all(contents.as_bytes()).map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

fn tls_error(error: impl fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_start_finds_the_identity_of_the_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("made/on/demand");
        let first = Identity::load_or_create(&dir).expect("created");
        let second = Identity::load_or_create(&dir).expect("found");
        assert_eq!(first.certificate_pem, second.certificate_pem);
        assert_eq!(first.key_pem, second.key_pem);
        Trust::Certificates(first.certificate_pem).client_config(None).expect("trusted");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("relay-key.pem"), "left over").expect("written");
        Identity::load_or_create(dir.path()).expect("created");
        let mode =
            fs::metadata(dir.path().join("relay-key.pem")).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let (certificate, key) = (dir.path().join("c"), dir.path().join("k"));
        fs::write(&certificate, "nothing").expect("written");
        fs::write(&key, "nothing").expect("written");
        assert!(matches!(Identity::from_pem_files(&certificate, &key), Err(Error::Tls(_))));
        assert!(Trust::Certificates("nothing".into()).client_config(None).is_err());
        let missing = Identity::from_pem_files(&dir.path().join("missing"), &key);
        assert!(matches!(missing, Err(Error::File { .. })));
    }
}
