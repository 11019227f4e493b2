//! What broadcasts cost an origin, a relay and an edge, and how many of them this machine carries.

use std::time::Duration;

use lectern_bench_rig::stats::Quantiles;
use serde::Serialize;
use tokio::time::sleep;

use crate::arrival::{self, Arrival};
use crate::child::{Machine, Site, Usage, count};
use crate::plan::{Keep, Kinds, Plan, Publish, Relay, Watch};

/// Half as long again as the short cache keeps, and for congestion controllers to find their pace.
const SETTLE: Duration = Duration::from_secs(7);
/// A run in which less than this arrives in time has broken.
const IN_TIME_PERCENT_MIN: f64 = 99.0;
/// Attempts at finding where it breaks, between a number that it carries and one that it does not.
const ATTEMPTS: u32 = 3;

/// One run: an origin, a relay and an edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plans {
    pub(crate) announced: usize,
    pub(crate) live: usize,
    pub(crate) watched: usize,
    /// What origin and relay keep.
    pub(crate) keep: Keep,
    /// For it to be full of what it keeps.
    pub(crate) fill: Duration,
    pub(crate) window: Duration,
    pub(crate) verbose: bool,
}

/// What it came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) announced: usize,
    pub(crate) live: usize,
    pub(crate) watched: usize,
    pub(crate) keep_secs: u64,
    /// Origin, relay and edge.
    pub(crate) usage: [Usage; 3],
    /// Whether something arrived of each track before it was counted.
    pub(crate) all_began: bool,
    pub(crate) arrived: Kinds<Arrival>,
    pub(crate) skipped: u64,
    pub(crate) interrupted: u64,
    /// How late the origin was with writing.
    pub(crate) late: Quantiles,
    pub(crate) machine: Machine,
}

impl Cost {
    /// Whether what was watched arrived, and in time.
    pub(crate) fn holds(&self) -> bool {
        let [video, audio, _] = &self.arrived;
        let good = |arrival: &Arrival| arrival.in_time_percent() >= IN_TIME_PERCENT_MIN;
        self.all_began && self.interrupted == 0 && good(video) && good(audio)
    }
}

pub(crate) async fn run(plans: &Plans) -> anyhow::Result<Cost> {
    let Plans { announced, live, watched, keep, .. } = *plans;
    let site = Site::new(plans.verbose)?;
    let identity = site.identity().to_owned();
    let publish = Publish { identity: identity.clone(), announced, live, comments_hz: 0, keep };
    let mut origin = site.start(Plan::Publish(publish)).await?;
    let upstream = origin.address()?;
    let relay = Relay { identity: identity.clone(), upstream, keep };
    let mut relay = site.start(Plan::Relay(relay)).await?;
    let upstream = relay.address()?;
    let watch = Watch { identity, upstream, broadcasts: watched, comments: false };
    let mut edge = site.start(Plan::Watch(watch)).await?;
    origin.begin().await?;
    let all_began = edge.is_watching().await?;
    sleep(SETTLE.max(plans.fill)).await;
    let counted = count(&mut [&mut origin, &mut relay, &mut edge], plans.window).await?;
    let published = counted.published()?;
    let mut seen = counted.watched();
    let seen = seen.next().ok_or_else(|| anyhow::anyhow!("nobody watched"))?;
    let mut usage = [Usage::default(); 3];
    usage.copy_from_slice(&counted.usage);
    Ok(Cost {
        announced,
        live,
        watched,
        keep_secs: keep.secs,
        usage,
        all_began,
        arrived: arrival::all(published, seen),
        skipped: seen.skipped,
        interrupted: seen.interrupted,
        late: published.late,
        machine: counted.machine,
    })
}

/// The next number of broadcasts to try, between one that holds and one that does not.
fn between(holds: usize, breaks: usize) -> Option<usize> {
    let middle = holds.midpoint(breaks);
    // Nearer than a tenth is not worth a run.
    (breaks - holds > breaks / 10 && middle > holds).then_some(middle)
}

/// Runs with each of `numbers`, in order, until one breaks; then looks for the number at which it does.
pub(crate) async fn ladder(
    numbers: &[usize],
    mut of: impl AsyncFnMut(usize) -> anyhow::Result<Cost>,
) -> (Vec<Cost>, Option<anyhow::Error>) {
    let (mut runs, mut holds) = (Vec::new(), 0);
    for number in numbers {
        let run = match of(*number).await {
            Ok(run) => run,
            Err(error) => return (runs, Some(error.context(format!("{number} broadcasts")))),
        };
        let held = run.holds();
        runs.push(run);
        if held {
            holds = *number;
            continue;
        }
        let mut breaks = *number;
        for _ in 0..ATTEMPTS {
            let Some(next) = between(holds, breaks) else { break };
            match of(next).await {
                Ok(run) => {
                    if run.holds() {
                        holds = next
                    } else {
                        breaks = next
                    }
                    runs.push(run);
                }
                Err(error) => return (runs, Some(error.context(format!("{next} broadcasts")))),
            }
        }
        break;
    }
    (runs, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(live: usize, in_time: u64) -> Cost {
        let arrival = Arrival { written: 1_000, arrived: 1_000, in_time, ..Arrival::default() };
        Cost {
            announced: live,
            live,
            watched: live,
            keep_secs: 4,
            usage: [Usage::default(); 3],
            all_began: true,
            arrived: [arrival, arrival, Arrival::default()],
            skipped: 0,
            interrupted: 0,
            late: Quantiles::default(),
            machine: Machine::default(),
        }
    }

    #[tokio::test]
    async fn a_ladder_ends_near_where_it_breaks() {
        let of = async |number| Ok(cost(number, if number <= 180 { 1_000 } else { 400 }));
        let (runs, failed) = ladder(&[1, 50, 500, 900], of).await;
        let tried: Vec<_> = runs.iter().map(|run| run.live).collect();
        assert_eq!(tried, [1, 50, 500, 275, 162, 218]);
        assert!(failed.is_none());
    }

    #[tokio::test]
    async fn what_holds_is_not_searched() {
        let (runs, _) = ladder(&[1, 50], async |number| Ok(cost(number, 990))).await;
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(Cost::holds));
        assert!(!cost(1, 989).holds());
    }
}
