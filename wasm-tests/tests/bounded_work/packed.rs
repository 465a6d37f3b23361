//! Compressed bodies. What is inflated is bytes, too: the measure is those that came and those that they stand for.

use std::io::{Read, Write};

use flate2::{
    Compression, Crc,
    read::{MultiGzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};

use super::*;

const PATH: &str = "/v1/chat/completions";
/// The router's limit of a body.
const LIMIT: u64 = 4 << 20;

fn conversation(size: usize) -> Vec<u8> {
    let messages: Vec<_> = (0..size / 100)
        .map(|n: usize| {
            format!(r#"{{"role":"user","content":"The {} word, said {} times by {}."}}"#, n, n * 7 % 1_001, n ^ 0x4D)
        })
        .collect();
    format!(r#"{{"messages":[{}]}}"#, messages.join(",")).into_bytes()
}

/// A deflate stream as gzip.
fn gzip(deflate: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(data);
    let mut out = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    out.extend(deflate);
    out.extend(crc.sum().to_le_bytes());
    out.extend(crc.amount().to_le_bytes());
    out
}

/// Bits as deflate packs them, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, bits: u32) -> &mut Self {
        for bit in 0..bits {
            if self.used == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << self.used;
            self.used = (self.used + 1) % 8;
        }
        self
    }

    fn stored(&mut self, data: &[u8], last: bool) -> &mut Self {
        self.put(u32::from(last), 3);
        self.used = 0;
        let size = u16::try_from(data.len()).unwrap();
        self.bytes.extend(size.to_le_bytes());
        self.bytes.extend((!size).to_le_bytes());
        self.bytes.extend(data);
        self
    }

    /// An empty block with the fixed tables.
    fn fixed(&mut self) -> &mut Self {
        self.put(0b010, 3).put(0, 7)
    }

    /// An empty block with tables of its own: only the end of a block has a code.
    fn dynamic(&mut self) -> &mut Self {
        self.put(0b100, 3).put(0, 5).put(0, 5).put(15, 4);
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            let length = match symbol {
                0 => 1,
                1 | 18 => 2,
                _ => 0,
            };
            self.put(length, 3);
        }
        self.put(0b11, 2).put(127, 7).put(0b11, 2).put(107, 7).put(0b01, 2).put(0b01, 2).put(0, 1)
    }
}

/// So many blocks that the stream has about that size.
fn blocks(size: usize, block: impl Fn(&mut Bits)) -> Vec<u8> {
    let mut bits = Bits::default();
    while bits.bytes.len() < size {
        block(&mut bits);
    }
    bits.stored(b"", true);
    bits.bytes
}

fn zlib(deflate: Vec<u8>) -> Vec<u8> {
    let mut out = vec![0x78, 0x9C];
    out.extend(deflate);
    // The checksum of nothing.
    out.extend(1_u32.to_be_bytes());
    out
}

/// What it stands for, as another inflater sees it, up to the limit.
fn inflated(body: &[u8]) -> usize {
    let mut out = Vec::new();
    let _ = if body[0] == 0x1F {
        MultiGzDecoder::new(body).take(LIMIT).read_to_end(&mut out)
    } else {
        ZlibDecoder::new(body).take(LIMIT).read_to_end(&mut out)
    };
    out.len()
}

#[test]
fn a_compressed_body_costs_the_same_for_each_byte_that_comes_or_is_meant() {
    let shapes: &[Shape] = &[
        ("an ordinary conversation", |n| {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(&conversation(n)).unwrap();
            packer.finish().unwrap()
        }),
        ("the same as zlib", |n| {
            let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(&conversation(n)).unwrap();
            packer.finish().unwrap()
        }),
        ("a conversation that is not compressed", |n| {
            let body = conversation(n);
            let mut bits = Bits::default();
            for piece in body.chunks(60_000) {
                bits.stored(piece, false);
            }
            bits.stored(b"", true);
            gzip(&bits.bytes, &body)
        }),
        ("flushed after each kilobyte", |n| {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            for piece in conversation(n).chunks(KIB) {
                packer.write_all(piece).unwrap();
                packer.flush().unwrap();
            }
            packer.finish().unwrap()
        }),
        ("members of nothing", |n| gzip(&[3, 0], b"").repeat(n / 20)),
        ("members of a byte, stored", |n| {
            gzip(Bits::default().stored(b"x", true).bytes.as_slice(), b"x").repeat(n / 24)
        }),
        ("members with long names", |n| {
            let mut member = vec![0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3];
            member.extend(vec![b'n'; n / 8 - 30]);
            member.extend([0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            member.repeat(8)
        }),
        ("members with extra fields", |n| {
            let mut member = vec![0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 3, 0xFF, 0x7F];
            member.extend(vec![0; 0x7FFF]);
            member.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            member.repeat((n / member.len()).max(1))
        }),
        ("a name that does not end", |n| {
            let mut body = vec![0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3];
            body.extend(vec![b'n'; n]);
            body
        }),
        ("stored blocks of nothing", |n| gzip(&blocks(n, |bits| _ = bits.stored(b"", false)), b"")),
        ("fixed blocks of nothing", |n| gzip(&blocks(n, |bits| _ = bits.fixed()), b"")),
        ("blocks of tables for nothing", |n| gzip(&blocks(n, |bits| _ = bits.dynamic()), b"")),
        ("the same as zlib", |n| zlib(blocks(n, |bits| _ = bits.dynamic()))),
        ("stored blocks of a byte", |n| {
            let bytes = blocks(n, |bits| _ = bits.stored(b" ", false));
            gzip(&bytes, &vec![b' '; n / 6])
        }),
        ("as many tables as may be", |n| {
            // Two blocks for each 512 bytes of input and output.
            let bytes = blocks(n, |bits| _ = bits.dynamic().stored(&[b' '; 252], false));
            let data = vec![b' '; inflated(&gzip(&bytes, b""))];
            gzip(&bytes, &data)
        }),
        ("a bomb", |n| {
            let mut packer = GzEncoder::new(Vec::new(), Compression::best());
            packer.write_all(&vec![b' '; n * 16]).unwrap();
            packer.finish().unwrap()
        }),
        ("zeros behind the end", |n| {
            let mut body = gzip(&[3, 0], b"");
            body.extend(vec![0; n]);
            body
        }),
        ("something else behind the end", |n| {
            let mut body = gzip(&[3, 0], b"");
            body.extend(vec![0; n]);
            body.push(1);
            body
        }),
        ("cut", |n| {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(&conversation(4 * n)).unwrap();
            let mut body = packer.finish().unwrap();
            body.truncate(body.len() - 9);
            body
        }),
    ];
    bounded("packed", 64 * KIB, 20.0, shapes, |body| {
        let mut vm = Vm::new(&router());
        let steps = vm.steps(|vm| _ = vm.request(post(PATH, &[("content-encoding", b"gzip")]), body));
        assert!(vm.local().is_none_or(|(status, _)| matches!(status, 400 | 413)), "{:?}", vm.local());
        Cost { bytes: body.len() + inflated(body), steps }
    });
}

/// The requests of the issue: 20 s in the module, for the first of them.
#[test]
fn no_four_mebibytes_of_anything_packed_cost_more_than_an_ordinary_body_of_that_size() {
    let steps = |body: &[u8], packed: bool| {
        let mut vm = Vm::new(&router());
        let encoding: &[(&str, &[u8])] = if packed { &[("content-encoding", b"gzip")] } else { &[] };
        let steps = vm.steps(|vm| _ = vm.request(post(PATH, encoding), body));
        (steps, vm.local())
    };
    let size = usize::try_from(LIMIT).unwrap();
    let (usual, local) = steps(&conversation(size - 200), false);
    assert_eq!(local, None);
    for (name, body) in [
        ("members of nothing", gzip(&[3, 0], b"").repeat(209_710)),
        ("a mebibyte of them", gzip(&[3, 0], b"").repeat(52_428)),
        ("members of a byte", gzip(Bits::default().stored(b"x", true).bytes.as_slice(), b"x").repeat(size / 24)),
        ("stored blocks of nothing", gzip(&blocks(size - 100, |bits| _ = bits.stored(b"", false)), b"")),
        ("blocks of tables for nothing", gzip(&blocks(size - 100, |bits| _ = bits.dynamic()), b"")),
    ] {
        let (steps, local) = steps(&body, true);
        println!("{name}: {steps} steps; an ordinary body: {usual}");
        let (status, told) = local.unwrap();
        assert_eq!(status, 400, "{told}");
        assert!(told.contains("invalid_request") && told.contains("compressed body has"), "{told}");
        assert!(steps < usual, "{name}: {steps} steps");
    }
}
