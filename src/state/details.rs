//! What backends say of themselves, for operators: beside the records, which every worker reads at every tick.

use super::store::{Store, StoreError, update};
use crate::health::Details;

fn key(id: &str) -> String {
    format!("llm-router/1/details/{id}")
}

/// What a backend said of itself last.
pub fn details(store: &impl Store, id: &str) -> Details {
    let bytes = store.get(&key(id)).ok().flatten();
    bytes.and_then(|(bytes, _)| Details::decode(&bytes)).unwrap_or_default()
}

/// Writes what a backend says of itself, if that is news. The leader alone does, so that it may create the key. What an
/// answer that is not whole leaves out holds as it was.
pub fn note_details(store: &impl Store, id: &str, details: &Details, is_whole: bool) -> Result<(), StoreError> {
    update(store, &key(id), |bytes| {
        let known = bytes.and_then(Details::decode).unwrap_or_default();
        let next = if is_whole { details.clone() } else { details.clone().or(known.clone()) };
        ((known != next).then(|| next.encode()), ())
    })
}
