//! Backends that come and go while there is work at them.

use super::*;

/// Backends a and b; then an operator removes b, where another worker has a request under way.
fn removed_while_another_is_busy_there() -> (Rig, Router, Leaving) {
    let mut rig = Rig::new(&json!({"backend_instances": {"a": {}, "b": {}}}));
    rig.run(100, None);
    let place = rig.other.place(&rig.world, "b").expect("placed");
    rig.other.enter_unasked(place, Tokens(5)).expect("entered");
    rig.run(200, None);
    let removed = rig.vm.router.steering().change(&rig.world, Change::Remove("b"));
    assert!(removed.expect("stored").is_ok());
    let before = rig.vm.follow(&rig.world).expect("another router");
    (rig, before, Leaving { tokens: Tokens(5), reported: false, at_once: true })
}

#[test]
fn a_backend_that_is_gone_is_watched_until_the_last_request_there_has_ended_on_whatever_worker() {
    let (mut rig, before, leaving) = removed_while_another_is_busy_there();
    let is_busy = |rig: &mut Rig| {
        rig.run(50, None);
        farewell(&before, &rig.vm.router, &mut rig.vm.view, &rig.world)
    };
    // Longer than what nobody has any more is read.
    for _ in 0..160 {
        assert!(is_busy(&mut rig));
    }
    let place = rig.other.place(&rig.world, "b").expect("placed");
    let outcome = Outcome::new(&backend("b"), None, Verdict::Well, rig.world.now());
    rig.other.leave(&rig.world, place, leaving, &outcome).expect("left");
    assert!(!is_busy(&mut rig));
}
