//! What a provider says of itself (OpenID Connect Discovery 1.0 §3, §4). Pure.

use oauth2::url::Url;
use serde::Deserialize;

use super::Error;
use super::config::{Config, address};

/// What is behind the issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// What is needed of it.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// Where browsers are sent.
    pub(super) authorization: Url,
    /// Where codes are changed for tokens.
    pub(super) token: Url,
    /// Where its keys are.
    pub(super) keys: String,
    /// Where more is told of people.
    pub(super) userinfo: Option<String>,
    /// How this origin says who it is.
    pub(super) authentication: Authentication,
    issuer: String,
    /// Whether browsers come back with its name (RFC 9207).
    names_itself: bool,
}

/// Where a client's secret stands in a request for tokens (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    Header,
    Body,
}

#[derive(Deserialize)]
struct Written {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where `issuer` describes itself.
pub(super) fn url(issuer: &str) -> String {
    format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer))
}

impl Metadata {
    /// Reads what the provider says of itself, if it is who it is expected to be.
    pub(super) fn read(body: &[u8], config: &Config) -> Result<Self, Error> {
        let written: Written = serde_json::from_slice(body)
            .map_err(|error| Error::Away(format!("it does not describe itself: {error}")))?;
        if written.issuer != config.issuer {
            let why = format!("issuer is {:?}, and it is {:?}", config.issuer, written.issuer);
            return Err(Error::Unfit(why));
        }
        let at = |name: &str, url: &str| {
            address(url).map_err(|why| Error::Unfit(format!("its {name} is {url:?}: {why}")))
        };
        let methods = written.code_challenge_methods_supported;
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(Error::Unfit("it knows nothing of PKCE with S256".to_owned()));
        }
        let ways = written.token_endpoint_auth_methods_supported;
        // Without a word about it, it is in the header.
        let ways = ways.unwrap_or_else(|| vec!["client_secret_basic".to_owned()]);
        let takes = |way: &str| ways.iter().any(|known| known == way);
        let authentication = match config.client_secret {
            Some(_) if takes("client_secret_basic") => Authentication::Header,
            Some(_) if takes("client_secret_post") => Authentication::Body,
            Some(_) => {
                return Err(Error::Unfit(format!("it takes no secret, but {}", ways.join(", "))));
            }
            None => Authentication::Body,
        };
        let userinfo = written.userinfo_endpoint.as_deref();
        let userinfo = userinfo.map(|url| at("userinfo_endpoint", url)).transpose()?;
        Ok(Self {
            authorization: at("authorization_endpoint", &written.authorization_endpoint)?,
            token: at("token_endpoint", &written.token_endpoint)?,
            keys: at("jwks_uri", &written.jwks_uri)?.into(),
            userinfo: userinfo.map(String::from),
            authentication,
            issuer: written.issuer,
            names_itself: written.authorization_response_iss_parameter_supported,
        })
    }

    /// Refuses a browser that was sent back by another provider (RFC 9207 §2.4).
    pub(super) fn check_sender(&self, iss: Option<&str>) -> Result<(), Error> {
        match iss {
            Some(iss) if iss == self.issuer => Ok(()),
            None if !self.names_itself => Ok(()),
            _ => Err(Error::Unfit("somebody came back from another provider".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::config::tests::config;
    use super::*;

    fn read(secret: bool, more: Value) -> Result<Metadata, Error> {
        let mut all = json!({
            "issuer": "https://idp.example/realms/uni",
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/keys",
            "something_else": {},
        });
        let more = more.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(more);
        let config = if secret { json!({}) } else { json!({"client_secret": null}) };
        let config = self::config(config).expect("a configuration");
        Metadata::read(all.to_string().as_bytes(), &config)
    }

    #[test]
    fn a_provider_is_who_it_is_expected_to_be() {
        assert_eq!(url("https://a.example"), url("https://a.example/"));
        let metadata = read(true, json!({})).expect("valid");
        assert_eq!(metadata.authentication, Authentication::Header);
        assert!(metadata.check_sender(None).is_ok());
        assert!(metadata.check_sender(Some("https://idp.example/realms/uni")).is_ok());
        assert!(metadata.check_sender(Some("https://evil.example")).is_err());
        let strict = json!({"authorization_response_iss_parameter_supported": true});
        assert!(read(true, strict).expect("valid").check_sender(None).is_err());
        let post = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
        assert_eq!(read(true, post).expect("valid").authentication, Authentication::Body);
        for wrong in [
            json!({"issuer": "https://idp.example/realms/uni/"}),
            json!({"issuer": "https://evil.example"}),
            json!({"jwks_uri": "http://idp.example/keys"}),
            json!({"token_endpoint": "file:///etc/passwd"}),
            json!({"authorization_endpoint": "javascript:alert(1)"}),
            json!({"userinfo_endpoint": "http://idp.example"}),
            json!({"jwks_uri": null}),
            json!({"code_challenge_methods_supported": ["plain"]}),
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
        ] {
            assert!(read(true, wrong.clone()).is_err(), "{wrong}");
        }
        let only = json!({"token_endpoint_auth_methods_supported": ["none"]});
        assert!(read(false, only).is_ok(), "a public client has nothing to show");
    }
}
