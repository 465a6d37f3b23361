//! `LightRAG`'s query, which reports no usage.

use serde_json::{Value, json};

use super::{Answer, Frames, line};

fn references() -> Value {
    json!([{"reference_id": "1", "file_path": "biomarkers.pdf"}])
}

pub(super) fn answer(answer: &Answer) -> Value {
    json!({"response": answer.text(), "references": references()})
}

/// The references first; the end of the body is the only terminal mark, so a clean truncation cannot be told from an end.
pub(super) fn frames(answer: &Answer) -> Frames {
    Frames {
        head: vec![line(&json!({"references": references()}))],
        tokens: (0..answer.output_tokens).map(|index| line(&json!({"response": answer.token(index)}))).collect(),
        tail: Vec::new(),
    }
}

pub(super) fn error(message: &str) -> Value {
    json!({"detail": message})
}
