//! What other origins on the same database have changed, followed here: memory is made what the database says
//! now, however many changes led to that. What cannot be read is read again until it can.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;

use super::store::{self, Conflict, Stored};
use super::{Control, Error, lock, now};
use crate::broadcasts::BROADCASTS_MAX;
use crate::database::news::News;
use crate::seldom::warn_seldom;

/// A stop that this origin hears of so late keeps nobody from coming back who was ended by it: the time that
/// they have to wait is over.
const STOP_HOLDS: Duration = Duration::from_secs(30);

/// What is to be read again.
#[derive(Debug, Default)]
pub(super) struct ToFollow {
    broadcasts: BTreeSet<BroadcastId>,
    /// Those that were stopped.
    stopped: BTreeSet<BroadcastId>,
    rights: bool,
    viewer_keys: bool,
    everything: bool,
}

impl From<News> for ToFollow {
    fn from(news: News) -> Self {
        let mut all = Self::default();
        all.note(news);
        all
    }
}

impl ToFollow {
    /// This, too.
    pub(super) fn note(&mut self, news: News) {
        match news {
            News::Broadcast(id) => drop(self.broadcasts.insert(id)),
            News::Stopped(id) => drop(self.stopped.insert(id)),
            News::Rights => self.rights = true,
            News::ViewerKeys => self.viewer_keys = true,
            News::Everything => self.everything = true,
            // Others follow them.
            News::Comment(_) | News::Owner(_) => {}
        }
        // So many are read faster in one go.
        if self.broadcasts.len() > BROADCASTS_MAX {
            self.broadcasts.clear();
            self.everything = true;
        }
    }
}

impl Control {
    /// Follows it. What fails is tried again.
    pub(super) async fn follow(&self, news: ToFollow) {
        // It can wait for nothing.
        news.stopped.iter().for_each(|id| self.broadcasts.stop(id));
        if news.everything {
            if let Err(error) = self.follow_all().await {
                warn_seldom!(%error, "what other origins have changed cannot be read; trying again");
                self.is_unsure(News::Everything);
            }
            // What was asked for besides is among it.
            return;
        }
        if news.viewer_keys {
            let _changing = self.changing.lock().await;
            if let Err(error) = self.tell_viewer_keys().await {
                warn_seldom!(%error, "the keys for viewers cannot be read or told; trying again");
                self.is_unsure(News::ViewerKeys);
            }
        }
        for id in &news.broadcasts {
            if self.get(id).is_some_and(|listed| listed.provisioned) {
                continue;
            }
            let _changing = self.changing.lock().await;
            self.follow_one(id).await;
        }
        if news.rights {
            self.store.rights_changed();
            if let Err(error) = self.follow_setup().await {
                warn_seldom!(%error, "whether there is an account is not known; trying again");
                self.is_unsure(News::Rights);
            }
        }
    }

    /// Brings into accord what could not be; whether all of it is now.
    pub(super) async fn make_sure(&self) -> bool {
        let unsure = std::mem::take(&mut *lock(&self.unsure));
        self.follow(unsure).await;
        let still = lock(&self.unsure);
        still.broadcasts.is_empty() && !still.rights && !still.viewer_keys && !still.everything
    }

    /// Lets go of those that are not among `all` that the database has. The caller holds
    /// [`Control::changing`].
    pub(super) async fn let_go_of_others(&self, all: &[Stored]) {
        let there: BTreeSet<_> = all.iter().map(|(broadcast, _)| &broadcast.id).collect();
        let listed = self.all().into_iter().filter(|listed| !listed.provisioned);
        for listed in listed.filter(|listed| !there.contains(&listed.broadcast.id)) {
            // Looked at once more by itself: one that cannot be read is not among all either.
            self.follow_one(&listed.broadcast.id).await;
        }
    }

    async fn follow_all(&self) -> Result<(), store::Error> {
        self.load().await?;
        self.store.rights_changed();
        let now = now();
        for (id, stopped) in self.store.stops().await? {
            let Some(status) = self.broadcasts.status(&id) else { continue };
            let goes_on = status.publisher.is_some_and(|publisher| publisher.since < stopped);
            if goes_on || now.saturating_since(stopped) < STOP_HOLDS {
                self.broadcasts.stop(&id);
            }
        }
        Ok(())
    }

    /// Makes one broadcast what the database says. The caller holds [`Control::changing`].
    async fn follow_one(&self, id: &BroadcastId) {
        let was_there = self.get(id).is_some();
        match self.concluded(id, Ok(Ok(()))).await {
            Ok(_) => {}
            // Its name is not given again here either before edges have forgotten what was in it.
            Err(Error::Conflict(Conflict::Missing)) => {
                if was_there {
                    lock(&self.removed).insert(id.clone(), Instant::now());
                }
            }
            Err(error) => {
                tracing::warn!(broadcast = %id, %error, "it is not known how it stands in the database; trying again");
            }
        }
    }

    async fn follow_setup(&self) -> Result<(), store::Error> {
        if self.setup_token().is_some() && self.store.has_accounts().await? {
            self.is_set_up();
        }
        Ok(())
    }

    pub(super) fn is_unsure(&self, of: News) {
        lock(&self.unsure).note(of);
        self.unsure_of_more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_read_in_one_go() {
        let mut all = ToFollow::default();
        let id = |n: usize| format!("talk-{n}").parse::<BroadcastId>().expect("an id");
        for n in 0..BROADCASTS_MAX {
            all.note(News::Broadcast(id(n)));
            all.note(News::Broadcast(id(n)));
        }
        assert_eq!((all.broadcasts.len(), all.everything), (BROADCASTS_MAX, false));
        all.note(News::Broadcast(id(BROADCASTS_MAX)));
        assert_eq!((all.broadcasts.len(), all.everything), (0, true));
        all.note(News::Stopped(id(1)));
        assert_eq!(all.stopped.len(), 1, "what is not written in the tables of broadcasts is kept");
    }
}
