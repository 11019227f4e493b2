//! Which database a URL names, and all in which SQLite and PostgreSQL are told apart.

use std::fmt;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection, SqlSafeStr};
use tokio::time::timeout;

use super::{CONNECTION_WAIT, Error};

/// What the database's tables have become, in this order, by version. What has been released is never
/// edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "comments", include_str!("../../migrations/1_comments.sql")),
    (2, "rooms", include_str!("../../migrations/2_rooms.sql")),
    (3, "control", include_str!("../../migrations/3_control.sql")),
    (4, "webhooks", include_str!("../../migrations/4_webhooks.sql")),
    (5, "registrations", include_str!("../../migrations/5_registrations.sql")),
    (6, "timelines", include_str!("../../migrations/6_timelines.sql")),
    (7, "stops", include_str!("../../migrations/7_stops.sql")),
    (8, "live", include_str!("../../migrations/8_live.sql")),
];

/// The journal is synced before a comment counts as stored: power may fail right after.
const SQLITE_SESSION: &str = "PRAGMA busy_timeout = 5000; \
     PRAGMA journal_mode = WAL; \
     PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON;";

/// An origin that is cut off in the middle of a transaction holds rooms that others wait for: after
/// twice the time of a statement it has lost them. That a table already exists is no news.
const POSTGRES_SESSION: &str = "SET statement_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '10s'; \
     SET client_min_messages = warning;";

/// Which database, and how to reach it.
#[derive(Clone)]
pub(super) struct Server {
    kind: Kind,
    options: Arc<AnyConnectOptions>,
    /// For people: without the password.
    name: Arc<str>,
}

#[derive(Clone)]
enum Kind {
    /// The file.
    Sqlite(Arc<Path>),
    Postgres,
}

impl Server {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let (kind, name, url) = if let Some(path) = url.strip_prefix("sqlite:") {
            sqlite(path.strip_prefix("//").unwrap_or(path))?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            postgres(url)?
        } else {
            return Err(Error::Url("begins with neither `sqlite:` nor `postgres://`".into()));
        };
        let options = url.parse().map_err(invalid)?;
        Ok(Self { kind, options: Arc::new(options), name: name.into() })
    }

    pub(super) fn options(&self) -> AnyConnectOptions {
        (*self.options).clone()
    }

    /// How to reach it in order to listen to others, where there may be others: as for all else, encryption
    /// included.
    pub(super) fn listener(&self) -> Option<PgConnectOptions> {
        match self.kind {
            Kind::Sqlite(_) => None,
            // It was read so before.
            Kind::Postgres => PgConnectOptions::try_from(&*self.options).ok(),
        }
    }

    /// Statements for each new connection.
    pub(super) fn session(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite(_) => SQLITE_SESSION,
            Kind::Postgres => POSTGRES_SESSION,
        }
    }

    /// Begins a transaction that writes.
    pub(super) fn begin(&self) -> &'static str {
        match self.kind {
            // One that began to read could not go on to write if another has written since.
            Kind::Sqlite(_) => "BEGIN IMMEDIATE",
            // Whoever has waited for a room must see what its last holder wrote, whatever is usual in
            // this database.
            Kind::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// Where it is kept, if that is here.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Sqlite(file) => Some(file),
            Kind::Postgres => None,
        }
    }

    /// Whether it runs elsewhere, and may be away for a while.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Postgres)
    }

    /// What its clock says, in microseconds of Unix time, if it has one of its own.
    pub(super) fn clock(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Sqlite(_) => None,
            Kind::Postgres => {
                Some("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint")
            }
        }
    }

    pub(super) fn connections_max(&self) -> u32 {
        match self.kind {
            // One can write at a time. Callers wait for it in line; several connections would try again
            // and again.
            Kind::Sqlite(_) => 1,
            Kind::Postgres => 4,
        }
    }

    /// Brings the tables up to date. Of several origins that begin at once, one does it.
    pub(super) async fn migrate(&self) -> Result<(), Error> {
        sqlx::any::install_default_drivers();
        if let Kind::Sqlite(file) = &self.kind {
            make_private(file).map_err(|error| Error::Open {
                database: self.to_string(),
                source: sqlx::Error::Io(error),
            })?;
        }
        let open = |source| Error::Open { database: self.to_string(), source };
        let connection = timeout(CONNECTION_WAIT, self.options.connect()).await;
        let connection = connection.map_err(|_| Error::TimedOut { database: self.to_string() })?;
        let mut connection: AnyConnection = connection.map_err(open)?;
        sqlx::raw_sql(self.session()).execute(&mut connection).await.map_err(open)?;
        let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        let migrator = Migrator::with_migrations(migrations.collect());
        let migrated = migrator.run(&mut connection).await;
        migrated.map_err(|source| Error::Migrate { database: self.to_string(), source })?;
        connection.close().await.map_err(open)
    }
}

/// `PostgreSQL at db.example:5432` or `SQLite file /data/lectern.db`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Takes `path` as it is: what would end or escape a path in a URL is part of it.
fn sqlite(path: &str) -> Result<(Kind, String, String), Error> {
    if path.is_empty() || path == ":memory:" {
        return Err(Error::Url("names no file after `sqlite:`".into()));
    }
    let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let kind = Kind::Sqlite(Path::new(path).into());
    Ok((kind, format!("SQLite file {path}"), format!("sqlite:{escaped}?mode=rwc")))
}

/// Makes the file, if there is none, for its owner alone: what people said and who was there is nobody
/// else's. SQLite gives the files beside it the same mode.
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

fn postgres(url: &str) -> Result<(Kind, String, String), Error> {
    // Otherwise a part of the password passes for a host or a database, and stands in the log.
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest[authority_len..].contains('@') {
        let why = "has an `@` after its host: in a password, write / as %2F, ? as %3F, # as %23";
        return Err(Error::Url(why.into()));
    }
    let options: PgConnectOptions = url.parse().map_err(invalid)?;
    let server = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    Ok((Kind::Postgres, format!("PostgreSQL at {server}"), url.to_owned()))
}

fn invalid(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Configuration(why) => Error::Url(format!("is none: {why}")),
        error => Error::Url(format!("is none: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AnyConnection, Connection};

    use super::*;

    #[tokio::test]
    async fn sqlite_syncs_each_commit_whatever_the_path_is_called() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("50% of #1, why?.db");
        let server = Server::parse(&format!("sqlite:{}", path.display())).expect("a URL");
        server.migrate().await.expect("migrated");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "others read it");
        }
        let mut connection: AnyConnection = server.options().connect().await.expect("connect");
        sqlx::raw_sql(server.session()).execute(&mut connection).await.expect("session");
        for (pragma, expected) in [("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5000)]
        {
            let sql = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
            let value: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("one");
            assert_eq!(value, expected, "{pragma}");
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .expect("one");
        assert_eq!(mode, "wal");
        connection.close().await.expect("close");
    }

    #[test]
    fn urls_that_name_no_database_are_refused_without_their_password() {
        for url in [
            "",
            "mysql://root:hunter2@localhost/x",
            "hunter2",
            "sqlite:",
            "sqlite::memory:",
            "postgres://root:hunter2@host:port/x",
            "postgres://root:hun/ter2@host/x",
            "postgres://root:7?hunter2@host/x",
            "postgres://root:7#hunter2@host/x",
            "postgres://root:7/hunter2@host/x",
        ] {
            let error = Server::parse(url).err().expect(url).to_string();
            assert!(!error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn a_database_is_called_by_its_place_and_not_by_its_password() {
        let name = |url| Server::parse(url).expect(url).to_string();
        assert_eq!(name("sqlite:/data/lectern.db"), "SQLite file /data/lectern.db");
        assert_eq!(name("sqlite://data/lectern.db"), "SQLite file data/lectern.db");
        assert_eq!(name("postgres://u:p@ss@db.example/x"), "PostgreSQL at db.example:5432");
        assert_eq!(name("postgres:///x?host=/run/pg&password=p"), "PostgreSQL at /run/pg");
    }
}
