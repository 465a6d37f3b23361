//! What is in a body and is not text: images by their providers' rules, audio and documents by their size.
//!
//! Nothing is decoded but the few bytes of a header that hold an image's size.

use crate::domain::{Api, Tokens};

/// An image's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Pixels {
    /// What is assumed of an image that is only named, by a URL or an id.
    pub(super) const ASSUMED: Self = Self { width: 1024, height: 1024 };
}

/// How closely an `OpenAI` model looks at an image. `auto`, and no word at all, counts as high: that is what the models
/// choose for images above 512 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Low,
    High,
}

impl Detail {
    pub(super) fn named(name: &str) -> Self {
        if name == "low" { Self::Low } else { Self::High }
    }
}

/// What some data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media<'a> {
    /// An image of that size.
    Image(Pixels),
    /// Audio of a known duration: worth that many tokens.
    Tokens(u64),
    /// A document, or data of an unknown kind: guessed from its size to be worth that many tokens.
    Guess(u64),
    /// Text after all.
    Text(&'a str),
}

/// The sums over a request's images from which the tokens follow by any of the rules. The rule depends on the model,
/// which may be named after the images; so all sums are taken.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// Images in low and in high detail.
    low: u64,
    high: u64,
    /// 512-pixel tiles of those in high detail.
    tiles: u64,
    /// 32-pixel patches of all of them.
    patches: u64,
    /// Anthropic's tokens.
    area: u64,
}

impl Images {
    pub(super) fn add(&mut self, pixels: Pixels, detail: Detail) {
        match detail {
            Detail::Low => self.low += 1,
            Detail::High => {
                self.high += 1;
                self.tiles = self.tiles.saturating_add(tiles(pixels));
            }
        }
        self.patches = self.patches.saturating_add(patches(pixels));
        self.area = self.area.saturating_add(area_tokens(pixels));
    }

    /// What they cost in input tokens.
    pub(super) fn tokens(&self, api: Api, model: &str) -> u64 {
        if matches!(api, Api::Messages | Api::VertexMessages | Api::CountTokens) {
            return self.area;
        }
        match OpenAiRule::of(model) {
            OpenAiRule::Tiles { base, tile } => (self.low + self.high) * base + self.tiles * tile,
            OpenAiRule::Patches { percent } => self.patches * percent / 100,
        }
    }
}

/// `OpenAI`'s two ways of counting an image (its guide "Images and vision", "Calculating costs").
enum OpenAiRule {
    /// A base for each image, and so much for each tile of those in high detail.
    Tiles { base: u64, tile: u64 },
    /// Each patch, times a factor.
    Patches { percent: u64 },
}

impl OpenAiRule {
    /// By the beginning of the model's name, the more special one first; a model nobody knows counts as gpt-4o.
    fn of(model: &str) -> Self {
        const RULES: [(&str, OpenAiRule); 12] = [
            ("gpt-4o-mini", OpenAiRule::Tiles { base: 2_833, tile: 5_667 }),
            ("gpt-4.1-mini", OpenAiRule::Patches { percent: 162 }),
            ("gpt-4.1-nano", OpenAiRule::Patches { percent: 246 }),
            ("gpt-5-mini", OpenAiRule::Patches { percent: 162 }),
            ("gpt-5-nano", OpenAiRule::Patches { percent: 246 }),
            ("gpt-5", OpenAiRule::Tiles { base: 70, tile: 140 }),
            ("o1", OpenAiRule::Tiles { base: 75, tile: 150 }),
            ("o3", OpenAiRule::Tiles { base: 75, tile: 150 }),
            ("o4-mini", OpenAiRule::Patches { percent: 172 }),
            ("computer-use-preview", OpenAiRule::Tiles { base: 65, tile: 129 }),
            ("gpt-4o", OpenAiRule::Tiles { base: 85, tile: 170 }),
            ("", OpenAiRule::Tiles { base: 85, tile: 170 }),
        ];
        RULES
            .into_iter()
            .find(|(prefix, _)| model.starts_with(prefix))
            .map_or(Self::Tiles { base: 85, tile: 170 }, |(_, rule)| rule)
    }
}

/// Tiles of 512 pixels, after the image is made to fit 2048 by 2048 and its shorter side 768; never enlarged.
fn tiles(Pixels { width, height }: Pixels) -> u64 {
    let (long, short) = (f64::from(width.max(height)), f64::from(width.min(height)));
    let fit = (2048.0 / long).min(1.0);
    let scale = fit * (768.0 / (short * fit)).min(1.0);
    let along = |side: f64| (side * scale / 512.0).ceil().max(1.0) as u64;
    along(long) * along(short)
}

/// Patches of 32 pixels; an image of more than 1536 is made to fit them.
fn patches(Pixels { width, height }: Pixels) -> u64 {
    (u64::from(width.div_ceil(32)) * u64::from(height.div_ceil(32))).clamp(1, 1_536)
}

/// Anthropic: width times height over 750, after the longer side is made to fit 1568; at most 1600.
fn area_tokens(Pixels { width, height }: Pixels) -> u64 {
    let scale = (1_568.0 / f64::from(width.max(height))).min(1.0);
    (f64::from(width) * scale * f64::from(height) * scale / 750.0).ceil().clamp(1.0, 1_600.0) as u64
}

/// Tokens of a page of a PDF and its bytes, as a rule of thumb: a body does not say how many pages it holds.
const PDF_PAGE_TOKENS: u64 = 2_000;
const PDF_PAGE_BYTES: u64 = 64 * 1024;

/// Audio is a token for each tenth of a second, as `OpenAI` counts it.
const AUDIO_TOKENS_PER_SECOND: u64 = 10;

/// Data of an unknown kind is measured as MP3 of 128 kbit/s: 16 kB a second.
const UNKNOWN_TOKEN_BYTES: u64 = 1_600;

/// What an image's URL says: its size if it is a data URI, else the assumption.
pub(super) fn read_url(url: &str) -> Media<'static> {
    match base64_of_uri(url).map(|base64| Base64(base64.as_bytes())) {
        Some(base64) => Media::Image(base64.image().unwrap_or(Pixels::ASSUMED)),
        None => Media::Image(Pixels::ASSUMED),
    }
}

/// What data is, told by its beginning, since the type that names it may come after it.
pub(super) fn read_data(data: &str) -> Media<'_> {
    let (text, uri) = base64_of_uri(data).map_or((data, false), |base64| (base64, true));
    let base64 = Base64(text.as_bytes());
    if !(uri || base64.looks_like_it()) {
        return Media::Text(data);
    }
    if let Some(pixels) = base64.image() {
        return Media::Image(pixels);
    }
    let bytes = base64.len();
    if base64.starts_with(b"%PDF") {
        return Media::Guess(bytes.div_ceil(PDF_PAGE_BYTES).max(1).saturating_mul(PDF_PAGE_TOKENS));
    }
    match base64.audio_tenths() {
        Some(tenths) => Media::Tokens(tenths.max(1)),
        None => Media::Guess(bytes.div_ceil(UNKNOWN_TOKEN_BYTES)),
    }
}

/// By what the tokens of a body are guessed that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measure {
    /// As text: a token for every four bytes.
    #[default]
    Text,
    /// As an image.
    Image,
    /// As sound: a file, or a form with files in it.
    Sound,
}

impl Measure {
    /// That of a content type.
    pub fn of(content_type: &[u8]) -> Self {
        let begins = |kind: &str| {
            content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind.as_bytes()))
        };
        let files =
            ["audio/", "video/", "multipart/", "application/octet-stream", "application/pdf", "application/zip"];
        if begins("image/") {
            Self::Image
        } else if files.into_iter().any(begins) {
            Self::Sound
        } else {
            Self::Text
        }
    }

    /// The guess for so many bytes; none of what may be text.
    pub fn tokens(self, bytes: u64) -> Option<Tokens> {
        match self {
            Self::Text => None,
            Self::Image => {
                let mut images = Images::default();
                images.add(Pixels::ASSUMED, Detail::High);
                Some(Tokens(images.tokens(Api::Other, "")))
            }
            Self::Sound => Some(Tokens(bytes.div_ceil(UNKNOWN_TOKEN_BYTES))),
        }
    }
}

/// The base64 in a data URI.
fn base64_of_uri(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("data:")?;
    // Media types are short: do not search megabytes for a comma.
    let head = rest.as_bytes().get(..rest.len().min(256))?;
    let comma = memchr::memchr(b',', head)?;
    head.get(..comma)?.ends_with(b";base64").then(|| rest.get(comma + 1..))?
}

/// Base64 as the bytes that it stands for, each decoded when asked for. Line breaks inside are not expected.
struct Base64<'a>(&'a [u8]);

impl Base64<'_> {
    /// How many bytes.
    fn len(&self) -> u64 {
        let padding = self.0.iter().rev().take_while(|&&byte| byte == b'=').count();
        self.0.len().saturating_sub(padding) as u64 * 3 / 4
    }

    /// The byte at `index`.
    fn byte(&self, index: usize) -> Option<u8> {
        let group = self.0.get((index / 3).checked_mul(4)?..)?;
        let at = |place: usize| group.get(place).copied().and_then(sextet);
        match index % 3 {
            0 => Some((at(0)? << 2) | (at(1)? >> 4)),
            1 => Some((at(1)? << 4) | (at(2)? >> 2)),
            _ => Some((at(2)? << 6) | at(3)?),
        }
    }

    fn slice<const N: usize>(&self, from: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (offset, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(from.checked_add(offset)?)?;
        }
        Some(bytes)
    }

    fn starts_with(&self, magic: &[u8]) -> bool {
        magic.iter().enumerate().all(|(at, &byte)| self.byte(at) == Some(byte))
    }

    /// Whether its first 64 characters are all of the alphabet: no text has so long a word.
    fn looks_like_it(&self) -> bool {
        self.0.get(..64).is_some_and(|head| head.iter().all(|&byte| sextet(byte).is_some()))
    }

    /// How many tenths of a second of sound it is, where its header tells: of a WAV, an MP3 without a change of its bit
    /// rate, or a FLAC.
    fn audio_tenths(&self) -> Option<u64> {
        if self.starts_with(b"fLaC") {
            // STREAMINFO: 20 bits of the sample rate, 8 of others, 36 of the number of samples.
            let bits = u64::from_be_bytes(self.slice(18)?);
            let (rate, samples) = (bits >> 44, bits & 0xF_FFFF_FFFF);
            return tenths(samples, rate).filter(|_| samples > 0);
        }
        if self.starts_with(b"RIFF") && self.slice::<8>(8)? == *b"WAVEfmt " {
            return tenths(self.len(), u32::from_le_bytes(self.slice(28)?).into());
        }
        tenths(self.len(), self.mp3_rate()?)
    }

    /// Bytes a second, by the header of the first frame of an MP3, behind its ID3 tag if it has one.
    fn mp3_rate(&self) -> Option<u64> {
        /// Of layer III, in kbit/s: of MPEG 1, and of MPEG 2 and 2.5.
        const RATES: [[u64; 14]; 2] = [
            [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let start = if self.starts_with(b"ID3") {
            let size = self.slice::<4>(6)?;
            10 + size.iter().fold(0_usize, |size, &byte| size << 7 | usize::from(byte & 0x7F))
        } else {
            0
        };
        let [sync, version, rate] = self.slice(start)?;
        // The layer is the third.
        if sync != 0xFF || version & 0xE6 != 0xE2 {
            return None;
        }
        let rates = RATES.get(usize::from(version & 0x18 != 0x18))?;
        rates.get(usize::from(rate >> 4).checked_sub(1)?).map(|kilobits| kilobits * 125)
    }

    /// The size in the header of a PNG, GIF, WebP or JPEG; none for another format, a broken header, or no pixels.
    fn image(&self) -> Option<Pixels> {
        let pixels = if self.starts_with(b"\x89PNG") {
            Pixels { width: u32::from_be_bytes(self.slice(16)?), height: u32::from_be_bytes(self.slice(20)?) }
        } else if self.starts_with(b"GIF8") {
            Pixels { width: self.u16_le(6)?, height: self.u16_le(8)? }
        } else if self.starts_with(b"RIFF") && self.slice::<4>(8)? == *b"WEBP" {
            self.webp()?
        } else if self.starts_with(b"\xFF\xD8") {
            self.jpeg()?
        } else {
            return None;
        };
        (pixels.width > 0 && pixels.height > 0).then_some(pixels)
    }

    /// The three forms of a WebP: lossy, lossless, extended (RFC 9649).
    fn webp(&self) -> Option<Pixels> {
        match &self.slice::<4>(12)? {
            b"VP8 " => Some(Pixels { width: self.u16_le(26)? & 0x3FFF, height: self.u16_le(28)? & 0x3FFF }),
            b"VP8L" => {
                let bits = u32::from_le_bytes(self.slice(21)?);
                Some(Pixels { width: (bits & 0x3FFF) + 1, height: (bits >> 14 & 0x3FFF) + 1 })
            }
            b"VP8X" => {
                let side = |at| self.slice::<3>(at).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]) + 1);
                Some(Pixels { width: side(24)?, height: side(27)? })
            }
            _ => None,
        }
    }

    /// A JPEG's size stands in its frame header, after any number of segments (thumbnails, colour profiles).
    fn jpeg(&self) -> Option<Pixels> {
        /// More segments than any camera writes; an end for a header that is made up.
        const SEGMENTS: usize = 512;
        let mut at = 2_usize;
        for _ in 0..SEGMENTS {
            let [mark, kind] = self.slice(at)?;
            if mark != 0xFF {
                return None;
            }
            match kind {
                // A fill byte before a marker.
                0xFF => at += 1,
                // Start of frame of any coding; C4, C8 and CC are other things.
                0xC0..=0xCF if !matches!(kind, 0xC4 | 0xC8 | 0xCC) => {
                    return Some(Pixels { height: self.u16_be(at + 5)?, width: self.u16_be(at + 7)? });
                }
                _ => at = at.checked_add(2)?.checked_add(self.u16_be(at + 2)? as usize)?,
            }
        }
        None
    }

    fn u16_le(&self, at: usize) -> Option<u32> {
        self.slice(at).map(|bytes| u32::from(u16::from_le_bytes(bytes)))
    }

    fn u16_be(&self, at: usize) -> Option<u32> {
        self.slice(at).map(|bytes| u32::from(u16::from_be_bytes(bytes)))
    }
}

/// How many tenths of a second an amount is at so much a second; none at a rate that no sound has.
fn tenths(amount: u64, per_second: u64) -> Option<u64> {
    /// Below a telephone's, above a studio's.
    const RATES: std::ops::RangeInclusive<u64> = 500..=4_000_000;
    RATES.contains(&per_second).then(|| amount.saturating_mul(AUDIO_TOKENS_PER_SECOND).div_ceil(per_second))
}

/// The six bits of a character, in either alphabet (RFC 4648).
const fn sextet(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
