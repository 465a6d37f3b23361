//! What an answer says, watched as it passes.
//!
//! An [`Observer`] sees each chunk once, in any chunking, and keeps some hundred bytes of state: nothing is held back,
//! nothing is buffered but the object with the usage. So an event of any length is watched to its end, which matters:
//! `response.completed` repeats the whole answer before the usage, and Perplexity's chunks repeat their search results.

mod cut;
mod scan;
mod sse;
mod usage;
mod verdict;
mod word;

use crate::domain::{Api, Usage};
use cut::Cut;
use scan::Scanner;
use sse::EventStream;
use usage::Counts;
pub use verdict::{Form, InBandError};

/// How an answer's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// Where the backend meant it to end, be it with an error of its own.
    Complete,
    /// Before that: the JSON is open, or the stream's last mark is missing. Who cut it, Envoy knows.
    Truncated,
    /// The body is of a kind, or in a coding, that says nothing of its end.
    Unknown,
}

/// What an answer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFacts {
    /// The tokens it cost, if it said so.
    pub usage: Option<Usage>,
    /// The error inside an answer that began as a success, if there was one.
    pub in_band_error: Option<InBandError>,
    /// Whether the backend says itself that no model wrote this answer: a stock sentence stands in for one.
    pub fallback: bool,
    /// What the body looked like, told by its first bytes.
    pub form: Form,
    /// How it ended.
    pub end: StreamEnd,
    /// Events of a stream that carried a piece of the answer: about a token each, where there is no usage. 0 for an
    /// answer in one piece.
    pub content_events: u64,
    /// Bytes of text in these pieces, about four a token; none for an answer in one piece, or one that is not watched.
    pub content_bytes: Option<u64>,
}

/// Watches one answer.
#[derive(Debug)]
pub struct Observer {
    kind: Kind,
    seen: Seen,
    /// Whether a stream of this API is known to have a last mark.
    marked: bool,
    /// What takes an event out, if one is to be taken out.
    cut: Option<Box<Cut>>,
}

#[derive(Debug)]
enum Kind {
    /// One JSON value.
    Json(Scanner),
    /// A JSON value a line.
    Lines(Scanner),
    /// Server-sent events.
    Events(EventStream),
    /// Not watched.
    Ignored,
}

/// What has been seen so far, in whichever form it came.
#[derive(Debug, Default)]
struct Seen {
    usage: Counts,
    error: bool,
    /// The last mark, or what does for one.
    finished: bool,
    content_events: u64,
    content_bytes: u64,
}

impl Observer {
    /// An observer for an answer with that status and those headers' values.
    ///
    /// Answers other than 2xx are not watched: their status says what there is to say. Neither are those without a
    /// content type that carries JSON. An answer with a `content-encoding` cannot be read as it passes: give `None` as
    /// its content type.
    pub fn new(api: Api, status: u16, content_type: Option<&[u8]>) -> Self {
        let kind = match content_type {
            Some(value) if (200..300).contains(&status) => Kind::of(value),
            _ => Kind::Ignored,
        };
        let marked = matches!(api, Api::ChatCompletions | Api::Responses | Api::Completions | Api::Messages);
        Self { kind, seen: Seen::default(), marked, cut: None }
    }

    /// Takes the event with the usage out of a stream of events from here on, for a client that did not ask for it: see
    /// [`passing`](Self::passing). Says whether it is one.
    pub fn hide_usage(&mut self) -> bool {
        let is_stream = matches!(self.kind, Kind::Events(_));
        self.cut = is_stream.then(Box::default);
        is_stream
    }

    /// What is to pass in the place of the chunk that was pushed last, or of none; nothing if that may pass as it is.
    /// With `end_of_stream` there will be no other.
    pub fn passing(&mut self, end_of_stream: bool) -> Option<Vec<u8>> {
        self.cut.as_mut()?.passing(end_of_stream)
    }

    /// Whether it watches at all: if not, chunks need not be brought here.
    pub const fn is_watching(&self) -> bool {
        !matches!(self.kind, Kind::Ignored)
    }

    /// Takes the next chunk. Says whether it brought the first piece of a streamed answer: the moment for the time to
    /// the first token. Always `false` for an answer in one piece.
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        let before = self.seen.content_events;
        match &mut self.kind {
            Kind::Json(scanner) => scanner.push(chunk, &mut self.seen),
            Kind::Lines(scanner) => {
                for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
                    scanner.push(piece, &mut self.seen);
                    if piece.ends_with(b"\n") {
                        scanner.reset();
                    }
                }
            }
            Kind::Events(events) => match &mut self.cut {
                None => events.push(chunk, &mut self.seen),
                Some(cut) => cut.push(chunk, events, &mut self.seen),
            },
            Kind::Ignored => {}
        }
        before == 0 && self.seen.content_events > 0
    }

    const fn form(&self) -> Form {
        match self.kind {
            Kind::Json(_) => Form::Json,
            Kind::Lines(_) => Form::Lines,
            Kind::Events(_) => Form::Events,
            Kind::Ignored => Form::Unwatched,
        }
    }

    /// Ends the answer; `end_of_stream` says whether its body came to its regular end.
    #[must_use]
    pub fn finish(&mut self, end_of_stream: bool) -> AnswerFacts {
        let end = match &mut self.kind {
            Kind::Json(scanner) if scanner.is_foreign() => StreamEnd::Unknown,
            Kind::Json(scanner) => complete_if(scanner.is_complete()),
            Kind::Lines(scanner) => complete_if(end_of_stream && !scanner.is_open()),
            Kind::Events(events) => {
                let understood = events.finish(&mut self.seen);
                match (self.seen.finished || self.seen.error, understood, self.marked) {
                    (true, ..) => StreamEnd::Complete,
                    (false, true, true) => StreamEnd::Truncated,
                    (false, ..) if !end_of_stream => StreamEnd::Truncated,
                    (false, ..) => StreamEnd::Unknown,
                }
            }
            Kind::Ignored => StreamEnd::Unknown,
        };
        let streamed = !matches!(self.kind, Kind::Json(_));
        let watched = streamed && self.is_watching();
        AnswerFacts {
            usage: self.seen.usage.normalised(),
            in_band_error: self.seen.error.then_some(InBandError::UNKNOWN),
            fallback: false,
            form: self.form(),
            end,
            content_events: if streamed { self.seen.content_events } else { 0 },
            content_bytes: watched.then_some(self.seen.content_bytes),
        }
    }
}

impl Kind {
    fn of(content_type: &[u8]) -> Self {
        let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        if is("text/event-stream") {
            Self::Events(EventStream::default())
        } else if is("application/x-ndjson") || is("application/ndjson") || is("application/jsonl") {
            Self::Lines(Scanner::default())
        } else if is("application/json") {
            Self::Json(Scanner::whole())
        } else {
            Self::Ignored
        }
    }
}

fn complete_if(complete: bool) -> StreamEnd {
    if complete { StreamEnd::Complete } else { StreamEnd::Truncated }
}

#[cfg(test)]
mod tests;
