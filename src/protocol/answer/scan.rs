//! A scanner over JSON that arrives in pieces. It knows where it is only as far as something of interest can be there,
//! counts brackets elsewhere, and keeps of the bytes no more than a word.
//!
//! It does not validate: what is no JSON leads nowhere, but to no harm either. What the values mean is in
//! [`fields`](super::fields), what they amount to in [`value`](super::value).

use memchr::memchr2;

use super::Seen;
use super::class::Claim;
use super::cut::Judged;
use super::fields::{Meaning, Place};
use super::value::{Shape, Value};
use super::word::Word;

/// How deep the places that matter nest: Gemini's list of bodies, a body, `candidates`, one of them, its `content`,
/// `parts`, one of these; and an error with what is inside it.
const PLACES: usize = 12;

/// One JSON value under way.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// The containers that matter and are open, the innermost last.
    places: [Place; PLACES],
    open: usize,
    /// Containers open inside one that does not matter, and what it means if anything is in it.
    skipped: u64,
    watch: Meaning,
    /// In an object: whether the next string is a key.
    key_next: bool,
    /// What the next value is.
    meaning: Meaning,
    /// The key, or the short value, that was read last.
    word: Word,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Fresh,
    /// Between strings.
    Between,
    /// In a string of that meaning.
    String(Meaning),
    /// In a string, after a backslash.
    Escaped(Meaning),
    /// In a number, or a word such as `true`, of that meaning.
    Scalar(Meaning),
    /// Closed.
    Complete,
    /// Closed, and something follows that is no value.
    Trailed,
    /// Never was JSON.
    Foreign,
}

impl Meaning {
    /// Whether a string is read for what it says, rather than for whether there is one.
    const fn is_word(self) -> bool {
        !matches!(self, Self::Nothing | Self::Alien | Self::Content | Self::Text | Self::Response | Self::Substance)
    }

    /// Whether a number or a word such as `true` means anything.
    const fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::Error | Self::Class | Self::Inside | Self::Complaint | Self::Beside | Self::Status | Self::Success
        ) || matches!(self, Self::Generated | Self::Done | Self::Count(_) | Self::Alien | Self::Substance)
    }

    /// What stands in a list of bodies and is none, is of another dialect.
    fn of_none_of_the_bodies(self) -> Self {
        if self == Self::Enter(Place::Body) { Self::Alien } else { self }
    }

    /// Whether a body that has such a field is one of the APIs that are known, be it empty.
    const fn is_answer(self) -> bool {
        matches!(self, Self::Substance | Self::Content | Self::Response | Self::Done | Self::Stop | Self::Generated)
            || matches!(self, Self::Enter(Place::Choices))
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            state: State::Fresh,
            places: [Place::Body; PLACES],
            open: 0,
            skipped: 0,
            watch: Meaning::Nothing,
            key_next: false,
            meaning: Meaning::Nothing,
            word: Word::default(),
            value: Value::default(),
        }
    }
}

impl Scanner {
    /// Ready for the next value: this one does not go on.
    pub(super) fn reset(&mut self, seen: &mut Seen) {
        if self.state != State::Fresh {
            self.value.close(seen);
            *self = Self::default();
        }
    }

    /// Whether the value was seen to its end.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete | State::Trailed)
    }

    /// What follows its end is no value: nothing more is read.
    pub(super) fn trail(&mut self) {
        self.state = State::Trailed;
    }

    /// Whether it began and has not ended.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Fresh | State::Complete | State::Trailed)
    }

    /// What an error in the value is, or would be.
    pub(super) fn claim(&self) -> Claim {
        self.value.claim()
    }

    /// What it is as an event of a stream.
    pub(super) fn judged(&self) -> Judged {
        let shape = &self.value.shape;
        match self.state {
            State::Fresh => Judged::Undecided,
            // A list of bodies is nobody's last chunk.
            _ if self.places.first() == Some(&Place::Bodies) => Judged::Other,
            State::Complete if *shape == Shape::USAGE => Judged::Usage,
            State::Complete | State::Trailed | State::Foreign => Judged::Other,
            _ if shape.chosen || self.open == 0 => Judged::Other,
            _ => Judged::Undecided,
        }
    }

    /// Takes the next bytes of the value. Returns those behind its end.
    pub(super) fn push<'b>(&mut self, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::String(what) => self.string(what, rest, seen),
                State::Escaped(what) => {
                    self.state = State::String(what);
                    rest.get(1..).unwrap_or_default()
                }
                State::Scalar(what) => self.scalar(what, rest, seen),
                State::Fresh | State::Between if self.skipped > 0 => self.skip(rest, seen),
                State::Fresh | State::Between => {
                    let Some((&byte, after)) = rest.split_first() else { return rest };
                    self.step(byte, seen);
                    after
                }
                State::Complete => return rest,
                State::Trailed | State::Foreign => return &[],
            };
        }
        rest
    }

    /// In a string: to its end, or to a backslash.
    fn string<'b>(&mut self, what: Meaning, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        let end = memchr2(b'"', b'\\', bytes);
        let (piece, after) = bytes.split_at(end.unwrap_or(bytes.len()));
        if !piece.is_empty() || after.first() == Some(&b'\\') {
            self.value.filled(what, seen);
        }
        if what.is_word() {
            self.word.push(piece);
        } else if matches!(what, Meaning::Content | Meaning::Text | Meaning::Response) {
            seen.content_bytes = seen.content_bytes.saturating_add(piece.len() as u64);
            if what == Meaning::Response {
                self.value.response(piece);
            }
        }
        let Some((&byte, after)) = after.split_first() else { return after };
        if byte == b'\\' {
            // No key and no word of interest is written with escapes.
            self.word.spoil();
            self.state = State::Escaped(what);
            return after;
        }
        self.state = State::Between;
        if what.is_word() {
            self.aim(what);
            self.value.string(what, &self.word, seen);
        }
        if self.open == 0 && self.skipped == 0 {
            self.complete(seen);
        }
        after
    }

    /// In a number or a word: to what ends it, which is not part of it.
    fn scalar<'b>(&mut self, what: Meaning, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        let end = bytes.iter().position(ends);
        let (piece, after) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.word.push(piece);
        if end.is_some() {
            self.aim(what);
            self.value.scalar(what, self.word.get(), seen);
            self.state = State::Between;
        }
        after
    }

    /// In a container that does not matter: to its end, or to a string.
    fn skip<'b>(&mut self, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                b'}' | b']' => self.skipped -= 1,
                b'"' => {
                    self.found(seen);
                    self.state = State::String(Meaning::Nothing);
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' => continue,
                _ => {
                    self.found(seen);
                    continue;
                }
            }
            if byte == b'"' || self.skipped == 0 {
                if self.skipped == 0 {
                    self.left(seen);
                }
                return bytes.get(at + 1..).unwrap_or_default();
            }
        }
        &[]
    }

    /// Something is in a container that is not looked into.
    fn found(&mut self, seen: &mut Seen) {
        match std::mem::replace(&mut self.watch, Meaning::Nothing) {
            Meaning::Nothing => {}
            Meaning::Error | Meaning::Class | Meaning::Inside | Meaning::Complaint => self.value.raise(),
            watch => self.value.filled(watch, seen),
        }
    }

    /// A container that was skipped is closed.
    fn left(&mut self, seen: &mut Seen) {
        self.watch = Meaning::Nothing;
        if self.open == 0 {
            self.complete(seen);
        }
    }

    fn complete(&mut self, seen: &mut Seen) {
        self.state = State::Complete;
        self.value.close(seen);
    }

    /// A byte between strings, in a place that matters.
    fn step(&mut self, byte: u8, seen: &mut Seen) {
        if self.state == State::Fresh {
            self.state = match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b'\x1e' => State::Fresh,
                b'{' | b'[' => State::Between,
                b'"' => {
                    // A text is an answer of some dialect.
                    self.meaning = Meaning::Alien;
                    State::Between
                }
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
                self.state = State::String(Meaning::Key);
            }
            b':' => {
                self.key_next = false;
                let place = self.place();
                self.meaning = place.map_or(Meaning::Nothing, |place| place.field(self.word.get()));
                seen.known |= self.meaning.is_answer() && place == Some(Place::Body);
            }
            b',' => self.await_next(),
            b'{' | b'[' => self.enter(byte, seen),
            b'}' | b']' => self.leave(seen),
            _ => self.begin(byte),
        }
    }

    /// The first byte of a string, a number or a word. (The others of one that means nothing come by here, too.)
    fn begin(&mut self, byte: u8) {
        let meaning = std::mem::replace(&mut self.meaning, Meaning::Nothing);
        self.value.shape.chosen |= meaning == Meaning::Enter(Place::Choice);
        let meaning = meaning.of_none_of_the_bodies();
        if byte == b'"' {
            self.word = Word::default();
            self.state = State::String(meaning);
        } else if meaning.is_scalar() {
            self.word = Word::default();
            self.word.push(&[byte]);
            self.state = State::Scalar(meaning);
        }
    }

    fn enter(&mut self, byte: u8, seen: &mut Seen) {
        let meaning = std::mem::replace(&mut self.meaning, Meaning::Nothing);
        self.value.shape.chosen |= meaning == Meaning::Enter(Place::Choice);
        let is_object = byte == b'{';
        let place = match meaning {
            _ if self.open == 0 => Some(if is_object { Place::Body } else { Place::Bodies }),
            Meaning::Enter(place) if place.is_list() != is_object => Some(place),
            Meaning::Response | Meaning::Message if is_object => Some(Place::Envelope),
            Meaning::Text if is_object => Some(Place::Piece),
            Meaning::Finish if is_object => Some(Place::Reason),
            Meaning::Usage if is_object => Some(Place::Usage),
            Meaning::Error | Meaning::Complaint => Some(if is_object { Place::Fault } else { Place::Faults }),
            Meaning::Class | Meaning::Inside => Some(if is_object { Place::Inner } else { Place::Inners }),
            _ => None,
        };
        self.aim(meaning);
        if let Some((place, slot)) = place.zip(self.places.get_mut(self.open)) {
            if place == Place::Usage {
                seen.usage.begin();
                self.value.shape.reported |= self.open == 1;
            }
            *slot = place;
            self.open += 1;
            self.value.shape.listed |= place == Place::Choices;
            self.await_next();
            return;
        }
        self.skipped = 1;
        self.watch = meaning.of_none_of_the_bodies();
    }

    fn aim(&mut self, meaning: Meaning) {
        let is_nested = matches!(self.place(), Some(Place::Fault | Place::Faults | Place::Inner | Place::Inners));
        self.value.aim(meaning, is_nested);
    }

    fn leave(&mut self, seen: &mut Seen) {
        self.key_next = false;
        self.meaning = Meaning::Nothing;
        self.open = self.open.saturating_sub(1);
        match self.open {
            0 => self.complete(seen),
            // Each of a list of bodies is one of its own.
            1 if self.places.first() == Some(&Place::Bodies) => {
                self.value.close(seen);
                self.value = Value::default();
            }
            _ => {}
        }
    }

    /// A new member or element begins.
    fn await_next(&mut self) {
        let place = self.place();
        self.key_next = !place.is_some_and(Place::is_list);
        self.meaning = place.map_or(Meaning::Nothing, Place::element);
    }

    fn place(&self) -> Option<Place> {
        self.places.get(self.open.checked_sub(1)?).copied()
    }
}
