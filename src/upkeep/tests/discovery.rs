//! Clusters that are backends.

use super::*;
use crate::domain::{Backend, Weight};
use crate::routing::testing::at;

/// Backend a is configured; clusters may say that they are more.
pub(super) fn discovering() -> Value {
    json!({"envoy_admin": {"cluster": "admin", "interval_ms": 1_000}, "discovery": {"enabled": true},
        "backend_instances": {"a": {}}})
}

pub(super) fn dump(clusters: &[(&str, Value)]) -> Value {
    let config = |(name, metadata): &(&str, Value)| json!({"cluster": {"name": name, "metadata": {"filter_metadata": {"llm_router": metadata}}}});
    json!({"configs": clusters.iter().map(config).collect::<Vec<_>>()})
}

impl Rig {
    /// Lets Envoy look through its clusters for so many intervals: those of its bootstrap, and those that came since.
    pub(super) fn discover(&mut self, intervals: u64, bootstrap: &Value, current: &Value) {
        let end = self.world.now().after(Duration::from_secs(intervals));
        while self.world.now() < end {
            let before = self.world.calls.borrow().len();
            let _ = self.other.refresh(&self.world, self.world.now());
            self.vm.follow(&self.world);
            self.vm.tick(&self.world);
            let made = self.world.calls.borrow()[before..].to_vec();
            for call in made {
                self.says(if call.path.contains("resource=static_clusters&") {
                    bootstrap
                } else if call.path.contains("resource=dynamic_active_clusters&") {
                    current
                } else {
                    &Value::Null
                });
                self.vm.hear(&self.world, call.id, true);
            }
            self.world.pass_millis(50);
        }
    }

    /// Who is in effect, those in brackets that drain.
    pub(super) fn ids(&self) -> String {
        let id = |backend: &Backend| {
            if backend.draining { format!("({})", backend.id) } else { backend.id.to_string() }
        };
        self.vm.router.config().backends.iter().map(id).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn clusters_that_say_so_are_backends_and_drain_before_they_go() {
    let mut rig = Rig::new(&discovering());
    let fixed = dump(&[("s", json!({"weight": "2.5"})), ("a", json!({"weight": 9}))]);
    let [none, some] = [dump(&[]), dump(&[("d.1", json!({"id": "d"}))])];
    rig.discover(1, &fixed, &json!({}));
    assert_eq!(rig.ids(), "a s", "what is configured wins");
    let backends = &rig.vm.router.config().backends;
    assert_eq!((backends[0].weight.thousandths(), backends[1].weight.thousandths()), (1_000, 2_500));
    rig.discover(1, &none, &some);
    assert_eq!(rig.ids(), "a d s");
    assert_eq!(&*rig.vm.router.config().backends[1].cluster, "d.1");
    rig.world.written.take();
    rig.discover(5, &none, &some);
    assert!(!rig.world.written.take().iter().any(|key| key.contains("steering")), "there was no news");
    rig.discover(1, &none, &none);
    assert_eq!(rig.ids(), "a (d) s");
    rig.discover(1, &none, &some);
    assert_eq!(rig.ids(), "a d s", "it came back");
    rig.discover(2, &none, &none);
    assert_eq!(rig.ids(), "a s");
    assert_eq!(rig.lines("discovery").len(), 2 + 3 + 1, "{:?}", rig.world.lines());

    // Nothing that can be read: what was found stays.
    rig.discover(1, &none, &some);
    for unreadable in [json!([]), json!({"configs": [{}]}), json!("x")] {
        rig.discover(3, &none, &unreadable);
        assert_eq!(rig.ids(), "a d s");
    }
    rig.world.call_status.set(503);
    rig.discover(3, &none, &none);
    rig.world.call_status.set(200);
    rig.world.missing.set("admin");
    rig.discover(3, &none, &none);
    assert_eq!(rig.ids(), "a d s");
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 0);
}

#[test]
fn what_an_operator_says_of_a_discovered_backend_holds() {
    let mut rig = Rig::new(&discovering());
    let (fixed, none) = (dump(&[("s", json!({})), ("t", json!({})), ("u", json!({}))]), dump(&[]));
    rig.discover(1, &fixed, &none);
    let change = |rig: &mut Rig, change: Change<'_>| {
        assert!(rig.vm.router.steering().change(&rig.world, change).expect("stored").is_ok());
        rig.vm.follow(&rig.world);
    };
    let weights = [("t".into(), Weight::from_thousandths(7))];
    change(&mut rig, Change::Remove("s"));
    change(&mut rig, Change::Weigh(&weights));
    change(&mut rig, Change::Drain { id: "u", reason: "", by: "", now: at(0) });
    rig.discover(2, &fixed, &none);
    assert_eq!((rig.ids().as_str(), rig.vm.router.steering().removed()), ("a t (u)", vec!["s"]));
    assert_eq!(rig.vm.router.config().backends[1].weight.thousandths(), 7);
    let source = |id| rig.vm.router.steering().source(id).name();
    assert_eq!([source("a"), source("t")], ["configuration", "discovery"]);
}

#[test]
fn a_cluster_that_describes_itself_wrongly_is_told_of_once_and_hurts_no_other() {
    let mut rig = Rig::new(&discovering());
    let none = dump(&[]);
    let good = dump(&[("d", json!({})), ("e", json!({}))]);
    let bad = dump(&[
        ("d", json!({"wieght": 1})),
        ("e", json!({})),
        ("f", json!({"quality_score": 7})),
        ("g", json!({"id": "e"})),
        ("admin", json!({})),
    ]);
    rig.discover(2, &none, &good);
    rig.discover(5, &none, &bad);
    assert_eq!(rig.ids(), "a d e", "what d said before stays");
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 3);
    let log = rig.world.lines().join("\n");
    for mistake in [
        r#""mistake":"d: wieght: unknown key; did you mean weight?""#,
        r#""mistake":"f: quality_score: 7 is not in 0..=1 (from 0 to 1)""#,
        r#""mistake":"g: id: e is that of another""#,
    ] {
        assert_eq!(log.matches(mistake).count(), 1, "{log}");
    }
    rig.discover(3, &none, &good);
    rig.discover(2, &none, &bad);
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 6, "it is a mistake again");
    // So much that there is no room for it is a mistake, and no more.
    let huge: Vec<_> = (0..100).map(|n| format!("h{n}")).collect();
    let path = format!("/{}", "x".repeat(1_000));
    let huge: Vec<_> = huge
        .iter()
        .map(|id| (id.as_str(), json!({"health_check": {"path": path}, "failure_domain": "y".repeat(4_000)})))
        .collect();
    rig.discover(2, &none, &dump(&huge));
    assert_eq!(rig.ids(), "a d e");
    assert_eq!(rig.metric("internal_errors_total.kind.discovery"), 7);
}
