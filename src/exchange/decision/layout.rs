//! Decisions as bytes: some hundred for each backend.

use std::borrow::Cow;
use std::time::Duration;

use super::{Decision, Excluded, Finding, Standing, Text, Upshot};
use crate::cost::Estimate;
use crate::domain::{Decoder, Encoder, PerMille, PicoUsd, Tokens, Usage};
use crate::state::Load;

/// Of this layout; another one is not read.
const VERSION: u8 = 1;

/// Where there is no share in thousandths.
const NONE: u16 = u16::MAX;

impl Decision {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(128 + 160 * self.findings.len());
        out.u8(VERSION).u64(self.id).time(self.at);
        out.text(&self.request_id).text(&self.strategy).text(&self.api).u64(self.input.0).u8(self.panics.into());
        out.u8(self.attempts.len() as u8);
        for &attempt in &self.attempts {
            out.u16(attempt);
        }
        out.u16(self.findings.len() as u16);
        for finding in &self.findings {
            finding.encode(&mut out);
        }
        out.finish()
    }

    /// None where these are bytes of something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Decoder::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let (id, at) = (from.u64()?, from.time()?);
        let (request_id, strategy, api) = (text(from)?, text(from)?, text(from)?);
        let (input, panics) = (Tokens(from.u64()?), from.u8()? == 1);
        let attempts = (0..from.u8()?).map(|_| from.u16()).collect::<Option<_>>()?;
        let findings = (0..from.u16()?).map(|_| Finding::decode(from)).collect::<Option<_>>()?;
        Some(Self { id, at, request_id, strategy, api, input, panics, attempts, findings })
    }
}

impl Finding {
    fn encode(&self, out: &mut Encoder) {
        let Estimate { input, output, cost } = self.estimate;
        out.text(&self.id).text(&self.cluster).u64(input.0).u64(output.0).u64(cost.0);
        out.u64(self.response_time.as_micros() as u64).u16(self.quality.get()).u16(self.health.get());
        out.u32(self.load.requests).u64(self.load.tokens.0);
        out.u16(self.headroom.map_or(NONE, PerMille::get)).text(self.breaker.as_deref().unwrap_or_default());
        match &self.verdict {
            Ok(Standing { probe, part, ranked_by, score, terms }) => {
                out.u8(1).u8((*probe).into()).u16(part.get()).text(ranked_by).f64(*score).u8(terms.len() as u8);
                for (term, value) in terms {
                    out.text(term).f64(*value);
                }
            }
            Err(Excluded { by, reason, retry_at }) => {
                out.u8(0).text(by).text(reason).time(retry_at.unwrap_or_default());
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (id, cluster) = (text(from)?, text(from)?);
        let estimate = Estimate { input: Tokens(from.u64()?), output: Tokens(from.u64()?), cost: PicoUsd(from.u64()?) };
        let response_time = Duration::from_micros(from.u64()?);
        let (quality, health) = (PerMille::new(from.u16()?), PerMille::new(from.u16()?));
        let load = Load { requests: from.u32()?, tokens: Tokens(from.u64()?) };
        let headroom = Some(from.u16()?).filter(|&share| share != NONE).map(PerMille::new);
        let breaker = Some(text(from)?).filter(|phase| !phase.is_empty());
        let verdict = if from.u8()? == 1 {
            let (probe, part) = (from.u8()? == 1, PerMille::new(from.u16()?));
            let (ranked_by, score) = (text(from)?, from.f64()?);
            let terms = (0..from.u8()?).map(|_| Some((text(from)?, from.f64()?))).collect::<Option<_>>()?;
            Ok(Standing { probe, part, ranked_by, score, terms })
        } else {
            let (by, reason, retry_at) = (text(from)?, text(from)?, from.time()?);
            Err(Excluded { by, reason, retry_at: Some(retry_at).filter(|at| at.as_micros() > 0) })
        };
        Some(Self { id, cluster, estimate, response_time, quality, health, load, headroom, breaker, verdict })
    }
}

impl Upshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(96);
        out.u16(self.status).u64(self.response_time.as_micros() as u64).u32(self.attempts_made);
        out.text(&self.answered_by).text(&self.ending).u8(self.usage.is_some().into());
        if let Some((Usage { input, cached_input, output: answer }, cost)) = self.usage {
            out.u64(input.0).u64(cached_input.0).u64(answer.0).u64(cost.0);
        }
        out.finish()
    }

    /// None where these are bytes of something else, or none at all.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Decoder::new(bytes);
        let (status, response_time, attempts_made) = (from.u16()?, Duration::from_micros(from.u64()?), from.u32()?);
        let (answered_by, ending) = (text(from)?, text(from)?);
        let usage = if from.u8()? == 1 {
            let (input, cached_input) = (Tokens(from.u64()?), Tokens(from.u64()?));
            Some((Usage { input, cached_input, output: Tokens(from.u64()?) }, PicoUsd(from.u64()?)))
        } else {
            None
        };
        Some(Self { status, response_time, attempts_made, answered_by, ending, usage })
    }
}

fn text(from: &mut Decoder<'_>) -> Option<Text> {
    from.text().map(|text| Cow::Owned(text.to_owned()))
}
