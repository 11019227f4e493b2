//! Writes chunks: `prft` + `moof` + `mdat` around frames that arrived together.
//!
//! The payload is copied once, into one buffer of the final size, which the chunk and its frames
//! then share.

use bytes::Bytes;
use mp4_atom::{
    Atom, BufMut, Encode, Mfhd, Moof, Prft, ReferenceTime, Tfdt, Tfhd, Traf, Trun, TrunEntry,
    TrunSamples,
};

use super::{
    CHUNK_BYTES_MAX, Chunk, Error, FLAGS_NON_SYNC, FLAGS_SYNC, SAMPLES_MAX, TICKS_MAX, TRACK_ID,
};
use crate::frame::Frame;

/// Everything before the payload, at most: `prft` v1, the fixed boxes of `moof`, the `mdat` header.
const OVERHEAD_BYTES_MAX: usize = 160;
/// The most that one sample adds to `trun`.
const SAMPLE_BYTES_MAX: usize = 16;
/// Where `trun` holds its data offset: after size, type, version and flags, and sample count.
const TRUN_DATA_OFFSET_AT: usize = 16;

/// One chunk of track 1: `prft`, then `moof` with `tfdt` and a signed-offset `trun`, then `mdat`.
///
/// The frames are in decode order and in one timescale. A frame's duration is the distance to the
/// next one; only the last frame's own `duration` is written as it stands. The `prft` (ISO/IEC
/// 14496-12 §8.16.5) says when the first frame arrived. `sequence_number` counts chunks of the track.
pub fn write_chunk(sequence_number: u32, frames: &[Frame]) -> Result<Chunk, Error> {
    let (first, payload_len) = check(frames)?;
    let entries = entries(frames)?;
    let head_len_max = OVERHEAD_BYTES_MAX + SAMPLE_BYTES_MAX * frames.len();
    if payload_len > CHUNK_BYTES_MAX - head_len_max {
        return Err(Error::TooLarge(payload_len + head_len_max));
    }

    let mut buf = Vec::with_capacity(head_len_max + payload_len);
    Prft {
        reference_track_id: TRACK_ID,
        ntp_timestamp: first.arrived.to_ntp(),
        media_time: first.dts.ticks.saturating_add_signed(first.composition_offset.into()),
        utc_time_semantics: ReferenceTime::Input,
    }
    .encode(&mut buf)?;
    write_moof(&mut buf, sequence_number, first.dts.ticks, entries.clone())?;

    let mdat_len = u32::try_from(payload_len + 8).map_err(|_| Error::TooLarge(payload_len))?;
    buf.extend_from_slice(&mdat_len.to_be_bytes());
    buf.extend_from_slice(b"mdat");
    let mut at = buf.len();
    for frame in frames {
        buf.extend_from_slice(&frame.data);
    }

    let bytes = Bytes::from(buf);
    let shared = |(frame, entry): (&Frame, TrunEntry)| {
        let data = bytes.slice(at..at + frame.data.len());
        at += data.len();
        let duration = entry.duration.unwrap_or(frame.duration);
        Frame { duration, data, arrived: first.arrived, ..frame.clone() }
    };
    let frames = frames.iter().zip(entries).map(shared).collect();
    Ok(Chunk { bytes, frames })
}

/// Checks what a chunk promises and returns the first frame and the payload's length.
fn check(frames: &[Frame]) -> Result<(&Frame, usize), Error> {
    let first = frames.first().ok_or(Error::Empty)?;
    if frames.len() > SAMPLES_MAX {
        return Err(Error::TooManySamples(frames.len()));
    }
    if let Some(index) = frames.iter().position(|frame| frame.data.is_empty()) {
        return Err(Error::EmptySample(index));
    }
    let one_timescale = frames.iter().all(|frame| frame.dts.timescale == first.dts.timescale);
    let end = frames.last().and_then(|last| last.dts.ticks.checked_add(last.duration.into()));
    if !one_timescale || end.is_none_or(|end| end > TICKS_MAX) {
        return Err(Error::Times);
    }
    let payload_len = frames.iter().map(|frame| frame.data.len()).sum();
    Ok((first, payload_len))
}

fn entries(frames: &[Frame]) -> Result<Vec<TrunEntry>, Error> {
    let entry = |(index, frame): (usize, &Frame)| {
        let duration = match frames.get(index + 1) {
            Some(next) => next.dts.ticks.checked_sub(frame.dts.ticks),
            None => Some(frame.duration.into()),
        };
        let duration = duration.and_then(|ticks| u32::try_from(ticks).ok()).ok_or(Error::Times)?;
        let size =
            u32::try_from(frame.data.len()).map_err(|_| Error::TooLarge(frame.data.len()))?;
        Ok(TrunEntry {
            duration: Some(duration),
            size: Some(size),
            flags: Some(if frame.keyframe { FLAGS_SYNC } else { FLAGS_NON_SYNC }),
            cts: Some(frame.composition_offset.into()),
        })
    };
    frames.iter().enumerate().map(entry).collect()
}

/// Writes `moof`; what all samples share goes into `tfhd` once, which halves `trun` for audio.
fn write_moof(
    buf: &mut Vec<u8>,
    sequence_number: u32,
    base_media_decode_time: u64,
    mut entries: Vec<TrunEntry>,
) -> Result<(), Error> {
    let shared = |field: fn(&TrunEntry) -> Option<u32>| {
        let first = entries.first().and_then(field);
        entries.iter().all(|entry| field(entry) == first).then_some(first).flatten()
    };
    let default_sample_duration = shared(|entry| entry.duration);
    let default_sample_flags = shared(|entry| entry.flags);
    let offsets = entries.iter().any(|entry| entry.cts != Some(0));
    for entry in &mut entries {
        entry.duration = entry.duration.filter(|_| default_sample_duration.is_none());
        entry.flags = entry.flags.filter(|_| default_sample_flags.is_none());
        entry.cts = entry.cts.filter(|_| offsets);
    }

    let moof_at = buf.len();
    let mut data_offset_at = 0;
    buf.encode_atom(Moof::KIND, |buf| {
        Mfhd { sequence_number }.encode(buf)?;
        buf.encode_atom(Traf::KIND, |buf| {
            Tfhd {
                track_id: TRACK_ID,
                default_sample_duration,
                default_sample_flags,
                default_base_is_moof: true,
                ..Default::default()
            }
            .encode(buf)?;
            Tfdt { base_media_decode_time }.encode(buf)?;
            data_offset_at = buf.len() + TRUN_DATA_OFFSET_AT;
            Trun { data_offset: Some(0), samples: TrunSamples::Explicit(entries) }.encode(buf)
        })
    })?;
    // Known only now: the payload begins after this `moof` and the header of `mdat`.
    let data_offset = i32::try_from(buf.len() - moof_at + 8).map_err(|_| Error::Times)?;
    buf.set_slice(data_offset_at, &data_offset.to_be_bytes());
    Ok(())
}
