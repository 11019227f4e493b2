//! What viewers answered who had to before they watched, as a file for the hosts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::about::FieldName;

use super::asked::Named;
use super::caller::{Caller, Part};
use super::files::{Broken, Places, Unfinished};
use super::problem::{Problem, Refused};
use super::{Site, csv, files};
use crate::control::records::Scope;
use crate::control::store::{Error, Store};

/// Rows that are read from the store at once, of some kB at most.
const PAGE: u32 = 200;
/// Columns for questions that are asked no more.
const FORMER_MAX: usize = 200;
const NAME: &str = "registrations.csv";

/// Who registered and what they answered, for hosts: first when, then what is asked now, then what was
/// asked before, by its name.
#[utoipa::path(get, path = "/broadcasts/{id}/registrations.csv", tag = "files",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "text/csv", body = String), Refused))]
pub(super) async fn registrations_csv(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    caller.needs(Scope::CommentsRead)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    let id = listed.broadcast.id.clone();
    let store = site.control.store().clone();
    let form = listed.broadcast.about.registration.clone().unwrap_or_default();
    let mut columns: Vec<_> = form.fields.iter().map(|field| field.name().clone()).collect();
    let asked_ever = store.registration_fields(&id).await?;
    let former = asked_ever.into_iter().filter_map(|name| FieldName::try_from(name).ok());
    let former: Vec<_> = former.filter(|name| !columns.contains(name)).take(FORMER_MAX).collect();
    columns.extend(former);
    let place = Place { store, places: site.places(), id: id.clone(), columns, after: 0 };
    files::attachment(&id, NAME, files::CSV, place).await
}

/// How far the file has been made.
struct Place {
    store: Store,
    places: Places,
    id: BroadcastId,
    columns: Vec<FieldName>,
    /// The last row.
    after: u64,
}

impl Unfinished for Place {
    type Error = Error;

    async fn next(mut self) -> Result<(Bytes, Option<Self>), Broken<Error>> {
        let _place = self.places.take().await?;
        let rows = self.store.registrations(&self.id, self.after, PAGE).await?;
        let piece = csv::registrations(&self.columns, &rows, self.after == 0);
        self.after = rows.last().map_or(self.after, |last| last.number);
        Ok((piece.into(), (rows.len() == PAGE as usize).then_some(self)))
    }
}
