//! How much room a backend should have: the signal for an autoscaler.
//!
//! The unit is requests at once, not a share of what there is: whoever scales divides it by what one replica takes at once,
//! and need not know how many there are. It cannot run away either, for it follows the requests that are there (those that
//! wait are `queue.size` at most), times two and a half at most.
//!
//! ```text
//!   wanted = (under way + waiting) / 0.8 · strain    strain = fullness / 0.8 or slowness, whichever is more; 1 to 2
//! ```
//!
//! A request that waits for a place would be under way if there were room, so it counts as one; of several backends that may
//! serve it each has its part, so that all of them together are asked for it once.
//!
//! Requests come in fits and replicas start slowly. So it is the mean of some ten seconds that counts; more than is shown is
//! shown at once, less only bit by bit over minutes.

use std::time::Duration;

use crate::domain::{Backend, Timestamp};
use crate::exchange::Router;
use crate::host::Host;
use crate::metrics::Metric;
use crate::state::{Place, Record, Ticket, View};

/// How full a backend should be: the rest is room for what comes next.
const FULLNESS: f64 = 0.8;

/// However full or slow it is, it does not need more than so many times the room that its requests take.
const MOST_STRAIN: f64 = 2.0;

/// Over which time requests under way are averaged.
const MEAN: Duration = Duration::from_secs(10);

/// How long it takes until a need that is gone is shown at 37 %.
const RELEASE: Duration = Duration::from_secs(120);

/// Who has not looked for this long takes over what others have shown meanwhile.
const ABSENCE: Duration = Duration::from_secs(5);

/// Less than this is nothing: what is left of a need that is gone.
const NOTHING: f64 = 0.05;

/// The need of each backend, by where its record lies: operators may change which ones there are.
#[derive(Debug, Default)]
pub(super) struct Scaling {
    needs: Vec<(Place, Need)>,
}

impl Scaling {
    /// Looks at all backends and shows what they need. Once a process, every 50 ms or so.
    pub(super) fn tick(
        &mut self,
        (router, view): (&Router, &View),
        host: &impl Host,
        waiting: &[Ticket],
        now: Timestamp,
    ) {
        let waiting = parts(router, waiting);
        for (index, backend, place) in router.places() {
            let known = self.needs.iter().position(|(known, _)| *known == place).unwrap_or_else(|| {
                self.needs.push((place, Need::default()));
                self.needs.len() - 1
            });
            let Some((_, need)) = self.needs.get_mut(known) else { continue };
            let metric = Metric::DesiredCapacity(index);
            if need.is_stale(now) {
                *need = Need::from(host.read(metric).unwrap_or(0));
            }
            let mut load = Load::of(backend, view.record(place), now);
            load.waiting = waiting.get(index.get()).copied().unwrap_or_default();
            let shown = need.follow(wanted(&load), now);
            host.record(metric, shown);
        }
    }
}

/// Of each backend the requests that wait for it, one that waits for several in equal parts.
fn parts(router: &Router, waiting: &[Ticket]) -> Vec<f64> {
    // Nearly always nobody waits.
    if waiting.is_empty() {
        return Vec::new();
    }
    let backends = &router.config().backends;
    let mut parts = vec![0.0; backends.len()];
    for ticket in waiting {
        let meant = || backends.iter().zip(0_usize..).filter(|(backend, _)| ticket.backends.has(backend));
        let share = 1.0 / meant().count().max(1) as f64;
        for (_, n) in meant() {
            if let Some(part) = parts.get_mut(n) {
                *part += share;
            }
        }
    }
    parts
}

/// How a backend stands at one moment.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Requests under way.
    requests: u32,
    /// Its part of the requests that wait.
    waiting: f64,
    /// The share that is taken of what it may have under way, where that is known.
    fullness: Option<f64>,
    /// How long an answer takes, as a multiple of what is expected; none without answers.
    slowness: Option<f64>,
}

impl Load {
    fn of(backend: &Backend, record: &Record, now: Timestamp) -> Self {
        let load = record.load();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let of_requests = backend.max_concurrent_requests.map(|most| share(load.requests.into(), most.into()));
        let of_tokens = record.capacity.tokens(now).map(|most| share(load.tokens.0, most.0));
        let expected = backend.expected_response_time.as_millis() as u64;
        Self {
            requests: load.requests,
            waiting: 0.0,
            fullness: [of_requests, of_tokens].into_iter().flatten().reduce(f64::max),
            slowness: record.response_times.quantile(500).map(|median| share(median, expected)),
        }
    }
}

/// The requests at once that a backend under this load should have room for.
fn wanted(load: &Load) -> f64 {
    let fullness = load.fullness.map_or(1.0, |fullness| fullness / FULLNESS);
    let strain = fullness.max(load.slowness.unwrap_or(1.0)).clamp(1.0, MOST_STRAIN);
    (f64::from(load.requests) + load.waiting) / FULLNESS * strain
}

/// A need as it is shown: quick to grow, slow to shrink.
#[derive(Debug, Clone, Copy, Default)]
struct Need {
    mean: f64,
    held: f64,
    /// When it was last looked at.
    at: Option<Timestamp>,
}

impl From<u64> for Need {
    /// One that another worker has shown so far.
    fn from(shown: u64) -> Self {
        Self { mean: 0.0, held: shown as f64, at: None }
    }
}

impl Need {
    fn is_stale(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| now.since(at) > ABSENCE)
    }

    fn follow(&mut self, wanted: f64, now: Timestamp) -> u64 {
        let gone = self.at.map_or(0.0, |at| now.since(at).as_secs_f64());
        let step = |over: Duration| gone / (over.as_secs_f64() + gone);
        self.mean += (wanted - self.mean) * step(MEAN);
        self.held += (self.mean - self.held) * if self.mean > self.held { 1.0 } else { step(RELEASE) };
        self.at = Some(now);
        (self.held - NOTHING).ceil().max(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDLE: Load = Load { requests: 0, waiting: 0.0, fullness: None, slowness: None };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    /// What is shown every 50 ms while `requests` says how many are under way.
    fn shown(need: &mut Need, seconds: std::ops::Range<u64>, requests: impl Fn(u64) -> u32) -> Vec<u64> {
        let ticks = seconds.start * 20..seconds.end * 20;
        ticks.map(|tick| need.follow(wanted(&Load { requests: requests(tick), ..IDLE }), at(tick * 50))).collect()
    }

    #[test]
    fn a_backend_should_be_four_fifths_full() {
        assert!((wanted(&Load { requests: 8, ..IDLE }) - 10.0).abs() < 1e-9);
        let well = Load { fullness: Some(0.8), slowness: Some(0.9), requests: 8, ..IDLE };
        assert!((wanted(&well) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn one_that_is_full_or_slow_needs_more_but_never_without_bound() {
        let needs = |fullness, slowness| wanted(&Load { requests: 8, fullness, slowness, ..IDLE });
        assert!((needs(Some(1.0), None) - 12.5).abs() < 1e-9);
        assert!((needs(None, Some(1.5)) - 15.0).abs() < 1e-9, "where no limit is known, it goes by the time alone");
        assert!((needs(Some(1.0), Some(1.1)) - 12.5).abs() < 1e-9, "the worse of both, not both");
        assert!((needs(Some(50.0), Some(1e9)) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn what_waits_counts_as_what_is_under_way() {
        for (requests, waiting, room) in [(8, 8.0, 20.0), (8, 0.5, 10.625), (0, 4.0, 5.0)] {
            assert!((wanted(&Load { requests, waiting, ..IDLE }) - room).abs() < 1e-9, "{requests} {waiting}");
        }
        let full = Load { requests: 8, waiting: 16.0, fullness: Some(1.0), slowness: None };
        assert!((wanted(&full) - 37.5).abs() < 1e-9);
    }

    #[test]
    fn a_step_of_load_is_shown_within_half_a_minute() {
        let mut need = Need::default();
        shown(&mut need, 0..60, |_| 4);
        let rise = shown(&mut need, 60..90, |_| 40);
        assert!(rise.is_sorted() && rise[0] < 10 && (47..=50).contains(rise.last().unwrap()), "{rise:?}");
    }

    #[test]
    fn load_that_comes_in_fits_does_not_make_it_flap() {
        let mut need = Need::default();
        let bursts = |tick: u64| if (tick / 100).is_multiple_of(2) { 40 } else { 0 };
        shown(&mut need, 0..120, bursts);
        let later = shown(&mut need, 120..600, bursts);
        let (least, most) = (later.iter().min().unwrap(), later.iter().max().unwrap());
        assert!(*least >= 25 && *most <= 32 && most - least <= 2, "{least}..={most}");
    }

    #[test]
    fn when_the_load_is_gone_it_goes_back_slowly_down_to_nothing() {
        let mut need = Need::default();
        shown(&mut need, 0..60, |_| 40);
        let fall = shown(&mut need, 60..1_500, |_| 0);
        assert!(fall.is_sorted_by(|earlier, later| earlier >= later));
        assert!(fall[20 * 30] > 38, "after half a minute most of it is still there: {}", fall[20 * 30]);
        assert!((15..25).contains(&fall[20 * 130]), "{}", fall[20 * 130]);
        assert_eq!(fall.last(), Some(&0));
    }

    #[test]
    fn another_leader_goes_on_from_what_was_shown() {
        let mut need = Need::from(50);
        assert!(need.is_stale(at(0)));
        assert_eq!(need.follow(0.0, at(0)), 50);
        assert!((48..=50).contains(&need.follow(0.0, at(1_000))));
        assert!(!need.is_stale(at(2_000)) && need.is_stale(at(7_000)));
    }

    proptest! {
        #[test]
        fn however_the_clock_is_set_it_stays_within_what_was_wanted(
            looks in prop::collection::vec((0..1_000_000_u64, 0..100_u32), 1..100)
        ) {
            let mut need = Need::default();
            for &(ms, requests) in &looks {
                let load = Load { requests, ..IDLE };
                prop_assert!(need.follow(wanted(&load), at(ms)) <= 125);
            }
            // It can always go on: the clock runs, and what is wanted is shown.
            let last = looks.last().unwrap().0;
            let shown = shown(&mut need, last / 1_000 + 1..last / 1_000 + 100, |_| 80);
            prop_assert!((100..=125).contains(shown.last().unwrap()), "{:?}", shown.last());
        }
    }
}
