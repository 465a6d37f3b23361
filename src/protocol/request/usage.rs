//! The question for the usage of a stream, put into a body that does not ask it.
//!
//! Servers of the `OpenAI` API say what a streamed answer took only where `stream_options.include_usage` is true. The
//! option is put in where it belongs and every other byte stays as the client wrote it: a body read and written anew
//! would be another one (the order of keys, duplicates, digits of numbers), and prompts are cached by their bytes.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;
use serde::de::IgnoredAny;

/// The body with the question in it. None where it should stay as it is: it asks for no stream, it says itself whether it
/// wants the usage, or it is not understood, be it only because a key in question is there twice.
pub fn ask_for_usage(body: &[u8]) -> Option<Vec<u8>> {
    let (place, text) = edit(body)?;
    // What was found was found as if this were JSON.
    serde_json::from_slice::<IgnoredAny>(body).ok()?;
    let (before, after) = (body.get(..place.start)?, body.get(place.end..)?);
    Some([before, text.as_bytes(), after].concat())
}

/// Which bytes give way to which.
fn edit(body: &[u8]) -> Option<(Range<usize>, &'static str)> {
    let root = skip_space(body, 0);
    let [stream, options] = fields(body, root, ["stream", "stream_options"])?;
    if body.get(stream?)? != b"true" {
        return None;
    }
    let Some(options) = options else {
        // Not the only member: `stream` follows.
        return Some((root + 1..root + 1, r#""stream_options":{"include_usage":true},"#));
    };
    let inside = options.start + 1..options.start + 1;
    match body.get(options.clone())? {
        b"null" => Some((options, r#"{"include_usage":true}"#)),
        value => match fields(body, options.start, ["include_usage"])? {
            [Some(_)] => None,
            [None] if is_empty(value) => Some((inside, r#""include_usage":true"#)),
            [None] => Some((inside, r#""include_usage":true,"#)),
        },
    }
}

/// Where the values of those fields stand in the object that begins at `at`. None if that is no object, or has one of
/// them twice.
fn fields<const N: usize>(json: &[u8], at: usize, names: [&str; N]) -> Option<[Option<Range<usize>>; N]> {
    let mut found = [const { None }; N];
    if json.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = skip_space(json, at + 1);
    if json.get(at) == Some(&b'}') {
        return Some(found);
    }
    loop {
        let key = at..string_end(json, at)?;
        let start = skip_space(json, skip_space(json, key.end) + 1);
        let end = value_end(json, start)?;
        let name = name(json.get(key)?)?;
        if let Some((_, found)) = names.iter().zip(&mut found).find(|(wanted, _)| wanted.as_bytes() == &*name)
            && found.replace(start..start + json.get(start..end)?.trim_ascii_end().len()).is_some()
        {
            return None;
        }
        if json.get(end) != Some(&b',') {
            return Some(found);
        }
        at = skip_space(json, end + 1);
    }
}

/// A key without its quotes and escapes.
fn name(quoted: &[u8]) -> Option<Cow<'_, [u8]>> {
    if quoted.contains(&b'\\') {
        return serde_json::from_slice::<String>(quoted).ok().map(|name| name.into_bytes().into());
    }
    quoted.get(1..quoted.len().checked_sub(1)?).map(Cow::Borrowed)
}

fn is_empty(object: &[u8]) -> bool {
    object.get(skip_space(object, 1)) == Some(&b'}')
}

fn skip_space(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

/// Behind the string that begins at `at`.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    if json.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        if json.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// At the comma or the bracket behind the value that begins at `at`, which may be a space further on.
fn value_end(json: &[u8], mut at: usize) -> Option<usize> {
    let mut open = 0_usize;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at)?;
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' if open > 0 => open -= 1,
            b'}' | b']' => return Some(at),
            b',' if open == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn asked(body: &str) -> Option<String> {
        ask_for_usage(body.as_bytes()).map(|edited| String::from_utf8(edited).unwrap())
    }

    #[test]
    fn the_option_is_put_in_and_all_else_stays_as_it_was_written() {
        for (body, edited) in [
            (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            (
                " { \"model\" : \"m\\u0020\", \"n\":1.50,\n\"stream\": true \n} ",
                " {\"stream_options\":{\"include_usage\":true}, \"model\" : \"m\\u0020\", \"n\":1.50,\n\"stream\": true \n} ",
            ),
            (r#"{"stream":true,"stream_options":{}}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":{ },"stream":true}"#, r#"{"stream_options":{"include_usage":true },"stream":true}"#),
            (
                r#"{"stream":true,"stream_options":{"include_obfuscation":false}}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
            ),
            (
                r#"{"stream":true,"stream_options" : null }"#,
                r#"{"stream":true,"stream_options" : {"include_usage":true} }"#,
            ),
            (
                r#"{"str\u0065am":true,"stream\u005foptions":{}}"#,
                r#"{"str\u0065am":true,"stream\u005foptions":{"include_usage":true}}"#,
            ),
            (
                r#"{"metadata":{"stream":false,"stream_options":{"include_usage":false}},"stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"metadata":{"stream":false,"stream_options":{"include_usage":false}},"stream":true}"#,
            ),
            (
                r#"{"a":"\\\"}","stream":true,"a":"twice"}"#,
                r#"{"stream_options":{"include_usage":true},"a":"\\\"}","stream":true,"a":"twice"}"#,
            ),
        ] {
            assert_eq!(asked(body).as_deref(), Some(edited));
        }
    }

    #[test]
    fn who_says_it_himself_or_is_not_understood_is_left_alone() {
        for body in [
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":null}}"#,
            r#"{"stream":true,"stream_options":{"include\u005fusage":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}"#,
            r#"{"stream":true,"stream_options":{},"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":[]}"#,
            r#"{"stream":true,"stream_options":"yes"}"#,
            r#"{"stream":true,"stream":true}"#,
            r#"{"stream":false}"#,
            r#"{"stream":"true"}"#,
            r#"{"stream":1}"#,
            r#"{"model":"m"}"#,
            r#"{"messages":[{"stream":true}]}"#,
            r#"[{"stream":true}]"#,
            r#""stream""#,
            "{}",
            "",
            " ",
            "{",
            r#"{"stream":true"#,
            r#"{"stream":true}}"#,
            r#"{"stream":true,}"#,
            r#"{"stream":true,"a"}"#,
            r#"{"stream":true,"a":tru}"#,
            r#"{"stream":true,"\ud800":1}"#,
            r#"{"stream" true}"#,
            "\u{feff}{\"stream\":true}",
            r#"{"stream":true,"a":"\"#,
            r#"{"stream":true,"stream_options":{"a":1}"#,
        ] {
            assert_eq!(asked(body), None, "{body}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_no_harm() {
        let edited = ask_for_usage(b"{\"a\":\"\xFF\",\"stream\":true}").unwrap();
        assert_eq!(edited, b"{\"stream_options\":{\"include_usage\":true},\"a\":\"\xFF\",\"stream\":true}");
    }

    /// JSON in which the keys that matter are frequent, at any depth.
    fn any_json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            r#"[a-z"\\{}\[\],:é\n]{0,8}"#.prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("stream".to_owned()),
            Just("stream_options".to_owned()),
            Just("include_usage".to_owned()),
            r#"[a-z"\\{},:]{0,4}"#,
        ];
        scalar.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// A body that is likely to be edited.
    fn likely() -> impl Strategy<Value = Value> {
        let options = prop_oneof![
            Just(None),
            any_json().prop_map(Some),
            any_json().prop_map(|value| Some(json!({"other": value}))),
            Just(Some(json!({}))),
        ];
        (any_json(), options, any::<bool>()).prop_map(|(rest, options, stream)| {
            let mut body = json!({"rest": rest, "stream": stream});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            body
        })
    }

    /// What the edit should come to.
    fn oracle(body: &Value) -> Option<Value> {
        let options = body.as_object()?.get("stream_options");
        let is_open = match options {
            None | Some(Value::Null) => true,
            Some(Value::Object(options)) => !options.contains_key("include_usage"),
            Some(_) => false,
        };
        if body.get("stream") != Some(&Value::Bool(true)) || !is_open {
            return None;
        }
        let mut body = body.clone();
        body["stream_options"]["include_usage"] = true.into();
        Some(body)
    }

    proptest! {
        #[test]
        fn an_edited_body_is_the_same_with_the_option(body in prop_oneof![any_json(), likely()], pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
            // As it is read: not every float is what it was before it was written.
            let body = serde_json::from_str::<Value>(&text).unwrap();
            let edited = asked(&text);
            prop_assert_eq!(edited.as_deref().map(|edited| serde_json::from_str::<Value>(edited).unwrap()), oracle(&body));
            prop_assert_eq!(edited.and_then(|edited| asked(&edited)), None, "asked once is enough");
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..64), n in 0_usize..40) {
            let _ = ask_for_usage(&bytes);
            let body = br#"{"stream":true,"stream_options":{"a":1}}"#;
            let cut = &body[..n];
            prop_assert_eq!(ask_for_usage(cut), None);
            prop_assert_eq!(ask_for_usage(&[cut, &bytes, &body[n..]].concat()).is_some_and(|edited| edited.is_empty()), false);
        }
    }
}
