//! `lectern find-address`: finds under which addresses the media port of this machine is reached, and writes them to
//! where `edge.media_addresses_file` reads them. Kubernetes tells a pod no ExternalIP of its node; its API does, to
//! whom it lets ask.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use lectern_relay_proto::net::PublicAddress;
use reqwest::{Client, StatusCode, header};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

/// Where Kubernetes puts what a pod asks its API with.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long the API may take.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// A node with all its images and conditions is some tens of kilobytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How addresses are found.
#[derive(Args, Clone, Debug)]
pub(crate) struct FindAddress {
    /// Ask the API of the cluster that this pod runs in for the ExternalIP of its node. The pod's account needs the
    /// right to `get` nodes.
    #[arg(long, required = true)]
    kubernetes: bool,
    /// The node.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: String,
    /// Where to write them, an address in each line; to standard output without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl FindAddress {
    /// Finds and writes them.
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let host = "it runs in no pod of Kubernetes: KUBERNETES_SERVICE_HOST is not set";
        let host = std::env::var("KUBERNETES_SERVICE_HOST").context(host)?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|_| "443".into());
        let server = match host.parse() {
            Ok(IpAddr::V6(v6)) => format!("https://[{v6}]:{port}"),
            _ => format!("https://{host}:{port}"),
        };
        let addresses = external(&server, Path::new(ACCOUNT), &self.node).await?;
        let text: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        match &self.out {
            None => std::io::stdout().write_all(text.as_bytes()).context("cannot write"),
            Some(out) => {
                write(out, &text).with_context(|| format!("cannot write {}", out.display()))
            }
        }
    }
}

/// Beside it first: whoever reads it meanwhile finds all of it or what was before.
fn write(out: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = out.with_extension("new");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, out)
}

#[derive(Deserialize)]
struct Node {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    addresses: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    r#type: String,
    address: String,
}

/// The node's addresses outside of its cluster, as the API at `server` knows them; asked by the account in `account`.
async fn external(server: &str, account: &Path, node: &str) -> anyhow::Result<Vec<PublicAddress>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    ensure!(!node.is_empty() && node.bytes().all(plain), "--node: {node:?} is no name of a node");
    let token = account.join("token");
    let missing =
        || format!("{}: the pod is given no token of its account: mount it", token.display());
    let token = std::fs::read_to_string(&token).with_context(missing)?;
    let asked = client(&account.join("ca.crt"))?
        .get(format!("{server}/api/v1/nodes/{node}"))
        .bearer_auth(token.trim())
        .header(header::ACCEPT, "application/json")
        .send();
    let mut answer = asked.await.with_context(|| format!("the API of Kubernetes at {server}"))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => bail!("the API of Kubernetes does not know the pod's account"),
        StatusCode::FORBIDDEN => bail!(
            "the pod's account may not read nodes: give it a ClusterRole with the verb get on nodes, and a \
             ClusterRoleBinding"
        ),
        StatusCode::NOT_FOUND => bail!("the cluster has no node {node:?}"),
        status => bail!("the API of Kubernetes answers {status}"),
    }
    let context = "what the API says of the node";
    let mut said = Vec::new();
    while let Some(chunk) = answer.chunk().await.context(context)? {
        ensure!(said.len() + chunk.len() <= ANSWER_BYTES_MAX, "{context} is too long");
        said.extend_from_slice(&chunk);
    }
    let found: Node = serde_json::from_slice(&said).context(context)?;
    let addresses = found.status.addresses;
    let of = |kind: &str| -> Vec<PublicAddress> {
        let of_kind = addresses.iter().filter(|address| address.r#type == kind);
        of_kind.filter_map(|address| address.address.parse().ok()).collect()
    };
    let found = of("ExternalIP");
    if found.is_empty() {
        let inside: Vec<_> = of("InternalIP").iter().map(ToString::to_string).collect();
        bail!(
            "the node {node:?} has no ExternalIP, and {} as InternalIP: give it one, or say elsewhere under which \
             address viewers reach it",
            if inside.is_empty() { "none".to_owned() } else { inside.join(", ") }
        );
    }
    Ok(found)
}

fn client(authorities: &Path) -> anyhow::Result<Client> {
    let context = || format!("{}: the authority of the cluster's API", authorities.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities).with_context(context)? {
        roots.add(certificate.with_context(context)?).with_context(context)?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder().use_preconfigured_tls(tls).no_proxy().timeout(REQUEST_MAX);
    Ok(client.redirect(reqwest::redirect::Policy::none()).build()?)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Path as Named;
    use axum::http::HeaderMap;
    use axum::routing::get;
    use lectern_relay_proto::net::Identity;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    /// What the API answers of a node.
    async fn node(Named(node): Named<String>, headers: HeaderMap) -> (StatusCode, String) {
        let address = |kind: &str, address: &str| json!({"type": kind, "address": address});
        let known = |addresses: Vec<Value>| {
            (StatusCode::OK, json!({"status": {"addresses": addresses}}).to_string())
        };
        if headers[header::AUTHORIZATION] != "Bearer s3cret" {
            return (StatusCode::UNAUTHORIZED, String::new());
        }
        match node.as_str() {
            "outside" => known(vec![
                address("InternalIP", "10.0.0.5"),
                address("Hostname", "outside"),
                address("ExternalIP", "203.0.113.7"),
                address("ExternalIP", "2001:db8::7"),
            ]),
            "inside" => known(vec![address("InternalIP", "10.0.0.6")]),
            "forbidden" => (StatusCode::FORBIDDEN, String::new()),
            "strange" => (StatusCode::OK, "[]".to_owned()),
            _ => (StatusCode::NOT_FOUND, String::new()),
        }
    }

    async fn found(node_asked: &str, token: &str) -> Result<Vec<String>, String> {
        let account = tempfile::tempdir().expect("temporary directory");
        let identity = Identity::load_or_create(&account.path().join("authority"));
        let identity = identity.expect("an authority");
        std::fs::write(account.path().join("token"), token).expect("written");
        std::fs::write(account.path().join("ca.crt"), identity.certificate_pem()).expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let server = format!("http://{}", listener.local_addr().expect("bound"));
        let api = Router::new().route("/api/v1/nodes/{node}", get(node));
        tokio::spawn(async move { axum::serve(listener, api).await });
        let found = external(&server, account.path(), node_asked).await;
        let texts = |all: Vec<PublicAddress>| all.iter().map(ToString::to_string).collect();
        found.map(texts).map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn a_node_is_known_by_its_addresses_outside_or_it_is_said_why_not() {
        let outside = ["203.0.113.7", "2001:db8::7"].map(str::to_owned).to_vec();
        assert_eq!(found("outside", "s3cret\n").await, Ok(outside));
        for (node, token, expect) in [
            ("inside", "s3cret", "\"inside\" has no ExternalIP, and 10.0.0.6 as InternalIP"),
            ("forbidden", "s3cret", "ClusterRole with the verb get on nodes"),
            ("gone", "s3cret", "no node \"gone\""),
            ("strange", "s3cret", "what the API says of the node"),
            ("outside", "another", "does not know the pod's account"),
            ("../secrets", "s3cret", "no name of a node"),
            ("", "s3cret", "no name of a node"),
        ] {
            let why = found(node, token).await.expect_err(node);
            assert!(why.contains(expect) && !why.contains("s3cret"), "{node}: {why}");
        }
    }

    #[test]
    fn what_is_written_is_there_as_a_whole() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let out = dir.path().join("addresses");
        for text in ["203.0.113.7\n", "203.0.113.8\n"] {
            write(&out, text).expect("written");
            assert_eq!(std::fs::read_to_string(&out).expect("read"), text);
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
