//! Server-sent events (WHATWG HTML, "Interpreting an event stream"), as they arrive.

use memchr::memchr2;

use super::Seen;
use super::cut::Judged;
use super::scan::Scanner;
use super::word::Word;

/// A stream of events, each a JSON value.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen, each by itself")]
pub(super) struct EventStream {
    line: Line,
    /// The field's name, or the beginning of its value.
    word: Word,
    /// The last byte ended a line with CR: an LF now belongs to it.
    after_cr: bool,
    /// Whether anything but ends of lines has come, and whether a field of an event was in it.
    any: bool,
    understood: bool,
    /// Whether the event is one of an error, by its name.
    failed: bool,
    /// The value of the event's `data`.
    data: Scanner,
}

/// Where in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    /// In the field's name.
    #[default]
    Name,
    /// After the colon, where one space may follow.
    Colon(Field),
    /// In its value.
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    /// `id`, `retry`, a comment.
    Other,
    /// None that there is.
    Unknown,
}

impl EventStream {
    pub(super) fn push(&mut self, chunk: &[u8], seen: &mut Seen) {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = false;
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (piece, after) = rest.split_at(end);
            self.piece(piece, seen);
            self.end_line(seen);
            rest = match after {
                [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => after,
                [_, after @ ..] => {
                    self.after_cr = after.is_empty();
                    after
                }
                [] => after,
            };
        }
        self.piece(rest, seen);
    }

    /// Whether an event may begin with the next line.
    pub(super) fn is_between(&self) -> bool {
        !self.data.is_open()
    }

    /// Whether the last byte belongs to the usage of the event, or opens it.
    pub(super) const fn is_in_usage(&self) -> bool {
        self.data.is_in_usage()
    }

    /// What the event under way is.
    pub(super) fn judged(&self) -> Judged {
        match self.line {
            // It may be the line of another one.
            Line::Name | Line::Colon(_) if self.data.is_complete() => Judged::Undecided,
            _ if self.failed => Judged::Other,
            _ => self.data.judged(),
        }
    }

    /// Ends the stream. Says whether it was one of events as far as can be said: nothing at all is, too.
    pub(super) fn finish(&mut self, seen: &mut Seen) -> bool {
        // The last line, and the blank one after it, are often missing.
        self.end_line(seen);
        self.next(seen);
        self.understood || !self.any
    }

    /// A piece of a line.
    fn piece(&mut self, piece: &[u8], seen: &mut Seen) {
        let Some(&first) = piece.first() else { return };
        self.any = true;
        match self.line {
            Line::Name => match memchr::memchr(b':', piece) {
                Some(colon) => {
                    let (name, value) = piece.split_at(colon);
                    self.word.push(name);
                    let field = self.field();
                    self.understood |= field != Field::Unknown;
                    self.word = Word::default();
                    self.line = Line::Colon(field);
                    self.piece(value.get(1..).unwrap_or_default(), seen);
                }
                None => self.word.push(piece),
            },
            Line::Colon(field) => {
                self.line = Line::Value(field);
                // Lines without a blank one between them should be one event. Some servers forget the blank line; a
                // value that is complete cannot go on, so the next line begins another.
                if field == Field::Data && self.data.is_complete() {
                    self.next(seen);
                }
                let value = if first == b' ' { piece.get(1..).unwrap_or_default() } else { piece };
                self.piece(value, seen);
            }
            Line::Value(Field::Data) => {
                self.word.push(piece);
                let _ = self.data.push(piece, seen);
            }
            Line::Value(Field::Event) => self.word.push(piece),
            Line::Value(Field::Other | Field::Unknown) => {}
        }
    }

    /// The field of the name that was read; a byte order mark may stand before the first.
    fn field(&self) -> Field {
        let name = self.word.get();
        match name.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(name) {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"id" | b"retry" => Field::Other,
            _ if self.word.is_empty() => Field::Other,
            _ => Field::Unknown,
        }
    }

    /// The value of an event is over. The event's name says that it is an error, the value of which class.
    fn next(&mut self, seen: &mut Seen) {
        if !self.failed {
            self.data.reset(seen);
        } else if seen.error.is_none() {
            let claim = self.data.claim();
            self.data.reset(seen);
            seen.fail(claim);
        }
    }

    fn end_line(&mut self, seen: &mut Seen) {
        match self.line {
            Line::Name if self.word.is_empty() => {
                self.next(seen);
                self.failed = false;
            }
            Line::Value(Field::Data) if self.word.get().trim_ascii() == b"[DONE]" => seen.finished = true,
            Line::Value(Field::Data) => {
                let _ = self.data.push(b"\n", seen);
            }
            Line::Value(Field::Event) => {
                self.failed |=
                    matches!(self.word.get().trim_ascii(), b"error" | b"response.failed" | b"thread.run.failed");
            }
            _ => {}
        }
        self.word = Word::default();
        self.line = Line::Name;
    }
}
