//! What was said in a broadcast and who was there, as files: answered in pieces as the store reads them,
//! so that a long evening costs no more memory than a short one.
//!
//! Besides whoever has a part in the broadcast, its `moderator_key` opens what was said.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::{Comment, ModeratorKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asked::{Named, bearer};
use super::caller::{Caller, Part, TOKEN_PREFIX};
use super::problem::{Problem, Refused};
use super::{Site, csv};
use crate::comments::store::{Error, Store};
use crate::control::Listed;
use crate::control::records::Scope;

/// What a table is.
pub(super) const CSV: &str = "text/csv; charset=utf-8; header=present";
/// Rows that are read from the store at once.
const PAGE: u32 = 500;
/// Pieces that are made at once. Whoever comes then waits, for so long at most.
pub(super) const PIECES_MAX: usize = 4;
const PLACE_WAIT: Duration = Duration::from_secs(10);

/// What can be fetched of a broadcast.
#[derive(Clone, Copy)]
enum File {
    CommentsCsv,
    CommentsJson,
    AttendanceCsv,
}

impl File {
    fn name(self) -> &'static str {
        match self {
            Self::CommentsCsv => "comments.csv",
            Self::CommentsJson => "comments.json",
            Self::AttendanceCsv => "attendance.csv",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::CommentsCsv | Self::AttendanceCsv => CSV,
            Self::CommentsJson => "application/json",
        }
    }
}

/// All comments that are not deleted, also those held.
#[utoipa::path(get, path = "/broadcasts/{id}/comments.csv", tag = "files",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "text/csv", body = String), Refused))]
pub(super) async fn comments_csv(
    State(site): State<Arc<Site>>,
    Reader(id): Reader,
) -> Result<Response, Problem> {
    site.file(File::CommentsCsv, id).await
}

/// All comments that are not deleted, also those held, as `docs/comments.md` describes them.
#[utoipa::path(get, path = "/broadcasts/{id}/comments.json", tag = "files",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "application/json", body = Vec<serde_json::Value>), Refused))]
pub(super) async fn comments_json(
    State(site): State<Arc<Site>>,
    Reader(id): Reader,
) -> Result<Response, Problem> {
    site.file(File::CommentsJson, id).await
}

/// Who was there, from when to when, if a list is kept; for hosts.
#[utoipa::path(get, path = "/broadcasts/{id}/attendance.csv", tag = "files",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "text/csv", body = String), Refused))]
pub(super) async fn attendance_csv(
    State(site): State<Arc<Site>>,
    HostReader(id): HostReader,
) -> Result<Response, Problem> {
    site.file(File::AttendanceCsv, id).await
}

/// Somebody who may read what was said in this broadcast: who has a part in it, or its `moderator_key`.
pub(super) struct Reader(BroadcastId);

impl FromRequestParts<Arc<Site>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        reader(parts, site, Part::Moderator, |_| true).await.map(Self)
    }
}

/// Somebody who may read who was there: a host. Who provisions a broadcast in the configuration file may have
/// no account; they are known by the key that they have given it.
pub(super) struct HostReader(BroadcastId);

impl FromRequestParts<Arc<Site>> for HostReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        reader(parts, site, Part::Host, |listed| listed.provisioned).await.map(Self)
    }
}

/// Which broadcast somebody may read of who has at least this part in it, or its key where that is enough.
async fn reader(
    parts: &mut Parts,
    site: &Arc<Site>,
    least: Part,
    key_is_enough: fn(&Listed) -> bool,
) -> Result<BroadcastId, Problem> {
    let Named(id) = Named::<String>::from_request_parts(parts, site).await?;
    let presented = bearer(&parts.headers).filter(|key| !key.starts_with(TOKEN_PREFIX));
    if presented.is_some() {
        // Who does not know the key is not told which broadcasts there are.
        let listed = id.parse().ok().and_then(|id| site.control.get(&id));
        let opened = listed.filter(|listed| site.is_opened(listed, &parts.headers));
        let opened = opened
            .ok_or_else(|| Problem::unauthorized("no such broadcast, or not its moderator_key"))?;
        if !key_is_enough(&opened) {
            return Err(Problem::forbidden("this is for hosts: sign in, or send a host's token"));
        }
        return Ok(opened.broadcast.id.clone());
    }
    let caller = Caller::from_request_parts(parts, site).await?;
    caller.needs(Scope::CommentsRead)?;
    let (listed, _) = caller.broadcast(site, &id, least).await?;
    Ok(listed.broadcast.id.clone())
}

impl Site {
    async fn file(&self, file: File, id: BroadcastId) -> Result<Response, Problem> {
        let (store, places) = (self.comments.clone(), self.places());
        let place = Place { store, places, id: id.clone(), file, after: 0, any: false };
        attachment(&id, file.name(), file.content_type(), place).await
    }

    /// A place among those whose piece is made at once; waits for a while if there are as many as may be.
    pub(super) fn places(&self) -> Places {
        Places(self.files.clone())
    }

    fn is_opened(&self, listed: &Listed, headers: &HeaderMap) -> bool {
        let presented = bearer(headers).and_then(|key| ModeratorKey::try_from(key.to_owned()).ok());
        match (&listed.broadcast.moderator_key, presented) {
            (Some(key), Some(presented)) => key.matches(&presented),
            _ => false,
        }
    }
}

/// Why a file is no longer made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken<E: std::error::Error> {
    #[error("too many files are being fetched")]
    Busy,
    #[error(transparent)]
    Store(#[from] E),
}

/// Those whose piece is made at once: a place for each piece, so that who reads slowly keeps nobody waiting.
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    pub(super) async fn take<E: std::error::Error>(
        &self,
    ) -> Result<OwnedSemaphorePermit, Broken<E>> {
        let place = tokio::time::timeout(PLACE_WAIT, self.0.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(Broken::Busy)
    }
}

/// How far a file has been made.
pub(super) trait Unfinished: Sized + Send + 'static {
    type Error: std::error::Error + Send + Sync + 'static;

    /// The next piece, and the place behind it unless that is the end.
    fn next(
        self,
    ) -> impl Future<Output = Result<(Bytes, Option<Self>), Broken<Self::Error>>> + Send;
}

/// Answers with a file of a broadcast, piece by piece from this place on.
pub(super) async fn attachment<U: Unfinished>(
    id: &BroadcastId,
    name: &str,
    content_type: &str,
    place: U,
) -> Result<Response, Problem> {
    let pieces = stream::try_unfold(Some(place), async |place| match place {
        Some(place) => place.next().await.map(Some),
        None => Ok(None),
    });
    let mut pieces = pieces.boxed();
    // The first tells whether there is a store to read from; later there is no status to say it with.
    let first = match pieces.next().await {
        Some(Ok(first)) => first,
        Some(Err(busy @ Broken::Busy)) => return Err(Problem::unavailable(busy.to_string())),
        Some(Err(Broken::Store(error))) => {
            tracing::error!(broadcast = %id, %error, "{name} cannot be read");
            return Err(Problem::unavailable("the database does not answer"));
        }
        None => Bytes::new(),
    };
    let attachment = format!("attachment; filename=\"{id}-{name}\"");
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_DISPOSITION, &attachment),
    ];
    let body = Body::from_stream(stream::iter([Ok(first)]).chain(pieces));
    Ok((headers, body).into_response())
}

/// How far a file has been made.
struct Place {
    store: Store,
    places: Places,
    id: BroadcastId,
    file: File,
    /// The last comment, or how many rows.
    after: u64,
    /// Whether there is anything in it yet.
    any: bool,
}

impl Unfinished for Place {
    type Error = Error;

    async fn next(mut self) -> Result<(Bytes, Option<Self>), Broken<Error>> {
        let _place = self.places.take().await?;
        let first = self.after == 0;
        let (piece, rows) = match self.file {
            File::AttendanceCsv => {
                let skip = u32::try_from(self.after).unwrap_or(u32::MAX);
                let rows = self.store.attendance(&self.id, skip, PAGE).await?;
                self.after += rows.len() as u64;
                (csv::attendance(&rows, first), rows.len())
            }
            File::CommentsCsv | File::CommentsJson => {
                let mut comments = self.store.comments(&self.id, self.after, PAGE).await?;
                let rows = comments.len();
                self.after = comments.last().map_or(self.after, |last| last.id);
                comments.retain(|comment| !comment.deleted);
                let any = self.any;
                self.any |= !comments.is_empty();
                let piece = match self.file {
                    File::CommentsCsv => csv::comments(&comments, first),
                    _ => json(&comments, first, any, rows < PAGE as usize),
                };
                (piece, rows)
            }
        };
        Ok((piece.into(), (rows == PAGE as usize).then_some(self)))
    }
}

/// A piece of a list of comments, one in a line. `any`: some are in it already.
fn json(comments: &[Comment], first: bool, mut any: bool, last: bool) -> String {
    let mut text = if first { "[".to_owned() } else { String::new() };
    for comment in comments {
        text.push_str(if any { ",\n" } else { "\n" });
        any = true;
        text.push_str(&serde_json::to_string(comment).expect("plain"));
    }
    if last {
        text.push_str("\n]\n");
    }
    text
}
