//! What the headers of an answer say of its backend's quota: known long before the answer ends.

use super::record::Record;
use crate::domain::{QuotaReport, Timestamp, Tokens};
use crate::health::{Asker, Ended, Source};

/// What an answer's headers taught, as data: so that several can be written together, and tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// When they came.
    pub at: Timestamp,
    /// When the request departed.
    pub departed: Timestamp,
    /// What its backend's quota knew to have ended by then, if that is known: no more than had.
    pub departed_after: Option<Ended>,
    /// Whose request it was, where that matters.
    pub source: Option<Source>,
    /// The request's tokens.
    pub tokens: Tokens,
    /// What they say is left.
    pub report: QuotaReport,
    /// What the answer itself says.
    pub signal: Signal,
    /// Tokens in flight at the time, this request's among them; none if it was alone.
    pub crowd: Option<Tokens>,
}

/// Whether a backend was asked for too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// No.
    None,
    /// It refused: 429.
    Refused,
    /// It is overloaded, and says so: 529, or 503 with `retry-after`.
    SlowDown,
}

impl Record {
    /// Takes note of what an answer's headers say.
    pub fn notice(&mut self, notice: &Notice) {
        let &Notice { at, departed, departed_after, source, tokens, ref report, signal, crowd } = notice;
        let speaks_of_quotas = report.has_allowance() || self.quota.is_known(at);
        if report.has_allowance() {
            self.quota.tell(report, source, at);
        }
        self.quota.note(report, tokens, departed_after, at);
        if signal == Signal::Refused {
            let asker = Asker { source, known: self.breaker.known(at) };
            self.quota.refuse(report, tokens, &asker, departed, at);
        }
        let is_full = match signal {
            Signal::None => false,
            Signal::Refused => !speaks_of_quotas,
            Signal::SlowDown => true,
        };
        // What is refused alone is not refused for its company.
        if let Some(in_flight) = crowd.filter(|_| is_full)
            && self.capacity.is_shown_by(&Asker { source, known: self.breaker.served_lately(at) }, at)
        {
            self.capacity.cut(in_flight, departed, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Allowance;
    use crate::health::{Ended, Pass, Verdict};
    use crate::routing::testing::{at, backend};
    use crate::state::{Leaving, MemoryStore, Outcome, Place, View};

    fn notice(signal: Signal, report: QuotaReport, crowd: Option<Tokens>) -> Notice {
        Notice {
            at: at(1),
            departed: at(0),
            departed_after: None,
            source: None,
            tokens: Tokens(10),
            report,
            signal,
            crowd,
        }
    }

    fn left(remaining: u64) -> QuotaReport {
        let requests = Some(Allowance { remaining, limit: None, resets: at(3_600) });
        QuotaReport { requests, ..QuotaReport::default() }
    }

    #[test]
    fn capacity_is_learned_where_quotas_are_not_told() {
        let (silent, full) = (QuotaReport::default(), Some(Tokens(1_000)));
        for (signal, report, crowd, expected) in [
            (Signal::None, silent, full, None),
            (Signal::Refused, silent, full, Some(Tokens(700))),
            (Signal::Refused, left(0), full, None),
            (Signal::Refused, silent, None, None),
            (Signal::SlowDown, silent, full, Some(Tokens(700))),
            (Signal::SlowDown, left(9), full, Some(Tokens(700))),
        ] {
            let mut record = Record::default();
            record.notice(&notice(signal, report, crowd));
            assert_eq!(record.capacity.tokens(at(1)), expected, "{signal:?} {report:?}");
            assert_eq!(record.quota.refused_until(at(1)).is_some(), signal == Signal::Refused);
            assert_eq!((record.window.len(), record.breaker), (0, crate::health::Breaker::default()));
        }
    }

    /// A request at the provider: whose it is, what it holds, and what the answer says once it was counted.
    type UnderWay = (usize, Ended, Pass, Option<u64>);

    proptest! {
        /// Four workers, whose views are as old as chance has it, share a quota that a first answer announced. However
        /// requests, answers and ticks mix, none is sent that the provider would refuse.
        #[test]
        fn a_quota_that_was_told_is_never_exceeded_by_all_workers_together(
            steps in prop::collection::vec((0..6_u8, 0..4_usize, any::<prop::sample::Index>()), 0..300), quota in 1_u64..30
        ) {
            let store = MemoryStore::default();
            let mut views: Vec<View> = (1..5).map(View::new).collect();
            let places: Vec<Place> = views.iter_mut().map(|view| view.place(&store, "a").expect("placed")).collect();
            let place = places[0];
            views[0].notice(&store, place, None, &notice(Signal::None, left(quota), None)).expect("written");
            let mut used = 0;
            let mut under_way: Vec<UnderWay> = Vec::new();
            for (event, worker, which) in steps {
                let some = (!under_way.is_empty()).then(|| which.index(under_way.len()));
                match (event, some) {
                    (0 | 1, _) => {
                        let admit = |record: &mut Record| {
                            let room = record.quota.room(&record.demand(Tokens(10)), at(2));
                            room.map(|_| record.breaker.unasked())
                        };
                        if let Ok(pass) = views[worker].enter(&store, place, at(2), Tokens(10), admit).expect("stored") {
                            let ended = views[worker].record(place).quota.ended();
                            under_way.push((worker, ended, pass, None));
                        }
                    }
                    (2, Some(n)) if under_way[n].3.is_none() => {
                        used += 1;
                        prop_assert!(used <= quota, "refused");
                        under_way[n].3 = Some(quota - used);
                    }
                    (3 | 4, Some(n)) => {
                        let (worker, ended, pass, remaining) = under_way.swap_remove(n);
                        let mut outcome = Outcome::new(&backend("a"), Some(pass), Verdict::Well, at(2));
                        if let Some(remaining) = remaining {
                            let said = Notice {
                                departed_after: Some(ended), ..notice(Signal::None, left(remaining), None)
                            };
                            views[worker].notice(&store, place, Some(Tokens(10)), &said).expect("written");
                        } else {
                            used += 1;
                            prop_assert!(used <= quota, "refused");
                            outcome.unreported = Some(Tokens(10));
                        }
                        let leaving = Leaving { tokens: Tokens(10), reported: remaining.is_some(), at_once: false };
                        views[worker].leave(&store, place, leaving, &outcome).expect("noted");
                    }
                    (5, _) => views[worker].refresh(&store, at(2)).expect("refreshed"),
                    _ => {}
                }
            }
        }
    }
}
