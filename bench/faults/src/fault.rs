//! What can be done to a cluster, what it is called, and what is asked of Lectern then. Pure: who does it
//! is [`crate::run`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::outcome::{Comments, Outcome};

/// How much longer than the source itself a picture may be gone.
const BEYOND_SOURCE: Duration = Duration::from_secs(1);
/// Until a player plays elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(3);
/// A stall that is shorter is one of the machine that everything here shares.
const NOTICEABLE: Duration = Duration::from_millis(250);

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done: what the machine itself does to viewers.
    Nothing,
    /// The origin that the encoder is at is killed, and started again after five seconds.
    OriginKill,
    /// The edge that the viewers are at, in the same way.
    EdgeKill,
    /// The database is killed, and started again after five seconds.
    DatabaseKill,
    /// The edge that the viewers are at is told to stop, and started again when it has.
    EdgeDrain,
    /// Each node in turn is told to stop, and started again with a newer configuration once it has: edges first.
    Upgrade,
    /// That edge's link to the origins is cut for so many seconds, without a word to either side.
    Cut(u64),
    /// One in twenty datagrams between edges and origins is lost.
    Loss,
    /// Each datagram between edges and origins is on its way for 100 ms longer.
    Delay,
    /// The encoder is killed, and started again at once.
    EncoderDrop,
    /// The encoder is killed, and started again after five seconds.
    EncoderAway,
    /// What the database writes and syncs takes long.
    SlowDisk,
    /// The disk of the origin that the encoder is at is full.
    FullDisk,
    /// The disk of the database is full.
    DatabaseFull,
    /// The clock of that origin steps by so many seconds, and back.
    OriginClock(i64),
    /// The clock of the edge that the viewers are at.
    EdgeClock(i64),
}

impl Fault {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 20] = [
        Self::Nothing,
        Self::EncoderDrop,
        Self::EncoderAway,
        Self::OriginKill,
        Self::EdgeKill,
        Self::EdgeDrain,
        Self::Upgrade,
        Self::Cut(1),
        Self::Cut(5),
        Self::Cut(20),
        Self::Loss,
        Self::Delay,
        Self::DatabaseKill,
        Self::SlowDisk,
        Self::FullDisk,
        Self::DatabaseFull,
        Self::OriginClock(30),
        Self::OriginClock(-30),
        Self::EdgeClock(30),
        Self::EdgeClock(-30),
    ];

    /// How long what it does lasts, as far as it is not over with the deed.
    pub fn lasts(self) -> Duration {
        Duration::from_secs(match self {
            Self::Nothing | Self::Loss | Self::Delay => 15,
            Self::OriginKill | Self::EdgeKill | Self::DatabaseKill | Self::EncoderAway => 5,
            Self::EdgeDrain | Self::EncoderDrop | Self::Upgrade => 0,
            Self::Cut(seconds) => seconds,
            Self::SlowDisk | Self::FullDisk | Self::DatabaseFull => 10,
            Self::OriginClock(_) | Self::EdgeClock(_) => 12,
        })
    }

    /// What of the aims was missed, in words.
    pub fn missed(self, outcome: &Outcome) -> Vec<String> {
        let mut missed = Vec::new();
        let may = match self {
            Self::EncoderDrop | Self::EncoderAway | Self::OriginKill | Self::Upgrade => {
                outcome.source_gap + BEYOND_SOURCE
            }
            Self::EdgeKill | Self::EdgeDrain => ELSEWHERE,
            // Nothing passes that link. LL-DASH bridges a second of it.
            Self::Cut(seconds) => Duration::from_secs(seconds) + BEYOND_SOURCE,
            _ => BEYOND_SOURCE,
        };
        for (path, gap) in outcome.gaps() {
            let may = if self == Self::Cut(1) && path == "LL-DASH" { NOTICEABLE } else { may };
            if gap > may {
                missed.push(format!("{path}: {gap:.1?} without a new picture, at most {may:.1?}"));
            }
        }
        let Comments { lost, refused, unanswered, .. } = outcome.comments;
        for (count, what) in [(lost, "lost"), (refused, "refused"), (unanswered, "unanswered")] {
            if count > 0 {
                missed.push(format!("{count} comments {what}"));
            }
        }
        missed.extend(outcome.reloads.iter().map(|why| format!("needs a reload: {why}")));
        let of_an_edge =
            matches!(self, Self::EdgeKill | Self::EdgeDrain | Self::Cut(2..) | Self::Upgrade);
        // Whoever is at an edge that cannot go on goes to the other.
        let lost = if of_an_edge { outcome.webrtc.anew } else { outcome.webrtc.lost() };
        if lost > 0 {
            missed.push(format!("{lost} WebRTC sessions made anew"));
        }
        missed
    }
}

/// Not the name of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<String> = Fault::ALL.iter().map(ToString::to_string).collect();
        write!(f, "there is no fault {:?}; there are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for Unknown {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Nothing => "nothing",
            Self::OriginKill => "origin-kill",
            Self::EdgeKill => "edge-kill",
            Self::DatabaseKill => "database-kill",
            Self::EdgeDrain => "edge-drain",
            Self::Upgrade => "upgrade",
            Self::Cut(seconds) => return write!(f, "cut-{seconds}s"),
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::EncoderDrop => "encoder-drop",
            Self::EncoderAway => "encoder-away",
            Self::SlowDisk => "slow-disk",
            Self::FullDisk => "full-disk",
            Self::DatabaseFull => "database-full",
            Self::OriginClock(seconds) => return write!(f, "origin-clock{seconds:+}s"),
            Self::EdgeClock(seconds) => return write!(f, "edge-clock{seconds:+}s"),
        };
        f.write_str(name)
    }
}

impl FromStr for Fault {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let found = Self::ALL.into_iter().find(|fault| fault.to_string() == text);
        found.ok_or_else(|| Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_by_its_name_and_no_other() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert_eq!("cut-5s".parse(), Ok(Fault::Cut(5)));
        assert_eq!("origin-clock-30s".parse(), Ok(Fault::OriginClock(-30)));
        let error = "cut-7s".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("cut-7s") && error.contains("edge-kill"), "{error}");
    }

    #[test]
    fn what_is_missed_is_said() {
        let source_gap = Duration::from_secs(5);
        let mut outcome = Outcome { source_gap, ..Outcome::default() };
        outcome.webrtc.gap = Duration::from_millis(5_900);
        assert!(Fault::EncoderAway.missed(&outcome).is_empty());
        outcome.webrtc.gap = Duration::from_millis(6_100);
        assert_eq!(Fault::EncoderAway.missed(&outcome).len(), 1);
        let mut outcome = Outcome::default();
        outcome.dash.gap = Duration::from_millis(400);
        assert_eq!(Fault::Cut(1).missed(&outcome).len(), 1);
        assert!(Fault::Loss.missed(&outcome).is_empty());
        outcome.webrtc.moved = 1;
        assert!(Fault::EdgeKill.missed(&outcome).is_empty());
        assert_eq!(Fault::Loss.missed(&outcome), ["1 WebRTC sessions made anew"]);
        outcome.comments.lost = 2;
        outcome.reloads.push("T0 changed".to_owned());
        assert_eq!(Fault::EdgeKill.missed(&outcome).len(), 2);
    }
}
