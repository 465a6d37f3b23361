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

/// Figures are numbers. All else is text, though a backend may be called 7 and a reason be 123: whoever stores lines gives
/// each field one type, by the first that comes.
fn scalar(key: &str, text: &str) -> String {
    let is_figure = FIGURES.contains(&key) && text.parse::<u64>().is_ok_and(|n| n.to_string() == text);
    if is_figure { text.to_owned() } else { quoted(text) }
}

/// The fields that are figures, in all lines there are.
const FIGURES: [&str; 17] = [
    "attempts",
    "available_permille",
    "backends",
    "cost_micro_usd",
    "degraded",
    "duration_ms",
    "ejected",
    "estimated_tokens",
    "failing",
    "failures",
    "healthy",
    "input_tokens",
    "output_tokens",
    "response_time_ms",
    "score_permille",
    "status",
    "total",
];

fn word(text: &str) -> String {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'=');
    if plain { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_read_by_programs_and_people() {
        let fields = [("backend", "a".to_owned()), ("attempts", "12".to_owned()), ("why", "it \"broke\"\n".to_owned())];
        assert_eq!(line(LogFormat::Json, &fields), r#"{"backend":"a","attempts":12,"why":"it \"broke\"\n"}"#);
        assert_eq!(line(LogFormat::Text, &fields), r#"backend=a attempts=12 why="it \"broke\"\n""#);
    }

    #[test]
    fn what_somebody_chose_is_text_whatever_it_looks_like() {
        for key in ["request_id", "backend", "reason", "cluster", "version"] {
            assert_eq!(line(LogFormat::Json, &[(key, "7".to_owned())]), format!(r#"{{"{key}":"7"}}"#));
        }
    }
}
