//! The API as a console and as programs use it, and as strangers try to: over SQLite and over PostgreSQL.
//! Whatever it answers must be documented: each test's harness looks every answer up.

mod news;
mod oidc;
#[path = "../comments_store/postgres.rs"]
mod postgres;
mod provider;
mod provision;
mod site;
mod webhooks;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use lectern_relay_proto::comment::{NotRegistered, Response};
use serde_json::{Value, json};

use self::postgres::Postgres;
use self::provision::{
    what_the_console_has_the_file_does_not_take,
    what_the_file_adds_begins_what_it_drops_ends_and_the_rest_goes_on,
};
use self::site::{PASSWORD, Site, Who};

macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Site::start(None).await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = super::Postgres::start();
                super::$name(super::Site::start(Some(server.url())).await).await;
            })*
        }
    };
}

on_both! {
    the_first_account_is_made_once_by_whoever_has_the_link
    who_signs_in_may_do_what_their_role_says
    a_change_needs_the_version_before_it_and_one_of_two_wins
    keys_are_shown_once_and_end_when_they_are_revoked
    tokens_are_good_for_what_they_say_until_they_end
    the_last_admin_stays
    what_the_document_does_not_allow_is_refused
    viewer_keys_rotate
    what_the_console_has_the_file_does_not_take
    what_the_file_adds_begins_what_it_drops_ends_and_the_rest_goes_on
    what_was_made_is_there_after_a_restart
    what_nobody_waits_for_is_done_all_the_same
    who_registers_is_stored_once_and_told_by_the_form_that_there_is
    registrations_are_a_file_for_hosts_and_go_with_the_broadcast
}

async fn the_first_account_is_made_once_by_whoever_has_the_link(site: Site) {
    let token = site.setup_token().expect("none has been made");
    let wish = |token: &str, password: &str| json!({"token": token, "login": "Ada@uni.example", "name": "Ada", "password": password});
    let refused = site.post(Who::Nobody, "/setup", wish("wrong", PASSWORD)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let refused = site.post(Who::Nobody, "/setup", wish(&token, "short")).await;
    assert_eq!((refused.status, refused.field(0)), (StatusCode::UNPROCESSABLE_ENTITY, "password"));
    let made = site.post(Who::Nobody, "/setup", wish(&token, PASSWORD)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["account"]["role"], "admin");
    let cookie = made.cookie.expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Secure"), "it would not come back over this");
    let again = site.post(Who::Nobody, "/setup", wish(&token, PASSWORD)).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(site.setup_token(), None);
    // Login is the same in any case.
    let session = site.sign_in("ADA@uni.example", PASSWORD).await;
    let me = site.get(Who::Cookie(&session), "/session").await;
    assert_eq!(me.body["account"]["login"], "ada@uni.example");
    let out = site.call(Who::Cookie(&session), Method::DELETE, "/session", None, &[]).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(Who::Cookie(&session), "/session").await.status, StatusCode::UNAUTHORIZED);
}

async fn who_signs_in_may_do_what_their_role_says(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let bob = site.account(ada, "bob", "host").await;
    let eve = site.account(ada, "eve", "host").await;
    let mod_ = site.account(ada, "moe", "moderator").await;
    let (bob, eve, moe) = (Who::Cookie(&bob), Who::Cookie(&eve), Who::Cookie(&mod_));
    let refused = site.post(moe, "/broadcasts", json!({"title": "Mine"})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let made = site.post(bob, "/broadcasts", json!({"id": "algebra-1", "title": "Algebra"})).await;
    assert_eq!((made.status, &made.body["role"]), (StatusCode::CREATED, &json!("host")));
    assert_eq!(made.header("location"), "/api/v1/broadcasts/algebra-1");
    let again = site.post(eve, "/broadcasts", json!({"id": "algebra-1"})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    // Who has no part in it is told nothing of it.
    for path in ["", "/keys", "/live", "/members", "/comments.csv", "/attendance.csv"] {
        let path = format!("/broadcasts/algebra-1{path}");
        assert_eq!(site.get(eve, &path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(site.get(Who::Nobody, &path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(site.get(eve, "/broadcasts").await.body["items"], json!([]));
    let path = "/broadcasts/algebra-1/members/moe";
    let set = site.call(bob, Method::PUT, path, Some(json!({"role": "moderator"})), &[]).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    let seen = site.get(moe, "/broadcasts/algebra-1").await;
    assert_eq!(seen.body["role"], "moderator");
    assert!(seen.body["moderator_key"].is_string());
    assert_eq!(site.get(moe, "/broadcasts/algebra-1/keys").await.status, StatusCode::FORBIDDEN);
    let stop = site.post(moe, "/broadcasts/algebra-1/stop", json!({})).await;
    assert_eq!(stop.status, StatusCode::FORBIDDEN);
    assert_eq!(site.get(moe, "/broadcasts/algebra-1/comments.csv").await.status, StatusCode::OK);
    // Accounts are for admins; one's own is there for everybody.
    assert_eq!(site.get(bob, "/accounts").await.status, StatusCode::FORBIDDEN);
    let own = site.get(bob, "/session").await.body["account"]["id"].clone();
    let own = format!("/accounts/{}", own.as_str().expect("an id"));
    assert_eq!(site.get(bob, &own).await.status, StatusCode::OK);
    assert_eq!(site.get(eve, &own).await.status, StatusCode::NOT_FOUND);
    // Who is disabled is out at once.
    let etag = site.get(ada, &own).await.header("etag").to_owned();
    let disabled = Some(json!({"disabled": true}));
    let set = site.call(ada, Method::PATCH, &own, disabled, &[("if-match", &etag)]).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.body);
    assert_eq!(site.get(bob, "/broadcasts").await.status, StatusCode::UNAUTHORIZED);
}

async fn a_change_needs_the_version_before_it_and_one_of_two_wins(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let all = json!({"id": "a", "title": "Algebra", "topics": ["Maths"], "language": "de",
        "starts_at": "2026-11-23T10:00:00+01:00", "visibility": "unlisted", "viewers_max": 300,
        "links": [{"title": "Script", "url": "https://uni.example/script"}],
        "registration": {"notice": "Kept for a week.", "fields": [
            {"name": "mail", "label": "Mail", "kind": "email", "required": true}]}});
    let made = site.post(ada, "/broadcasts", all).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["starts_at"], "2026-11-23T09:00:00Z");
    let patch = |title: &str| Some(json!({"title": title}));
    let path = "/broadcasts/a";
    let without = site.call(ada, Method::PATCH, path, patch("x"), &[]).await;
    assert_eq!(without.status, StatusCode::PRECONDITION_REQUIRED);
    let etag = made.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let (one, other) = tokio::join!(
        site.call(ada, Method::PATCH, path, patch("One"), &headers),
        site.call(ada, Method::PATCH, path, patch("Other"), &headers)
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let now = site.get(ada, path).await;
    let won = if one.status == StatusCode::OK { "One" } else { "Other" };
    assert_eq!((&now.body["title"], &now.body["language"]), (&json!(won), &json!("de")));
    let etag = now.header("etag").to_owned();
    let clear = Some(json!({"language": null, "registration": null, "topics": []}));
    let cleared = site.call(ada, Method::PATCH, path, clear, &[("if-match", &etag)]).await;
    assert_eq!(cleared.body["language"], Value::Null);
    assert_eq!(cleared.body["viewers_max"], 300);
    // Found by its words, and gone when it is removed.
    assert_eq!(site.get(ada, "/broadcasts?q=oth%20A").await.status, StatusCode::OK);
    let stale = site.call(ada, Method::DELETE, path, None, &[("if-match", &etag)]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let etag = cleared.header("etag").to_owned();
    let gone = site.call(ada, Method::DELETE, path, None, &[("if-match", &etag)]).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(ada, path).await.status, StatusCode::NOT_FOUND);
    // What the configuration file provisions is there, and is changed there.
    let provisioned = site.get(ada, "/broadcasts/provisioned").await;
    assert_eq!(provisioned.body["source"], "config");
    let etag = provisioned.header("etag").to_owned();
    let path = "/broadcasts/provisioned";
    let refused = site.call(ada, Method::PATCH, path, patch("x"), &[("if-match", &etag)]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
}

async fn keys_are_shown_once_and_end_when_they_are_revoked(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    site.post(ada, "/broadcasts", json!({"id": "a"})).await;
    let made =
        site.post(ada, "/broadcasts/a/keys", json!({"label": "Hall", "use": "backup"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let key = made.body["key"].as_str().expect("the key").to_owned();
    let listed = site.get(ada, "/broadcasts/a/keys").await;
    let listed = &listed.body["items"][0];
    assert_eq!((&listed["label"], &listed["use"]), (&json!("Hall"), &json!("backup")));
    assert!(listed.get("key").is_none() && key.ends_with(listed["hint"].as_str().expect("a hint")));
    assert!(site.opens(&key).await);
    let path = format!("/broadcasts/a/keys/{}", listed["id"].as_str().expect("an id"));
    let revoked = site.call(ada, Method::DELETE, &path, None, &[]).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert!(!site.opens(&key).await);
    assert_eq!(
        site.call(ada, Method::DELETE, &path, None, &[]).await.status,
        StatusCode::NOT_FOUND
    );
    // A blocked broadcast is closed to every key.
    let made = site.post(ada, "/broadcasts/a/keys", json!({})).await;
    let key = made.body["key"].as_str().expect("the key").to_owned();
    assert!(site.opens(&key).await);
    let blocked = site.post(ada, "/broadcasts/a/stop", json!({"block": true})).await;
    assert_eq!(blocked.status, StatusCode::NO_CONTENT);
    assert!(!site.opens(&key).await);
    let etag = site.get(ada, "/broadcasts/a").await.header("etag").to_owned();
    let open = Some(json!({"blocked": false}));
    site.call(ada, Method::PATCH, "/broadcasts/a", open, &[("if-match", &etag)]).await;
    assert!(site.opens(&key).await);
}

async fn tokens_are_good_for_what_they_say_until_they_end(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let wish = json!({"name": "Timetable", "scopes": ["broadcasts:read", "broadcasts:write"]});
    let made = site.post(ada, "/tokens", wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let secret = made.body["token"].as_str().expect("the token").to_owned();
    let token = Who::Token(&secret);
    let created = site.post(token, "/broadcasts", json!({"id": "a"})).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    for (path, body) in [
        ("/broadcasts/a/keys", json!({})),
        // With this key one reads comments, and keeps order among them.
        ("/broadcasts/a/moderator-key", json!({})),
        ("/tokens", json!({"name": "x", "scopes": ["accounts:write"]})),
    ] {
        assert_eq!(site.post(token, path, body).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(site.get(token, "/broadcasts/a").await.body["moderator_key"], Value::Null);
    assert!(site.get(ada, "/broadcasts/a").await.body["moderator_key"].is_string());
    assert_eq!(site.get(token, "/accounts").await.status, StatusCode::FORBIDDEN);
    let listed = site.get(ada, "/tokens").await;
    assert!(listed.body["items"][0].get("token").is_none());
    assert!(listed.body["items"][0]["used_at"].is_string());
    let path = format!("/tokens/{}", made.body["id"].as_str().expect("an id"));
    site.call(ada, Method::DELETE, &path, None, &[]).await;
    assert_eq!(site.get(token, "/broadcasts").await.status, StatusCode::UNAUTHORIZED);
    let past =
        json!({"name": "x", "scopes": ["broadcasts:read"], "expires_at": "2020-01-01T00:00:00Z"});
    let refused = site.post(ada, "/tokens", past).await;
    assert_eq!(refused.field(0), "expires_at");
}

async fn what_the_document_does_not_allow_is_refused(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    // Serde would take the fields in a list.
    let refused = site.post(ada, "/viewer-keys", json!([null, null])).await;
    assert_eq!(refused.status, invalid, "{}", refused.body);
    let scopes = ["keys:write"; 8];
    let twice = json!({"name": "twice", "scopes": scopes});
    let refused = site.post(ada, "/tokens", twice).await;
    assert_eq!((refused.status, refused.field(0)), (invalid, "scopes"));
    let long = |parameter: &str, chars| format!("{parameter}={}", "x".repeat(chars));
    for (path, parameter, chars_max) in [
        ("/accounts", "after", 512),
        ("/broadcasts", "after", 512),
        ("/broadcasts", "q", 200),
        ("/broadcasts", "topic", 40),
    ] {
        let fits = site.get(ada, &format!("{path}?{}", long(parameter, chars_max))).await;
        assert_eq!(fits.status, StatusCode::OK, "{path} {parameter}");
        let refused = site.get(ada, &format!("{path}?{}", long(parameter, chars_max + 1))).await;
        assert_eq!((refused.status, refused.field(0)), (invalid, parameter), "{path}");
    }
}

async fn the_last_admin_stays(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let me = site.get(ada, "/session").await.body["account"]["id"].clone();
    let path = format!("/accounts/{}", me.as_str().expect("an id"));
    let etag = site.get(ada, &path).await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    // Another admin is none as long as they cannot sign in.
    let ghost = json!({"login": "ghost", "name": "Ghost", "role": "admin"});
    assert_eq!(site.post(ada, "/accounts", ghost).await.status, StatusCode::CREATED);
    for patch in [json!({"role": "host"}), json!({"disabled": true})] {
        let refused = site.call(ada, Method::PATCH, &path, Some(patch), &headers).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
    }
    let refused = site.call(ada, Method::DELETE, &path, None, &headers).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    // A new password needs the one before it, and ends the other sessions.
    let elsewhere = site.sign_in("ada", PASSWORD).await;
    let change = |current: &str| Some(json!({"current": current, "password": "another fine one"}));
    let password = format!("{path}/password");
    let refused = site.call(ada, Method::PUT, &password, change("wrong"), &[]).await;
    assert_eq!(refused.field(0), "current");
    let set = site.call(ada, Method::PUT, &password, change(PASSWORD), &[]).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{}", set.body);
    assert_eq!(site.get(ada, "/session").await.status, StatusCode::OK);
    let ended = site.get(Who::Cookie(&elsewhere), "/session").await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
}

async fn viewer_keys_rotate(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    site.post(ada, "/broadcasts", json!({"id": "a", "visibility": "token"})).await;
    let wish = json!({"expires_in_secs": 3600, "subject": "ada"});
    let made = site.post(ada, "/broadcasts/a/viewer-tokens", wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert!(made.body["url"].as_str().expect("a link").starts_with("/watch/a#token=ey"));
    let keys = site.get(ada, "/viewer-keys").await;
    assert_eq!(keys.body["items"].as_array().expect("a list").len(), 1);
    let other = site.post(ada, "/viewer-keys", json!({})).await;
    assert_eq!((other.status, &other.body["source"]), (StatusCode::CREATED, &json!("own")));
    let path = format!("/viewer-keys/{}", keys.body["items"][0]["kid"].as_str().expect("a kid"));
    let retired = site.call(ada, Method::DELETE, &path, None, &[]).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT);
    let bad = site.post(ada, "/viewer-keys", json!({"public_key": "short"})).await;
    assert_eq!(bad.field(0), "public_key");
}

async fn what_was_made_is_there_after_a_restart(mut site: Site) {
    let cookie = site.admin().await;
    let ada = Who::Cookie(&cookie);
    site.post(ada, "/broadcasts", json!({"id": "a", "title": "Algebra"})).await;
    let made = site.post(ada, "/broadcasts/a/keys", json!({})).await;
    let key = made.body["key"].as_str().expect("the key").to_owned();
    let site = site.restart().await;
    assert_eq!(site.setup_token(), None);
    let ada = Who::Cookie(&cookie);
    let there = site.get(ada, "/broadcasts/a").await;
    assert_eq!((there.status, &there.body["title"]), (StatusCode::OK, &json!("Algebra")));
    assert!(site.opens(&key).await);
}

/// A console that is closed in the middle of a change.
async fn what_nobody_waits_for_is_done_all_the_same(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    site.post(ada, "/broadcasts", json!({"id": "a"})).await;
    let mut cut_off = 0;
    for patience in (0..40).map(|n| Duration::from_micros(150 * n)) {
        let made = site.post(ada, "/broadcasts/a/keys", json!({})).await;
        let key = made.body["key"].as_str().expect("shown once").to_owned();
        let id = made.body["id"].as_str().expect("an id").to_owned();
        let path = format!("/broadcasts/a/keys/{id}");
        let revoking = site.call(ada, Method::DELETE, &path, None, &[]);
        cut_off += u32::from(tokio::time::timeout(patience, revoking).await.is_err());
        // Behind it, if it has begun.
        let etag = site.get(ada, "/broadcasts/a").await.header("etag").to_owned();
        let change = Some(json!({"title": format!("After {patience:?}")}));
        let headers = [("if-match", etag.as_str())];
        let changing = site.call(ada, Method::PATCH, "/broadcasts/a", change.clone(), &headers);
        cut_off += u32::from(tokio::time::timeout(patience, changing).await.is_err());
        let settled = site.post(ada, "/broadcasts/a/moderator-key", json!({})).await;
        assert_eq!(settled.status, StatusCode::OK, "{}", settled.body);
        let keys = site.get(ada, "/broadcasts/a/keys?limit=200").await.body;
        let kept = keys["items"].as_array().expect("a list").iter().find(|key| key["id"] == id);
        let revoked = kept.is_none_or(|kept| kept["revoked_at"].is_string());
        assert_eq!(site.opens(&key).await, !revoked, "after {patience:?}");
        if !revoked {
            let again = site.call(ada, Method::DELETE, &path, None, &[]).await;
            assert_eq!(again.status, StatusCode::NO_CONTENT);
        }
        // What is told is what stands in the database.
        let etag = site.get(ada, "/broadcasts/a").await.header("etag").to_owned();
        let headers = [("if-match", etag.as_str())];
        let changed = site.call(ada, Method::PATCH, "/broadcasts/a", change, &headers).await;
        assert_eq!(changed.status, StatusCode::OK, "after {patience:?}: {}", changed.body);
    }
    assert!(cut_off > 0, "some were not waited for");
    // A name that was removed is another's only once nobody shows what was under it.
    let etag = site.get(ada, "/broadcasts/a").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let removed = site.call(ada, Method::DELETE, "/broadcasts/a", None, &headers).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    let again = site.post(ada, "/broadcasts", json!({"id": "a"})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    assert!(again.body["detail"].as_str().is_some_and(|detail| detail.contains("3 minutes")));
}

fn form(names: &[&str]) -> Value {
    let field = |name: &&str| json!({"name": name, "label": name, "kind": "text"});
    json!({"notice": null, "fields": names.iter().map(field).collect::<Vec<_>>()})
}

/// What somebody who registers is given.
fn given(told: Response) -> (String, u64) {
    match told {
        Response::Registered { token, expires, .. } => (token, expires),
        other => panic!("{other:?}"),
    }
}

fn refused(told: Response) -> &'static str {
    match told {
        Response::NotRegistered { why: NotRegistered::Invalid { .. }, .. } => "invalid",
        Response::NotRegistered { why: NotRegistered::NoRegistration, .. } => "no-registration",
        other => panic!("{other:?}"),
    }
}

async fn who_registers_is_stored_once_and_told_by_the_form_that_there_is(mut site: Site) {
    let cookie = site.admin().await;
    let ada = Who::Cookie(&cookie);
    let info = site.get(Who::Nobody, "/info").await;
    assert!(info.body["features"].as_array().expect("a list").contains(&json!("registration")));
    // There is a key before anybody registers, so that edges know it.
    site.post(ada, "/broadcasts", json!({"id": "a"})).await;
    assert_eq!(site.get(ada, "/viewer-keys").await.body["items"], json!([]));
    let wish = json!({"id": "b", "registration": form(&["full-name"])});
    site.post(ada, "/broadcasts", wish).await;
    let kid = |keys: Value| keys["items"][0]["kid"].as_str().map(str::to_owned);
    let first = kid(site.get(ada, "/viewer-keys").await.body).expect("a key");

    let ada_wrote = json!({"full-name": "Ada"});
    assert_eq!(refused(site.register("a", "try-1", ada_wrote.clone()).await), "no-registration");
    assert_eq!(refused(site.register("none", "try-1", json!({})).await), "no-registration");
    assert_eq!(refused(site.register("provisioned", "try-1", json!({})).await), "no-registration");
    assert_eq!(refused(site.register("b", "try-1", json!({"x": 1})).await), "invalid");
    let (token, expires) = given(site.register("b", "try-1", ada_wrote.clone()).await);
    assert!(token.starts_with("ey"));
    // Sent again it is the same, also after a restart, and by whatever else it says.
    assert_eq!(
        given(site.register("b", "try-1", ada_wrote.clone()).await),
        (token.clone(), expires)
    );
    let site = site.restart().await;
    assert_eq!(given(site.register("b", "try-1", json!({})).await), (token.clone(), expires));
    let both = tokio::join!(
        site.register("b", "try-2", ada_wrote.clone()),
        site.register("b", "try-2", ada_wrote.clone())
    );
    assert_eq!(given(both.0), given(both.1));
    let file = site.get(ada, "/broadcasts/b/registrations.csv").await.text;
    assert_eq!(file.lines().count(), 3, "{file}");
    // For those who were invited there is none.
    let etag = site.get(ada, "/broadcasts/b").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let patch = Some(json!({"visibility": "token"}));
    site.call(ada, Method::PATCH, "/broadcasts/b", patch, &headers).await;
    assert_eq!(refused(site.register("b", "try-3", ada_wrote.clone()).await), "no-registration");
    let etag = site.get(ada, "/broadcasts/b").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let patch = Some(json!({"visibility": "public"}));
    site.call(ada, Method::PATCH, "/broadcasts/b", patch, &headers).await;
    // A key that is retired has another in its place at once.
    let retired = site.call(ada, Method::DELETE, &format!("/viewer-keys/{first}"), None, &[]).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT);
    let keys = site.get(ada, "/viewer-keys").await.body;
    let in_force = |key: &&Value| key["retired_at"].is_null();
    let items = keys["items"].as_array().expect("a list");
    assert_eq!(items.iter().filter(in_force).count(), 1, "{keys}");
    assert_ne!(given(site.register("b", "try-4", ada_wrote).await).0, token);
}

async fn registrations_are_a_file_for_hosts_and_go_with_the_broadcast(mut site: Site) {
    let cookie = site.admin().await;
    let ada = Who::Cookie(&cookie);
    let path = "/broadcasts/a/registrations.csv";
    let wish = json!({"id": "a", "registration": form(&["town", "former"])});
    site.post(ada, "/broadcasts", wish).await;
    let empty = site.get(ada, path).await;
    assert_eq!(
        (empty.status, empty.text.as_str()),
        (StatusCode::OK, "registered_at,town,former\r\n")
    );
    assert_eq!(empty.header("content-disposition"), "attachment; filename=\"a-registrations.csv\"");
    let formula = json!({"town": "=HYPERLINK(\"x\")", "former": "then"});
    given(site.register("a", "try-1", formula).await);
    let etag = site.get(ada, "/broadcasts/a").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let patch = Some(json!({"registration": form(&["name", "town"])}));
    let set = site.call(ada, Method::PATCH, "/broadcasts/a", patch, &headers).await;
    assert_eq!(set.status, StatusCode::OK);
    // More than are read at once.
    let all = (2..=450).map(|n| {
        let answers = json!({"name": format!("Nr {n}"), "town": "Linz"});
        let site = &site;
        async move { given(site.register("a", &format!("try-{n}"), answers).await) }
    });
    futures::future::join_all(all).await;
    let file = site.get(ada, path).await.text;
    let lines: Vec<_> = file.lines().collect();
    assert_eq!((lines.len(), lines[0]), (451, "registered_at,name,town,former"));
    assert!(lines[1].ends_with(r#"Z,,"'=HYPERLINK(""x"")",then"#), "{}", lines[1]);
    assert!(lines[450].contains(",Nr ") && lines[450].ends_with(",Linz,"), "{}", lines[450]);
    // For hosts and admins alone.
    let bob = site.account(ada, "bob", "host").await;
    let moe = site.account(ada, "moe", "moderator").await;
    for (login, role) in [("bob", "host"), ("moe", "moderator")] {
        let path = format!("/broadcasts/a/members/{login}");
        let set = site.call(ada, Method::PUT, &path, Some(json!({ "role": role })), &[]).await;
        assert_eq!(set.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(site.get(Who::Cookie(&bob), path).await.status, StatusCode::OK);
    assert_eq!(site.get(Who::Cookie(&moe), path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.get(Who::Nobody, path).await.status, StatusCode::UNAUTHORIZED);
    let seen = site.get(ada, "/broadcasts/a").await;
    let key = seen.body["moderator_key"].as_str().expect("a key").to_owned();
    assert_eq!(site.get(Who::Token(&key), path).await.status, StatusCode::UNAUTHORIZED);
    let scopes = |scope: &str| json!({"name": scope, "scopes": [scope]});
    for (scope, status) in
        [("comments:read", StatusCode::OK), ("broadcasts:read", StatusCode::FORBIDDEN)]
    {
        let made = site.post(ada, "/tokens", scopes(scope)).await;
        let token = made.body["token"].as_str().expect("a token").to_owned();
        assert_eq!(site.get(Who::Token(&token), path).await.status, status, "{scope}");
    }
    // What goes with the broadcast is not there for the next of its name.
    let etag = site.get(ada, "/broadcasts/a").await.header("etag").to_owned();
    let headers = [("if-match", etag.as_str())];
    let gone = site.call(ada, Method::DELETE, "/broadcasts/a", None, &headers).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(ada, path).await.status, StatusCode::NOT_FOUND);
    // A restart forgets how lately that was.
    let site = site.restart().await;
    site.post(ada, "/broadcasts", json!({"id": "a", "registration": form(&["town"])})).await;
    assert_eq!(site.get(ada, path).await.text, "registered_at,town\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_answers_and_nothing_else() {
    let mut site = Site::start(None).await;
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let json_type = ("content-type", "application/json");
    // With the cookie, but from a page of somebody else's.
    for from in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let body = Some(json!({"id": "a"}));
        let refused = site.call(ada, Method::POST, "/broadcasts", body, &[from]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{from:?}");
    }
    let check = |body: &'static [u8], expect: StatusCode| (body, expect);
    let huge: &'static [u8] = vec![b' '; 70_000].leak();
    for (body, expect) in [
        check(b"", StatusCode::BAD_REQUEST),
        check(b"{", StatusCode::BAD_REQUEST),
        check(b"{} {}", StatusCode::BAD_REQUEST),
        check(b"\xff\xfe", StatusCode::BAD_REQUEST),
        check(b"[]", StatusCode::UNPROCESSABLE_ENTITY),
        check(b"5", StatusCode::UNPROCESSABLE_ENTITY),
        check(br#"{"title":5}"#, StatusCode::UNPROCESSABLE_ENTITY),
        check(br#"{"titel":"x"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        check(br#"{"id":"a/b"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        check(br#"{"topics":{"a":1}}"#, StatusCode::UNPROCESSABLE_ENTITY),
        check(br#"{"viewers_max":-1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        check(br#"{"starts_at":"tomorrow"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        check(huge, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = site.raw(ada, Method::POST, "/broadcasts", body, &[json_type]).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(answer.status, expect, "{shown}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{shown}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    let answer = site.raw(ada, Method::POST, "/broadcasts", b"id=a", &[form]).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for path in
        ["/broadcasts/a%2Fb", "/broadcasts/%00", "/broadcasts/none", "/accounts/none", "/nowhere"]
    {
        assert_eq!(site.get(ada, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for query in ["limit=0", "limit=201", "limit=x", "state=none", "colour=red"] {
        let answer = site.get(ada, &format!("/broadcasts?{query}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    let answer = site.call(ada, Method::PUT, "/broadcasts", Some(json!({})), &[]).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    // Forged.
    for who in
        [Who::Cookie("lectern_session=forged"), Who::Token("lec_forged"), Who::Token("forged")]
    {
        assert_eq!(site.get(who, "/broadcasts").await.status, StatusCode::UNAUTHORIZED);
    }
    // Guessing is slow, also of a login that nobody has.
    for login in ["ada", "nobody"] {
        let mut last = StatusCode::OK;
        for n in 0..8 {
            let guess = json!({"login": login, "password": format!("guess number {n}")});
            last = site.post(Who::Nobody, "/session", guess).await.status;
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "{login}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pieces_and_in_order() {
    let mut site = Site::start(None).await;
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    for n in 0..7 {
        let at = format!("2030-01-0{}T00:00:00Z", 7 - n);
        let body = json!({"id": format!("b{n}"), "title": format!("Title {n}"), "starts_at": at});
        site.post(ada, "/broadcasts", body).await;
    }
    let mut seen = Vec::new();
    let mut path = "/broadcasts?limit=3&q=title".to_owned();
    loop {
        let piece = site.get(ada, &path).await;
        let items = piece.body["items"].as_array().expect("a list").clone();
        seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        let Some(next) = piece.body["next"].as_str() else { break };
        path = format!("/broadcasts?limit=3&q=title&after={next}");
    }
    assert_eq!(seen, ["b6", "b5", "b4", "b3", "b2", "b1", "b0"], "the soonest first");
}
