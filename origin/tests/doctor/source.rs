//! Sources as encoders make them, and what the doctor says of them, in virtual time: a tag arrives when
//! its timestamp says, unless a test has another idea.

use std::process::{Command, Stdio};

use bytes::Bytes;
use lectern_origin::doctor::{Change, Doctor, Report};
use lectern_origin::ingest::flv::{self, Demuxer, Tag};
use lectern_origin::take::{Continuation, Take};
use lectern_relay_proto::{SegmentGrid, UtcTime};

/// When all streams begin.
const T0_MS: u64 = 1_795_000_000_000;

/// Something that moves, at 30 frames a second.
pub(crate) const MOVING: &str = "-f lavfi -i testsrc2=size=320x180:rate=30";
/// A voice, as far as a meter is concerned.
pub(crate) const VOICE: &str = "-f lavfi -i sine=frequency=220:sample_rate=48000,pan=stereo|c0=c0|c1=c0,volume=9dB,tremolo=f=4:d=0.7";
/// H.264 as it should be.
pub(crate) const X264: &str = "-c:v libx264 -preset ultrafast -threads 1 -profile:v high -bf 0 \
    -sc_threshold 0 -g 60 -pix_fmt yuv420p -b:v 600k -maxrate 600k -bufsize 300k";
/// AAC as it should be.
pub(crate) const AAC: &str = "-c:a aac -ar 48000 -ac 2 -b:a 128k";

/// A tag with the time at which it arrives, in milliseconds.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) tag: Tag,
    pub(crate) at_ms: u64,
}

/// What an encoder sends, in the order in which it arrives.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) arrivals: Vec<Arrival>,
    /// What could not be taken of it, and when.
    pub(crate) refused: Option<(flv::Error, u64)>,
}

impl Source {
    /// What ffmpeg makes of `arguments`, which are lists of words, with `rest` as it stands.
    pub(crate) fn ffmpeg(arguments: &[&str], rest: &[&str]) -> Self {
        Self::fed(arguments, rest, |_| {})
    }

    /// The same; `feed` writes to its standard input.
    pub(crate) fn fed(
        arguments: &[&str],
        rest: &[&str],
        feed: impl FnOnce(&mut std::process::ChildStdin) + Send,
    ) -> Self {
        let words = arguments.iter().flat_map(|words| words.split_whitespace());
        let mut ffmpeg = Command::new("ffmpeg")
            .args(["-v", "error"])
            .args(words)
            .args(rest)
            .args(["-f", "flv", "-flvflags", "no_duration_filesize", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("ffmpeg is installed");
        let mut stdin = ffmpeg.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || feed(&mut stdin));
            ffmpeg.wait_with_output().unwrap()
        });
        assert!(output.status.success());
        Self::parse(&output.stdout)
    }

    /// Reads an FLV file by the origin's own reader.
    fn parse(flv: &[u8]) -> Self {
        assert_eq!(&flv[..4], b"FLV\x01");
        let (mut demuxer, mut source) =
            (Demuxer::new(), Self { arrivals: Vec::new(), refused: None });
        let mut rest = &flv[13..];
        while rest.len() >= 11 {
            let be24 = |at: usize| u32::from_be_bytes([0, rest[at], rest[at + 1], rest[at + 2]]);
            let (size, time_ms) = (be24(1) as usize, be24(4) | u32::from(rest[7]) << 24);
            let body = Bytes::copy_from_slice(&rest[11..11 + size]);
            let read = match rest[0] {
                9 => demuxer.video(time_ms, body),
                8 => demuxer.audio(time_ms, body),
                _ => Ok(None),
            };
            match read {
                Ok(Some(tag)) => source.arrivals.push(Arrival { tag, at_ms: time_ms.into() }),
                Ok(None) => {}
                Err(error) => {
                    source.refused = Some((error, time_ms.into()));
                    break;
                }
            }
            rest = &rest[11 + size + 4..];
        }
        source
    }

    /// Each tag with its arrival changed.
    pub(crate) fn map(mut self, change: impl Fn(&mut Arrival)) -> Self {
        self.arrivals.iter_mut().for_each(change);
        self.arrivals.sort_by_key(|arrival| arrival.at_ms);
        self
    }

    /// Only some of the tags.
    pub(crate) fn keep(mut self, which: impl Fn(&Arrival) -> bool) -> Self {
        self.arrivals.retain(which);
        self
    }

    /// This, and `next` from `at_ms` on, whose clock is set so that it goes on.
    pub(crate) fn then(self, at_ms: u32, next: Self) -> Self {
        let mut both = self.keep(|arrival| arrival.at_ms < at_ms.into());
        let next = next.map(|arrival| {
            arrival.at_ms += u64::from(at_ms);
            shift(&mut arrival.tag, at_ms);
        });
        both.arrivals.extend(next.arrivals);
        both
    }

    /// What the doctor says while it comes, with the sound decoded by a real take; and for `after_ms`
    /// of silence behind it.
    pub(crate) fn examine(self, after_ms: u64) -> Examined {
        let utc = |ms: u64| UtcTime::from_millis(T0_MS + ms);
        let grid = SegmentGrid::new(SegmentGrid::DURATION_MS_MIN);
        let from = Continuation { next_period: 0, next_sequence: 0, grid, floor_ms: 0 };
        let (mut doctor, mut take, mut out) =
            (Doctor::new(), Take::new(utc(0), 0, from), Vec::new());
        let mut examined = Examined { changes: Vec::new(), report: doctor.report(utc(0)) };
        doctor.begin(utc(0));
        let mut last_ms = 0;
        for Arrival { tag, at_ms } in self.arrivals {
            let at_ms = at_ms.max(last_ms);
            last_ms = at_ms;
            examined.wait(&mut doctor, at_ms);
            doctor.tag(&tag, utc(at_ms));
            let pushed = take.push(tag, utc(at_ms), &mut out);
            out.clear();
            while let Some(level) = take.poll_level() {
                doctor.level(level);
            }
            if pushed.is_err() {
                doctor.end(utc(at_ms));
                examined.note(&mut doctor, at_ms);
                break;
            }
        }
        if let Some((error, at_ms)) = self.refused {
            doctor.refused(&error, utc(at_ms));
        }
        examined.wait(&mut doctor, last_ms + after_ms);
        examined.note(&mut doctor, last_ms + after_ms);
        examined.report = doctor.report(utc(last_ms + after_ms));
        examined
    }
}

/// Moves a tag's timestamp.
pub(crate) fn shift(tag: &mut Tag, by_ms: u32) {
    if let Tag::Video { timestamp_ms, .. } | Tag::Audio { timestamp_ms, .. } = tag {
        *timestamp_ms = timestamp_ms.wrapping_add(by_ms);
    }
}

/// What the doctor said.
pub(crate) struct Examined {
    /// With the time, in milliseconds after the beginning.
    pub(crate) changes: Vec<(u64, Change)>,
    /// At the end.
    pub(crate) report: Report,
}

impl Examined {
    fn wait(&mut self, doctor: &mut Doctor, until_ms: u64) {
        let until = UtcTime::from_millis(T0_MS + until_ms);
        while let Some(due) = doctor.poll_timeout().filter(|due| *due <= until) {
            doctor.handle_timeout(due);
            self.note(doctor, due.as_millis() - T0_MS);
        }
    }

    fn note(&mut self, doctor: &mut Doctor, at_ms: u64) {
        let changes = std::iter::from_fn(|| doctor.poll_change());
        self.changes.extend(changes.map(|change| (at_ms, change)));
    }

    /// That `code` is named within ten seconds of its cause, and nothing else but `others`.
    pub(crate) fn finds(self, code: &str, cause_ms: u64, others: &[&str]) -> Self {
        let mut named_ms = None;
        for (at_ms, change) in &self.changes {
            let Change::Appeared(finding) = change else { continue };
            println!("{at_ms}: {}: {}", finding.code, finding.title);
            if finding.code == code {
                named_ms = named_ms.or(Some(*at_ms));
            } else {
                assert!(others.contains(&finding.code), "{} besides {code}", finding.code);
            }
        }
        let named_ms = named_ms.unwrap_or_else(|| panic!("{code} was not found"));
        let within = cause_ms..=cause_ms + 10_000;
        assert!(within.contains(&named_ms), "{code} at {named_ms} for a cause at {cause_ms}");
        self
    }

    /// That `code` is not said any more at the end.
    pub(crate) fn recovers(&self, code: &str) {
        assert!(self.report.findings.iter().all(|finding| finding.code != code), "{code} stayed");
    }

    /// That nothing was found.
    pub(crate) fn finds_nothing(&self) {
        assert_eq!(self.changes, []);
    }
}
