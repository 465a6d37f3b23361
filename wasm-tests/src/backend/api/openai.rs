//! `OpenAI`'s chat completions, completions and embeddings, and Perplexity's chat, which differs from `OpenAI`'s in that
//! every chunk carries the usage so far and the citations, and that its streams end without `[DONE]`.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, Frames, UsageEvent, data};

const DIMENSIONS: usize = 8;
const MAX_DIMENSIONS: usize = 4096;

fn finish(answer: &Answer) -> &'static str {
    if answer.cut_short { "length" } else { "stop" }
}

fn chat_finish(answer: &Answer) -> &'static str {
    if answer.tool().is_some() { "tool_calls" } else { finish(answer) }
}

/// The call of the tool that the request insists on, without arguments.
fn tool_call(answer: &Answer, name: &str) -> Value {
    json!({"id": answer.id("call_"), "type": "function", "function": {"name": name, "arguments": "{}"}})
}

fn usage(answer: &Answer) -> Value {
    let mut usage = json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.total_tokens(),
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0},
    });
    for (member, value) in answer.usage_members.as_object().into_iter().flatten() {
        usage[member] = value.clone();
    }
    usage
}

/// The fields that all objects of one answer share.
fn envelope(answer: &Answer, id: &str, object: &str) -> Value {
    json!({"id": answer.id(id), "object": object, "created": answer.created, "model": answer.model,
        "system_fingerprint": format!("sim-{}", answer.backend)})
}

fn with(mut envelope: Value, key: &str, value: Value) -> Value {
    envelope[key] = value;
    envelope
}

fn with_usage(envelope: Value, answer: &Answer) -> Value {
    if answer.usage { with(envelope, "usage", usage(answer)) } else { envelope }
}

fn wants_usage(answer: &Answer) -> bool {
    answer.request.pointer("/stream_options/include_usage") == Some(&Value::Bool(true))
}

pub(super) fn chat(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.text(), "refusal": null, "annotations": []});
    if let Some(name) = answer.tool() {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([tool_call(answer, name)]);
    }
    let choice = json!({"index": 0, "logprobs": null, "finish_reason": chat_finish(answer), "message": message});
    with_usage(with(envelope(answer, "chatcmpl-", "chat.completion"), "choices", json!([choice])), answer)
}

pub(super) fn chat_frames(answer: &Answer) -> Frames {
    let chunk =
        |delta: Value, finish: Value| json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
    let mut head = json!({"role": "assistant", "content": "", "refusal": null});
    if let Some(name) = answer.tool() {
        head["content"] = Value::Null;
        head["tool_calls"] = json!([with(tool_call(answer, name), "index", json!(0))]);
    }
    frames(answer, "chatcmpl-", "chat.completion.chunk", |part| match part {
        Part::Head => Some(chunk(head.clone(), Value::Null)),
        Part::Token(_) if answer.tool().is_some() => None,
        Part::Token(token) => Some(chunk(json!({"content": token}), Value::Null)),
        Part::Tail => Some(chunk(json!({}), chat_finish(answer).into())),
    })
}

pub(super) fn completion(answer: &Answer) -> Value {
    let choice = json!({"index": 0, "text": answer.text(), "logprobs": null, "finish_reason": finish(answer)});
    with_usage(with(envelope(answer, "cmpl-", "text_completion"), "choices", json!([choice])), answer)
}

pub(super) fn completion_frames(answer: &Answer) -> Frames {
    let chunk =
        |text: &str, finish: Value| json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish});
    frames(answer, "cmpl-", "text_completion", |part| match part {
        Part::Head => None,
        Part::Token(token) => Some(chunk(token, Value::Null)),
        Part::Tail => Some(chunk("", finish(answer).into())),
    })
}

enum Part<'a> {
    Head,
    Token(&'a str),
    Tail,
}

/// Chunks of one choice each; then, if the client asked for it, one with the usage and without choices; then `[DONE]`.
/// Where the usage is asked for, every other chunk says `"usage": null`.
fn frames(answer: &Answer, id: &str, object: &str, choice: impl Fn(Part<'_>) -> Option<Value>) -> Frames {
    let usage_wanted = wants_usage(answer) && answer.usage;
    let shell = envelope(answer, id, object);
    let shell = if usage_wanted { with(shell, "usage", Value::Null) } else { shell };
    let chunk = |part| choice(part).map(|choice| data(&with(shell.clone(), "choices", json!([choice]))));

    let with_choices = |choices| data(&with_usage(with(shell.clone(), "choices", choices), answer));
    let mut tail: Vec<_> = chunk(Part::Tail).into_iter().collect();
    match answer.usage_event {
        _ if !usage_wanted => {}
        UsageEvent::Alone => tail.push(with_choices(json!([]))),
        UsageEvent::EmptyChoice => tail.push(with_choices(json!([{"index": 0, "delta": {}, "finish_reason": null}]))),
        UsageEvent::LastChoice => {
            tail = choice(Part::Tail).map(|last| with_choices(json!([last]))).into_iter().collect();
        }
    }
    tail.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Frames {
        head: chunk(Part::Head).into_iter().collect(),
        tokens: (0..answer.output_tokens).filter_map(|index| chunk(Part::Token(answer.token(index)))).collect(),
        tail,
    }
}

fn perplexity_usage(answer: &Answer, output_tokens: u32) -> Value {
    json!({"prompt_tokens": answer.prompt_tokens, "completion_tokens": output_tokens,
        "total_tokens": answer.prompt_tokens + u64::from(output_tokens), "search_context_size": "low"})
}

fn perplexity_envelope(answer: &Answer, output_tokens: u32) -> Value {
    let mut envelope = envelope(answer, "", "chat.completion");
    envelope["citations"] = json!(["https://example.org/one", "https://example.org/two"]);
    envelope["search_results"] = json!([{"title": "One", "url": "https://example.org/one", "date": "2026-01-01"},
        {"title": "Two", "url": "https://example.org/two", "date": null}]);
    if answer.usage {
        envelope["usage"] = perplexity_usage(answer, output_tokens);
    }
    envelope
}

pub(super) fn perplexity(answer: &Answer) -> Value {
    let message = json!({"role": "assistant", "content": answer.text()});
    let choice = json!({"index": 0, "finish_reason": finish(answer), "message": message,
        "delta": {"role": "assistant", "content": ""}});
    with(perplexity_envelope(answer, answer.output_tokens), "choices", json!([choice]))
}

pub(super) fn perplexity_frames(answer: &Answer) -> Frames {
    let mut said = String::new();
    let mut tokens = Vec::new();
    for index in 0..answer.output_tokens {
        said.push_str(answer.token(index));
        let last = index + 1 == answer.output_tokens;
        let choice = json!({"index": 0, "finish_reason": if last { finish(answer).into() } else { Value::Null },
            "message": {"role": "assistant", "content": said},
            "delta": {"role": "assistant", "content": answer.token(index)}});
        tokens.push(data(&with(perplexity_envelope(answer, index + 1), "choices", json!([choice]))));
    }
    // The last token's chunk is also the terminal mark.
    let tail = tokens.pop().into_iter().collect();
    Frames { head: Vec::new(), tokens, tail }
}

pub(super) fn embeddings(answer: &Answer) -> Value {
    let inputs = match answer.request.get("input") {
        Some(Value::Array(items)) if !items.iter().any(Value::is_number) => items.clone(),
        input => vec![input.cloned().unwrap_or_default()],
    };
    let dimensions =
        answer.request.get("dimensions").and_then(Value::as_u64).map_or(DIMENSIONS, |asked| asked as usize);
    let base64 = answer.request.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions.clamp(1, MAX_DIMENSIONS));
            let embedding = if base64 {
                STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut body = json!({"object": "list", "model": answer.model, "data": data});
    if answer.usage {
        body["usage"] = json!({"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens});
    }
    body
}

/// The same for the same text, and alike for texts that share words: each word adds to the place that its hash names.
fn vector(input: &Value, dimensions: usize) -> Vec<f32> {
    let text = input.as_str().map_or_else(|| input.to_string(), str::to_lowercase);
    let mut vector = vec![0.1_f32; dimensions];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // FNV-1a.
        let hash = word
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        vector[(hash % dimensions as u64) as usize] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        400 => ("invalid_request_error", "invalid_request"),
        401 => ("authentication_error", "invalid_api_key"),
        404 => ("invalid_request_error", "not_found"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        503 => ("server_error", "service_unavailable"),
        _ => ("server_error", "server_error"),
    };
    json!({"error": {"message": message, "type": kind, "code": code, "param": null}})
}
