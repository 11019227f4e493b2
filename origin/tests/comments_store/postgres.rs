//! A PostgreSQL server of a test's own: in a temporary directory, on a socket there and on no port,
//! stopped when the test ends, however it ends.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const MISSING: &str = "PostgreSQL's server is missing: `scripts/install.sh test` installs it";

/// A running server.
pub(crate) struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    /// Whom it runs as, if not as us: it refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Postgres {
    /// Starts a server with an empty database.
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("lectern-pg-").tempdir().expect("directory");
        let is_root = dir.path().metadata().expect("metadata").uid() == 0;
        let user = is_root.then(|| (id("-u"), id("-g")));
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).expect("give the directory away");
        }
        let server = Self { bin: bin(), user, dir };
        server.run(
            "initdb",
            &["--username=postgres", "--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8"],
        );
        server.resume();
        server
    }

    /// Stops it: whoever is connected is cut off.
    pub(crate) fn stop(&self) {
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode=immediate"]);
    }

    /// Starts it again.
    pub(crate) fn resume(&self) {
        // Nothing here outlives the server, so nothing need be synced.
        let options = format!("-c listen_addresses= -c fsync=off -k {}", self.dir.path().display());
        let log = self.dir.path().join("log");
        let log = log.to_str().expect("UTF-8");
        self.run("pg_ctl", &["start", "--wait", "--silent", "--log", log, "--options", &options]);
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("postgres:///postgres?user=postgres&host={}", self.dir.path().display())
    }

    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(self.bin.join(program));
        command.args(args).arg("--pgdata").arg(self.dir.path().join("data"));
        // To a file: a server that goes on would keep a pipe open.
        let said = self.dir.path().join("said");
        let file = std::fs::File::create(&said).expect("file");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("file")).stderr(file);
        command.current_dir(self.dir.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let status = command.status().expect(MISSING);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let said = || read(&said) + &read(&self.dir.path().join("log"));
        assert!(status.success(), "{program}: {status}\n{}", said());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.dir.path().join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}

/// Where the programs of the newest version are: Debian keeps them off the PATH.
fn bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut bins: Vec<_> = bins.chain(std::env::split_paths(&path)).collect();
    bins.retain(|bin| bin.join("initdb").exists());
    bins.into_iter().max_by_key(|bin| version(bin)).expect(MISSING)
}

/// 15 of `/usr/lib/postgresql/15/bin`.
fn version(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The user that Debian's package makes.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().expect("id");
    let id = String::from_utf8(output.stdout).expect("a number");
    id.trim().parse().expect(MISSING)
}
