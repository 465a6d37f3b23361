//! Names that arrive in pieces.

/// A short word that may arrive in pieces. A longer one is none of those that matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Default for Word {
    fn default() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }
}

impl Word {
    /// The longest that matters is a `response.….delta`.
    pub(super) const MAX: usize = 48;

    pub(super) fn push(&mut self, piece: &[u8]) {
        let end = self.len.saturating_add(piece.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(piece);
        }
        self.len = end;
    }

    pub(super) fn spoil(&mut self) {
        self.len = usize::MAX;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The word, or nothing if it was too long.
    pub(super) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
