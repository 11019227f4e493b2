//! The PostgreSQL server of the cluster: made once, then a process like any other.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lectern_bench_rig::servers::died_with_us;

use crate::network::Place;

const MISSING: &str = "PostgreSQL's server is missing: `scripts/install.sh test` installs it";
/// It refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";
const PORT: u16 = 5_432;
/// How long the server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What origins are told.
pub(crate) fn url() -> String {
    format!("postgres://{USER}@{}:{PORT}/postgres", Place::Database.address())
}

/// The user and the group that it runs as.
pub(crate) fn user() -> anyhow::Result<(u32, u32)> {
    Ok((id("-u")?, id("-g")?))
}

/// Makes an empty database in `dir`, and returns how its server is started.
pub(crate) fn make(dir: &Path) -> anyhow::Result<Vec<String>> {
    let (user, group) = user()?;
    chown(dir, Some(user), Some(group))?;
    let (bin, data) = (bin()?, dir.join("data"));
    let output = Command::new(bin.join("initdb"))
        .args([&format!("--username={USER}"), "--auth=trust", "--no-sync", "--no-locale"])
        .args(["--encoding=UTF8", "--pgdata"])
        .arg(&data)
        .current_dir(dir)
        .stdin(Stdio::null())
        .uid(user)
        .gid(group)
        .output()
        .context(MISSING)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb: {}", said.trim());
    let trusted = format!("host all all {}/24 trust\n", Place::Database.address());
    let mut rules = std::fs::read_to_string(data.join("pg_hba.conf"))?;
    rules += &trusted;
    std::fs::write(data.join("pg_hba.conf"), rules)?;
    let text = |path: PathBuf| path.into_os_string().into_string().ok().context("not UTF-8");
    let mut words = vec![text(bin.join("postgres"))?, "-D".to_owned(), text(data)?];
    let settings = [
        format!("listen_addresses={}", Place::Database.address()),
        format!("port={PORT}"),
        format!("unix_socket_directories={}", text(dir.to_owned())?),
        // The disk is small.
        "min_wal_size=32MB".to_owned(),
        "max_wal_size=48MB".to_owned(),
    ];
    settings.into_iter().for_each(|setting| words.extend(["-c".to_owned(), setting]));
    Ok(words)
}

/// Has the server end the file of its log, as it does by itself every 16 MB: the next thing that it stores needs
/// a new one, which a full disk does not have. `namespace` is its own.
pub(crate) async fn end_log(namespace: &str) -> anyhow::Result<()> {
    let host = Place::Database.address().to_string();
    let mut psql = died_with_us(&["ip", "netns", "exec", namespace]);
    psql.arg(bin()?.join("psql")).args(["--host", &host, "--username", USER]);
    psql.args(["--quiet", "--command", "SELECT pg_switch_wal()", "postgres"]);
    let output = tokio::time::timeout(ANSWER_MAX, psql.output()).await;
    let output = output.context("the database does not answer")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql: {}", said.trim());
    Ok(())
}

/// Where the programs of the newest version are: Debian keeps them off the PATH.
fn bin() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut bins: Vec<_> = bins.chain(std::env::split_paths(&path)).collect();
    bins.retain(|bin| bin.join("initdb").exists());
    bins.into_iter().max_by_key(|bin| version(bin)).context(MISSING)
}

/// 15 of `/usr/lib/postgresql/15/bin`.
fn version(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}

fn id(which: &str) -> anyhow::Result<u32> {
    let output = Command::new("id").args([which, USER]).output()?;
    let id = String::from_utf8(output.stdout)?;
    id.trim().parse().context(MISSING)
}
