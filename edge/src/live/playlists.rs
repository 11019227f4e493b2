//! The HLS playlists of a broadcast: each rendered once for all who ask, and waited for by those who
//! ask for more than there is (RFC 8216bis §6.2.5.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use lectern_relay_proto::TrackName;
use tokio::sync::watch;

use super::document::{Document, Keep};
use super::media::Asks;
use super::metrics::Kind;
use super::routes::{NO_STORE, SHORT, canonical, not_ready, refusal};
use super::{Live, lock};
use crate::hls::{self, Asked, MediaPlaylist, Reach};
use crate::timeline::Snapshot;

/// How long a blocking reload waits. Live, parts come four times a second; a request that waits for
/// longer than this waits for an encoder that is away, and gets the playlist as it is, so that its
/// player asks again instead of counting an error. Shorter than players wait for a first byte.
const HOLD_MAX: Duration = Duration::from_secs(6);
/// The longest query that is read.
const QUERY_LEN_MAX: usize = 4_096;

/// The playlists of one broadcast.
#[derive(Default)]
pub(super) struct Playlists {
    multivariant: Mutex<Option<(Arc<Snapshot>, Arc<Document>)>>,
    by_track: Mutex<BTreeMap<TrackName, watch::Sender<Arc<Published>>>>,
}

/// The highest media sequence number that a playlist of a track that was sent began with. An edge that
/// has just joined fetches older segments behind its back, and a playlist that has been read may not
/// grow at its beginning (§6.2.1).
type Floor = Arc<AtomicU64>;

/// The playlist of a track at one moment, rendered when it is first asked for.
struct Published {
    snapshot: Arc<Snapshot>,
    track: TrackName,
    reach: Reach,
    floor: Floor,
    full: OnceLock<Document>,
    delta: OnceLock<Document>,
}

/// What a request's query says (§6.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    asked: Option<Asked>,
    skip: bool,
}

impl Playlists {
    /// Publishes what is new in `snapshot`, in parts only unless `segments` changed as well.
    pub(super) fn publish(&self, snapshot: &Arc<Snapshot>, segments: bool) {
        let mut by_track = lock(&self.by_track);
        let tracks = snapshot.current().map(|period| period.tracks.iter()).into_iter().flatten();
        let current = tracks.map(|track| track.name.clone());
        let names: BTreeSet<TrackName> = current.chain(by_track.keys().cloned()).collect();
        for name in names {
            let Some(playlist) = MediaPlaylist::new(snapshot, &name) else {
                by_track.remove(&name);
                continue;
            };
            let reach = playlist.reach();
            let known = by_track.get(&name);
            if !segments && known.is_some_and(|known| known.borrow().reach == reach) {
                continue;
            }
            let same_broadcast = |of: &Published| of.snapshot.t0 == snapshot.t0;
            let floor = known.map(|known| known.borrow().clone()).filter(|of| same_broadcast(of));
            let published = Arc::new(Published {
                floor: floor.map(|of| of.floor.clone()).unwrap_or_default(),
                snapshot: snapshot.clone(),
                track: name.clone(),
                reach,
                full: OnceLock::new(),
                delta: OnceLock::new(),
            });
            match known {
                Some(sender) => {
                    sender.send_replace(published);
                }
                None => {
                    by_track.insert(name, watch::Sender::new(published));
                }
            }
        }
    }

    /// Forgets everything; who waits is let go.
    pub(super) fn clear(&self) {
        lock(&self.by_track).clear();
        *lock(&self.multivariant) = None;
    }

    fn follow(&self, track: &TrackName) -> Option<watch::Receiver<Arc<Published>>> {
        lock(&self.by_track).get(track).map(watch::Sender::subscribe)
    }
}

impl Published {
    fn document(&self, skip: bool) -> &Document {
        let cell = if skip { &self.delta } else { &self.full };
        cell.get_or_init(|| Document::new(self.render(skip)))
    }

    fn render(&self, skip: bool) -> String {
        // There is one: its reach is known.
        let playlist = MediaPlaylist::new(&self.snapshot, &self.track);
        let render = |playlist: MediaPlaylist<'_>| {
            let first = playlist.first();
            let floor = self.floor.fetch_max(first, Ordering::Relaxed).max(first);
            let playlist = playlist.starting_at(floor);
            if skip { playlist.render_delta() } else { playlist.render() }
        };
        playlist.map(render).unwrap_or_default()
    }
}

impl Directives {
    /// Reads a query; what is not meant for us is passed over.
    ///
    /// # Errors
    /// What to tell whoever sent it.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, &'static str> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_LEN_MAX {
            return Err("the query is too long");
        }
        let (mut sequence, mut part, mut skip) = (None, None, false);
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "_HLS_msn" => {
                    sequence = Some(canonical(value).ok_or("_HLS_msn is not a decimal integer")?);
                }
                "_HLS_part" => {
                    let number = canonical(value).and_then(|part| u32::try_from(part).ok());
                    part = Some(number.ok_or("_HLS_part is not a decimal integer")?);
                }
                "_HLS_skip" => match value {
                    "YES" | "v2" => skip = true,
                    _ => return Err("_HLS_skip is neither YES nor v2"),
                },
                _ => {}
            }
        }
        let asked = match (sequence, part) {
            (Some(sequence), part) => Some(Asked { sequence, part }),
            (None, None) => None,
            (None, Some(_)) => return Err("_HLS_part needs _HLS_msn"),
        };
        Ok(Self { asked, skip })
    }
}

/// The multivariant playlist, rendered at most once per snapshot; waits for a broadcast that is just
/// beginning.
pub(super) async fn multivariant(live: &Live, asks: &Asks<'_>) -> Response<Body> {
    let mut document = listed(live);
    if document.is_none()
        && let Some(held) = live.hold()
    {
        let mut follow = live.follow();
        let begun = async {
            while document.is_none() && follow.changed().await.is_ok() {
                document = listed(live);
            }
        };
        // In vain: what is said below is all there is to say.
        let _ = tokio::time::timeout(HOLD_MAX, begun).await;
        drop(held);
    }
    match document {
        Some(document) => {
            let kind = Kind::Playlist;
            document.respond(hls::CONTENT_TYPE, kind, Keep::Short, asks, &live.metrics)
        }
        None => not_ready(),
    }
}

fn listed(live: &Live) -> Option<Arc<Document>> {
    let snapshot = live.snapshot()?;
    let mut cached = lock(&live.playlists.multivariant);
    if let Some((of, document)) = cached.as_ref()
        && Arc::ptr_eq(of, &snapshot)
    {
        return Some(document.clone());
    }
    let document = Arc::new(Document::new(hls::multivariant(&snapshot)?));
    *cached = Some((snapshot, document.clone()));
    Some(document)
}

/// The playlist of `track`; waits for what `query` asks for.
pub(super) async fn media(
    live: &Live,
    track: &TrackName,
    query: Option<&str>,
    asks: &Asks<'_>,
) -> Response<Body> {
    let directives = match Directives::parse(query) {
        Ok(directives) => directives,
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, SHORT, reason),
    };
    let Some(mut follow) = live.playlists.follow(track) else {
        let snapshot = live.snapshot();
        let mut periods = snapshot.iter().flat_map(|snapshot| &snapshot.periods);
        let none = snapshot.as_ref().is_none_or(|snapshot| snapshot.periods.is_empty());
        let begins = none || periods.any(|period| period.track(track).is_some());
        return match begins {
            true => not_ready(),
            false => refusal(StatusCode::NOT_FOUND, SHORT, "no such track"),
        };
    };
    let mut keep = Keep::Short;
    if let Some(asked) = directives.asked {
        let listed = |reach: &Reach| reach.ended || reach.lists(asked);
        let reach = follow.borrow_and_update().reach;
        if !listed(&reach) && reach.is_too_far(asked) {
            let reason = "_HLS_msn or _HLS_part is too far ahead";
            return refusal(StatusCode::BAD_REQUEST, NO_STORE, reason);
        }
        // Where too many wait already, players get what there is and ask again: they outlive that, and
        // not an error.
        if !listed(&reach)
            && let Some(held) = live.hold()
        {
            let waited = async { follow.wait_for(|now| listed(&now.reach)).await.is_ok() };
            if let Ok(false) = tokio::time::timeout(HOLD_MAX, waited).await {
                return refusal(StatusCode::NOT_FOUND, NO_STORE, "the broadcast was closed");
            }
            drop(held);
        }
        if !listed(&follow.borrow().reach) {
            keep = Keep::Never;
        }
    }
    let published = follow.borrow().clone();
    let document = published.document(directives.skip);
    document.respond(hls::CONTENT_TYPE, Kind::Playlist, keep, asks, &live.metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_strictly_and_the_rest_is_passed_over() {
        let asked = |sequence, part| Some(Asked { sequence, part });
        let check = |query, asked, skip| {
            assert_eq!(Directives::parse(Some(query)), Ok(Directives { asked, skip }), "{query}");
        };
        check("", None, false);
        check("CMCD=bl%3D100&token=x", None, false);
        check("_HLS_msn=12", asked(12, None), false);
        check("_HLS_msn=12&_HLS_part=3&_HLS_skip=YES", asked(12, Some(3)), true);
        check("_HLS_skip=v2", None, true);
        check("_HLS_msn=18446744073709551615", asked(u64::MAX, None), false);
        for query in [
            "_HLS_part=1",
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_msn=+1",
            "_HLS_msn=1.5",
            "_HLS_msn=99999999999999999999999",
            "_HLS_msn=1&_HLS_part=4294967296",
            "_HLS_skip=NO",
        ] {
            assert!(Directives::parse(Some(query)).is_err(), "{query}");
        }
        assert!(Directives::parse(Some(&"a".repeat(5_000))).is_err());
    }
}
