//! Who of those that a provider vouches for is let in, and what they are called here. Pure.

use serde_json::Value;

use super::config::{Admission, Config};
use super::token::Claims;
use crate::control::records::{Login, Name, Role};

/// Characters of a login that is made: some are left to tell it from others.
const LOGIN_CHARS_MAX: usize = 100;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 120;

/// Somebody who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Issuer and subject: who they are, whatever they are called.
    pub subject: String,
    /// Their address for mail, if the provider has verified it.
    pub mail: Option<Login>,
    /// What they could sign in with, best first; at least one.
    pub logins: Vec<Login>,
    /// What they are called.
    pub name: Name,
    /// What they may do in a new account.
    pub role: Role,
}

/// Why somebody is not let in, for the log: the console has words of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Nobody knows whether their address is theirs.
    #[error(
        "only people with a verified address of {0} may sign in here, and {1} does not say that yours \
         is. Ask an admin"
    )]
    NotVerified(String, String),
    /// Their address is elsewhere.
    #[error("only people with an address of {0} may sign in here. Ask an admin")]
    Domain(String),
    /// They are not in a group, or whatever the claim is about.
    #[error("your account there is not among those that may sign in here. Ask an admin")]
    Claim,
}

impl Admission {
    /// Whether a token leaves open what the userinfo endpoint may say.
    pub(super) fn lacks_something(&self, claims: &Claims) -> bool {
        let claim = self.claim.as_deref();
        text(claims, "email").is_none()
            || !NAMES.iter().any(|name| text(claims, name).is_some())
            || claim.is_some_and(|claim| find(claims, claim).is_none())
    }
}

/// What somebody may be called by, best first.
const NAMES: [&str; 4] = ["name", "given_name", "preferred_username", "email"];

/// Lets in the person of whom this is said, or says why not.
pub(super) fn admit(config: &Config, claims: &Claims) -> Result<Person, NotAdmitted> {
    let Admission { domains, claim, claim_values, roles, role, .. } = &config.admission;
    let mail = text(claims, "email").filter(|_| is_verified(claims));
    if !domains.is_empty() {
        let wanted = || domains.join(", ");
        let mail = mail
            .ok_or_else(|| NotAdmitted::NotVerified(wanted(), config.name.as_str().to_owned()))?;
        let domain = mail.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        if !domain.is_some_and(|domain| domains.contains(&domain)) {
            return Err(NotAdmitted::Domain(wanted()));
        }
    }
    let values =
        claim.as_deref().and_then(|claim| find(claims, claim)).map_or_else(Vec::new, words);
    if !claim_values.is_empty()
        && !values.iter().any(|value| claim_values.iter().any(|wanted| wanted == value))
    {
        return Err(NotAdmitted::Claim);
    }
    // The first of them may do most.
    let given = values.iter().filter_map(|value| roles.get(*value)).min();
    let subject = text(claims, "sub").unwrap_or_default();
    let logins: Vec<_> = ["preferred_username", "email", "sub"]
        .iter()
        .filter_map(|name| login(text(claims, name)?))
        .collect();
    Ok(Person {
        subject: format!("{} {subject}", config.issuer),
        mail: mail.and_then(|mail| Login::try_from(mail.to_owned()).ok()),
        name: name(claims, &logins),
        logins,
        role: given.copied().unwrap_or(*role),
    })
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Some write it as a word.
fn is_verified(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(word)) => word == "true",
        _ => false,
    }
}

/// A claim by its name, or else by the way to it, such as `realm_access.roles`.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })
}

fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn login(text: &str) -> Option<Login> {
    let fitting = text.chars().filter(|c| !c.is_control());
    let fitting = fitting.map(|c| if c.is_whitespace() { '.' } else { c });
    let login: String = fitting.take(LOGIN_CHARS_MAX).collect();
    Login::try_from(login).ok()
}

fn name(claims: &Claims, logins: &[Login]) -> Name {
    let full = text(claims, "name").map(str::to_owned).or_else(|| {
        let parts = ["given_name", "family_name"].map(|name| text(claims, name));
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        Some(parts.join(" ")).filter(|full| !full.is_empty())
    });
    let login = logins.first().map(|login| login.as_str().to_owned());
    let fitting = |text: String| {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().take(NAME_CHARS_MAX).collect();
        Name::try_from(text.trim().to_owned()).ok()
    };
    let name = [full, login].into_iter().flatten().find_map(fitting);
    name.unwrap_or_else(|| Name::try_from("?".to_owned()).expect("a character"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::config::tests::config;
    use super::*;

    fn admit(policy: Value, claims: Value) -> Result<Person, NotAdmitted> {
        let config = config(policy).expect("a configuration");
        let mut all = json!({"sub": "248289761001", "preferred_username": "Ada"});
        let claims = claims.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(claims);
        super::admit(&config, all.as_object().expect("an object"))
    }

    #[test]
    fn only_verified_addresses_of_the_right_domain_come_in() {
        let policy = json!({"domains": ["Uni.example"]});
        let verified = |mail: &str| json!({"email": mail, "email_verified": true});
        for fine in [
            verified("ada@uni.example"),
            verified("ada@UNI.example"),
            json!({"email": "ada@uni.example", "email_verified": "true"}),
        ] {
            assert!(admit(policy.clone(), fine.clone()).is_ok(), "{fine}");
        }
        for wrong in [
            verified("ada@evil.example"),
            verified("ada@sub.uni.example"),
            verified("ada@notuni.example"),
            verified("ada@uni.example@evil.example"),
            verified("uni.example"),
            json!({"email": "ada@uni.example"}),
            json!({"email": "ada@uni.example", "email_verified": false}),
            json!({"email": "ada@uni.example", "email_verified": 1}),
            json!({"email_verified": true}),
            json!({"email": ["ada@uni.example"], "email_verified": true}),
        ] {
            assert!(admit(policy.clone(), wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_claim_lets_in_and_says_what_one_may_do() {
        let policy = json!({"claim": "groups", "claim_values": ["staff", "admins"],
            "roles": {"admins": "admin", "tutors": "moderator"}, "role": "moderator"});
        let role = |groups: Value| {
            admit(policy.clone(), json!({"groups": groups})).map(|person| person.role)
        };
        assert_eq!(role(json!(["x", "staff"])), Ok(Role::Moderator));
        assert_eq!(role(json!("staff")), Ok(Role::Moderator));
        assert_eq!(role(json!(["tutors", "admins"])), Ok(Role::Admin));
        for wrong in [json!([]), json!(["x"]), json!("staff admins"), json!({"staff": 1}), json!(5)]
        {
            assert_eq!(role(wrong.clone()), Err(NotAdmitted::Claim), "{wrong}");
        }
        let policy = json!({"claim": "realm_access.roles", "claim_values": ["staff"]});
        assert!(admit(policy.clone(), json!({"realm_access": {"roles": ["staff"]}})).is_ok());
        assert!(admit(policy.clone(), json!({"realm_access.roles": ["staff"]})).is_ok());
        assert!(admit(policy, json!({"realm_access": ["staff"]})).is_err());
    }

    #[test]
    fn names_and_logins_fit_whatever_is_said() {
        let person = |claims: Value| admit(json!({}), claims).expect("let in");
        let ada = person(json!({"name": "Ada\r\nLovelace", "email": "Ada@Uni.example"}));
        assert_eq!(ada.name.as_str(), "Ada Lovelace");
        let logins: Vec<_> = ada.logins.iter().map(Login::as_str).collect();
        assert_eq!(logins, ["ada", "ada@uni.example", "248289761001"]);
        assert_eq!((ada.mail, ada.role), (None, Role::Host));
        assert_eq!(ada.subject, "https://idp.example/realms/uni 248289761001");
        let parts = person(json!({"given_name": "Ada", "family_name": "Lovelace"}));
        assert_eq!(parts.name.as_str(), "Ada Lovelace");
        let odd = person(json!({"name": "\u{1}", "preferred_username": "A da\u{0}\n Love"}));
        assert_eq!((odd.name.as_str(), odd.logins[0].as_str()), ("a.da.love", "a.da.love"));
        let long = person(json!({"name": "é".repeat(500), "preferred_username": "é".repeat(500)}));
        assert_eq!(long.name.as_str().chars().count(), NAME_CHARS_MAX);
        assert_eq!(long.logins[0].as_str().chars().count(), LOGIN_CHARS_MAX);
        let known = person(json!({"email": "Ada@uni.example", "email_verified": true}));
        assert_eq!(known.mail.expect("verified").as_str(), "ada@uni.example");
        let nameless = person(json!({"preferred_username": 5, "name": {}}));
        assert_eq!(nameless.name.as_str(), "248289761001");
    }
}
