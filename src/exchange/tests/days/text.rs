//! Real text, with its true number of tokens.

use std::path::Path;

use tiktoken_rs::CoreBPE;

use super::Matter;
use crate::domain::Rng;

/// A few lines of a file.
#[derive(Debug)]
pub(super) struct Piece {
    /// As it stands in JSON.
    pub(super) escaped: String,
    pub(super) o200k: u32,
    pub(super) cl100k: u32,
}

/// Texts to make prompts of.
pub(super) struct Library {
    english: Vec<Piece>,
    code: Vec<Piece>,
    json: Vec<Piece>,
    languages: Vec<Piece>,
}

/// Bytes that are read of a file: enough for a day, and quickly counted.
const OF_A_FILE: usize = 12_000;

impl Library {
    pub(super) fn open() -> Self {
        let (o200k, cl100k) =
            (tiktoken_rs::o200k_base().expect("a vocabulary"), tiktoken_rs::cl100k_base().expect("a vocabulary"));
        let read = |room: &str, names: &[&str]| -> Vec<Piece> {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/held-out").join(room);
            let texts = names.iter().map(|name| std::fs::read_to_string(folder.join(name)).expect("a text"));
            texts.flat_map(|text| pieces(&text, &o200k, &cl100k)).collect()
        };
        Self {
            english: read(
                "english",
                &["readmes.md", "sklearn_user_guide.txt", "encyclopaedic.txt", "chat_prompts.txt"],
            ),
            code: read("code", &["tokio.rs", "requests.py", "redux.ts", "mux.go", "capacitor.java"]),
            json: read("json", &["orders.json", "retrieval.json", "openapi.json"]),
            languages: read("languages", &["de_manual.txt", "fr_manual.txt", "ja_manual.txt", "zh_manual.txt"]),
        }
    }

    /// A text of about so many tokens: lines that follow each other somewhere.
    pub(super) fn text(&self, matter: Matter, tokens: f64, rng: &mut impl Rng) -> Vec<&Piece> {
        let lines = match matter {
            Matter::English => &self.english,
            Matter::Code => &self.code,
            Matter::Json => &self.json,
            Matter::Languages => &self.languages,
        };
        let (mut text, mut sum) = (Vec::new(), 0.0);
        for piece in lines.iter().cycle().skip(rng.below(lines.len())) {
            // The last one is taken if that is nearer than to leave it.
            let next = sum + f64::from(piece.o200k);
            if !text.is_empty() && next - tokens > tokens - sum {
                break;
            }
            text.push(piece);
            sum = next;
        }
        text
    }
}

/// Cuts between lines, into pieces of some 200 bytes.
fn pieces(text: &str, o200k: &CoreBPE, cl100k: &CoreBPE) -> Vec<Piece> {
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n') {
        if pieces.len() * 200 > OF_A_FILE {
            break;
        }
        for sentence in line.split_inclusive(['.', '。']) {
            piece.push_str(sentence);
            if piece.len() >= 200 {
                let count = |bpe: &CoreBPE| bpe.encode_ordinary(&piece).len() as u32;
                let escaped = serde_json::to_string(&piece).expect("text");
                let escaped = escaped[1..escaped.len() - 1].to_owned();
                pieces.push(Piece { escaped, o200k: count(o200k), cl100k: count(cl100k) });
                piece.clear();
            }
        }
    }
    pieces
}
