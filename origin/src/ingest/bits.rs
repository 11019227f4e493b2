//! Bits of a header, the first first.

/// Reads bits.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// From the first bit on.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 32; `None` beyond the end.
    pub(crate) fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for at in self.at..self.at + count {
            value = value << 1 | u32::from(self.bytes.get(at / 8)? >> (7 - at % 8) & 1);
        }
        self.at += count;
        Some(value)
    }
}
