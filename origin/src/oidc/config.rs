//! `[origin.oidc]`: who vouches for people, and whom of them this origin lets in. Pure.

use std::collections::BTreeMap;

use oauth2::url::{Host, Url};
use serde::Deserialize;

use crate::config::Secret;
use crate::control::records::{Name, Role};

/// Where the provider sends browsers back to, on the host of the console.
const CALLBACK: &str = "/api/v1/oidc/callback";
/// Entries of each list; nobody has more, and each is looked at when somebody signs in.
const LIST_MAX: usize = 100;
/// Characters of what is sent to the provider with each sign-in.
const CHARS_MAX: usize = 512;

/// The provider, and what it is believed.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Config {
    /// The provider, exactly as it calls itself.
    pub issuer: String,
    /// What this origin is called there.
    pub client_id: String,
    /// What it is known by there; none for a public client.
    pub client_secret: Option<Secret>,
    /// What people call the provider.
    pub name: Name,
    /// Where browsers find the console.
    pub console_url: Url,
    /// What of people is asked for.
    pub scopes: Vec<String>,
    /// Whom of those that the provider knows it is for.
    pub admission: Admission,
}

/// Who may come in, of those that the provider vouches for.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Whether somebody without an account is given one.
    pub create: bool,
    /// What they may do then, unless [`Self::roles`] says otherwise.
    pub role: Role,
    /// Domains of verified addresses for mail, in lower case; any, if empty.
    pub domains: Vec<String>,
    /// Which claim says what somebody is, such as `groups`.
    pub claim: Option<String>,
    /// One of these must be in it; anything, if empty.
    pub claim_values: Vec<String>,
    /// What a value in it makes of a new account; of several, that which may do most.
    pub roles: BTreeMap<String, Role>,
}

/// As the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The OpenID provider, exactly as it calls itself: `https://idp.example/realms/uni`.
    issuer: String,
    /// What this origin is called there.
    client_id: String,
    /// What it is known by there; none for a public client.
    client_secret: Option<Secret>,
    /// What people call the provider.
    name: Name,
    /// Where browsers find the console; the provider must know `/api/v1/oidc/callback` on its host.
    console_url: String,
    /// What of people is asked for: `openid`, `profile` and `email`, unless something else is said.
    #[serde(default = "scopes_default")]
    scopes: Vec<String>,
    /// Whether who has no account is given one.
    #[serde(default)]
    create: bool,
    /// What they may do then: `host`, `moderator` or `admin`; `host`, unless something else is said.
    #[serde(default = "role_default")]
    role: Role,
    /// Domains of verified addresses for mail, of which theirs has to be one; any, if there are none.
    #[serde(default)]
    domains: Vec<String>,
    /// Which claim says what somebody is, such as `groups`, or the way to it with dots.
    claim: Option<String>,
    /// One of these must be in it; anything, if there are none.
    #[serde(default)]
    claim_values: Vec<String>,
    /// What a value in it makes of a new account; of several, that which may do most.
    #[serde(default)]
    roles: BTreeMap<String, Role>,
}

fn scopes_default() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn role_default() -> Role {
    Role::Host
}

impl Config {
    /// Where the provider sends browsers back to: it must know this address.
    pub fn redirect_uri(&self) -> Url {
        let mut url = self.console_url.clone();
        url.set_path(CALLBACK);
        url
    }

    /// Whether browsers come over TLS.
    pub fn is_secure(&self) -> bool {
        self.console_url.scheme() == "https"
    }
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let issuer = address(&written.issuer).map_err(|why| format!("issuer: {why}"))?;
        if issuer.query().is_some() || written.issuer.trim() != written.issuer {
            return Err("issuer: it is an address without ? and #, and without spaces".to_owned());
        }
        let console_url =
            address(&written.console_url).map_err(|why| format!("console_url: {why}"))?;
        if console_url.query().is_some() {
            let why = "it is an address without ? and #, such as https://origin.example/console";
            return Err(format!("console_url: {why}"));
        }
        is_word(&written.client_id).map_err(|why| format!("client_id: {why}"))?;
        if written.client_secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return Err("client_secret: leave it out for a public client".to_owned());
        }
        for scope in &written.scopes {
            is_word(scope).map_err(|why| format!("scopes: {why}"))?;
        }
        if !written.scopes.iter().any(|scope| scope == "openid") {
            return Err("scopes: `openid` is among them, or it is no OpenID Connect".to_owned());
        }
        let lists = [
            ("scopes", written.scopes.len()),
            ("domains", written.domains.len()),
            ("claim_values", written.claim_values.len()),
            ("roles", written.roles.len()),
        ];
        if let Some((list, _)) = lists.iter().find(|(_, len)| *len > LIST_MAX) {
            return Err(format!("{list}: at most {LIST_MAX}"));
        }
        let domains: Vec<_> = written.domains.iter().map(|domain| domain.to_lowercase()).collect();
        let is_domain = |domain: &String| {
            !domain.is_empty() && !domain.contains(|c: char| c == '@' || c.is_whitespace())
        };
        if !domains.iter().all(is_domain) {
            return Err("domains: each is what stands behind the @, such as uni.example".to_owned());
        }
        match (&written.claim, written.claim_values.is_empty() && written.roles.is_empty()) {
            (Some(_), true) => return Err("claim: claim_values or roles say what is in it".into()),
            (None, false) => {
                return Err("claim: claim_values and roles need the claim they are in".into());
            }
            (Some(_), false) | (None, true) => {}
        }
        Ok(Self {
            issuer: written.issuer,
            client_id: written.client_id,
            client_secret: written.client_secret,
            name: written.name,
            console_url,
            scopes: written.scopes,
            admission: Admission {
                create: written.create,
                role: written.role,
                domains,
                claim: written.claim,
                claim_values: written.claim_values,
                roles: written.roles,
            },
        })
    }
}

/// An address that nobody between here and there can change: of TLS, or of this machine.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        _ => return Err("it begins with https://, or with http:// on this machine".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("it has no user and no # in it".to_owned());
    }
    Ok(url)
}

/// RFC 6749 appendix A, but for the space.
fn is_word(text: &str) -> Result<(), String> {
    let fits = (1..=CHARS_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits { Ok(()) } else { Err(format!("1 to {CHARS_MAX} ASCII characters without spaces")) }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A configuration with this in it.
    pub(crate) fn config(more: Value) -> Result<Config, serde_json::Error> {
        let mut all = json!({
            "issuer": "https://idp.example/realms/uni",
            "client_id": "lectern",
            "client_secret": "s3cret",
            "name": "University",
            "console_url": "https://origin.example/console",
        });
        let more = more.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(more);
        serde_json::from_value(all)
    }

    #[test]
    fn what_is_not_said_is_careful() {
        let config = config(json!({})).expect("valid");
        assert_eq!(config.redirect_uri().as_str(), "https://origin.example/api/v1/oidc/callback");
        assert_eq!(config.scopes, ["openid", "profile", "email"]);
        assert!(!config.admission.create && config.is_secure());
        assert_eq!(config.admission.role, Role::Host);
        assert!(!format!("{config:?}").contains("s3cret"), "no log shows it");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |more: Value, expect: &str| {
            let error = config(more).expect_err(expect).to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(json!({"issuer": "http://idp.example"}), "issuer: it begins with https://");
        check(json!({"issuer": "idp.example"}), "issuer: ");
        check(json!({"issuer": "https://idp.example?a"}), "issuer: it is an address");
        check(json!({"issuer": "https://a:b@idp.example"}), "issuer: it has no user");
        check(json!({"console_url": "http://origin.example/console"}), "console_url: it begins");
        check(json!({"console_url": "https://origin.example/#/"}), "console_url: it has no user");
        check(json!({"client_id": ""}), "client_id: 1 to");
        check(json!({"client_secret": ""}), "client_secret: leave it out");
        check(json!({"scopes": ["email"]}), "scopes: `openid`");
        check(json!({"scopes": ["openid email"]}), "scopes: 1 to");
        check(json!({"domains": ["@uni.example"]}), "domains: each is");
        check(json!({"claim": "groups"}), "claim: claim_values or roles");
        check(json!({"roles": {"a": "admin"}}), "claim: claim_values and roles need");
        check(json!({"role": "king"}), "king");
        check(json!({"secret": "x"}), "unknown field `secret`");
        check(json!({"domains": vec!["a.example"; 101]}), "domains: at most 100");
        for console_url in ["http://localhost:8080/console", "http://[::1]/console"] {
            assert!(!config(json!({"console_url": console_url})).expect("valid").is_secure());
        }
    }
}
