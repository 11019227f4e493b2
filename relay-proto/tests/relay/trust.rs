//! By what nodes know each other, and how that changes while they run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lectern_relay_proto::net::{
    Error, Identity, Publisher, PublisherMetrics, Status, Subscriber, Tokens,
};
use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::harness::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The identity of an edge that `authority` vouches for.
fn signed_by(authority: &Authority, dir: &Path) -> Identity {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["edge".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let (certificate_file, key_file) = (dir.join("edge.pem"), dir.join("edge-key.pem"));
    fs::write(&certificate_file, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    Identity::from_pem_files(&certificate_file, &key_file).unwrap()
}

async fn disconnected(subscriber: &Subscriber) -> String {
    let mut status = subscriber.status();
    let gone = |status: &Status| matches!(status, Status::Disconnected(_));
    match &*within(status.wait_for(gone)).await.unwrap() {
        Status::Disconnected(error) => error.to_string(),
        _ => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_shows_a_certificate_where_one_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (authority(), authority());
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, ours.pem()).unwrap();
    let identity = Identity::self_signed().unwrap();
    let mut config = publisher_config(&identity, 0);
    config.client_ca = Some(ca.clone());
    let publisher = Publisher::bind(config).unwrap();
    let (_room, mut track) = broadcast(&publisher, "room");
    write_group(&mut track, group(1, 0), 0, 1);

    let with = |shown: Option<Identity>| {
        let mut config = subscriber_config(&identity, publisher.local_addr().unwrap());
        config.identity = shown;
        Subscriber::start(config).unwrap()
    };
    let said = disconnected(&with(None)).await;
    assert!(said.contains("does not accept our certificate"), "{said}");
    let said = disconnected(&with(Some(signed_by(&others, dir.path())))).await;
    assert!(said.contains("does not accept our certificate"), "{said}");
    let mut known = with(Some(signed_by(&ours, dir.path())));
    let live = next_live(&mut known).await;
    expect_group(&mut video(&live).await, group(1, 0), 1).await;

    // Whom the origin trusts is changed under way: those who are in stay, and it is others who come in.
    fs::write(&ca, others.pem()).unwrap();
    let mut next = with(Some(signed_by(&others, dir.path())));
    next_live(&mut next).await;
    write_group(&mut track, group(1, 1), 2_000, 1);
    let mut still = video(&live).await;
    expect_group(&mut still, group(1, 1), 1).await;

    // What cannot be used is refused at the start.
    fs::write(&ca, "nothing").unwrap();
    let mut config = publisher_config(&identity, 0);
    config.client_ca = Some(ca);
    assert!(matches!(Publisher::bind(config), Err(Error::Tls(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_change_while_sessions_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let (at_origin, at_edge) = (dir.path().join("origin"), dir.path().join("edge"));
    fs::write(&at_origin, "old\n").unwrap();
    fs::write(&at_edge, "old\n").unwrap();
    let identity = Identity::self_signed().unwrap();
    let registry = Registry::new();
    let mut config = publisher_config(&identity, 0);
    config.metrics = PublisherMetrics::register(&registry).unwrap();
    config.token = Some(Tokens::from_file(&at_origin).unwrap());
    let publisher = Publisher::bind(config).unwrap();
    let (_room, _track) = broadcast(&publisher, "room");
    let with = |tokens: Tokens| {
        let mut config = subscriber_config(&identity, publisher.local_addr().unwrap());
        config.token = Some(tokens);
        Subscriber::start(config).unwrap()
    };
    let mut edge = with(Tokens::from_file(&at_edge).unwrap());
    next_live(&mut edge).await;
    // The new one is known to the origin first, so nobody is left out.
    fs::write(&at_origin, "old\nnew\n").unwrap();
    let mut another = with("new".parse().unwrap());
    next_live(&mut another).await;
    // One that is not given it.
    let mut outdated = with("old".parse().unwrap());
    next_live(&mut outdated).await;
    let mut status = outdated.status();
    within(status.wait_for(|status| matches!(status, Status::Connected))).await.unwrap();
    let told = tokio::spawn(async move {
        let is_out = |status: &Status| !matches!(status, Status::Connected);
        within(status.wait_for(is_out)).await.unwrap().clone()
    });
    // The edge has it too, and the old one goes: its session ends, and the next is opened with the new.
    fs::write(&at_edge, "new\n").unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    fs::write(&at_origin, "new\n").unwrap();
    let told = told.await.unwrap();
    assert!(
        matches!(&told, Status::Disconnected(why) if matches!(**why, Error::Refused)),
        "it is told why: {told:?}"
    );
    assert_eq!(next_gone(&mut edge).await, id("room"));
    next_live(&mut edge).await;
    let still = tokio::time::timeout(Duration::from_millis(100), another.next()).await;
    assert!(still.is_err(), "the session with the new one goes on");
    let revoked = registry.gather().iter().any(|family| {
        family.name() == "lectern_relay_refused_total"
            && family.get_metric().iter().any(|metric| {
                metric.get_label().iter().any(|label| label.value() == "revoked")
                    && metric.get_counter().get_value() >= 1.0
            })
    });
    assert!(revoked, "what is revoked is counted");
}
