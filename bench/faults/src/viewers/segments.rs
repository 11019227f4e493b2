//! What LL-DASH and LL-HLS have in common: fetching media as it comes, and the player that it is for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::fragments::{self, Fragments};
use super::playhead::Playhead;
use super::watch::Setting;

/// How often the player moves on: half a picture.
const TICK: Duration = Duration::from_millis(20);
/// From one try to the next, as players wait.
pub(crate) const RETRY: Duration = Duration::from_millis(500);
/// Without a byte for so long a request is given up.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The buffers and the playhead of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Player(Arc<Mutex<Playhead>>);

impl Player {
    /// Of so many tracks.
    pub(crate) fn new(tracks: usize) -> Self {
        Self(Arc::new(Mutex::new(Playhead::new(tracks))))
    }

    fn appended(&self, track: usize, start: u64, end: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).appended(track, start, end);
    }

    /// Plays, and says when the picture moves.
    pub(crate) async fn play(self, setting: &Setting) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            let now = tick.tick().await;
            let passed = now.saturating_duration_since(last).as_micros() as u64;
            last = now;
            let mut playhead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if playhead.advance(passed) {
                setting.heard.picture();
                setting.seen.shows(playhead.at());
            }
        }
    }
}

/// What came of a request for media.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// All of it; whether there was any.
    Whole(bool),
    /// Not there, with this status.
    Refused(u16),
    /// The edge does not answer, or broke off.
    Broken,
}

/// Fetches a segment or a part, and hands on what has come.
pub(crate) async fn fetch(
    client: &Client,
    url: Url,
    timescale: u32,
    player: &Player,
    track: usize,
) -> Fetched {
    let Ok(mut response) = client.get(url).send().await else { return Fetched::Broken };
    if response.status() != StatusCode::OK {
        return Fetched::Refused(response.status().as_u16());
    }
    let (mut fragments, mut any) = (Fragments::new(timescale), false);
    loop {
        let Ok(piece) = tokio::time::timeout(SILENCE_MAX, response.chunk()).await else {
            return Fetched::Broken;
        };
        let Ok(piece) = piece else { return Fetched::Broken };
        let Some(piece) = piece else { return Fetched::Whole(any) };
        let Ok(whole) = fragments.take(&piece) else { return Fetched::Broken };
        for (start, end) in whole {
            any = true;
            player.appended(track, start, end);
        }
    }
}

/// The timescale that an initialisation segment states; or the status with which it is refused, 0 for none.
pub(crate) async fn timescale(client: &Client, url: Url) -> Result<u32, u16> {
    let response = client.get(url).send().await.map_err(|_| 0_u16)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(status);
    }
    let bytes = response.bytes().await.map_err(|_| 0_u16)?;
    fragments::timescale(&bytes).map_err(|_| 0)
}

/// A text, or the status with which it is refused, 0 for none.
pub(crate) async fn text(client: &Client, url: Url) -> Result<String, u16> {
    let response = client.get(url).send().await.map_err(|_| 0_u16)?;
    match response.status().as_u16() {
        200 => response.text().await.map_err(|_| 0),
        status => Err(status),
    }
}
