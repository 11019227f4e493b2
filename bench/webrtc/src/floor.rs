//! The floor: sealing and sending the very packets that a viewer was sent, to as many sockets, and
//! nothing else. Runs as a process of its own on the edge's core, so that it is counted alike.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use dimpl::SrtpProfile;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use serde::{Deserialize, Serialize};

use crate::socket::{Reader, Socket};
use crate::window::TraceFrame;
use lectern_bench_rig::EDGE_CORE;
use lectern_bench_rig::proc;
use lectern_bench_rig::servers::died_with_us;

/// RTP header without extension.
const HEADER: usize = 12;
const TAG: usize = 16;
/// As the edge's.
const SEND_BYTES_MAX: usize = 65_000;
const SEGMENTS_MAX: usize = 64;
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    key_bits: usize,
    destinations: Vec<SocketAddr>,
    frames: Vec<TraceFrame>,
}

/// What it took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) cpu_us: u64,
    pub(crate) seconds: f64,
    /// Datagrams sent.
    pub(crate) sent: u64,
    /// And how many of them arrived.
    #[serde(default)]
    pub(crate) arrived: u64,
    /// How late the latest frame was begun.
    pub(crate) late_us: u64,
}

impl Floor {
    /// The figure: microseconds of processor time per viewer and second.
    pub(crate) fn us_per_viewer_second(&self, viewers: usize) -> f64 {
        self.cpu_us as f64 / self.seconds / viewers as f64
    }
}

/// Measures the floor for what was recorded.
pub(crate) async fn measure(
    viewers: usize,
    frames: Vec<TraceFrame>,
    profile: Option<SrtpProfile>,
) -> anyhow::Result<Floor> {
    ensure!(!frames.is_empty(), "no viewer's packets were recorded");
    let key_bits = match profile {
        Some(SrtpProfile::AEAD_AES_256_GCM) => 256,
        Some(SrtpProfile::AEAD_AES_128_GCM) => 128,
        other => anyhow::bail!("the floor is measured for AES-GCM, and {other:?} was negotiated"),
    };
    let sinks = Sinks::start(viewers)?;
    let patience = Duration::from_micros(frames.last().map_or(0, |frame| frame.at_us)) * 4;
    let plan = Plan { key_bits, destinations: sinks.addresses.clone(), frames };
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&serde_json::to_vec(&plan)?)?;
    let mut command = died_with_us(&["taskset", "-c", &EDGE_CORE.to_string()]);
    command.arg(std::env::current_exe()?).arg("floor").arg(file.path());
    let child = command.stdout(Stdio::piped()).spawn()?;
    let output = tokio::time::timeout(patience, child.wait_with_output()).await;
    let output = output.context("the floor takes too long")??;
    ensure!(output.status.success(), "the floor ended: {}", output.status);
    let mut floor: Floor = serde_json::from_slice(&output.stdout)?;
    // What is still in the sockets.
    tokio::time::sleep(Duration::from_millis(200)).await;
    floor.arrived = sinks.count.load(Ordering::Relaxed);
    Ok(floor)
}

/// The process of its own: does as the file says, and prints what it took.
pub(crate) fn run(plan: &Path) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(plan)?)?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    socket2::SockRef::from(&udp).set_send_buffer_size(BUFFER_BYTES)?;
    let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
    let algorithm = if plan.key_bits == 256 { &AES_256_GCM } else { &AES_128_GCM };
    let keys: Result<Vec<LessSafeKey>, _> = (0..plan.destinations.len())
        .map(|n| {
            let key: Vec<u8> = (0..plan.key_bits / 8).map(|byte| (byte * 7 + n) as u8).collect();
            UnboundKey::new(algorithm, &key).map(LessSafeKey::new)
        })
        .collect();
    let keys = keys.ok().context("AES-GCM keys")?;
    let longest = plan.frames.iter().map(|frame| frame.datagrams.iter().sum()).max().unwrap_or(0);
    // Different in every frame's place, as media is.
    let media: Vec<u8> = (0..longest + 4_096_usize).map(|n| ((n * n) >> 3) as u8).collect();
    let mut buffer = vec![0; longest];
    let (mut index, mut floor) = (0_u64, Floor::default());
    let (begun, before) = (Instant::now(), proc::cpu(std::process::id())?);
    for (n, frame) in plan.frames.iter().enumerate() {
        let due = Duration::from_micros(frame.at_us);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let late = begun.elapsed().saturating_sub(due);
        floor.late_us = floor.late_us.max(late.as_micros() as u64);
        let media = &media[n % 4_096..];
        for (key, destination) in keys.iter().zip(&plan.destinations) {
            let mut filled = 0;
            for (place, length) in frame.datagrams.iter().enumerate() {
                let out = &mut buffer[filled..filled + length];
                seal(key, index + place as u64, &media[filled..], out)?;
                filled += length;
            }
            let mut begin = 0;
            for run in runs(&frame.datagrams) {
                let length: usize = run.iter().sum();
                let transmit = Transmit {
                    destination: *destination,
                    ecn: None,
                    contents: &buffer[begin..begin + length],
                    segment_size: (run.len() > 1).then_some(run[0]),
                    src_ip: None,
                };
                // A full buffer is a lost packet, as at the edge; those that arrive are counted.
                let _ = state.try_send(UdpSockRef::from(&udp), &transmit);
                floor.sent += run.len() as u64;
                begin += length;
            }
        }
        index += frame.datagrams.len() as u64;
    }
    floor.cpu_us = (proc::cpu(std::process::id())? - before).as_micros() as u64;
    floor.seconds = begun.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&floor)?);
    Ok(())
}

/// Writes an SRTP packet of the length of `out`, RFC 7714 §8.
fn seal(key: &LessSafeKey, index: u64, media: &[u8], out: &mut [u8]) -> anyhow::Result<()> {
    let text = out.len().checked_sub(HEADER + TAG).context("a packet too short for SRTP")?;
    let mut header = [0; HEADER];
    header[0] = 0x80;
    header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    out[..HEADER].copy_from_slice(&header);
    let (body, tag) = out[HEADER..].split_at_mut(text);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let media = &media[..text];
    key.seal_out_of_place_scatter(nonce, Aad::from(header), media, body, &[], tag)
        .ok()
        .context("AES-GCM")
}

/// The segmented sends that a frame takes: datagrams of one size, of which only the last may be
/// shorter.
fn runs(datagrams: &[usize]) -> Vec<&[usize]> {
    let mut runs = Vec::new();
    let mut rest = datagrams;
    while let Some(first) = rest.first() {
        let fits = SEGMENTS_MAX.min(SEND_BYTES_MAX / first.max(&1));
        let equal = rest.iter().take(fits).take_while(|length| *length == first).count();
        let shorter = equal < fits && rest.get(equal).is_some_and(|length| length < first);
        let (run, after) = rest.split_at(equal.max(1) + usize::from(shorter));
        runs.push(run);
        rest = after;
    }
    runs
}

/// As many sockets as there were viewers, read as the viewers' are.
struct Sinks {
    addresses: Vec<SocketAddr>,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sinks {
    fn start(count: usize) -> anyhow::Result<Self> {
        let sockets: Result<Vec<Socket>, _> =
            (0..count).map(|_| Socket::bind(IpAddr::from([127, 0, 0, 1]))).collect();
        let sockets = sockets?;
        let addresses: Result<_, _> = sockets.iter().map(Socket::local_addr).collect();
        let mut poll = Poll::new()?;
        for (n, socket) in sockets.iter().enumerate() {
            let mut source = SourceFd(&socket.source());
            poll.registry().register(&mut source, Token(n), Interest::READABLE)?;
        }
        let (count, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (count.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("sinks".into()).spawn(move || {
            let mut events = Events::with_capacity(1_024);
            let mut reader = Reader::new();
            while !stopped.load(Ordering::Relaxed) {
                // Interrupted or not: the next turn looks again.
                let _ = poll.poll(&mut events, Some(Duration::from_millis(100)));
                for event in &events {
                    let Some(socket) = sockets.get(event.token().0) else { continue };
                    let count = |_: &[u8], _| {
                        counted.fetch_add(1, Ordering::Relaxed);
                    };
                    while let Ok(true) = socket.receive(&mut reader, count) {}
                }
            }
        })?;
        Ok(Self { addresses: addresses?, count, stop, thread: Some(thread) })
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_as_few_sends_as_segmentation_allows() {
        let check = |datagrams: &[usize], expect: &[usize]| {
            let runs = runs(datagrams);
            assert_eq!(runs.concat(), datagrams);
            assert_eq!(runs.iter().map(|run| run.len()).collect::<Vec<_>>(), expect);
        };
        check(&[], &[]);
        check(&[100], &[1]);
        check(&[100, 100, 90], &[3]);
        check(&[60, 100, 100, 90, 100], &[1, 3, 1]);
        check(&[1_000; 70], &[64, 6]);
        check(&[1_180; 60], &[55, 5]);
        check(&[100, 90, 90], &[2, 1]);
    }
}
