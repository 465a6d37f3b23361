//! A scanner over JSON that arrives in pieces. It knows where it is only as far as something of interest can be there,
//! counts brackets elsewhere, and keeps of the bytes no more than a key and a usage object.
//!
//! It does not validate: what is no JSON leads nowhere, but to no harm either.

use memchr::memchr2;

use super::Seen;
use super::cut::Judged;
use super::word::Word;

/// The largest usage object that is kept; real ones have some 600 bytes.
const USAGE_BYTES: usize = 4096;

/// How deep the places that matter nest: Gemini's list of bodies, a body, `candidates`, one of them, its `content`,
/// `parts`, one of these.
const PLACES: usize = 7;

/// One JSON value under way.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// The containers that matter and are open, the innermost last.
    places: [Place; PLACES],
    open: usize,
    /// Containers open inside one that does not matter.
    skipped: u64,
    /// In an object: whether the next string is a key.
    key_next: bool,
    /// What the next value is.
    meaning: Meaning,
    /// The key, or the value of `type`, that was read last.
    word: Word,
    usage: Option<Vec<u8>>,
    /// What it has of a chunk's members so far.
    shape: Shape,
    /// Whether a piece of the answer has been counted for this value.
    counted: bool,
    /// Whether this is one event of a stream; an answer in one piece has no pieces to count.
    event: bool,
}

/// What a chunk of a stream is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shape {
    /// It has a list of choices,
    listed: bool,
    /// and something is in it.
    chosen: bool,
    /// It has a usage of its own.
    reported: bool,
}

impl Shape {
    /// That of the last chunk, where the usage is asked for.
    const USAGE: Self = Self { listed: true, chosen: false, reported: true };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Fresh,
    /// Between strings.
    Between,
    /// In a string of that use.
    String(Use),
    /// In a string, after a backslash.
    Escaped(Use),
    /// Closed.
    Complete,
    /// Never was JSON.
    Foreign,
}

/// What a string is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Key,
    Type,
    /// A piece of the answer, none if it is empty.
    Content,
    /// The text of a piece that was told by its `type`.
    Text,
    Nothing,
}

/// Where something of interest can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// How Gemini streams unless it is asked for events: bodies, one after the other, in one list.
    Bodies,
    Body,
    /// Anthropic's `message`, `OpenAI`'s `response`, Groq's `x_groq`: an envelope around a body's own fields.
    Envelope,
    Choices,
    Choice,
    /// What it adds to the answer; for Gemini its `content`.
    Delta,
    /// Gemini's pieces of that.
    Parts,
    Part,
    /// The tool calls of a delta; some servers send an empty list with every one.
    Calls,
    /// What Anthropic's events carry.
    Piece,
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Usage,
    Error,
    Type,
    /// Why the answer ended.
    Finish,
    /// A piece of the answer.
    Content,
    /// Its text, where the event is told by its `type`: in an object or as it is.
    Text,
    /// `OpenAI`'s envelope, or the text of `LightRAG`.
    Response,
    Enter(Place),
}

impl Place {
    const fn is_list(self) -> bool {
        matches!(self, Self::Bodies | Self::Choices | Self::Calls | Self::Parts)
    }

    /// What the value of the field `key` means here.
    fn field(self, key: &[u8]) -> Meaning {
        match (self, key) {
            (Self::Body | Self::Envelope, b"usage" | b"usageMetadata") => Meaning::Usage,
            (Self::Body | Self::Envelope, b"error") => Meaning::Error,
            (Self::Body, b"type") => Meaning::Type,
            (Self::Body, b"response") => Meaning::Response,
            (Self::Body, b"delta") | (Self::Piece, b"text" | b"thinking" | b"partial_json") => Meaning::Text,
            (Self::Body, b"message" | b"x_groq") => Meaning::Enter(Self::Envelope),
            (Self::Body | Self::Envelope, b"choices" | b"candidates") => Meaning::Enter(Self::Choices),
            (Self::Choice, b"delta" | b"content") => Meaning::Enter(Self::Delta),
            (Self::Choice, b"finish_reason" | b"finishReason") => Meaning::Finish,
            (Self::Delta, b"tool_calls") => Meaning::Enter(Self::Calls),
            (Self::Delta, b"parts") => Meaning::Enter(Self::Parts),
            (Self::Choice, b"text")
            | (Self::Delta, b"content" | b"reasoning_content" | b"reasoning" | b"refusal")
            | (Self::Part, b"text" | b"functionCall") => Meaning::Content,
            _ => Meaning::Nothing,
        }
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            state: State::Fresh,
            places: [Place::Body; PLACES],
            open: 0,
            skipped: 0,
            key_next: false,
            meaning: Meaning::Nothing,
            word: Word::default(),
            usage: None,
            shape: Shape::default(),
            counted: false,
            event: true,
        }
    }
}

impl Scanner {
    /// For an answer in one piece.
    pub(super) fn whole() -> Self {
        Self { event: false, ..Self::default() }
    }

    /// Ready for the next value.
    pub(super) fn reset(&mut self) {
        *self = Self { event: self.event, ..Self::default() };
    }

    /// Whether the value was seen to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether it began and has not ended.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Fresh | State::Complete)
    }

    /// Whether its first byte was none that JSON begins with.
    pub(super) fn is_foreign(&self) -> bool {
        self.state == State::Foreign
    }

    /// What it is as an event of a stream.
    pub(super) fn judged(&self) -> Judged {
        match self.state {
            State::Fresh => Judged::Undecided,
            // A list of bodies is nobody's last chunk.
            _ if self.places.first() == Some(&Place::Bodies) => Judged::Other,
            State::Complete if self.shape == Shape::USAGE => Judged::Usage,
            State::Complete | State::Foreign => Judged::Other,
            _ if self.shape.chosen || self.open == 0 => Judged::Other,
            _ => Judged::Undecided,
        }
    }

    /// Takes the next bytes of the value.
    pub(super) fn push(&mut self, bytes: &[u8], seen: &mut Seen) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::String(what) => self.string(what, rest, seen),
                State::Escaped(what) => {
                    self.keep(rest.get(..1).unwrap_or_default());
                    self.state = State::String(what);
                    rest.get(1..).unwrap_or_default()
                }
                State::Fresh | State::Between if self.skipped > 0 => self.skip(rest, seen),
                State::Fresh | State::Between => {
                    let Some((&byte, after)) = rest.split_first() else { return };
                    self.step(byte, seen);
                    after
                }
                State::Complete | State::Foreign => return,
            };
        }
    }

    /// In a string: to its end, or to a backslash.
    fn string<'b>(&mut self, what: Use, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        let end = memchr2(b'"', b'\\', bytes);
        let (piece, after) = bytes.split_at(end.unwrap_or(bytes.len()));
        if !piece.is_empty() || after.first() == Some(&b'\\') {
            self.content(what == Use::Content, seen);
        }
        if matches!(what, Use::Content | Use::Text) {
            seen.content_bytes = seen.content_bytes.saturating_add(piece.len() as u64);
        }
        if matches!(what, Use::Key | Use::Type) {
            self.word.push(piece);
        }
        self.keep(piece);
        let Some((&byte, after)) = after.split_first() else { return after };
        self.keep(&[byte]);
        if byte == b'\\' {
            // No key and no type of interest is written with escapes.
            self.word.spoil();
            self.state = State::Escaped(what);
            return after;
        }
        self.state = if self.open == 0 && self.skipped == 0 { State::Complete } else { State::Between };
        if what == Use::Type {
            self.typed(seen);
        }
        after
    }

    /// In a container that does not matter, or the usage: to its end, or to a string.
    fn skip<'b>(&mut self, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                b'}' | b']' => self.skipped -= 1,
                b'"' => self.state = State::String(Use::Nothing),
                _ => continue,
            }
            if byte == b'"' || self.skipped == 0 {
                let (piece, after) = bytes.split_at(at + 1);
                self.keep(piece);
                if self.skipped == 0 {
                    self.left(seen);
                }
                return after;
            }
        }
        self.keep(bytes);
        &[]
    }

    /// A container that was skipped is closed.
    fn left(&mut self, seen: &mut Seen) {
        if let Some(usage) = self.usage.take() {
            seen.usage.add(&usage);
        }
        if self.open == 0 {
            self.state = State::Complete;
        }
    }

    /// A byte between strings, in a place that matters.
    fn step(&mut self, byte: u8, seen: &mut Seen) {
        if self.state == State::Fresh {
            self.state = match byte {
                b' ' | b'\t' | b'\r' | b'\n' => State::Fresh,
                b'{' | b'[' | b'"' => State::Between,
                // A scalar: whole with its first byte, as far as can be said.
                b't' | b'f' | b'n' | b'-' | b'0'..=b'9' => State::Complete,
                _ => State::Foreign,
            };
        }
        if self.state != State::Between {
            return;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'"' if self.key_next => {
                self.word = Word::default();
                self.state = State::String(Use::Key);
            }
            b':' => {
                self.key_next = false;
                self.meaning = self.place().map_or(Meaning::Nothing, |place| place.field(self.word.get()));
            }
            b',' => self.await_next(),
            b'{' | b'[' => self.enter(byte, seen),
            b'}' | b']' => self.leave(),
            _ => self.value(byte, seen),
        }
    }

    /// The first byte of a string, a number or a word. (The others come by here too, and mean nothing.)
    fn value(&mut self, byte: u8, seen: &mut Seen) {
        let meaning = std::mem::replace(&mut self.meaning, Meaning::Nothing);
        self.shape.chosen |= meaning == Meaning::Enter(Place::Choice);
        if meaning == Meaning::Error && !matches!(byte, b'n' | b'f') {
            seen.error = true;
        }
        if byte != b'"' {
            return;
        }
        self.word = Word::default();
        self.state = State::String(match meaning {
            Meaning::Type => Use::Type,
            Meaning::Content | Meaning::Response => Use::Content,
            Meaning::Text => Use::Text,
            _ => Use::Nothing,
        });
        if meaning == Meaning::Finish {
            seen.finished = true;
        }
    }

    fn enter(&mut self, byte: u8, seen: &mut Seen) {
        let meaning = std::mem::replace(&mut self.meaning, Meaning::Nothing);
        self.shape.chosen |= meaning == Meaning::Enter(Place::Choice);
        let place = match (meaning, byte) {
            _ if self.open == 0 => Some(if byte == b'{' { Place::Body } else { Place::Bodies }),
            (Meaning::Enter(place), _) if place.is_list() == (byte == b'[') => Some(place),
            (Meaning::Response, b'{') => Some(Place::Envelope),
            (Meaning::Text, b'{') => Some(Place::Piece),
            _ => None,
        };
        if let Some((place, slot)) = place.zip(self.places.get_mut(self.open)) {
            *slot = place;
            self.open += 1;
            self.shape.listed |= place == Place::Choices;
            self.await_next();
            return;
        }
        self.skipped = 1;
        match meaning {
            Meaning::Usage if byte == b'{' => {
                self.shape.reported |= self.open == 1;
                self.usage = Some(vec![byte]);
            }
            Meaning::Error => seen.error = true,
            Meaning::Content => self.content(true, seen),
            _ => {}
        }
    }

    fn leave(&mut self) {
        self.key_next = false;
        self.meaning = Meaning::Nothing;
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.state = State::Complete;
        }
    }

    /// A new member or element begins.
    fn await_next(&mut self) {
        let place = self.place();
        self.key_next = !place.is_some_and(Place::is_list);
        self.meaning = match place {
            Some(Place::Bodies) => Meaning::Enter(Place::Body),
            Some(Place::Choices) => Meaning::Enter(Place::Choice),
            Some(Place::Parts) => Meaning::Enter(Place::Part),
            Some(Place::Calls) => Meaning::Content,
            _ => Meaning::Nothing,
        };
    }

    fn place(&self) -> Option<Place> {
        self.places.get(self.open.checked_sub(1)?).copied()
    }

    /// The value of `type` at the top: Anthropic, `OpenAI`'s Responses and now and then Perplexity name their events by it.
    fn typed(&mut self, seen: &mut Seen) {
        match self.word.get() {
            b"error" => seen.error = true,
            b"response.failed" => {
                seen.error = true;
                seen.finished = true;
            }
            b"message_stop" | b"response.completed" | b"response.incomplete" | b"end_of_stream" => seen.finished = true,
            b"content_block_delta" => self.content(true, seen),
            name => self.content(name.starts_with(b"response.") && name.ends_with(b".delta"), seen),
        }
    }

    /// A piece of the answer, counted once an event.
    fn content(&mut self, is_content: bool, seen: &mut Seen) {
        if is_content && self.event && !self.counted {
            self.counted = true;
            seen.content_events = seen.content_events.saturating_add(1);
        }
    }

    /// Keeps bytes of the usage object; one that is too long is dropped, though still skipped to its end.
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(usage) = &mut self.usage {
            if usage.len() + bytes.len() > USAGE_BYTES {
                self.usage = None;
            } else {
                usage.extend_from_slice(bytes);
            }
        }
    }
}
