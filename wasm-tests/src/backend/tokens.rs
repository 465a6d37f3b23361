//! How many prompt tokens a backend reports.

use serde_json::Value;

use super::PromptTokens;

/// Tokens that a chat's framing adds to each message, and once to the whole.
const PER_MESSAGE: u64 = 3;

/// The prompt tokens of a request, as reported.
pub(super) fn prompt(request: &Value, how: PromptTokens, bias: f64) -> u64 {
    let count = match how {
        PromptTokens::Exactly(count) => return count,
        PromptTokens::BytesPerToken(bytes) => (text(request).len() as f64 / bytes).ceil() as u64,
        PromptTokens::O200k => tiktoken_rs::o200k_base_singleton().encode_ordinary(&text(request)).len() as u64,
    };
    let messages = request.get("messages").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let framing = if messages == 0 { 0 } else { PER_MESSAGE * (messages + 1) };
    ((count + framing) as f64 * bias).round() as u64
}

/// What a model would read: the texts of the prompt, and the schemas of its tools.
pub(super) fn text(request: &Value) -> String {
    let mut text = String::new();
    for key in ["system", "instructions", "messages", "input", "prompt", "query", "contents", "request"] {
        if let Some(value) = request.get(key) {
            collect(value, &mut text);
        }
    }
    if let Some(tools) = request.get("tools") {
        text.push_str(&tools.to_string());
    }
    text
}

/// Texts are strings by themselves, or the `content` and `text` of messages and their parts.
fn collect(value: &Value, text: &mut String) {
    match value {
        Value::String(string) => text.push_str(string),
        Value::Array(items) => items.iter().for_each(|item| collect(item, text)),
        Value::Object(fields) => {
            let is_said = |key: &str| matches!(key, "content" | "text" | "parts" | "messages");
            fields.iter().filter(|(key, _)| is_said(key)).for_each(|(_, v)| collect(v, text));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_parts_count_and_keys_do_not() {
        let request = json!({"model": "long-model-name", "messages": [
            {"role": "system", "content": "12345678"},
            {"role": "user", "content": [{"type": "text", "text": "1234"}, {"type": "image_url", "image_url": {}}]},
        ]});
        assert_eq!(prompt(&request, PromptTokens::BytesPerToken(4.0), 1.0), 3 + 9);
        assert_eq!(prompt(&request, PromptTokens::BytesPerToken(4.0), 1.5), 18);
        assert_eq!(prompt(&request, PromptTokens::Exactly(7), 1.5), 7);
    }

    #[test]
    fn o200k_counts_as_openai_does() {
        assert_eq!(prompt(&json!({"prompt": "hello world"}), PromptTokens::O200k, 1.0), 2);
    }
}
