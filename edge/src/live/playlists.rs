//! The HLS playlists of a broadcast: each kept up to date once somebody has asked for it, rendered once
//! for all who do, and waited for by those who ask for more than there is (RFC 8216bis §6.2.5.2).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use lectern_relay_proto::TrackName;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::document::{Document, Keep};
use super::media::Asks;
use super::routes::{NO_STORE, SHORT, canonical, not_ready, refusal};
use super::{Live, lock};
use crate::hls::{self, Asked, MediaPlaylist, Reach};
use crate::requests::Kind;
use crate::timeline::Snapshot;

/// How long the first playlist of a track waits for segments from before this edge joined: as long as
/// fetching what a player wants behind it takes, and not as long as fetching the window.
const OLDER_WAIT_MAX: Duration = Duration::from_secs(2);
/// How far beyond the newest segment of comments a request may wait, as with media.
const AHEAD_SEGMENTS_MAX: u64 = 2;
/// The longest query that is read.
const QUERY_LEN_MAX: usize = 4_096;

/// The playlists of one broadcast.
#[derive(Default)]
pub(super) struct Playlists {
    multivariant: Mutex<Option<(Arc<Snapshot>, Arc<Document>)>>,
    by_track: Mutex<BTreeMap<TrackName, watch::Sender<Arc<Published>>>>,
    comments: Mutex<Option<Comments>>,
}

/// The playlist of what viewers say, which is new with every segment that begins.
#[derive(Clone)]
struct Comments {
    snapshot: Arc<Snapshot>,
    /// The media sequence number that it begins with, and may not go below.
    floor: u64,
    last: u64,
    ended: bool,
    document: Arc<Document>,
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
        lock(&self.by_track).retain(|track, sender| {
            let former = sender.borrow().clone();
            let Some(reach) = Published::reach_of(snapshot, track) else { return false };
            if !segments && former.reach == reach {
                return true;
            }
            let same_broadcast = former.snapshot.t0 == snapshot.t0;
            let floor = if same_broadcast { former.floor.clone() } else { Floor::default() };
            sender.send_replace(Arc::new(Published::new(snapshot.clone(), track, reach, floor)));
            true
        });
    }

    /// Whether the playlist of any track has been asked for.
    pub(super) fn any_open(&self) -> bool {
        !lock(&self.by_track).is_empty()
    }

    /// Forgets everything; who waits is let go.
    pub(super) fn clear(&self) {
        lock(&self.by_track).clear();
        *lock(&self.multivariant) = None;
        *lock(&self.comments) = None;
    }

    /// The playlist of `track` and what becomes of it, if anybody has asked for it.
    fn follow(&self, track: &TrackName) -> Option<watch::Receiver<Arc<Published>>> {
        lock(&self.by_track).get(track).map(watch::Sender::subscribe)
    }

    /// The same for whoever asks first; `None` while there is none.
    fn open(
        &self,
        track: &TrackName,
        snapshot: Arc<Snapshot>,
    ) -> Option<watch::Receiver<Arc<Published>>> {
        let reach = Published::reach_of(&snapshot, track)?;
        let published = || Arc::new(Published::new(snapshot, track, reach, Floor::default()));
        let mut by_track = lock(&self.by_track);
        let sender =
            by_track.entry(track.clone()).or_insert_with(|| watch::Sender::new(published()));
        Some(sender.subscribe())
    }
}

impl Published {
    fn new(snapshot: Arc<Snapshot>, track: &TrackName, reach: Reach, floor: Floor) -> Self {
        let (full, delta) = (OnceLock::new(), OnceLock::new());
        Self { snapshot, track: track.clone(), reach, floor, full, delta }
    }

    fn reach_of(snapshot: &Snapshot, track: &TrackName) -> Option<Reach> {
        Some(MediaPlaylist::new(snapshot, track)?.reach())
    }

    /// Whether it is long enough to be the first that is sent, or will not grow at its beginning.
    fn may_be_first(&self) -> bool {
        let sent = self.floor.load(Ordering::Relaxed) > 0;
        let mut tracks =
            self.snapshot.periods.iter().filter_map(|period| period.track(&self.track));
        let playlist = || MediaPlaylist::new(&self.snapshot, &self.track);
        sent || !tracks.any(|track| track.older_to_come)
            || playlist().is_none_or(|playlist| playlist.is_playable())
    }

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
    match live.once(asks, listed).await {
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
    let found = live.once(asks, |live| match live.playlists.follow(track) {
        Some(follow) => Some(Some(follow)),
        None if !may_have(live, track) => Some(None),
        None => Some(Some(begin(live, track)?)),
    });
    let mut follow = match found.await {
        Some(Some(follow)) => follow,
        Some(None) => return refusal(StatusCode::NOT_FOUND, SHORT, "no such track"),
        None => return not_ready(),
    };
    let closed = || refusal(StatusCode::NOT_FOUND, NO_STORE, "the broadcast was closed");
    if !follow.borrow().may_be_first()
        && let Some(_held) = live.hold()
    {
        let until = asks.held_until().min(Instant::now() + OLDER_WAIT_MAX);
        let older = async { follow.wait_for(|now| now.may_be_first()).await.is_ok() };
        // In vain, and what there is will do.
        if let Ok(false) = timeout_at(until, older).await {
            return closed();
        }
    }
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
            if let Ok(false) = timeout_at(asks.held_until(), waited).await {
                return closed();
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

/// The playlist of what viewers say; waits for the segment that `query` asks for.
pub(super) async fn comments(live: &Live, query: Option<&str>, asks: &Asks<'_>) -> Response<Body> {
    let directives = match Directives::parse(query) {
        Ok(directives) => directives,
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, SHORT, reason),
    };
    if live.begun().is_some_and(|snapshot| !snapshot.comments) {
        return refusal(StatusCode::NOT_FOUND, SHORT, "there are no comments at this edge");
    }
    let Some(now) = live.once(asks, said).await else { return not_ready() };
    let sequence = directives.asked.map_or(0, |asked| asked.sequence);
    let (mut now, mut keep) = (now, Keep::Short);
    if sequence > now.last && !now.ended {
        if sequence > now.last.saturating_add(AHEAD_SEGMENTS_MAX) {
            return refusal(StatusCode::BAD_REQUEST, NO_STORE, "_HLS_msn is too far ahead");
        }
        let listed = |live: &Live| said(live).filter(|now| now.last >= sequence || now.ended);
        match live.once(asks, listed).await {
            Some(listed) => now = listed,
            // As with media, players get what there is and ask again.
            None => keep = Keep::Never,
        }
    }
    now.document.respond(hls::CONTENT_TYPE, Kind::Playlist, keep, asks, &live.metrics)
}

fn said(live: &Live) -> Option<Comments> {
    let snapshot = live.snapshot()?;
    let mut cached = lock(&live.playlists.comments);
    let former = cached.as_ref().filter(|former| former.snapshot.t0 == snapshot.t0);
    if let Some(former) = former.filter(|former| Arc::ptr_eq(&former.snapshot, &snapshot)) {
        return Some(former.clone());
    }
    let playlist = MediaPlaylist::new(&snapshot, hls::beside_comments(&snapshot)?)?;
    let floor = former.map_or(0, |former| former.floor).max(playlist.first());
    let playlist = playlist.starting_at(floor);
    let (last, ended) = (playlist.last_of_comments(), playlist.reach().ended);
    let document = Arc::new(Document::new(playlist.render_comments()));
    let said = Comments { snapshot: snapshot.clone(), floor, last, ended, document };
    Some(cached.insert(said).clone())
}

/// The playlist of `track` for whoever asks first.
fn begin(live: &Live, track: &TrackName) -> Option<watch::Receiver<Arc<Published>>> {
    // Without a whole segment there is none, and those come with a snapshot; parts alone do not.
    Published::reach_of(&*live.snapshot()?, track)?;
    // Under this lock nothing newer is published meanwhile.
    let mut timeline = lock(&live.timeline);
    live.playlists.open(track, timeline.snapshot()?)
}

/// Whether the broadcast has such a track, or nobody can say so yet.
fn may_have(live: &Live, track: &TrackName) -> bool {
    let snapshot = live.snapshot();
    let mut periods = snapshot.iter().flat_map(|snapshot| &snapshot.periods).peekable();
    periods.peek().is_none() || periods.any(|period| period.track(track).is_some())
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
