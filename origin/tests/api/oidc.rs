//! Signing in at an OpenID provider: with one that behaves, with one that does not, and with those who would
//! like to come in by it without being let in.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jsonwebtoken::Algorithm;
use lectern_origin::oidc;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::provider::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Ill, Provider, Signed};
use super::site::{Answer, Site, Who};

const CONSOLE: &str = "http://localhost:8080/console";
/// Longer than anything takes here that is not silent for good.
const PATIENCE: Duration = Duration::from_secs(2);

/// A site that knows this provider, with this in its configuration.
async fn site(issuer: &str, more: Value) -> Site {
    let mut site = Site::start_with(None, Some(known(issuer, more))).await;
    // Somebody has set it up.
    site.admin().await;
    site
}

fn known(issuer: &str, more: Value) -> Arc<oidc::Provider> {
    let mut config = json!({"issuer": issuer, "client_id": CLIENT_ID, "name": "University",
        "client_secret": CLIENT_SECRET, "console_url": CONSOLE});
    let more = more.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(more);
    let config = serde_json::from_value(config).expect("a configuration");
    Arc::new(oidc::Provider::with_patience(config, Some(PATIENCE)).expect("a provider"))
}

/// A browser, which keeps cookies.
#[derive(Default)]
struct Browser(Map<String, Value>);

impl Browser {
    fn signed_in(cookie: &str) -> Self {
        let mut browser = Self::default();
        browser.keep(cookie);
        browser
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, rest) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a name and a value");
        if rest.contains("Max-Age=0") {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), json!(value));
        }
    }

    fn cookies(&self) -> String {
        let pairs = self.0.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", value.as_str().expect("text")));
        pairs.collect::<Vec<_>>().join("; ")
    }

    async fn go(&mut self, site: &Site, path: &str) -> Answer {
        let answer = site.get(Who::Cookie(&self.cookies()), path).await;
        for cookie in answer.headers("set-cookie") {
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            self.keep(cookie);
        }
        answer
    }

    /// Goes to the provider and signs in there; with what it is sent back.
    async fn away(&mut self, site: &Site, provider: &Provider, path: &str) -> String {
        let sent = self.go(site, path).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
        let back = provider.authorize(sent.header("location"));
        back.strip_prefix("/api/v1").expect("ours").to_owned()
    }

    /// The whole way; where it ends in the console.
    async fn sign_in(&mut self, site: &Site, provider: &Provider) -> String {
        let back = self.away(site, provider, "/oidc/login?to=/settings/account").await;
        end(&self.go(site, &back).await)
    }

    async fn account(&mut self, site: &Site) -> Value {
        self.go(site, "/session").await.body["account"].clone()
    }
}

/// Where in the console an answer sends.
fn end(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let location = answer.header("location");
    let fragment = location.strip_prefix(CONSOLE).and_then(|rest| rest.strip_prefix('#'));
    fragment.unwrap_or_else(|| panic!("{location} is not in the console")).to_owned()
}

/// Fails unless somebody was sent back for this reason.
fn assert_refused(ended: &str, code: &str) {
    assert_eq!(ended, format!("error={code}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_and_comes_back_to_where_they_were() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({"create": true})).await;
    let info = site.get(Who::Nobody, "/info").await;
    assert_eq!(info.body["oidc"], json!({"name": "University"}));
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(&site, &provider).await, "/settings/account");
    let account = browser.account(&site).await;
    assert_eq!((&account["login"], &account["name"]), (&json!("ada.l"), &json!("Ada Lovelace")));
    assert_eq!((&account["role"], &account["oidc"]), (&json!("host"), &json!(true)));
    assert_eq!(account["has_password"], json!(false));
    assert!(account["signed_in_at"].is_string());
    assert!(!browser.0.contains_key("lectern_oidc"), "it is done with");
    let made = browser.go(&site, "/broadcasts").await;
    assert_eq!(made.status, StatusCode::OK);
    // The same person is the same account, whatever they are called there now, and in another browser.
    provider.inner().claims.insert("preferred_username".to_owned(), json!("ada.king"));
    provider.inner().claims.insert("email".to_owned(), json!("king@uni.example"));
    let mut other = Browser::default();
    other.sign_in(&site, &provider).await;
    assert_eq!(other.account(&site).await["id"], account["id"]);
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1, "it is remembered");
    assert_eq!(provider.asked("/keys"), 1, "they are remembered");
    assert_eq!(provider.asked("/userinfo"), 0, "the token has said all");
    // Somebody else is somebody else, whatever they are called.
    provider.inner().claims.insert("sub".to_owned(), json!("other"));
    provider.inner().claims.insert("preferred_username".to_owned(), json!("ADA"));
    let mut third = Browser::default();
    third.sign_in(&site, &provider).await;
    let account = third.account(&site).await;
    assert_eq!(
        account["login"], "king@uni.example",
        "`ada` is the admin, who has nothing to do with it"
    );
    provider.inner().claims.insert("sub".to_owned(), json!("yet another"));
    provider.inner().claims.insert("email".to_owned(), Value::Null);
    provider.inner().userinfo = json!({"sub": "yet another"});
    let mut fourth = Browser::default();
    fourth.sign_in(&site, &provider).await;
    assert_eq!(fourth.account(&site).await["login"], "yet.another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_algorithm_that_only_the_provider_can_sign_with_is_taken() {
    let provider = Provider::start().await;
    provider.with_rsa();
    let site = site(&provider.issuer, json!({"create": true})).await;
    for algorithm in [
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::RS256,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
    ] {
        provider.inner().signed = Signed::As(algorithm);
        let ended = Browser::default().sign_in(&site, &provider).await;
        assert_eq!(ended, "/settings/account", "{algorithm:?}");
    }
    for signed in [Signed::Not, Signed::WithPublicKey, Signed::ByAnother] {
        provider.inner().signed = signed;
        let mut browser = Browser::default();
        let ended = browser.sign_in(&site, &provider).await;
        assert_refused(&ended, "untrusted");
        assert!(!browser.0.contains_key("lectern_session"), "{signed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_somebody_else_or_of_another_time_is_not_taken() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({"create": true})).await;
    for (claim, value) in [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!([CLIENT_ID, "another-client"])),
        ("azp", json!("another-client")),
        ("iss", json!("http://127.0.0.1:1")),
        ("exp", json!(1_000_000_000)),
        ("exp", Value::Null),
        ("iat", json!(100_000_000_000_u64)),
        ("sub", json!("")),
    ] {
        provider.inner().claims = Map::from_iter([(claim.to_owned(), value.clone())]);
        let mut browser = Browser::default();
        let ended = browser.sign_in(&site, &provider).await;
        assert_refused(&ended, "untrusted");
        assert!(!browser.0.contains_key("lectern_session"), "{claim} {value}");
    }
    provider.inner().claims.clear();
    assert_eq!(Browser::default().sign_in(&site, &provider).await, "/settings/account");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_finished_once_and_where_it_was_begun() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({"create": true})).await;
    let mut browser = Browser::default();
    let back = browser.away(&site, &provider, "/oidc/login").await;
    // Somebody is made to follow the link of another: nothing is done, nor spoilt.
    let mut victim = Browser::default();
    assert_refused(&end(&victim.go(&site, &back).await), "not-begun");
    let mut known_elsewhere = Browser::default();
    known_elsewhere.away(&site, &provider, "/oidc/login").await;
    assert_refused(&end(&known_elsewhere.go(&site, &back).await), "not-begun");
    assert!(!victim.0.contains_key("lectern_session"));
    assert_eq!(provider.asked("/token"), 0, "the provider was not even asked");
    // Two tabs of one browser do not disturb each other.
    let second = browser.away(&site, &provider, "/oidc/login?to=/new").await;
    assert_eq!(end(&browser.go(&site, &back).await), "/");
    assert!(browser.0.contains_key("lectern_session"));
    assert_refused(&end(&browser.go(&site, &back).await), "not-begun");
    let mut tab = Browser::default();
    let first = tab.away(&site, &provider, "/oidc/login").await;
    let cookies = tab.cookies();
    tab.away(&site, &provider, "/oidc/login").await;
    assert_eq!(tab.cookies(), cookies, "it is known by the same name");
    assert_eq!(end(&tab.go(&site, &first).await), "/");
    // Whoever finishes one with the cookie of another.
    assert_refused(&end(&tab.go(&site, &second).await), "not-begun");
    for nothing in ["", "?", "?state=", "?code=x", "?state=forged&code=x", "?error=access_denied"] {
        let answer = tab.go(&site, &format!("/oidc/callback{nothing}")).await;
        assert_refused(&end(&answer), "not-begun");
    }
    // The provider gives a token for each code once, and for its own challenge.
    let mut mixed = Browser::default();
    let one = mixed.away(&site, &provider, "/oidc/login").await;
    let other = mixed.away(&site, &provider, "/oidc/login").await;
    let part = |query: &str, name: &str| {
        let url = oauth2::url::Url::parse(&format!("http://a{query}")).expect("a URL");
        let found = url.query_pairs().find(|(found, _)| found == name);
        found.map(|(_, value)| value.into_owned()).expect("there")
    };
    let crossed =
        format!("/oidc/callback?state={}&code={}", part(&one, "state"), part(&other, "code"));
    assert_refused(&end(&mixed.go(&site, &crossed.replace(' ', "%20")).await), "not-begun");
    assert!(CALLBACK.ends_with("/oidc/callback"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_refuses_is_told() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({"create": true})).await;
    for (error, code) in [
        ("access_denied", "access-denied"),
        ("temporarily_unavailable", "provider-away"),
        ("unauthorized_client", "misconfigured"),
        ("login_required", "refused"),
        ("%3Cscript%3E", "refused"),
    ] {
        let mut browser = Browser::default();
        let back = browser.away(&site, &provider, "/oidc/login").await;
        let state = back.split('&').find(|pair| pair.contains("state=")).expect("a state");
        let call = format!("/oidc/callback?{state}&error={error}&error_description=Call%20555");
        let ended = end(&browser.go(&site, &call).await);
        assert_refused(&ended, code);
        assert!(!ended.contains("555") && !ended.contains("script"), "{ended}");
        let again = end(&browser.go(&site, &back).await);
        assert_refused(&again, "not-begun");
    }
    // It names itself, and somebody else answers in its place.
    let about = json!({"authorization_response_iss_parameter_supported": true});
    provider.inner().about = about.as_object().expect("an object").clone();
    let strict = self::site(&provider.issuer, json!({"create": true})).await;
    let mut browser = Browser::default();
    let back = browser.away(&strict, &provider, "/oidc/login").await;
    let other = format!("{back}&iss=http://127.0.0.1:1");
    assert_refused(&end(&browser.go(&strict, &other).await), "misconfigured");
    let back = browser.away(&strict, &provider, "/oidc/login").await;
    assert_eq!(end(&browser.go(&strict, &format!("{back}&iss={}", provider.issuer)).await), "/");
    // Its secret goes where it takes it.
    let about = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    provider.inner().about = about.as_object().expect("an object").clone();
    let post = self::site(&provider.issuer, json!({"create": true})).await;
    assert_eq!(Browser::default().sign_in(&post, &provider).await, "/settings/account");
    let wrong = json!({"create": true, "client_secret": "wrong"});
    let wrong = self::site(&provider.issuer, wrong).await;
    assert_refused(&Browser::default().sign_in(&wrong, &provider).await, "misconfigured");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_or_ill_is_told_of_and_asked_again() {
    // Nobody listens there yet.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    let site = site(&format!("http://{addr}"), json!({"create": true})).await;
    let mut browser = Browser::default();
    let away = browser.go(&site, "/oidc/login").await;
    assert_refused(&end(&away), "provider-away");
    assert_eq!(away.headers("set-cookie").len(), 0);
    let provider = Provider::serve(TcpListener::bind(addr).await.expect("bind again"));
    let discovery = "/.well-known/openid-configuration";
    for ill in [
        Ill::Silent(discovery),
        Ill::Endless(discovery),
        Ill::Redirecting(discovery),
        Ill::Broken(discovery),
    ] {
        provider.inner().ill = ill;
        // What went wrong just before is not asked for again at once.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_refused(&end(&browser.go(&site, "/oidc/login").await), "provider-away");
    }
    provider.inner().ill = Ill::Well;
    provider.inner().about.insert("issuer".to_owned(), json!("http://127.0.0.1:1"));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_refused(&end(&browser.go(&site, "/oidc/login").await), "misconfigured");
    provider.inner().about.clear();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for path in ["/token", "/keys"] {
        for ill in
            [Ill::Silent(path), Ill::Endless(path), Ill::Redirecting(path), Ill::Broken(path)]
        {
            let back = browser.away(&site, &provider, "/oidc/login").await;
            provider.inner().ill = ill;
            let ended = end(&browser.go(&site, &back).await);
            assert_refused(&ended, "provider-away");
            provider.inner().ill = Ill::Well;
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
    }
    assert_eq!(browser.sign_in(&site, &provider).await, "/settings/account");
    assert_eq!(provider.asked("/token/elsewhere") + provider.asked("/keys/elsewhere"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_come_while_it_is_silent_wait_for_one_answer() {
    let provider = Provider::start().await;
    let discovery = "/.well-known/openid-configuration";
    provider.inner().ill = Ill::Silent(discovery);
    let site = site(&provider.issuer, json!({})).await;
    let began = std::time::Instant::now();
    let all = (0..20).map(|_| site.get(Who::Nobody, "/oidc/login"));
    for answer in futures::future::join_all(all).await {
        assert_refused(&end(&answer), "provider-away");
    }
    assert!(began.elapsed() < 2 * PATIENCE, "{:?}", began.elapsed());
    assert_eq!(provider.asked(discovery), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_are_asked_for_when_they_are_needed_and_not_too_often() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({"create": true})).await;
    assert_eq!(Browser::default().sign_in(&site, &provider).await, "/settings/account");
    provider.rotate("second");
    assert_eq!(Browser::default().sign_in(&site, &provider).await, "/settings/account");
    assert_eq!(provider.asked("/keys"), 2);
    provider.inner().signed = Signed::ByAnother;
    for _ in 0..8 {
        assert_refused(&Browser::default().sign_in(&site, &provider).await, "untrusted");
    }
    assert_eq!(provider.asked("/keys"), 1 + 3, "three times, then once a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_is_not_let_in_unless_it_is_wanted() {
    let provider = Provider::start().await;
    let mut site = Site::start_with(None, Some(known(&provider.issuer, json!({})))).await;
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let mut browser = Browser::default();
    let ended = browser.sign_in(&site, &provider).await;
    assert_refused(&ended, "no-account");
    let nobody = json!({"login": "ada@uni.example", "name": "Ada L.", "role": "moderator"});
    let mut unverified = provider.inner().claims.clone();
    unverified.insert("email_verified".to_owned(), json!(false));
    // An account with a password is its owner's, whatever an address says.
    let mut owned = nobody.clone();
    owned["password"] = json!(super::PASSWORD);
    owned["login"] = json!("bob@uni.example");
    assert_eq!(site.post(ada, "/accounts", owned).await.status, StatusCode::CREATED);
    provider.inner().claims.insert("email".to_owned(), json!("bob@uni.example"));
    assert_refused(&browser.sign_in(&site, &provider).await, "no-account");
    // One without waits for whoever has the address, and is theirs from then on.
    provider.inner().claims = unverified;
    assert_eq!(site.post(ada, "/accounts", nobody).await.status, StatusCode::CREATED);
    assert_refused(&browser.sign_in(&site, &provider).await, "no-account");
    provider.inner().claims.clear();
    assert_eq!(browser.sign_in(&site, &provider).await, "/settings/account");
    let account = browser.account(&site).await;
    assert_eq!(
        (&account["login"], &account["role"]),
        (&json!("ada@uni.example"), &json!("moderator"))
    );
    provider.inner().claims.insert("sub".to_owned(), json!("another"));
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "no-account");
    // Who is disabled stays outside.
    let path = format!("/accounts/{}", account["id"].as_str().expect("an id"));
    let etag = site.get(ada, &path).await.header("etag").to_owned();
    let disabled = Some(json!({"disabled": true}));
    let headers = [("if-match", etag.as_str())];
    let set = site.call(ada, axum::http::Method::PATCH, &path, disabled, &headers).await;
    assert_eq!(set.status, StatusCode::OK);
    provider.inner().claims.clear();
    let mut browser = Browser::default();
    assert_refused(&browser.sign_in(&site, &provider).await, "disabled");
    assert!(!browser.0.contains_key("lectern_session"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_come_in_whom_the_configuration_means() {
    let provider = Provider::start().await;
    let policy = json!({"create": true, "domains": ["uni.example"], "claim": "groups",
        "claim_values": ["staff"], "roles": {"lectern-admins": "admin"}});
    let site = site(&provider.issuer, policy).await;
    let say = |claims: Value| {
        provider.inner().claims = claims.as_object().expect("an object").clone();
    };
    say(json!({"groups": ["staff"], "email_verified": false}));
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "not-verified");
    say(json!({"groups": ["staff"], "email": "ada@evil.example"}));
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "not-admitted");
    say(json!({"groups": ["students"]}));
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "not-admitted");
    // Userinfo says what the token leaves out, of the same person.
    say(json!({"email": null, "email_verified": null}));
    let info = |sub: &str| {
        json!({"sub": sub, "email": "ada@uni.example", "email_verified": true,
            "groups": ["staff", "lectern-admins"]})
    };
    provider.inner().userinfo = info("somebody else");
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "untrusted");
    provider.inner().userinfo = info("248289761001");
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(&site, &provider).await, "/settings/account");
    assert_eq!(browser.account(&site).await["role"], "admin");
    // Also those who have been here before.
    say(json!({"groups": []}));
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "not-admitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_before_there_is_an_admin() {
    let provider = Provider::start().await;
    let known = known(&provider.issuer, json!({"create": true}));
    let site = Site::start_with(None, Some(known)).await;
    assert_refused(&Browser::default().sign_in(&site, &provider).await, "setup-needed");
    assert!(site.setup_token().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_in_connects_their_account() {
    let provider = Provider::start().await;
    let mut site = Site::start_with(None, Some(known(&provider.issuer, json!({})))).await;
    let ada = site.admin().await;
    let bob = site.account(Who::Cookie(&ada), "bob", "host").await;
    let path = "/oidc/login?link=1&to=/settings/account";
    assert_refused(&end(&Browser::default().go(&site, path).await), "unauthorized");
    let cookie = [("sec-fetch-site", "cross-site")];
    let crossed = site.call(Who::Cookie(&bob), axum::http::Method::GET, path, None, &cookie).await;
    assert_refused(&end(&crossed), "forbidden");
    let mut browser = Browser::signed_in(&bob);
    let back = browser.away(&site, &provider, path).await;
    // Somebody else has signed in meanwhile.
    browser.keep(&ada);
    assert_refused(&end(&browser.go(&site, &back).await), "other-account");
    browser.keep(&bob);
    let back = browser.away(&site, &provider, path).await;
    assert_eq!(end(&browser.go(&site, &back).await), "/settings/account");
    let account = browser.account(&site).await;
    assert_eq!((&account["login"], &account["oidc"]), (&json!("bob"), &json!(true)));
    assert_eq!(account["has_password"], json!(true), "that stays good");
    // From now on they come in so, from anywhere; and nobody else connects with the same.
    let mut elsewhere = Browser::default();
    assert_eq!(elsewhere.sign_in(&site, &provider).await, "/settings/account");
    assert_eq!(elsewhere.account(&site).await["id"], account["id"]);
    let mut other = Browser::signed_in(&ada);
    let back = other.away(&site, &provider, path).await;
    assert_refused(&end(&other.go(&site, &back).await), "linked-elsewhere");
    assert_eq!(other.account(&site).await["oidc"], json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_never_leaves_the_console() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({"create": true})).await;
    for (to, expect) in [
        ("/broadcasts/algebra-1/live", "/broadcasts/algebra-1/live"),
        ("%2Fbroadcasts%2Falgebra-1", "/broadcasts/algebra-1"),
        ("%2Fbroadcasts%2F%25C3%25A4", "/broadcasts/%C3%A4"),
        ("", "/"),
        ("//evil.example", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%5Cevil.example", "/"),
        ("%2F%5Cevil.example", "/"),
        ("https://evil.example", "/"),
        ("https:evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a%0d%0aSet-Cookie:%20a=b", "/"),
        ("/%00", "/"),
        ("/%252F%252Fevil.example", "/"),
        ("%23error=call", "/"),
        ("@evil.example", "/"),
    ] {
        let mut browser = Browser::default();
        let back = browser.away(&site, &provider, &format!("/oidc/login?to={to}")).await;
        assert_eq!(end(&browser.go(&site, &back).await), expect, "{to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_departs_so_often_and_without_a_provider_nobody_does() {
    let provider = Provider::start().await;
    let site = site(&provider.issuer, json!({})).await;
    let mut last = StatusCode::OK;
    for _ in 0..70 {
        last = site.get(Who::Nobody, "/oidc/login").await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert!(site.sign_in("ada", super::PASSWORD).await.contains("lectern_session"));
    let without = Site::start(None).await;
    assert_eq!(without.get(Who::Nobody, "/info").await.body["oidc"], Value::Null);
    for path in ["/oidc/login", "/oidc/callback?state=a&code=b"] {
        assert_eq!(without.get(Who::Nobody, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
