//! Traces: the way of a group of frames, told by each node that it passes, a span for each stage.
//!
//! No byte of it travels. Which groups are traced, and by which ids, follows from what every node knows of a
//! group: it decides the same by itself, if its ratio is the same. Without a [`Tracer`], which the process
//! [installs](install) once, a group costs one branch. Pure: what time it is comes as an argument, and where
//! spans go is the tracer's.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{BroadcastId, GroupId, TrackName, UtcTime};

/// Of a trace's id, how many bits decide whether it is sampled: those that W3C Trace Context, level 2, wants
/// random, and by which collectors sample as well.
const RANDOM_BITS: u32 = 56;

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// From now on spans go to `tracer`. Only once in a process; `false` if there is one already.
pub fn install(tracer: Tracer) -> bool {
    TRACER.set(tracer).is_ok()
}

/// Where spans go, if they go anywhere.
pub fn tracer() -> Option<&'static Tracer> {
    TRACER.get()
}

/// What of all traces is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    /// From 0, none, to 1, all; `None` for anything else.
    pub fn new(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// Whether a trace is among them.
    pub fn has(self, trace: TraceId) -> bool {
        let random = trace.0 as u64 & ((1 << RANDOM_BITS) - 1);
        let rejected = (1.0 - self.0) * (1u64 << RANDOM_BITS) as f64;
        random as f64 >= rejected
    }
}

/// The id of a trace, not zero (W3C Trace Context §3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id of a span, not zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Something that took a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace that it is in.
    pub trace: TraceId,
    /// What others call it.
    pub id: SpanId,
    /// What it is a part of.
    pub parent: Option<SpanId>,
    /// Whether it is the answer to a request.
    pub is_answer: bool,
    /// What it is called.
    pub name: String,
    /// From here
    pub start: UtcTime,
    /// to here.
    pub end: UtcTime,
    /// Whether what took this while went wrong.
    pub failed: bool,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Value)>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("ratio", &self.ratio).finish_non_exhaustive()
    }
}

/// What is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word or some.
    Text(String),
    /// A number.
    Number(i64),
}

impl<T: Into<i64>> From<T> for Value {
    fn from(number: T) -> Self {
        Self::Number(number.into())
    }
}

/// Decides what is traced, and takes the spans.
pub struct Tracer {
    ratio: Ratio,
    /// Tells this node's spans from those of another that does the same.
    node: u64,
    sink: Box<dyn Fn(Span) + Send + Sync>,
}

impl Tracer {
    /// A tracer of `ratio` of all traces; `node` is random, and `sink` takes spans without waiting.
    pub fn new(ratio: Ratio, node: u64, sink: impl Fn(Span) + Send + Sync + 'static) -> Self {
        Self { ratio, node, sink: Box::new(sink) }
    }

    /// What of all traces is sampled.
    pub fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// Takes a span.
    pub fn take(&self, span: Span) {
        (self.sink)(span);
    }

    /// The trace of a group of a broadcast that began at `t0`, if it is sampled.
    pub fn group(
        &'static self,
        broadcast: &BroadcastId,
        t0: UtcTime,
        track: &TrackName,
        group: GroupId,
    ) -> Option<GroupTrace> {
        let id = group_trace_id(broadcast, t0, track, group);
        self.ratio.has(id).then(|| GroupTrace {
            tracer: self,
            id,
            broadcast: broadcast.clone(),
            track: track.clone(),
            group,
        })
    }
}

/// The id of the trace of a group. `T0` tells broadcasts apart that bear the same id one after another.
fn group_trace_id(
    broadcast: &BroadcastId,
    t0: UtcTime,
    track: &TrackName,
    group: GroupId,
) -> TraceId {
    let (t0, sequence) = (t0.as_millis(), group.sequence());
    let hash = hash(&format!("group\n{broadcast}\n{t0}\n{track}\n{sequence}"));
    let id = u128::from_be_bytes(std::array::from_fn(|at| hash[at]));
    TraceId(id.max(1))
}

fn hash(text: &str) -> [u8; 32] {
    let hash = digest(&SHA256, text.as_bytes());
    std::array::from_fn(|at| hash.as_ref()[at])
}

/// A stage on the way of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its frames reach the origin.
    Ingest,
    /// They are made chunks.
    Package,
    /// Chunks are handed to the relay.
    Relay,
    /// An edge receives them.
    Edge,
    /// The first viewer by WebRTC is sent it.
    Webrtc,
    /// The first who asks for its segment is sent it.
    Segment,
    /// The first who asks for its first part is sent it.
    Part,
}

impl Stage {
    /// Its name, which its spans have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Package => "package",
            Self::Relay => "relay",
            Self::Edge => "edge",
            Self::Webrtc => "serve webrtc",
            Self::Segment => "serve segment",
            Self::Part => "serve part",
        }
    }

    /// What comes before it.
    fn before(self) -> Option<Self> {
        match self {
            Self::Ingest => None,
            Self::Package => Some(Self::Ingest),
            Self::Relay => Some(Self::Package),
            Self::Edge => Some(Self::Relay),
            Self::Webrtc | Self::Segment | Self::Part => Some(Self::Edge),
        }
    }

    /// Whether several nodes have it, and not the one origin of the group alone.
    fn is_of_an_edge(self) -> bool {
        matches!(self, Self::Edge | Self::Webrtc | Self::Segment | Self::Part)
    }
}

/// A group that is traced.
#[derive(Clone, Debug)]
pub struct GroupTrace {
    tracer: &'static Tracer,
    id: TraceId,
    broadcast: BroadcastId,
    track: TrackName,
    group: GroupId,
}

impl GroupTrace {
    /// Which group it is.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The track that it is of.
    pub fn track(&self) -> &TrackName {
        &self.track
    }

    /// Says from when to when it was in `stage`.
    pub fn tell(&self, stage: Stage, start: UtcTime, end: UtcTime) {
        self.tracer.take(Span {
            trace: self.id,
            id: self.span_id(stage),
            parent: stage.before().map(|before| self.span_id(before)),
            is_answer: false,
            name: stage.as_str().to_owned(),
            start,
            end: end.max(start),
            failed: false,
            attributes: vec![
                ("lectern.broadcast", Value::Text(self.broadcast.to_string())),
                ("lectern.track", Value::Text(self.track.to_string())),
                ("lectern.period", self.group.period.into()),
                ("lectern.group", self.group.index.into()),
            ],
        });
    }

    fn span_id(&self, stage: Stage) -> SpanId {
        let node = if stage.is_of_an_edge() { self.tracer.node } else { 0 };
        let hash = hash(&format!("span\n{:?}\n{}\n{node}", self.id, stage.as_str()));
        let id = u64::from_be_bytes(std::array::from_fn(|at| hash[at]));
        SpanId(id.max(1))
    }
}

/// What a request says of the trace that it is in: the header `traceparent` (W3C Trace Context §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever asks.
    pub span: SpanId,
    /// Whether whoever asks traces it.
    pub sampled: bool,
}

impl Parent {
    /// Reads the header; `None` for what it must not be.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let mut hex = |len: usize| {
            let part = parts.next().filter(|part| part.len() == len)?;
            let plain = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            plain.then(|| u128::from_str_radix(part, 16).ok()).flatten()
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        // Later versions may say more; 255 is none.
        let known = version != 0xff && (version != 0 || parts.next().is_none());
        let span = u64::try_from(span).ok()?;
        (known && trace != 0 && span != 0).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn told(node: u64, ratio: f64, index: u32) -> Vec<Span> {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let sink = spans.clone();
        let take = move |span| sink.lock().unwrap().push(span);
        let tracer = Tracer::new(Ratio::new(ratio).unwrap(), node, take);
        let tracer: &'static Tracer = Box::leak(Box::new(tracer));
        let (id, track) = ("talk".parse().unwrap(), TrackName::new("video/main").unwrap());
        let (t0, group) = (UtcTime::from_millis(1_700_000_000_000), GroupId { period: 3, index });
        if let Some(trace) = tracer.group(&id, t0, &track, group) {
            let at = UtcTime::from_millis;
            trace.tell(Stage::Ingest, at(1), at(2));
            trace.tell(Stage::Package, at(1), at(2));
            trace.tell(Stage::Relay, at(1), at(2));
            trace.tell(Stage::Edge, at(3), at(4));
            trace.tell(Stage::Webrtc, at(3), at(3));
        }
        spans.lock().unwrap().clone()
    }

    #[test]
    fn nodes_agree_on_the_trace_and_each_edge_has_spans_of_its_own() {
        let (one, other) = (told(1, 1.0, 7), told(2, 1.0, 7));
        assert_eq!(one.len(), 5);
        assert!(one.iter().chain(&other).all(|span| span.trace == one[0].trace));
        assert_eq!(one[..3], other[..3], "the origin's are the same wherever they are derived");
        assert_eq!(one[0].parent, None);
        for at in 1..4 {
            assert_eq!(one[at].parent, Some(one[at - 1].id));
        }
        assert_eq!(one[4].parent, Some(one[3].id));
        assert_ne!(one[3].id, other[3].id);
        assert_eq!(other[3].parent, Some(one[2].id));
        assert_ne!(told(1, 1.0, 8)[0].trace, one[0].trace);
        // Nodes of any version have to agree, so it must not change unnoticed.
        assert_eq!(format!("{:?}", one[0].trace), "87557f1caa948ab66041e7ee5669c9e5");
    }

    #[test]
    fn the_ratio_is_kept_and_a_smaller_one_samples_of_the_same() {
        let sampled = |ratio| {
            (0..2_000).filter(|index| !told(1, ratio, *index).is_empty()).collect::<Vec<_>>()
        };
        let (tenth, half) = (sampled(0.1), sampled(0.5));
        assert!((140..260).contains(&tenth.len()), "{}", tenth.len());
        assert!((900..1_100).contains(&half.len()), "{}", half.len());
        assert!(tenth.iter().all(|index| half.contains(index)));
        assert!(sampled(0.0).is_empty());
        assert_eq!(sampled(1.0).len(), 2_000);
        assert!([-0.1, 1.1, f64::NAN].into_iter().all(|ratio| Ratio::new(ratio).is_none()));
    }

    #[test]
    fn a_traceparent_is_read_as_it_is_written_and_not_otherwise() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = Parent::parse(good).unwrap();
        assert_eq!(format!("{:?}", parent.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(format!("{:?}", parent.span), "00f067aa0ba902b7");
        assert!(parent.sampled);
        assert!(!Parent::parse(&good.replace("-01", "-00")).unwrap().sampled);
        assert!(Parent::parse(&good.replace("00-4", "01-4").replace("-01", "-01-more")).is_some());
        let bad = [
            "",
            "00",
            &format!("{good}-more"),
            &good.replace("00-4", "ff-4"),
            &good.replace("4bf9", "4BF9"),
            &good.replace("4bf9", "+bf9"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ];
        assert!(bad.iter().all(|bad| Parent::parse(bad).is_none()));
    }
}
