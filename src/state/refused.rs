//! The configuration that Envoy was given last and that this module refused, for operators: Envoy goes on with the one
//! before it, and where nobody reads its log, nobody notices.
//!
//! Envoy tries a configuration in a VM that it makes for that alone. That VM knows of no router, but has its shared data:
//! it notes what is wrong, and the leader adds under which configuration that came to light. So it ends with the next
//! configuration that is accepted, and not when Envoy makes one of its VMs anew.

use super::store::{Store, StoreError, update};
use crate::domain::{Decoder, Encoder, Timestamp};

const KEY: &str = "llm-router/1/refused-configuration";

/// The layout's version.
const VERSION: u8 = 1;

/// Bytes of what is told of its mistakes.
const MOST: usize = 4 << 10;

/// A configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedConfiguration {
    /// When.
    pub at: Timestamp,
    /// What is wrong with it, a line each.
    pub errors: Box<str>,
    /// What was at work then and went on; none until the leader has seen it.
    instead: Option<u64>,
}

impl RefusedConfiguration {
    /// Whether it is later than the configuration that has this fingerprint and is at work.
    pub fn is_newer_than(&self, configuration: u64) -> bool {
        self.instead.is_none_or(|instead| instead == configuration)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(32 + self.errors.len());
        out.u8(VERSION).time(self.at).u8(self.instead.is_some().into()).u64(self.instead.unwrap_or(0));
        out.text(&self.errors);
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Decoder::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let (at, is_known, instead) = (from.time()?, from.u8()? != 0, from.u64()?);
        Some(Self { at, errors: from.text()?.into(), instead: is_known.then_some(instead) })
    }
}

/// Takes note of a configuration that is refused.
pub fn note_refused(store: &impl Store, errors: &str, now: Timestamp) -> Result<(), StoreError> {
    let end = (0..=MOST.min(errors.len())).rev().find(|&end| errors.is_char_boundary(end)).unwrap_or(0);
    let mut kept = errors.get(..end).unwrap_or_default().to_owned();
    if kept.len() < errors.len() {
        kept.push('…');
    }
    let refused = RefusedConfiguration { at: now, errors: kept.into(), instead: None };
    update(store, KEY, |_| (Some(refused.encode()), ()))
}

/// The last one that was refused since Envoy's start.
pub fn last_refused(store: &impl Store) -> Result<Option<RefusedConfiguration>, StoreError> {
    Ok(store.get(KEY)?.and_then(|(bytes, _)| RefusedConfiguration::decode(&bytes)))
}

/// Notes which configuration is at work instead, where that is not known yet. Returns whether the last one that Envoy was
/// given was refused.
pub fn settle_refused(store: &impl Store, configuration: u64) -> Result<bool, StoreError> {
    let Some(refused) = last_refused(store)? else { return Ok(false) };
    if refused.instead.is_some() {
        return Ok(refused.is_newer_than(configuration));
    }
    update(store, KEY, |bytes| {
        let refused = bytes.and_then(RefusedConfiguration::decode).filter(|refused| refused.instead.is_none());
        (refused.map(|refused| RefusedConfiguration { instead: Some(configuration), ..refused }.encode()), true)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::MemoryStore;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn it_is_news_until_another_configuration_is_at_work() {
        let store = MemoryStore::default();
        let is_news = |configuration| settle_refused(&store, configuration).expect("read");
        assert!(!is_news(7));
        note_refused(&store, "a: wrong", at(1)).expect("noted");
        let refused = last_refused(&store).expect("read").expect("one");
        assert!(refused.is_newer_than(7) && refused.is_newer_than(8), "it is not known yet what is at work");
        assert_eq!((&*refused.errors, refused.at), ("a: wrong", at(1)));
        // Whoever is made anew with it finds it still, and after the next configuration nobody does.
        assert_eq!([is_news(7), is_news(7), is_news(8), is_news(7)], [true, true, false, true]);
        note_refused(&store, "b: wrong", at(2)).expect("noted");
        assert_eq!([is_news(8), is_news(8), is_news(7)], [true, true, false]);
        assert_eq!(&*last_refused(&store).expect("read").expect("one").errors, "b: wrong");
    }

    #[test]
    fn of_many_mistakes_the_first_are_kept() {
        let store = MemoryStore::default();
        for (errors, expected) in [
            ("x".repeat(MOST), "x".repeat(MOST)),
            ("x".repeat(MOST + 1), format!("{}…", "x".repeat(MOST))),
            (format!("{}ä", "x".repeat(MOST - 1)), format!("{}…", "x".repeat(MOST - 1))),
            (String::new(), String::new()),
        ] {
            note_refused(&store, &errors, at(1)).expect("noted");
            assert_eq!(&*last_refused(&store).expect("read").expect("one").errors, expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_one_or_none(bytes: Vec<u8>, ours: bool) {
            let bytes = if ours { [&[VERSION][..], &bytes].concat() } else { bytes };
            if let Some(read) = RefusedConfiguration::decode(&bytes) {
                prop_assert_eq!(RefusedConfiguration::decode(&read.encode()), Some(read.clone()));
            }
        }
    }
}
