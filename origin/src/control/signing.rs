//! The keys by which viewer tokens are signed: which there are, what edges are told of them, and the one of our own
//! that signs.

use std::sync::Arc;

use lectern_relay_proto::About;
use lectern_relay_proto::about::ViewerKeys;

use super::changes::carried_out;
use super::records::{Broadcast, KeySource, ViewerKey};
use super::{Control, Error, now, viewer_token};

impl Control {
    /// Adds a key for viewer tokens, and tells edges of it.
    pub async fn add_viewer_key(
        self: &Arc<Self>,
        key: ViewerKey,
        secret: Option<String>,
    ) -> Result<(), Error> {
        let this = self.clone();
        let adding = async move {
            let _changing = this.change().await?;
            let added = this.store.add_viewer_key(&key, secret.as_deref()).await;
            let told = this.tell_viewer_keys().await;
            added??;
            told
        };
        carried_out(adding).await
    }

    /// Ends a key for viewer tokens: edges refuse what it signed.
    pub async fn retire_viewer_key(self: &Arc<Self>, kid: &str) -> Result<(), Error> {
        let (this, kid) = (self.clone(), kid.to_owned());
        let retiring = async move {
            let _changing = this.change().await?;
            let retired = this.store.retire_viewer_key(&kid, now()).await;
            // Also if it was not there any more: edges may not know.
            let told = this.tell_viewer_keys().await;
            retired??;
            told?;
            // Edges are to know the next one before anybody registers.
            let all = this.all();
            match all.iter().find(|listed| listed.broadcast.about.form().is_some()) {
                Some(listed) => this.prepare(&listed.broadcast.about).await,
                None => Ok(()),
            }
        };
        carried_out(retiring).await
    }

    /// A key of our own that signs viewer tokens, the newest; made if there is none.
    pub async fn signing_key(self: &Arc<Self>) -> Result<viewer_token::SigningKey, Error> {
        if let Some(key) = self.newest_own_key().await? {
            return Ok(key);
        }
        let this = self.clone();
        let making = async move {
            let _changing = this.change().await?;
            this.signing_key_held().await
        };
        carried_out(making).await
    }

    /// The same for whoever holds [`Control::changing`].
    async fn signing_key_held(&self) -> Result<viewer_token::SigningKey, Error> {
        if let Some(key) = self.newest_own_key().await? {
            return Ok(key);
        }
        let key = viewer_token::SigningKey::generate();
        self.store.add_viewer_key(&key.public(now()), Some(&key.secret())).await??;
        self.tell_viewer_keys().await?;
        Ok(key)
    }

    /// Makes the key by which those who register are let in, if there is none. The caller holds
    /// [`Control::changing`].
    pub(super) async fn prepare(&self, about: &About) -> Result<(), Error> {
        match about.form() {
            Some(_) => self.signing_key_held().await.map(drop),
            None => Ok(()),
        }
    }

    async fn newest_own_key(&self) -> Result<Option<viewer_token::SigningKey>, Error> {
        let keys = self.store.viewer_keys().await?;
        let own = keys.into_iter().filter(|(key, _)| signs(key));
        let newest = own.max_by_key(|(key, _)| key.created_at);
        Ok(newest.and_then(|(key, secret)| viewer_token::SigningKey::parse(key.kid, &secret?)))
    }

    pub(super) async fn tell_viewer_keys(&self) -> Result<(), Error> {
        let keys = in_force(&self.store.viewer_keys().await?);
        self.write(|directory| directory.viewer_keys = keys.clone());
        let mut all_told = Ok(());
        for listed in self.all().iter().filter(|listed| !listed.provisioned) {
            let Broadcast { id, about, .. } = &listed.broadcast;
            if about.needs_token() {
                // One that cannot be told now does not keep the others from it.
                all_told = all_told.and(self.broadcasts.set_about(id, told(about, &keys)));
            }
        }
        Ok(all_told?)
    }

    pub(super) fn viewer_keys(&self) -> ViewerKeys {
        self.read().viewer_keys.clone()
    }
}

/// What edges are told: with the keys for viewer tokens, where one needs one.
pub(super) fn told(about: &About, viewer_keys: &ViewerKeys) -> About {
    let viewer_keys = if about.needs_token() { viewer_keys.clone() } else { ViewerKeys::default() };
    About { viewer_keys, ..about.clone() }
}

/// Whether tokens are signed with it here.
pub(super) fn signs(key: &ViewerKey) -> bool {
    key.retired_at.is_none() && key.source == KeySource::Own
}

pub(super) fn in_force(keys: &[(ViewerKey, Option<String>)]) -> ViewerKeys {
    let keys = keys.iter().filter(|(key, _)| key.retired_at.is_none());
    let keys = keys.map(|(key, _)| lectern_relay_proto::about::ViewerKey {
        kid: key.kid.clone(),
        public_key: key.public_key,
    });
    // The database has no more than fit, and none twice.
    ViewerKeys::try_from(keys.collect::<Vec<_>>()).unwrap_or_default()
}
