//! How many tokens a text is, without a vocabulary.
//!
//! A tokenizer's vocabulary is megabytes, and each provider has its own; the module can carry none. What it carries is
//! an automaton over classes of bytes that follows roughly the pieces into which `o200k_base` cuts text (words, digits
//! by three, runs of punctuation, indentation, letters of each script), and for each of its steps, and for each pair of
//! neighbouring letters, how many tokens that step is worth on average: 25 kB in all, fitted on `corpus/train` by
//! `examples/fit_tokens.rs`. The estimate is a sum over bytes; on texts of 500 bytes and more it is within 1 to 5 % in
//! the mean for most kinds of text. `docs/tokens.md` has the model, the figures, and how to fit it again.
//!
//! What is left, a provider's own bias, is learned from its answers: [`Calibrations`].

mod automaton;
mod calibration;
mod calibrations;
mod counter;
mod model;

#[cfg(test)]
mod tests;

pub use calibration::Calibration;
pub use calibrations::{Calibrations, Pair};
pub use counter::Counter;

use crate::domain::Tokens;

/// The estimate for a body that nobody understood: one token for every four bytes, rounded up.
pub const fn by_size(bytes: u64) -> Tokens {
    Tokens(bytes.div_ceil(4))
}
