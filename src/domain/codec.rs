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

    /// Reads a number that took as many bytes as it needs, if there is one.
    #[inline(never)]
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Reads bytes of their own number, if there are any.
    #[inline(never)]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    /// Reads a text, if there is one.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Reads how many there are of something of which there may be `most`.
    pub fn count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|&count| count <= most)
    }

    /// Reads a list of `most` entries or fewer. Memory is taken for each entry as it is read, so that a damaged count takes
    /// none.
    pub fn list<T>(&mut self, most: usize, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..self.count(most)? {
            list.push(each(self)?);
        }
        Some(list)
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

    /// Appends a number with a fraction.
    pub fn f64(&mut self, value: f64) -> &mut Self {
        self.u64(value.to_bits())
    }

    /// Appends a number in as many bytes as it needs: seven bits in each.
    #[inline(never)]
    pub fn number(&mut self, value: u64) -> &mut Self {
        let mut rest = value;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.u8(rest as u8)
    }

    /// Appends how many there are of something. It takes as many bytes as the number needs, so that there is no width that
    /// could be too small for it.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.number(count as u64)
    }

    /// Appends a list: how many entries it has, and each of them.
    pub fn list<T>(&mut self, list: &[T], mut each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.count(list.len());
        for entry in list {
            each(self, entry);
        }
        self
    }

    /// Appends bytes and their number.
    #[inline(never)]
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.number(value.len() as u64).0.extend_from_slice(value);
        self
    }

    /// Appends a text.
    #[inline(never)]
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
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

    #[test]
    fn lists_round_trip_around_each_width_that_a_count_might_have() {
        for len in [0, 1, 127, 128, 255, 256, 257, 16_383, 16_384, 65_535, 65_536, 65_537] {
            let list = vec![3_u8; len];
            let mut out = Encoder::with_capacity(0);
            out.list(&list, |out, &entry| _ = out.u8(entry));
            let bytes = out.finish();
            let read = |most| Decoder::new(&bytes).list(most, Decoder::u8);
            assert_eq!(read(len).as_ref(), Some(&list), "{len}");
            assert_eq!(len.checked_sub(1).and_then(read), None, "{len}: one more than there may be");
            assert_eq!(Decoder::new(bytes.get(..bytes.len() - 1).unwrap_or_default()).list(len, Decoder::u8), None);
        }
    }

    proptest! {
        #[test]
        fn numbers_and_texts_are_read_as_they_were_written(numbers: Vec<u64>, text: String, bytes: Vec<u8>) {
            let mut out = Encoder::with_capacity(0);
            for &number in &numbers {
                out.number(number);
            }
            let written = out.text(&text).bytes(&bytes);
            let written = std::mem::replace(written, Encoder(Vec::new())).finish();
            let mut from = Decoder::new(&written);
            prop_assert!(numbers.iter().all(|&number| from.number() == Some(number)));
            prop_assert_eq!((from.text(), from.bytes()), (Some(&*text), Some(&*bytes)));
            prop_assert!(from.is_empty());
        }

        #[test]
        fn a_list_of_any_length_is_read_as_it_was_written(len in 0..70_000_usize, most in 0..70_000_usize) {
            let list: Vec<u16> = (0..len).map(|n| n as u16).collect();
            let mut out = Encoder::with_capacity(0);
            out.list(&list, |out, &entry| _ = out.u16(entry)).u8(7);
            let bytes = out.finish();
            let mut from = Decoder::new(&bytes);
            let read = from.list(most, Decoder::u16);
            prop_assert_eq!(&read, &(len <= most).then_some(list));
            prop_assert!(read.is_none() || from.u8() == Some(7));
        }

        #[test]
        fn any_bytes_are_numbers_and_texts_or_none(bytes: Vec<u8>) {
            let mut from = Decoder::new(&bytes);
            while from.number().is_some() && from.text().is_some() {}
        }
    }
}
