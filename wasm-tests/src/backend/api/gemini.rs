//! Gemini's `generateContent`, streamed as events or, where these are not asked for, as one list.

use serde_json::{Value, json};

use super::{Answer, Frames, data, token};

fn object(answer: &Answer, text: &str, output_tokens: u32, ends: bool) -> Value {
    let mut candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
    if ends {
        candidate["finishReason"] = if answer.cut_short { "MAX_TOKENS" } else { "STOP" }.into();
    }
    let mut object = json!({"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.id("")});
    if answer.usage {
        object["usageMetadata"] = json!({"promptTokenCount": answer.prompt_tokens,
            "candidatesTokenCount": output_tokens, "totalTokenCount": answer.prompt_tokens + u64::from(output_tokens)});
    }
    object
}

pub(super) fn answer(answer: &Answer) -> Value {
    object(answer, &answer.text(), answer.output_tokens, true)
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let last = answer.output_tokens.saturating_sub(1);
    let frame = |index| data(&object(answer, token(index), index + 1, index == last));
    Frames { head: Vec::new(), tokens: (0..answer.output_tokens).map(frame).collect(), tail: Vec::new() }
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": name}})
}
