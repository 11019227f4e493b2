//! Pictures by the second in which they were taken. What the network does to their arrival is not in
//! it.

use crate::doctor::seen::Picture;

/// What was taken in a second, or some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Taken {
    pub pictures: u32,
    pub bytes: u64,
    quantizers: i64,
    quantized: i64,
}

impl Taken {
    /// How coarsely it was coded on average, if that is known.
    pub(super) fn quantizer(&self) -> Option<f64> {
        (self.quantized > 0).then(|| self.quantizers as f64 / self.quantized as f64)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.pictures += other.pictures;
        self.bytes += other.bytes;
        self.quantizers += other.quantizers;
        self.quantized += other.quantized;
    }
}

/// Cuts a stream of pictures into seconds.
#[derive(Debug, Default)]
pub(super) struct MediaSeconds {
    second: Option<i64>,
    taken: Taken,
}

impl MediaSeconds {
    /// Takes the next picture. If it is the first of a second: what the last one with pictures was,
    /// and how many seconds without any followed it.
    pub(super) fn push(&mut self, picture: &Picture) -> Option<(Taken, u32)> {
        let second = picture.at.media_ms.div_euclid(1_000);
        // A picture of before, which a source with an unsteady clock may send, counts as of now.
        let ended = match self.second {
            Some(before) if second > before => {
                let empty = u32::try_from(second - before - 1).unwrap_or(u32::MAX);
                Some((std::mem::take(&mut self.taken), empty))
            }
            _ => None,
        };
        self.second = self.second.max(Some(second));
        self.taken.pictures += 1;
        self.taken.bytes += picture.bytes as u64;
        if let Some(quantizer) = picture.quantizer {
            self.taken.quantizers += i64::from(quantizer);
            self.taken.quantized += 1;
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::picture;
    use super::*;

    #[test]
    fn seconds_end_with_the_first_picture_of_another() {
        let mut seconds = MediaSeconds::default();
        let mut push = |ms, quantizer| {
            let ended = seconds.push(&Picture { bytes: 10, quantizer, ..picture(ms, false) });
            ended.map(|(taken, empty)| (taken.pictures, taken.bytes, taken.quantizer(), empty))
        };
        assert_eq!(push(0, Some(20)), None);
        assert_eq!(push(900, Some(30)), None);
        assert_eq!(push(1_000, None), Some((2, 20, Some(25.0), 0)));
        assert_eq!(push(999, None), None);
        assert_eq!(push(4_100, None), Some((2, 20, None, 2)));
    }
}
