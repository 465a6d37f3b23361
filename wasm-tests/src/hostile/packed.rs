//! Compressed bodies that cost much to read, or stand for much.

use std::io::Write as _;

use flate2::{Compression, Crc, write::GzEncoder};

use super::rng::Rng;

/// Some, made once: they are large.
#[derive(Debug)]
pub(super) struct Bodies(Vec<Vec<u8>>);

impl Bodies {
    pub(super) fn new() -> Self {
        let empty = gzip_of(&[3, 0], b"");
        let byte = gzip_of(&[1, 1, 0, 0xFE, 0xFF, b'x'], b"x");
        let stored: Vec<u8> = [0, 0, 0, 0xFF, 0xFF].repeat(40_000).into_iter().chain([1, 0, 0, 0xFF, 0xFF]).collect();
        let cut = {
            let mut whole = packed(&vec![b'a'; 50_000]);
            whole.truncate(whole.len() / 2);
            whole
        };
        Self(vec![
            empty.repeat(10_000),
            empty.repeat(8),
            byte.repeat(8_000),
            gzip_of(&stored, b""),
            gzip_of(&tables_for_nothing(200_000), b""),
            packed(&vec![b' '; 3 << 20]),
            packed(&vec![b' '; 20 << 20]),
            packed(&b"[".repeat(200_000)),
            cut,
            b"\x1f\x8b\x08\xff".to_vec(),
            b"\x78\x9c".iter().copied().chain(vec![0xFF; 2_000]).collect(),
            b"{\"messages\":[]}".to_vec(),
        ])
    }

    pub(super) fn one(&self, rng: &mut Rng) -> &[u8] {
        let at = rng.below(self.0.len() as u64) as usize;
        self.0.get(at).map_or(b"", Vec::as_slice)
    }
}

fn packed(data: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(data).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

/// A deflate stream as a member of gzip.
pub fn gzip_of(deflate: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(data);
    let mut out = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    out.extend(deflate);
    out.extend(crc.sum().to_le_bytes());
    out.extend(crc.amount().to_le_bytes());
    out
}

/// A deflate stream of about so many bytes, of empty blocks with tables of their own.
pub fn tables_for_nothing(size: usize) -> Vec<u8> {
    let (mut bytes, mut used) = (Vec::new(), 0_u32);
    let mut put = |bytes: &mut Vec<u8>, value: u32, bits: u32| {
        for bit in 0..bits {
            if used == 0 {
                bytes.push(0);
            }
            if let Some(last) = bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << used;
            }
            used = (used + 1) % 8;
        }
    };
    while bytes.len() < size {
        for (value, bits) in [(0b100, 3), (0, 5), (0, 5), (15, 4)] {
            put(&mut bytes, value, bits);
        }
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            put(&mut bytes, if symbol == 0 { 1 } else { u32::from(matches!(symbol, 1 | 18)) * 2 }, 3);
        }
        for (value, bits) in [(0b11, 2), (127, 7), (0b11, 2), (107, 7), (0b01, 2), (0b01, 2), (0, 1)] {
            put(&mut bytes, value, bits);
        }
    }
    put(&mut bytes, 1, 3);
    bytes.extend([0, 0, 0xFF, 0xFF]);
    bytes
}
