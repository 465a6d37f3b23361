//! Anthropic's messages. Cached tokens are not part of `input_tokens` there.

use serde_json::{Value, json};

use super::{Answer, Frames, event, token};

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.cut_short { "max_tokens" } else { "end_turn" }
}

fn usage(answer: &Answer, output_tokens: u32) -> Value {
    json!({"input_tokens": answer.prompt_tokens - answer.cached_tokens, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens, "output_tokens": output_tokens})
}

fn object(answer: &Answer, content: &Value, stop_reason: Option<&str>, output_tokens: u32) -> Value {
    let mut object = json!({"id": answer.id("msg_"), "type": "message", "role": "assistant", "model": answer.model,
        "content": content, "stop_reason": stop_reason, "stop_sequence": null});
    if answer.usage {
        object["usage"] = usage(answer, output_tokens);
    }
    object
}

pub(super) fn message(answer: &Answer) -> Value {
    let content = json!([{"type": "text", "text": answer.text()}]);
    object(answer, &content, Some(stop_reason(answer)), answer.output_tokens)
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let start = object(answer, &json!([]), None, 1);
    let head = vec![
        event("message_start", &json!({"type": "message_start", "message": start})),
        event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event("ping", &json!({"type": "ping"})),
    ];
    let tokens = (0..answer.output_tokens)
        .map(|index| {
            let delta = json!({"type": "text_delta", "text": token(index)});
            event("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}))
        })
        .collect();
    let mut delta = json!({"type": "message_delta",
        "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null}});
    if answer.usage {
        delta["usage"] = json!({"output_tokens": answer.output_tokens});
    }
    let tail = vec![
        event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
        event("message_delta", &delta),
        event("message_stop", &json!({"type": "message_stop"})),
    ];
    Frames { head, tokens, tail }
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}
