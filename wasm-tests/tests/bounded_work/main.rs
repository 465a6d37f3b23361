//! How much work the module has with what others send, counted in instructions of the module as it is shipped and not by
//! any clock: it is proportional to the bytes, whatever their shape, and no shape costs a multiple of what an ordinary one
//! of that size does. A worker serves one callback at a time, so whatever this bounds is what all its other clients wait.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test"
)]

mod answers;
mod packed;
mod questions;
mod upkeep;
mod vm;

use serde_json::{Value, json};
use vm::{Fields, Vm, field};

const KIB: usize = 1 << 10;

/// Inputs of one kind, by their size.
type Shape = (&'static str, fn(usize) -> Vec<u8>);

/// Instructions for an input of a shape.
struct Cost {
    bytes: usize,
    steps: u64,
}

impl Cost {
    fn per_byte(&self) -> f64 {
        self.steps as f64 / self.bytes as f64
    }
}

/// Each shape costs at most `times` what the first one does, byte by byte, and twice the input at most twice as much.
fn bounded(kind: &str, size: usize, times: f64, shapes: &[Shape], cost: impl Fn(&[u8]) -> Cost) {
    let usual = cost(&shapes[0].1(size)).per_byte();
    measured(kind, size, times * usual, shapes, cost);
}

/// Each shape costs at most so many instructions a byte, and twice the input at most twice as much.
fn measured(kind: &str, size: usize, most: f64, shapes: &[Shape], cost: impl Fn(&[u8]) -> Cost) {
    let mut faults = Vec::new();
    for (name, make) in shapes {
        let [half, whole] = [size / 2, size].map(|size| cost(&make(size)));
        let (before, after) = (half.per_byte(), whole.per_byte());
        println!("{kind:9} {name:55} {:8} bytes {after:9.2} a byte, at most {most:9.2}", whole.bytes);
        if after > most {
            faults.push(format!("{name}: {after:.1} steps a byte, more than {most:.1}"));
        }
        // Fixed costs weigh more on the smaller one; what grows faster than the input weighs more on the larger.
        if after > before * 1.2 + 0.5 {
            faults.push(format!("{name}: {before:.2} steps a byte, and {after:.2} for twice as many"));
        }
    }
    assert!(faults.is_empty(), "{kind}:\n{}", faults.join("\n"));
}

/// Two backends.
fn router() -> Value {
    let apis = ["openai", "anthropic", "perplexity", "lightrag", "ollama", "gemini"];
    json!({"backend_instances": {"alpha": {"apis": apis, "cost_per_1k_tokens": 0.1}, "beta": {"apis": apis, "priority": 2}}, "retry": {"max_attempts": 2},
        "client_hints": ["strategy", "min_quality", "tenant", "explain"], "cost": {"tenant_header": "x-customer"}})
}

/// A `POST` as a client sends it.
fn post(path: &str, more: &[(&str, &[u8])]) -> Fields {
    let mut headers = vec![
        field(":method", "POST"),
        field(":path", path),
        field(":authority", "router"),
        field("content-type", "application/json"),
    ];
    headers.extend(more.iter().map(|(name, value)| field(name, value)));
    headers
}

/// As many copies as fit, between a beginning and an end.
fn filled(size: usize, before: &str, piece: &str, between: &str, after: &str) -> Vec<u8> {
    let room = size.saturating_sub(before.len() + after.len());
    let count = (room / (piece.len() + between.len())).max(1);
    [before, &vec![piece; count].join(between), after].concat().into_bytes()
}

fn repeated(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len())
}
