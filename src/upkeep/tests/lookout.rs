//! Envoy's picture of the hosts.

use super::*;

#[test]
fn what_envoy_knows_is_in_the_records_with_the_next_look() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(3_000, Some(3));
    assert_eq!((rig.available("a"), rig.available("b")), (1000, 1000));
    assert_eq!(rig.world.calls.borrow().len(), 3);
    rig.says(&picture(&["a"]));
    rig.run(1_050, Some(3));
    assert_eq!((rig.available("a"), rig.available("b")), (0, 1000));
    assert_eq!((rig.metric("backend_health.backend_id.unknown"), rig.metric("internal_errors")), (1000, 0));
    rig.says(&picture(&[]));
    rig.run(1_050, Some(3));
    assert_eq!(rig.available("a"), 1000);
    assert_eq!(rig.lines("hosts"), [LogLevel::Warn, LogLevel::Info]);
}

#[test]
fn a_picture_in_which_nothing_changed_is_seldom_written() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(2_000, Some(3));
    rig.world.written.take();
    rig.run(60_000, Some(3));
    let writes = rig.world.written.take().iter().filter(|key| key.contains("/backend/")).count();
    assert!((40..=62).contains(&writes), "{writes} for 2 backends and 60 looks");
    assert!(rig.record("a").hosts.is_valid(rig.world.now()));
}

#[test]
fn a_picture_ages_out_after_three_intervals_without_a_new_one() {
    for answered in [None, Some(0)] {
        let mut rig = Rig::new(&watching());
        rig.says(&picture(&["a"]));
        rig.run(3_000, Some(0));
        assert_eq!(rig.available("a"), 0);
        rig.says(&json!({"cluster_statuses": "?"}));
        rig.run(1_900, answered);
        assert_eq!(rig.available("a"), 0);
        rig.run(1_200, answered);
        assert_eq!(rig.available("a"), 1000);
        // It is said once, however long it lasts, and so is the end of it.
        rig.run(20_000, answered);
        assert_eq!(rig.lines("envoy_admin").len(), usize::from(answered.is_some()));
        assert_eq!(rig.metric("internal_errors_total.kind.envoy_admin") > 10, answered.is_some());
        rig.says(&picture(&["a"]));
        rig.run(8_000, Some(0));
        assert_eq!(rig.available("a"), 0);
        assert_eq!(rig.lines("envoy_admin").len(), 2 * usize::from(answered.is_some()));
    }
}

#[test]
fn an_answer_that_is_none_and_a_cluster_that_is_not_there_count_as_failures() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.vm.tick(&rig.world);
    let call = rig.world.calls.borrow()[0].id;
    rig.vm.hear(&rig.world, CallId(99), true);
    rig.vm.hear(&rig.world, call, false);
    rig.vm.hear(&rig.world, call, true);
    assert_eq!(rig.metric("kind.envoy_admin"), 1);
    rig.world.missing.set("admin");
    rig.run(5_000, Some(0));
    assert_eq!(rig.metric("kind.envoy_admin"), 5);
    rig.world.missing.set("");
    rig.world.call_status.set(403);
    rig.run(1_000, Some(0));
    assert_eq!(rig.metric("kind.envoy_admin"), 6);
    assert_eq!(rig.lines("envoy_admin"), [LogLevel::Warn]);
}

#[test]
fn a_large_list_is_fetched_in_pieces_and_one_beyond_all_measure_not_at_all() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(1_000, Some(0));
    // As text: a tree of it would take a hundred megabytes.
    let filler = json!({"name": "x", "host_statuses": [{"stats": vec![json!({"name": "rq_total"}); 40]}]});
    let others = format!("{filler},").repeat(2_000);
    let list =
        picture(&["a"]).to_string().replacen("\"cluster_statuses\":[", &format!("\"cluster_statuses\":[{others}"), 1);
    rig.world.call_body.replace(list.into_bytes());
    assert!(rig.world.call_body.borrow().len() > 1_500_000);
    rig.run(1_000, Some(0));
    assert_eq!((rig.available("a"), rig.world.largest_piece.get()), (0, 64 * 1024));
    rig.world.call_body.replace(vec![b' '; (32 << 20) + 1]);
    rig.world.largest_piece.set(0);
    rig.run(1_000, Some(0));
    assert_eq!((rig.metric("kind.envoy_admin"), rig.world.largest_piece.get()), (1, 0));
}

#[test]
fn news_that_could_not_be_written_is_written_after_the_next_look() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(1_000, Some(0));
    rig.says(&picture(&["a"]));
    rig.vm.tick(&rig.world);
    rig.world.unwritable.set(true);
    rig.vm.hear(&rig.world, CallId(1), true);
    assert!(rig.metric("shared_data") > 0 && rig.available("a") > 0);
    rig.world.unwritable.set(false);
    rig.run(1_050, Some(0));
    assert_eq!(rig.available("a"), 0);
}

#[test]
fn a_backend_that_is_registered_is_looked_for_at_once_and_not_taken_for_missing() {
    let mut rig = Rig::new(&watching());
    rig.says(&picture(&[]));
    rig.run(1_000, Some(0));
    rig.vm.tick(&rig.world);
    let looked = rig.world.calls.borrow().len();
    let old = rig.world.calls.borrow()[looked - 1].id;
    rig.vm.set(&rig.world, "other", &json!({}));
    rig.vm.hear(&rig.world, old, true);
    assert_eq!(rig.available("other"), 1000, "that list was not asked for it");
    rig.run(100, Some(0));
    let path = rig.world.calls.borrow().last().expect("a look").path.clone();
    assert!(path.ends_with("%5E%28a%7Cb%7Cother%29%24") && rig.world.calls.borrow().len() == looked + 1, "{path}");
    rig.vm.set(&rig.world, "nowhere", &json!({}));
    rig.run(100, Some(0));
    assert_eq!((rig.available("other"), rig.available("nowhere")), (1000, 0), "Envoy has no such cluster");
    // A change that is none of the clusters looks no sooner.
    let looked = rig.world.calls.borrow().len();
    rig.vm.set(&rig.world, "a", &json!({"weight": 5}));
    rig.run(500, Some(0));
    assert_eq!(rig.world.calls.borrow().len(), looked);
}
