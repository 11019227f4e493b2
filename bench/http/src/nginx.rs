//! An nginx of our own, with the settings that suit it best: what the edge is compared with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use lectern_bench_rig::EDGE_CORE;
use lectern_bench_rig::servers::{START_MAX, died_with_us, ports};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Duration, Instant, sleep};

/// Debian has it where only root looks.
const PROGRAMS: [&str; 2] = ["/usr/sbin/nginx", "nginx"];
const POLL: Duration = Duration::from_millis(20);

/// A running nginx. Dropping it ends it.
pub(crate) struct Nginx {
    address: SocketAddr,
    root: PathBuf,
    child: Child,
    _dir: TempDir,
}

impl Nginx {
    /// Starts it on the core that the edge has; returns once it answers.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().join("files");
        std::fs::create_dir(&root)?;
        let [port] = ports(Ipv4Addr::LOCALHOST.into())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config(dir.path(), address))?;
        let program = PROGRAMS.into_iter().find(|program| Path::new(program).exists());
        let mut command = died_with_us(&[]);
        command.args(["taskset", "-c", &EDGE_CORE.to_string(), program.unwrap_or(PROGRAMS[1])]);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file).stderr(Stdio::null());
        let child = command.spawn().context("nginx cannot be started")?;
        let mut nginx = Self { address, root, child, _dir: dir };
        nginx.wait().await?;
        Ok(nginx)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("nginx has ended")
    }

    /// Serves `bytes` under `name`, at the address that it returns. A name is used once: nginx keeps
    /// what it has opened.
    pub(crate) fn serve(&self, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
        std::fs::write(self.root.join(name), bytes)?;
        Ok(format!("http://{}/{name}", self.address))
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("nginx ended ({status}): scripts/install.sh bench-http installs it");
            }
            if Instant::now() > deadline {
                bail!("nginx does not answer after {START_MAX:?}");
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

/// One process, which is master and worker, so that nothing outlives it.
fn config(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\n\
         master_process off;\n\
         pid {dir}/nginx.pid;\n\
         error_log {dir}/error.log;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path {dir}/body;\n\
           proxy_temp_path {dir}/proxy;\n\
           fastcgi_temp_path {dir}/fastcgi;\n\
           uwsgi_temp_path {dir}/uwsgi;\n\
           scgi_temp_path {dir}/scgi;\n\
           types {{ video/mp4 m4s; application/dash+xml mpd; application/vnd.apple.mpegurl m3u8; }}\n\
           sendfile on;\n\
           tcp_nopush on;\n\
           open_file_cache max=64 inactive=600s;\n\
           open_file_cache_valid 600s;\n\
           keepalive_timeout 600s;\n\
           keepalive_requests 1000000000;\n\
           server {{ listen {address}; root {dir}/files; }}\n\
         }}\n"
    )
}
