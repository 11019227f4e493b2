//! The host: ffmpeg, which publishes a test picture and a tone in real time, and is started again whenever it
//! ends, as a studio's supervisor does.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use lectern_bench_rig::servers::died_with_us;
use tokio::process::Command;
use tokio::sync::watch;

/// Between two starts of an encoder that nobody takes in. At once after one that was.
const PAUSE: Duration = Duration::from_millis(250);
/// Whoever ran for so long had been taken in.
const WAS_IN: Duration = Duration::from_secs(2);

/// A keyframe each second, no B-frames, and a stamp of nothing: what viewers see is not looked at.
const ENCODE: &str = "-hide_banner -loglevel error -nostdin \
    -re -f lavfi -i testsrc2=size=640x360:rate=25 -re -f lavfi -i sine=frequency=440:sample_rate=48000 \
    -threads 1 -c:v libx264 -preset ultrafast -tune zerolatency -profile:v high -pix_fmt yuv420p \
    -bf 0 -g 25 -keyint_min 25 -sc_threshold 0 -b:v 800k -maxrate 800k -bufsize 400k \
    -c:a aac -b:a 96k -ac 2 -f flv";

/// What the encoder is to do. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Encoder {
    wanted: watch::Sender<Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    runs: bool,
    /// How often it has been dropped.
    drops: u64,
}

impl Encoder {
    /// Has it publish to `url` from `namespace`, for as long as the task of this thread's runtime lives.
    pub(crate) fn start(namespace: &str, url: String, log: PathBuf) -> Self {
        let (wanted, told) = watch::channel(Wanted { runs: true, drops: 0 });
        tokio::spawn(supervise(namespace.to_owned(), url, log, told));
        Self { wanted }
    }

    /// Kills it; it is started again at once.
    pub(crate) fn drop_once(&self) {
        self.wanted.send_modify(|wanted| wanted.drops += 1);
    }

    /// Kills it, until it is to run again.
    pub(crate) fn run(&self, runs: bool) {
        self.wanted.send_modify(|wanted| wanted.runs = runs);
    }
}

async fn supervise(
    namespace: String,
    url: String,
    log: PathBuf,
    mut told: watch::Receiver<Wanted>,
) {
    loop {
        if told.wait_for(|wanted| wanted.runs).await.is_err() {
            return;
        }
        told.mark_unchanged();
        let began = tokio::time::Instant::now();
        let mut command = command(&namespace, &url);
        if let Ok(file) = std::fs::OpenOptions::new().create(true).append(true).open(&log) {
            command.stderr(file);
        }
        match command.spawn() {
            Ok(mut child) => {
                let gone = tokio::select! {
                    _ = child.wait() => false,
                    changed = told.changed() => changed.is_err(),
                };
                // It has ended already, or is to.
                let _ = child.kill().await;
                if gone {
                    return;
                }
            }
            Err(error) => eprintln!("the encoder does not start: {error}"),
        }
        if began.elapsed() < WAS_IN {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn command(namespace: &str, url: &str) -> Command {
    let mut command = died_with_us(&["ip", "netns", "exec", namespace]);
    command.arg("ffmpeg").args(ENCODE.split_ascii_whitespace()).arg(url).stdout(Stdio::null());
    command
}
