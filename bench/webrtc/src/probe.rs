//! One viewer by itself, with a socket of its own: joins by WHEP, and tells of each picture that it has whole.
//! When to join, and where, is whoever watches to say.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, StatusCode};
use tokio::net::UdpSocket;

use crate::sdp::{self, Answer};
use crate::tally::Tally;
use crate::transport::{Credentials, Identity};
use crate::viewer::{Setup, Viewer};
use lectern_bench_rig::unix_us;

/// The most that one datagram has.
const DATAGRAM_BYTES: usize = 2_048;
/// The `Lectern-Reason` of a refusal.
const REASON: &str = "lectern-reason";

/// What all sessions of one viewer share.
#[derive(Clone)]
pub struct Watcher {
    client: Client,
    identity: Arc<Identity>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The edge does not answer.
    #[error("the edge does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The edge answers that it will not.
    #[error("refused with {status}{}", reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default())]
    Refused {
        /// Of HTTP.
        status: u16,
        /// In a word, if the edge says one.
        reason: Option<String>,
    },
    /// What it answers is no answer to an offer, or there is no socket for it.
    #[error("{0:#}")]
    Unusable(anyhow::Error),
}

/// What a session has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A picture is there whole.
    Picture,
    /// The session is over, and why.
    Over(String),
}

/// A session. Dropping it leaves the edge to find out; [`Session::leave`] tells it.
pub struct Session {
    client: Client,
    viewer: Viewer,
    socket: UdpSocket,
    url: Option<String>,
    tally: Tally,
    out: Vec<Vec<u8>>,
    buffer: Vec<u8>,
    /// Pictures that were not told of yet.
    pictures: usize,
}

impl Watcher {
    /// A viewer that asks by `client`.
    pub fn new(client: Client) -> anyhow::Result<Self> {
        Ok(Self { client, identity: Arc::new(Identity::generate()?) })
    }

    /// Joins broadcast `id` at the edge at `base`, such as `http://10.0.0.1:8080`.
    pub async fn join(&self, base: &str, id: &str) -> Result<Session, JoinError> {
        let credentials = Credentials::generate();
        let posted_us = unix_us();
        let Credentials { ufrag, password } = &credentials;
        let offer = sdp::offer(ufrag, password, &self.identity.fingerprint());
        let request = self.client.post(format!("{base}/whep/{id}"));
        let response = request.header(CONTENT_TYPE, "application/sdp").body(offer).send().await?;
        let text = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        if response.status() != StatusCode::CREATED {
            let status = response.status().as_u16();
            return Err(JoinError::Refused { status, reason: text(REASON) });
        }
        let url = text(LOCATION.as_str()).map(|path| format!("{base}{path}"));
        let answer = Answer::read(&response.text().await?).map_err(JoinError::Unusable)?;
        let socket = connect(answer.server).await;
        let socket = socket.map_err(|error| JoinError::Unusable(error.into()))?;
        let setup = Setup { full: true, credentials, answer, posted_us };
        Ok(Session {
            client: self.client.clone(),
            viewer: Viewer::new(setup, self.identity.clone(), Instant::now()),
            socket,
            url,
            tally: Tally::default(),
            out: Vec::new(),
            buffer: vec![0; DATAGRAM_BYTES],
            pictures: 0,
        })
    }
}

impl Session {
    /// Waits for what happens next. May be dropped and called again.
    pub async fn next(&mut self) -> Event {
        loop {
            for datagram in self.out.drain(..) {
                // A full buffer is a lost datagram, as on any link; an error is the answer to an earlier one.
                let _ = self.socket.try_send(&datagram);
            }
            self.pictures += self.tally.ended.drain(..).count();
            if self.pictures > 0 {
                self.pictures -= 1;
                return Event::Picture;
            }
            if let Some(why) = &self.viewer.failed {
                return Event::Over(why.clone());
            }
            let wake = tokio::time::sleep_until(self.viewer.wake().into());
            let readable = tokio::select! {
                () = wake => false,
                readable = self.socket.readable() => readable.is_ok(),
            };
            let Self { viewer, socket, tally, out, buffer, .. } = self;
            let now = Instant::now();
            if !readable {
                viewer.handle_timeout(now, tally, out);
            } else if let Ok(size) = socket.try_recv(buffer) {
                viewer.handle(&buffer[..size], unix_us(), now, tally, out);
            }
        }
    }

    /// Tells the edge that the viewer leaves.
    pub async fn leave(self) {
        if let Some(url) = self.url {
            // An edge that is gone has no session either.
            let _ = self.client.delete(url).send().await;
        }
    }
}

async fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}
