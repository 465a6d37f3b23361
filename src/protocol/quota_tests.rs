//! Headers as providers send them.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_755_780_060_000_000);

fn report(headers: &[(&str, &str)]) -> QuotaReport {
    let mut quota = QuotaHeaders::default();
    for (name, value) in headers {
        quota.hear(name, value.as_bytes());
    }
    let date = headers.iter().find(|(name, _)| *name == "date").map(|(_, value)| value.as_bytes());
    quota.report(date, NOW, NOW)
}

fn left(remaining: u64, limit: u64, millis: u64) -> Allowance {
    Allowance { remaining, limit: Some(limit), resets: NOW.after(Duration::from_millis(millis)) }
}

#[test]
fn openai_and_groq() {
    let openai = report(&[
        ("x-ratelimit-limit-requests", "5000"),
        ("x-ratelimit-limit-tokens", "160000"),
        ("x-ratelimit-limit-tokens_usage_based", "9"),
        ("x-ratelimit-remaining-requests", "4999"),
        ("x-ratelimit-remaining-tokens", "159976"),
        ("x-ratelimit-remaining-tokens_usage_based", "1"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-request-id", "req_1"),
    ]);
    let expected = QuotaReport {
        requests: Some(left(4_999, 5_000, 12)),
        tokens: Some(left(159_976, 160_000, 360_000)),
        retry_at: None,
    };
    assert_eq!(openai, expected);
    let groq = report(&[
        ("retry-after", "2"),
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-remaining-requests", "14370"),
        ("x-ratelimit-reset-requests", "2m59.56s"),
    ]);
    assert_eq!(groq.requests, Some(left(14_370, 14_400, 179_560)));
    assert_eq!(groq.retry_at, Some(NOW.after(Duration::from_secs(2))));
}

#[test]
fn anthropic_whatever_its_clock_shows() {
    let anthropic = report(&[
        ("date", "Thu, 21 Aug 2025 11:41:00 GMT"),
        ("anthropic-ratelimit-input-tokens-limit", "80000"),
        ("anthropic-ratelimit-input-tokens-remaining", "80000"),
        ("anthropic-ratelimit-input-tokens-reset", "2025-08-21T11:40:59Z"),
        ("anthropic-ratelimit-output-tokens-limit", "16000"),
        ("anthropic-ratelimit-output-tokens-remaining", "1600"),
        ("anthropic-ratelimit-output-tokens-reset", "2025-08-21T11:41:54Z"),
        ("anthropic-ratelimit-requests-limit", "1000"),
        ("anthropic-ratelimit-requests-remaining", "999"),
        ("anthropic-ratelimit-requests-reset", "2025-08-21T11:41:30Z"),
        ("anthropic-ratelimit-tokens-limit", "96000"),
        ("anthropic-ratelimit-tokens-remaining", "81600"),
        ("anthropic-ratelimit-tokens-reset", "2025-08-21T11:41:00Z"),
        ("anthropic-ratelimit-unified-5h-status", "allowed"),
        ("anthropic-ratelimit-priority-input-tokens-remaining", "0"),
        ("anthropic-organization-id", "1"),
    ]);
    assert_eq!(anthropic.requests, Some(left(999, 1_000, 30_000)));
    assert_eq!(anthropic.tokens, Some(left(9_600, 96_000, 54_000)), "a tenth of the answers' tokens is left");
}

#[test]
fn the_others() {
    let azure =
        [("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-limit-requests", "10"), ("retry-after-ms", "1500")];
    assert_eq!(report(&azure).requests, Some(left(9, 10, 60_000)), "a minute where no reset is named");
    assert_eq!(report(&azure).retry_at, Some(NOW.after(Duration::from_millis(1_500))));
    let perplexity = [
        ("x-ratelimit-limit-requests", "50"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "20"),
    ];
    assert_eq!(report(&perplexity).requests, Some(left(0, 50, 20_000)));
    let cerebras = [
        ("x-ratelimit-limit-requests-day", "1000000000"),
        ("x-ratelimit-limit-tokens-minute", "1000000000"),
        ("x-ratelimit-remaining-requests-day", "999997455"),
        ("x-ratelimit-remaining-tokens-minute", "999998298"),
        ("x-ratelimit-reset-requests-day", "33011.382867484093"),
        ("x-ratelimit-reset-tokens-minute", "11.382867"),
    ];
    let both = report(&cerebras);
    assert_eq!(both.requests.map(|requests| requests.remaining), Some(999_997_455));
    assert_eq!(both.tokens.map(|tokens| tokens.remaining), Some(999_998_298));
    let two_periods = [
        ("x-ratelimit-remaining-req-minute", "59"),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499000"),
        ("x-ratelimit-limit-tokens-month", "1000000000"),
        ("x-ratelimit-remaining-tokens-month", "20"),
        ("x-ratelimit-tokens-query-cost", "11"),
    ];
    assert_eq!(report(&two_periods).tokens, Some(left(20, 1_000_000_000, 600_000)), "the month's is nearly used up");
    assert_eq!(report(&two_periods).requests.map(|requests| requests.remaining), Some(59));
    let prompts_apart = [
        ("x-ratelimit-limit-tokens-prompt", "60000"),
        ("x-ratelimit-remaining-tokens-prompt", "30000"),
        ("x-ratelimit-limit-tokens-generated", "6000"),
        ("x-ratelimit-remaining-tokens-generated", "6000"),
    ];
    assert_eq!(report(&prompts_apart).tokens, Some(left(33_000, 66_000, 60_000)), "half of the prompts' is left");
}

#[test]
fn names_without_a_unit_are_about_requests() {
    for prefix in ["x-ratelimit", "ratelimit"] {
        let names = ["limit", "remaining", "reset"].map(|field| format!("{prefix}-{field}"));
        let epoch = (NOW.as_micros() / 1_000_000 + 9).to_string();
        for reset in ["9", "9s", epoch.as_str()] {
            let headers = [(&*names[0], "100, 100;w=60"), (&*names[1], "7"), (&*names[2], reset)];
            assert_eq!(report(&headers).requests, Some(left(7, 100, 9_000)), "{prefix} {reset}");
        }
    }
}

#[test]
fn a_refusal_says_when_to_come_back_in_one_of_many_ways() {
    let seconds = |headers: &[(&str, &str)]| report(headers).retry_at.map(|at| at.since(NOW).as_secs());
    assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
    assert_eq!(seconds(&[("retry-after", "Thu, 21 Aug 2025 12:41:20 GMT")]), Some(20));
    assert_eq!(seconds(&[("retry-after", "1"), ("retry-after-ms", "30000")]), Some(30));
    assert_eq!(seconds(&[("x-ratelimit-reset", "40")]), Some(40), "all that it says is when it is over");
    for nothing in ["0", "-1", "soon", "", "Thu, 21 Aug 2025 12:40:20 GMT"] {
        assert_eq!(seconds(&[("retry-after", nothing)]), None, "{nothing}");
    }
}

#[test]
fn what_says_nothing_is_nothing() {
    for headers in [
        &[("content-type", "application/json")][..],
        &[("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-limit-requests", "many")],
        &[("x-ratelimit-remaining-requests", "99999999999999999999999")],
        &[("ratelimit-policy", "100;w=60"), ("x-ratelimit-requests", "9"), ("x-ratelimit-", "1")],
    ] {
        assert_eq!(report(headers), QuotaReport::default(), "{headers:?}");
        assert!(!report(headers).has_allowance());
    }
    let mut quota = QuotaHeaders::default();
    quota.hear("anthropic-version", b"2023-06-01");
    assert!(quota.is_empty());
    assert_eq!(report(&[("x-ratelimit-remaining", "9999999999999999")]).requests.map(|r| r.remaining), Some(MOST));
}

proptest! {
    #[test]
    fn anything_is_read_or_ignored(headers in prop::collection::vec((
        "(x-ratelimit|ratelimit|anthropic-ratelimit|retry-after)(-(limit|remaining|reset|tokens|input|requests|day|ms|)){0,3}",
        prop::collection::vec(any::<u8>(), 0..12),
        "[0-9]{0,21}[smhTZ:.-]{0,2}",
    ), 0..40)) {
        let mut quota = QuotaHeaders::default();
        for (name, bytes, text) in &headers {
            quota.hear(name, bytes);
            quota.hear(name, text.as_bytes());
        }
        let date = headers.first().map(|(_, bytes, _)| &bytes[..]);
        let report = quota.report(date, NOW, NOW);
        for allowance in [report.requests, report.tokens].into_iter().flatten() {
            prop_assert!(allowance.remaining <= MOST && allowance.resets >= NOW && allowance.limit != Some(0));
        }
        prop_assert!(report.retry_at.is_none_or(|at| at > NOW));
    }
}
