//! Blocking playlist reload (RFC 8216bis §6.2.5.2): clients that all wait for the next part, and how
//! long after it was there the last of them knows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lectern_bench_rig::proc::{self, Busy};
use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::{CLIENT_CORE, unix_us};
use reqwest::Url;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::objects::{self, Broadcast};

/// How long one answer may take: a part comes several times a second.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The largest answer that is read; a playlist has a few KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Until all clients wait for the same part.
const SETTLE: Duration = Duration::from_secs(2);
const HEADERS_MAX: usize = 32;

/// What is measured.
pub(crate) struct Reload<'a> {
    pub(crate) broadcast: &'a Broadcast,
    pub(crate) address: SocketAddr,
    pub(crate) edge_pid: u32,
    pub(crate) clients: u64,
    pub(crate) seconds: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Reloaded {
    pub(crate) clients: u64,
    pub(crate) parts: usize,
    pub(crate) answers_per_sec: f64,
    /// From the arrival of a part's last frame at the origin to each answer.
    pub(crate) each: Quantiles,
    /// The same to the last answer, for each part.
    pub(crate) last: Quantiles,
    /// From the first answer to the last, for each part.
    pub(crate) spread: Quantiles,
    /// Answers to questions that came after the part.
    pub(crate) late: usize,
    /// Clients that broke off, and why the first did.
    pub(crate) failed: Vec<String>,
    pub(crate) playlist_bytes: usize,
    /// Of a core, by the edge.
    pub(crate) edge_percent: f64,
    pub(crate) client_core_percent: f64,
    pub(crate) rss_before_kb: u64,
    pub(crate) rss_kb: u64,
}

/// A part's number: of its segment, and within it.
type Part = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Answer {
    part: Part,
    asked_us: u64,
    answered_us: u64,
}

impl Reload<'_> {
    /// Has the clients wait for parts, again and again.
    pub(crate) async fn run(&self) -> anyhow::Result<Reloaded> {
        let playlist = self.broadcast.playlist()?;
        let text = String::from_utf8(self.broadcast.get(&playlist).await?)?;
        let (part, uri) = hint(&text).context("the playlist announces no part")?;
        let url = playlist.join(uri)?;
        let rss_before_kb = proc::rss_kb(self.edge_pid)?;
        let mut clients = JoinSet::new();
        let from = Instant::now() + SETTLE;
        let until = from + Duration::from_secs(self.seconds);
        for _ in 0..self.clients {
            let client = Client::connect(self.address, &playlist).await?;
            clients.spawn(client.follow(part, until));
        }
        tokio::time::sleep_until(from).await;
        let from_us = unix_us();
        let (cpu, busy) = (proc::cpu(self.edge_pid)?, Busy::now(CLIENT_CORE)?);
        let measured = Instant::now();
        sleep(Duration::from_secs(self.seconds)).await;
        let seconds = measured.elapsed().as_secs_f64();
        let cpu = proc::cpu(self.edge_pid)?.saturating_sub(cpu);
        let client_core_percent = Busy::now(CLIENT_CORE)?.percent_since(&busy);
        let rss_kb = proc::rss_kb(self.edge_pid)?;
        let mut reloaded = Reloaded {
            clients: self.clients,
            playlist_bytes: text.len(),
            edge_percent: cpu.as_secs_f64() * 100.0 / seconds,
            client_core_percent,
            rss_before_kb,
            rss_kb,
            ..Reloaded::default()
        };
        let mut answers = Vec::new();
        while let Some(client) = clients.join_next().await {
            match client? {
                Ok(its) => answers.extend(its),
                Err(error) => reloaded.failed.push(format!("{error:#}")),
            }
        }
        answers.retain(|answer| answer.asked_us >= from_us);
        reloaded.answers_per_sec = answers.len() as f64 / seconds;
        let published = self.published(&url, part, &answers).await?;
        reloaded.evaluate(&answers, &published);
        ensure!(reloaded.parts > 0, "no part came");
        Ok(reloaded)
    }

    /// When the last frame of each part that was answered arrived at the origin.
    async fn published(
        &self,
        url: &Url,
        (msn, number): Part,
        answers: &[Answer],
    ) -> anyhow::Result<BTreeMap<Part, u64>> {
        let mut published: BTreeMap<Part, u64> =
            answers.iter().map(|answer| (answer.part, 0)).collect();
        for (part, at_us) in &mut published {
            let file = format!("{}.{}.m4s", part.0, part.1);
            let url = url.as_str().replace(&format!("{msn}.{number}.m4s"), &file);
            let bytes = self.broadcast.get(&Url::parse(&url)?).await?;
            *at_us = last_arrival_us(&bytes).context("a part without prft")?;
        }
        Ok(published)
    }
}

impl Reloaded {
    fn evaluate(&mut self, answers: &[Answer], published: &BTreeMap<Part, u64>) {
        let mut by_part = BTreeMap::<Part, (u64, u64)>::new();
        let mut each = Vec::new();
        for Answer { part, asked_us, answered_us } in answers {
            let Some(published_us) = published.get(part) else { continue };
            if asked_us >= published_us {
                self.late += 1;
                continue;
            }
            each.push(answered_us.saturating_sub(*published_us));
            let (first, last) = by_part.entry(*part).or_insert((u64::MAX, 0));
            (*first, *last) = ((*first).min(*answered_us), (*last).max(*answered_us));
        }
        // Where not all clients asked, at the start and at the end, the rest would flatter.
        let full = |part: &Part| {
            let asked = answers.iter().filter(|answer| answer.part == *part).count() as u64;
            asked + self.failed.len() as u64 >= self.clients
        };
        by_part.retain(|part, _| full(part));
        self.parts = by_part.len();
        let last = by_part.iter().map(|(part, (_, last))| last.saturating_sub(published[part]));
        self.last = Quantiles::of_micros(last.collect());
        self.spread = Quantiles::of_micros(by_part.values().map(|(a, b)| b - a).collect());
        self.each = Quantiles::of_micros(each);
    }
}

/// One client: a connection, and what it has read.
struct Client {
    stream: TcpStream,
    path: String,
    host: String,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr, playlist: &Url) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (path, host) = (playlist.path().to_owned(), address.to_string());
        Ok(Self { stream, path, host, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Asks for `part`, then for the one that the answer announces, and so on.
    async fn follow(mut self, mut part: Part, until: Instant) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        while Instant::now() < until {
            let asked_us = unix_us();
            let next = tokio::time::timeout(ANSWER_MAX, self.ask(part)).await;
            let (answered_us, next) = next.context("an answer took too long")??;
            answers.push(Answer { part, asked_us, answered_us });
            ensure!(next > part, "{part:?} is announced again");
            part = next;
        }
        Ok(answers)
    }

    /// Waits for `part`; returns when the answer was there, and which part it announces.
    async fn ask(&mut self, (msn, number): Part) -> anyhow::Result<(u64, Part)> {
        let Self { path, host, .. } = self;
        let request = format!(
            "GET {path}?_HLS_msn={msn}&_HLS_part={number} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let body = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "closed by the edge");
            ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "the answer is too long");
            if let Some(body) = body(&self.buffer)? {
                break body;
            }
        };
        let answered_us = unix_us();
        let (next, _) = hint(std::str::from_utf8(body)?).context("nothing is announced")?;
        Ok((answered_us, next))
    }
}

/// The body of an answer, once it is all there.
fn body(answer: &[u8]) -> anyhow::Result<Option<&[u8]>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(at) = head.parse(answer)? else { return Ok(None) };
    let code = head.code.unwrap_or(0);
    if code != 200 {
        bail!("the edge answers {code}");
    }
    let length = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("no Content-Length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    Ok(answer.get(at..at.saturating_add(length)))
}

/// The part that a playlist announces, and where it will be.
fn hint(playlist: &str) -> Option<(Part, &str)> {
    let line = playlist.rsplit('\n').find(|line| line.starts_with("#EXT-X-PRELOAD-HINT:"))?;
    let uri = objects::uri(line)?;
    let file = uri.rsplit('/').next()?.strip_suffix(".m4s")?;
    let (msn, number) = file.split_once('.')?;
    Some(((msn.parse().ok()?, number.parse().ok()?), uri))
}

/// When the last frame of a part arrived at the origin, in Unix microseconds: what the last of its
/// `prft` boxes says (ISO/IEC 14496-12 §8.16.5).
fn last_arrival_us(part: &[u8]) -> Option<u64> {
    /// From 1900, where NTP begins, to 1970.
    const NTP_UNIX_SECS: u64 = 2_208_988_800;
    let (mut rest, mut found) = (part, None);
    while let Some((head, _)) = rest.split_first_chunk::<8>() {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let whole = rest.get(..size.max(8))?;
        if &head[4..] == b"prft" {
            // Version and flags, the track, then the time as seconds and their 2⁻³² parts.
            let ntp = u64::from_be_bytes(whole.get(16..24)?.try_into().ok()?);
            let fraction_us = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
            found = Some(((ntp >> 32).checked_sub(NTP_UNIX_SECS)?) * 1_000_000 + fraction_us);
        }
        rest = &rest[whole.len()..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
        assert_eq!(body(answer).unwrap(), Some(&b"abcd"[..]));
        assert_eq!(body(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(body(&answer[..20]).unwrap(), None);
        assert!(body(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn the_announced_part_is_read() {
        let text = "#EXTM3U\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../v~1/12.3.m4s\"\n#EXT-X-X\n";
        assert_eq!(hint(text), Some(((12, 3), "../v~1/12.3.m4s")));
        assert_eq!(hint("#EXTM3U\n"), None);
    }

    #[test]
    fn the_last_frame_of_a_part_says_when_it_came() {
        let prft = |secs: u32, fraction: u32| {
            let mut prft = vec![0, 0, 0, 32];
            prft.extend(b"prft\x01\0\0\x18\0\0\0\x01");
            prft.extend(secs.to_be_bytes());
            prft.extend(fraction.to_be_bytes());
            prft.extend([0; 8]);
            prft
        };
        let mdat = *b"\0\0\0\x0amdat\0\0";
        let part = [&prft(2_208_988_801, 0)[..], &mdat, &prft(2_208_988_802, 1 << 31), &mdat];
        assert_eq!(last_arrival_us(&part.concat()), Some(2_500_000));
        assert_eq!(last_arrival_us(&mdat), None);
        assert_eq!(last_arrival_us(&part.concat()[..40]), None);
    }

    #[test]
    fn those_who_asked_late_are_counted_and_not_measured() {
        let answer = |asked_us, answered_us| Answer { part: (1, 2), asked_us, answered_us };
        let answers = [answer(10, 150), answer(20, 130), answer(110, 111)];
        let mut reloaded = Reloaded { clients: 3, ..Reloaded::default() };
        reloaded.evaluate(&answers, &BTreeMap::from([((1, 2), 100)]));
        assert_eq!((reloaded.parts, reloaded.late, reloaded.each.count), (1, 1, 2));
        assert_eq!((reloaded.last.max_ms, reloaded.spread.max_ms), (0.05, 0.02));
    }
}
