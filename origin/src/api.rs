//! The origin over HTTP, under `/api/v1`: what a console, and the programs of those who host, ask of the
//! control plane. OpenAPI describes it at `/api/v1/openapi.json`; `docs/api.md` tells what it is for.
//!
//! A file for each kind of thing; [`caller`] knows who asks, [`asked`] reads what they bring, [`problem`]
//! says what is wrong with it.

mod accounts;
mod asked;
mod broadcasts;
mod caller;
mod csv;
mod details;
mod document;
mod elsewhere;
mod events;
mod files;
mod keys;
mod live;
mod members;
mod oidc;
mod problem;
mod registrations;
mod report;
pub(crate) mod requests;
pub mod server;
mod session;
mod tokens;
mod viewers;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::elsewhere::Elsewhere;
use self::problem::{Problem, ProblemBody};
use crate::comments;
use crate::control::Control;
use crate::oidc::Provider;
use crate::webhooks::Webhooks;

/// Where it is.
pub const PREFIX: &str = "/api/v1";

/// What requests are answered from.
pub(crate) struct Site {
    control: Arc<Control>,
    elsewhere: Arc<Elsewhere>,
    comments: comments::store::Store,
    webhooks: Arc<Webhooks>,
    /// Where RTMP is accepted.
    rtmp_port: u16,
    /// What the id of a broadcast is appended to for viewers.
    watch_url: String,
    /// Who vouches for people.
    oidc: Option<Arc<Provider>>,
    /// Pieces of files that are made at once.
    files: Arc<Semaphore>,
    listeners: events::Listeners,
}

/// What the API says of itself.
pub struct Settings {
    /// Where RTMP is accepted.
    pub rtmp_port: u16,
    /// What the id of a broadcast is appended to for viewers, such as `https://edge.example/watch/`.
    pub watch_url: String,
    /// Who vouches for people, besides their passwords.
    pub oidc: Option<Arc<Provider>>,
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Lectern", description = "Broadcasts, those who host them, and those who watch."),
    servers((url = "/api/v1")),
    components(schemas(ProblemBody)),
    security(("session" = []), ("token" = []))
)]
struct Document;

/// The routes of the API.
pub fn routes(
    control: Arc<Control>,
    elsewhere: Arc<Elsewhere>,
    comments: comments::store::Store,
    webhooks: Arc<Webhooks>,
    settings: Settings,
) -> Router {
    let site = Arc::new(Site {
        control,
        elsewhere,
        comments,
        webhooks,
        rtmp_port: settings.rtmp_port,
        watch_url: settings.watch_url,
        oidc: settings.oidc,
        files: Arc::new(Semaphore::new(files::PIECES_MAX)),
        listeners: events::Listeners::default(),
    });
    let (router, document) = described().split_for_parts();
    let document: Arc<str> = document::complete(document).into();
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Router::new()
        .nest(PREFIX, router)
        .route(
            &format!("{PREFIX}/openapi.json"),
            axum::routing::get(async move || (json, document.to_string())),
        )
        .route(&format!("{PREFIX}/{{*rest}}"), axum::routing::any(async || Problem::not_found()))
        .method_not_allowed_fallback(async || {
            let detail = "this cannot be done with it";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        })
        .layer(axum::middleware::from_fn(secure))
        .with_state(site)
}

fn described() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(session::info))
        .routes(routes!(session::setup))
        .routes(routes!(session::get, session::create, session::delete))
        .routes(routes!(oidc::login))
        .routes(routes!(oidc::callback))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::get, accounts::patch, accounts::delete))
        .routes(routes!(accounts::set_password))
        .routes(routes!(accounts::sessions, accounts::end_sessions))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::delete))
        .routes(routes!(broadcasts::list, broadcasts::create))
        .routes(routes!(broadcasts::get, broadcasts::patch, broadcasts::delete))
        .routes(routes!(broadcasts::stop))
        .routes(routes!(broadcasts::new_moderator))
        .routes(routes!(live::get))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(members::list))
        .routes(routes!(members::set, members::remove))
        .routes(routes!(viewers::create_token))
        .routes(routes!(viewers::keys, viewers::add_key))
        .routes(routes!(viewers::retire_key))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::get, webhooks::patch, webhooks::delete))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::test))
        .routes(routes!(files::comments_csv))
        .routes(routes!(files::comments_json))
        .routes(routes!(files::attendance_csv))
        .routes(routes!(registrations::registrations_csv))
        .routes(routes!(events::events))
}

/// What is answered to one is kept by nobody else, and taken for nothing but what it says it is.
async fn secure(request: Request<axum::body::Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.into_response()
}
