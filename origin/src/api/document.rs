//! The OpenAPI document: what the routes say of themselves, and what is so for all of them. Whether it is
//! true is asked by `tests/api`.

use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, RefOr};

use super::caller;

/// What is asked before anybody is known.
const OPEN: &[(&str, &str)] = &[("get", "/info"), ("post", "/setup"), ("post", "/session")];

/// The document as JSON, with how one is known, and with all that OpenAPI wants said.
pub(super) fn complete(mut document: OpenApi) -> String {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = document.components.get_or_insert_default();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(caller::COOKIE_NAME)));
    components.add_security_scheme("session", cookie);
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("token", token);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if OPEN.contains(&(method, path.as_str())) {
                operation.security = Some(vec![SecurityRequirement::default()]);
            }
            operation.operation_id = Some(operation_id(method, path));
            describe_responses(operation);
        }
    }
    document.to_pretty_json().expect("plain")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name that no other operation has, such as `get-broadcasts-id-keys`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    [method].into_iter().chain(words).collect::<Vec<_>>().join("-")
}

/// Every response needs a description (OpenAPI 3.1 §4.8.17): what the status means, where nothing else is
/// said.
fn describe_responses(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status = StatusCode::from_bytes(status.as_bytes()).ok();
            let reason = status.and_then(|status| status.canonical_reason());
            response.description = reason.unwrap_or("An answer").to_owned();
        }
    }
}
