//! `OpenAI`'s responses.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, Frames, event};

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn item(answer: &Answer, status: &str, content: &Value) -> Value {
    json!({"type": "message", "id": answer.id("msg_"), "status": status, "role": "assistant", "content": content})
}

/// The object at some point of its life.
fn object(answer: &Answer, status: &str, output: &Value, usage: Option<&Value>) -> Value {
    let incomplete = if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    json!({
        "id": answer.id("resp_"), "object": "response", "created_at": answer.created, "status": status, "error": null,
        "incomplete_details": incomplete, "instructions": answer.request.get("instructions"), "metadata": {},
        "max_output_tokens": answer.request.get("max_output_tokens"),
        "model": answer.model, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": usage, "user": null, "background": false,
        "system_fingerprint": format!("sim-{}", answer.backend),
    })
}

fn usage(answer: &Answer) -> Option<Value> {
    let usage = json!({"input_tokens": answer.prompt_tokens, "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        "output_tokens": answer.output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.total_tokens()});
    answer.usage.then_some(usage)
}

fn end_status(answer: &Answer) -> &'static str {
    if answer.cut_short { "incomplete" } else { "completed" }
}

pub(super) fn response(answer: &Answer) -> Value {
    let status = end_status(answer);
    let output = json!([item(answer, status, &json!([part(&answer.text())]))]);
    object(answer, status, &output, usage(answer).as_ref())
}

/// Events with their running number.
struct Events(u64);

impl Events {
    fn next(&mut self, name: &str, mut value: Value) -> Bytes {
        value["type"] = name.into();
        value["sequence_number"] = self.0.into();
        self.0 += 1;
        event(name, &value)
    }
}

pub(super) fn frames(answer: &Answer) -> Frames {
    let mut events = Events(0);
    let started = object(answer, "in_progress", &json!([]), None);
    let id = answer.id("msg_");
    let at = |mut value: Value| {
        value["item_id"] = id.clone().into();
        value["output_index"] = 0.into();
        value["content_index"] = 0.into();
        value
    };
    let head = vec![
        events.next("response.created", json!({"response": started})),
        events.next("response.in_progress", json!({"response": started})),
        events.next(
            "response.output_item.added",
            json!({"output_index": 0, "item": item(answer, "in_progress", &json!([]))}),
        ),
        events.next("response.content_part.added", at(json!({"part": part("")}))),
    ];
    let tokens = (0..answer.output_tokens)
        .map(|index| {
            events.next("response.output_text.delta", at(json!({"delta": answer.token(index), "logprobs": []})))
        })
        .collect();
    let text = answer.text();
    let status = end_status(answer);
    let done = item(answer, status, &json!([part(&text)]));
    let tail = vec![
        events.next("response.output_text.done", at(json!({"text": text, "logprobs": []}))),
        events.next("response.content_part.done", at(json!({"part": part(&text)}))),
        events.next("response.output_item.done", json!({"output_index": 0, "item": done})),
        events.next(&format!("response.{status}"), json!({"response": response(answer)})),
    ];
    Frames { head, tokens, tail }
}

pub(super) fn error_frame(message: &str) -> Bytes {
    event(
        "error",
        &json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 99}),
    )
}
