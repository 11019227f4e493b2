//! The fuzzer's bytes as a script: what is done, with which numbers and which bytes.

/// What is left of a script. It ends in the middle of anything without complaint.
pub(in crate::whep) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// A script that begins here.
    pub(in crate::whep) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// A number.
    pub(in crate::whep) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A larger number.
    pub(in crate::whep) fn word(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    /// Bytes behind their length, or as many as there are.
    pub(in crate::whep) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.word()?);
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(bytes)
    }

    /// A few bytes behind a length of one byte.
    pub(in crate::whep) fn short(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?);
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(bytes)
    }

    /// All that is left.
    pub(in crate::whep) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Flips bits of the byte at `at`, wherever that is in the bytes.
pub(in crate::whep) fn flip(bytes: &mut [u8], at: u16, bits: u8) {
    let length = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(usize::from(at) % length) {
        *byte ^= bits;
    }
}
