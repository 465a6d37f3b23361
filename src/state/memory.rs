//! The shared map as an ordinary one: for the native tool and the tests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::store::{Cas, Store, StoreError};

/// A [`Store`] in this process's memory, shareable between threads.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<HashMap<String, (Vec<u8>, Cas)>>);

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((old, version)) = map.get_mut(key) {
            if cas.is_some_and(|cas| cas != *version) {
                return Ok(false);
            }
            value.clone_into(old);
            *version = version.wrapping_add(1);
        } else {
            map.insert(key.to_owned(), (value.to_vec(), 1));
        }
        Ok(true)
    }
}
