//! What is wrong with a configuration, in words of whoever wrote it: the key, what is the matter and what to
//! do. Owns how faults are told and what is looked at in files that all roles have; which keys there are is
//! each role's. Looking opens no port, and changes nothing.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::{AddressFile, Error, PublicAddress, Tokens, media_candidates, renew, subscribe};

/// A certificate that is renewed is renewed earlier than this.
const EXPIRES_SOON: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// How much a fault matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It may be meant so.
    Doubtful,
    /// The process starts, and something does not work until it is mended: it may be, meanwhile.
    Broken,
    /// The process does not start.
    Refused,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How much it matters.
    pub weight: Weight,
    /// Which setting, such as `edge.https`.
    pub key: String,
    /// What is wrong with it, and what to do: in one line, without secrets.
    pub wrong: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.wrong)
    }
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whether the files that are named are looked at, and this machine. Not, for a configuration that is to
    /// run elsewhere.
    pub machine: bool,
    /// Names by which others reach this node; what it shows to them has to be for each.
    pub names: Vec<String>,
    /// The time, by which certificates are good or not.
    pub now: SystemTime,
}

impl Scope {
    /// All of it, now, whatever the node is called.
    pub fn here() -> Self {
        Self { machine: true, names: Vec::new(), now: SystemTime::now() }
    }
}

/// Looks, and keeps what is wrong.
pub struct Checkup {
    scope: Scope,
    faults: Vec<Fault>,
}

impl Checkup {
    /// Nothing is wrong yet.
    pub fn new(scope: Scope) -> Self {
        Self { scope, faults: Vec::new() }
    }

    /// What was found.
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Whether this machine and its files are looked at.
    pub fn sees_machine(&self) -> bool {
        self.scope.machine
    }

    /// `key` is wrong in such a way that nothing starts.
    pub fn refuse(&mut self, key: impl Into<String>, wrong: impl fmt::Display) {
        self.note(Weight::Refused, key, wrong);
    }

    /// `key` is wrong in such a way that something does not work.
    pub fn broken(&mut self, key: impl Into<String>, wrong: impl fmt::Display) {
        self.note(Weight::Broken, key, wrong);
    }

    /// `key` may be wrong.
    pub fn doubt(&mut self, key: impl Into<String>, wrong: impl fmt::Display) {
        self.note(Weight::Doubtful, key, wrong);
    }

    fn note(&mut self, weight: Weight, key: impl Into<String>, wrong: impl fmt::Display) {
        self.faults.push(Fault { weight, key: key.into(), wrong: wrong.to_string() });
    }

    /// Two settings that go together: whether both are there.
    pub fn both<T>(&mut self, a: (&str, &Option<T>), b: (&str, &Option<T>)) -> bool {
        let alone = match (a.1, b.1) {
            (Some(_), None) => Some((a.0, b.0)),
            (None, Some(_)) => Some((b.0, a.0)),
            _ => None,
        };
        if let Some((set, missing)) = alone {
            self.refuse(missing, format!("it is not set, and {set} is: they go together"));
        }
        a.1.is_some() && b.1.is_some()
    }

    /// A token, or a file with tokens; not both.
    pub fn tokens(&mut self, token: (&str, bool), file: (&str, Option<&Path>)) {
        let (Some(path), (key, set)) = (file.1, token) else { return };
        if set {
            self.refuse(key, format!("{} is set as well: leave one of the two out", file.0));
        }
        if !self.scope.machine {
            return;
        }
        match Tokens::from_file(path) {
            Ok(_) => {}
            Err(Error::File { path, source }) => self.refuse(file.0, unreadable(&path, &source)),
            Err(error) => self.refuse(file.0, format!("{error}; write one token in each line")),
        }
    }

    /// A certificate with its key. If others see it, it has to be for the names of this node.
    pub fn identity(&mut self, certificate: (&str, &Path), key: (&str, &Path), shown: Shown) {
        if !self.scope.machine {
            return;
        }
        let chain = self.certificates(certificate);
        let secret = self.file(key).and_then(|pem| {
            let read = PrivateKeyDer::from_pem_slice(pem.as_bytes());
            read.map_err(|_| {
                self.refuse(
                    key.0,
                    format!(
                        "{}: there is no private key in it; it is a PEM file with the key of {}",
                        key.1.display(),
                        certificate.0
                    ),
                )
            })
            .ok()
        });
        let Some(chain) = chain else { return };
        if let Some(secret) = secret {
            let provider = aws_lc_rs::default_provider();
            match CertifiedKey::from_der(chain.clone(), secret, &provider) {
                Ok(_) => {}
                Err(rustls::Error::InconsistentKeys(_)) => self.refuse(
                    key.0,
                    format!(
                        "{} is not the key of the certificate in {} ({}): name the two that were made together, \
                         the server's own certificate first in its file",
                        key.1.display(),
                        certificate.1.display(),
                        certificate.0
                    ),
                ),
                Err(error) => self.refuse(
                    certificate.0,
                    format!("{} cannot be used: {error}", certificate.1.display()),
                ),
            }
        }
        self.validity(certificate, &chain[0]);
        if shown == Shown::ToOthers {
            let names = self.scope.names.clone();
            self.names(certificate, &chain[0], &names);
        }
    }

    /// A certificate by which others know this node as `name`.
    pub fn named(&mut self, (key, path): (&str, &Path), name: &str) {
        // What cannot be read is told of by `identity`.
        let pem = renew::read(path).ok().filter(|_| self.scope.machine).unwrap_or_default();
        let first = CertificateDer::pem_slice_iter(pem.as_bytes()).next();
        if let Some(Ok(first)) = first {
            self.names((key, path), &first, &[name.to_owned()]);
        }
    }

    /// Certificates of which one has to have signed others.
    pub fn authorities(&mut self, file: (&str, &Path)) {
        if !self.scope.machine {
            return;
        }
        let Some(found) = self.certificates(file) else { return };
        // Of several one may be on its way out.
        let good = found.iter().any(|each| outdated(each, self.scope.now).is_none());
        if !good {
            self.validity(file, &found[0]);
        }
    }

    fn certificates(&mut self, file: (&str, &Path)) -> Option<Vec<CertificateDer<'static>>> {
        let (key, path) = (file.0, file.1.display());
        let pem = self.file(file)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        match found {
            Ok(found) if !found.is_empty() => Some(found),
            Ok(_) => {
                self.refuse(
                    key,
                    format!("{path}: there is no certificate in it; it is a PEM file"),
                );
                None
            }
            Err(error) => {
                self.refuse(key, format!("{path}: {error}; it is a PEM file with certificates"));
                None
            }
        }
    }

    fn file(&mut self, (key, path): (&str, &Path)) -> Option<String> {
        match renew::read(path) {
            Ok(text) => Some(text),
            Err(Error::File { path, source }) => {
                self.refuse(key, unreadable(&path, &source));
                None
            }
            Err(error) => {
                self.refuse(key, error);
                None
            }
        }
    }

    fn validity(&mut self, (key, path): (&str, &Path), certificate: &CertificateDer<'_>) {
        let path = path.display();
        match outdated(certificate, self.scope.now) {
            Some(Outdated::Unreadable) => {
                self.refuse(key, format!("{path}: what is in it is no certificate"));
            }
            Some(Outdated::Ended(end)) => self.broken(
                key,
                format!(
                    "the certificate in {path} expired at {end}: renew it, and replace the file, which is \
                     read again; or this machine's clock is wrong"
                ),
            ),
            Some(Outdated::NotYet(begin)) => self.broken(
                key,
                format!(
                    "the certificate in {path} is good from {begin} on: wait until then, or set this \
                     machine's clock, if it is wrong"
                ),
            ),
            Some(Outdated::Soon(end)) => self.doubt(
                key,
                format!("the certificate in {path} expires at {end}: see that it is renewed"),
            ),
            None => {}
        }
    }

    fn names(&mut self, (key, path): (&str, &Path), first: &CertificateDer<'_>, names: &[String]) {
        // What is no certificate has been told of.
        let Ok(parsed) = ParsedCertificate::try_from(first) else { return };
        for name in names {
            let path = path.display();
            match ServerName::try_from(name.as_str()) {
                Err(_) => self.refuse("--name", format!("{name:?} is neither a name nor an address")),
                Ok(server) if rustls::client::verify_server_name(&parsed, &server).is_err() => self
                    .broken(
                        key,
                        format!(
                            "the certificate in {path} is not for {name}: have one made that names it as \
                             a subject alternative name"
                        ),
                    ),
                Ok(_) => {}
            }
        }
    }

    /// A directory in which files are kept: whether they can be. Nothing is left in it.
    pub fn directory(&mut self, key: &str, path: &Path, otherwise: &str) {
        if !self.scope.machine {
            return;
        }
        // It is made at the start; what is there of it says whether it can be.
        let mut ancestors = path.ancestors().filter(|each| !each.as_os_str().is_empty());
        let there = ancestors.find(|each| each.exists()).unwrap_or(Path::new("."));
        let written = if there.is_dir() {
            tempfile::tempfile_in(there)
                .and_then(|mut file| io::Write::write_all(&mut file, &[0; 4096]))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        };
        if let Err(error) = written {
            let wrong = format!(
                "{} cannot be written to: {error}; give it to the user that lectern runs as, with room, \
                 or {otherwise}",
                there.display()
            );
            self.refuse(key, wrong);
        }
    }

    /// A file of addresses by which others reach a media port: whether it can be used, and they do.
    pub fn media_file(&mut self, key: &str, listen: SocketAddr, path: &Path, peers: &str) {
        if !self.scope.machine {
            return;
        }
        match AddressFile::read(path) {
            Ok(file) => self.media(key, listen, file.addresses(), peers),
            Err(error) => {
                let wrong = format!("{error}; write an address in each line, such as 203.0.113.7");
                self.refuse(key, wrong);
            }
        }
    }

    /// A media port that others reach by `addresses`, or by those of this machine: whether they do.
    pub fn media(
        &mut self,
        key: &str,
        listen: SocketAddr,
        addresses: &[PublicAddress],
        peers: &str,
    ) {
        if listen.ip().is_loopback() {
            return;
        }
        if let Some(kind) = addresses.iter().find_map(|address| not_public(address.ip)) {
            let all = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            // One that is in reach is enough.
            if addresses.iter().all(|address| not_public(address.ip).is_some()) {
                let wrong = format!(
                    "{all} is {kind}: {peers} outside of it get no media; name the address that they reach, \
                     such as 203.0.113.7, or leave it so if there are none outside"
                );
                self.doubt(key, wrong);
            }
        }
        if !addresses.is_empty() || !self.scope.machine {
            return;
        }
        let told = media_candidates(&[], listen);
        if told.iter().all(|address| not_public(address.ip()).is_some()) {
            let all = told.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>();
            let wrong = format!(
                "not set, and none of this machine's addresses is public ({}): {peers} outside of its network \
                 get no media; name the address that they reach, as of the NAT or load balancer before it",
                all.join(", ")
            );
            self.doubt(key, wrong);
        }
    }
}

/// To whom a certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// To those who reach this node by its names.
    ToOthers,
    /// To those whom it reaches, and who ask for no name.
    ToUpstreams,
}

enum Outdated {
    Unreadable,
    Ended(String),
    NotYet(String),
    Soon(String),
}

fn outdated(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<Outdated> {
    let Some((begin, end)) = validity(certificate) else { return Some(Outdated::Unreadable) };
    let at = |time: &x509_cert::time::Time| SystemTime::UNIX_EPOCH + time.to_unix_duration();
    let (begins, ends) = (at(&begin), at(&end));
    if now < begins {
        Some(Outdated::NotYet(begin.to_date_time().to_string()))
    } else if now > ends {
        Some(Outdated::Ended(end.to_date_time().to_string()))
    } else if now + EXPIRES_SOON > ends {
        Some(Outdated::Soon(end.to_date_time().to_string()))
    } else {
        None
    }
}

fn validity(
    certificate: &CertificateDer<'_>,
) -> Option<(x509_cert::time::Time, x509_cert::time::Time)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some((validity.not_before, validity.not_after))
}

/// When a certificate expires, in seconds of Unix time; `None` where that cannot be read.
pub fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, end) = validity(certificate)?;
    i64::try_from(end.to_unix_duration().as_secs()).ok()
}

/// Whether `all` can be subscribed to as they are written.
///
/// # Errors
/// If there is none, too many, or one that is not `host:port`.
pub fn upstreams(all: &[String]) -> Result<(), Error> {
    subscribe::named(all.to_vec()).map(drop)
}

/// Whether a certificate could be for `name`.
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

/// Why a file cannot be read, and what to do.
fn unreadable(path: &Path, source: &io::Error) -> String {
    let remedy = match source.kind() {
        io::ErrorKind::NotFound => "create it, or name another",
        io::ErrorKind::PermissionDenied => "let the user that lectern runs as read it",
        _ => "name one that can be read",
    };
    format!("{}: {source}; {remedy}", path.display())
}

/// Of what kind an address is that the Internet does not know; `None` of one that it may.
pub fn not_public(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            if ip.is_loopback() {
                Some("this machine's alone")
            } else if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
                Some("a private network's")
            } else if ip.is_link_local() {
                Some("good on one link alone")
            } else if ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() {
                Some("no single machine's")
            } else {
                None
            }
        }
        IpAddr::V6(ip) if ip.is_loopback() => Some("this machine's alone"),
        IpAddr::V6(ip) if ip.is_unique_local() => Some("a private network's"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("good on one link alone"),
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_multicast() => Some("no single machine's"),
        IpAddr::V6(_) => None,
    }
}
