//! The comments of a broadcast for holders of a token are theirs, over a real connection, and until the
//! token expires.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use futures::{SinkExt as _, StreamExt as _};
use lectern_origin::config::{BroadcastConfig, Secret};
use lectern_relay_proto::about::{PublicKey, ViewerKey, Visibility};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::stack::{DEADLINE, Stack};

/// How far the clocks of edges and issuers may be apart (docs/access.md).
const LEEWAY_S: f64 = 5.0;

fn token(pair: &Ed25519KeyPair, exp: f64) -> String {
    let header = BASE64URL.encode(r#"{"alg":"EdDSA","kid":"k1"}"#);
    let claims = BASE64URL.encode(format!(r#"{{"broadcast":"members","exp":{exp}}}"#));
    let signed = format!("{header}.{claims}");
    let signature = BASE64URL.encode(pair.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_along_does_so_until_the_token_expires() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    let key =
        ViewerKey { kid: "k1".to_owned().try_into().unwrap(), public_key: PublicKey::from(public) };
    let stack = Stack::start_with(vec![BroadcastConfig {
        visibility: Visibility::Token,
        viewer_keys: vec![key].try_into().unwrap(),
        ..BroadcastConfig::new("members".parse().unwrap(), Secret::new("key"))
    }])
    .await;
    let url = stack.url("/live/members/comments").replace("http:", "ws:");
    let began = Instant::now();
    let refused = loop {
        match tokio_tungstenite::connect_async(url.as_str()).await {
            // The edge has not heard of it yet.
            Err(Error::Http(answer)) if answer.status() != 401 && began.elapsed() < DEADLINE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => break other,
        }
    };
    let Err(Error::Http(answer)) = refused else { panic!("let in without a token") };
    assert_eq!(answer.headers()["lectern-reason"], "token-missing");
    let list = stack.get("/live").await.text().await.unwrap();
    assert!(!list.contains("members"), "{list}");

    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let mut request = url.as_str().into_client_request().unwrap();
    let offer = format!("lectern.comments, lectern.token.{}", token(&pair, now_s - LEEWAY_S + 2.0));
    request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
    let began = Instant::now();
    let (mut socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "lectern.comments");
    let join = r#"{"type":"join","after":0}"#;
    socket.send(Message::Text(join.into())).await.unwrap();
    // Without a relay token nobody tells this edge of comments, so it says nothing but goodbye.
    let closed = loop {
        let message = timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Close(frame) = message {
            break frame.unwrap();
        }
    };
    assert!(began.elapsed() > Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert_eq!((u16::from(closed.code), closed.reason.as_str()), (4401, "token-expired"));
}
