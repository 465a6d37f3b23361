//! What operators see and do: the control API.
//!
//! ```text
//!   headers ──► call: which endpoint, may it? ──► session: the body, bounded ──► api: the answer
//! ```
//!
//! It has nothing of its own: it reads the view of the worker that it runs on and the configuration at work there, and
//! what it changes it changes in the shared records, from which all workers take it at their next tick. So any worker
//! answers, and all of them the same, give or take a tick.

mod alerts;
mod analytics;
mod api;
mod budget;
mod call;
mod dashboard;
mod decisions;
mod explain;
mod guard;
mod rehearse;
mod reply;
mod session;
mod show;
mod steer;
#[cfg(test)]
mod tests;
mod token;
mod traffic;
mod version;

use crate::json;
pub use guard::Guard;
pub use reply::Reply;
pub use session::{Flow, Session};
pub use token::Token;
