//! A viewer over LL-DASH: a manifest that is asked for every two seconds, and from each track one segment after
//! the other, as it comes.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::ladder::Failure;
use super::manifest::Manifest;
use super::segments::{self, Fetched, Player, RETRY};
use super::watch::{Seen, Setting};
use crate::world::BROADCAST;

/// `minimumUpdatePeriod` of our manifests.
const UPDATE_EACH: Duration = Duration::from_secs(2);
const MANIFEST_MAX: Duration = Duration::from_secs(8);
/// How far behind live a player begins.
const BEHIND: Duration = Duration::from_millis(1_500);
/// A segment that is refused so often, while the one after it is there, is a hole.
const TRIES: u32 = 4;
const GONE: u16 = 410;

struct Viewer {
    client: Client,
    url: Url,
    seen: Seen,
    manifest: watch::Sender<Manifest>,
    /// Somebody needs a newer manifest.
    wanted: Notify,
}

/// Plays until it cannot any more.
pub(crate) async fn play(setting: Setting) -> Failure {
    let Ok(url) = Url::parse(&format!("{}/live/{BROADCAST}/manifest.mpd", setting.base)) else {
        return Failure::Attempt;
    };
    let first = timeout(MANIFEST_MAX, segments::text(&setting.client, url.clone())).await;
    let first = match first.unwrap_or(Err(0)) {
        Ok(text) => Manifest::read(&text),
        Err(404 | 503) => return Failure::Absent,
        Err(0) => return Failure::Edge,
        Err(_) => return Failure::Attempt,
    };
    let first = match first {
        Ok(manifest) => manifest,
        Err(why) => {
            setting.seen.needs_reload(format!("a manifest that cannot be read: {why}"));
            return Failure::Attempt;
        }
    };
    setting.seen.told_t0(first.t0_ms);
    let Some(now_ms) = server_ms(&setting).await else { return Failure::Edge };
    let media = u64::try_from(now_ms.saturating_sub(first.t0_ms)).unwrap_or(0);
    let media = Duration::from_millis(media).saturating_sub(BEHIND);
    let kinds: Vec<String> = first.periods.last().map_or(Vec::new(), |period| {
        period.tracks.iter().map(|track| track.kind.clone()).collect()
    });
    let places: Option<Vec<_>> = kinds.iter().map(|kind| first.at(kind, media)).collect();
    let Some(places) = places.filter(|places| !places.is_empty()) else { return Failure::Absent };
    let player = Player::new(kinds.len());
    let viewer = Arc::new(Viewer {
        client: setting.client.clone(),
        url,
        seen: setting.seen.clone(),
        manifest: watch::Sender::new(first),
        wanted: Notify::new(),
    });
    let mut tracks = tokio::task::JoinSet::new();
    for (n, (kind, (period, number))) in kinds.into_iter().zip(places).enumerate() {
        let (viewer, player) = (viewer.clone(), player.clone());
        tracks.spawn(async move { viewer.follow(n, &kind, period, number, &player).await });
    }
    tokio::select! {
        () = player.play(&setting) => Failure::Attempt,
        () = viewer.update() => Failure::Attempt,
        _ = tracks.join_next() => Failure::Attempt,
    }
}

/// The edge's clock, by which players find the segment of now.
async fn server_ms(setting: &Setting) -> Option<i64> {
    let url = Url::parse(&format!("{}/time", setting.base)).ok()?;
    let text = timeout(MANIFEST_MAX, segments::text(&setting.client, url)).await.ok()?.ok()?;
    let at = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

impl Viewer {
    /// Keeps the manifest up to date. One that cannot be had now is had later.
    async fn update(&self) {
        loop {
            tokio::select! {
                () = sleep(UPDATE_EACH) => {}
                () = self.wanted.notified() => {}
            }
            let asked = timeout(MANIFEST_MAX, segments::text(&self.client, self.url.clone())).await;
            let Ok(Ok(text)) = asked else {
                sleep(RETRY).await;
                continue;
            };
            match Manifest::read(&text) {
                Ok(manifest) => {
                    self.seen.told_t0(manifest.t0_ms);
                    self.manifest.send_replace(manifest);
                }
                Err(why) => {
                    self.seen.needs_reload(format!("a manifest that cannot be read: {why}"));
                }
            }
        }
    }

    /// Fetches one segment of a track after the other.
    async fn follow(
        &self,
        n: usize,
        kind: &str,
        mut period: String,
        mut number: u64,
        player: &Player,
    ) {
        let mut told = self.manifest.subscribe();
        let (mut initialised, mut timescale, mut refusals) = (String::new(), 1, 0);
        loop {
            let manifest = told.borrow_and_update().clone();
            if let Some(next) = manifest.following(kind, &period, number) {
                (period, number) = next;
                refusals = 0;
                continue;
            }
            let known = manifest.periods.iter().find(|known| known.id == period);
            let Some(track) = known.and_then(|known| known.track(kind)) else {
                self.newer(&mut told).await;
                continue;
            };
            if initialised != track.init {
                match self.initialise(&track.init).await {
                    Some(ticks) => (initialised, timescale) = (track.init.clone(), ticks),
                    None => sleep(RETRY).await,
                }
                continue;
            }
            let Ok(url) = self.url.join(&track.segment(number)) else { return };
            match segments::fetch(&self.client, url, timescale, player, n).await {
                Fetched::Whole(_) => (number, refusals) = (number + 1, 0),
                Fetched::Refused(GONE) => {
                    let is_last = manifest.periods.last().is_some_and(|last| last.id == period);
                    if is_last {
                        let name = track.segment(number);
                        self.seen.needs_reload(format!("LL-DASH: {name} is gone (410)"));
                    }
                    number += 1;
                }
                Fetched::Refused(status) => {
                    refusals += 1;
                    if refusals >= TRIES && self.is_there(&track.segment(number + 1)).await {
                        let name = track.segment(number);
                        let why = format!("LL-DASH: {name} refused ({status}), the next is there");
                        self.seen.needs_reload(why);
                        (number, refusals) = (number + 1, 0);
                        continue;
                    }
                    self.newer(&mut told).await;
                }
                Fetched::Broken => sleep(RETRY).await,
            }
        }
    }

    /// Waits for a newer manifest, for as long as a player does before it tries again.
    async fn newer(&self, told: &mut watch::Receiver<Manifest>) {
        self.wanted.notify_one();
        sleep(RETRY).await;
        let _ = timeout(RETRY, told.changed()).await;
    }

    async fn initialise(&self, init: &str) -> Option<u32> {
        let url = self.url.join(init).ok()?;
        match segments::timescale(&self.client, url).await {
            Ok(timescale) => Some(timescale),
            Err(status @ (404 | 410)) => {
                self.seen.needs_reload(format!("LL-DASH: {init} refused ({status})"));
                None
            }
            Err(_) => None,
        }
    }

    /// Whether a segment is there now. One that is yet to come would be waited for.
    async fn is_there(&self, name: &str) -> bool {
        let Ok(url) = self.url.join(name) else { return false };
        let Ok(mut response) = self.client.get(url).send().await else { return false };
        response.status() == 200 && matches!(response.chunk().await, Ok(Some(_)))
    }
}
