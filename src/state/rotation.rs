//! Whose turn it is, over all workers.
//!
//! Turns that each worker takes by itself add up to the right shares only by luck. A turn here is one compare-and-swap
//! on a value that all workers share, so that shares are right in total, however requests fall to workers.

use super::store::{Store, StoreError, update};
use crate::domain::{Decoder, Encoder};

/// A number that every request takes one of: the state of all strategies that deal in shares, smooth ones excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Box<str>);

impl Default for Cursor {
    fn default() -> Self {
        Self("llm-router/1/cursor".into())
    }
}

impl Cursor {
    /// Creates the shared value unless it exists.
    pub fn create(&self, store: &impl Store) -> Result<(), StoreError> {
        update(store, &self.0, |bytes| (bytes.is_none().then(|| vec![0; 8]), ()))
    }

    /// Takes the next number.
    pub fn take(&self, store: &impl Store) -> Result<u64, StoreError> {
        update(store, &self.0, |bytes| {
            let number = bytes.and_then(|b| Decoder::new(b).u64()).unwrap_or(0);
            (Some(number.wrapping_add(1).to_le_bytes().to_vec()), number)
        })
    }
}

/// Smooth weighted round robin, as nginx does it: each turn every candidate gains its weight, the richest one is
/// chosen and pays the sum of all weights. Weights 5, 1, 1 give `a a b a c a a`, not `a a a a a b c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smooth {
    key: Box<str>,
    fingerprint: u64,
}

/// Rotations that are kept at once. Keys are for ever, and operators may change weights as often as they like.
const ROTATIONS: u64 = 16;

impl Smooth {
    /// The rotation over a set of backends, told apart by `fingerprint`: two configurations that overlap while one is
    /// swapped for the other do not confuse each other's places.
    pub fn new(fingerprint: u64) -> Self {
        Self { key: format!("llm-router/1/smooth/{}", fingerprint % ROTATIONS).into(), fingerprint }
    }

    /// Creates the shared value unless it exists.
    pub fn create(&self, store: &impl Store) -> Result<(), StoreError> {
        update(store, &self.key, |bytes| (bytes.is_none().then(Vec::new), ()))
    }

    /// Takes a turn among `candidates`, each a place (below `places`) and its weight; returns the position of the
    /// chosen one in `candidates`, or none if there is none.
    pub fn take(
        &self,
        store: &impl Store,
        places: usize,
        candidates: &(impl Iterator<Item = (usize, u32)> + Clone),
    ) -> Result<Option<usize>, StoreError> {
        update(store, &self.key, |bytes| {
            let mut credit = decode(bytes.unwrap_or_default(), self.fingerprint, places);
            let mut sum = 0_i64;
            let mut best: Option<(usize, usize, i64)> = None;
            for (position, (place, weight)) in candidates.clone().enumerate() {
                let Some(own) = credit.get_mut(place) else { continue };
                *own = own.saturating_add(i64::from(weight));
                sum += i64::from(weight);
                if best.is_none_or(|(_, _, most)| *own > most) {
                    best = Some((position, place, *own));
                }
            }
            let Some((position, place, _)) = best else { return (None, None) };
            if let Some(own) = credit.get_mut(place) {
                *own = own.saturating_sub(sum);
            }
            let mut out = Encoder::with_capacity(8 + 8 * places);
            out.u64(self.fingerprint);
            for own in credit {
                out.u64(own.cast_unsigned());
            }
            (Some(out.finish()), Some(position))
        })
    }
}

/// The credit of each place; none yet where the last turn was of another set of backends.
fn decode(bytes: &[u8], fingerprint: u64, places: usize) -> Vec<i64> {
    let mut reader = Decoder::new(bytes);
    if reader.u64() != Some(fingerprint) {
        return vec![0; places];
    }
    (0..places).map(|_| reader.u64().unwrap_or(0).cast_signed()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    #[test]
    fn numbers_are_taken_once_each_by_many_threads() {
        let (store, cursor) = (MemoryStore::default(), Cursor::default());
        cursor.create(&store).expect("created");
        if cfg!(target_family = "wasm") {
            return assert_eq!((cursor.take(&store), cursor.take(&store)), (Ok(0), Ok(1)));
        }
        let mut taken: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).filter_map(|_| cursor.take(&store).ok()).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("joined")).collect()
        });
        let tries = taken.len();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), tries);
    }

    #[test]
    fn turns_follow_the_weights_and_are_evenly_mixed() {
        let (store, smooth) = (MemoryStore::default(), Smooth::new(1));
        smooth.create(&store).expect("created");
        let weights = [(0, 5_000), (1, 1_000), (2, 1_000)];
        let turns: Vec<_> =
            (0..7).filter_map(|_| smooth.take(&store, 3, &weights.into_iter()).expect("a turn")).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn however_often_the_backends_change_there_are_few_keys_and_no_credit_of_others() {
        let store = MemoryStore::default();
        let take = |fingerprint| {
            let smooth = Smooth::new(fingerprint);
            smooth.create(&store).expect("created");
            smooth.take(&store, 2, &[(0, 2_000), (1, 1_000)].into_iter()).expect("a turn").expect("somebody")
        };
        let turns: Vec<_> = (0..1_000).flat_map(|n| [take(n), take(n), take(n)]).collect();
        assert!(turns.chunks(3).all(|turns| turns == [0, 1, 0]));
        let keys = (0..10_000).filter(|n| store.get(&format!("llm-router/1/smooth/{n}")).expect("read").is_some());
        assert_eq!(keys.count() as u64, ROTATIONS);
    }

    #[test]
    fn nobody_can_be_chosen_where_there_is_nobody() {
        let (store, smooth) = (MemoryStore::default(), Smooth::new(1));
        assert_eq!(smooth.take(&store, 3, &std::iter::empty()), Ok(None));
        assert_eq!(smooth.take(&store, 3, &std::iter::once((9, 1_000))), Ok(None));
    }
}
