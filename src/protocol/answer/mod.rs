//! What an answer says, watched as it passes.
//!
//! An [`Observer`] sees each chunk once, in any chunking, and keeps some hundred bytes of state: nothing is held back,
//! nothing is buffered. So an event of any length is watched to its end, which matters:
//! `response.completed` repeats the whole answer before the usage, and Perplexity's chunks repeat their search results.

mod class;
mod cut;
mod fields;
mod form;
mod scan;
mod sse;
mod text;
mod usage;
mod value;
mod verdict;
mod word;

use crate::domain::{Api, Tokens, Usage};
use class::Claim;
use cut::Cut;
use form::{Beginning, Expected, Guess, Hint, is_marked};
use scan::Scanner;
use sse::EventStream;
use text::Total;
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
    /// The tokens it cost, if it said so. A half of no tokens was not said.
    pub usage: Option<Usage>,
    /// What both halves are together, where no more than that was said.
    pub undivided: Tokens,
    /// The error inside an answer that began as a success, if there was one.
    pub in_band_error: Option<InBandError>,
    /// Whether the backend says itself that no model wrote this answer: a stock sentence stands in for one.
    pub fallback: bool,
    /// What the body looked like, told by its first bytes.
    pub form: Form,
    /// How it ended.
    pub end: StreamEnd,
    /// Events of a stream that carried a piece of the answer. 0 for an answer in one piece.
    pub content_events: u64,
    /// How much text it has; none for one that is not watched.
    pub text: Option<Text>,
}

/// How much of an answer is text: what a model wrote, without the JSON around it, whether it comes in pieces or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    /// Bytes of UTF-8, about four a token.
    pub bytes: u64,
    /// Events that carried a piece with no text in it: encrypted reasoning, sound.
    pub wordless_events: u64,
}

/// Watches one answer.
#[derive(Debug)]
pub struct Observer {
    kind: Kind,
    seen: Seen,
    api: Api,
    /// What takes an event out, if one is to be taken out.
    cut: Option<Box<Cut>>,
}

#[derive(Debug)]
enum Kind {
    /// Not known yet: nothing but space has come, or too little.
    Beginning(Beginning),
    /// One JSON value; or several, if that is what follows.
    Json { value: Scanner, several: bool },
    /// A JSON value a line.
    Lines(Scanner),
    /// Server-sent events.
    Events(EventStream),
    /// Not watched any further.
    Unread(Form),
}

/// What has been seen so far, in whichever form it came.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen, each by itself")]
struct Seen {
    usage: Counts,
    /// The first error.
    error: Option<Claim>,
    /// A status that says that the answer failed.
    failed: Option<Claim>,
    /// What a service says that cannot answer, whether it can be nothing else, and whether there is such a thing at all.
    complaint: Claim,
    complained: bool,
    remarked: bool,
    /// A sentence stands in for an answer.
    fallback: bool,
    /// The last mark, or what does for one.
    finished: bool,
    /// Ollama says that more will come.
    undone: bool,
    /// An answer, or why there is none.
    substance: bool,
    /// An answer that is being made elsewhere.
    pending: bool,
    /// Fields in which the known APIs answer, and others.
    known: bool,
    alien: bool,
    content_events: u64,
    text: Total,
    /// Words whose class was looked up.
    looked_up: u8,
}

/// The most words whose class is looked up in an answer: a real error has three, but a body may be made of nothing else,
/// and each takes as long as a hundred bytes.
const MOST_LOOKED_UP: u8 = 32;

impl Seen {
    fn may_look_up(&mut self) -> bool {
        let may = self.looked_up < MOST_LOOKED_UP;
        self.looked_up = self.looked_up.saturating_add(1);
        may
    }

    fn fail(&mut self, claim: Claim) {
        self.error.get_or_insert(claim);
    }
}

impl Observer {
    /// An observer for an answer with that status and that content type, if it says one.
    ///
    /// Answers other than 2xx are not watched: their status says what there is to say. Neither is one with a
    /// `content-encoding`, which cannot be read as it passes: that is for [`unread`](Self::unread).
    pub fn new(api: Api, status: u16, content_type: Option<&[u8]>) -> Self {
        if !(200..300).contains(&status) {
            return Self::unread(api);
        }
        let kind = match Hint::of(content_type) {
            Hint::Media => Kind::unread(Form::Other, api),
            hint => Kind::Beginning(Beginning::new(hint)),
        };
        Self { kind, seen: Seen::default(), api, cut: None }
    }

    /// One that watches nothing.
    pub fn unread(api: Api) -> Self {
        Self { kind: Kind::Unread(Form::Unwatched), seen: Seen::default(), api, cut: None }
    }

    /// Takes the event with the usage out of a stream of events from here on, for a client that did not ask for it: see
    /// [`passing`](Self::passing). Says whether it may be one.
    pub fn hide_usage(&mut self) -> bool {
        let is_stream = match &self.kind {
            Kind::Beginning(beginning) => matches!(beginning.hint, Hint::Events | Hint::Anything),
            Kind::Events(_) => true,
            Kind::Json { .. } | Kind::Lines(_) | Kind::Unread(_) => false,
        };
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
        !matches!(self.kind, Kind::Unread(_))
    }

    /// Takes the next chunk. Says whether it brought the first piece of a streamed answer: the moment for the time to
    /// the first token. Always `false` for an answer in one piece.
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        let before = self.pieces();
        let rest = self.begin(chunk);
        if let (Some(cut), false) = (&mut self.cut, matches!(self.kind, Kind::Events(_))) {
            cut.skip(rest);
        }
        self.take(rest);
        before == 0 && self.pieces() > 0
    }

    /// Takes what is needed of a chunk to know what the body is. Returns the rest.
    fn begin<'b>(&mut self, chunk: &'b [u8]) -> &'b [u8] {
        let Kind::Beginning(beginning) = &mut self.kind else { return chunk };
        for (at, &byte) in chunk.iter().enumerate() {
            let guess = beginning.push(byte);
            let begins = beginning.pending();
            if guess == Guess::Undecided {
                if let Some(cut) = &mut self.cut {
                    cut.wait(byte, !begins.is_empty());
                }
                continue;
            }
            self.decide(guess);
            return chunk.get(at + 1..).unwrap_or_default();
        }
        &[]
    }

    /// The body is of that kind.
    fn decide(&mut self, guess: Guess) {
        let kind = match guess {
            Guess::Undecided => return,
            Guess::Json => Kind::Json { value: Scanner::default(), several: false },
            Guess::Lines => Kind::Lines(Scanner::default()),
            Guess::Events => Kind::Events(EventStream::default()),
            Guess::Html => Kind::Unread(Form::Html),
            Guess::Compressed => Kind::Unread(Form::Unwatched),
            Guess::Other => Kind::unread(Form::Other, self.api),
        };
        if let Kind::Beginning(beginning) = std::mem::replace(&mut self.kind, kind) {
            if let Some(cut) = &mut self.cut {
                cut.resume(beginning.pending(), matches!(self.kind, Kind::Events(_)));
            }
            self.take(beginning.pending());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        match &mut self.kind {
            Kind::Json { value, several } => {
                *several |= all(value, bytes, &mut self.seen);
            }
            Kind::Lines(value) => {
                for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                    all(value, line, &mut self.seen);
                    if line.ends_with(b"\n") {
                        value.reset(&mut self.seen);
                    }
                }
            }
            Kind::Events(events) => match &mut self.cut {
                None => events.push(bytes, &mut self.seen),
                Some(cut) => cut.push(bytes, events, &mut self.seen),
            },
            Kind::Beginning(_) | Kind::Unread(_) => {}
        }
    }

    /// Whether the answer comes in pieces.
    const fn is_streamed(&self) -> bool {
        matches!(self.kind, Kind::Lines(_) | Kind::Events(_) | Kind::Json { several: true, .. })
    }

    const fn pieces(&self) -> u64 {
        if self.is_streamed() { self.seen.content_events } else { 0 }
    }

    fn text(&self) -> Option<Text> {
        match self.kind {
            Kind::Beginning(_) | Kind::Unread(_) => None,
            Kind::Json { .. } | Kind::Lines(_) | Kind::Events(_) => {
                let Seen { text, known, content_events, .. } = &self.seen;
                let is_foreign = !known && *content_events == 0;
                let wordless_events = if self.is_streamed() { text.wordless() } else { 0 };
                Some(Text { bytes: text.bytes(is_foreign), wordless_events })
            }
        }
    }

    /// Ends the answer; `end_of_stream` says whether its body came to its regular end.
    #[must_use]
    pub fn finish(&mut self, end_of_stream: bool) -> AnswerFacts {
        if let Kind::Beginning(beginning) = &self.kind {
            let guess = beginning.end();
            self.cut = None;
            self.decide(guess);
        }
        let is_lenient = Expected::of(self.api) == Expected::Anything;
        let seen = &mut self.seen;
        let (form, end) = match &mut self.kind {
            Kind::Beginning(_) if is_lenient && end_of_stream => (Form::Unwatched, StreamEnd::Unknown),
            Kind::Beginning(_) => (Form::Unwatched, StreamEnd::Truncated),
            Kind::Json { value, several } => {
                let whole = if *several { end_of_stream && !value.is_open() } else { value.is_complete() };
                value.reset(seen);
                (if *several { Form::Lines } else { Form::Json }, complete_if(whole && !seen.is_undone()))
            }
            Kind::Lines(value) => {
                let whole = end_of_stream && !value.is_open();
                value.reset(seen);
                (Form::Lines, complete_if(whole && !seen.is_undone()))
            }
            Kind::Events(events) => match events.finish(seen) {
                false => (Form::Other, if end_of_stream { StreamEnd::Unknown } else { StreamEnd::Truncated }),
                true if seen.finished || seen.error.is_some() => (Form::Events, StreamEnd::Complete),
                true if is_marked(self.api) || !end_of_stream => (Form::Events, StreamEnd::Truncated),
                true => (Form::Events, StreamEnd::Unknown),
            },
            Kind::Unread(form) => (*form, StreamEnd::Unknown),
        };
        let reported = self.seen.usage.reported(self.api == Api::Embeddings);
        AnswerFacts {
            in_band_error: self.error(form, reported.is_some(), end_of_stream).map(InBandError::of),
            usage: reported.map(|reported| reported.usage),
            undivided: reported.map_or(Tokens(0), |reported| reported.undivided),
            fallback: self.seen.fallback,
            form,
            end,
            content_events: self.pieces(),
            text: self.text(),
        }
    }

    /// The error inside, if there is one: what says so itself, or, where a model was asked, an answer with nothing in it.
    fn error(&self, form: Form, has_usage: bool, end_of_stream: bool) -> Option<Claim> {
        let seen = &self.seen;
        let unread = matches!(self.kind, Kind::Unread(_)) || form == Form::Other;
        if seen.error.is_some() || unread || Expected::of(self.api) != Expected::Answer {
            return seen.error;
        }
        let is_made_elsewhere = seen.pending && !self.is_streamed();
        let has_answer = seen.substance || seen.content_events > 0 || has_usage || is_made_elsewhere;
        // Of a failed response, what there was of it does not count.
        if let Some(claim) = seen.failed
            && (!has_answer || matches!(self.api, Api::Responses | Api::Agent))
        {
            return Some(claim);
        }
        if has_answer {
            return None;
        }
        let is_remark = seen.remarked && (!seen.alien || seen.complaint.status().is_some());
        if seen.complained || is_remark {
            return Some(seen.complaint);
        }
        // What is of no known form may be an answer even so.
        let is_over = end_of_stream || seen.finished;
        (is_over && (seen.known || !seen.alien)).then_some(Claim::EMPTY)
    }
}

impl Seen {
    /// Whether Ollama's last line is missing.
    const fn is_undone(&self) -> bool {
        self.undone && !self.finished && self.error.is_none()
    }
}

impl Kind {
    /// A body that nobody can read: is it none of its API's?
    const fn unread(form: Form, api: Api) -> Self {
        Self::Unread(match Expected::of(api) {
            Expected::Anything => Form::Unwatched,
            Expected::Answer | Expected::Json => form,
        })
    }
}

/// Takes bytes of JSON values, one after the other. Says whether one followed another.
fn all(value: &mut Scanner, bytes: &[u8], seen: &mut Seen) -> bool {
    let mut several = false;
    let mut rest = value.push(bytes, seen);
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return several,
            Some(b'{' | b'[') => several = true,
            Some(_) => {
                value.trail();
                return several;
            }
        }
        value.reset(seen);
        rest = value.push(rest, seen);
    }
}

fn complete_if(complete: bool) -> StreamEnd {
    if complete { StreamEnd::Complete } else { StreamEnd::Truncated }
}

#[cfg(test)]
mod tests;
