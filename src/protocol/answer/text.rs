//! How much text an answer has: what is paid for where the backend does not report its tokens.
//!
//! The text of an answer is what a model wrote: what it says, its reasoning, its refusals, the names and arguments of
//! the tools that it calls, the transcript of what it speaks. It is counted in bytes of UTF-8, as it is without the
//! JSON around it: an escape counts as the character that it stands for. Not counted are ids, types, signatures, what
//! is encrypted or encoded (sound, pictures), and what tools and searches found: no model wrote that.
//!
//! So an answer has the same length in one piece, streamed, and with the sources that it was made from.
//!
//! Servers say the same text several times: reasoning under two or three names in one event, the message so far beside
//! each piece of it, the whole response after its last piece. What repeats does not add up; of each kind the largest
//! counts.

use super::fields::Meaning;
use super::word::Word;

/// Under which name a text is reasoning. Where an event has it under several, they say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasoning {
    Plain,
    Content,
    Details,
    Blocks,
    Thinking,
}

/// What a text of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Text,
    Reasoning(Reasoning),
}

/// How a text stands to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It adds to those before it.
    Piece(Said),
    /// It is the whole, or repeats what pieces said.
    Whole(Said),
    /// It repeats the whole.
    Repeat,
    /// Of a dialect that nobody knows.
    Alien,
}

impl Meaning {
    /// How a text of this meaning counts, if it does.
    pub(super) const fn role(self) -> Option<Role> {
        Some(match self {
            Self::Content | Self::Text | Self::Response | Self::Start => Role::Piece(Said::Text),
            Self::Reasoning(name) => Role::Piece(Said::Reasoning(name)),
            Self::Whole(said) => Role::Whole(said),
            Self::Repeat => Role::Repeat,
            Self::Alien => Role::Alien,
            _ => return None,
        })
    }
}

/// Bytes of text in one value, or of all pieces in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bytes {
    text: u64,
    reasoning: [u64; 5],
}

impl Bytes {
    fn add(&mut self, said: Said, bytes: u64) {
        let sum = match said {
            Said::Text => &mut self.text,
            Said::Reasoning(name) => {
                let [plain, content, details, blocks, thinking] = &mut self.reasoning;
                match name {
                    Reasoning::Plain => plain,
                    Reasoning::Content => content,
                    Reasoning::Details => details,
                    Reasoning::Blocks => blocks,
                    Reasoning::Thinking => thinking,
                }
            }
        };
        *sum = sum.saturating_add(bytes);
    }

    fn sum(&self) -> u64 {
        self.text.saturating_add(self.reasoning.iter().copied().max().unwrap_or(0))
    }
}

/// The text of one value: an event, a line, or a whole answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Texts {
    pieces: Bytes,
    whole: Bytes,
    repeated: u64,
    alien: u64,
    /// Its pieces are no text, but sound.
    encoded: bool,
}

impl Texts {
    pub(super) fn add(&mut self, role: Role, bytes: u64) {
        match role {
            Role::Piece(said) => self.pieces.add(said, bytes),
            Role::Whole(said) => self.whole.add(said, bytes),
            Role::Repeat => self.repeated = self.repeated.saturating_add(bytes),
            Role::Alien => self.alien = self.alien.saturating_add(bytes),
        }
    }

    /// What it brings is sound or a picture.
    pub(super) const fn encode(&mut self) {
        self.encoded = true;
    }

    fn pieces(&self) -> u64 {
        if self.encoded { 0 } else { self.pieces.sum() }
    }
}

/// The text of all values so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pieces: u64,
    whole: u64,
    repeated: u64,
    alien: u64,
    /// Pieces in which there is something, but no text: encrypted reasoning, sound, pictures.
    wordless: u64,
}

impl Total {
    /// A value is over; `is_piece` says whether it brought one.
    pub(super) fn add(&mut self, value: &Texts, is_piece: bool) {
        let pieces = value.pieces();
        self.pieces = self.pieces.saturating_add(pieces);
        self.whole = self.whole.max(value.whole.sum());
        self.repeated = self.repeated.max(value.repeated);
        self.alien = self.alien.saturating_add(value.alien);
        self.wordless = self.wordless.saturating_add(u64::from(is_piece && pieces == 0));
    }

    /// Bytes of text in the answer. What is of no known dialect counts where `is_foreign`, and nothing else is there.
    pub(super) fn bytes(&self, is_foreign: bool) -> u64 {
        let said = self.pieces.max(self.whole);
        match (said, self.repeated) {
            (0, 0) if is_foreign => self.alien,
            (0, repeated) => repeated,
            _ => said,
        }
    }

    pub(super) const fn wordless(&self) -> u64 {
        self.wordless
    }
}

/// How much of the value behind a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Rule {
    /// Its texts, wherever they stand in it.
    #[default]
    Texts,
    /// All of it, as it stands: a model wrote the JSON itself.
    Verbatim,
    /// Nothing.
    Nothing,
    /// Nothing; and it says whether the object around it counts.
    Type,
}

impl Rule {
    fn of(key: &[u8]) -> Self {
        match key {
            b"type" => Self::Type,
            b"arguments" | b"args" | b"input" | b"parameters" | b"partial_json" => Self::Verbatim,
            // Names and numbers of things.
            b"id" | b"call_id" | b"tool_use_id" | b"tool_call_id" | b"item_id" | b"file_id" | b"container_id"
            | b"response_id" | b"role" | b"status" | b"object" | b"format" | b"language" | b"server_label" | b"outcome"
            // What is encoded.
            | b"signature" | b"thoughtSignature" | b"thought_signature" | b"encrypted_content" | b"encrypted_index"
            | b"data" | b"b64_json" | b"mimeType" | b"mime_type" | b"media_type" | b"url" | b"image_url" | b"fileUri"
            | b"result" | b"logprobs" | b"obfuscation"
            // What was found, not written.
            | b"annotations" | b"citations" | b"references" | b"results" | b"search_results" | b"sources"
            | b"contents" | b"output" | b"outputs" | b"tools" | b"context" | b"error" => Self::Nothing,
            _ => Self::Texts,
        }
    }

    /// Whether an object of this type holds what a tool or a search found.
    fn is_finding(kind: &[u8]) -> bool {
        [&b"_result"[..], b"_results", b"_call_output", b"_list_tools"].iter().any(|end| kind.ends_with(end))
    }
}

/// How deep in a container its objects are told apart; real ones nest three deep.
const DEPTHS: usize = 6;

/// Measures the text in a container.
///
/// It needs no picture of what is open: a string is a key if a colon follows. So it holds back the last string until
/// the next byte of structure.
#[derive(Debug)]
pub(super) struct Meter {
    role: Role,
    open: u64,
    /// What holds in the container that opened at that depth, and in all inside it.
    rule: Rule,
    since: u64,
    /// What holds for the next value, if its own key says so.
    next: Rule,
    /// The length of the last string, while it may be a key; and where to go back to if its type says so.
    last: u64,
    sum: u64,
    before: [u64; DEPTHS],
}

impl Meter {
    /// For a container that has just been opened.
    pub(super) const fn new(role: Role) -> Self {
        Self { role, open: 1, rule: Rule::Texts, since: 0, next: Rule::Texts, last: 0, sum: 0, before: [0; DEPTHS] }
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    /// Bytes of a string.
    pub(super) const fn text(&mut self, bytes: u64) {
        self.last = self.last.saturating_add(bytes);
    }

    /// A byte of structure, or of a number. `word` is the last string.
    pub(super) fn byte(&mut self, byte: u8, word: &Word) {
        match byte {
            b':' => return self.key(word),
            b'{' | b'[' => {
                self.value(word);
                self.open = self.open.saturating_add(1);
                if self.rule == Rule::Texts && !matches!(self.next, Rule::Texts | Rule::Type) {
                    (self.rule, self.since) = (self.next, self.open);
                }
                self.next = Rule::Texts;
                if let Some(before) = usize::try_from(self.open).ok().and_then(|at| self.before.get_mut(at)) {
                    *before = self.sum;
                }
            }
            b'}' | b']' => self.value(word),
            b',' => {
                self.value(word);
                self.next = Rule::Texts;
            }
            _ => {}
        }
        self.verbatim(1);
        if matches!(byte, b'}' | b']') {
            if self.since == self.open {
                (self.rule, self.since) = (Rule::Texts, 0);
            }
            self.next = Rule::Texts;
            self.open = self.open.saturating_sub(1);
        }
    }

    /// The text in it, as far as it was seen.
    pub(super) fn end(mut self, word: &Word) -> u64 {
        self.value(word);
        self.sum
    }

    /// The last string was a key.
    fn key(&mut self, word: &Word) {
        let length = std::mem::take(&mut self.last);
        if self.rule == Rule::Texts {
            self.next = Rule::of(word.get());
        } else {
            // Its quotes, and the colon.
            self.verbatim(length.saturating_add(3));
        }
    }

    /// The last string, if there is one, was a value.
    fn value(&mut self, word: &Word) {
        let length = std::mem::take(&mut self.last);
        match (self.rule, self.next) {
            _ if length == 0 => {}
            (Rule::Texts, Rule::Texts | Rule::Verbatim) => self.sum = self.sum.saturating_add(length),
            (Rule::Texts, Rule::Type) if Rule::is_finding(word.get()) => {
                let before = usize::try_from(self.open).ok().and_then(|at| self.before.get(at));
                self.sum = before.copied().unwrap_or(self.sum);
                (self.rule, self.since) = (Rule::Nothing, self.open);
            }
            (Rule::Texts | Rule::Nothing | Rule::Type, _) => {}
            (Rule::Verbatim, _) => self.verbatim(length.saturating_add(2)),
        }
    }

    const fn verbatim(&mut self, bytes: u64) {
        if matches!(self.rule, Rule::Verbatim) {
            self.sum = self.sum.saturating_add(bytes);
        }
    }
}

/// A character that is written as `\u` and four digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Escape {
    digits: u8,
    code: u16,
}

impl Escape {
    /// Takes a digit. Returns how many bytes the character has once it is whole, half of a pair counting as half.
    pub(super) fn push(&mut self, byte: u8) -> Option<u64> {
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        self.code = (self.code << 4) | (digit as u16);
        self.digits += 1;
        (self.digits == 4).then_some(match self.code {
            0..0x80 => 1,
            0x80..0x800 | 0xD800..0xE000 => 2,
            _ => 3,
        })
    }
}
