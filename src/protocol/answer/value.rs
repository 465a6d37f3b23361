//! What one JSON value of an answer says: an event of a stream, a line, or a whole answer.

use super::Seen;
use super::class::{Claim, Fault, Finish, Plain, is_something};
use super::fields::Meaning;
use super::text::Texts;
use super::word::Word;

/// The longest text that may stand in for an answer; what `LightRAG` returns of its context, on demand, is longer.
const STOCK_SENTENCE: u64 = 256;

/// How `LightRAG`'s sentence ends for a question that its documents do not answer. That one is no failure: no model was
/// needed to say so, and any client can ask such a question.
const NO_CONTEXT: &[u8] = b"[no-context]";

/// What a chunk of a stream is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// It has a list of choices,
    pub(super) listed: bool,
    /// and one of them carries something: not only its index, an empty delta and members that are null.
    pub(super) carries: bool,
    /// It has a usage of its own.
    pub(super) reported: bool,
}

impl Shape {
    /// That of the last chunk, where the usage is asked for.
    pub(super) const USAGE: Self = Self { listed: true, carries: false, reported: true };
}

/// Where the values inside an error belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Target {
    #[default]
    Error,
    Complaint,
}

/// One value under way.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen, each by itself")]
pub(super) struct Value {
    /// What it has of a chunk's members so far.
    pub(super) shape: Shape,
    /// What of it is text of the answer.
    pub(super) texts: Texts,
    /// Whether a piece of the answer has been counted for this value.
    counted: bool,
    error: Fault,
    complaint: Fault,
    remark: Fault,
    /// What stands beside an error and names its class; and the words that may, of which the last counts.
    beside: Fault,
    code: Word,
    kind: Word,
    target: Target,
    /// Whether its status says that the answer failed.
    failed: bool,
    /// Whether it says that no model wrote it; the text of its `response`, how long and how it ends.
    stock: bool,
    text: u64,
    tail: [u8; NO_CONTEXT.len()],
    closed: bool,
}

impl Value {
    /// The error whose fields are read.
    fn fault(&mut self) -> &mut Fault {
        match self.target {
            Target::Error => &mut self.error,
            Target::Complaint => &mut self.complaint,
        }
    }

    /// What follows belongs to a value of that meaning, itself inside an error or not.
    pub(super) const fn aim(&mut self, meaning: Meaning, is_nested: bool) {
        match meaning {
            Meaning::Complaint => self.target = Target::Complaint,
            Meaning::Error if !is_nested => self.target = Target::Error,
            _ => {}
        }
    }

    /// A string of that meaning is not empty, or something is in a container that is not looked into.
    pub(super) const fn filled(&mut self, meaning: Meaning, seen: &mut Seen) {
        match meaning {
            Meaning::Content | Meaning::Reasoning(_) | Meaning::Response => self.content(seen),
            Meaning::Substance | Meaning::Whole(_) | Meaning::Repeat => seen.substance = true,
            Meaning::Alien => seen.alien = true,
            _ => {}
        }
    }

    /// Something is in an error that nests too deep to be looked into.
    pub(super) fn raise(&mut self) {
        self.fault().raise(Claim::default());
    }

    /// A piece of a text of `LightRAG`'s.
    pub(super) fn response(&mut self, piece: &[u8]) {
        self.text = self.text.saturating_add(piece.len() as u64);
        let size = self.tail.len();
        let kept = piece.get(piece.len().saturating_sub(size)..).unwrap_or(piece);
        self.tail.rotate_left(kept.len().min(size));
        if let Some(end) = self.tail.get_mut(size.saturating_sub(kept.len())..) {
            end.copy_from_slice(kept);
        }
    }

    /// A piece of the answer, counted once an event.
    const fn content(&mut self, seen: &mut Seen) {
        if !self.counted {
            self.counted = true;
            seen.content_events = seen.content_events.saturating_add(1);
        }
    }

    /// A string of that meaning has ended.
    pub(super) fn string(&mut self, meaning: Meaning, word: &Word, seen: &mut Seen) {
        match meaning {
            Meaning::Type => self.typed(word, seen),
            Meaning::Object if word.get() == b"error" => self.error.raise(Claim::default()),
            Meaning::Error | Meaning::Class | Meaning::Complaint => self.class(word, seen),
            Meaning::Inside => self.fault().text(word),
            Meaning::Message | Meaning::Remark => self.remark.text(word),
            Meaning::Count(member) => seen.usage.count(member, word.get()),
            Meaning::Beside => self.code = *word,
            Meaning::Status => self.status(word, seen),
            Meaning::Finish => self.finish(word, true, seen),
            Meaning::Stop => self.finish(word, false, seen),
            // Gemini refuses the prompt: BLOCK_REASON_UNSPECIFIED is its word for nothing.
            Meaning::Block if Finish::of(word) != Finish::None => self.error.raise(Claim::CLIENT),
            _ => {}
        }
    }

    /// A number, `true`, `false` or `null` of that meaning has ended.
    pub(super) fn scalar(&mut self, meaning: Meaning, text: &[u8], seen: &mut Seen) {
        match meaning {
            Meaning::Error => self.fault().bare(text),
            Meaning::Class => self.fault().scalar(text),
            Meaning::Inside => self.fault().other(text),
            Meaning::Complaint => self.complaint.bare(text),
            Meaning::Beside | Meaning::Status => self.beside.scalar(text),
            Meaning::Success if text == b"false" => self.complaint.raise(Claim::default()),
            Meaning::Generated => self.stock |= text == b"false",
            Meaning::Done => {
                seen.finished |= text == b"true";
                seen.undone = text == b"false";
            }
            Meaning::Count(member) => seen.usage.count(member, text),
            Meaning::Alien => seen.alien |= is_something(text),
            Meaning::Substance | Meaning::Whole(_) | Meaning::Repeat => seen.substance |= is_something(text),
            _ => {}
        }
    }

    fn finish(&mut self, word: &Word, is_last: bool, seen: &mut Seen) {
        match Finish::of(word) {
            Finish::None => {}
            Finish::Good => {
                seen.substance = true;
                seen.finished |= is_last;
            }
            Finish::Misused => self.error.raise(Claim::CLIENT),
            Finish::Failed => {
                let claim = if seen.may_look_up() { Claim::of_finish(word) } else { Claim::default() };
                self.error.raise(claim);
            }
        }
    }

    /// How far an answer is (`OpenAI`'s Responses, Perplexity), or what class an error has.
    fn status(&mut self, word: &Word, seen: &mut Seen) {
        match Plain::of(word).get() {
            b"completed" | b"incomplete" | b"cancelled" => seen.substance = true,
            b"queued" | b"inprogress" | b"created" => seen.pending = true,
            b"failed" | b"failure" | b"error" => self.failed = true,
            _ => self.code = *word,
        }
    }

    /// The value of `type` at the top: Anthropic, `OpenAI`'s Responses and now and then Perplexity name their events by it.
    fn typed(&mut self, word: &Word, seen: &mut Seen) {
        match word.get() {
            b"error" => self.error.raise(Claim::default()),
            b"response.failed" | b"thread.run.failed" => {
                self.error.raise(Claim::default());
                seen.finished = true;
            }
            b"message_stop"
            | b"response.completed"
            | b"response.incomplete"
            | b"end_of_stream"
            | b"transcript.text.done"
            | b"speech.audio.done" => seen.finished = true,
            b"image_generation.completed" | b"image_edit.completed" => {
                seen.finished = true;
                seen.substance = true;
            }
            b"content_block_delta" | b"image_generation.partial_image" | b"image_edit.partial_image" => {
                self.content(seen);
            }
            name if name.contains(&b'.') => {
                let is_piece = [&b"response."[..], b"transcript.", b"speech."].iter().any(|api| name.starts_with(api));
                if is_piece && name.ends_with(b".delta") {
                    self.content(seen);
                }
                if name.ends_with(b"audio.delta") {
                    self.texts.encode();
                }
            }
            _ => self.kind = *word,
        }
    }

    /// A word that may name a class.
    fn class(&mut self, word: &Word, seen: &mut Seen) {
        if seen.error.is_none() && seen.may_look_up() {
            self.fault().word(word);
        } else {
            self.fault().text(word);
        }
    }

    /// What an error in it is, or would be.
    pub(super) fn claim(&self) -> Claim {
        let mut beside = self.beside;
        beside.word(&self.code);
        beside.word(&self.kind);
        self.error.claim().or(self.complaint.claim()).or(beside.claim())
    }

    /// It is over, or will not go on.
    pub(super) fn close(&mut self, seen: &mut Seen) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        seen.text.add(&self.texts, self.counted);
        if self.error.is_error() && seen.error.is_none() {
            seen.fail(self.claim());
        }
        if self.failed && seen.failed.is_none() {
            seen.failed = Some(self.claim());
        }
        let (complaint, remark) = (self.complaint.is_error(), self.remark.is_error());
        if complaint || remark {
            seen.complained |= complaint;
            seen.remarked = true;
            if seen.may_look_up() {
                seen.complaint = seen.complaint.or(self.claim());
            }
        }
        seen.fallback |= self.stock && self.text <= STOCK_SENTENCE && self.tail != NO_CONTEXT;
    }
}
