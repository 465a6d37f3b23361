//! Ollama's form, as `LightRAG` speaks it: lines of JSON unless the request says otherwise, counts in the last.

use serde_json::{Value, json};

use super::{Answer, Frames, line, token};

/// Where the text of one piece is.
fn piece(answer: &Answer, chat: bool, text: &str, done: bool) -> Value {
    let mut piece = json!({"model": answer.model, "created_at": "2026-01-01T00:00:00Z", "done": done});
    if chat {
        piece["message"] = json!({"role": "assistant", "content": text});
    } else {
        piece["response"] = text.into();
    }
    if done {
        piece["done_reason"] = if answer.cut_short { "length" } else { "stop" }.into();
        if answer.usage {
            piece["prompt_eval_count"] = answer.prompt_tokens.into();
            piece["eval_count"] = answer.output_tokens.into();
        }
    }
    piece
}

pub(super) fn answer(answer: &Answer, chat: bool) -> Value {
    piece(answer, chat, &answer.text(), true)
}

pub(super) fn frames(answer: &Answer, chat: bool) -> Frames {
    Frames {
        head: Vec::new(),
        tokens: (0..answer.output_tokens).map(|index| line(&piece(answer, chat, token(index), false))).collect(),
        tail: vec![line(&piece(answer, chat, "", true))],
    }
}

pub(super) fn error(message: &str) -> Value {
    json!({"error": message})
}
