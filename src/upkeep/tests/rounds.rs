//! The router's own checks.

use super::*;
use crate::domain::Tokens;
use crate::health::{Component, Condition};
use crate::host::fake;
use crate::state::details;

#[test]
fn a_backend_is_out_after_so_many_failed_checks_in_a_row_and_back_after_so_many_good_ones() {
    let mut rig = Rig::new(&checking());
    let mut story = Vec::new();
    for status in ["healthy", "unhealthy", "unhealthy", "unhealthy", "healthy", "healthy"] {
        rig.says(&json!({ "status": status }));
        let before = rig.world.calls.borrow().len();
        while rig.world.calls.borrow().len() == before {
            rig.run(50, Some(20));
        }
        let (probes, now) = (rig.record("a").probes, rig.world.now());
        story.push((probes.is_unhealthy(now), (probes.score(now) * 1e3).round() as u64));
    }
    assert_eq!(story, [(false, 1000), (false, 666), (false, 333), (true, 0), (true, 1000), (false, 1000)]);
    assert_eq!(rig.lines("health_check"), [LogLevel::Warn, LogLevel::Warn, LogLevel::Info]);
    let probes = rig.record("a").probes;
    assert_eq!(
        (probes.response_time, probes.condition(rig.world.now())),
        (Duration::from_millis(20), Some(Condition::Healthy))
    );
    assert!(rig.world.calls.borrow().iter().all(|call| call.cluster == "a" && call.path == "/health"));
    assert_eq!(rig.record("b").probes.checked_at, Timestamp::default(), "nobody checks b");
}

#[test]
fn a_quota_that_checks_hear_of_is_known_before_the_first_request_and_not_used_up_by_checks() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "healthy"}));
    let told = [("x-ratelimit-limit-requests", "1000"), ("x-ratelimit-remaining-requests", "700")];
    rig.world.call_headers.replace(fake::headers(&told));
    for _ in 0..20 {
        rig.run(60_000, Some(20));
        let (record, now) = (rig.record("a"), rig.world.now());
        let headroom = record.quota.headroom(&record.demand(Tokens(0)), now).expect("known");
        assert!((headroom - 0.7).abs() < 0.01, "{headroom}");
    }
    assert!(!rig.record("b").quota.is_known(rig.world.now()), "nobody checks b");
}

#[test]
fn what_a_backend_says_of_itself_is_kept_for_all_workers_and_written_when_it_changes() {
    let mut rig = Rig::new(&checking());
    let key = "llm-router/1/details/a";
    let writes = |rig: &Rig| rig.world.written.take().iter().filter(|written| *written == key).count();
    rig.says(&json!({"status": "healthy"}));
    rig.run(60_000, Some(20));
    assert_eq!(writes(&rig), 1, "200, and nothing else");
    rig.says(&json!({"status": "healthy", "core_version": "1.5.7", "knowledge_base_size": 15_000}));
    rig.world.call_headers.replace(fake::headers(&[("api-version", "v1")]));
    rig.run(60_000, Some(20));
    assert_eq!(writes(&rig), 1);
    rig.says(&json!({"status": "unhealthy"}));
    rig.run(60_000, Some(20));
    let details = details(&rig.world, "a");
    assert_eq!((details.http_status, details.error.as_deref()), (Some(200), None));
    assert_eq!((details.api_version.as_deref(), details.core_version.as_deref()), (Some("v1"), Some("1.5.7")));
    assert_eq!((details.knowledge_base_size, details.memory_usage_mb, writes(&rig)), (Some(15_000), None, 0));
}

#[test]
fn a_degraded_backend_is_less_well_but_not_out() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "degraded", "graph_db_status": "healthy", "embeddings_status": "unhealthy"}));
    rig.run(60_000, Some(20));
    let (record, now) = (rig.record("a"), rig.world.now());
    assert!(
        !record.probes.is_unhealthy(now) && (record.probes.score(now).mul_add(record.answers(now), -0.7)).abs() < 1e-9
    );
    assert_eq!(record.probes.components.get(Component::Embeddings), Some(false));
    assert_eq!(rig.lines("health_check"), [LogLevel::Warn]);
}

#[test]
fn a_cluster_that_cannot_be_asked_fails_its_checks_at_the_usual_pace() {
    let mut rig = Rig::new(&checking());
    rig.world.missing.set("a");
    rig.run(35_000, None);
    assert!((4..=5).contains(&rig.world.calls.borrow().len()));
    assert!(rig.record("a").probes.is_unhealthy(rig.world.now()));
}

#[test]
fn a_backend_is_never_asked_twice_at_once_and_a_lost_answer_does_not_end_the_checks() {
    let mut config = checking();
    config["backend_instances"]["a"]["health_check"]["interval_seconds"] = 0.5.into();
    let mut rig = Rig::new(&config);
    rig.run(7_900, None);
    assert_eq!(rig.world.calls.borrow().len(), 1, "its timeout is 3 s, and Envoy keeps to it");
    rig.run(1_000, None);
    assert_eq!(rig.world.calls.borrow().len(), 2, "it never came");
}

#[test]
fn checks_of_many_backends_spread_out_by_a_tenth_either_way_and_always_the_same_way() {
    let backends: serde_json::Map<_, _> =
        (0..40).map(|n| (format!("b{n}"), json!({"health_check": {"path": "/", "interval_seconds": 10}}))).collect();
    let config = json!({ "backend_instances": backends });
    let moments = || {
        let mut rig = Rig::new(&config);
        rig.run(60_000, Some(0));
        rig.world.calls.take()
    };
    let calls = moments();
    assert_eq!(calls, moments());
    let mut seconds = Vec::new();
    for id in backends.keys() {
        let at: Vec<u64> =
            calls.iter().filter(|call| call.cluster == *id).map(|call| call.at.as_micros() / 1_000).collect();
        seconds.push(at[1]);
        assert!(at.windows(2).all(|pair| (9_000..=11_050).contains(&(pair[1] - pair[0]))), "{at:?}");
    }
    seconds.sort_unstable();
    assert!(seconds[39] - seconds[0] > 1_500, "{seconds:?}");
}

#[test]
fn a_check_under_way_while_backends_change_is_waited_for() {
    let mut rig = Rig::new(&checking());
    rig.says(&json!({"status": "healthy"}));
    rig.run(100, None);
    let calls = |rig: &Rig| rig.world.calls.borrow().clone();
    let call = calls(&rig)[0].clone();
    // Another backend comes first now, and it is asked, too.
    let check = json!({"health_check": {"path": "/health", "interval_seconds": 10}});
    for n in 0..5 {
        rig.vm.set(&rig.world, "A", &json!({"weight": n + 1, "health_check": check["health_check"]}));
        rig.run(100, None);
    }
    let clusters: Vec<_> = calls(&rig).iter().map(|call| call.cluster.clone()).collect();
    assert_eq!(clusters, ["a", "A"], "each of them once");
    rig.vm.hear(&rig.world, call.id, true);
    assert!(rig.record("a").probes.checked_at > Timestamp::default());
    assert_eq!(rig.record("A").probes.checked_at, Timestamp::default());
    rig.run(8_000, None);
    assert_eq!(calls(&rig).len(), 2, "the next is due ten seconds after the last");

    // What is asked changes: the answer to the old question is of no interest.
    rig.run(3_000, None);
    let old = calls(&rig).pop().expect("asked again");
    rig.vm.set(&rig.world, "a", &json!({"health_check": {"path": "/other", "interval_seconds": 10}}));
    rig.run(100, None);
    let before = rig.record("a").probes.checked_at;
    rig.vm.hear(&rig.world, old.id, true);
    assert_eq!(rig.record("a").probes.checked_at, before);
}
