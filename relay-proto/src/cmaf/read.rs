//! Reads chunks that came over the relay, and trusts none of their numbers.
//!
//! The reader walks the few boxes that a chunk of ours has, in their order and to their fixed depth,
//! and hands each leaf to the library alone: its own container types recurse as deep as the bytes
//! tell them to. Sizes and counts are checked before anything is allocated for them.

use bytes::Bytes;
use mp4_atom::{Decode, Mfhd, Prft, Tfdt, Tfhd, Trun, TrunEntry};

use super::{CHUNK_BYTES_MAX, Chunk, Error, FLAG_IS_NON_SYNC, SAMPLES_MAX, TICKS_MAX, TRACK_ID};
use crate::frame::Frame;
use crate::time::{MediaTime, Timescale, UtcTime};

/// Size and type.
const HEADER_BYTES: usize = 8;
/// Where `trun` holds its sample count: after size, type, version and flags.
const TRUN_COUNT_AT: usize = 12;

/// Reads a chunk as [`super::write_chunk`] writes it: `prft`, `moof`, `mdat`, nothing else.
///
/// The frames share `bytes`. All have the arrival time of the first, which `prft` carries, and their
/// times are in `timescale`, which the catalog states.
pub fn read_chunk(bytes: Bytes, timescale: Timescale) -> Result<Chunk, Error> {
    if bytes.len() > CHUNK_BYTES_MAX {
        return Err(Error::TooLarge(bytes.len()));
    }
    let mut top = Boxes::new(&bytes, 0..bytes.len());
    let prft = Prft::decode(&mut top.next("prft")?.whole)?;
    let arrived = UtcTime::from_ntp(prft.ntp_timestamp)
        .ok_or(Error::Unsupported("prft is before the Unix epoch"))?;
    let moof = top.next("moof")?;
    let mdat = top.next("mdat")?;
    top.end()?;

    let fragment = read_moof(&bytes, &moof)?;
    let payload_at = mdat.at + HEADER_BYTES;
    let offset = usize::try_from(fragment.data_offset).ok();
    if offset.and_then(|offset| moof.at.checked_add(offset)) != Some(payload_at) {
        return Err(Error::Unsupported("samples do not begin where mdat does"));
    }
    let frames =
        read_samples(&fragment, &bytes.slice(payload_at..bytes.len()), timescale, arrived)?;
    Ok(Chunk { bytes, frames })
}

/// What `moof` says of its one run of samples.
struct Fragment {
    tfhd: Tfhd,
    base_ticks: u64,
    data_offset: i32,
    trun: Trun,
}

fn read_moof(bytes: &[u8], moof: &BoxSlice<'_>) -> Result<Fragment, Error> {
    let mut children = moof.children(bytes);
    Mfhd::decode(&mut children.next("mfhd")?.whole)?;
    let traf = children.next("traf")?;
    children.end()?;

    let mut children = traf.children(bytes);
    let tfhd = Tfhd::decode(&mut children.next("tfhd")?.whole)?;
    let tfdt = Tfdt::decode(&mut children.next("tfdt")?.whole)?;
    let trun = children.next("trun")?;
    children.end()?;

    if tfhd.track_id != TRACK_ID {
        return Err(Error::Unsupported("more than one track"));
    }
    if !tfhd.default_base_is_moof || tfhd.base_data_offset.is_some() {
        return Err(Error::Unsupported("samples are not addressed from moof"));
    }
    // The library would loop over the count that the box states.
    let count = trun.whole.get(TRUN_COUNT_AT..TRUN_COUNT_AT + 4);
    let count = count.and_then(|count| count.try_into().ok()).map(u32::from_be_bytes);
    match count.ok_or(Error::BoxSize(trun.at))? as usize {
        0 => return Err(Error::Empty),
        1..=SAMPLES_MAX => {}
        count => return Err(Error::TooManySamples(count)),
    }
    let trun = Trun::decode(&mut &trun.whole[..])?;
    let data_offset = trun.data_offset.ok_or(Error::Unsupported("trun without a data offset"))?;
    Ok(Fragment { tfhd, base_ticks: tfdt.base_media_decode_time, data_offset, trun })
}

fn read_samples(
    fragment: &Fragment,
    payload: &Bytes,
    timescale: Timescale,
    arrived: UtcTime,
) -> Result<Vec<Frame>, Error> {
    let Fragment { tfhd, trun, .. } = fragment;
    let mut frames = Vec::with_capacity(trun.samples.len());
    let mut ticks = fragment.base_ticks;
    let mut at = 0_usize;
    for (index, TrunEntry { duration, size, flags, cts }) in trun.samples.iter().enumerate() {
        let stated = |value: Option<u32>, default: Option<u32>, missing| {
            value.or(default).ok_or(Error::Unsupported(missing))
        };
        let duration = stated(duration, tfhd.default_sample_duration, "no sample duration")?;
        let size = stated(size, tfhd.default_sample_size, "no sample size")? as usize;
        let flags = stated(flags, tfhd.default_sample_flags, "no sample flags")?;
        let composition_offset = i32::try_from(cts.unwrap_or(0)).map_err(|_| Error::Times)?;
        if size == 0 {
            return Err(Error::EmptySample(index));
        }
        let end = at.checked_add(size).filter(|end| *end <= payload.len());
        let end = end.ok_or(Error::Unsupported("samples are longer than mdat"))?;
        let next = ticks.checked_add(duration.into()).filter(|next| *next <= TICKS_MAX);
        frames.push(Frame {
            dts: MediaTime::new(ticks, timescale),
            composition_offset,
            duration,
            keyframe: flags & FLAG_IS_NON_SYNC == 0,
            data: payload.slice(at..end),
            arrived,
        });
        ticks = next.ok_or(Error::Times)?;
        at = end;
    }
    if at != payload.len() {
        return Err(Error::Unsupported("mdat is longer than its samples"));
    }
    Ok(frames)
}

/// One box: where it begins in the chunk, and its bytes with the header.
struct BoxSlice<'a> {
    at: usize,
    whole: &'a [u8],
}

impl BoxSlice<'_> {
    fn children<'a>(&self, bytes: &'a [u8]) -> Boxes<'a> {
        Boxes::new(bytes, self.at + HEADER_BYTES..self.at + self.whole.len())
    }
}

/// The boxes of one level, taken in the order that they must have.
struct Boxes<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Boxes<'a> {
    fn new(bytes: &'a [u8], range: std::ops::Range<usize>) -> Self {
        Self { bytes, at: range.start, end: range.end }
    }

    /// The next box, which must be of the type `expected` and end within its parent.
    fn next(&mut self, expected: &'static str) -> Result<BoxSlice<'a>, Error> {
        let at = self.at;
        let left = self.bytes.get(at..self.end).ok_or(Error::BoxSize(at))?;
        let Some((size, rest)) = left.split_first_chunk::<4>() else {
            return Err(Error::BoxSize(at));
        };
        let kind = rest.first_chunk::<4>().ok_or(Error::BoxSize(at))?;
        if kind != expected.as_bytes() {
            return Err(Error::UnexpectedBox { expected, found: *kind });
        }
        // Sizes 0 (to the end of the file) and 1 (64 bits follow) are legal but no chunk of ours
        // has them; being smaller than a header, they are refused like any other such size.
        let size = u32::from_be_bytes(*size) as usize;
        let whole = left.get(..size).filter(|whole| whole.len() >= HEADER_BYTES);
        let whole = whole.ok_or(Error::BoxSize(at))?;
        self.at += whole.len();
        Ok(BoxSlice { at, whole })
    }

    fn end(&self) -> Result<(), Error> {
        if self.at == self.end {
            Ok(())
        } else {
            Err(Error::Unsupported("more boxes than a chunk has"))
        }
    }
}
