//! Small numeric kernels. Each takes the time as an argument and fits into a record of a few bytes.

mod evidence;
mod fast_failures;
mod lengths;
mod median;
mod peak_ewma;
mod sketch;
mod usual;
mod window;

pub use evidence::Evidence;
pub use fast_failures::FastFailures;
pub use lengths::{Expected, Length, Lengths, Pooled};
pub use median::Median;
pub use peak_ewma::PeakEwma;
pub use sketch::Sketch;
pub use usual::{Awaited, Usual, Wait};
pub use window::Window;
