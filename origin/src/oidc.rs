//! Signing in with OpenID Connect: authorization code with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636). What
//! is kept of somebody who is away at the provider is [`attempts`]'; what the provider says of itself
//! [`metadata`]'s, and of a person [`token`]'s; who of them is let in is [`admission`]'s, all pure. Here is who
//! asks the provider, and what is remembered of its answers. Accounts and sessions are the API's.

mod admission;
mod ask;
mod attempts;
mod config;
mod metadata;
mod token;
mod way_back;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::bucket::{Bucket, Rate};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse as _,
    TokenUrl,
};
use serde::{Deserialize, Serialize};

pub use self::admission::{NotAdmitted, Person};
use self::ask::Asker;
use self::attempts::{Attempt, Attempts};
pub use self::config::{Admission, Config};
use self::metadata::{Authentication, Metadata};
use self::token::{Claims, Expected, Keys, Untrusted};
use crate::control::secret;

/// For how long what the provider says of itself, and its keys, are believed without asking again.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// All who waited for an answer that did not come are told so at once, and the next asks again.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// How often keys are fetched anew because a token is signed with one that nobody knows.
const KEYS_ANEW: Rate = Rate { burst: 3, each: Duration::from_secs(60) };

/// For how long a browser may be away at the provider.
pub const AWAY_MAX: Duration = attempts::AWAY_MAX;

/// The provider, as far as it is known.
pub struct Provider {
    config: Config,
    asker: Asker,
    attempts: Mutex<Attempts>,
    /// Held by whoever asks, so that the others need not.
    known: tokio::sync::Mutex<Known>,
}

struct Known {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<Keys>)>,
    failed: Option<(Instant, Error)>,
    anew: Bucket,
}

/// Somebody is on their way to the provider.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What it is known by when it comes back.
    pub browser: String,
}

/// Somebody came back whom the provider vouches for, and who may come in.
#[derive(Debug)]
pub struct Finished {
    /// Who it is.
    pub person: Person,
    /// Where in the console they were going.
    pub to: String,
    /// The account that they want to sign in to in this way from now on.
    pub link: Option<String>,
}

/// With what a browser comes back (RFC 6749 §4.1.2, RFC 9207).
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CameBack {
    /// What the sign-in is known by.
    state: Option<String>,
    /// What tokens are given for.
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The same for those who look for the reason.
    error_description: Option<String>,
    /// The provider.
    iss: Option<String>,
}

/// Why nobody is signed in. Its text is for the log; people are told by [`Error::code`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The provider does not answer, or with what is of no use.
    #[error("the OpenID provider does not answer as it should: {0}")]
    Away(String),
    /// The provider and the configuration do not fit together.
    #[error("the OpenID provider and origin.oidc do not fit together: {0}")]
    Unfit(String),
    /// The browser did not begin this, or too long ago, or has come back already.
    #[error("a sign-in was finished that was not begun in this browser, or too long ago")]
    NotBegun,
    /// The provider did not let them in.
    #[error("the OpenID provider refused somebody: {0:?}")]
    Refused(String),
    /// The code was of no use to the provider that had given it.
    #[error("the OpenID provider takes back its code")]
    Stale,
    /// What it says cannot be believed.
    #[error("the OpenID provider's token is not good: {0}")]
    Untrusted(#[from] Untrusted),
    /// This origin does not let them in.
    #[error("somebody is not let in: {0}")]
    NotAdmitted(#[from] NotAdmitted),
}

impl Error {
    /// The same in a word that stays, by which the console tells whoever wanted to sign in.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Away(_) => "provider-away",
            Self::Unfit(_) => "misconfigured",
            Self::NotBegun | Self::Stale => "not-begun",
            Self::Refused(code) if code == "access_denied" => "access-denied",
            Self::Refused(_) => "refused",
            Self::Untrusted(_) => "untrusted",
            Self::NotAdmitted(NotAdmitted::NotVerified(..)) => "not-verified",
            Self::NotAdmitted(_) => "not-admitted",
        }
    }
}

/// The answer of the token endpoint has this besides (OpenID Connect Core §3.1.3.3).
#[derive(Debug, Deserialize, Serialize)]
struct IdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl Provider {
    /// The provider that is set up so. It is asked when somebody signs in.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::with_patience(config, None)
    }

    /// The same, which is given so long for each answer; without, as long as all servers of others.
    pub fn with_patience(config: Config, patience: Option<Duration>) -> Result<Self, Error> {
        let asker = Asker::new(patience)?;
        let known = Known {
            metadata: None,
            keys: None,
            failed: None,
            anew: Bucket::full(&KEYS_ANEW, Instant::now()),
        };
        Ok(Self { config, asker, attempts: Mutex::default(), known: known.into() })
    }

    /// How it is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Asks the provider who it is, and says in the log what is wrong with it.
    pub async fn look(&self) {
        match self.metadata().await {
            Ok(_) => tracing::info!(issuer = %self.config.issuer, "the OpenID provider is there"),
            Err(error) => tracing::warn!(%error, "nobody can sign in with OpenID Connect yet"),
        }
    }

    /// Sends somebody at `client` to the provider, who comes back to `to` in the console; `link` is the account
    /// of whoever wants to sign in to it so from now on. A browser that is known already has `browser`.
    pub async fn begin(
        &self,
        to: Option<&str>,
        link: Option<String>,
        browser: Option<&str>,
        client: IpAddr,
    ) -> Result<Begun, Error> {
        let metadata = self.metadata().await?;
        let oauth = self.client(&metadata)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (state, nonce) = (secret::generate(""), secret::generate(""));
        let scopes = self.config.scopes.iter().map(|scope| Scope::new(scope.clone()));
        let (url, _) = oauth
            .authorize_url(|| CsrfToken::new(state.clone()))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .add_extra_param("nonce", nonce.clone())
            .url();
        let now = Instant::now();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        // Two tabs of a browser are known by one name.
        let known = browser.filter(|browser| attempts.knows(browser, now));
        let browser = known.map_or_else(|| secret::generate(""), str::to_owned);
        let verifier = verifier.into_secret();
        let attempt = Attempt { nonce, verifier, to: way_back::checked(to), link };
        attempts.add(&state, &browser, client, attempt, now);
        Ok(Begun { url: url.into(), browser })
    }

    /// Finishes what `browser` began.
    pub async fn finish(&self, answer: CameBack, browser: Option<&str>) -> Result<Finished, Error> {
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let state = answer.state.as_deref().unwrap_or_default();
            attempts.take(state, browser.unwrap_or_default(), Instant::now())
        };
        let attempt = attempt.ok_or(Error::NotBegun)?;
        if let Some(code) = answer.error {
            let said = answer.error_description.unwrap_or_default();
            tracing::debug!(?code, ?said, "the OpenID provider did not let somebody in");
            return Err(refusal(code));
        }
        let metadata = self.metadata().await?;
        metadata.check_sender(answer.iss.as_deref())?;
        let code = answer.code.ok_or_else(|| Error::Away("it sent no code".to_owned()))?;
        let tokens = self.exchange(&metadata, code, attempt.verifier).await?;
        let id_token = &tokens.extra_fields().id_token;
        let id_token = id_token.as_deref().ok_or_else(|| {
            Error::Unfit("it gave no ID token: is `openid` among the scopes?".to_owned())
        })?;
        let mut claims = self.check(&metadata, id_token, &attempt.nonce).await?;
        if let Some(more) = metadata.userinfo.as_deref()
            && self.config.admission.lacks_something(&claims)
        {
            let more = self.asker.get(more, Some(tokens.access_token().secret())).await?;
            token::add_userinfo(&mut claims, &more)?;
        }
        let person = admission::admit(&self.config, &claims)?;
        Ok(Finished { person, to: attempt.to, link: attempt.link })
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: String,
        verifier: String,
    ) -> Result<Tokens, Error> {
        let client = self.client(metadata)?;
        let exchange = client.exchange_code(AuthorizationCode::new(code));
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        exchange.request_async(&self.asker).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => match said.error() {
                BasicErrorResponseType::InvalidGrant => Error::Stale,
                _ => Error::Unfit(format!("it refused to give a token: {:?}", said.to_string())),
            },
            RequestTokenError::Request(error) => error,
            // What could not be read may have tokens in it.
            error => Error::Away(format!("the token endpoint: {error}")),
        })
    }

    /// What an ID token says, once it is certain who says so.
    async fn check(
        &self,
        metadata: &Metadata,
        id_token: &str,
        nonce: &str,
    ) -> Result<Claims, Error> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let (issuer, client_id) = (self.config.issuer.as_str(), self.config.client_id.as_str());
        let now_secs = now.unwrap_or_default().as_secs();
        let expected = Expected { issuer, client_id, nonce, now_secs };
        let keys = self.keys(metadata, None).await?;
        let checked = token::check(id_token, &keys, &expected);
        // It may sign with a key that it did not have when it was asked.
        if let Err(Untrusted::NoKey | Untrusted::Signature) = checked {
            let newer = self.keys(metadata, Some(&keys)).await?;
            if !Arc::ptr_eq(&newer, &keys) {
                return Ok(token::check(id_token, &newer, &expected)?);
            }
        }
        Ok(checked?)
    }

    fn client(&self, metadata: &Metadata) -> Result<Client, Error> {
        let Config { client_id, client_secret, .. } = &self.config;
        let auth_type = match metadata.authentication {
            Authentication::Header => AuthType::BasicAuth,
            Authentication::Body => AuthType::RequestBody,
        };
        let client = oauth2::Client::new(ClientId::new(client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token.clone()))
            .set_redirect_uri(RedirectUrl::from_url(self.config.redirect_uri()))
            .set_auth_type(auth_type);
        Ok(match client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
            None => client,
        })
    }

    /// What the provider says of itself.
    async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        let mut known = self.known.lock().await;
        let now = Instant::now();
        if let Some((since, metadata)) = &known.metadata
            && now.duration_since(*since) < KNOWN_FOR
        {
            return Ok(metadata.clone());
        }
        known.has_not_failed(now)?;
        let url = metadata::url(&self.config.issuer);
        let read = match self.asker.get(&url, None).await {
            Ok(body) => Metadata::read(&body, &self.config),
            Err(error) => Err(error),
        };
        let metadata = Arc::new(known.note(read)?);
        known.metadata = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    /// Its keys; others than `but`, if it has other ones and was not asked for them too often.
    async fn keys(&self, metadata: &Metadata, but: Option<&Arc<Keys>>) -> Result<Arc<Keys>, Error> {
        let mut known = self.known.lock().await;
        let now = Instant::now();
        if let Some((since, keys)) = &known.keys
            && now.duration_since(*since) < KNOWN_FOR
        {
            let keys = keys.clone();
            let wanted = but.is_some_and(|but| Arc::ptr_eq(but, &keys));
            if !wanted || known.anew.ready(&KEYS_ANEW, now).is_err() {
                return Ok(keys);
            }
            known.anew.take();
        }
        known.has_not_failed(now)?;
        let read = match self.asker.get(&metadata.keys, None).await {
            Ok(body) => Keys::read(&body),
            Err(error) => Err(error),
        };
        let keys = Arc::new(known.note(read)?);
        known.keys = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}

impl Known {
    fn has_not_failed(&self, now: Instant) -> Result<(), Error> {
        match &self.failed {
            Some((at, error)) if now.duration_since(*at) < FAILED_FOR => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn note<T>(&mut self, read: Result<T, Error>) -> Result<T, Error> {
        self.failed = read.as_ref().err().map(|error| (Instant::now(), error.clone()));
        read
    }
}

/// What the provider's word for it means (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
fn refusal(code: String) -> Error {
    match code.as_str() {
        "server_error" | "temporarily_unavailable" => Error::Away(code),
        "invalid_request"
        | "unauthorized_client"
        | "unsupported_response_type"
        | "invalid_scope"
        | "request_not_supported" => Error::Unfit(code),
        _ => Error::Refused(code),
    }
}
