//! Decisions as bytes: some hundred for each backend, all of them numbers and texts.

use std::borrow::Cow;
use std::time::Duration;

use super::{Decision, Excluded, Finding, Standing, Text, Upshot};
use crate::config::MOST_BACKENDS;
use crate::cost::Bill;
use crate::domain::{Decoder, Encoder, PerMille, PicoUsd, Timestamp, Tokens, Usage};
use crate::routing::{Estimate, MAX_ATTEMPTS};
use crate::state::Load;

/// Of this layout; another one is not read.
const VERSION: u64 = 4;

impl Decision {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(128 + 128 * self.findings.len());
        out.number(VERSION).number(self.id).number(self.at.as_micros());
        out.text(&self.request_id).text(&self.strategy).text(&self.api);
        out.number(self.input.0)
            .number(self.panics.into())
            .number(self.explores.into())
            .number(self.confidence.get().into());
        out.list(&self.attempts, |out, &attempt| _ = out.number(attempt.into()));
        out.list(&self.findings, |out, finding| finding.encode(out));
        out.finish()
    }

    /// None where these are bytes of something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Decoder::new(bytes);
        if from.number()? != VERSION {
            return None;
        }
        let (id, at) = (from.number()?, Timestamp::from_micros(from.number()?));
        let (request_id, strategy, api) = (text(from)?, text(from)?, text(from)?);
        let (input, panics, explores) = (Tokens(from.number()?), from.number()? == 1, from.number()? == 1);
        let confidence = share(from.number()?);
        let attempts = from.list(MAX_ATTEMPTS, |from| u16::try_from(from.number()?).ok())?;
        let findings = from.list(MOST_BACKENDS, Finding::decode)?;
        Some(Self { id, at, request_id, strategy, api, input, panics, explores, confidence, attempts, findings })
    }
}

impl Finding {
    fn encode(&self, out: &mut Encoder) {
        let Estimate { input, cached_input, output: answer, cost } = self.estimate;
        out.text(&self.id).text(&self.cluster).number(input.0).number(cached_input.0);
        out.number(answer.0).number(cost.0).number(self.response_time.as_micros() as u64);
        out.number(self.quality.get().into()).number(self.health.get().into());
        out.number(self.load.requests.into()).number(self.load.tokens.0);
        // A number of its own for none: one above.
        out.number(self.headroom.map_or(0, |share| u64::from(share.get()) + 1));
        out.text(self.breaker.as_deref().unwrap_or_default()).number(self.is_eligible().into());
        match &self.verdict {
            Ok(Standing { probe, part, ranked_by, score, exploration, terms }) => {
                out.number((*probe).into()).number(part.get().into()).text(ranked_by).number(score.to_bits());
                out.number(exploration.to_bits());
                out.list(terms, |out, (term, value)| _ = out.text(term).number(value.to_bits()));
            }
            Err(Excluded { by, reason, retry_at }) => {
                out.text(by).text(reason).number(retry_at.map_or(0, Timestamp::as_micros));
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let (id, cluster) = (text(from)?, text(from)?);
        let (input, cached_input) = (Tokens(from.number()?), Tokens(from.number()?));
        let (output, cost) = (Tokens(from.number()?), PicoUsd(from.number()?));
        let estimate = Estimate { input, cached_input, output, cost };
        let response_time = Duration::from_micros(from.number()?);
        let (quality, health) = (share(from.number()?), share(from.number()?));
        let load = Load { requests: u32::try_from(from.number()?).ok()?, tokens: Tokens(from.number()?) };
        let headroom = from.number()?.checked_sub(1).map(share);
        let breaker = Some(text(from)?).filter(|phase| !phase.is_empty());
        let verdict = if from.number()? == 1 {
            let (probe, part) = (from.number()? == 1, share(from.number()?));
            let (ranked_by, score) = (text(from)?, f64::from_bits(from.number()?));
            let exploration = f64::from_bits(from.number()?);
            let terms = from.list(usize::MAX, |from| Some((text(from)?, f64::from_bits(from.number()?))))?;
            Ok(Standing { probe, part, ranked_by, score, exploration, terms })
        } else {
            let (by, reason, retry_at) = (text(from)?, text(from)?, from.number()?);
            Err(Excluded { by, reason, retry_at: Some(retry_at).filter(|&at| at > 0).map(Timestamp::from_micros) })
        };
        Some(Self { id, cluster, estimate, response_time, quality, health, load, headroom, breaker, verdict })
    }
}

impl Upshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(96);
        out.number(self.status.into()).number(self.response_time.as_micros() as u64);
        out.number(self.attempts_made.into()).text(&self.answered_by).text(&self.ending);
        if let Some(Bill { usage: Usage { input, cached_input, output: answer }, cost, estimated }) = self.bill {
            out.number(input.0).number(cached_input.0).number(answer.0).number(cost.0).number(estimated.into());
        }
        out.finish()
    }

    /// None where these are bytes of something else, or none at all.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Decoder::new(bytes);
        let (status, response_time) = (u16::try_from(from.number()?).ok()?, Duration::from_micros(from.number()?));
        let attempts_made = u32::try_from(from.number()?).ok()?;
        let (answered_by, ending) = (text(from)?, text(from)?);
        let bill = if from.is_empty() {
            None
        } else {
            let (input, cached_input) = (Tokens(from.number()?), Tokens(from.number()?));
            let usage = Usage { input, cached_input, output: Tokens(from.number()?) };
            Some(Bill { usage, cost: PicoUsd(from.number()?), estimated: from.number()? == 1 })
        };
        Some(Self { status, response_time, attempts_made, answered_by, ending, bill })
    }
}

fn text(from: &mut Decoder<'_>) -> Option<Text> {
    from.text().map(|text| Cow::Owned(text.to_owned()))
}

fn share(thousandths: u64) -> PerMille {
    PerMille::new(u16::try_from(thousandths).unwrap_or(u16::MAX))
}
