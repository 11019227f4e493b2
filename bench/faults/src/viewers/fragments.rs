//! Which media time the chunks of a CMAF stream cover, read from its boxes as they come. Pure.

use super::playhead::MediaUs;

/// No box of ours is larger, a keyframe's included.
const BOX_BYTES_MAX: usize = 16 * 1024 * 1024;
const HEADER_BYTES: usize = 8;

/// What is no CMAF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(&'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed media: {}", self.0)
    }
}

/// A reader of one segment or part.
#[derive(Clone, Debug)]
pub(crate) struct Fragments {
    timescale: u32,
    bytes: Vec<u8>,
    /// What the last `moof` says of the `mdat` behind it.
    covered: Option<(u64, u64)>,
}

impl Fragments {
    /// Of a track with this many ticks a second.
    pub(crate) fn new(timescale: u32) -> Self {
        Self { timescale: timescale.max(1), bytes: Vec::new(), covered: None }
    }

    /// Takes the next bytes; returns from when to when each chunk goes that is whole now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<(MediaUs, MediaUs)>, Malformed> {
        self.bytes.extend_from_slice(bytes);
        let mut whole = Vec::new();
        loop {
            let Some((kind, size)) = header(&self.bytes)? else { return Ok(whole) };
            if self.bytes.len() < size {
                return Ok(whole);
            }
            match &kind {
                b"moof" => self.covered = Some(fragment(&self.bytes[HEADER_BYTES..size])?),
                b"mdat" => {
                    let (start, ticks) = self.covered.take().ok_or(Malformed("mdat alone"))?;
                    let us = |ticks: u64| {
                        (u128::from(ticks) * 1_000_000 / u128::from(self.timescale)) as u64
                    };
                    whole.push((us(start), us(start.saturating_add(ticks))));
                }
                _ => {}
            }
            self.bytes.drain(..size);
        }
    }
}

/// The ticks per second that an initialisation segment states, ISO/IEC 14496-12 §8.4.2.
pub(crate) fn timescale(init: &[u8]) -> Result<u32, Malformed> {
    let mut inner = init;
    for kind in [b"moov", b"trak", b"mdia", b"mdhd"] {
        inner = child(inner, kind)?.ok_or(Malformed("no mdhd"))?;
    }
    let at = if inner.first() == Some(&1) { 20 } else { 12 };
    be32(inner, at).filter(|ticks| *ticks > 0).ok_or(Malformed("no timescale"))
}

/// When a fragment begins and how long it is, in ticks.
fn fragment(moof: &[u8]) -> Result<(u64, u64), Malformed> {
    let traf = child(moof, b"traf")?.ok_or(Malformed("no traf"))?;
    let tfhd = child(traf, b"tfhd")?.ok_or(Malformed("no tfhd"))?;
    let tfdt = child(traf, b"tfdt")?.ok_or(Malformed("no tfdt"))?;
    let trun = child(traf, b"trun")?.ok_or(Malformed("no trun"))?;
    let start = match tfdt.first() {
        Some(1) => be32(tfdt, 4)
            .zip(be32(tfdt, 8))
            .map(|(high, low)| u64::from(high) << 32 | u64::from(low)),
        _ => be32(tfdt, 4).map(u64::from),
    };
    let start = start.ok_or(Malformed("tfdt"))?;
    Ok((start, samples(tfhd, trun).ok_or(Malformed("trun"))?))
}

/// How long the samples of a run are together, §8.8.7 and §8.8.8.
fn samples(tfhd: &[u8], trun: &[u8]) -> Option<u64> {
    let flags = be32(tfhd, 0)? & 0xff_ffff;
    let before = [(0x1, 8), (0x2, 4)].iter().filter(|(flag, _)| flags & flag != 0);
    let at = 8 + before.map(|(_, size)| size).sum::<usize>();
    let default = if flags & 0x8 != 0 { be32(tfhd, at)? } else { 0 };
    let flags = be32(trun, 0)? & 0xff_ffff;
    let count = be32(trun, 4)? as usize;
    if flags & 0x100 == 0 {
        return Some(count as u64 * u64::from(default));
    }
    let before = [0x1, 0x4].iter().filter(|flag| flags & **flag != 0).count();
    let each = [0x100, 0x200, 0x400, 0x800].iter().filter(|flag| flags & **flag != 0).count();
    let mut sum = 0;
    for n in 0..count {
        sum += u64::from(be32(trun, 8 + 4 * before + 4 * each * n)?);
    }
    Some(sum)
}

/// The contents of the first box of a kind.
fn child<'a>(mut bytes: &'a [u8], wanted: &[u8; 4]) -> Result<Option<&'a [u8]>, Malformed> {
    while let Some((kind, size)) = header(bytes)? {
        let inner = bytes.get(HEADER_BYTES..size).ok_or(Malformed("cut short"))?;
        if &kind == wanted {
            return Ok(Some(inner));
        }
        bytes = &bytes[size..];
    }
    Ok(None)
}

fn header(bytes: &[u8]) -> Result<Option<([u8; 4], usize)>, Malformed> {
    let (Some(size), Some(kind)) = (be32(bytes, 0), bytes.get(4..8)) else { return Ok(None) };
    let (size, kind) = (size as usize, kind.try_into().map_err(|_| Malformed("kind"))?);
    if !(HEADER_BYTES..=BOX_BYTES_MAX).contains(&size) {
        return Err(Malformed("a box of a size that it cannot have"));
    }
    Ok(Some((kind, size)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], inner: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER_BYTES + inner.len()) as u32).to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.extend(inner);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn chunk() -> Vec<u8> {
        let tfhd = boxed(b"tfhd", &words(&[0x02_0008, 1, 3_600]));
        let tfdt = boxed(b"tfdt", &words(&[0x0100_0000, 0, 180_000]));
        let trun = boxed(b"trun", &words(&[0x301, 2, 100, 3_600, 9, 7_200, 9]));
        let traf = boxed(b"traf", &[tfhd, tfdt, trun].concat());
        [boxed(b"prft", &[0; 20]), boxed(b"moof", &traf), boxed(b"mdat", b"abc")].concat()
    }

    #[test]
    fn a_chunk_counts_once_it_is_whole() {
        let mut fragments = Fragments::new(90_000);
        let bytes = [chunk(), chunk()].concat();
        let mut whole = Vec::new();
        for (n, byte) in bytes.iter().enumerate() {
            let found = fragments.take(&[*byte]).unwrap();
            assert!(found.is_empty() || (n + 1) % chunk().len() == 0);
            whole.extend(found);
        }
        assert_eq!(whole, [(2_000_000, 2_120_000); 2]);
    }

    #[test]
    fn a_run_without_durations_has_those_of_its_header() {
        let tfhd = words(&[0x02_0008, 1, 960]);
        assert_eq!(samples(&tfhd, &words(&[0x201, 5, 100, 1, 1, 1, 1, 1])), Some(4_800));
        assert_eq!(samples(&tfhd, &words(&[0x101, 5, 100, 1])), None);
    }

    #[test]
    fn the_timescale_is_found_and_nonsense_refused() {
        let mdhd = boxed(b"mdhd", &words(&[0, 0, 0, 48_000, 0, 0]));
        let trak = boxed(b"trak", &[boxed(b"tkhd", &[0; 8]), boxed(b"mdia", &mdhd)].concat());
        let init = [boxed(b"ftyp", b"cmfc"), boxed(b"moov", &trak)].concat();
        assert_eq!(timescale(&init), Ok(48_000));
        assert!(timescale(&init[..20]).is_err());
        assert!(Fragments::new(1).take(&[0, 0, 0, 1, b'm', b'd', b'a', b't']).is_err());
        assert!(Fragments::new(1).take(&boxed(b"mdat", b"x")).is_err());
    }
}
