//! The pass over a body: one serde visitor for every place, so that nothing is collected and nothing is built.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::media::{Detail, Images, Media, Pixels, read_data, read_url};
use super::place::Place;
use super::{BYTE_ORDER_MARK, MAX_DEPTH, Unreadable};
use crate::domain::{Api, Model, Purpose, RequestFacts, TextSink, Tokens};

/// Tokens around each message (start, role, end), and those that open the answer: `OpenAI`'s cookbook, "How to count
/// tokens". Anthropic publishes none; its token counts for short messages fit the same figures.
const MESSAGE_TOKENS: u64 = 4;
const PRIMING_TOKENS: u64 = 3;

/// Tools as signatures (the same cookbook): around all of them, around each, around its properties as a whole and
/// each one of them, and around each value of an enum but the first.
const TOOLS_TOKENS: u64 = 12;
const TOOL_TOKENS: u64 = 8;
const PROPERTIES_TOKENS: u64 = 3;
const PROPERTY_TOKENS: u64 = 5;
const ENUM_ITEM_TOKENS: u64 = 3;

/// What Anthropic puts before the first tool (its documentation, "Pricing", tool choice `auto`).
const TOOL_PROMPT_TOKENS: u64 = 346;

/// Compact JSON: the punctuation around a member and around an element is so many tokens of the usual vocabularies.
const MEMBER_TOKENS: u64 = 2;
const ELEMENT_TOKENS: u64 = 1;

/// A model's name is cut here: it may become part of a log line.
const MODEL_BYTES: usize = 128;

/// What has been read so far.
pub(super) struct Reader<'s, S> {
    sink: &'s mut S,
    model: Option<Model>,
    /// What the body itself says of streaming.
    pub(super) stream: Option<bool>,
    max_tokens: Option<u64>,
    answers: u64,
    prompts: u64,
    conversation: bool,
    fixed: u64,
    exact: u64,
    /// Guessed from the size of what cannot be read.
    guessed: u64,
    /// Whether part of the prompt is elsewhere.
    unseen: bool,
    /// Whether there is a prompt in a body of no known form.
    pub(super) has_prompt: bool,
    images: Images,
    /// The image of the content part under way; its `detail` may come after it.
    image: Option<Pixels>,
    detail: Detail,
    depth: u32,
    fault: Option<Unreadable>,
}

impl<'s, S: TextSink> Reader<'s, S> {
    pub(super) fn new(sink: &'s mut S) -> Self {
        Self {
            sink,
            model: None,
            stream: None,
            max_tokens: None,
            answers: 1,
            prompts: 0,
            conversation: false,
            fixed: 0,
            exact: 0,
            guessed: 0,
            unseen: false,
            has_prompt: false,
            images: Images::default(),
            image: None,
            detail: Detail::High,
            depth: 0,
            fault: None,
        }
    }

    pub(super) fn read(&mut self, root: Place, body: &[u8]) -> Result<(), Unreadable> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = json.deserialize_any(At { place: root, reader: self }).and_then(|()| json.end());
        match (self.fault.take(), read) {
            (Some(fault), _) => Err(fault),
            (None, Err(error)) => Err(Unreadable::NotJson(error.to_string().into())),
            (None, Ok(())) => Ok(()),
        }
    }

    pub(super) fn facts(&mut self, api: Api) -> RequestFacts {
        if self.conversation && api != Api::LightRagQuery {
            self.fixed = self.fixed.saturating_add(PRIMING_TOKENS);
        }
        let images = self.images.tokens(api, self.model.as_deref().unwrap_or_default());
        // OpenRouter searches the web for models that are asked for in this way.
        let searches = self.model.as_deref().is_some_and(|model| model.ends_with(":online"));
        let answers = self.answers.max(1).saturating_mul(self.prompts.max(1));
        RequestFacts {
            api,
            purpose: Purpose::default(),
            model: self.model.take(),
            stream: self.stream.unwrap_or(false),
            max_output_tokens: match api {
                // An embedding is not made of tokens.
                Api::Embeddings => Some(Tokens(0)),
                _ => self.max_tokens.map(|most| Tokens(most.saturating_mul(answers))),
            },
            fixed_tokens: Tokens(self.fixed.saturating_add(images)),
            exact_tokens: Tokens(self.exact),
            guessed_tokens: Tokens(self.guessed),
            has_unseen_prompt: self.unseen || searches,
        }
    }

    fn fixed(&mut self, tokens: u64) {
        self.fixed = self.fixed.saturating_add(tokens);
    }

    fn string(&mut self, place: Place, text: &str) {
        match place {
            Place::Text | Place::Said | Place::Json | Place::GeminiOwnTool | Place::Schema | Place::Enum => {
                self.sink.push(text);
            }
            Place::EnumItem => {
                self.fixed(ENUM_ITEM_TOKENS);
                self.sink.push(text);
            }
            Place::Prompt | Place::PromptItem | Place::Input | Place::InputItem => {
                self.prompts = self.prompts.saturating_add(1);
                self.sink.push(text);
            }
            Place::Conversation => {
                self.conversation = true;
                self.fixed(MESSAGE_TOKENS);
                self.sink.push(text);
            }
            Place::Model => self.model = Some(model(text)),
            Place::Image | Place::ImageUrl => {
                // How large an image elsewhere is, nobody knows here.
                self.unseen |= !text.starts_with("data:");
                self.media(read_url(text));
            }
            Place::Images => match read_data(text) {
                Media::Image(pixels) => self.images.add(pixels, Detail::High),
                Media::Text(_) => self.images.add(Pixels::ASSUMED, Detail::High),
                media => self.media(media),
            },
            Place::Data => match read_data(text) {
                Media::Text(text) => self.sink.push(text),
                media => self.media(media),
            },
            Place::Stored if text.starts_with("data:") => self.media(read_data(text)),
            Place::Stored => {
                self.unseen = true;
                self.image = Some(Pixels::ASSUMED);
            }
            Place::Elsewhere => self.unseen |= !text.is_empty(),
            Place::ItemKind => self.unseen |= text == "item_reference",
            Place::ToolKind => self.unseen |= !is_own_tool(text),
            Place::JsonToolKind => {
                self.unseen |= !is_own_tool(text);
                self.sink.push(text);
            }
            Place::Detail => self.detail = Detail::named(text),
            _ => {}
        }
    }

    fn media(&mut self, media: Media<'_>) {
        match media {
            Media::Image(pixels) => self.image = Some(pixels),
            Media::Tokens(tokens) => self.fixed(tokens),
            Media::Guess(tokens) => self.guessed = self.guessed.saturating_add(tokens),
            Media::Text(_) => {}
        }
    }

    fn number(&mut self, place: Place, number: u64) {
        match place {
            // Who says several means one of them, and which that is is a matter of the server. None of them reads 0 as
            // "no answer": it is as good as unsaid.
            Place::MaxTokens if number > 0 => self.max_tokens = self.max_tokens.max(Some(number)),
            Place::Answers => self.answers = self.answers.max(number),
            Place::PromptItem | Place::InputItem | Place::Ids => self.exact = self.exact.saturating_add(1),
            Place::Json | Place::GeminiOwnTool => self.fixed(1),
            Place::EnumItem => self.fixed(1 + ENUM_ITEM_TOKENS),
            Place::Elsewhere => self.unseen = true,
            _ => {}
        }
    }

    /// A member of a body of no known form.
    fn note_prompt(&mut self, key: &str) {
        self.has_prompt |= matches!(key, "messages" | "contents" | "prompt" | "input" | "inputs" | "query" | "message");
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        self.fault = Some(Unreadable::TooDeep);
        Err(E::custom(Unreadable::TooDeep))
    }
}

/// A value about to be read: where it stands, and who reads it.
struct At<'a, 's, S> {
    place: Place,
    reader: &'a mut Reader<'s, S>,
}

impl<S: TextSink> At<'_, '_, S> {
    fn root(&self) -> bool {
        self.reader.depth == 0
    }

    /// Ends at a scalar: fine anywhere but at the root.
    fn scalar<E: serde::de::Error>(self, take: impl FnOnce(&mut Reader<'_, S>, Place)) -> Result<(), E> {
        if self.root() {
            self.reader.fault = Some(Unreadable::NotAnObject);
            return Err(E::custom(Unreadable::NotAnObject));
        }
        take(self.reader, self.place);
        Ok(())
    }
}

impl<'de, S: TextSink> DeserializeSeed<'de> for At<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.place == Place::Skip {
            return json.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        json.deserialize_any(self)
    }
}

impl<'de, S: TextSink> Visitor<'de> for At<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar(|reader, place| {
            if matches!(place, Place::Json | Place::GeminiOwnTool) {
                reader.fixed(1);
            }
        })
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(|reader, place| match place {
            Place::Stream => reader.stream = Some(value),
            Place::Json | Place::GeminiOwnTool => reader.fixed(1),
            Place::Elsewhere => reader.unseen |= value,
            _ => {}
        })
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.scalar(|reader, place| reader.number(place, number))
    }

    fn visit_i64<E: serde::de::Error>(self, _negative: i64) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        // Some clients have no integers and write 1024.0; a negative or broken number is nothing.
        if number >= 0.0 && number.fract() == 0.0 { self.visit_u64(number as u64) } else { self.visit_unit() }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.scalar(|reader, place| reader.string(place, text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.root() {
            self.reader.fault = Some(Unreadable::NotAnObject);
            return Err(A::Error::custom(Unreadable::NotAnObject));
        }
        let Self { place, reader } = self;
        reader.enter()?;
        match place {
            Place::Conversation => reader.conversation = true,
            Place::PromptItem | Place::InputItem => reader.prompts = reader.prompts.saturating_add(1),
            Place::GeminiOwnTool => reader.unseen = true,
            _ => {}
        }
        // The first value of an enum costs less than the others.
        let mut next = if place == Place::Enum { Place::Schema } else { place.element() };
        let mut count = 0_u64;
        while list.next_element_seed(At { place: next, reader: &mut *reader })?.is_some() {
            next = place.element();
            count += 1;
        }
        match place {
            Place::Json | Place::GeminiTools | Place::GeminiOwnTool => {
                reader.fixed(count.saturating_mul(ELEMENT_TOKENS));
            }
            Place::Elsewhere => reader.unseen |= count > 0,
            Place::Tools if count > 0 => reader.fixed(TOOLS_TOKENS.saturating_add(TOOL_TOKENS.saturating_mul(count))),
            Place::JsonTools if count > 0 => reader.fixed(TOOL_PROMPT_TOKENS),
            _ => {}
        }
        reader.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { place, reader } = self;
        reader.enter()?;
        // A part of its own has an image of its own; parts nest where a tool's result has parts.
        let outer = matches!(place, Place::Message | Place::InputItem | Place::Said)
            .then(|| (reader.image.take(), std::mem::replace(&mut reader.detail, Detail::High)));
        let mut count = 0_u64;
        while let Some(field) = map.next_key_seed(Key { place, reader: &mut *reader })? {
            map.next_value_seed(At { place: field, reader: &mut *reader })?;
            count += 1;
        }
        match place {
            Place::Message | Place::InputItem => reader.fixed(MESSAGE_TOKENS),
            Place::Elsewhere | Place::StoredPrompt | Place::GeminiOwnTool => reader.unseen = true,
            _ => {}
        }
        match place {
            Place::Json | Place::JsonTool | Place::GeminiTool | Place::GeminiOwnTool => {
                reader.fixed(count.saturating_mul(MEMBER_TOKENS));
            }
            Place::Properties if count > 0 => {
                reader.fixed(PROPERTIES_TOKENS.saturating_add(PROPERTY_TOKENS.saturating_mul(count)));
            }
            _ => {}
        }
        if let Some((image, detail)) = outer {
            if let Some(pixels) = std::mem::replace(&mut reader.image, image) {
                reader.images.add(pixels, reader.detail);
            }
            reader.detail = detail;
        }
        reader.depth -= 1;
        Ok(())
    }
}

/// A field's name: says where its value stands, and is text itself where the model sees it.
struct Key<'a, 's, S> {
    place: Place,
    reader: &'a mut Reader<'s, S>,
}

impl<'de, S: TextSink> DeserializeSeed<'de> for Key<'_, '_, S> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Place, D::Error> {
        json.deserialize_str(self)
    }
}

impl<S: TextSink> Visitor<'_> for Key<'_, '_, S> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Place, E> {
        match self.place {
            Place::Json | Place::JsonTool | Place::GeminiTool | Place::GeminiOwnTool | Place::Properties => {
                self.reader.sink.push(key);
            }
            Place::Any => self.reader.note_prompt(key),
            _ => {}
        }
        Ok(self.place.field(key))
    }
}

/// Whether a tool of that kind is described in the body, and run by the client. What else there is (searches, code, MCP
/// servers) the provider describes to the model itself, and adds to the prompt what it found.
fn is_own_tool(kind: &str) -> bool {
    matches!(kind, "function" | "custom")
}

/// A model's name, cut where it is too long.
pub(super) fn model(name: &str) -> Model {
    cut(name, MODEL_BYTES).into()
}

/// The longest prefix of whole characters in that many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
