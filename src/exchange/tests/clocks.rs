//! The wall clock is set while requests come: only what goes by the calendar follows it.

use serde_json::json;

use super::budget::{goes_to, one};
use super::*;
use crate::domain::Calendar;

const HOUR: i64 = 3_600;

impl Rig {
    /// Sets the wall clock so many seconds ahead of the true time, or behind it; the next tick sees it.
    fn set_clock(&mut self, seconds: i64) {
        self.world.ahead.set(seconds * 1_000_000);
        self.view.set_calendar(Calendar::at(self.world.now(), self.world.date()));
        self.view.refresh(&self.world, self.world.now()).expect("refreshed");
    }
}

#[test]
fn a_rate_holds_whatever_the_wall_clock_does() {
    for steps in [[-HOUR, 0], [HOUR, 0], [-30, 30], [24 * HOUR, -24 * HOUR], [1, -1]] {
        let mut rig = Rig::new(&json!({ "backend_instances": { "a": { "max_requests_per_minute": 20 } } }));
        let mut served = 0;
        for step in [0, steps[0], steps[1]] {
            rig.set_clock(step);
            served += (0..30).filter(|_| goes_to(&mut rig, &[]) == "a").count();
            rig.world.pass_seconds(10);
        }
        assert_eq!(served, 20, "{steps:?}");
        rig.world.pass_seconds(61);
        assert_eq!(goes_to(&mut rig, &[]), "a");
    }
}

#[test]
fn a_budget_begins_anew_when_the_wall_clock_says_so_and_says_when_that_is() {
    // The world begins at second 1,000 of its hour.
    for (ahead, wait) in [(0, 2_600), (600, 2_000), (-900, 3_500), (HOUR, 2_600)] {
        let mut rig = one(&json!({ "hourly_budget_usd": 0.1 }));
        rig.set_clock(ahead);
        while goes_to(&mut rig, &[]) == "a" {}
        let refused = rig.send(&mut Exchange::default(), &[], CHAT);
        assert!(matches!(refused, Flow::Refuse(refusal) if refusal.retry_after_seconds() == Some(wait)), "{ahead}");
        rig.world.pass_seconds(wait - 1);
        rig.set_clock(ahead);
        assert_ne!(goes_to(&mut rig, &[]), "a", "{ahead}");
        rig.world.pass_seconds(1);
        rig.set_clock(ahead);
        assert_eq!(goes_to(&mut rig, &[]), "a", "{ahead}");
    }
}

#[test]
fn durations_are_those_that_passed_though_the_clock_was_set_meanwhile() {
    for ahead in [HOUR, -HOUR, 20] {
        let mut rig = Rig::three();
        let mut exchange = Exchange::default();
        rig.send(&mut exchange, &[], CHAT);
        rig.world.pass_seconds(2);
        rig.set_clock(ahead);
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
        assert_eq!(rig.record("a").response_time.parts().0, 2 * SECOND);
    }
}
