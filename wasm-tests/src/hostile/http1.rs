//! Requests of HTTP/1, as bytes.

use super::{packed::Bodies, rng::Rng};

const PATHS: [&str; 12] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
    "/query",
    "/query/stream",
    "/v1/models",
    "/v1/files",
    "/",
    "/%00/../v1/chat/completions?%ff",
    "//v1//messages///",
];

pub(super) const JSON: &str = "content-type: application/json\r\n";

/// Which kind, and its bytes.
pub(super) fn request(rng: &mut Rng, packed: &Bodies) -> (&'static str, Vec<u8>) {
    let path = rng.pick(&PATHS);
    match rng.below(20) {
        0 => ("noise", noise(rng)),
        1 => ("nothing", Vec::new()),
        2..4 => ("broken JSON", post(path, JSON, &broken(rng))),
        4..6 => ("odd JSON", post(path, JSON, &odd(rng))),
        6..8 => {
            let coding = rng.pick(&["gzip", "deflate", "x-gzip", "gzip, gzip"]);
            ("packed", post(path, &format!("{JSON}content-encoding: {coding}\r\n"), packed.one(rng)))
        }
        8 => {
            let coding = rng.pick(&["br", "zstd", "identity", "\u{fffd}", "gzip"]);
            ("wrong encoding", post(path, &format!("{JSON}content-encoding: {coding}\r\n"), &rng.bytes(500)))
        }
        9 => ("lying length", lying_length(rng, path)),
        10 => ("odd method", odd_method(rng, path)),
        11 => ("huge headers", post(path, &format!("{JSON}{}", huge_headers(rng)), b"{}")),
        12 => ("forged headers", post(path, &format!("{JSON}{}", forged_headers(rng)), &chat(rng))),
        13 => ("forged trailers", chunked(rng, path)),
        14 => ("half a body", half(rng, path)),
        15 => ("long path", post(&format!("{path}?{}", "a=b&".repeat(rng.below(12_000) as usize)), JSON, b"{}")),
        16 => ("upgrade", head(&format!("GET {path}"), "upgrade: websocket\r\nconnection: upgrade\r\n")),
        17 => ("waits for leave", post(path, &format!("{JSON}expect: 100-continue\r\n"), &chat(rng))),
        18 => ("several at once", chat_post(rng, path).repeat(5)),
        _ => ("large", post(path, JSON, &large(rng))),
    }
}

fn head(line: &str, headers: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: hostile\r\n{headers}\r\n").into_bytes()
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes =
        head(&format!("POST {path}"), &format!("{headers}connection: close\r\ncontent-length: {length}\r\n"));
    bytes.extend(body);
    bytes
}

fn chat_post(rng: &mut Rng, path: &str) -> Vec<u8> {
    let body = chat(rng);
    let mut bytes = head(&format!("POST {path}"), &format!("{JSON}content-length: {}\r\n", body.len()));
    bytes.extend(body);
    bytes
}

/// A good question.
pub(super) fn chat(rng: &mut Rng) -> Vec<u8> {
    let stream = rng.one_in(2);
    format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"hello"}}]}}"#).into_bytes()
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(2_000) as usize;
    let mut bytes = rng.bytes(len);
    if rng.one_in(3) {
        bytes.splice(0..0, *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }
    bytes
}

/// A question of which some bytes are others, or missing.
pub(super) fn broken(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = chat(rng);
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(3) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.next() as u8;
                }
            }
        }
    }
    bytes
}

/// JSON that no client writes.
pub(super) fn odd(rng: &mut Rng) -> Vec<u8> {
    let times = 1 + rng.below(8_000) as usize;
    match rng.below(8) {
        0 => "[".repeat(times),
        1 => format!(r#"{{"messages":[{}1]}}"#, "1,".repeat(times)),
        2 => format!(r#"{{"a":{}1{}}}"#, r#"{"a":"#.repeat(times), "}".repeat(times)),
        3 => format!(r#"{{"model":"{}"}}"#, r"\ud83d\ude00".repeat(times / 8)),
        4 => format!(r#"{{"max_tokens":{},"n":18446744073709551615}}"#, "9".repeat(times)),
        5 => format!(r#"{{{}"b":1}}"#, r#""stream":true,"#.repeat(times)),
        6 => r#"{"messages":{"content":7},"model":[],"stream":"yes","tools":{"a":1}}"#.to_owned(),
        _ => format!(
            r#"{{"messages":[{{"content":[{}1]}}]}}"#,
            r#"{"image_url":{"url":"data:image/png;base64,AAAA"}},"#.repeat(times / 20)
        ),
    }
    .into_bytes()
}

fn large(rng: &mut Rng) -> Vec<u8> {
    let text = "lorem ipsum ".repeat(rng.below(20_000) as usize);
    format!(r#"{{"messages":[{{"content":"{text}"}}]}}"#).into_bytes()
}

fn lying_length(rng: &mut Rng, path: &str) -> Vec<u8> {
    let length =
        rng.pick(&["0", "1", "10", "15000000", "5000000", "99999999999999999999", "-1", "+5", "5, 5", "0x10", ""]);
    let also =
        rng.pick(&["", "", "transfer-encoding: chunked\r\n", "content-length: 7\r\n", "transfer-encoding: x\r\n"]);
    let mut bytes = head(&format!("POST {path}"), &format!("{JSON}content-length: {length}\r\n{also}"));
    bytes.extend(chat(rng));
    bytes
}

fn odd_method(rng: &mut Rng, path: &str) -> Vec<u8> {
    let method =
        rng.pick(&["PROPFIND", "TRACE", "OPTIONS", "HEAD", "DELETE", "CONNECT", "post", "BREW", "GET", "PRI", "PATCH"]);
    let version = rng.pick(&["1.1", "1.1", "1.0", "0.9", "3"]);
    format!("{method} {path} HTTP/{version}\r\nhost: hostile\r\nconnection: close\r\n\r\n").into_bytes()
}

fn huge_headers(rng: &mut Rng) -> String {
    match rng.below(3) {
        0 => format!("x-huge: {}\r\n", "h".repeat(rng.below(70_000) as usize)),
        1 => lines(rng.below(150), |n| format!("x-{n}: {n}")),
        _ => lines(rng.below(95), |n| format!("x-llm-{n}: {}", "l".repeat(300))),
    }
}

fn lines(count: u64, mut line: impl FnMut(u64) -> String) -> String {
    let lines: Vec<_> = (0..count).map(|n| line(n) + "\r\n").collect();
    lines.concat()
}

fn forged_headers(rng: &mut Rng) -> String {
    const NAMES: [&str; 10] = [
        "x-llm-cluster",
        "X-LLM-Try-0",
        "x-llm-try-1",
        "x-llm-tenant",
        "x-llm-strategy",
        "x-llm-shadow-cluster",
        "x-llm-unasked",
        "x-llm-backend",
        "x-envoy-attempt-count",
        "x-llm-explain",
    ];
    let count = 1 + rng.below(20);
    lines(count, |_| format!("{}: {}", rng.pick(&NAMES), rng.pick(&["envoy_admin", "3", "", "usage"])))
}

fn chunked(rng: &mut Rng, path: &str) -> Vec<u8> {
    let body = chat(rng);
    let mut bytes =
        head(&format!("POST {path}"), &format!("{JSON}connection: close\r\ntransfer-encoding: chunked\r\n"));
    bytes.extend(format!("{:x}\r\n", body.len()).bytes());
    bytes.extend(body);
    let end = rng.pick(&["\r\n0\r\n", "\r\n0\r\n", "\r\n-1\r\n", "\r\nffffffffffffffff\r\n", "0\r\n"]);
    bytes.extend(format!("{end}{}\r\n", forged_headers(rng)).bytes());
    bytes
}

/// A body that is announced, and of which only the beginning comes.
fn half(rng: &mut Rng, path: &str) -> Vec<u8> {
    let length = 100 + rng.below(3_000_000);
    let mut bytes = head(&format!("POST {path}"), &format!("{JSON}content-length: {length}\r\n"));
    let sent = rng.below(length.min(5_000)) as usize;
    bytes.extend(br#"{"messages":["#.iter().copied().chain(std::iter::repeat(b' ')).take(sent));
    bytes
}
