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
    pub fn text(&mut self) -> Option<Box<str>> {
        let (text, rest) = self.0.get(1..)?.split_at_checked(usize::from(*self.0.first()?))?;
        self.0 = rest;
        str::from_utf8(text).ok().map(Into::into)
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

    /// Appends a text, or of a longer one as many characters as fit into 255 bytes.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let end = (0..=text.len().min(255)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        self.0.push(end as u8);
        self.0.extend_from_slice(text.as_bytes().get(..end).unwrap_or_default());
        self
    }

    /// What was appended.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_read_as_it_was_written_as_far_as_it_fits(text in any::<String>(), more in any::<u8>()) {
            for text in [text.clone(), text.repeat(9)] {
                let mut out = Encoder::with_capacity(0);
                let bytes = { out.text(&text).u8(more); out.finish() };
                let mut from = Decoder::new(&bytes);
                let read = from.text().expect("a text");
                prop_assert!(text.starts_with(&*read) && (read.len() == text.len() || read.len() > 251));
                prop_assert_eq!((from.u8(), from.is_empty()), (Some(more), true));
                let cut = bytes.len() - 2;
                prop_assert!(text.is_empty() || Decoder::new(&bytes[..cut]).text().is_none());
            }
        }
    }
}
