//! The pages and the player, embedded in the binary: lobby, watch page, embed page, `/player.js` and
//! the assets they name. Owns their types, caching and security headers; what the pages do is
//! `web/`'s, what they fetch is served by the other modules.
//!
//! Everything here comes from `web/dist`, which the web build also holds gzipped: each file is
//! compressed once, at its best, and never per viewer.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use lectern_relay_proto::broadcast::BroadcastId;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::negotiation::{accepts_gzip, matches_etag};
use crate::siblings::Siblings;

/// A page's address stays while its content changes: ask each time, the ETag makes that cheap.
const REVALIDATE: &str = "no-cache";
/// An asset's name has a hash of its content in it.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

const NO_LOBBY: &str = "<!doctype html>\n<html lang=\"en\"><title>Lectern</title>\n\
    <h1>Not found</h1>\n<p>There is no list of broadcasts here. Please use the link that you were \
    given.</p></html>\n";

/// What a page may load: its own scripts and styles, and media that the player assembles (`blob:`).
/// `connect-src` covers WHEP, manifests and segments, of this edge and of its siblings. The player's
/// controls make `<style>` elements (docs/decisions/0017), which is what `style-src-elem` is for; style
/// attributes and scripts in the page stay forbidden.
fn policy(siblings: &Siblings, ancestors: &str) -> HeaderValue {
    policy_of(&siblings.sources(), &siblings.socket_sources(), ancestors)
}

/// The same, with other places that pages may fetch from and connect to, each after a space.
fn policy_of(others: &str, sockets: &str, ancestors: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; \
         style-src-elem 'self' 'unsafe-inline'; img-src 'self' data: https:; \
         media-src 'self' blob:{others}; connect-src 'self'{others}{sockets}; \
         worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    );
    // What siblings may be called leaves nothing that a header could not hold.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The policies of pages, which are made once.
#[derive(Clone)]
struct Policies {
    page: HeaderValue,
    embed: HeaderValue,
}

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Dist;

/// Who may do what with a file.
#[derive(Clone, Copy)]
enum Kind {
    /// A page of ours.
    Page,
    /// A script or style that any site may use, at an address that stays.
    Stable,
    /// The same, at an address that names its content.
    Hashed,
}

/// The routes of all pages and of the player's script; with `lobby`, that of the lobby.
pub fn routes(siblings: &Siblings, lobby: bool) -> Router {
    let front = if lobby { get(self::lobby) } else { get(no_lobby) };
    let policies = Policies { page: policy(siblings, "'self'"), embed: policy(siblings, "*") };
    Router::new()
        .route("/", front)
        .route("/watch/{id}", get(watch))
        .route("/embed/{id}", get(embed))
        .with_state(policies)
        .route(
            "/player.js",
            get(|headers: HeaderMap| async move { serve("player.js", Kind::Stable, &headers) }),
        )
        .route(
            "/comments.js",
            get(|headers: HeaderMap| async move { serve("comments.js", Kind::Stable, &headers) }),
        )
        .route("/assets/{*name}", get(asset))
}

/// The console, at `/console` and, on a port of its own, also at `/` with whatever it loads. There the edge
/// whose pictures it shows is elsewhere: at `watched`, as `https://edge.example`.
pub fn console(alone: bool, watched: Option<&str>) -> Router {
    let others = watched.map_or_else(String::new, |origin| format!(" {origin}"));
    let sockets = others.replacen(" http", " ws", 1);
    // Nobody lays another page over the buttons of this one.
    let policy = policy_of(&others, &sockets, "'none'");
    let page = get(async |State(policy): State<HeaderValue>, headers: HeaderMap| {
        page("console.html", policy, &headers)
    });
    let router = Router::new().route("/console", page.clone());
    let router = match alone {
        true => router.route("/", page).route("/assets/{*name}", get(asset)),
        false => router,
    };
    router.with_state(policy)
}

async fn lobby(State(policies): State<Policies>, headers: HeaderMap) -> Response {
    page("index.html", policies.page, &headers)
}

/// Instead of the lobby, where there is none: nothing that tells what else there is.
async fn no_lobby(State(policies): State<Policies>) -> Response {
    let mut response = (StatusCode::NOT_FOUND, Html(NO_LOBBY)).into_response();
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policies.page);
    response
}

async fn watch(
    State(policies): State<Policies>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    page_of(&id, "watch.html", policies.page, &headers)
}

async fn embed(
    State(policies): State<Policies>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    page_of(&id, "embed.html", policies.embed, &headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    serve(&format!("assets/{name}"), Kind::Hashed, &headers)
}

/// A page for a broadcast: it exists for every name that a broadcast could have, because the host
/// may come later, and for no other.
fn page_of(id: &str, file: &str, policy: HeaderValue, headers: &HeaderMap) -> Response {
    match id.parse::<BroadcastId>() {
        Ok(_) => page(file, policy, headers),
        Err(invalid) => (StatusCode::NOT_FOUND, invalid.to_string()).into_response(),
    }
}

/// A page, with what it may do.
fn page(file: &str, policy: HeaderValue, request: &HeaderMap) -> Response {
    let mut response = serve(file, Kind::Page, request);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Answers with the file `name` of the build, as far as the viewer does not have it already.
fn serve(name: &str, kind: Kind, request: &HeaderMap) -> Response {
    // The compressed twins are an encoding, not files of their own; and a development build reads
    // from disk, where a name could climb.
    if name.ends_with(".gz") || name.contains("..") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Some(plain) = Dist::get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content_type = content_type(&plain);
    let gzipped = accepts_gzip(request).then(|| Dist::get(&format!("{name}.gz"))).flatten();
    let encoded = gzipped.is_some();
    let file = gzipped.unwrap_or(plain);
    let etag = etag(&file);

    let mut response = if matches_etag(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.into_owned().into_response()
    };
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    if encoded {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    secure(headers, kind);
    response
}

fn secure(headers: &mut HeaderMap, kind: Kind) {
    let cache = if matches!(kind, Kind::Hashed) { IMMUTABLE } else { REVALIDATE };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    // A module script of another origin is loaded only with its permission.
    if !matches!(kind, Kind::Page) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

/// The type by the file's name; text is always UTF-8.
fn content_type(file: &EmbeddedFile) -> String {
    let mime = file.metadata.mimetype();
    if mime.starts_with("text/") { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}

/// A strong validator of these very bytes, encoding included (RFC 9110 §8.8.3).
fn etag(file: &EmbeddedFile) -> String {
    let digest: String =
        file.metadata.sha256_hash().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};
    use axum::http::{HeaderName, Method, Request};
    use tower::ServiceExt;

    use super::*;

    async fn call(path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let routes = routes(&Siblings::default(), true);
        routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn text(response: Response) -> String {
        let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Every asset that a page names, as the browser would ask for it.
    async fn assets_of(path: &str) -> Vec<String> {
        let html = text(call(path, &[]).await).await;
        let names: Vec<_> = html
            .split('"')
            .filter(|part| part.starts_with("/assets/"))
            .map(str::to_owned)
            .collect();
        assert!(!names.is_empty(), "{path} names no assets");
        names
    }

    #[tokio::test]
    async fn pages_are_html_with_the_player() {
        for (path, element) in [
            ("/", "<lectern-lobby>"),
            ("/watch/demo", "<lectern-player"),
            ("/embed/demo", "<lectern-player"),
        ] {
            let response = call(path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(header(&response, CACHE_CONTROL), "no-cache");
            assert!(text(response).await.contains(element), "{path}");
        }
    }

    #[tokio::test]
    async fn every_asset_that_a_page_names_is_there_and_immutable() {
        for page in ["/", "/watch/demo", "/embed/demo"] {
            for asset in assets_of(page).await {
                let response = call(&asset, &[]).await;
                assert_eq!(response.status(), StatusCode::OK, "{asset}");
                assert!(header(&response, CACHE_CONTROL).contains("immutable"));
                let expected = match asset.rsplit('.').next() {
                    Some("js") => "text/javascript; charset=utf-8",
                    Some("css") => "text/css; charset=utf-8",
                    Some("svg") => "image/svg+xml",
                    other => panic!("an asset of a kind that is not expected: {other:?}"),
                };
                assert_eq!(header(&response, CONTENT_TYPE), expected, "{asset}");
            }
        }
    }

    #[tokio::test]
    async fn only_the_embed_page_may_be_framed_by_others() {
        for path in ["/", "/watch/demo"] {
            let response = call(path, &[]).await;
            let policy = header(&response, CONTENT_SECURITY_POLICY);
            assert!(policy.ends_with("frame-ancestors 'self'"), "{policy}");
        }
        let response = call("/embed/demo", &[]).await;
        assert!(header(&response, CONTENT_SECURITY_POLICY).ends_with("frame-ancestors *"));
    }

    #[test]
    fn a_page_may_fetch_from_siblings_and_play_them() {
        let edge = crate::siblings::Sibling::try_from("https://edge2.example/x".to_owned());
        let siblings = Siblings::new(vec![edge.unwrap()]).unwrap();
        let policy = policy(&siblings, "'self'");
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("media-src 'self' blob: https://edge2.example; "), "{policy}");
        let connect = "connect-src 'self' https://edge2.example wss://edge2.example; ";
        assert!(policy.contains(connect), "{policy}");
    }

    #[tokio::test]
    async fn no_page_runs_inline_script() {
        for path in ["/", "/watch/demo", "/embed/demo"] {
            let response = call(path, &[]).await;
            let policy = header(&response, CONTENT_SECURITY_POLICY);
            assert!(policy.contains("script-src 'self'; style-src 'self'; "), "{policy}");
            assert_eq!(policy.matches("unsafe").count(), 1, "{policy}");
            let html = text(response).await;
            for tag in html.split("<script").skip(1) {
                assert!(tag.contains("src=\""), "{path}: <script{tag}");
            }
            assert!(!html.contains("<style"), "{path}");
        }
    }

    #[tokio::test]
    async fn the_player_script_is_usable_on_other_sites() {
        let response = call("/player.js", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, CONTENT_TYPE), "text/javascript; charset=utf-8");
        assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        assert_eq!(header(&response, CACHE_CONTROL), "no-cache");
        // What it imports must be found relative to it, on whatever site it runs.
        let script = text(response).await;
        let import = script.split('"').find(|part| part.starts_with("./assets/")).unwrap();
        let response = call(&import[1..], &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    }

    #[tokio::test]
    async fn what_the_viewer_has_is_not_sent_again() {
        let first = call("/watch/demo", &[]).await;
        let etag = header(&first, ETAG).to_owned();
        for tag in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let again = call("/watch/demo", &[(IF_NONE_MATCH, &tag)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tag}");
            assert_eq!(header(&again, ETAG), etag);
            assert_eq!(text(again).await, "");
        }
        let other = call("/watch/demo", &[(IF_NONE_MATCH, "\"x\"")]).await;
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn gzip_is_sent_to_those_who_take_it() {
        let asset = assets_of("/").await.into_iter().find(|name| name.ends_with(".js")).unwrap();
        let plain = call(&asset, &[]).await;
        assert_eq!(header(&plain, CONTENT_ENCODING), "");
        for accept in ["gzip", "br, GZIP;q=0.5", "deflate , gzip"] {
            let zipped = call(&asset, &[(ACCEPT_ENCODING, accept)]).await;
            assert_eq!(header(&zipped, CONTENT_ENCODING), "gzip", "{accept}");
            assert_eq!(header(&zipped, VARY), "accept-encoding");
            assert_eq!(header(&zipped, CONTENT_TYPE), header(&plain, CONTENT_TYPE));
            assert_ne!(header(&zipped, ETAG), header(&plain, ETAG));
            let body = to_bytes(zipped.into_body(), 4 << 20).await.unwrap();
            assert_eq!(body[..2], [0x1f, 0x8b]);
        }
        for refuse in ["gzip;q=0", "gzip; q=0.0", "br", ""] {
            let plain = call(&asset, &[(ACCEPT_ENCODING, refuse)]).await;
            assert_eq!(header(&plain, CONTENT_ENCODING), "", "{refuse}");
        }
    }

    #[tokio::test]
    async fn a_lobby_that_is_off_is_not_there_and_the_rest_is() {
        let routes = routes(&Siblings::default(), false);
        for (path, status) in [("/", StatusCode::NOT_FOUND), ("/watch/demo", StatusCode::OK)] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
            assert!(header(&response, CONTENT_SECURITY_POLICY).contains("default-src 'none'"));
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        for path in [
            "/assets/none.js",
            "/assets/../index.html",
            "/assets/%2e%2e/index.html",
            "/assets/..%2f..%2fpackage.json",
            "/player.js.gz",
            "/watch/",
            "/watch/a%20b",
            "/watch/a/b",
            "/embed/%3Cscript%3E",
        ] {
            assert_eq!(call(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn head_has_no_body_and_post_is_refused() {
        let request = |method| Request::builder().method(method).uri("/").body(Body::empty());
        let routes = || routes(&Siblings::default(), true);
        let head = routes().oneshot(request(Method::HEAD).unwrap()).await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(text(head).await, "");
        let post = routes().oneshot(request(Method::POST).unwrap()).await.unwrap();
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
