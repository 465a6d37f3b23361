//! Who is well enough to be asked.
//!
//! Five sources say so, each with a file of its own: how its answers ended ([`Breaker`]), whether anybody could use them
//! ([`Setup`]), what its provider says of its quota ([`Quota`], [`Capacity`]), how Envoy sees its hosts ([`Hosts`]), and
//! what the router's own checks found ([`Probes`]).

mod breaker;
mod capacity;
mod census;
mod checkup;
mod details;
mod gauge;
mod hosts;
mod probe;
mod quota;
mod said;
mod scope;
mod setup;

pub use breaker::{Breaker, BreakerPhase, Pass, Refused, Source, Transition, TripReason, Verdict, weight};
pub use capacity::Capacity;
pub use census::{Census, NotTheList, take_census};
pub use checkup::{Checkup, Component, Components, Condition, Form};
pub use details::Details;
pub use hosts::Hosts;
pub use probe::Probes;
pub use quota::{Asker, Demand, Ended, Quota, is_low};
pub use scope::Known;
pub use setup::{Setup, Unusable};
