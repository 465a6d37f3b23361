//! The shared map, as far as this house needs it.

/// The version of a value that was read: what a compare-and-swap compares.
pub type Cas = u32;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreError {
    /// Others changed the value each time between reading and writing it.
    #[error("others changed the value at every attempt")]
    Contended,
    /// The host said no.
    #[error("the host refused access to shared data")]
    Host,
}

/// A map of bytes that all workers share.
///
/// As in Envoy's shared data, writing to a key that does not exist always succeeds: keys are created once, while the
/// configuration is loaded, before any worker serves a request.
pub trait Store {
    /// The value of `key` and its version, if there is one.
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Cas)>, StoreError>;

    /// Replaces the value if its version is still `cas`; false if it is not. Without a `cas`, replaces it in any case.
    fn set(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<bool, StoreError>;
}

/// How often a change is tried again when another worker was faster. Two workers collide within about a microsecond,
/// so that even 64 busy ones do not come near this bound.
const ATTEMPTS: usize = 32;

/// Reads the value of `key`, lets `change` make the new one (or none, to leave it), and writes that unless somebody
/// else did so in between; then all of it is done again. Returns what the last `change` returned besides.
pub fn update<S: Store + ?Sized, T>(
    store: &S,
    key: &str,
    mut change: impl FnMut(Option<&[u8]>) -> (Option<Vec<u8>>, T),
) -> Result<T, StoreError> {
    for _ in 0..ATTEMPTS {
        let before = store.get(key)?;
        let (bytes, cas) = match &before {
            Some((bytes, cas)) => (Some(bytes.as_slice()), Some(*cas)),
            None => (None, None),
        };
        let (after, result) = change(bytes);
        match after {
            None => return Ok(result),
            Some(after) if store.set(key, &after, cas)? => return Ok(result),
            Some(_) => {}
        }
    }
    Err(StoreError::Contended)
}
