//! Compressed request bodies: gzip (RFC 1952) and zlib (RFC 1950, what HTTP calls `deflate`), inflated up to a limit.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

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
}

/// Inflates a body, all members of it, to at most `limit` bytes: however small a bomb is, no more than that is allocated.
///
/// # Errors
///
/// [`InflateError`]; a member whose checksum or length does not fit is corrupt.
pub fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    match body {
        [0x1F, 0x8B, ..] => {
            let mut rest = body;
            while !rest.is_empty() {
                let start = out.len();
                let data = gzip_header(rest)?;
                let used = inflate_stream(data, 0, &mut out, limit)?;
                let trailer = data.get(used..).unwrap_or_default();
                let Some((sums, next)) = trailer.split_first_chunk::<8>() else { return Err(InflateError::Truncated) };
                check_trailer(*sums, out.get(start..).unwrap_or_default())?;
                // Padding with zeros is common on tapes, and allowed by gzip itself.
                rest = if next.iter().all(|&byte| byte == 0) { &[] } else { next };
            }
        }
        // A zlib header is a multiple of 31, and its method is 8.
        [method, flags, ..] if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) => {
            inflate_stream(body, TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_COMPUTE_ADLER32, &mut out, limit)?;
        }
        _ => return Err(InflateError::UnknownFormat),
    }
    Ok(out)
}

/// Appends what one stream holds; says how many bytes of `data` it was.
fn inflate_stream(data: &[u8], flags: u32, out: &mut Vec<u8>, limit: usize) -> Result<usize, InflateError> {
    /// JSON text shrinks to a fifth or so: the first guess seldom needs a second.
    const USUAL_RATIO: usize = 5;
    let start = out.len();
    let mut inflater = DecompressorOxide::new();
    let (mut used, mut filled) = (0, start);
    out.resize(limit.min(start.saturating_add(data.len().saturating_mul(USUAL_RATIO)).saturating_add(64)), 0);
    loop {
        let input = data.get(used..).unwrap_or_default();
        // Back references may reach back over this stream's own output only.
        let window = out.get_mut(start..).unwrap_or_default();
        let flags = flags | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut inflater, input, window, filled - start, flags);
        used += read;
        filled += written;
        match status {
            TINFLStatus::Done => {
                out.truncate(filled);
                return Ok(used);
            }
            TINFLStatus::HasMoreOutput if out.len() >= limit => return Err(InflateError::TooLarge(limit)),
            TINFLStatus::HasMoreOutput => out.resize(limit.min(out.len().saturating_mul(2)), 0),
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => return Err(InflateError::Truncated),
            _ => return Err(InflateError::Corrupt),
        }
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
