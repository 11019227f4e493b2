//! What an operator does with the binary: asks whether a configuration is good, has it read again while it
//! runs, and reads what it says of itself.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// Far beyond what anything here takes on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// `EX_CONFIG` of sysexits.h.
const REFUSED: Option<i32> = Some(78);

fn lectern() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lectern"));
    // Nothing of whoever runs the tests.
    command.env_clear();
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = lectern().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn written(dir: &TempDir, toml: &str) -> String {
    let file = dir.path().join("lectern.toml");
    fs::write(&file, toml).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_configuration_is_good_or_told_what_is_wrong_with_it_a_line_for_each_fault() {
    let dir = tempfile::tempdir().unwrap();
    let good = written(&dir, "[edge]\nmedia = \"127.0.0.1:8189\"");
    let (code, told, wrong) = run(&["check-config", "--role", "edge", "--config", &good]);
    assert_eq!((code, wrong.as_str()), (Some(0), ""));
    assert!(told.contains("edge.http     TCP 0.0.0.0:8080"), "{told}");

    let toml = "[edge]\nworkers = 1000\nrelay_token_file = \"/nowhere\"\n[origin]\nworkers = 1";
    let bad = written(&dir, toml);
    let (code, told, wrong) = run(&["check-config", "--config", &bad]);
    assert_eq!((code, told.as_str(), wrong.lines().count()), (REFUSED, "", 1));
    assert!(wrong.starts_with("error: origin.workers: no such setting"), "{wrong}");

    let bad = written(&dir, &toml.replace("[origin]\nworkers = 1", ""));
    let expect = |wrong: &str| {
        let errors: Vec<_> = wrong.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 2, "{wrong}");
        assert!(wrong.contains("error: edge.workers: 1000; at most 256"), "{wrong}");
        assert!(wrong.contains("error: edge.relay_token_file: /nowhere: No such file"), "{wrong}");
    };
    let (code, _, wrong) = run(&["check-config", "--role", "edge", "--config", &bad]);
    assert_eq!(code, REFUSED);
    expect(&wrong);
    // As a start does.
    let (code, _, wrong) = run(&["edge", "--config", &bad]);
    assert_eq!(code, REFUSED);
    expect(&wrong);
    let elsewhere = ["check-config", "--role", "edge", "--settings-only", "--config", &bad];
    let (code, _, wrong) = run(&elsewhere);
    assert!(code == REFUSED && !wrong.contains("/nowhere"), "{wrong}");
    let (code, _, wrong) = run(&["check-config", "--role", "relay"]);
    assert_eq!(code, Some(2), "{wrong}");
}

#[test]
fn the_version_names_the_commit() {
    let (code, told, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    let (version, commit) = told.trim().rsplit_once(" (").expect("a commit");
    assert_eq!(version, concat!("lectern ", env!("CARGO_PKG_VERSION")));
    assert!(commit.len() > 1, "{told}");
}

/// A node that runs, and what it logs.
struct Node {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Node {
    fn start(role: &str, config: &Path) -> Self {
        let mut command = lectern();
        command.arg(role).arg("--config").arg(config).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line with this in it.
    fn says(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("it does not say {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn reload(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_hangup_has_the_configuration_read_again_and_used_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let ops = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let edge = format!(
        "[edge]\nops = \"{ops}\"\nhttp = \"127.0.0.1:0\"\nmedia = \"127.0.0.1:0\"\n\
         upstream = \"127.0.0.1:1\"\n"
    );
    let file = written(&dir, &format!("log = \"info\"\n{edge}"));
    let running = Node::start("edge", Path::new(&file));
    running.says("edge is up");
    let metrics = get(ops, "/metrics");
    for name in [
        "lectern_build_info{commit=",
        "process_resident_memory_bytes ",
        "lectern_edge_kept_bytes 0",
        "lectern_upstream_path_packets_lost_total 0",
        "lectern_config_last_reload_successful 1",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }

    written(&dir, &format!("log = \"debug\"\n{edge}sessions_max = 7"));
    running.reload();
    let line = running.says("the configuration was read again");
    assert!(line.contains("edge.sessions_max") && line.contains("log"), "{line}");

    written(&dir, &format!("log = \"info\"\n{edge}sessions_max = 7\nlobby = false"));
    running.reload();
    let line = running.says("needs a restart");
    assert!(line.contains("edge.lobby"), "{line}");
    running.says("nothing of it is used");
    assert!(get(ops, "/metrics").contains("lectern_config_last_reload_successful 0"));
    assert!(get(ops, "/healthz").contains("200 OK"));
}

#[test]
fn a_hangup_has_the_broadcasts_of_the_file_changed() {
    let dir = tempfile::tempdir().unwrap();
    let any = "\"127.0.0.1:0\"";
    let origin = format!(
        "data_dir = {:?}\n[origin]\nrtmp = {any}\nrelay = {any}\nhttp = {any}\nmedia = {any}\n\
         ops = {any}\nreencode = false\n",
        dir.path().join("data")
    );
    let broadcast =
        |id: &str, key: &str| format!("[[broadcast]]\nid = \"{id}\"\nstream_key = \"{key}\"\n");
    let file = written(&dir, &format!("{origin}{}", broadcast("a", "key-a")));
    let running = Node::start("origin", Path::new(&file));
    running.says("origin is up");
    written(&dir, &format!("{origin}{}{}", broadcast("a", "key-a"), broadcast("b", "key-b")));
    running.reload();
    let line = running.says("the configuration was read again");
    assert!(line.contains("keys=[\"broadcast\"]"), "{line}");
    written(&dir, &format!("{origin}{}{}", broadcast("b", "key-c"), broadcast("c", "key-c")));
    running.reload();
    let line = running.says("broadcast.1.stream_key");
    assert!(line.contains("c has that of b") && !line.contains("key-c"), "{line}");
    running.says("nothing of it is used");
}

#[test]
fn each_line_of_the_log_is_an_object_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let toml = "log_format = \"json\"\n[edge]\nops = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
                media = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:1\"\n";
    let running = Node::start("edge", Path::new(&written(&dir, toml)));
    let said: serde_json::Value = serde_json::from_str(&running.says("edge is up")).unwrap();
    assert_eq!(
        (said["level"].as_str(), said["target"].as_str()),
        (Some("INFO"), Some("lectern::role"))
    );
    assert_eq!(said["message"], "edge is up");
    assert!(said["http"].is_string() && said["timestamp"].is_string(), "{said}");
}
