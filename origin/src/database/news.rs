//! What origins on one PostgreSQL tell each other, so that each follows what another has changed: notices of
//! `LISTEN`/`NOTIFY`, told in the transaction of the change and heard once it is committed. A notice only says
//! where to look; what is so now stands in the tables, and is read by whoever [hears](Heard) of it.
//!
//! Whoever may have missed something hears [`News::Everything`]: after each time that the connection was
//! made, and when more came than there is room for. On SQLite there is one process: nothing is told, and
//! nothing heard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounterVec, IntGauge, Registry};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AnyConnection, Executor as _};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::CONNECTION_WAIT;
use crate::seldom::warn_seldom;

/// What all origins on one database listen to.
const CHANNEL: &str = "lectern";
/// Notices that one who listens may be behind before it hears that everything may have changed.
const HEARD_MAX: usize = 1_024;
/// Longer ones are none of ours: the longest has the longest id of a broadcast in it.
const NOTICE_BYTES_MAX: usize = 512;
/// After so long without a word the connection is tried: one that was cut off in silence hears nothing for
/// ever.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Pauses before the connection is made again: the first, and the longest.
const AGAIN_MIN: Duration = Duration::from_millis(250);
const AGAIN_MAX: Duration = Duration::from_secs(10);

const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// What another origin has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A broadcast is there, not there any more, about something else, or opened by other keys.
    Broadcast(BroadcastId),
    /// Its comments, or what is in force in its room.
    Comment(BroadcastId),
    /// Which origin takes what is published to it.
    Owner(BroadcastId),
    /// Its host wants whoever publishes to end.
    Stopped(BroadcastId),
    /// What anybody may do; also, that there is an account.
    Rights,
    /// The keys by which viewers are let in.
    ViewerKeys,
    /// Anything of all this: some news were lost, or may have been. Nobody tells this.
    Everything,
}

/// A notice as it travels: at most 8,000 bytes, says PostgreSQL.
#[derive(Debug, Serialize, Deserialize)]
struct Notice<'a> {
    /// The process that tells, which need not hear it.
    from: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl News {
    /// Their kind, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Broadcast(_) => "broadcast",
            Self::Comment(_) => "comment",
            Self::Owner(_) => "owner",
            Self::Stopped(_) => "stopped",
            Self::Rights => "rights",
            Self::ViewerKeys => "viewer_keys",
            Self::Everything => "everything",
        }
    }

    /// Of which broadcast they are, if of one.
    pub fn broadcast(&self) -> Option<&BroadcastId> {
        match self {
            Self::Broadcast(id) | Self::Comment(id) | Self::Owner(id) | Self::Stopped(id) => {
                Some(id)
            }
            Self::Rights | Self::ViewerKeys | Self::Everything => None,
        }
    }

    fn notice(&self, from: &str) -> String {
        let id = self.broadcast().map(BroadcastId::as_str);
        serde_json::to_string(&Notice { from, kind: self.kind(), id }).expect("plain")
    }

    /// What a notice says to whoever is not `own`; nothing, if it is of a kind that this version does not
    /// know.
    fn read(notice: &str, own: &str) -> Option<Self> {
        if notice.len() > NOTICE_BYTES_MAX {
            return None;
        }
        let Notice { from, kind, id } = serde_json::from_str(notice).ok()?;
        if from == own {
            return None;
        }
        let id = || id?.parse().ok();
        match kind {
            "broadcast" => id().map(Self::Broadcast),
            "comment" => id().map(Self::Comment),
            "owner" => id().map(Self::Owner),
            "stopped" => id().map(Self::Stopped),
            "rights" => Some(Self::Rights),
            "viewer_keys" => Some(Self::ViewerKeys),
            _ => None,
        }
    }
}

/// Begins transactions that write, and tells other origins what they change.
#[derive(Clone)]
pub(crate) struct Writer {
    /// Begins such a transaction.
    pub(crate) begin: &'static str,
    /// What this process is called; without a name there are no others.
    process: Option<Arc<str>>,
}

impl Writer {
    pub(super) fn new(begin: &'static str, shared: bool) -> Self {
        let name = || format!("{:016x}", rand::random::<u64>()).into();
        Self { begin, process: shared.then(name) }
    }

    /// Whether there may be others.
    pub(crate) fn is_shared(&self) -> bool {
        self.process.is_some()
    }

    /// Tells all others, once the transaction of `connection` is committed. The same told twice in one
    /// transaction is heard once.
    pub(crate) async fn tell(
        &self,
        connection: &mut AnyConnection,
        news: &News,
    ) -> Result<(), sqlx::Error> {
        let Some(process) = &self.process else { return Ok(()) };
        let notify = sqlx::query(NOTIFY).bind(CHANNEL).bind(news.notice(process));
        notify.execute(connection).await.map(drop)
    }
}

/// Hands news to all who follow them in this process.
#[derive(Clone)]
pub(super) struct Ear(broadcast::Sender<News>);

impl Default for Ear {
    fn default() -> Self {
        Self(broadcast::Sender::new(HEARD_MAX))
    }
}

impl Ear {
    pub(super) fn heard(&self) -> Heard {
        Heard(self.0.subscribe())
    }
}

/// What others tell, to one who follows.
pub struct Heard(broadcast::Receiver<News>);

impl Heard {
    /// The next news; on SQLite there never are any. Cancelling it loses nothing.
    pub async fn next(&mut self) -> News {
        match self.0.recv().await {
            Ok(news) => news,
            Err(RecvError::Lagged(_)) => News::Everything,
            // The database is not there any more.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// Those that came already, if any.
    pub fn try_next(&mut self) -> Option<News> {
        match self.0.try_recv() {
            Ok(news) => Some(news),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(News::Everything),
            Err(_) => None,
        }
    }
}

/// Is called with the broadcast that another origin owns from now on, or with none where that may be any.
/// It must not block.
pub type OnOwner = Box<dyn Fn(Option<&BroadcastId>) + Send + Sync>;

/// What an operator can count of it.
#[derive(Clone)]
pub struct Metrics {
    heard: IntCounterVec,
    listening: IntGauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            heard: maker.counters(
                "lectern_origin_news_total",
                "What other origins on the same database have changed, by kind; `everything`: some may have been missed.",
                &["kind"],
            )?,
            listening: maker.gauge(
                "lectern_origin_news_listening",
                "1 while other origins on the same database are listened to.",
            )?,
        })
    }
}

/// Listens to the others.
pub(super) struct Listener {
    pub(super) options: PgConnectOptions,
    pub(super) writer: Writer,
    pub(super) ear: Ear,
    pub(super) on_owner: OnOwner,
    pub(super) metrics: Metrics,
}

impl Listener {
    /// Listens, over another connection whenever one breaks off, for as long as it is awaited.
    pub(super) async fn run(&self) {
        let mut again = AGAIN_MIN;
        loop {
            let began = Instant::now();
            let ended = self.listen().await;
            self.metrics.listening.set(0);
            if began.elapsed() > AGAIN_MAX {
                again = AGAIN_MIN;
            }
            if let Err(error) = ended {
                warn_seldom!(%error, "other origins are not heard; listening again");
            }
            tokio::time::sleep(again).await;
            again = (2 * again).min(AGAIN_MAX);
        }
    }

    /// Listens until the connection breaks off.
    async fn listen(&self) -> Result<(), sqlx::Error> {
        // The library has a listener take its connection out of a pool, so it has one of its own each time:
        // into no pool of others comes back what may hang.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECTION_WAIT);
        let pool =
            pool.max_lifetime(None).idle_timeout(None).connect_lazy_with(self.options.clone());
        let mut listener = in_time(PgListener::connect_with(&pool)).await?;
        // Else it would connect again by itself, and nobody would know what was missed meanwhile.
        listener.eager_reconnect(false);
        in_time(listener.listen(CHANNEL)).await?;
        self.metrics.listening.set(1);
        // What was told before is in the tables.
        self.hear(News::Everything);
        loop {
            match timeout(SILENCE_MAX, listener.try_recv()).await {
                Ok(Ok(Some(notice))) => match News::read(notice.payload(), self.own_name()) {
                    Some(news) => self.hear(news),
                    None => tracing::trace!(notice = notice.payload(), "not for this origin"),
                },
                Ok(Ok(None)) => {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => in_time((&mut listener).execute("SELECT 1")).await.map(drop)?,
            }
        }
    }

    fn hear(&self, news: News) {
        self.metrics.heard.with_label_values(&[news.kind()]).inc();
        match &news {
            News::Owner(id) => (self.on_owner)(Some(id)),
            News::Everything => (self.on_owner)(None),
            _ => {}
        }
        // Nobody has to follow.
        let _ = self.ear.0.send(news);
    }

    fn own_name(&self) -> &str {
        self.writer.process.as_deref().unwrap_or_default()
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let ended = timeout(CONNECTION_WAIT, call).await;
    ended.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_by_all_others() {
        let id: BroadcastId = "talk".parse().expect("an id");
        let all = [
            News::Broadcast(id.clone()),
            News::Comment(id.clone()),
            News::Owner(id.clone()),
            News::Stopped(id),
            News::Rights,
            News::ViewerKeys,
        ];
        for news in all {
            let notice = news.notice("one");
            assert!(notice.len() <= NOTICE_BYTES_MAX);
            assert_eq!(News::read(&notice, "other"), Some(news));
            assert_eq!(News::read(&notice, "one"), None, "one's own");
        }
        let longest = BroadcastId::try_from("a".repeat(64)).expect("an id");
        let notice = News::Comment(longest).notice(&"f".repeat(16));
        assert!(notice.len() <= NOTICE_BYTES_MAX, "{notice}");
        let spelled = r#"{"from":"one","kind":"comment","id":"talk"}"#;
        assert_eq!(News::Comment("talk".parse().expect("an id")).notice("one"), spelled);
    }

    #[test]
    fn what_this_version_does_not_know_is_left() {
        for notice in [
            "",
            "{}",
            "[]",
            r#"{"from":"one","kind":"weather"}"#,
            r#"{"from":"one","kind":"everything"}"#,
            r#"{"from":"one","kind":"broadcast"}"#,
            r#"{"from":"one","kind":"broadcast","id":"../.."}"#,
            &format!(
                r#"{{"from":"one","kind":"rights","more":"{}"}}"#,
                "x".repeat(NOTICE_BYTES_MAX)
            ),
        ] {
            assert_eq!(News::read(notice, "other"), None, "{notice}");
        }
        // What a later version adds is no reason not to hear the rest.
        let more = r#"{"from":"one","kind":"rights","more":1}"#;
        assert_eq!(News::read(more, "other"), Some(News::Rights));
    }

    #[tokio::test]
    async fn who_is_too_far_behind_hears_that_everything_may_have_changed() {
        let ear = Ear::default();
        let mut heard = ear.heard();
        assert_eq!(heard.try_next(), None);
        for _ in 0..=HEARD_MAX {
            ear.0.send(News::Rights).expect("somebody follows");
        }
        assert_eq!(heard.next().await, News::Everything);
        assert_eq!(heard.next().await, News::Rights);
    }
}
