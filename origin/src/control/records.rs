//! What the control plane knows of, as the API shows it: accounts, sessions, tokens, broadcasts, keys.

use lectern_relay_proto::about::{Answers, Kid, PublicKey, WebUrl};
use lectern_relay_proto::comment::{ClientId, ModeratorKey};
use lectern_relay_proto::{About, BroadcastId, PublisherState, UtcTime};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::broadcasts::Status;
use crate::instant::Instant;

/// A name in one of a few words, as it stands in JSON, in the database and in the documentation.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum $name {
            $($(#[$inner])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        // Derived, it would not see the words, which come through this macro.
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!($($doc),+).trim()))
                    .enum_values(Some([$($word),+]))
                    .into()
            }
        }

        impl ToSchema for $name {}

        impl TryFrom<String> for $name {
            type Error = ();

            fn try_from(word: String) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or(())
            }
        }
    };
}

words! {
    /// What an account may do, of itself.
    Role {
        /// Everything.
        Admin = "admin",
        /// Make broadcasts, and do everything with those whose host they are.
        Host = "host",
        /// Keep order in those broadcasts where they are asked to.
        Moderator = "moderator",
    }
}

words! {
    /// What part an account has in a broadcast.
    MemberRole {
        /// Does everything with it.
        Host = "host",
        /// Keeps order in its comments.
        Moderator = "moderator",
    }
}

words! {
    /// What a token is good for.
    Scope {
        /// See broadcasts.
        BroadcastsRead = "broadcasts:read",
        /// Make, change, stop and remove broadcasts.
        BroadcastsWrite = "broadcasts:write",
        /// Make and revoke stream keys.
        KeysWrite = "keys:write",
        /// Make links for viewers, and the keys that sign them.
        ViewersWrite = "viewers:write",
        /// Read comments, attendance and, as a host, registrations.
        CommentsRead = "comments:read",
        /// Manage accounts.
        AccountsWrite = "accounts:write",
        /// Manage webhooks.
        WebhooksWrite = "webhooks:write",
    }
}

words! {
    /// What a stream key is for.
    KeyUse {
        /// Publishing.
        Primary = "primary",
        /// Standing by, and publishing while nobody with a primary key does.
        Backup = "backup",
    }
}

words! {
    /// Where a viewer key is from.
    KeySource {
        /// Made here: links for viewers can be made with it.
        Own = "own",
        /// Given by somebody who makes tokens elsewhere.
        Imported = "imported",
    }
}

words! {
    /// How a broadcast is.
    BroadcastState {
        /// Media arrives.
        Live = "live",
        /// The encoder was lost without a word.
        Away = "away",
        /// Nobody has published yet.
        Unbegun = "unbegun",
        /// The encoder said goodbye.
        Ended = "ended",
    }
}

impl BroadcastState {
    /// What this status means to people.
    pub fn of(status: &Status) -> Self {
        match (status.state, status.since) {
            (None, _) => Self::Unbegun,
            (Some(PublisherState::Live), _) => Self::Live,
            (Some(PublisherState::Away), Some(_)) => Self::Away,
            // What was before this process began is over.
            (Some(PublisherState::Away), None) | (Some(PublisherState::Ended), _) => Self::Ended,
        }
    }
}

words! {
    /// What webhooks are told of.
    WebhookEvent {
        /// Media arrives.
        Live = "broadcast.live",
        /// The encoder was lost without a word.
        Away = "broadcast.away",
        /// The encoder said goodbye, or the broadcast was stopped or removed.
        Ended = "broadcast.ended",
        /// The doctor finds something that hurts viewers.
        FindingAppeared = "finding.appeared",
        /// And does not find it any more.
        FindingGone = "finding.gone",
        /// Nothing has happened: somebody wants to see whether it arrives.
        Test = "test",
    }
}

/// 1 to 120 characters in one line.
pub type Name = lectern_relay_proto::about::Line<120>;

/// What one signs in with: 1 to 120 characters in one line without white space, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

impl Login {
    /// The login.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Login {
    type Error = &'static str;

    fn try_from(login: String) -> Result<Self, Self::Error> {
        let login = login.trim().to_lowercase();
        let fits = (1..=120).contains(&login.chars().count());
        if fits && !login.chars().any(|c| c.is_control() || c.is_whitespace()) {
            Ok(Self(login))
        } else {
            Err("a login is 1 to 120 characters without spaces, such as an address for mail")
        }
    }
}

impl From<Login> for String {
    fn from(login: Login) -> Self {
        login.0
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name here.
    pub id: String,
    /// Counts changes.
    pub rev: u64,
    /// What they sign in with.
    pub login: Login,
    /// What they are called.
    pub name: Name,
    /// What they may do.
    pub role: Role,
    /// Whether they may do nothing for now.
    pub disabled: bool,
    /// Whether they can sign in with a password.
    pub has_password: bool,
    /// Who they are at the OpenID provider.
    pub oidc: Option<String>,
    /// Since when.
    pub created_at: Instant,
    /// When they signed in last.
    pub signed_in_at: Option<Instant>,
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    /// The account.
    pub id: String,
    /// What they sign in with.
    pub login: String,
    /// What they are called.
    pub name: String,
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name here.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What the browser calls itself.
    pub agent: String,
    /// When they signed in.
    pub created_at: Instant,
    /// When it was used last, to five minutes.
    pub seen_at: Instant,
}

/// What a program presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its name here.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What it is for.
    pub name: Name,
    /// What it is good for, of all that its account may.
    pub scopes: Vec<Scope>,
    /// Its last characters.
    pub hint: String,
    /// Since when.
    pub created_at: Instant,
    /// Until when; for good without.
    pub expires_at: Option<Instant>,
    /// When it was used last, to five minutes.
    pub used_at: Option<Instant>,
}

/// A broadcast that was made here.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// Its public id.
    pub id: BroadcastId,
    /// Counts changes.
    pub rev: u64,
    /// What viewers are told of it, without the keys that edges need.
    pub about: About,
    /// What makes one a moderator of its comments; without it, nobody is.
    pub moderator_key: Option<ModeratorKey>,
    /// Whether a list is kept of who attends.
    pub attendance: bool,
    /// Whether nobody may publish.
    pub blocked: bool,
    /// Since when.
    pub created_at: Instant,
    /// When it was changed last.
    pub updated_at: Instant,
}

/// A key to publish with, of which only the digest is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StreamKey {
    /// Its name here.
    pub id: String,
    /// What it is for, in the host's words.
    pub label: String,
    /// Whether it stands by.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    /// Its last characters.
    pub hint: String,
    /// Since when.
    pub created_at: Instant,
    /// When somebody began to publish with it last.
    pub used_at: Option<Instant>,
    /// When it ended.
    pub revoked_at: Option<Instant>,
}

/// Who has which part in a broadcast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub account: Person,
    /// Which part.
    pub role: MemberRole,
}

/// A key by which edges check viewer tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerKey {
    /// Its name, which tokens carry.
    pub kid: Kid,
    /// The key.
    pub public_key: PublicKey,
    /// Since when.
    pub created_at: Instant,
    /// When it ended.
    pub retired_at: Option<Instant>,
    /// Where it is from.
    pub source: KeySource,
}

/// A server that is told what happens here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its name here.
    pub id: String,
    /// Counts changes of what follows; what came of attempts is none.
    pub rev: u64,
    /// Where it is told.
    pub url: WebUrl,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
    /// Of which broadcast; of all without.
    pub broadcast: Option<BroadcastId>,
    /// Whether it is told anything.
    pub active: bool,
    /// Since when.
    pub created_at: Instant,
    /// What came of the last attempt to tell it something.
    pub last: Option<Attempt>,
}

/// What came of telling a webhook something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct Attempt {
    /// When.
    pub at: Instant,
    /// How it answered; nothing if it did not.
    pub status: Option<u16>,
    /// Why it did not hear, in a sentence; nothing if it did.
    pub error: Option<String>,
    /// So often this has been tried.
    pub attempts: u32,
}

/// Something that a webhook was told, or is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    /// Its name, which is the same in each attempt (`webhook-id`).
    pub id: String,
    /// What has happened.
    pub event: WebhookEvent,
    /// In which broadcast.
    pub broadcast: Option<String>,
    /// When.
    pub at: Instant,
    /// So often it has been tried.
    pub attempts: u32,
    /// How the last attempt was answered; nothing if it was not.
    pub status: Option<u16>,
    /// Why it was not heard, in a sentence.
    pub error: Option<String>,
    /// When it is tried next; nothing once it is over.
    pub next_at: Option<Instant>,
}

/// What a viewer answered, to be stored.
#[derive(Clone, Debug)]
pub struct NewRegistration {
    /// For which broadcast.
    pub broadcast: BroadcastId,
    /// What their player calls it: the same if it is sent again.
    pub attempt: ClientId,
    /// Which questions were asked, by their names with spaces between.
    pub fields: String,
    /// What they answered.
    pub answers: Answers,
    /// When.
    pub registered_at: UtcTime,
}

/// That it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Counts those of a broadcast, from 1.
    pub number: u64,
    /// When it was stored first.
    pub registered_at: UtcTime,
}

/// What a viewer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Counts those of a broadcast, from 1.
    pub number: u64,
    /// What they answered.
    pub answers: Answers,
    /// When.
    pub registered_at: UtcTime,
}
