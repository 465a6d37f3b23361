//! Takes out of a stream what only the router asked for: the usage.
//!
//! It is in an event of its own, the choices of which are an empty list (`OpenAI`) or carry nothing (`LiteLLM`): that
//! event is taken out whole. Or it is in one that carries something, too, in the last piece or in each: there `null`
//! takes its place, as servers write it that have none to report yet.
//!
//! What an event is, the [`EventStream`] knows, which reads it anyway. Here its bytes go one of three ways: on, away, or
//! for as long as the event may still turn out to be that one, into a small store. A piece of an answer is recognised by
//! the first thing that a choice carries, early in the event, so an answer is as quick as without this; and an event
//! comes in one piece as a rule, so that nothing is stored at all.

use memchr::memchr2;

use super::Seen;
use super::sse::EventStream;

/// The longest beginning of an event that is held back; that event has a few hundred bytes.
const MOST_HELD: usize = 64 << 10;

/// What an event is, as far as it has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// It may be either.
    Undecided,
    /// Usage, and no choice that carries anything.
    Usage,
    /// Anything else.
    Other,
}

/// Where the bytes of the event under way go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Store,
    On,
    Away,
}

/// What stands between a stream and its client.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen, each by itself")]
pub(super) struct Cut {
    way: Way,
    /// Whether a line is under way.
    in_line: bool,
    /// Whether that is a comment between events, by which servers keep connections alive: it belongs to none.
    in_comment: bool,
    /// Where the last byte went, if it was a CR: an LF now belongs to it.
    after_cr: Option<Way>,
    /// Whether the end of a line was taken out with the usage in which it stood.
    owes_end: bool,
    held: Vec<u8>,
    /// What passes of the chunk that was pushed last, and whether that is not simply the chunk.
    passes: Vec<u8>,
    changed: bool,
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            way: Way::Store,
            in_line: false,
            in_comment: false,
            after_cr: None,
            owes_end: false,
            held: Vec::new(),
            passes: Vec::new(),
            changed: false,
        }
    }
}

impl Cut {
    /// Takes a chunk, and shows it to `events` on its way.
    pub(super) fn push(&mut self, chunk: &[u8], events: &mut EventStream, seen: &mut Seen) {
        self.changed |= !self.held.is_empty();
        let mut rest = chunk;
        if let Some(way) = self.after_cr.take_if(|_| !chunk.is_empty())
            && let Some(after) = chunk.strip_prefix(b"\n")
        {
            events.push(b"\n", seen);
            self.send(b"\n", way);
            rest = after;
        }
        while !rest.is_empty() {
            let (text, after) = rest.split_at(memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()));
            let (end, after) = after.split_at(if after.starts_with(b"\r\n") { 2 } else { after.len().min(1) });
            let is_blank = text.is_empty() && !self.in_line;
            if !text.is_empty() {
                self.text(text, events, seen);
            } else if is_blank && self.way == Way::Store {
                self.release();
                self.way = Way::On;
            }
            let way = self.end(end, events, seen);
            self.after_cr = (end == b"\r" && after.is_empty()).then_some(way);
            self.in_line = end.is_empty();
            if is_blank || (self.in_comment && !self.in_line) {
                (self.way, self.in_comment) = (Way::Store, false);
            }
            rest = after;
        }
        self.changed |= !self.held.is_empty();
    }

    /// A byte of a body that may turn out to be none of events. What comes before it begins passes.
    pub(super) fn wait(&mut self, byte: u8, begins: bool) {
        self.changed |= begins || !self.held.is_empty();
        self.held.push(byte);
        if !begins {
            self.release();
        }
    }

    /// It begins with those bytes. Where it is one of events they are pushed next; else they pass, and so does the rest.
    pub(super) fn resume(&mut self, beginning: &[u8], is_events: bool) {
        self.held.clear();
        self.changed = true;
        if !is_events {
            self.passes.extend_from_slice(beginning);
        }
    }

    /// The rest of a chunk that is none of events.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        if self.changed {
            self.passes.extend_from_slice(bytes);
        }
    }

    /// What passes in the place of the chunk that was pushed last, if it is not that; with `end_of_stream` nothing stays.
    pub(super) fn passing(&mut self, end_of_stream: bool) -> Option<Vec<u8>> {
        if end_of_stream && !self.held.is_empty() {
            self.release();
            self.changed = true;
        }
        let passes = std::mem::take(&mut self.passes);
        std::mem::take(&mut self.changed).then_some(passes)
    }

    /// A piece of a line, or all of it.
    fn text(&mut self, text: &[u8], events: &mut EventStream, seen: &mut Seen) {
        // Some servers forget the blank line: after a value that is complete, the next line begins another event.
        if !self.in_line && events.is_between() {
            self.way = Way::Store;
        }
        if !self.in_line && self.way == Way::Store && self.held.is_empty() && text.starts_with(b":") {
            (self.way, self.in_comment) = (Way::On, true);
        }
        let mut rest = text;
        while !rest.is_empty() {
            // The usage begins and ends with a brace.
            let (piece, after) = rest.split_at(memchr2(b'{', b'}', rest).map_or(rest.len(), |brace| brace + 1));
            let was_in_usage = events.is_in_usage();
            events.push(piece, seen);
            match (was_in_usage, events.is_in_usage()) {
                (false, false) => self.send(piece, self.way),
                (false, true) => {
                    self.send(piece.strip_suffix(b"{").unwrap_or(piece), self.way);
                    self.send(b"null", self.way);
                    self.changed = true;
                }
                (true, is_in_usage) => {
                    self.changed = true;
                    self.owes_end &= is_in_usage;
                }
            }
            self.judge(events, seen);
            rest = after;
        }
    }

    /// The end of a line. Says where it went.
    fn end(&mut self, end: &[u8], events: &mut EventStream, seen: &mut Seen) -> Way {
        if end.is_empty() {
            return self.way;
        }
        let was_in_usage = events.is_in_usage();
        events.push(end, seen);
        if was_in_usage && events.is_in_usage() {
            (self.owes_end, self.changed) = (true, true);
            return Way::Away;
        }
        // The event ends in the midst of its usage: what there was of it is a line, at least.
        if std::mem::take(&mut self.owes_end) {
            self.send(b"\n", self.way);
            self.changed = true;
        }
        self.send(end, self.way);
        self.way
    }

    /// Whether the event under way may go on.
    fn judge(&mut self, events: &EventStream, seen: &Seen) {
        if self.way != Way::Store {
            return;
        }
        let is_short = self.held.len() <= MOST_HELD;
        match events.judged() {
            Judged::Undecided if is_short => {}
            Judged::Usage if is_short && seen.error.is_none() => {
                self.held.clear();
                self.way = Way::Away;
                self.changed = true;
            }
            Judged::Undecided | Judged::Usage | Judged::Other => {
                self.release();
                self.way = Way::On;
            }
        }
    }

    fn send(&mut self, bytes: &[u8], way: Way) {
        match way {
            Way::Store => self.held.extend_from_slice(bytes),
            Way::On => self.passes.extend_from_slice(bytes),
            Way::Away => self.changed = true,
        }
    }

    fn release(&mut self) {
        self.passes.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{AnswerFacts, Observer};
    use super::*;
    use crate::domain::Api;

    const USAGE: &str =
        r#"{"id":"é","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
    const PIECE: &str = r#"{"id":"é","choices":[{"index":0,"delta":{"content":"ü}]\n\""}}],"usage":null}"#;

    fn observer() -> Observer {
        Observer::new(Api::ChatCompletions, 200, Some(b"text/event-stream; charset=utf-8"))
    }

    /// What the client gets of these chunks, chunk by chunk, and what the router knows after them.
    fn passed(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, AnswerFacts) {
        let mut observer = observer();
        assert!(observer.hide_usage());
        let mut passed = Vec::new();
        for chunk in chunks {
            observer.push(chunk);
            passed.push(observer.passing(false).unwrap_or_else(|| chunk.to_vec()));
        }
        passed.extend(observer.passing(true));
        (passed, observer.finish(true))
    }

    fn whole(stream: &str) -> String {
        String::from_utf8(passed(&[stream.as_bytes()]).0.concat()).unwrap()
    }

    #[test]
    fn the_event_is_taken_out_whole_and_alone() {
        let done = "data: [DONE]\n\n";
        for end in ["\n", "\r\n", "\r"] {
            let piece = format!("data: {PIECE}{end}{end}");
            let stream = format!("{piece}data: {USAGE}{end}{end}{done}");
            assert_eq!(whole(&stream), format!("{piece}{done}"), "{stream}");
            assert_eq!(whole(&format!("{piece}data: {USAGE}{end}{end}")), piece);
            assert_eq!(whole(&format!("{piece}data: {USAGE}{end}")), piece);
            assert_eq!(whole(&format!("{piece}data: {USAGE}")), piece);
            assert_eq!(whole(&format!("\u{feff}data:{USAGE}{end}{end}{piece}")), format!("\u{feff}{piece}"));
            assert_eq!(whole(&format!("id: 7{end}event: message{end}data:{USAGE}{end}id: 8{end}{end}{piece}")), piece);
        }
        assert_eq!(whole(&format!("data: {{\ndata:  \"choices\" : [ ],\ndata: \"usage\":{{}} }}\n\n{done}")), done);
    }

    #[test]
    fn an_event_whose_choices_carry_nothing_is_taken_out_too() {
        for choices in [
            r#"[{"index":0,"delta":{}}]"#,
            r#"[{"index":0}]"#,
            r#"[{"delta":{},"index":1,"finish_reason":null,"logprobs":null}]"#,
            r#"[{"index":0,"text":"","finish_reason":null,"logprobs":null}]"#,
            r#"[{"index":0,"delta":{"content":"","tool_calls":[],"role":null,"function_call":null}}]"#,
            r#"[{"index":0,"delta":{}},{"index":1,"delta":{}}]"#,
            "[{}]",
        ] {
            for event in [
                format!(r#"{{"id":"a","choices":{choices},"usage":{{"prompt_tokens":1,"details":{{"a":["}}"]}}}}}}"#),
                format!(r#"{{"usage":{{"prompt_tokens":1}},"id":"a","choices":{choices}}}"#),
            ] {
                let stream = format!("data: {PIECE}\n\ndata: {event}\n\ndata: [DONE]\n\n");
                for size in [1, 2, 7, stream.len()] {
                    let chunks: Vec<_> = stream.as_bytes().chunks(size).collect();
                    let (passed, facts) = passed(&chunks);
                    let passed = String::from_utf8(passed.concat()).unwrap();
                    assert_eq!(passed, format!("data: {PIECE}\n\ndata: [DONE]\n\n"), "{event} by {size}");
                    assert_eq!(facts.usage.unwrap().input.0, 1);
                }
                let unreported = format!("data: {}\n\n", event.replace(r#""usage":{"#, r#""used":{"#));
                assert_eq!(whole(&unreported), unreported, "without a usage it is no such event");
            }
        }
    }

    #[test]
    fn of_an_event_that_carries_something_only_the_usage_is_taken_out() {
        for choice in [
            r#"{"index":0,"delta":{"content":"ü}"}}"#,
            r#"{"index":0,"delta":{},"finish_reason":"stop"}"#,
            r#"{"index":0,"delta":{"role":"assistant"}}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}}"#,
            r#"{"index":0,"delta":{"reasoning_details":[{"data":"x"}]}}"#,
            r#"{"index":0,"text":" and"}"#,
            r#"{"index":0,"delta":{},"logprobs":{"content":[]}}"#,
            r#"{"index":0,"delta":{"content":"\n"}}"#,
            r#"{"index":0,"delta":{},"token_id":17}"#,
            r#"{"index":0,"delta":{},"stopped":true}"#,
        ] {
            for (event, left) in [
                (
                    r#"{"choices":[C],"usage":{"prompt_tokens":1,"b":{"c":[{}]}},"id":"}"}"#,
                    r#"{"choices":[C],"usage":null,"id":"}"}"#,
                ),
                (r#"{"usage" : {"prompt_tokens":1,"a":"{"} ,"choices":[C]}"#, r#"{"usage" : null ,"choices":[C]}"#),
                (
                    r#"{"usage":{},"choices":[C],"usage":{"prompt_tokens":1}}"#,
                    r#"{"usage":null,"choices":[C],"usage":null}"#,
                ),
                (
                    r#"{"choices":[{"index":0,"delta":{}},C],"usage":{"prompt_tokens":1}}"#,
                    r#"{"choices":[{"index":0,"delta":{}},C],"usage":null}"#,
                ),
            ] {
                let [stream, left] =
                    [event, left].map(|event| format!("data: {}\r\n\r\ndata: [DONE]\n\n", event.replace('C', choice)));
                for size in [1, 2, 7, stream.len()] {
                    let chunks: Vec<_> = stream.as_bytes().chunks(size).collect();
                    let (passed, facts) = passed(&chunks);
                    assert_eq!(String::from_utf8(passed.concat()).unwrap(), left, "by {size}");
                    assert_eq!(facts.usage.unwrap().input.0, 1);
                }
            }
        }
    }

    #[test]
    fn a_usage_over_several_lines_or_without_an_end_hides_nothing_but_itself() {
        for (stream, left) in [
            (
                "data: {\"choices\":[{\"text\":\"a\"}],\ndata: \"usage\":{\"a\":\ndata: 1},\ndata: \"b\":2}\n\n: c\n\n",
                "data: {\"choices\":[{\"text\":\"a\"}],\ndata: \"usage\":null,\ndata: \"b\":2}\n\n: c\n\n",
            ),
            (
                "data: {\"choices\":[{\"text\":\"a\"}],\"usage\":{\"a\":\n\ndata: [DONE]\n\n",
                "data: {\"choices\":[{\"text\":\"a\"}],\"usage\":null\n\ndata: [DONE]\n\n",
            ),
            ("data: {\"usage\":{\"a\":\r\n\r\ndata: [DONE]\n\n", "data: {\"usage\":null\n\r\ndata: [DONE]\n\n"),
            ("data: {\"usage\":{\"a\":", "data: {\"usage\":null"),
        ] {
            for size in [1, 2, 3, stream.len()] {
                let chunks: Vec<_> = stream.as_bytes().chunks(size).collect();
                assert_eq!(String::from_utf8(passed(&chunks).0.concat()).unwrap(), left, "by {size}");
            }
        }
    }

    #[test]
    fn no_other_event_is_taken_out() {
        for event in [
            r#"{"choices":[1],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[[]],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[null],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":["a"],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":null,"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":{},"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1},"error":{"message":"no"}}"#,
            r#"{"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}"#,
        ] {
            let stream = format!("data: {event}\n\ndata: [DONE]\n\n");
            assert_eq!(whole(&stream), stream.replace(r#"{"prompt_tokens":1}"#, "null"));
        }
        for event in [
            r#"{"choices":[],"prompt_filter_results":[{"usage":{"prompt_tokens":1}}]}"#,
            r#"{"choices":[],"usage":null}"#,
            r#"{"choices":[],"usage":[]}"#,
            r#"{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":1}}]}"#,
            r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1}}}"#,
            r#"{"body":{"choices":[],"usage":{"prompt_tokens":1}}}"#,
            r#"[{"choices":[],"usage":{"prompt_tokens":1}}]"#,
            r#""choices""#,
            "{}",
            "7",
            "no JSON at all",
            "",
        ] {
            let stream = format!("data: {event}\n\ndata: [DONE]\n\n");
            assert_eq!(whole(&stream), stream);
        }
        for stream in ["", "\n\n", ": ping\n\n", "retry: 9", "choices\n\n", "data", "\r\n\r"] {
            assert_eq!(whole(stream), stream);
        }
    }

    #[test]
    fn nothing_else_is_hidden_where_blank_lines_are_forgotten() {
        let stream = format!("data: {PIECE}\ndata: {USAGE}\ndata: [DONE]\n\n");
        assert_eq!(whole(&stream), format!("data: {PIECE}\ndata: [DONE]\n\n"));
    }

    #[test]
    fn an_answer_is_not_held_back_while_an_event_is_under_way() {
        let (known, rest) = PIECE.split_at(PIECE.find("ü").unwrap() + "ü".len());
        let beginning = format!("data: {known}");
        let chunks: Vec<&[u8]> = std::iter::once(beginning.as_bytes()).chain(rest.as_bytes().chunks(1)).collect();
        assert_eq!(passed(&chunks).0, chunks);
        // What is complete, and what is no JSON, waits for no end of its line.
        for event in [": ping\n", ": pi", "data: {}", "data: [", "data: x", "data: {\"choices\":[],\"usage\":null}"] {
            assert_eq!(passed(&[event.as_bytes()]).0, [event.as_bytes()]);
        }
    }

    #[test]
    fn too_long_a_beginning_is_let_go() {
        let long = format!(r#"data: {{"choices":[],"pad":"{}","usage":{{}}}}"#, "x".repeat(MOST_HELD));
        let stream = format!("{long}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n");
        for size in [1, 1_000, stream.len()] {
            let chunks: Vec<_> = stream.as_bytes().chunks(size).collect();
            let left = long.replace(r#""usage":{}"#, r#""usage":null"#);
            assert_eq!(passed(&chunks).0.concat(), format!("{left}\n\ndata: [DONE]\n\n").into_bytes());
        }
        let mut observer = observer();
        observer.hide_usage();
        let mut held = 0;
        for byte in stream.as_bytes() {
            observer.push(&[*byte]);
            observer.passing(false);
            held = held.max(observer.cut.as_ref().unwrap().held.len());
        }
        assert!(held <= MOST_HELD, "{held}");
    }

    #[test]
    fn only_a_stream_of_events_has_one() {
        for content_type in [&b"application/json"[..], b"application/x-ndjson", b"audio/mpeg"] {
            let mut observer = Observer::new(Api::ChatCompletions, 200, Some(content_type));
            assert!(!observer.hide_usage());
            observer.push(USAGE.as_bytes());
            assert_eq!(observer.passing(true), None);
        }
    }

    #[test]
    fn a_stream_is_told_by_its_first_bytes_and_nothing_else_is_changed() {
        let stream = format!("\r\n\u{feff}data: {PIECE}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n");
        let visible = format!("\r\n\u{feff}data: {PIECE}\n\ndata: [DONE]\n\n");
        let hidden_first = format!("data:{USAGE}\n\ndata: [DONE]\n\n");
        for content_type in
            [None, Some(&b"text/plain"[..]), Some(b"text/html; charset=utf-8"), Some(b"text/event-stream")]
        {
            for (body, expected) in [
                (stream.as_str(), visible.as_str()),
                (&hidden_first, "data: [DONE]\n\n"),
                (USAGE, USAGE),
                (" \n [1, 2] x", " \n [1, 2] x"),
                ("<html>data: x</html>", "<html>data: x</html>"),
                ("data", "data"),
                ("\n\n", "\n\n"),
                ("\u{feff}", "\u{feff}"),
                ("", ""),
            ] {
                for size in [1, 2, 3, 7, body.len().max(1)] {
                    let mut observer = Observer::new(Api::ChatCompletions, 200, content_type);
                    assert!(observer.hide_usage());
                    let mut passed = Vec::new();
                    for chunk in body.as_bytes().chunks(size) {
                        observer.push(chunk);
                        passed.extend(observer.passing(false).unwrap_or_else(|| chunk.to_vec()));
                    }
                    passed.extend(observer.passing(true).unwrap_or_default());
                    assert_eq!(String::from_utf8(passed).unwrap(), expected, "{content_type:?} by {size}");
                }
            }
        }
    }

    /// Parts of a stream, and whether each is to be hidden.
    fn parts() -> impl Strategy<Value = Vec<(String, bool)>> {
        let visible = prop_oneof![
            Just(PIECE.to_owned()),
            Just("[DONE]".to_owned()),
            Just(r#"{"choices":[],"usage":null}"#.to_owned()),
            Just(r#"{"choices":[{"text":"}"}],"usage":{"prompt_tokens":3}}"#.to_owned()),
            Just(r#"{"usage":{"prompt_tokens":3},"choices":[{"index":0,"finish_reason":"stop"}]}"#.to_owned()),
            "[a-z{}\\[\\]\"é ]{0,12}",
        ];
        let hidden = prop_oneof![
            Just(USAGE.to_owned()),
            Just(r#"{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":4}}"#.to_owned()),
            Just(r#" {"usage":{"prompt_tokens":1,"completion_tokens":2},"x":[[{}]], "choices" : [ ] } "#.to_owned()),
        ];
        let data = prop_oneof![visible.prop_map(|data| (data, false)), hidden.prop_map(|data| (data, true))];
        let fields = prop_oneof![Just(""), Just("id: 1"), Just("event: message"), Just(": é")];
        let part = (data, fields, prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]).prop_map(
            |((data, hidden), field, end)| {
                let field = if field.is_empty() { String::new() } else { format!("{field}{end}") };
                (format!("{field}data: {data}{end}{end}"), hidden)
            },
        );
        (prop::collection::vec(part, 0..6), 0_usize..3).prop_map(|(mut parts, cut)| {
            // Streams end without their last ends of lines.
            if let Some((last, _)) = parts.last_mut() {
                last.truncate(
                    last.trim_end_matches(['\r', '\n']).len()
                        + cut.min(last.len() - last.trim_end_matches(['\r', '\n']).len()),
                );
            }
            parts
        })
    }

    /// A comment that stands before an event.
    fn comment(text: &str) -> &str {
        if text.starts_with(':') { &text[..text.find("data").unwrap()] } else { "" }
    }

    /// A text in pieces, cut in the midst of characters too.
    fn pieces<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
    }

    proptest! {
        #[test]
        fn in_any_chunks_a_stream_is_the_same_without_that_event(
            parts in parts(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let stream: String = parts.iter().map(|(text, _)| text.as_str()).collect();
            let expected: String = parts.iter().map(|(text, hidden)| if *hidden { comment(text) } else { text }).collect();
            let expected = expected.replace(r#"{"prompt_tokens":3}"#, "null");
            let (passed, facts) = passed(&pieces(stream.as_bytes(), &cuts));
            prop_assert_eq!(String::from_utf8(passed.concat()).unwrap(), expected);
            let mut unhidden = observer();
            unhidden.push(stream.as_bytes());
            prop_assert_eq!(facts, unhidden.finish(true), "and the router knows as much");
        }

        #[test]
        fn chunks_do_not_matter_whatever_the_bytes(
            words in prop::collection::vec(prop_oneof![
                Just("data: "), Just("data"), Just("id"), Just(":"), Just(" "), Just("\n"), Just("\n\n"), Just("\r"), Just("\r\n"),
                Just(USAGE), Just(PIECE), Just("[DONE]"), Just("{"), Just("}"), Just("["), Just("]"), Just("\""),
                Just("\"choices\":[]"), Just("\"usage\":{}"), Just("\"usage\":{"), Just("\"choices\":[{}]"), Just(","), Just("\\"), Just("é"), Just("\"error\":1"),
            ], 0..24),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let stream = words.concat();
            let (all, facts) = passed(&[stream.as_bytes()]);
            let (cut, cut_facts) = passed(&pieces(stream.as_bytes(), &cuts));
            prop_assert_eq!(String::from_utf8(cut.concat()).unwrap(), String::from_utf8(all.concat()).unwrap());
            prop_assert_eq!(cut_facts, facts);
        }
    }
}
