//! Fits the weights of the token estimate: reads `corpus/train`, writes `src/tokens/model.rs`.
//!
//! `cargo run --release --example fit_tokens`
//!
//! Each step of the automaton begins with the share of such steps at which a token of `o200k_base` begins (counted).
//! Then all weights are moved together by least squares on
//! the relative error of whole texts, held near where they began by a ridge: conjugate gradients, no dependency.

#[cfg(not(target_family = "wasm"))]
#[path = "../src/tokens/automaton.rs"]
mod automaton;

#[cfg(not(target_family = "wasm"))]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a tool for engineers: it may stop"
)]
mod fit {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::path::{Path, PathBuf};

    use tiktoken_rs::CoreBPE;

    use super::automaton::{CLASSES, END, LETTERS, START, STATES, class, letter, next};

    const STEPS: usize = STATES * CLASSES;
    const PAIRS: usize = LETTERS * LETTERS;
    const FEATURES: usize = STEPS + PAIRS;
    const TRAIN_SIZES: [usize; 6] = [600, 2_000, 900, 5_000, 700, 1_200];
    const STEP_UNIT: f64 = 96.0;
    const PAIR_UNIT: f64 = 4.0 * STEP_UNIT;
    /// How hard the least squares are held: `fit_tokens ridge` shows how well others do on files left out of the fit.
    const RIDGE: f64 = 0.01;

    /// A text's features, how often each, and its true tokens.
    struct Sample {
        kind: String,
        features: Vec<(u32, f64)>,
        tokens: f64,
    }

    /// The features of the steps over `text`; the last step is the end of the text.
    fn steps(text: &str) -> impl Iterator<Item = (usize, usize)> {
        let (mut state, mut before) = (START, 0);
        text.bytes().map(|byte| (class(byte), letter(byte))).chain([(END, 0)]).map(move |(class, letter)| {
            let step = usize::from(state) * CLASSES + usize::from(class);
            let pair = STEPS + usize::from(before) * LETTERS + usize::from(letter);
            state = next(state, class);
            before = letter;
            (step, pair)
        })
    }

    fn sample(kind: &str, text: &str, bpe: &CoreBPE) -> Sample {
        let mut counts = BTreeMap::<u32, f64>::new();
        for (step, pair) in steps(text) {
            *counts.entry(step as u32).or_default() += 1.0;
            *counts.entry(pair as u32).or_default() += 1.0;
        }
        let tokens = bpe.encode_ordinary(text).len() as f64;
        Sample { kind: kind.to_owned(), features: counts.into_iter().collect(), tokens }
    }

    fn files(below: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(below).expect("the corpus is there") {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found.sort();
        found
    }

    /// Cuts a text into pieces of the given sizes, over and over, at ends of lines where there is one near.
    fn chunks<'t>(text: &'t str, sizes: &[usize]) -> Vec<&'t str> {
        let (mut rest, mut pieces) = (text, Vec::new());
        for size in sizes.iter().cycle() {
            if rest.len() < 500 {
                break;
            }
            let mut end = rest.len().min(*size);
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            end = rest[..end].rfind('\n').map_or(end, |at| if at + 1 >= 500 { at + 1 } else { end });
            pieces.push(&rest[..end]);
            rest = &rest[end..];
        }
        pieces
    }

    fn kind(path: &Path) -> String {
        path.parent().and_then(Path::file_name).expect("a folder per kind").to_string_lossy().into_owned()
    }

    /// For each step, the share of those at which a token begins; steps seen seldom lean on the others of their class.
    fn counted(texts: &[(String, String)], bpe: &CoreBPE) -> Vec<f64> {
        let (mut begun, mut seen) = (vec![0.0; STEPS], vec![0.0; STEPS]);
        let (mut class_begun, mut class_seen) = (vec![0.0; CLASSES], vec![1.0; CLASSES]);
        for (_, text) in texts {
            let mut begins = vec![0.0; text.len() + 1];
            let mut at = 0;
            for token in bpe.encode_ordinary(text) {
                begins[at] = 1.0;
                at += bpe.decode_bytes(&[token]).expect("its own token").len();
            }
            for ((step, _), begins) in steps(text).zip(begins) {
                begun[step] += begins;
                seen[step] += 1.0;
                class_begun[step % CLASSES] += begins;
                class_seen[step % CLASSES] += 1.0;
            }
        }
        (0..STEPS)
            .map(|f| (begun[f] + 4.0 * class_begun[f % CLASSES] / class_seen[f % CLASSES]) / (seen[f] + 4.0))
            .collect()
    }

    /// As the module stores them, in parts of a token: a signed byte each, pairs four times as fine as steps.
    fn rounded(weights: &[f64]) -> Vec<f64> {
        weights.iter().enumerate().map(|(f, w)| (w * unit(f)).round().clamp(-128.0, 127.0) / unit(f)).collect()
    }

    fn unit(feature: usize) -> f64 {
        if feature < STEPS { STEP_UNIT } else { PAIR_UNIT }
    }

    fn source(weights: &[f64]) -> String {
        let mut out = String::from(
            "//! The weights of the estimate. Written by `cargo run --release --example fit_tokens`: do not edit.\n\n\
             use super::automaton::{CLASSES, LETTERS, STATES};\n\n\
             /// What each step is worth, in 96ths of a token: one line for each state, in it one number for each class.\n\
             #[rustfmt::skip]\npub(super) const WEIGHTS: [i8; STATES * CLASSES] = [\n",
        );
        let line = |out: &mut String, row: &[f64], unit: f64| {
            let row: Vec<String> = row.iter().map(|w| format!("{}", (w * unit).round() as i8)).collect();
            let _ = writeln!(out, "    {},", row.join(","));
        };
        weights[..STEPS].chunks(CLASSES).for_each(|row| line(&mut out, row, STEP_UNIT));
        out.push_str(
            "];\n\n/// What each pair of letters adds, in 384ths of a token: one line for each first letter (none, a to z, bytes outside ASCII), in it one\n\
             /// number for each second.\n#[rustfmt::skip]\npub(super) static PAIRS: [i8; LETTERS * LETTERS] = [\n",
        );
        weights[STEPS..].chunks(LETTERS).for_each(|row| line(&mut out, row, PAIR_UNIT));
        out.push_str("];\n");
        out
    }

    fn dot(sample: &Sample, weights: &[f64]) -> f64 {
        sample.features.iter().map(|&(f, n)| n * weights[f as usize]).sum()
    }

    /// Least squares on the relative error, held near `start`.
    fn refine(samples: &[Sample], start: &[f64], ridge: f64) -> Vec<f64> {
        let mut per_kind = BTreeMap::<&str, f64>::new();
        for s in samples {
            *per_kind.entry(&s.kind).or_default() += 1.0;
        }
        let scale: Vec<f64> = samples.iter().map(|s| 1.0 / per_kind[&*s.kind]).collect();
        let mut hold = vec![1e-6; FEATURES];
        for (s, a) in samples.iter().zip(&scale) {
            for &(f, n) in &s.features {
                hold[f as usize] += a * n / s.tokens;
            }
        }
        let apply = |x: &[f64]| {
            let mut out: Vec<f64> = x.iter().zip(&hold).map(|(x, h)| ridge * h * x).collect();
            for (s, a) in samples.iter().zip(&scale) {
                let r = a * dot(s, x) / (s.tokens * s.tokens);
                for &(f, n) in &s.features {
                    out[f as usize] += r * n;
                }
            }
            out
        };
        let mut residual = vec![0.0; FEATURES];
        for (s, a) in samples.iter().zip(&scale) {
            let miss = a * (1.0 - dot(s, start) / s.tokens) / s.tokens;
            for &(f, n) in &s.features {
                residual[f as usize] += miss * n;
            }
        }
        let precondition = |r: &[f64]| r.iter().zip(&hold).map(|(r, h)| r / h).collect::<Vec<_>>();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut z = precondition(&residual);
        let (mut direction, mut delta, mut norm) = (z.clone(), vec![0.0; FEATURES], product(&residual, &z));
        for _ in 0..300 {
            let applied = apply(&direction);
            let step = norm / product(&direction, &applied).max(1e-300);
            for f in 0..FEATURES {
                delta[f] += step * direction[f];
                residual[f] -= step * applied[f];
            }
            z = precondition(&residual);
            let fresh = product(&residual, &z);
            if fresh < 1e-14 {
                break;
            }
            for f in 0..FEATURES {
                direction[f] = z[f] + fresh / norm * direction[f];
            }
            norm = fresh;
        }
        start.iter().zip(&delta).map(|(w, d)| w + d).collect()
    }

    fn report(title: &str, samples: &[Sample], weights: &[f64]) {
        let mut errors = BTreeMap::<&str, Vec<f64>>::new();
        for s in samples {
            errors.entry(&s.kind).or_default().push(dot(s, weights) / s.tokens - 1.0);
        }
        print!("{title:28}");
        for (kind, e) in errors {
            let n = e.len() as f64;
            print!(
                "  {kind} {:.2} ({:+.1})",
                100.0 * e.iter().map(|x| x.abs()).sum::<f64>() / n,
                100.0 * e.iter().sum::<f64>() / n
            );
        }
        println!();
    }

    /// Fits on three quarters of the training files, looks at the fourth, four times.
    fn cross_validate(
        texts: &[(String, String)],
        cut: &impl Fn(&[(String, String)], &[usize]) -> Vec<Sample>,
        bpe: &CoreBPE,
        ridge: f64,
    ) {
        for fold in 0..4 {
            let part = |left_out: bool| -> Vec<(String, String)> {
                texts.iter().enumerate().filter(|(i, _)| (i % 4 == fold) == left_out).map(|(_, t)| t.clone()).collect()
            };
            let mut start = counted(&part(false), bpe);
            start.resize(FEATURES, 0.0);
            let fitted = refine(&cut(&part(false), &TRAIN_SIZES), &start, ridge);
            report(&format!("ridge {ridge}, fold {fold}"), &cut(&part(true), &TRAIN_SIZES), &fitted);
        }
    }

    pub(super) fn main() {
        let bpe = tiktoken_rs::o200k_base().expect("the vocabulary");
        let read = |split: &str| -> Vec<(String, String)> {
            files(&Path::new("corpus").join(split))
                .iter()
                .map(|p| (kind(p), std::fs::read_to_string(p).expect("UTF-8")))
                .collect()
        };
        let (train, held) = (read("train"), read("held-out"));
        let cut = |texts: &[(String, String)], sizes: &[usize]| -> Vec<Sample> {
            texts
                .iter()
                .flat_map(|(k, t)| chunks(t, sizes).into_iter().map(|c| sample(k, c, &bpe)).collect::<Vec<_>>())
                .collect()
        };
        let (train_s, held_s) = (cut(&train, &TRAIN_SIZES), cut(&held, &[500, 1000, 3000, 700, 8000]));
        println!("{} states, {} training samples, {} held out", STATES, train_s.len(), held_s.len());
        if std::env::args().any(|argument| argument == "ridge") {
            for ridge in [0.1, 0.03, 0.01, 0.003, 0.001] {
                cross_validate(&train, &cut, &bpe, ridge);
            }
            return;
        }
        let mut start = counted(&train, &bpe);
        start.resize(FEATURES, 0.0);
        report("counted, train", &train_s, &start);
        report("counted, held out", &held_s, &start);
        let fitted = rounded(&refine(&train_s, &start, RIDGE));
        report("fitted, train", &train_s, &fitted);
        report("fitted, held out", &held_s, &fitted);
        std::fs::write("src/tokens/model.rs", source(&fitted)).expect("src/tokens is there");
    }
}

fn main() {
    #[cfg(not(target_family = "wasm"))]
    fit::main();
}
