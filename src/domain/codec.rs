//! Fixed-width little-endian fields, one after the other: how what workers share is laid out.

use super::Timestamp;

/// Reads fields off the front of a slice.
#[derive(Debug)]
pub struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    /// Reads a field, if there is one.
    pub fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    /// Reads a field, if there is one.
    pub fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    /// Reads a field, if there is one.
    pub fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// Reads a field, if there is one.
    pub fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// Reads a field, if there is one.
    pub fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }

    /// Reads a moment, if there is one.
    pub fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::from_micros)
    }

    /// Reads a text, if there is one.
    #[inline(never)]
    pub fn text(&mut self) -> Option<&'a str> {
        let len = self.u32()? as usize;
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        std::str::from_utf8(head).ok()
    }

    /// Whether all has been read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends fields to a vector.
#[derive(Debug)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// With room for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends a field.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Appends a field.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a field.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a field.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a field.
    pub fn u128(&mut self, value: u128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a moment.
    pub fn time(&mut self, value: Timestamp) -> &mut Self {
        self.u64(value.as_micros())
    }

    /// Appends a text.
    #[inline(never)]
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.u32(value.len() as u32);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// What was appended.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}
