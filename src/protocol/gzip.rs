//! Compressed request bodies: gzip (RFC 1952) and zlib (RFC 1950, what HTTP calls `deflate`), inflated up to a limit.
//!
//! A worker inflates a body in one go, and every other request of that worker waits meanwhile. So the work is bounded by
//! the sizes of input and output. Two things cost the same whether they hold a byte or none: a member of gzip, and a block
//! of deflate, for which the inflater builds its tables anew. A client could send hundreds of thousands of empty ones in a
//! few megabytes (20 s in the module, for 209,710 members); both have a limit that no compressor comes near.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY,
    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// The most members of a gzip body. Clients write one; a few more come from files that were put together.
const MAX_MEMBERS: usize = 8;

/// A body may have so many blocks whatever its size,
const FREE_BLOCKS: usize = 1_024;

/// and one more for each so many bytes of input and output. zlib ends a block after 128 symbols with its smallest memory,
/// after 16,384 as it is used; a symbol is several bytes in JSON.
const BYTES_PER_BLOCK: usize = 256;

/// Why a body could not be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It begins neither as gzip nor as zlib.
    #[error("the body is neither gzip nor zlib")]
    UnknownFormat,
    /// It ends before its time.
    #[error("the compressed body is cut short")]
    Truncated,
    /// It is not what a compressor writes, or was damaged on its way.
    #[error("the compressed body is corrupt")]
    Corrupt,
    /// It inflates to more than the limit, in bytes.
    #[error("the body inflates to more than {0} bytes")]
    TooLarge(usize),
    /// It has more members than any client writes.
    #[error("the compressed body has more than {MAX_MEMBERS} gzip members; send it as one")]
    TooManyMembers,
    /// It has more blocks than any compressor writes for so few bytes.
    #[error("the compressed body has too many deflate blocks for its size; flush less often")]
    TooManyBlocks,
}

/// Inflates a body, all members of it, to at most `limit` bytes: however small a bomb is, no more than that is allocated,
/// and the work is at most proportional to the bytes of the body and of the result.
///
/// # Errors
///
/// [`InflateError`]; a member whose checksum or length does not fit is corrupt.
pub fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut stream = Inflater::new(limit);
    match body {
        [0x1F, 0x8B, ..] => {
            let mut rest = body;
            let mut members = 0;
            while !rest.is_empty() {
                members += 1;
                if members > MAX_MEMBERS {
                    return Err(InflateError::TooManyMembers);
                }
                let start = stream.filled;
                let data = gzip_header(rest)?;
                let used = stream.inflate(data, 0)?;
                let trailer = data.get(used..).unwrap_or_default();
                let Some((sums, next)) = trailer.split_first_chunk::<8>() else { return Err(InflateError::Truncated) };
                check_trailer(*sums, stream.out.get(start..stream.filled).unwrap_or_default())?;
                // Padding with zeros is common on tapes, and allowed by gzip itself.
                rest = if next.iter().all(|&byte| byte == 0) { &[] } else { next };
            }
        }
        // A zlib header is a multiple of 31, and its method is 8.
        [method, flags, ..] if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) => {
            stream.inflate(body, TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_COMPUTE_ADLER32)?;
        }
        _ => return Err(InflateError::UnknownFormat),
    }
    stream.out.truncate(stream.filled);
    Ok(stream.out)
}

/// One inflater for all members of a body, and its output so far.
struct Inflater {
    state: Box<DecompressorOxide>,
    /// Zeros where nothing was written yet.
    out: Vec<u8>,
    filled: usize,
    limit: usize,
    /// Blocks so far.
    blocks: usize,
    /// Bytes of the body so far.
    read: usize,
}

impl Inflater {
    fn new(limit: usize) -> Self {
        Self { state: Box::default(), out: Vec::new(), filled: 0, limit, blocks: 0, read: 0 }
    }

    /// Appends what one stream holds; says how many bytes of `data` it was.
    fn inflate(&mut self, data: &[u8], flags: u32) -> Result<usize, InflateError> {
        /// JSON text shrinks to a fifth or so: the first guess seldom needs a second.
        const USUAL_RATIO: usize = 5;
        let flags = flags | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        let start = self.filled;
        let mut used = 0;
        self.state.init();
        if self.out.is_empty() {
            self.out.resize(self.limit.min(data.len().saturating_mul(USUAL_RATIO).saturating_add(64)), 0);
        }
        loop {
            let input = data.get(used..).unwrap_or_default();
            // Back references may reach back over this stream's own output only.
            let window = self.out.get_mut(start..).unwrap_or_default();
            let (status, read, written) = decompress(&mut self.state, input, window, self.filled - start, flags);
            used += read;
            self.read += read;
            self.filled += written;
            match status {
                TINFLStatus::Done => return Ok(used),
                TINFLStatus::BlockBoundary => self.count_block()?,
                TINFLStatus::HasMoreOutput if self.out.len() >= self.limit => {
                    return Err(InflateError::TooLarge(self.limit));
                }
                TINFLStatus::HasMoreOutput => {
                    let larger = self.out.len().saturating_mul(2).max(64);
                    self.out.resize(self.limit.min(larger), 0);
                }
                TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                    return Err(InflateError::Truncated);
                }
                _ => return Err(InflateError::Corrupt),
            }
        }
    }

    fn count_block(&mut self) -> Result<(), InflateError> {
        self.blocks += 1;
        let allowed = FREE_BLOCKS + self.read.saturating_add(self.filled) / BYTES_PER_BLOCK;
        if self.blocks > allowed { Err(InflateError::TooManyBlocks) } else { Ok(()) }
    }
}

/// What follows a member's header: ten bytes, and up to four optional fields.
fn gzip_header(member: &[u8]) -> Result<&[u8], InflateError> {
    const HAS_CHECKSUM: u8 = 2;
    const HAS_EXTRA: u8 = 4;
    const HAS_NAME: u8 = 8;
    const HAS_COMMENT: u8 = 16;
    const RESERVED: u8 = 0xE0;
    let Some((fixed, mut rest)) = member.split_first_chunk::<10>() else { return Err(InflateError::Truncated) };
    let [0x1F, 0x8B, 8, flags, ..] = *fixed else { return Err(InflateError::Corrupt) };
    if flags & RESERVED != 0 {
        return Err(InflateError::Corrupt);
    }
    if flags & HAS_EXTRA != 0 {
        let (length, extra) = rest.split_first_chunk::<2>().ok_or(InflateError::Truncated)?;
        rest = extra.get(usize::from(u16::from_le_bytes(*length))..).ok_or(InflateError::Truncated)?;
    }
    for field in [HAS_NAME, HAS_COMMENT] {
        if flags & field != 0 {
            let end = memchr::memchr(0, rest).ok_or(InflateError::Truncated)?;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        rest = rest.get(2..).ok_or(InflateError::Truncated)?;
    }
    Ok(rest)
}

/// A member's trailer: the checksum of what it held, and its length.
fn check_trailer(sums: [u8; 8], data: &[u8]) -> Result<(), InflateError> {
    let sums = u64::from_le_bytes(sums);
    let fits = sums as u32 == crc32(data) && (sums >> 32) as u32 == data.len() as u32;
    if fits { Ok(()) } else { Err(InflateError::Corrupt) }
}

/// CRC-32 as in RFC 1952, section 8.
fn crc32(data: &[u8]) -> u32 {
    static TABLE: [u32; 256] = table();
    !data.iter().fold(!0, |crc, &byte| {
        let index = (crc as u8 ^ byte) as usize;
        TABLE.get(index).copied().unwrap_or_default() ^ (crc >> 8)
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut left: &mut [u32] = &mut table;
    let mut byte = 0_u32;
    while let [first, rest @ ..] = left {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        *first = crc;
        byte += 1;
        left = rest;
    }
    table
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
    use proptest::prelude::*;

    use super::*;

    /// A member as `gzip` writes it, with the optional fields that `flags` asks for.
    fn member(data: &[u8], flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3];
        if flags & 4 != 0 {
            bytes.extend([3, 0, b'a', b'b', b'c']);
        }
        if flags & 8 != 0 {
            bytes.extend(b"body.json\0");
        }
        if flags & 16 != 0 {
            bytes.extend(b"a comment\0");
        }
        if flags & 2 != 0 {
            bytes.extend([0xAA, 0xBB]);
        }
        bytes.extend(compress_to_vec(data, 6));
        bytes.extend(crc32(data).to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn what_the_gzip_program_wrote_is_read() {
        // printf 'hello' | gzip -n
        let hello = [
            0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 7, 0, 0x86, 0xA6, 0x10, 0x36, 5, 0, 0, 0,
        ];
        assert_eq!(inflate(&hello, 100).unwrap(), b"hello");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = member(&vec![b' '; 10_000_000], 0);
        assert!(bomb.len() < 20_000);
        assert_eq!(inflate(&bomb, 1_000_000), Err(InflateError::TooLarge(1_000_000)));
        assert_eq!(inflate(&bomb, 10_000_000).unwrap().len(), 10_000_000);
    }

    #[test]
    fn members_add_up_against_the_same_limit() {
        let mut two = member(b"one, ", 0);
        two.extend(member(b"two", 0));
        two.extend([0; 20]);
        assert_eq!(inflate(&two, 8).unwrap(), b"one, two");
        assert_eq!(inflate(&two, 7), Err(InflateError::TooLarge(7)));
    }

    #[test]
    fn damage_is_noticed() {
        let good = member(b"a body that is long enough to be compressed, compressed, compressed", 0);
        let mut wrong_sum = good.clone();
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        assert_eq!(inflate(&wrong_sum, 1000), Err(InflateError::Corrupt));
        let mut trailing = good.clone();
        trailing.extend(b"and more");
        assert!(inflate(&trailing, 1000).is_err());
        for end in 2..good.len() {
            assert_eq!(inflate(&good[..end], 1000), Err(InflateError::Truncated), "cut at {end}");
        }
        assert_eq!(inflate(b"{\"plain\": true}", 1000), Err(InflateError::UnknownFormat));
        assert_eq!(inflate(b"", 1000), Err(InflateError::UnknownFormat));
    }

    /// A body of gzip with that deflate stream, and the output that it stands for.
    fn gzip_of(deflate: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
        bytes.extend(deflate);
        bytes.extend(crc32(data).to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes
    }

    /// Bits as deflate packs them, the lowest first.
    #[derive(Default)]
    struct Bits(Vec<u8>, u32);

    impl Bits {
        fn put(&mut self, value: u32, bits: u32) -> &mut Self {
            for bit in 0..bits {
                if self.1 == 0 {
                    self.0.push(0);
                }
                *self.0.last_mut().unwrap() |= ((value >> bit & 1) as u8) << self.1;
                self.1 = (self.1 + 1) % 8;
            }
            self
        }
    }

    /// So many empty blocks of one kind, and a last one, stored.
    fn empty_blocks(n: usize, kind: Kind) -> Vec<u8> {
        let mut bits = Bits::default();
        for _ in 0..n {
            match kind {
                Kind::Stored => {
                    bits.put(0, 3);
                    bits.1 = 0;
                    bits.0.extend([0, 0, 0xFF, 0xFF]);
                }
                // The end of a block is seven zeros.
                Kind::Fixed => _ = bits.put(0b010, 3).put(0, 7),
                Kind::Dynamic => {
                    // 257 literals, one distance, all 19 lengths of lengths: of 0 one bit, of 1 two bits, of 18 two bits.
                    bits.put(0b100, 3).put(0, 5).put(0, 5).put(15, 4);
                    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
                        bits.put(
                            match symbol {
                                0 => 1,
                                1 | 18 => 2,
                                _ => 0,
                            },
                            3,
                        );
                    }
                    // No literal but the last, which ends the block: 138 + 118 zeros, 1, and the distance's 1.
                    bits.put(0b11, 2).put(127, 7).put(0b11, 2).put(107, 7).put(0b01, 2).put(0b01, 2);
                    bits.put(0, 1);
                }
            }
        }
        bits.put(1, 3);
        bits.0.extend([0, 0, 0xFF, 0xFF]);
        bits.0
    }

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Stored,
        Fixed,
        Dynamic,
    }

    #[test]
    fn a_handful_of_members_is_read_and_more_are_refused() {
        for data in [&b""[..], b"x"] {
            for members in [1, MAX_MEMBERS] {
                assert_eq!(inflate(&member(data, 0).repeat(members), 1_000).unwrap(), data.repeat(members));
            }
            for members in [MAX_MEMBERS + 1, 1_000, (4 << 20) / 20] {
                assert_eq!(inflate(&member(data, 0).repeat(members), 4 << 20), Err(InflateError::TooManyMembers));
            }
        }
        let stored = gzip_of(&[1, 1, 0, 0xFE, 0xFF, b'x'], b"x");
        assert_eq!(inflate(&stored.repeat(3), 1_000).unwrap(), b"xxx");
        assert_eq!(inflate(&stored.repeat(160_000), 4 << 20), Err(InflateError::TooManyMembers));
    }

    #[test]
    fn blocks_that_hold_next_to_nothing_are_counted() {
        for kind in [Kind::Stored, Kind::Fixed, Kind::Dynamic] {
            assert_eq!(inflate(&gzip_of(&empty_blocks(FREE_BLOCKS, kind), b""), 10).unwrap(), b"", "{kind:?}");
            let many = gzip_of(&empty_blocks(100_000, kind), b"");
            assert_eq!(inflate(&many, 4 << 20), Err(InflateError::TooManyBlocks), "{kind:?}");
            let mut zlib = vec![0x78, 0x9C];
            zlib.extend(empty_blocks(100_000, kind));
            assert_eq!(inflate(&zlib, 4 << 20), Err(InflateError::TooManyBlocks), "{kind:?}");
        }
    }

    #[test]
    fn blocks_of_all_members_are_counted_together() {
        let half = gzip_of(&empty_blocks(FREE_BLOCKS * 3 / 4, Kind::Fixed), b"");
        assert_eq!(inflate(&half, 10).unwrap(), b"");
        assert_eq!(inflate(&half.repeat(2), 10), Err(InflateError::TooManyBlocks));
    }

    #[test]
    fn what_compressors_write_has_few_enough_blocks() {
        let text: Vec<u8> = (0..40_000)
            .flat_map(|n: u32| format!("{{\"n\":{}}},", n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect();
        for level in [1, 6, 9] {
            assert_eq!(inflate(&member(&text, 0), text.len()).unwrap(), text);
            assert_eq!(inflate(&compress_to_vec_zlib(&text, level), text.len()).unwrap(), text);
        }
        // A client that flushes after each kilobyte writes two blocks for it.
        let mut flushed = Vec::new();
        for piece in text.chunks(1_024) {
            let size = piece.len() as u16;
            flushed.push(0);
            flushed.extend(size.to_le_bytes());
            flushed.extend((!size).to_le_bytes());
            flushed.extend(piece);
            flushed.extend([0, 0, 0, 0xFF, 0xFF]);
        }
        flushed.extend([1, 0, 0, 0xFF, 0xFF]);
        assert_eq!(inflate(&gzip_of(&flushed, &text), text.len()).unwrap(), text);
    }

    #[test]
    fn long_fields_of_a_header_are_passed_over() {
        let name = vec![b'n'; 1 << 20];
        let mut bytes = vec![0x1F, 0x8B, 8, 8 | 16, 0, 0, 0, 0, 0, 3];
        for _ in 0..2 {
            bytes.extend(&name);
            bytes.push(0);
        }
        bytes.extend(compress_to_vec(b"hello", 6));
        bytes.extend(crc32(b"hello").to_le_bytes());
        bytes.extend(5_u32.to_le_bytes());
        assert_eq!(inflate(&bytes, 100).unwrap(), b"hello");
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(data: Vec<u8>, flags in 0_u8..32) {
            let flags = flags & !1;
            prop_assert_eq!(inflate(&member(&data, flags), data.len()).unwrap(), data.clone());
            prop_assert_eq!(inflate(&compress_to_vec_zlib(&data, 6), data.len()).unwrap(), data);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(tail: Vec<u8>, gzip: bool) {
            let mut body = if gzip { vec![0x1F, 0x8B, 8] } else { vec![0x78, 0x9C] };
            body.extend(tail);
            if let Ok(out) = inflate(&body, 1000) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }
}
