//! Hot objects: the edge and nginx, turn by turn, so that what else the machine does meanwhile falls
//! on both.

use std::time::Duration;

use anyhow::Context as _;
use lectern_bench_rig::EDGE_CORE;
use lectern_bench_rig::proc::{self, Busy};
use serde::Serialize;

use crate::nginx::Nginx;
use crate::objects::{Broadcast, Object};
use crate::wrk::{Answered, Wrk};

/// What is measured, and with what.
pub(crate) struct Contest<'a> {
    pub(crate) broadcast: &'a Broadcast,
    pub(crate) edge_pid: u32,
    pub(crate) nginx: &'a Nginx,
    pub(crate) wrk: &'a Wrk,
}

/// One server's turn.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Turn {
    pub(crate) requests_per_sec: f64,
    /// With the heads of answers.
    pub(crate) gbit_per_sec: f64,
    /// Processor time of the server's process, in milliseconds.
    pub(crate) cpu_ms_per_1000: f64,
    pub(crate) cpu_ms_per_gb: f64,
    /// Of a core, by the server's process.
    pub(crate) cpu_percent: f64,
    /// Of the server's core, by anybody.
    pub(crate) core_percent: f64,
}

/// Both, on the same bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) object: Object,
    pub(crate) bytes: usize,
    pub(crate) edge: Turn,
    pub(crate) nginx: Turn,
}

impl Round {
    /// What the edge does with a second of processor time, as a share of what nginx does with it.
    pub(crate) fn per_core(&self) -> f64 {
        self.nginx.cpu_ms_per_1000 / self.edge.cpu_ms_per_1000
    }

    /// What the edge answers in a second, as a share of what nginx does.
    pub(crate) fn rate(&self) -> f64 {
        self.edge.requests_per_sec / self.nginx.requests_per_sec
    }
}

impl Contest<'_> {
    /// Round `number`. The object is chosen anew, as it leaves the window sooner or later.
    pub(crate) async fn round(&self, object: Object, number: u64) -> anyhow::Result<Round> {
        let (url, bytes) = self.broadcast.find(object).await?;
        let file = format!("{}-{number}.{}", object.as_str(), object.extension());
        let copy = self.nginx.serve(&file, &bytes)?;
        let nginx_pid = self.nginx.pid()?;
        // Who goes first has the colder core.
        let (edge, nginx) = if number.is_multiple_of(2) {
            let edge = self.turn(url.as_str(), self.edge_pid).await;
            (edge, self.turn(&copy, nginx_pid).await)
        } else {
            let nginx = self.turn(&copy, nginx_pid).await;
            (self.turn(url.as_str(), self.edge_pid).await, nginx)
        };
        let (edge, nginx) = (edge.context("the edge")?, nginx.context("nginx")?);
        Ok(Round { object, bytes: bytes.len(), edge, nginx })
    }

    async fn turn(&self, url: &str, pid: u32) -> anyhow::Result<Turn> {
        let (cpu, busy) = (proc::cpu(pid)?, Busy::now(EDGE_CORE)?);
        let answered = self.wrk.run(url).await?;
        let cpu = proc::cpu(pid)?.saturating_sub(cpu);
        Ok(Turn::of(answered, cpu, Busy::now(EDGE_CORE)?.percent_since(&busy)))
    }
}

impl Turn {
    fn of(answered: Answered, cpu: Duration, core_percent: f64) -> Self {
        let Answered { requests, bytes, seconds } = answered;
        let cpu_ms = cpu.as_secs_f64() * 1e3;
        Self {
            requests_per_sec: requests as f64 / seconds,
            gbit_per_sec: bytes as f64 * 8.0 / 1e9 / seconds,
            cpu_ms_per_1000: cpu_ms * 1e3 / requests as f64,
            cpu_ms_per_gb: cpu_ms * 1e9 / bytes.max(1) as f64,
            cpu_percent: cpu_ms / 10.0 / seconds,
            core_percent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_says_what_a_request_costs() {
        let answered = Answered { requests: 2_000, bytes: 1_000_000_000, seconds: 4.0 };
        let turn = Turn::of(answered, Duration::from_secs(2), 60.0);
        assert_eq!((turn.requests_per_sec, turn.gbit_per_sec), (500.0, 2.0));
        assert_eq!((turn.cpu_ms_per_1000, turn.cpu_ms_per_gb), (1_000.0, 2_000.0));
        assert_eq!(turn.cpu_percent, 50.0);
        let half = Turn { cpu_ms_per_1000: 500.0, ..turn };
        let round = Round { object: Object::Segment, bytes: 500_000, edge: turn, nginx: half };
        assert_eq!((round.per_core(), round.rate()), (0.5, 1.0));
    }
}
