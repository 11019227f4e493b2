//! An OpenID provider of its own on loopback, which checks what it is asked as a careful one does, and says
//! what a test wants it to say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use axum::Router;
use axum::extract::{Form, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use oauth2::url::Url;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const CLIENT_ID: &str = "lectern";
/// With what has to be encoded in a header, and once more in base64.
pub(crate) const CLIENT_SECRET: &str = "s3cret:+/ %";
pub(crate) const CALLBACK: &str = "http://localhost:8080/api/v1/oidc/callback";

/// How the provider misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ill {
    #[default]
    Well,
    /// Never answers at this path.
    Silent(&'static str),
    /// Answers without end there.
    Endless(&'static str),
    /// Sends elsewhere from there.
    Redirecting(&'static str),
    /// Says that it is broken there.
    Broken(&'static str),
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    As(Algorithm),
    /// Not at all.
    Not,
    /// HS256 with the public key.
    WithPublicKey,
    /// By somebody else, under the same name.
    ByAnother,
}

pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Arc<Mutex<Inner>>,
    server: JoinHandle<()>,
}

pub(crate) struct Inner {
    issuer: String,
    pub(crate) ill: Ill,
    pub(crate) signed: Signed,
    /// What tokens say besides; null takes away.
    pub(crate) claims: Map<String, Value>,
    /// What userinfo says.
    pub(crate) userinfo: Value,
    /// What is said about the provider besides.
    pub(crate) about: Map<String, Value>,
    keys: Keys,
    /// Codes that were given: the nonce and the challenge of each.
    codes: HashMap<String, (String, String)>,
    /// How often each path was asked.
    pub(crate) asked: HashMap<String, usize>,
}

struct Keys {
    kid: String,
    ec: EcdsaKeyPair,
    ec_pkcs8: Vec<u8>,
    ed: Ed25519KeyPair,
    ed_pkcs8: Vec<u8>,
    rsa: Option<RsaKey>,
}

impl Keys {
    fn new(kid: &str) -> Self {
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let ec_pkcs8 = ec.to_pkcs8v1().expect("PKCS #8").as_ref().to_vec();
        let ed = Ed25519KeyPair::generate().expect("a key");
        let ed_pkcs8 = ed.to_pkcs8v1().expect("PKCS #8").as_ref().to_vec();
        Self { kid: kid.to_owned(), ec, ec_pkcs8, ed, ed_pkcs8, rsa: None }
    }

    fn rsa(&mut self) -> &RsaKey {
        self.rsa.get_or_insert_with(|| RsaKey::generate(KeySize::Rsa2048).expect("a key"))
    }

    fn set(&mut self) -> Value {
        let point = self.ec.public_key().as_ref();
        let kid = &self.kid;
        let ed = BASE64URL.encode(self.ed.public_key().as_ref());
        let mut keys = vec![
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
                "x": BASE64URL.encode(&point[1..33]), "y": BASE64URL.encode(&point[33..])}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": ed}),
            // As real ones have beside what they sign with.
            json!({"kty": "RSA", "use": "enc", "kid": "other", "n": "AQAB", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "secp256k1", "kid": "odd", "x": "", "y": ""}),
        ];
        if let Some(rsa) = &self.rsa {
            // PKCS #1: the modulus of 2048 bits stands behind what says that it does.
            let n = BASE64URL.encode(&rsa.public_key().as_ref()[9..265]);
            keys.push(json!({"kty": "RSA", "kid": kid, "use": "sig", "n": n, "e": "AQAB"}));
        }
        json!({ "keys": keys })
    }

    fn sign(&mut self, signed: Signed, claims: &Map<String, Value>) -> String {
        let part = |value: &Value| BASE64URL.encode(value.to_string());
        let (algorithm, key) = match signed {
            Signed::Not => {
                let header = json!({"alg": "none", "kid": self.kid});
                return format!("{}.{}.", part(&header), part(&json!(claims)));
            }
            Signed::WithPublicKey => {
                let der = self.ec.public_key().as_der().expect("DER");
                (Algorithm::HS256, EncodingKey::from_secret(der.as_ref()))
            }
            Signed::ByAnother => {
                let other = Self::new(&self.kid);
                (Algorithm::ES256, EncodingKey::from_ec_der(&other.ec_pkcs8))
            }
            Signed::As(algorithm @ Algorithm::ES256) => {
                (algorithm, EncodingKey::from_ec_der(&self.ec_pkcs8))
            }
            Signed::As(algorithm @ Algorithm::EdDSA) => {
                (algorithm, EncodingKey::from_ed_der(&self.ed_pkcs8))
            }
            Signed::As(algorithm) => {
                // PKCS #1 is within PKCS #8, behind what is as long for every key of this size.
                let der = self.rsa().as_der().expect("PKCS #8");
                (algorithm, EncodingKey::from_rsa_der(&der.as_ref()[26..]))
            }
        };
        let mut header = Header::new(algorithm);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &key).expect("signed")
    }
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        Self::serve(listener)
    }

    /// The same address, of which nothing is served before [`Provider::serve`].
    pub(crate) fn serve(listener: TcpListener) -> Self {
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(Inner {
            issuer: issuer.clone(),
            ill: Ill::Well,
            signed: Signed::As(Algorithm::ES256),
            claims: Map::new(),
            userinfo: Value::Null,
            about: Map::new(),
            keys: Keys::new("first"),
            codes: HashMap::new(),
            asked: HashMap::new(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .layer(axum::middleware::from_fn_with_state(state.clone(), misbehave))
            .with_state(state.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        Self { issuer, state, server }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().expect("no test has failed")
    }

    /// What a browser is told when its user has signed in at `url`: where to go.
    pub(crate) fn authorize(&self, url: &str) -> String {
        let url = Url::parse(url).expect("a URL");
        assert_eq!(url.path(), "/authorize");
        assert!(url.as_str().starts_with(&self.issuer));
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let said = |name: &str| query.get(name).map_or("", String::as_str);
        assert_eq!((said("response_type"), said("client_id")), ("code", CLIENT_ID));
        assert_eq!((said("code_challenge_method"), said("redirect_uri")), ("S256", CALLBACK));
        assert!(said("scope").split(' ').any(|scope| scope == "openid"), "{url}");
        for secret in ["state", "nonce", "code_challenge"] {
            assert_eq!(said(secret).len(), 43, "{secret} has 256 bits: {url}");
        }
        let mut inner = self.inner();
        let given = inner.asked.entry("/authorize".to_owned()).or_default();
        *given += 1;
        let code = format!("code {given}");
        let given = (said("nonce").to_owned(), said("code_challenge").to_owned());
        inner.codes.insert(code.clone(), given);
        let mut back = Url::parse(said("redirect_uri")).expect("a URL");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", said("state"));
        back.query_pairs_mut().append_pair("session_state", "what nobody asked for");
        format!("{}?{}", back.path(), back.query().expect("a query"))
    }

    /// Signs with other keys from now on.
    pub(crate) fn rotate(&self, kid: &str) {
        self.inner().keys = Keys::new(kid);
    }

    /// Has a key of RSA too.
    pub(crate) fn with_rsa(&self) {
        self.inner().keys.rsa();
    }

    pub(crate) fn asked(&self, path: &str) -> usize {
        self.inner().asked.get(path).copied().unwrap_or(0)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = State<Arc<Mutex<Inner>>>;

async fn misbehave(
    State(state): Shared,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let ill = {
        let mut inner = state.lock().expect("no test has failed");
        *inner.asked.entry(path.clone()).or_default() += 1;
        inner.ill
    };
    match ill {
        Ill::Silent(at) if at == path => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Ill::Endless(at) if at == path => {
            let spaces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 4096]));
            let headers = [("content-type", "application/json")];
            (headers, axum::body::Body::from_stream(spaces)).into_response()
        }
        Ill::Redirecting(at) if at == path => {
            let there = format!("{path}/elsewhere");
            axum::response::Redirect::temporary(&there).into_response()
        }
        Ill::Broken(at) if at == path => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => next.run(request).await,
    }
}

async fn discovery(State(state): Shared) -> Response {
    let inner = state.lock().expect("no test has failed");
    let at = |path: &str| format!("{}{path}", inner.issuer);
    let mut about = json!({
        "issuer": inner.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "userinfo_endpoint": at("/userinfo"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["plain", "S256"],
    });
    about.as_object_mut().expect("an object").extend(inner.about.clone());
    axum::Json(about).into_response()
}

async fn keys(State(state): Shared) -> Response {
    axum::Json(state.lock().expect("no test has failed").keys.set()).into_response()
}

async fn token(
    State(state): Shared,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refuse = |error: &str| {
        (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error }))).into_response()
    };
    let said = |name: &str| form.get(name).map_or("", String::as_str);
    let mut inner = state.lock().expect("no test has failed");
    let encode = |text: &str| {
        oauth2::url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
    };
    let basic = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    let basic = format!("Basic {}", BASE64.encode(basic));
    let in_header = headers.get(AUTHORIZATION).is_some_and(|value| value == basic.as_str());
    let in_body = said("client_id") == CLIENT_ID && said("client_secret") == CLIENT_SECRET;
    let post = inner.about.contains_key("token_endpoint_auth_methods_supported");
    if (post && !in_body) || (!post && !in_header) {
        return refuse("invalid_client");
    }
    // Each code once.
    let Some((nonce, challenge)) = inner.codes.remove(said("code")) else {
        return refuse("invalid_grant");
    };
    let digest = digest::digest(&digest::SHA256, said("code_verifier").as_bytes());
    if BASE64URL.encode(digest) != challenge
        || said("redirect_uri") != CALLBACK
        || said("grant_type") != "authorization_code"
    {
        return refuse("invalid_grant");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let now = now.as_secs();
    let mut claims = json!({
        "iss": inner.issuer, "aud": CLIENT_ID, "sub": "248289761001", "nonce": nonce,
        "iat": now, "exp": now + 300,
        "preferred_username": "ada.l", "name": "Ada Lovelace",
        "email": "Ada@uni.example", "email_verified": true,
    });
    let claims = claims.as_object_mut().expect("an object");
    claims.extend(inner.claims.clone());
    claims.retain(|_, value| !value.is_null());
    let signed = inner.signed;
    let id_token = inner.keys.sign(signed, claims);
    let tokens = json!({"access_token": "access", "token_type": "Bearer", "expires_in": 60,
        "id_token": id_token});
    axum::Json(tokens).into_response()
}

async fn userinfo(State(state): Shared, headers: HeaderMap) -> Response {
    if headers.get(AUTHORIZATION).is_none_or(|value| value != "Bearer access") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    axum::Json(state.lock().expect("no test has failed").userinfo.clone()).into_response()
}
