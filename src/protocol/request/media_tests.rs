use super::*;

fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0_u32, |bits, (at, &byte)| bits | u32::from(byte) << (16 - 8 * at));
        for sextet in 0..4 {
            let index = (bits >> (18 - 6 * sextet) & 63) as usize;
            text.push(if sextet <= group.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

fn size(header: &[&[u8]]) -> Option<(u32, u32)> {
    let mut bytes = header.concat();
    bytes.resize(bytes.len() + 64, 0);
    Base64(encode(&bytes).as_bytes()).image().map(|pixels| (pixels.width, pixels.height))
}

#[test]
fn any_byte_can_be_decoded_by_itself() {
    let bytes: Vec<u8> = (0..=255).collect();
    let text = encode(&bytes);
    let base64 = Base64(text.as_bytes());
    assert!((0..256).all(|at| base64.byte(at) == Some(at as u8)));
    assert_eq!((base64.byte(256), base64.byte(usize::MAX)), (None, None));
}

#[test]
fn each_format_says_its_size_in_its_header() {
    assert_eq!(size(&[b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR", &[0, 0, 4, 1, 0, 0, 3, 2]]), Some((0x401, 0x302)));
    assert_eq!(size(&[b"GIF89a", &[0x40, 1, 0xC8, 0]]), Some((320, 200)));
    assert_eq!(size(&[b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9D\x01\x2A", &[0x80, 2, 0xE0, 1]]), Some((640, 480)));
    assert_eq!(size(&[b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2F", &[0x7F, 0xC2, 0x77, 0]]), Some((640, 480)));
    assert_eq!(size(&[b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0", &[0x7F, 2, 0, 0xDF, 1, 0]]), Some((640, 480)));
    let jfif = [0xFF, 0xE0, 0, 4, 1, 1];
    let huffman = [0xFF, 0xC4, 0, 3, 9];
    let frame = [0xFF, 0xFF, 0xC2, 0, 17, 8, 1, 0xE0, 2, 0x80, 3];
    assert_eq!(size(&[&[0xFF, 0xD8], &jfif, &huffman, &frame]), Some((640, 480)));
}

#[test]
fn a_broken_header_has_no_size() {
    assert_eq!(size(&[b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR"]), None);
    assert_eq!(size(&[b"RIFF\0\0\0\0WEBPVP9 "]), None);
    assert_eq!(size(&[&[0xFF, 0xD8, 0xFF, 0xE0, 0xFF, 0xFF]]), None);
    // Segments of length zero go in a circle.
    assert_eq!(size(&[&[0xFF, 0xD8], &[0xFF; 2000]]), None);
    assert_eq!(size(&[b"BM"]), None);
}

#[test]
fn openai_counts_tiles_as_its_guide_does() {
    let tokens = |width, height, detail, model| {
        let mut images = Images::default();
        images.add(Pixels { width, height }, detail);
        images.tokens(Api::ChatCompletions, model)
    };
    // The guide's own examples.
    assert_eq!(tokens(1024, 1024, Detail::High, "gpt-4o"), 765);
    assert_eq!(tokens(2048, 4096, Detail::High, "gpt-4o"), 1105);
    assert_eq!(tokens(4096, 8192, Detail::Low, "gpt-4o"), 85);
    assert_eq!(tokens(1024, 1024, Detail::High, "gpt-4.1-mini-2025-04-14"), 1024 * 162 / 100);
    assert_eq!(tokens(1800, 2400, Detail::High, "o4-mini"), 1_536 * 172 / 100);
    assert_eq!(tokens(512, 512, Detail::High, "gpt-4o-mini"), 2_833 + 5_667);
    assert_eq!(tokens(512, 512, Detail::High, "gpt-5"), 210);
    assert_eq!(tokens(1, 1, Detail::High, "a-new-model"), 255);
    assert!(tokens(u32::MAX, 1, Detail::High, "gpt-4o") > 0);
}

#[test]
fn anthropic_counts_the_area_as_its_guide_does() {
    let tokens = |width, height| area_tokens(Pixels { width, height });
    assert_eq!((tokens(200, 200), tokens(1000, 1000), tokens(1092, 1092)), (54, 1334, 1590));
    assert_eq!(tokens(8000, 8000), 1600);
    assert_eq!(tokens(3136, 1568), 1600);
    assert_eq!(tokens(3136, 100), 105);
}

#[test]
fn data_is_told_by_its_beginning() {
    let pdf = encode(&[b"%PDF-1.7".as_slice(), &vec![7; 200_000]].concat());
    assert_eq!(read_data(&pdf), Media::Guess(8_000));
    let uri = format!("data:application/pdf;base64,{pdf}");
    assert_eq!(read_data(&uri), Media::Guess(8_000));
    let unknown = encode(&[b"OggS".as_slice(), &vec![0; 15_996]].concat());
    assert_eq!(read_data(&unknown), Media::Guess(10));
    let code = "// A comment, which in base64 would be FF FF; long enough to be looked at closely";
    assert_eq!(read_data(code), Media::Text(code));
}

#[test]
fn an_image_by_url_is_assumed_to_be_of_middling_size() {
    assert_eq!(read_url("https://example.com/a.png"), Media::Image(Pixels::ASSUMED));
    assert_eq!(read_url("data:image/png;base64,AAAA"), Media::Image(Pixels::ASSUMED));
    assert_eq!(read_url("data:"), Media::Image(Pixels::ASSUMED));
    let umlauts = format!("data:{}", "ä".repeat(300));
    assert_eq!(read_url(&umlauts), Media::Image(Pixels::ASSUMED));
}

#[test]
fn sound_is_worth_its_duration_where_its_header_tells_it() {
    // A second of 8 kHz and 8 bit, and one of 48 kHz, 16 bit and two channels.
    for rate in [8_000_u32, 192_000] {
        let header = [b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".as_slice(), &[0; 4], &rate.to_le_bytes()].concat();
        let wav = encode(&[header.clone(), vec![0; rate as usize - header.len()]].concat());
        assert_eq!(read_data(&wav), Media::Tokens(10), "{rate}");
    }
    // MPEG 1, layer III, 64 kbit/s; behind a tag of 300 bytes, too. MPEG 2, 32 kbit/s.
    let frame = |version: u8, rate: u8, bytes: usize| [vec![0xFF, version, rate << 4], vec![0; bytes - 3]].concat();
    assert_eq!(read_data(&encode(&frame(0xFB, 5, 80_000))), Media::Tokens(100));
    let tagged = [b"ID3\x04\0\0\0\0\x02\x2C".to_vec(), vec![0; 300], frame(0xFB, 5, 79_690)].concat();
    assert_eq!(read_data(&encode(&tagged)), Media::Tokens(100));
    assert_eq!(read_data(&encode(&frame(0xF3, 4, 40_000))), Media::Tokens(100));
    // FLAC: 44.1 kHz, three seconds.
    let info = (44_100_u64 << 44) + 132_300;
    let flac = [b"fLaC\0\0\0\x22".as_slice(), &[0; 10], &info.to_be_bytes(), &vec![7; 60_000]].concat();
    assert_eq!(read_data(&encode(&flac)), Media::Tokens(30));
    // Rates that no sound has, and headers that are cut off, are guessed.
    let header = [b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".as_slice(), &[0; 4], &[0; 4], &[0; 64]].concat();
    for odd in [header, frame(0xFB, 0, 100), frame(0xFB, 15, 100), b"OggS".repeat(13)] {
        assert!(matches!(read_data(&encode(&odd)), Media::Guess(1..=2)), "{odd:?}");
    }
}

#[test]
fn a_body_that_cannot_be_read_is_measured_by_what_it_is() {
    for (kind, tokens) in [
        ("audio/mpeg", Some(313)),
        ("Video/mp4", Some(313)),
        ("multipart/form-data; boundary=b", Some(313)),
        ("application/octet-stream", Some(313)),
        ("image/heic", Some(765)),
        ("text/plain", None),
        ("application/json", None),
        ("", None),
    ] {
        assert_eq!(Measure::of(kind.as_bytes()).tokens(500_000), tokens.map(Tokens), "{kind}");
    }
}
