//! A viewer over LL-HLS: playlists that are asked for ahead of the part that they will have, and from each track
//! one part after the other.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::time::{sleep, timeout};

use super::ladder::Failure;
use super::playlist::{Place, Playlist, renditions};
use super::segments::{self, Fetched, Player, RETRY};
use super::watch::{Seen, Setting};
use crate::world::BROADCAST;

/// A blocking reload is answered when the part is there, or after three target durations.
const PLAYLIST_MAX: Duration = Duration::from_secs(20);
const FIRST_MAX: Duration = Duration::from_secs(8);

/// Plays until it cannot any more.
pub(crate) async fn play(setting: Setting) -> Failure {
    let Ok(url) = Url::parse(&format!("{}/live/{BROADCAST}/index.m3u8", setting.base)) else {
        return Failure::Attempt;
    };
    let first = timeout(FIRST_MAX, segments::text(&setting.client, url.clone())).await;
    let names = match first.unwrap_or(Err(0)) {
        Ok(text) => renditions(&text),
        Err(404 | 503) => return Failure::Absent,
        Err(0) => return Failure::Edge,
        Err(_) => return Failure::Attempt,
    };
    let Some(names) = names else {
        setting.seen.needs_reload("LL-HLS: no variant in the playlist".to_owned());
        return Failure::Attempt;
    };
    let player = Player::new(names.len());
    let mut tracks = tokio::task::JoinSet::new();
    for (n, name) in names.iter().enumerate() {
        let Ok(url) = url.join(name) else { return Failure::Attempt };
        let rendition =
            Rendition { client: setting.client.clone(), url, seen: setting.seen.clone() };
        let player = player.clone();
        tracks.spawn(async move { rendition.follow(n, &player).await });
    }
    tokio::select! {
        () = player.play(&setting) => Failure::Attempt,
        _ = tracks.join_next() => Failure::Attempt,
    }
}

struct Rendition {
    client: Client,
    url: Url,
    seen: Seen,
}

impl Rendition {
    async fn follow(&self, n: usize, player: &Player) {
        let mut timescales = HashMap::new();
        let mut newest: Option<Playlist> = None;
        let mut next: Option<Place> = None;
        loop {
            let Some(playlist) = self.reload(newest.as_ref().map(|newest| newest.next)).await
            else {
                sleep(RETRY).await;
                continue;
            };
            if let Some(before) = &newest {
                self.compare(before, &playlist);
            }
            let Some(from) = next.or_else(|| playlist.begin()) else {
                newest = Some(playlist);
                continue;
            };
            next = Some(from);
            for piece in playlist.pieces.iter().filter(|piece| piece.place >= from) {
                if !timescales.contains_key(&piece.map) {
                    match self.initialise(&piece.map).await {
                        Some(timescale) => timescales.insert(piece.map.clone(), timescale),
                        None => break,
                    };
                }
                let Ok(url) = self.url.join(&piece.uri) else { return };
                let timescale = timescales[&piece.map];
                match segments::fetch(&self.client, url, timescale, player, n).await {
                    Fetched::Whole(_) => {}
                    Fetched::Refused(status @ (404 | 410)) => {
                        let (uri, last) = (&piece.uri, playlist.next);
                        let why =
                            format!("LL-HLS: {uri} refused ({status}), listed up to {last:?}");
                        self.seen.needs_reload(why);
                    }
                    // Asked for again by the next playlist.
                    Fetched::Refused(_) | Fetched::Broken => {
                        sleep(RETRY).await;
                        break;
                    }
                }
                next = Some(piece.next);
            }
            newest = Some(playlist);
        }
    }

    /// Asks for the playlist that has the part after the last one.
    async fn reload(&self, after: Option<Place>) -> Option<Playlist> {
        let mut url = self.url.clone();
        if let Some((segment, part)) = after {
            url.set_query(Some(&format!("_HLS_msn={segment}&_HLS_part={part}")));
        }
        let text = timeout(PLAYLIST_MAX, segments::text(&self.client, url)).await.ok()?;
        match Playlist::read(&text.ok()?) {
            Ok(playlist) => Some(playlist),
            Err(why) => {
                self.seen.needs_reload(format!("LL-HLS: a playlist that cannot be read: {why}"));
                None
            }
        }
    }

    /// A playlist that goes back would have a player end.
    fn compare(&self, before: &Playlist, playlist: &Playlist) {
        if playlist.first < before.first {
            let (from, to) = (before.first, playlist.first);
            self.seen
                .needs_reload(format!("LL-HLS: the playlist began at {from}, and at {to} later"));
        }
        if playlist.next < before.next {
            let (from, to) = (before.next, playlist.next);
            self.seen
                .needs_reload(format!("LL-HLS: the playlist went back from {from:?} to {to:?}"));
        }
    }

    async fn initialise(&self, map: &str) -> Option<u32> {
        match segments::timescale(&self.client, self.url.join(map).ok()?).await {
            Ok(timescale) => Some(timescale),
            Err(status) => {
                if matches!(status, 404 | 410) {
                    self.seen.needs_reload(format!("LL-HLS: {map} refused ({status})"));
                }
                sleep(RETRY).await;
                None
            }
        }
    }
}
