//! Decisions survive being written down, and fit into a header.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::{Calendar, PicoUsd, Usage};

fn text() -> impl Strategy<Value = Text> {
    "[ -~]{0,40}".prop_map(Cow::Owned)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (1..u64::MAX).prop_map(Timestamp::from_micros)
}

fn share() -> impl Strategy<Value = PerMille> {
    (0..=1_000_u16).prop_map(PerMille::new)
}

prop_compose! {
    fn standing()(
        probe in any::<bool>(), part in share(), ranked_by in text(), score in -1e9..1e9_f64,
        exploration in 0.0..0.5_f64,
        terms in vec(("[a-z_]{1,16}".prop_map(Cow::Owned), -1e9..1e9_f64), 0..8),
    ) -> Standing {
        Standing { probe, part, ranked_by, score, exploration, terms }
    }
}

prop_compose! {
    fn excluded()(by in text(), reason in text(), retry_at in prop::option::of(moment())) -> Excluded {
        Excluded { by, reason, retry_at }
    }
}

prop_compose! {
    fn finding()(
        (id, cluster) in (text(), text()), figures in any::<[u64; 5]>(), requests in any::<u32>(),
        (quality, health) in (share(), share()), headroom in prop::option::of(share()),
        breaker in prop::option::of("[a-z]{1,9}".prop_map(Cow::Owned)),
        verdict in prop_oneof![standing().prop_map(Ok), excluded().prop_map(Err)],
    ) -> Finding {
        let [input, cached, output, cost, tokens] = figures;
        let (input, cached_input) = (Tokens(input), Tokens(cached));
        let estimate = Estimate { input, cached_input, output: Tokens(output), cost: PicoUsd(cost) };
        let (response_time, load) = (Duration::from_micros(tokens / 7), Load { requests, tokens: Tokens(tokens) });
        Finding { id, cluster, estimate, response_time, quality, health, load, headroom, breaker, verdict }
    }
}

prop_compose! {
    fn decision(most: usize)(
        (id, at, input) in (any::<u64>(), moment(), any::<u64>()), (panics, explores) in any::<(bool, bool)>(), confidence in 0..=1_000_u16,
        (request_id, strategy, api) in (text(), text(), text()), findings in vec(finding(), 0..most),
        attempts in vec(any::<u16>(), 0..5),
    ) -> Decision {
        let attempts = attempts.into_iter().filter(|_| !findings.is_empty()).map(|n| n % findings.len() as u16);
        let attempts = attempts.collect();
        let confidence = PerMille::new(confidence);
        Decision { id, at, request_id, strategy, api, input: Tokens(input), panics, explores, confidence, attempts, findings }
    }
}

prop_compose! {
    fn upshot()(
        status in any::<u16>(), figures in any::<[u64; 5]>(), attempts_made in any::<u32>(),
        (answered_by, ending) in (text(), text()), (is_paid, estimated) in any::<(bool, bool)>(),
    ) -> Upshot {
        let [time, input, cached, output, cost] = figures;
        let usage = Usage { input: Tokens(input), cached_input: Tokens(cached), output: Tokens(output) };
        let bill = is_paid.then_some(Bill { usage, cost: PicoUsd(cost), estimated });
        Upshot { status, response_time: Duration::from_micros(time), attempts_made, answered_by, ending, bill }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_decision_among_as_many_backends_as_there_may_be_is_read_as_it_was(
        mut decision in decision(1), finding in finding(), attempts in vec(0..256_u16, 4)
    ) {
        decision.attempts = attempts;
        decision.findings = vec![finding; crate::config::MOST_BACKENDS];
        prop_assert_eq!(Decision::decode(&decision.encode()), Some(decision.clone()));
        decision.findings.push(decision.findings[0].clone());
        prop_assert_eq!(Decision::decode(&decision.encode()), None, "one more than there may be");
    }
}

proptest! {
    #[test]
    fn what_is_written_down_is_read_as_it_was(decision in decision(6), upshot in upshot()) {
        prop_assert_eq!(Decision::decode(&decision.encode()), Some(decision));
        prop_assert_eq!(Upshot::decode(&upshot.encode()), Some(upshot));
    }

    #[test]
    fn any_bytes_are_a_decision_or_none(bytes in vec(any::<u8>(), 0..400), decision in decision(3), cut in any::<prop::sample::Index>()) {
        Decision::decode(&bytes);
        Upshot::decode(&bytes);
        let whole = decision.encode();
        prop_assert_eq!(Decision::decode(&whole[..cut.index(whole.len())]), None);
    }

    #[test]
    fn a_header_is_one_short_line_of_json_in_ascii(decision in decision(80)) {
        let header = decision.header(Calendar::UNSET);
        prop_assert!(header.len() <= 4_096 && header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", header);
        let shown: Value = serde_json::from_str(&header).unwrap();
        prop_assert_eq!(shown["decision_id"].as_str().map(str::len), Some(16));
        let all = shown["backends"].as_array().is_some_and(|all| all.len() == decision.findings.len());
        prop_assert!(all || shown["left_out"].is_string(), "{}", header);
    }

    #[test]
    fn a_name_that_a_client_made_up_does_no_harm(id in vec(any::<u8>(), 0..200)) {
        let name = Trace { id: 0, request_id: id, is_noted: false, explanation: None }.request_name();
        prop_assert!(name.len() <= REQUEST_ID_BYTES && name.bytes().all(|b| b.is_ascii_graphic() && b != b'"'));
    }
}
