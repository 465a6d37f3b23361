//! Log lines, as JSON or as text.

use crate::config::LogFormat;
use crate::json::quoted;

/// One line of the fields, in their order.
pub fn line(format: LogFormat, fields: &[(&str, String)]) -> String {
    match format {
        LogFormat::Json => {
            let fields = fields.iter().map(|(key, value)| (*key, value.as_str()));
            let object: Vec<String> = fields.map(|(k, v)| format!("{}:{}", quoted(k), scalar(k, v))).collect();
            format!("{{{}}}", object.join(","))
        }
        LogFormat::Text => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", word(value))).collect();
            fields.join(" ")
        }
    }
}

/// Numbers stay numbers; an id is none, though it may be all digits.
fn scalar(key: &str, text: &str) -> String {
    if key.ends_with("_id") {
        return quoted(text);
    }
    if text.parse::<u64>().is_ok_and(|n| n.to_string() == text) { text.to_owned() } else { quoted(text) }
}

fn word(text: &str) -> String {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'=');
    if plain { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_read_by_programs_and_people() {
        let fields = [("backend", "a".to_owned()), ("tokens", "12".to_owned()), ("why", "it \"broke\"\n".to_owned())];
        assert_eq!(line(LogFormat::Json, &fields), r#"{"backend":"a","tokens":12,"why":"it \"broke\"\n"}"#);
        let id = [("request_id", "12".to_owned())];
        assert_eq!(line(LogFormat::Json, &id), r#"{"request_id":"12"}"#);
        assert_eq!(line(LogFormat::Text, &fields), r#"backend=a tokens=12 why="it \"broke\"\n""#);
    }
}
