//! What was published beside what of it arrived.

use lectern_bench_rig::stats::Quantiles;
use serde::Serialize;

use crate::plan::{Kind, Kinds, Published, Seen, Watched};

/// What became of one kind of thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Arrival {
    pub(crate) written: u64,
    /// At all, and within half a second.
    pub(crate) arrived: u64,
    pub(crate) in_time: u64,
    /// How old it was.
    pub(crate) age: Quantiles,
}

impl Arrival {
    fn new(written: u64, seen: &Seen) -> Self {
        Self { written, arrived: seen.age.count as u64, in_time: seen.in_time, age: seen.age }
    }

    pub(crate) fn missing(&self) -> u64 {
        self.written.saturating_sub(self.arrived)
    }

    /// Which arrived, but late.
    pub(crate) fn late(&self) -> u64 {
        self.arrived - self.in_time
    }

    pub(crate) fn arrived_percent(&self) -> f64 {
        percent(self.arrived, self.written)
    }

    pub(crate) fn in_time_percent(&self) -> f64 {
        percent(self.in_time, self.written)
    }
}

fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of.max(1) as f64
}

/// Of all broadcasts that were watched together.
pub(crate) fn all(published: &Published, watched: &Watched) -> Kinds<Arrival> {
    let watched_ones = published.written.iter().take(watched.broadcasts.len());
    let mut written = Kinds::<u64>::default();
    for one in watched_ones {
        for kind in Kind::ALL {
            written[kind as usize] += one[kind as usize];
        }
    }
    together(&written, &watched.all)
}

/// Of each broadcast.
pub(crate) fn each(published: &Published, watched: &Watched) -> Vec<Kinds<Arrival>> {
    let both = published.written.iter().zip(&watched.broadcasts);
    both.map(|(written, seen)| together(written, seen)).collect()
}

fn together(written: &Kinds<u64>, seen: &Kinds<Seen>) -> Kinds<Arrival> {
    Kind::ALL.map(|kind| Arrival::new(written[kind as usize], &seen[kind as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_watched_is_not_missing() {
        let published =
            Published { written: vec![[10, 20, 0], [10, 20, 0]], ..Published::default() };
        let age = Quantiles { count: 8, ..Quantiles::default() };
        let seen = Seen { in_time: 5, age };
        let one = [seen, Seen::default(), Seen::default()];
        let watched = Watched { broadcasts: vec![one], all: one, ..Watched::default() };
        let [video, audio, _] = all(&published, &watched);
        assert_eq!((video.written, video.missing(), video.late()), (10, 2, 3));
        assert_eq!(audio.missing(), 20);
        assert_eq!((video.arrived_percent(), video.in_time_percent()), (80.0, 50.0));
        assert_eq!(each(&published, &watched), [[video, audio, Arrival::default()]]);
    }
}
