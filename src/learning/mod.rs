//! Small numeric kernels. Each takes the time as an argument and fits into a record of a few bytes.

mod mean;
mod peak_ewma;
mod sketch;
mod window;

pub use mean::Mean;
pub use peak_ewma::PeakEwma;
pub use sketch::Sketch;
pub use window::Window;
