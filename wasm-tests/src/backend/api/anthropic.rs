//! Anthropic's messages. Cached tokens are not part of `input_tokens` there.

use serde_json::{Value, json};

use super::{Answer, Frames, event};

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.tool() {
        Some(_) => "tool_use",
        None if answer.cut_short => "max_tokens",
        None => "end_turn",
    }
}

/// The call of the tool that the request insists on, without arguments.
fn tool_use(answer: &Answer, name: &str) -> Value {
    json!({"type": "tool_use", "id": answer.id("toolu_"), "name": name, "input": {}})
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
    let content = match answer.tool() {
        Some(name) => tool_use(answer, name),
        None => json!({"type": "text", "text": answer.text()}),
    };
    object(answer, &json!([content]), Some(stop_reason(answer)), answer.output_tokens)
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let start = object(answer, &json!([]), None, 1);
    let block = answer.tool().map_or_else(|| json!({"type": "text", "text": ""}), |name| tool_use(answer, name));
    let head = vec![
        event("message_start", &json!({"type": "message_start", "message": start})),
        event("content_block_start", &json!({"type": "content_block_start", "index": 0, "content_block": block})),
        event("ping", &json!({"type": "ping"})),
    ];
    let delta = |delta: Value| {
        event("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    let tokens = match answer.tool() {
        Some(_) => vec![delta(json!({"type": "input_json_delta", "partial_json": "{}"}))],
        None => (0..answer.output_tokens)
            .map(|index| delta(json!({"type": "text_delta", "text": answer.token(index)})))
            .collect(),
    };
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
