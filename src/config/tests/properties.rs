//! What holds of every document.

use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_compose, prop_oneof, proptest,
};
use proptest::strategy::Strategy as _;

use super::*;
use crate::domain::{
    Api, ApiSet, BackendType, BreakerSettings, FallbackAnswers, Limits, PerMille, PicoUsd, Price, Prices,
    ProbeSettings, Thresholds, Weight,
};

/// Keys that mean something, so that a random document gets past the first of them.
const KEYS: &[&str] = &[
    "role",
    "strategy",
    "default_backend",
    "backend_instances",
    "a",
    "weight",
    "quality_score",
    "cost_per_1k_tokens",
    "input_cost_per_1k_tokens",
    "output_cost_per_1k_tokens",
    "circuit_breaker",
    "recovery_timeout_seconds",
    "failure_threshold",
    "client_hints",
    "retry",
    "max_attempts",
    "logging",
    "level",
    "seed",
    "queue",
    "api_key",
    "custom",
];

/// Bytes that once were, or may one day be, trouble.
const TROUBLE: &[&[u8]] = &[
    b"",
    b"\0",
    b"{",
    b"\n",
    b"\n{",
    b"\n\x00",
    b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0a\x05\x0a\x01a\x12\x00",
    b"\x12",
    b"{\"a\":\"\x12\"}",
    b"{\"\\ud800\":1}",
    b"{\"a\":1e999}",
    b"{\"seed\":-0.0,\"backend_instances\":{\"a\":{}}}",
    b"\xef\xbb\xbf{}",
    b"{\"a\":\"\xff\"}",
    b"\x7b\x7c",
];

fn config_of_proptest() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn document() -> impl proptest::strategy::Strategy<Value = Value> {
    let key = || prop_oneof![4 => prop::sample::select(KEYS).prop_map(str::to_owned), 1 => ".{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-10_i64..5_000_000).prop_map(Value::from),
        (-(1_i64 << 53)..1 << 53).prop_map(Value::from),
        (-100_000..2_000_000).prop_map(|thousandths| Value::from(f64::from(thousandths) / 1_000.0)),
        key().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => btree_map(key(), inner, 0..8).prop_map(|fields| fields.into_iter().collect()),
        ]
    });
    btree_map(key(), tree, 0..8).prop_map(|fields| fields.into_iter().collect())
}

prop_compose! {
    fn breaker()(
        (failure_threshold, half_open_max_requests) in (1_u32..=1_000, 1_u32..=1_000),
        (failure_rate, slow_rate) in (10_u16..=1_000, 10_u16..=1_000),
        (window, share) in (1_u8..=100, 1_u8..=100),
        (slow_ms, misconfigured_threshold) in (option::of(1_u64..=3_600_000), 0_u16..=1_000),
        (recovery_ms, ramp_ms) in (50_u64..=3_600_000, 0_u64..=3_600_000),
        adaptive in any::<bool>(),
    ) -> BreakerSettings {
        BreakerSettings {
            failure_threshold,
            failure_rate_threshold: PerMille::new(failure_rate),
            window,
            min_requests: share.min(window),
            slow_response: slow_ms.map(Duration::from_millis),
            slow_rate_threshold: PerMille::new(slow_rate),
            misconfigured_threshold,
            recovery_timeout: Duration::from_millis(recovery_ms),
            half_open_max_requests,
            adaptive,
            ramp: Duration::from_millis(ramp_ms),
        }
    }
}

prop_compose! {
    fn probe()(
        (path, host) in ("/[!-~]{0,60}", "[!-~]{1,60}"),
        (interval_ms, timeout_ms) in (100_u64..=3_600_000, 50_u64..=600_000),
        (failures, successes) in (1_u32..=1_000, 1_u32..=1_000),
    ) -> ProbeSettings {
        let (interval, timeout) = (Duration::from_millis(interval_ms), Duration::from_millis(timeout_ms));
        ProbeSettings { path: path.into(), host: host.into(), interval, timeout, failures, successes }
    }
}

prop_compose! {
    fn limits()(
        budgets in [option::of(1_000_u64..=1_000_000_000_000), option::of(1_000_u64..=1_000_000_000_000)],
        (requests_per_minute, tokens_per_minute) in (option::of(1_u64..=1_000_000), option::of(1_u64..=100_000_000)),
    ) -> Limits {
        let [hourly_budget, daily_budget] = budgets.map(|micros| micros.map(|micros| PicoUsd(1_000_000 * micros)));
        Limits { hourly_budget, daily_budget, requests_per_minute, tokens_per_minute }
    }
}

prop_compose! {
    fn cost()(
        limits in limits(),
        on_exhausted in prop::sample::select(&[OnExhausted::Refuse, OnExhausted::Cheapest]),
        pacing in any::<bool>(),
        thresholds in btree_set(1_u16..=1_000, 0..8),
        target_efficiency in 0_u16..=1_000,
        tracking_window_hours in 1_u64..=168,
        tenant_header in option::of("[a-z][a-z0-9-]{0,60}"),
        tenants in btree_map("[!-~]{1,128}", limits(), 0..4),
    ) -> Cost {
        let limits = Limits { requests_per_minute: None, tokens_per_minute: None, ..limits };
        let tenants = tenants.into_iter().map(|(name, limits)| Tenant { name: name.into(), limits }).collect();
        Cost {
            limits,
            on_exhausted,
            pacing,
            alert_thresholds: thresholds.into_iter().map(PerMille::new).collect(),
            target_efficiency: PerMille::new(target_efficiency),
            tracking_window_hours,
            tenant_header: tenant_header.map(Into::into),
            tenants,
        }
    }
}

prop_compose! {
    fn backend()(
        (kind, apis) in (prop::sample::select(&BackendType::ALL), btree_set(prop::sample::select(&Api::ALL), 1..8)),
        cluster in option::of("[!-+\\--~]{1,255}"),
        weight in 1_u32..=1_000_000,
        priority in 0_u32..=100,
        prices in [0_u64..=1_000_000_000_000, 0..=1_000_000_000_000, 0..=1_000_000_000_000],
        expected_ms in 1_u64..=600_000,
        (quality, reliability) in (0_u16..=1_000, 0_u16..=1_000),
        max_concurrent_requests in option::of(1_u32..=1_000_000),
        timeout_ms in option::of(50_u64..=3_600_000),
        breaker in option::of(breaker()),
        probe in option::of(probe()),
        failure_domain in "[a-z]{1,8}",
        group in option::of("[a-z_]{1,64}"),
        fallback_answers in prop::sample::select(&[FallbackAnswers::Fail, FallbackAnswers::Accept]),
        (limits, fixed_cost_micros) in (limits(), 0_u64..=100_000_000_000),
    ) -> Backend {
        Backend {
            id: "".into(),
            cluster: cluster.unwrap_or_default().into(),
            kind,
            group: group.map(Into::into),
            apis: apis.into_iter().fold(ApiSet::NONE, |all, api| all.with(ApiSet::of(&[api]))),
            weight: Weight::from_thousandths(weight),
            priority,
            prices: Prices { input: Price(prices[0]), output: Price(prices[1]), cached_input: Price(prices[2]) },
            expected_response_time: Duration::from_millis(expected_ms),
            quality: PerMille::new(quality),
            reliability: PerMille::new(reliability),
            max_concurrent_requests,
            timeout: timeout_ms.map(Duration::from_millis),
            fixed_cost_per_hour: PicoUsd(1_000_000 * fixed_cost_micros),
            limits,
            breaker,
            probe,
            failure_domain: failure_domain.into(),
            fallback_answers,
            draining: false,
        }
    }
}

prop_compose! {
    fn alerts()(
        webhooks in prop::array::uniform2(option::of(("[!-+\\--~]{1,200}", "/[!-~]{0,60}", option::of("[!-~]{1,60}")))),
        min_interval_ms in 0_u64..=86_400_000,
        (min_available, response_ms, error_rate) in (0_u16..=1_000, 1_u64..=3_600_000, 0_u16..=1_000),
    ) -> Alerts {
        let [webhook, cost_webhook] = webhooks.map(|webhook| webhook.map(|(cluster, path, host)| {
            let host = host.unwrap_or_else(|| cluster.clone()).into();
            Webhook { cluster: cluster.into(), path: path.into(), host }
        }));
        let thresholds = Thresholds {
            min_available: PerMille::new(min_available),
            response_time: Duration::from_millis(response_ms),
            error_rate: PerMille::new(error_rate),
        };
        Alerts { webhook, cost_webhook, min_interval: Duration::from_millis(min_interval_ms), thresholds }
    }
}

prop_compose! {
    /// Any valid configuration.
    pub(crate) fn configuration()(
        strategy in prop::sample::select(&Strategy::ALL),
        backends in btree_map("[A-Za-z0-9_-]{1,64}", backend(), 1..6),
        default_backend in any::<prop::sample::Index>(),
        body_limit_bytes in 1_024_usize..=67_108_864,
        (unreadable, guess) in (prop::sample::select(&[OnUnreadable::Route, OnUnreadable::Refuse]), 0_u64..=1 << 24),
        [response_headers, forward_estimate, by_strategy, by_quality, by_tenant, explain, filter_state] in any::<[bool; 7]>(),
        cost in cost(),
        decisions in 0_u16..=1_000,
        max_attempts in 1_u8..=4,
        format in prop::sample::select(&[LogFormat::Json, LogFormat::Text]),
        level in prop::sample::select(&[LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error]),
        seed in option::of(any::<u64>()),
        admin in option::of(100_u64..=60_000),
        alerts in alerts(),
        discovery in option::of("[!-~]{1,255}"),
        panic_threshold in 0_u16..=1_000, exploration in 0_u16..=500,
    ) -> Config {
        let backends: Vec<Backend> = backends
            .into_iter()
            .map(|(id, backend)| {
                let cluster = if backend.cluster.is_empty() { id.clone().into() } else { backend.cluster.clone() };
                Backend { id: id.into(), cluster, ..backend }
            })
            .collect();
        Config {
            strategy,
            default_backend: BackendIndex(default_backend.index(backends.len()) as u16),
            backends,
            body_limit_bytes,
            unreadable,
            max_guessed_tokens: Tokens(guess),
            response_headers,
            forward_estimate,
            client_hints: ClientHints { strategy: by_strategy, min_quality: by_quality, tenant: by_tenant, explain },
            retry: Retry { max_attempts },
            cost,
            envoy_admin: admin.map(|interval| EnvoyAdmin {
                // No backend of these tests has a cluster of so long a name.
                cluster: "admin".repeat(51).into(),
                interval: Duration::from_millis(interval),
            }),
            alerts,
            discovery: discovery.filter(|_| admin.is_some()).map(Into::into),
            panic_threshold: PerMille::new(panic_threshold),
            exploration: PerMille::new(exploration),
            queue: admin.map(|ms| Queue { size: 1 + ms as usize % 4_096, timeout: Duration::from_millis(ms) }),
            logging: Logging { format, level, decisions: PerMille::new(decisions), filter_state },
            seed,
        }
    }
}

proptest! {
    #![proptest_config(config_of_proptest())]

    #[test]
    fn a_normalised_configuration_parses_to_itself(config in configuration()) {
        let normalised = config.to_json();
        prop_assert_eq!(parsed(&normalised), Ok(config.clone()));
        if config.seed.is_none_or(|seed| seed <= 1 << 53) {
            prop_assert_eq!(parse(&encoded(&normalised)), Ok(config));
        }
    }

    #[test]
    fn both_forms_of_any_document_get_the_same_answer(document in document()) {
        prop_assume!(document != json!({}));
        prop_assert_eq!(parse(&encoded(&document)), parsed(&document));
    }

    #[test]
    fn what_is_refused_is_said_in_a_bounded_number_of_short_lines(document in document()) {
        if let Err(errors) = parsed(&document) {
            let shown = errors.to_string();
            prop_assert!((2..=52).contains(&shown.lines().count()), "{}", shown);
            prop_assert!(shown.lines().all(|line| line.chars().count() <= 1_000), "{}", shown);
        }
    }

    #[test]
    fn arbitrary_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..256)) {
        // No 256 random bytes are a valid configuration; that they get an answer at all is what counts.
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn a_damaged_document_gets_an_answer(
        document in document(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        as_struct in any::<bool>(),
    ) {
        let mut bytes = if as_struct { encoded(&document) } else { document.to_string().into_bytes() };
        prop_assume!(!bytes.is_empty());
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        if let Err(errors) = parse(&bytes) {
            prop_assert!(errors.iter().count() > 0);
        }
    }
}

#[test]
fn trouble_gets_an_answer() {
    for &bytes in TROUBLE {
        assert_eq!(parse(bytes).is_ok(), bytes.starts_with(b"{\"seed\":-0.0"), "{bytes:?}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(parse(text.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
    }
    let mut value = prost_types::Value { kind: Some(Kind::BoolValue(true)) };
    for _ in 0..500 {
        let fields = [("a".to_owned(), value)].into();
        value = prost_types::Value { kind: Some(Kind::StructValue(prost_types::Struct { fields })) };
    }
    let Some(Kind::StructValue(deep)) = value.kind else { unreachable!() };
    assert!(parse(&deep.encode_to_vec()).is_err());
}
