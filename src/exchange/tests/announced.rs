//! What a client announces and does not send takes nothing from anybody.

use serde_json::json;

use super::budget::{all, goes_to, ledger, stands};
use super::*;
use crate::state::AccountKey;

const LEFT: u64 = 1 << 14;
const MIB: usize = 1 << 20;

/// Requests of which only the size counts, each of another shape.
const UNREAD: [&[(&str, &str)]; 5] = [
    &[(":path", "/v1/anything")],
    &[(":path", "/v1/files"), ("content-type", "multipart/form-data; boundary=b")],
    &[(":path", "/v1/chat/completions"), ("content-type", "text/plain")],
    &[(":path", "/v1beta/models/g:generateContent"), ("content-type", "text/plain")],
    &[(":path", "/v1/audio/transcriptions"), ("content-type", "application/octet-stream")],
];

impl Rig {
    /// The headers of a request, the body of which is still to come.
    pub(super) fn open(&mut self, exchange: &mut Exchange, headers: &[&[(&str, &str)]]) -> Flow {
        let own = |name: &str| headers.iter().any(|some| some.iter().any(|(own, _)| *own == name));
        let base = [(":path", "/v1/chat/completions"), (":method", "POST"), ("content-type", "application/json")];
        let all = base.iter().filter(|(name, _)| !own(name)).chain(headers.iter().copied().flatten());
        self.world.request.replace(fake::headers(all));
        exchange.request_headers(&mut self.cx(), false)
    }

    /// So much of its body is there, or passes by.
    pub(super) fn body(&mut self, exchange: &mut Exchange, bytes: usize, end: bool) -> Flow {
        self.world.request_body.replace(vec![b'a'; bytes]);
        exchange.request_body(&mut self.cx(), bytes, end)
    }

    /// Its client goes, after so many attempts.
    pub(super) fn abort(&mut self, exchange: &mut Exchange, attempts: u64) {
        self.answer(exchange, 0, attempts, None, LEFT);
    }
}

/// A dollar a thousand tokens, so many dollars, and 200,000 tokens a minute.
fn limited(dollars: u32) -> Rig {
    Rig::new(&json!({
        "backend_instances": { "a": { "apis": ["openai", "gemini"], "cost_per_1k_tokens": 1, "max_tokens_per_minute": 200_000 } },
        "cost": { "daily_budget_usd": dollars },
    }))
}

fn tokens_of_the_minute(rig: &Rig) -> u64 {
    ledger(rig).account(AccountKey::of_backend("a")).map_or(0, |account| account.minute(rig.world.now()).1)
}

fn reserved(rig: &Rig) -> u64 {
    all(rig).1
}

#[test]
fn a_length_that_is_announced_and_not_sent_reserves_nothing_and_costs_nothing() {
    for headers in UNREAD {
        let mut rig = limited(50);
        for length in ["15000000", "800000", "18446744073709551615"] {
            let mut exchange = Exchange::default();
            assert_eq!(rig.open(&mut exchange, &[headers, &[("content-length", length)]]), Flow::Hold);
            assert_eq!((all(&rig), rig.record("a").in_flight()), ((0, 0), 0), "{headers:?}");
            assert_eq!(rig.body(&mut exchange, 900, false), Flow::Hold);
            rig.abort(&mut exchange, 0);
            assert_eq!((all(&rig), tokens_of_the_minute(&rig)), ((0, 0), 0), "{headers:?}");
        }
        // Whoever comes next finds all of it.
        assert_eq!(goes_to(&mut rig, &[]), "a");
    }
}

#[test]
fn a_body_in_chunks_reserves_nothing_either_until_it_is_there() {
    for headers in UNREAD {
        let mut rig = limited(50);
        let mut exchange = Exchange::default();
        assert_eq!(rig.open(&mut exchange, &[headers, &[("transfer-encoding", "chunked")]]), Flow::Hold);
        for bytes in (MIB / 4..=MIB).step_by(MIB / 4) {
            assert_eq!(rig.body(&mut exchange, bytes, false), Flow::Hold);
        }
        assert_eq!((all(&rig), rig.record("a").in_flight()), ((0, 0), 0), "{headers:?}");
        rig.abort(&mut exchange, 0);
        assert_eq!(all(&rig), (0, 0));
    }
}

#[test]
fn an_upload_that_is_larger_than_may_be_held_reserves_little_and_costs_what_passed() {
    for headers in UNREAD {
        let mut rig = limited(1_000_000);
        let mut exchange = Exchange::default();
        assert_eq!(rig.open(&mut exchange, &[headers, &[("content-length", "15000000")]]), Flow::Hold);
        assert_eq!(rig.body(&mut exchange, 4 * MIB, false), Flow::Continue, "{headers:?}");
        // 16,384 tokens and a quarter, and the answer.
        assert!(reserved(&rig) < 25_000_000, "{headers:?}: {}", reserved(&rig));
        assert_eq!(rig.body(&mut exchange, MIB, false), Flow::Continue);
        rig.abort(&mut exchange, 1);
        assert_eq!(all(&rig), (0, 0), "nobody works on half of a request: {headers:?}");
    }
    // One that was sent to its end is worked on: it costs what was sent, if it is a prompt.
    for (path, megabytes, spent) in [
        ("/v1beta/models/g:generateContent", 5, 5 * 1_310_720_000 / 5),
        ("/v1/files", 5, 0),
        ("/v1/anything", 6, 6 * 1_310_720_000 / 5),
    ] {
        let mut rig = limited(1_000_000);
        let mut exchange = Exchange::default();
        rig.open(&mut exchange, &[&[(":path", path), ("content-type", "text/plain"), ("content-length", "5242880")]]);
        rig.body(&mut exchange, 4 * MIB, false);
        rig.body(&mut exchange, (megabytes - 4) * MIB, true);
        rig.abort(&mut exchange, 1);
        assert_eq!(all(&rig), (spent, 0), "{path}");
    }
}

#[test]
fn half_a_request_that_is_answered_costs_what_was_sent_of_it() {
    let mut rig = limited(1_000_000);
    let mut exchange = Exchange::default();
    let headers = [(":path", "/v1beta/models/g:generateContent"), ("content-type", "text/plain")];
    rig.open(&mut exchange, &[&headers, &[("content-length", "99999999")]]);
    rig.body(&mut exchange, 4 * MIB, false);
    rig.world.set_number(Property::AttemptCount, 1);
    rig.world.response.replace(fake::headers(&[(":status", "200"), ("content-type", "application/json")]));
    exchange.response_headers(&mut rig.cx(), false);
    // What comes while the answer does is sent, too.
    rig.body(&mut exchange, MIB, false);
    rig.world.set_number(Property::ResponseFlags, LEFT);
    exchange.log(&mut rig.cx());
    assert_eq!(all(&rig), (5 * 262_144_000, 0));
}

#[test]
fn announced_answers_that_nobody_waits_for_are_free_again_and_cost_what_was_asked() {
    for announced in ["\"max_tokens\":1000000", "\"max_completion_tokens\":999999", "\"max_tokens\":400,\"n\":2000"] {
        let mut rig = limited(2_000);
        let body = CHAT.replace("\"max_tokens\":50", announced);
        for _ in 0..5 {
            let mut exchange = Exchange::default();
            assert_eq!(rig.send(&mut exchange, &[], &body), Flow::Continue, "{announced}");
            // An answer may be as long as that; kept from others is a quarter of what is left.
            assert!((499_000_000..=500_500_000).contains(&reserved(&rig)), "{}", reserved(&rig));
            rig.abort(&mut exchange, 1);
            assert_eq!(reserved(&rig), 0);
        }
        let (spent, minute) = (all(&rig).0, tokens_of_the_minute(&rig));
        assert!((40_000..60_000).contains(&spent) && (40..60).contains(&minute), "five prompts: {spent}, {minute}");
    }
}

#[test]
fn what_is_free_touches_no_account_and_is_served_when_all_are_empty() {
    let free: [&[(&str, &str)]; 4] = [
        &[(":path", "/v1/models"), (":method", "GET")],
        &[(":path", "/v1/messages/count_tokens")],
        &[(":path", "/v1/chat/completions"), (":method", "OPTIONS")],
        &[(":path", "/v1beta/models/g:countTokens")],
    ];
    let mut rig = Rig::new(&json!({
        "backend_instances": {
            "a": {
                "apis": ["openai", "anthropic", "gemini"],
                "cost_per_1k_tokens": 1, "max_requests_per_minute": 1, "max_tokens_per_minute": 15,
            },
        },
        "cost": { "daily_budget_usd": 0.07 },
    }));
    assert_eq!(goes_to(&mut rig, &[]), "a");
    assert_ne!(goes_to(&mut rig, &[]), "a");
    let before =
        [AccountKey::ALL, AccountKey::of_backend("a")].map(|key| (stands(&rig, key), tokens_of_the_minute(&rig)));
    for headers in free.iter().cycle().take(12) {
        let mut exchange = Exchange::default();
        assert_eq!(rig.send(&mut exchange, headers, CHAT), Flow::Continue, "{headers:?}");
        rig.answer(&mut exchange, 200, 1, Some(ANSWER), 0);
    }
    let after =
        [AccountKey::ALL, AccountKey::of_backend("a")].map(|key| (stands(&rig, key), tokens_of_the_minute(&rig)));
    assert_eq!(before, after);
}

#[test]
fn a_file_is_no_prompt_and_costs_nothing_where_nothing_is_reported() {
    for path in ["/v1/files", "/v1/batches", "/v1/audio/transcriptions"] {
        let mut rig = limited(100);
        let mut exchange = Exchange::default();
        rig.open(&mut exchange, &[&[(":path", path), ("content-type", "multipart/form-data; boundary=b")]]);
        assert_eq!(rig.body(&mut exchange, 3 * MIB, true), Flow::Continue);
        assert!(reserved(&rig) < 25_000_000, "{}", reserved(&rig));
        rig.answer(&mut exchange, 200, 1, Some(r#"{"id":"file-1"}"#), 0);
        assert_eq!((all(&rig), tokens_of_the_minute(&rig)), ((0, 0), 0), "{path}");
    }
}
