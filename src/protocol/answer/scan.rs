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
use super::text::{Escape, Meter};
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
    /// What measures the container that is skipped, if it is one with text of the answer.
    meter: Option<Meter>,
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
    /// In a text, after a backslash and `u`.
    Unicode(Meaning, Escape),
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
        self.role().is_none() && !matches!(self, Self::Nothing | Self::Substance)
    }

    /// Whether a number or a word such as `true` means anything.
    const fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::Error | Self::Class | Self::Inside | Self::Complaint | Self::Beside | Self::Status | Self::Success
        ) || matches!(self, Self::Generated | Self::Done | Self::Count(_) | Self::Alien | Self::Substance)
            || matches!(self, Self::Whole(_) | Self::Repeat)
    }

    /// What stands in a list of bodies and is none, is of another dialect.
    fn of_none_of_the_bodies(self) -> Self {
        if self == Self::Enter(Place::Body) { Self::Alien } else { self }
    }

    /// Whether a body that has such a field is one of the APIs that are known, be it empty.
    const fn is_answer(self) -> bool {
        matches!(self, Self::Substance | Self::Content | Self::Response | Self::Done | Self::Stop | Self::Generated)
            || matches!(self, Self::Enter(Place::Choices) | Self::Whole(_) | Self::Repeat)
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
            meter: None,
            value: Value::default(),
        }
    }
}

impl Scanner {
    /// Ready for the next value: this one does not go on.
    pub(super) fn reset(&mut self, seen: &mut Seen) {
        if self.state != State::Fresh {
            self.measured();
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
            _ if shape.carries || self.open == 0 => Judged::Other,
            _ => Judged::Undecided,
        }
    }

    /// Whether the last byte belongs to the usage at the top, or opens it.
    pub(super) const fn is_in_usage(&self) -> bool {
        self.open >= 2 && matches!(self.places, [Place::Body, Place::Usage, ..])
    }

    const fn is_in_choice(&self) -> bool {
        self.open >= 3 && matches!(self.places, [Place::Body, Place::Choices, Place::Choice, ..])
    }

    /// Takes the next bytes of the value. Returns those behind its end.
    pub(super) fn push<'b>(&mut self, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::String(what) => self.string(what, rest, seen),
                State::Escaped(what) => self.escaped(what, rest),
                State::Unicode(what, escape) => self.unicode(what, escape, rest),
                State::Scalar(what) => self.scalar(what, rest, seen),
                State::Fresh | State::Between if self.meter.is_some() => self.measure(rest, seen),
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
            self.value.shape.carries |= what != Meaning::Key && self.is_in_choice();
        }
        if what.is_word() {
            self.word.push(piece);
        }
        if what == Meaning::Response {
            self.value.response(piece);
        }
        self.count(what, piece.len() as u64);
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

    /// Bytes of text in a string of that meaning.
    fn count(&mut self, what: Meaning, bytes: u64) {
        if let Some(role) = what.role() {
            self.value.texts.add(role, bytes);
        } else if let (Meaning::Measured, Some(meter)) = (what, &mut self.meter) {
            meter.text(bytes);
        }
    }

    /// After a backslash: one character, or the number of one.
    fn escaped<'b>(&mut self, what: Meaning, bytes: &'b [u8]) -> &'b [u8] {
        let Some((&byte, after)) = bytes.split_first() else { return bytes };
        let is_text = what == Meaning::Measured || what.role().is_some();
        self.state = if byte == b'u' && is_text {
            State::Unicode(what, Escape::default())
        } else {
            self.count(what, 1);
            State::String(what)
        };
        after
    }

    /// In the number of a character.
    fn unicode<'b>(&mut self, what: Meaning, mut escape: Escape, bytes: &'b [u8]) -> &'b [u8] {
        let Some((&digit, after)) = bytes.split_first().filter(|(byte, _)| byte.is_ascii_hexdigit()) else {
            self.state = State::String(what);
            return bytes;
        };
        self.state = match escape.push(digit) {
            None => State::Unicode(what, escape),
            Some(length) => {
                self.count(what, length);
                State::String(what)
            }
        };
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

    /// In a container with text of the answer: to its end, or to a string.
    fn measure<'b>(&mut self, bytes: &'b [u8], seen: &mut Seen) -> &'b [u8] {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                b'}' | b']' => self.skipped = self.skipped.saturating_sub(1),
                b',' => {}
                _ => self.found(seen),
            }
            let after = bytes.get(at + 1..).unwrap_or_default();
            if byte == b'"' {
                self.word = Word::default();
                self.state = State::String(Meaning::Measured);
                return after;
            }
            if let Some(meter) = &mut self.meter {
                meter.byte(byte, &self.word);
            }
            if self.skipped == 0 {
                self.measured();
                self.left(seen);
                return after;
            }
        }
        &[]
    }

    /// A container with text of the answer is closed, or does not go on.
    fn measured(&mut self) {
        if let Some(meter) = self.meter.take() {
            self.value.texts.add(meter.role(), meter.end(&self.word));
        }
    }

    /// Something is in a container that is not looked into.
    fn found(&mut self, seen: &mut Seen) {
        self.value.shape.carries |= self.is_in_choice();
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
        let is_said = matches!(byte, b'0'..=b'9' | b'-' | b't' | b'f') && self.word.get() != b"index";
        let is_no_choice = meaning == Meaning::Enter(Place::Choice);
        self.value.shape.carries |= is_no_choice || (is_said && self.is_in_choice());
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
        let is_object = byte == b'{';
        self.value.shape.carries |= meaning == Meaning::Enter(Place::Choice) && !is_object;
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
        self.meter = self.watch.role().map(Meter::new);
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
