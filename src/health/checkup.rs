//! What a backend says of itself when it is asked how it is.
//!
//! Two forms are understood: a list of models (`/v1/models`, and Perplexity's `/models`), and an object with a `status`
//! and the state of its parts, such as LightRAG's `/health`. Any other answer of 2xx is as good as one that says
//! "healthy". Answers are read as they come; nothing of them is kept but what [`Checkup`] has.

use std::io::Read;

use super::details::Details;
use super::said::{Report, Said};
use crate::domain::{Decoder, Encoder, PerMille};

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
        self.known |= component.bit();
        self.well |= if well { component.bit() } else { 0 };
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
    /// A status, or anything.
    Status,
}

impl Form {
    /// By what is asked for.
    pub fn of(path: &str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or(path);
        if path.trim_end_matches('/').ends_with("/models") { Self::Models } else { Self::Status }
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

    /// From an answer. Whatever a status of 2xx comes with, it is a good one unless it says otherwise.
    ///
    /// 401 and 403 are failed checks: requests go the same way and get the same credentials from Envoy, so they would be
    /// refused as well. 429 is not: quota is another matter, and the backend is there.
    pub fn read(status: u16, body: impl Read, form: Form) -> Self {
        match status {
            200..300 => match form {
                Form::Status => Self::of_status(&Report::read(body).unwrap_or_default()),
                Form::Models => Self::of_models(&Report::read(body).unwrap_or_default()),
            },
            429 => Self { condition: Condition::Degraded, ..Self::good() },
            401 | 403 => {
                let mut components = Components::default();
                components.set(Component::Authorisation, false);
                Self { components, ..Self::failed() }
            }
            _ => Self::failed(),
        }
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
            if let Some(condition) = said.condition() {
                let is_so = condition == Condition::Healthy;
                components.set(component, is_so != (component == Component::Pipeline));
            }
        }
        let said = report.get("status").condition().unwrap_or(Condition::Healthy);
        let condition = match components.score() {
            0 => Condition::Unhealthy,
            1000 => said,
            _ if said == Condition::Unhealthy => said,
            _ => Condition::Degraded,
        };
        let details = Details {
            api_version: report.get("api_version").text(),
            core_version: report.get("core_version").text(),
            knowledge_base_size: report.get("knowledge_base_size").number(),
            memory_usage_mb: report.get("memory_usage_mb").number(),
        };
        Self { condition, components, models: None, details }
    }

    fn of_models(report: &Report) -> Self {
        let &Said::List(models) = report.get("data") else { return Self::good() };
        let mut components = Components::default();
        components.set(Component::Models, models > 0);
        let condition = if models > 0 { Condition::Healthy } else { Condition::Degraded };
        Self { condition, components, models: Some(models), ..Self::good() }
    }
}

#[cfg(test)]
mod tests;
