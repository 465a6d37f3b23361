//! What a backend says of itself that nobody routes by, but an operator may want to see, and how its last check ended.

use super::said::Said;
use crate::domain::{Decoder, Encoder};

/// Stands for no number in shared data.
const NONE: u64 = u64::MAX;

/// The first byte of the layout below; a value of any other is not read.
const LAYOUT: u8 = 2;

/// Names of parts that are kept.
pub(super) const MOST_PARTS: usize = 8;

/// What else a backend says of itself, and how its last check ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The status of the last answer; none if there was none.
    pub http_status: Option<u16>,
    /// What was wrong at the last check.
    pub error: Option<Box<str>>,
    /// Parts that the last answer said are down, other than those that the router knows by name.
    pub parts_down: Vec<Box<str>>,
    /// The version of its interface.
    pub api_version: Option<Box<str>>,
    /// The version of LightRAG.
    pub core_version: Option<Box<str>>,
    /// The version of any other server.
    pub version: Option<Box<str>>,
    /// When it last took documents in, in its own words.
    pub last_index_update: Option<Box<str>>,
    /// When its quota is whole again, in its own words.
    pub quota_reset_time: Option<Box<str>>,
    /// What is left of its quota, in its own unit.
    pub quota_remaining: Option<u64>,
    /// Entities that LightRAG knows.
    pub knowledge_base_size: Option<u64>,
    /// Relationships that LightRAG knows.
    pub relationship_count: Option<u64>,
    /// Memory that it uses.
    pub memory_usage_mb: Option<u64>,
    /// Its load of the CPU, in thousandths of a per cent.
    pub cpu_usage_thousandths: Option<u64>,
    /// Its disk that is used, in thousandths of a per cent.
    pub disk_usage_thousandths: Option<u64>,
    /// How long it takes for a query, in microseconds.
    pub avg_query_time_us: Option<u64>,
    /// Queries that it serves in a minute, in thousandths.
    pub queries_per_minute_thousandths: Option<u64>,
}

impl Details {
    /// Hears a header of the answer.
    pub fn hear(&mut self, name: &str, value: &[u8]) {
        if name == "api-version"
            && let Ok(version) = str::from_utf8(value)
        {
            self.api_version = Said::of_text(version).text();
        }
    }

    /// Takes what this check did not hear of from an older one: a backend that is down says nothing of its versions.
    #[must_use]
    pub fn or(self, older: Self) -> Self {
        Self {
            http_status: self.http_status,
            error: self.error,
            parts_down: self.parts_down,
            api_version: self.api_version.or(older.api_version),
            core_version: self.core_version.or(older.core_version),
            version: self.version.or(older.version),
            last_index_update: self.last_index_update.or(older.last_index_update),
            quota_reset_time: self.quota_reset_time.or(older.quota_reset_time),
            quota_remaining: self.quota_remaining.or(older.quota_remaining),
            knowledge_base_size: self.knowledge_base_size.or(older.knowledge_base_size),
            relationship_count: self.relationship_count.or(older.relationship_count),
            memory_usage_mb: self.memory_usage_mb.or(older.memory_usage_mb),
            cpu_usage_thousandths: self.cpu_usage_thousandths.or(older.cpu_usage_thousandths),
            disk_usage_thousandths: self.disk_usage_thousandths.or(older.disk_usage_thousandths),
            avg_query_time_us: self.avg_query_time_us.or(older.avg_query_time_us),
            queries_per_minute_thousandths: self
                .queries_per_minute_thousandths
                .or(older.queries_per_minute_thousandths),
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(160);
        out.u8(LAYOUT).u16(self.http_status.unwrap_or_default());
        let texts = [
            &self.error,
            &self.api_version,
            &self.core_version,
            &self.version,
            &self.last_index_update,
            &self.quota_reset_time,
        ];
        for text in texts {
            out.text(text.as_deref().unwrap_or_default());
        }
        let numbers = [
            self.quota_remaining,
            self.knowledge_base_size,
            self.relationship_count,
            self.memory_usage_mb,
            self.cpu_usage_thousandths,
            self.disk_usage_thousandths,
            self.avg_query_time_us,
            self.queries_per_minute_thousandths,
        ];
        for number in numbers {
            out.u64(number.unwrap_or(NONE));
        }
        for part in self.parts_down.iter().take(MOST_PARTS) {
            out.text(part);
        }
        // No part has an empty name: it ends the list.
        out.text("");
        out.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        if from.u8()? != LAYOUT {
            return None;
        }
        let http_status = Some(from.u16()?).filter(|&status| status != 0);
        let mut text = || Some(Some(from.text()?).filter(|text| !text.is_empty()).map(Into::into));
        let (error, api_version, core_version, version) = (text()?, text()?, text()?, text()?);
        let (last_index_update, quota_reset_time) = (text()?, text()?);
        let mut number = || Some(Some(from.u64()?).filter(|&number| number != NONE));
        let mut details = Self {
            http_status,
            error,
            api_version,
            core_version,
            version,
            last_index_update,
            quota_reset_time,
            quota_remaining: number()?,
            knowledge_base_size: number()?,
            relationship_count: number()?,
            memory_usage_mb: number()?,
            cpu_usage_thousandths: number()?,
            disk_usage_thousandths: number()?,
            avg_query_time_us: number()?,
            queries_per_minute_thousandths: number()?,
            parts_down: Vec::new(),
        };
        loop {
            match from.text()? {
                "" => return Some(details),
                part => details.parts_down.push(part.into()),
            }
        }
    }
}
