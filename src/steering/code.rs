//! The document as bytes: a version, and then one thing after the other, each with a tag.

use super::discovered::Discovered;
use super::document::{Choice, Document, Drain, Fingerprint, Override, WeightOverride};
use crate::config::Strategy;
use crate::domain::{Decoder, Encoder, Weight};

const VERSION: u8 = 1;

const STRATEGY: u8 = 1;
const SET: u8 = 2;
const REMOVED: u8 = 3;
const WEIGHT: u8 = 4;
const DRAIN: u8 = 5;
const DISCOVERED: u8 = 6;
const LEAVING: u8 = 7;

impl Document {
    /// Reads one. What cannot be read is no change at all: requests go on as configured.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        read(bytes).unwrap_or_default()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(64);
        out.u8(VERSION);
        if let Some(Choice { strategy, instead_of }) = self.strategy {
            out.u8(STRATEGY).text(strategy.name()).text(instead_of.name());
        }
        for Discovered { id, cluster, body, leaving } in &self.discovered {
            out.u8(if *leaving { LEAVING } else { DISCOVERED }).text(id).text(cluster).text(body);
        }
        for Override { id, instead_of, body } in &self.backends {
            out.u8(if body.is_some() { SET } else { REMOVED }).text(id).u64(instead_of.0);
            if let Some(body) = body {
                out.text(body);
            }
        }
        for WeightOverride { id, instead_of, weight } in &self.weights {
            // No weight is 0.
            let instead_of = instead_of.map_or(0, Weight::thousandths);
            out.u8(WEIGHT).text(id).u32(instead_of).u32(weight.thousandths());
        }
        for Drain { id, reason, since, by } in &self.drains {
            out.u8(DRAIN).text(id).text(reason).time(*since).text(by);
        }
        out.finish()
    }
}

fn read(bytes: &[u8]) -> Option<Document> {
    let mut from = Decoder::new(bytes);
    let mut document = Document::default();
    if from.u8()? != VERSION {
        return None;
    }
    while !from.is_empty() {
        match from.u8()? {
            STRATEGY => {
                let (strategy, instead_of) = (Strategy::from_name(from.text()?)?, Strategy::from_name(from.text()?)?);
                document.strategy = Some(Choice { strategy, instead_of });
            }
            tag @ (SET | REMOVED) => {
                let (id, instead_of) = (from.text()?.into(), Fingerprint(from.u64()?));
                let body = if tag == SET { Some(from.text()?.into()) } else { None };
                document.backends.push(Override { id, instead_of, body });
            }
            WEIGHT => {
                let (id, instead_of, weight) = (from.text()?.into(), from.u32()?, from.u32()?);
                let instead_of = (instead_of > 0).then(|| Weight::from_thousandths(instead_of));
                document.weights.push(WeightOverride { id, instead_of, weight: Weight::from_thousandths(weight) });
            }
            DRAIN => {
                let (id, reason, since) = (from.text()?.into(), from.text()?.into(), from.time()?);
                document.drains.push(Drain { id, reason, since, by: from.text()?.into() });
            }
            tag @ (DISCOVERED | LEAVING) => {
                let (id, cluster, body) = (from.text()?.into(), from.text()?.into(), from.text()?.into());
                document.discovered.push(Discovered { id, cluster, body, leaving: tag == LEAVING });
            }
            _ => return None,
        }
    }
    Some(document)
}
