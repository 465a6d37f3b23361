//! What a backend says of itself when it is asked how it is.
//!
//! Two forms are understood: a list of models (`/v1/models`, and Perplexity's `/models`), and an object with a `status`
//! and the state of its parts, such as LightRAG's `/health`. Any other answer of 2xx is as good as one that says
//! "healthy". A refusal (503) that says which parts are down is read likewise, though it is a failed check in any case.
//! Answers are read as they come; nothing of them is kept but what [`Checkup`] has.

use std::io::Read;

use super::details::{Details, MOST_PARTS};
use super::said::{Report, Said};
use crate::domain::{BackendType, Decoder, Encoder, PerMille};

/// How a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// All is well.
    Healthy,
    /// It answers, but not as it should.
    Degraded,
    /// It does not, or says that it cannot.
    Unhealthy,
}

impl Condition {
    /// Its name in logs and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// As a byte of a record.
    pub const fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Unhealthy => 2,
        }
    }

    /// From a byte of a record.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Healthy),
            1 => Some(Self::Degraded),
            2 => Some(Self::Unhealthy),
            _ => None,
        }
    }
}

/// A part of a backend that a check may hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// LightRAG's graph database.
    GraphDb,
    /// LightRAG's embeddings service.
    Embeddings,
    /// LightRAG's language model.
    Llm,
    /// LightRAG's pipeline: well while it is idle. It indexes documents; questions are answered meanwhile.
    Pipeline,
    /// Models on offer.
    Models,
    /// The credentials that Envoy adds.
    Authorisation,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::GraphDb, Self::Embeddings, Self::Llm, Self::Pipeline, Self::Models, Self::Authorisation];

    /// Its name in logs and the control API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GraphDb => "graph_db",
            Self::Embeddings => "embeddings",
            Self::Llm => "llm",
            Self::Pipeline => "pipeline",
            Self::Models => "models",
            Self::Authorisation => "authorisation",
        }
    }

    /// What it takes off the score when it is not well, in thousandths.
    const fn weight(self) -> u16 {
        match self {
            Self::GraphDb | Self::Embeddings => 300,
            Self::Llm => 400,
            Self::Models | Self::Authorisation => 1000,
            Self::Pipeline => 0,
        }
    }

    /// The part of that name in an answer.
    fn named(name: &str) -> Option<Self> {
        match name {
            "graph_db" | "graph" | "graph_database" | "neo4j" => Some(Self::GraphDb),
            "embeddings" | "embedding" | "embedding_service" | "embeddings_service" => Some(Self::Embeddings),
            "llm" | "llm_service" | "language_model" => Some(Self::Llm),
            _ => None,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The parts that a check heard of, each well or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Components {
    known: u8,
    well: u8,
}

impl Components {
    /// Whether a part is well; none where it was not heard of.
    pub const fn get(self, component: Component) -> Option<bool> {
        let bit = component.bit();
        if self.known & bit == 0 { None } else { Some(self.well & bit != 0) }
    }

    fn set(&mut self, component: Component, well: bool) {
        let bit = component.bit();
        self.known |= bit;
        self.well = if well { self.well | bit } else { self.well & !bit };
    }

    /// What is left of the score, in thousandths.
    fn score(self) -> u16 {
        let down = Component::ALL.into_iter().filter(|&component| self.get(component) == Some(false));
        down.fold(1000, |left: u16, component| left.saturating_sub(component.weight()))
    }

    /// Appends it to a record.
    pub fn encode(self, out: &mut Encoder) {
        out.u8(self.known).u8(self.well);
    }

    /// Reads it from a record.
    pub fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { known: from.u8()?, well: from.u8()? })
    }
}

/// What a check is to find where all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A list of models.
    Models,
    /// A list of models, or nothing at all at that path.
    ModelsIfAny,
    /// A status, or anything.
    Status,
}

impl Form {
    /// By what is asked for, and of whom. Perplexity documents a list of models for a part of its API only: that there is
    /// none proves that somebody answers.
    pub fn of(path: &str, kind: BackendType) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
        match (path.ends_with("/models") || path.ends_with("/api/tags"), kind) {
            (true, BackendType::Perplexity) => Self::ModelsIfAny,
            (true, _) => Self::Models,
            (false, _) => Self::Status,
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// How the backend is. Unhealthy is a failed check.
    pub condition: Condition,
    /// Its parts, as far as it speaks of them.
    pub components: Components,
    /// Models that it offers.
    pub models: Option<u16>,
    /// What else it says of itself.
    pub details: Details,
}

/// What a degraded backend scores that does not say which part of it is.
const VAGUE: u16 = 500;

/// Bytes that are read of a refusal.
const LARGEST_REFUSAL: u64 = 64 * 1024;

impl Checkup {
    /// Nothing but that it is well.
    pub fn good() -> Self {
        let (components, details) = (Components::default(), Details::default());
        Self { condition: Condition::Healthy, components, models: None, details }
    }

    /// No answer, or not a good one.
    pub fn failed() -> Self {
        Self { condition: Condition::Unhealthy, ..Self::good() }
    }

    /// How well it is, `0..=1`: less by what each part weighs that is down.
    pub fn score(&self) -> PerMille {
        PerMille::new(match (self.condition, self.components.score()) {
            (Condition::Unhealthy, _) => 0,
            (Condition::Healthy, _) => 1000,
            (Condition::Degraded, 0 | 1000) => VAGUE,
            (Condition::Degraded, score) => score,
        })
    }

    /// No answer: why, in words.
    pub fn unanswered(why: &str) -> Self {
        let details = Details { error: Some(why.into()), ..Details::default() };
        Self { details, ..Self::failed() }
    }

    /// From an answer. Whatever a status of 2xx comes with, it is a good one unless it says otherwise.
    ///
    /// 401 and 403 are failed checks: requests go the same way and get the same credentials from Envoy, so they would be
    /// refused as well. What their bodies say is not kept: it may have a key in it. 429 is not: quota is another matter,
    /// and the backend is there.
    pub fn read(status: u16, body: impl Read, form: Form) -> Self {
        match (status, form) {
            (200..300, Form::Status) => Self::of_status(&Report::read(body).unwrap_or_default()),
            (200..300, Form::Models | Form::ModelsIfAny) => Self::of_models(&Report::read(body).unwrap_or_default()),
            (429, _) => Self { condition: Condition::Degraded, ..Self::unanswered("its quota is used up") },
            (401 | 403, _) => {
                let mut components = Components::default();
                components.set(Component::Authorisation, false);
                Self { components, ..Self::unanswered("it refuses the credentials that Envoy adds") }
            }
            (404 | 405, Form::ModelsIfAny) => Self {
                condition: Condition::Healthy,
                ..Self::unanswered("it has no list of models at health_check.path")
            },
            _ => Self::of_refusal(body),
        }
    }

    /// A refusal is a failed check, whatever it says; it may say which parts are down, and why.
    fn of_refusal(body: impl Read) -> Self {
        let mut bytes = Vec::new();
        // Where it breaks off, what came so far is what there is.
        _ = body.take(LARGEST_REFUSAL).read_to_end(&mut bytes);
        if let Some(report) = Report::read(bytes.as_slice()) {
            let said = Self::of_status(&report);
            let details = Details { error: report.error(), ..said.details };
            return Self { condition: Condition::Unhealthy, details, ..said };
        }
        let plain = str::from_utf8(&bytes).ok().map(str::trim).filter(|text| !text.starts_with(['<', '{', '[']));
        let error = plain.and_then(|text| Said::of_text(text).text());
        Self { details: Details { error, ..Details::default() }, ..Self::failed() }
    }

    fn of_status(report: &Report) -> Self {
        let mut components = Components::default();
        let parts = [
            (Component::GraphDb, report.get("graph_db_status")),
            (Component::Embeddings, report.get("embeddings_status")),
            (Component::Llm, report.get("llm_status")),
            // It is well when it is not so.
            (Component::Pipeline, report.get("pipeline_busy")),
        ];
        for (component, said) in parts {
            if let Some(condition) = said.word() {
                let is_so = condition == Condition::Healthy;
                components.set(component, is_so != (component == Component::Pipeline));
            }
        }
        let mut parts_down: Vec<Box<str>> = Vec::new();
        for (name, _) in report.parts() {
            if let Some(component) = Component::named(name) {
                components.set(component, false);
            } else {
                let name = Said::of_text(name).text().filter(|name| !parts_down.contains(name));
                parts_down.extend(name.filter(|_| parts_down.len() < MOST_PARTS));
            }
        }
        // A part that this house does not know may be one that nothing depends on: the word of the whole outweighs it.
        let unsaid = if parts_down.is_empty() { Condition::Healthy } else { Condition::Degraded };
        let said = report.get("status").word().unwrap_or(unsaid);
        let condition = match components.score() {
            0 => Condition::Unhealthy,
            1000 => said,
            _ if said == Condition::Unhealthy => said,
            _ => Condition::Degraded,
        };
        let text = |name| report.get(name).text();
        let number = |name| report.get(name).number();
        let details = Details {
            http_status: None,
            error: if condition == Condition::Healthy { None } else { report.error() },
            parts_down,
            api_version: text("api_version"),
            core_version: text("core_version"),
            version: text("version").or_else(|| text("litellm_version")),
            last_index_update: text("last_index_update"),
            quota_reset_time: text("quota_reset_time").or_else(|| text("rate_limit_reset")),
            quota_remaining: number("quota_remaining").or_else(|| number("rate_limit_remaining")),
            knowledge_base_size: number("knowledge_base_size"),
            relationship_count: number("relationship_count"),
            memory_usage_mb: number("memory_usage_mb"),
            cpu_usage_thousandths: report.get("cpu_usage_percent").thousandths(),
            disk_usage_thousandths: report.get("disk_usage_percent").thousandths(),
            avg_query_time_us: report.get("avg_query_time_ms").thousandths(),
            queries_per_minute_thousandths: report.get("queries_per_minute").thousandths(),
        };
        let models = number("models_available").map(|models| u16::try_from(models).unwrap_or(u16::MAX));
        Self { condition, components, models, details }
    }

    /// `data` is OpenAI's, Anthropic's and Perplexity's list, `models` Ollama's and Gemini's.
    fn of_models(report: &Report) -> Self {
        let lists = ["data", "models"].map(|name| report.get(name));
        let Some(models) =
            lists.into_iter().find_map(|said| if let Said::List(length, _) = said { Some(*length) } else { None })
        else {
            return Self::good();
        };
        let mut components = Components::default();
        components.set(Component::Models, models > 0);
        let condition = if models > 0 { Condition::Healthy } else { Condition::Degraded };
        Self { condition, components, models: Some(models), ..Self::good() }
    }
}

#[cfg(test)]
mod tests;
