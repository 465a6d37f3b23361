//! The estimate against real tokenizers, on texts that the fit has never seen.
//!
//! `cargo test --release --test tokens_accuracy -- --nocapture` prints the tables of `docs/tokens.md`.
#![cfg(not(target_family = "wasm"))]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use llm_router::domain::{TextSink, Tokens};
use llm_router::tokens::{Calibration, Counter};
use tiktoken_rs::CoreBPE;

/// Mean absolute errors allowed against `o200k_base`, in percent.
const BOUNDS: [(&str, f64); 6] =
    [("english", 4.0), ("code", 6.0), ("json", 4.0), ("languages", 10.0), ("logs", 10.0), ("base64", 10.0)];

/// The same for each language by itself.
const LANGUAGE_BOUND: f64 = 10.0;

/// Texts are cut into pieces of about these many bytes, one after the other; none is shorter than 500.
const SIZES: [usize; 6] = [500, 1_000, 3_000, 700, 8_000, 500];

/// One piece of a file: what it is, its true and its estimated tokens.
struct Piece {
    kind: String,
    /// The file's name up to the first `_` or `.`: among the languages, the language.
    name: String,
    o200k: f64,
    cl100k: f64,
    estimate: f64,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/held-out")
}

fn estimate(text: &str) -> Tokens {
    let mut counter = Counter::default();
    counter.push(text);
    counter.tokens()
}

/// Cuts at the end of a line where there is one within reach, else between any two characters.
fn cut(text: &str) -> Vec<&str> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for &size in SIZES.iter().cycle() {
        if rest.len() < 500 {
            break;
        }
        let end = (size.min(rest.len())..=rest.len()).find(|&at| rest.is_char_boundary(at)).unwrap();
        let end = rest[..end].rfind('\n').map_or(end, |line| if line >= 499 { line + 1 } else { end });
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

fn held_out() -> Vec<Piece> {
    let (o200k, cl100k) = (tiktoken_rs::o200k_base().unwrap(), tiktoken_rs::cl100k_base().unwrap());
    let count = |bpe: &CoreBPE, text: &str| bpe.encode_ordinary(text).len() as f64;
    let mut pieces = Vec::new();
    for (kind, _) in BOUNDS {
        for file in std::fs::read_dir(corpus().join(kind)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            let name = name.split(['_', '.']).next().unwrap();
            for text in cut(&std::fs::read_to_string(&path).unwrap()) {
                pieces.push(Piece {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    o200k: count(&o200k, text),
                    cl100k: count(&cl100k, text),
                    estimate: estimate(text).0 as f64,
                });
            }
        }
    }
    pieces
}

/// Mean absolute error, mean error, and the error that nine pieces in ten stay under, in percent.
fn figures(errors: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut errors: Vec<f64> = errors.map(|e| 100.0 * e).collect();
    errors.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = errors.len() as f64;
    let absolute = errors.iter().map(|e| e.abs()).sum::<f64>() / n;
    (absolute, errors.iter().sum::<f64>() / n, errors[errors.len() * 9 / 10].abs())
}

/// A Markdown table of the errors, and the mean absolute ones, by the names that `key` gives the pieces.
fn table<'p>(pieces: &'p [Piece], key: impl Fn(&'p Piece) -> Option<&'p str>) -> (String, BTreeMap<&'p str, f64>) {
    let mut groups = BTreeMap::<&str, Vec<&Piece>>::new();
    for piece in pieces {
        if let Some(key) = key(piece) {
            groups.entry(key).or_default().push(piece);
        }
    }
    let mut out = String::from(
        "| | texts | o200k: mean error | bias | 9 in 10 under | cl100k: mean error | bias |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut means = BTreeMap::new();
    for (key, group) in groups {
        let (mean, bias, ninth) = figures(group.iter().map(|p| p.estimate / p.o200k - 1.0));
        let (other, other_bias, _) = figures(group.iter().map(|p| p.estimate / p.cl100k - 1.0));
        let n = group.len();
        writeln!(
            out,
            "| {key} | {n} | {mean:.1} % | {bias:+.1} % | {ninth:.1} % | {other:.1} % | {other_bias:+.1} % |"
        )
        .unwrap();
        means.insert(key, mean);
    }
    (out, means)
}

#[test]
fn every_kind_of_text_and_every_language_is_within_its_bound() {
    let pieces = held_out();
    let (kinds, by_kind) = table(&pieces, |p| Some(&p.kind));
    let (languages, by_language) = table(&pieces, |p| (p.kind == "languages").then_some(&p.name));
    let (files, _) = table(&pieces, |p| (p.kind != "languages").then_some(&p.name));
    println!("{kinds}\n{languages}\n{files}");
    for (kind, bound) in BOUNDS {
        assert!(by_kind[kind] <= bound, "{kind}: {:.2} % over {bound} %\n{kinds}", by_kind[kind]);
    }
    assert!(by_language.len() >= 20, "the corpus lost languages");
    for (language, error) in by_language {
        assert!(error <= LANGUAGE_BOUND, "{language}: {error:.2} %\n{languages}");
    }
}

#[test]
fn a_long_text_of_which_only_windows_are_read_is_estimated_as_well_as_its_pieces() {
    for (kind, _) in BOUNDS {
        let files = std::fs::read_dir(corpus().join(kind)).unwrap();
        let long: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        if long.len() < 64 * 1024 {
            continue;
        }
        let whole: u64 = cut(&long).into_iter().map(|piece| estimate(piece).0).sum();
        let off = estimate(&long).0 as f64 / whole as f64 - 1.0;
        println!("{kind}: {} bytes, {:+.1} %", long.len(), 100.0 * off);
        assert!(off.abs() < 0.05, "{kind}: {:+.1} %", 100.0 * off);
    }
}

#[test]
fn another_tokenizer_is_learned_from_fifty_answers() {
    let cl100k = tiktoken_rs::cl100k_base().unwrap();
    let text = std::fs::read_to_string(corpus().join("languages/ru_manual.txt")).unwrap();
    let count = |text: &str| Tokens(cl100k.encode_ordinary(text).len() as u64);
    let raw = estimate(&text).0 as f64 / count(&text).0 as f64;
    assert!(raw < 0.9, "a text on which the tokenizers agree proves nothing: {raw}");

    let mut calibration = Calibration::default();
    for piece in cut(&text).into_iter().cycle().take(50) {
        calibration.learn(estimate(piece), count(piece));
    }
    let learned = calibration.apply(estimate(&text)).0 as f64 / count(&text).0 as f64;
    assert!((learned - 1.0).abs() < 0.05, "{learned} after {calibration:?}");
}
