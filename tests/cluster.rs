//! Two origins on one database and two edges, each in a network namespace of its own, while something of them
//! fails: nobody who watches has to reload, and nothing that was acknowledged is lost. How long viewers see
//! nothing is `make bench-faults`' to tell. Needs root.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use lectern_bench_faults::fault::Fault;
use lectern_bench_faults::options::Options;
use lectern_bench_faults::outcome::Outcome;

async fn suffer(fault: Fault) -> Outcome {
    let mut options = Options::default();
    options.common.bin = Some(PathBuf::from(env!("CARGO_BIN_EXE_lectern")));
    let outcome = lectern_bench_faults::run(fault, &options).await.unwrap();
    assert!(!outcome.is_failure(), "{fault}: {outcome:#?}");
    assert!(outcome.comments.acknowledged > 0, "{fault}: nobody could write");
    outcome
}

// One after the other: two clusters at a time would be two that are short of everything.
#[tokio::test]
async fn viewers_come_through_the_death_of_an_origin_and_a_cut_link() {
    let outcome = suffer(Fault::OriginKill).await;
    let sessions = [&outcome.webrtc, &outcome.dash, &outcome.hls].map(|watched| watched.lost());
    assert_eq!(sessions, [0; 3], "everybody keeps what they had");
    suffer(Fault::Cut(5)).await;
}
