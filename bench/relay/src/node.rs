//! A node's process: it reads what it is to be, becomes it, and says what it saw when it is asked to.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lectern_bench_rig::unix_us;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::time::{sleep, timeout};

use crate::plan::{Order, Plan, Said, TAIL_US, Window};
use crate::proxy;
use crate::publish::Origin;
use crate::watch::{Relaying, Watching};

/// How long a node may take to be there, and to be connected.
const START_MAX: Duration = Duration::from_secs(20);

/// What a node has become.
enum Role {
    Origin(Box<Origin>),
    Relaying(Relaying),
    Watching(Watching),
    Proxying(proxy::Running),
}

/// Runs a node until its standard input ends.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let first = lines.next_line().await?.context("no plan")?;
        let plan = serde_json::from_str(&first).context("the plan")?;
        let window = Arc::new(Window::default());
        let mut role = timeout(START_MAX, Role::start(plan, window.clone()))
            .await
            .context("not connected in time")??;
        say(&Said::Ready(role.address()?))?;
        role.obey(&mut lines, &window).await
    });
    // Reading standard input cannot be interrupted.
    runtime.shutdown_background();
    done
}

impl Role {
    async fn start(plan: Plan, window: Arc<Window>) -> anyhow::Result<Self> {
        Ok(match plan {
            Plan::Publish(plan) => Self::Origin(Box::new(Origin::bind(plan)?)),
            Plan::Relay(plan) => Self::Relaying(Relaying::start(&plan).await?),
            Plan::Watch(plan) => Self::Watching(Watching::start(&plan, window).await?),
            Plan::Proxy(plan) => Self::Proxying(proxy::Running::start(&plan, window).await?),
        })
    }

    fn address(&self) -> anyhow::Result<Option<std::net::SocketAddr>> {
        Ok(match self {
            Self::Origin(origin) => Some(origin.publisher.local_addr()?),
            Self::Relaying(relaying) => Some(relaying.listens),
            Self::Watching(_) => None,
            Self::Proxying(proxying) => Some(proxying.listens),
        })
    }

    /// Does as it is told until nothing more is.
    async fn obey(
        &mut self,
        lines: &mut Lines<BufReader<Stdin>>,
        window: &Arc<Window>,
    ) -> anyhow::Result<()> {
        let mut said_watching = false;
        loop {
            let order = tokio::select! {
                line = lines.next_line() => match line? {
                    Some(line) => serde_json::from_str(&line).context("an order")?,
                    None => return Ok(()),
                },
                event = self.event(said_watching) => {
                    event?;
                    said_watching = true;
                    say(&Said::Watching)?;
                    continue;
                }
            };
            match (order, &mut *self) {
                (Order::Begin, Self::Origin(origin)) => origin.begin(window)?,
                (Order::Begin, _) => bail!("only an origin begins"),
                (Order::Count { from_us, until_us }, _) => {
                    window.set(from_us, until_us);
                    let end_us = until_us.saturating_add(TAIL_US);
                    let end = sleep(Duration::from_micros(end_us.saturating_sub(unix_us())));
                    tokio::select! {
                        () = end => say(&self.report())?,
                        failed = self.event(true) => return failed,
                    }
                }
            }
        }
    }

    /// Waits for all to have begun that is watched, or for something to fail that never should.
    async fn event(&mut self, said_watching: bool) -> anyhow::Result<()> {
        match self {
            Self::Origin(origin) => Err(origin.failed().await),
            Self::Watching(watching) if !said_watching => {
                watching.all_begun().await;
                Ok(())
            }
            _ => std::future::pending().await,
        }
    }

    fn report(&self) -> Said {
        match self {
            Self::Origin(origin) => Said::Published(origin.report()),
            Self::Relaying(_) => Said::Ready(None),
            Self::Watching(watching) => Said::Watched(watching.report()),
            Self::Proxying(proxying) => Said::Proxied(proxying.report()),
        }
    }
}

fn say(said: &Said) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}
