//! Joining over HTTP, draft-ietf-wish-whep.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::load::{Group, Load};
use crate::sdp::{self, Answer};
use crate::transport::{Credentials, Identity};
use crate::viewer::Setup;
use lectern_bench_rig::unix_us;

const POLL: Duration = Duration::from_millis(100);

/// An edge's endpoint.
#[derive(Clone)]
pub(crate) struct Whep {
    client: Client,
    base: String,
    url: String,
    identity: Arc<Identity>,
}

/// What came of a number of joins.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    /// Offers that were answered.
    pub(crate) answered: usize,
    /// Why others were not.
    pub(crate) refused: Vec<String>,
    /// From the first offer posted to the last answer.
    pub(crate) took: Duration,
}

impl Whep {
    pub(crate) fn new(client: Client, http: SocketAddr) -> anyhow::Result<Self> {
        let (base, identity) = (format!("http://{http}"), Arc::new(Identity::generate()?));
        Ok(Self { client, url: format!("{base}/whep/bench"), base, identity })
    }

    /// What all viewers of this endpoint share.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.identity.clone()
    }

    /// Waits until an offer is answered; the session is ended at once.
    pub(crate) async fn wait_for_media(&self, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let credentials = Credentials::generate();
        loop {
            let why = match self.post(&credentials).await {
                Ok(response) if response.status() == StatusCode::CREATED => {
                    let location = response.headers().get(LOCATION).context("no Location")?;
                    let url = format!("{}{}", self.base, location.to_str()?);
                    self.client.delete(url).send().await?;
                    return Ok(());
                }
                Ok(response) => refusal(response).await,
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > deadline {
                bail!("the edge has no media after {patience:?}: {why}");
            }
            sleep(POLL).await;
        }
    }

    /// Posts an offer and reads the answer.
    pub(crate) async fn join(&self, full: bool) -> anyhow::Result<Setup> {
        let credentials = Credentials::generate();
        let posted_us = unix_us();
        let response = self.post(&credentials).await?;
        if response.status() != StatusCode::CREATED {
            bail!("{}", refusal(response).await);
        }
        let answer = Answer::read(&response.text().await?)?;
        Ok(Setup { full, credentials, answer, posted_us })
    }

    /// Has `count` viewers join at `rate` per second, `full` of them full, evenly spread.
    pub(crate) async fn join_many(
        &self,
        load: &Arc<Load>,
        group: Group,
        count: usize,
        full: usize,
        rate: u64,
    ) -> anyhow::Result<Joins> {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for n in 0..count {
            sleep_until(begun + Duration::from_micros(n as u64 * 1_000_000 / rate)).await;
            let (whep, load) = (self.clone(), load.clone());
            let full = (n + 1) * full / count > n * full / count;
            tasks.spawn(async move { load.add(whep.join(full).await?, group) });
        }
        let mut joins = Joins::default();
        while let Some(joined) = tasks.join_next().await {
            match joined? {
                Ok(()) => joins.answered += 1,
                Err(error) => joins.refused.push(format!("{error:#}")),
            }
        }
        joins.took = begun.elapsed();
        Ok(joins)
    }

    async fn post(&self, credentials: &Credentials) -> anyhow::Result<Response> {
        let Credentials { ufrag, password } = credentials;
        let offer = sdp::offer(ufrag, password, &self.identity.fingerprint());
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/sdp");
        Ok(request.body(offer).send().await?)
    }
}

async fn refusal(response: Response) -> String {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    format!("{status}: {}", text.trim())
}
