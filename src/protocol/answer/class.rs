//! What class of error a code, a type or a number names, and what class of end a finish reason is.
//!
//! Providers say the same thing in many spellings: `rate_limit_error`, `RateLimitError`, `rate_limit_exceeded`,
//! `RESOURCE_EXHAUSTED`, `"429"`, 8. A word is compared without its case and its punctuation, by the part of it that
//! names the class, so that spellings nobody has seen yet are understood as well. The result is the HTTP status that says
//! the same. The table is also in `docs/protocols.md`.

use super::word::Word;

/// What an error names as its class. A claim with a higher rank is more specific: `context_length_exceeded` says more
/// than the number 400, and that says more than `invalid_request_error`. Claims join in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Claim {
    rank: u8,
    status: u16,
}

impl Claim {
    const GENERAL: u8 = 1;
    const NUMBER: u8 = 2;
    const SPECIFIC: u8 = 3;

    /// The client's request is at fault.
    pub(super) const CLIENT: Self = Self { rank: Self::SPECIFIC, status: 400 };

    /// There is nothing in the answer.
    pub(super) const EMPTY: Self = Self { rank: Self::SPECIFIC, status: 502 };

    /// The status, if anything names one.
    pub(super) const fn status(self) -> Option<u16> {
        if self.rank == 0 { None } else { Some(self.status) }
    }

    /// The more specific of two; of two that are equally specific the higher status.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// What a number names: an HTTP status, or one of google.rpc's codes.
    fn of_number(number: u64) -> Self {
        let status = match number {
            400..=599 => u16::try_from(number).unwrap_or(500),
            1 => 499,
            2 | 13 | 15 => 500,
            3 | 9 | 11 => 400,
            4 => 504,
            5 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            12 => 501,
            14 => 503,
            16 => 401,
            _ => return Self::default(),
        };
        Self { rank: Self::NUMBER, status }
    }

    /// What the finish reason of an answer that failed names. `abort` is the server's own word, not google.rpc's.
    pub(super) fn of_finish(reason: &Word) -> Self {
        let word = Plain::of(reason);
        if word.get().starts_with(b"abort") { Self::default() } else { Self::of_word(&word) }
    }

    /// What a word names.
    fn of_word(word: &Plain) -> Self {
        let named = |table: &[(u16, &[&str])], rank| {
            let mut classes = table.iter();
            let class = classes.find(|(_, parts)| parts.iter().any(|part| word.has(part)));
            class.map(|&(status, _)| Self { rank, status })
        };
        if let b"requests" | b"tokens" = word.get() {
            // What OpenAI limits, as the type of its error.
            return Self { rank: Self::GENERAL, status: 429 };
        }
        named(SPECIFIC, Self::SPECIFIC).or_else(|| named(GENERAL, Self::GENERAL)).unwrap_or_default()
    }
}

/// Parts of words that name a class; of several the first counts.
const SPECIFIC: &[(u16, &[&str])] = &[
    (503, &["insufficientsystemresource"]),
    (429, &["quota", "ratelimit", "toomanyrequests", "resourceexhausted", "throttl", "requestlimit", "concurrency"]),
    (413, &["toolarge"]),
    (400, &["contextlength", "contextwindow", "maxtokens", "toolong", "abovemax", "tokenlimit", "inputlength"]),
    (400, &["contentfilter", "contentpolicy", "safety", "moderation", "responsibleai", "sensitive", "datainspection"]),
    (400, &["prohibited", "blocklist", "blocked", "flagged"]),
    (
        401,
        &["apikey", "authentication", "unauthorized", "unauthenticated", "credential", "invalidtoken", "tokenexpired"],
    ),
    (402, &["billing", "payment", "balance", "credits", "arrear"]),
    (403, &["permission", "forbidden", "accessdenied", "notauthorized", "countryregion", "deactivated", "suspended"]),
    (404, &["modelnot", "invalidmodel", "unknownmodel", "unsupportedmodel", "nosuchmodel"]),
    (
        400,
        &[
            "responsenotfound",
            "filenotfound",
            "itemnotfound",
            "threadnotfound",
            "conversationnotfound",
            "storenotfound",
        ],
    ),
    (404, &["notfound", "doesnotexist", "nosuch"]),
    (405, &["methodnotallowed"]),
    (501, &["notimplemented", "unimplemented"]),
    (529, &["overload"]),
    (503, &["unavailable", "capacity", "serverbusy", "enginebusy", "slowdown", "notready"]),
    (504, &["timeout", "timedout", "deadline"]),
    (502, &["badgateway", "network", "connection", "upstream", "provider", "invalidresponse"]),
    (499, &["cancel"]),
];

/// The same, of words that say little: a number beside them is to be believed rather.
const GENERAL: &[(u16, &[&str])] = &[
    (500, &["internal", "servererror", "apierror", "engineerror", "unknown", "dataloss"]),
    (400, &["invalid", "badrequest", "unprocessable", "validat", "unsupported", "malformed", "missing", "required"]),
    (400, &["outofrange", "failedprecondition", "image"]),
    (409, &["aborted", "alreadyexists", "conflict"]),
];

/// What has been read of an error so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fault {
    /// Whether any of its values says that there is one.
    present: bool,
    /// Whether its code says that all is well.
    fine: bool,
    claim: Claim,
}

impl Fault {
    /// Whether there is an error: one whose values are all empty is none.
    pub(super) fn is_error(self) -> bool {
        self.present && !(self.fine && self.claim == Claim::default())
    }

    /// What it says of its class.
    pub(super) const fn claim(self) -> Claim {
        self.claim
    }

    /// Something in it says that there is an error, and of that class, if any.
    pub(super) fn raise(&mut self, claim: Claim) {
        self.present = true;
        self.claim = self.claim.or(claim);
    }

    /// A text in it that is not its class.
    pub(super) fn text(&mut self, text: &Word) {
        self.present |= !Plain::of(text).says_nothing(text);
    }

    /// A word that may name its class.
    pub(super) fn word(&mut self, text: &Word) {
        let word = Plain::of(text);
        if word.says_nothing(text) {
            return;
        }
        match word.number() {
            Some(number) => self.number(number),
            None => self.raise(Claim::of_word(&word)),
        }
    }

    /// A number, or `true`, `false` or `null`, in the place of its class.
    pub(super) fn scalar(&mut self, text: &[u8]) {
        match integer(text) {
            Some(number) => self.number(number),
            None => self.present |= is_something(text),
        }
    }

    /// The same in any other place.
    pub(super) fn other(&mut self, text: &[u8]) {
        self.present |= is_something(text);
    }

    /// In the place of the whole error: a number is a status, or says nothing of the class.
    pub(super) fn bare(&mut self, text: &[u8]) {
        if is_something(text) {
            let number = integer(text).filter(|number| *number >= 100).unwrap_or(0);
            self.raise(Claim::of_number(number));
        }
    }

    fn number(&mut self, number: u64) {
        match number {
            0 => {}
            200..=299 => self.fine = true,
            _ => self.raise(Claim::of_number(number)),
        }
    }
}

/// Whether a number or a word of JSON is anything but nothing.
pub(super) fn is_something(text: &[u8]) -> bool {
    match text.first() {
        Some(b't') => true,
        Some(b'-' | b'0'..=b'9') => {
            let digits = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
            digits.iter().any(|byte| matches!(byte, b'1'..=b'9'))
        }
        _ => false,
    }
}

/// A number without its fraction; none if it is negative, has an exponent, or is none.
fn integer(text: &[u8]) -> Option<u64> {
    let whole = text.split(|&byte| byte == b'.').next()?;
    if text.contains(&b'e') || text.contains(&b'E') {
        return None;
    }
    std::str::from_utf8(whole).ok()?.parse().ok()
}

/// What a finish reason says of the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing: it goes on.
    None,
    /// It ended, be it at a limit, or because a filter refused it.
    Good,
    /// It failed; the word may name a class.
    Failed,
    /// The model called a tool wrongly: the request's tools and the model do not fit, the backend works.
    Misused,
}

impl Finish {
    /// What this word says. Those that nobody knows are ends: providers add to them.
    pub(super) fn of(text: &Word) -> Self {
        let word = Plain::of(text);
        if word.says_nothing(text) || word.get().ends_with(b"unspecified") {
            return Self::None;
        }
        let begins = |part: &str| word.get().starts_with(part.as_bytes());
        if begins("malformed")
            || matches!(word.get(), b"unexpectedtoolcall" | b"toomanytoolcalls" | b"missingthoughtsignature")
        {
            return Self::Misused;
        }
        // Cohere's word for a filter.
        let failed = word.get() != b"errortoxic"
            && (begins("abort")
                || begins("fail")
                || begins("insufficientsystem")
                || ["error", "exception", "timeout", "cancel"].iter().any(|part| word.has(part)));
        if failed { Self::Failed } else { Self::Good }
    }
}

/// A word without its case and punctuation.
#[derive(Debug)]
pub(super) struct Plain {
    letters: [u8; Word::MAX],
    len: usize,
}

impl Plain {
    pub(super) fn of(word: &Word) -> Self {
        let mut plain = Self { letters: [0; Word::MAX], len: 0 };
        for byte in word.get().iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            if let Some(letter) = plain.letters.get_mut(plain.len) {
                *letter = byte.to_ascii_lowercase();
                plain.len += 1;
            }
        }
        plain
    }

    pub(super) fn get(&self) -> &[u8] {
        self.letters.get(..self.len).unwrap_or_default()
    }

    fn has(&self, part: &str) -> bool {
        self.get().windows(part.len()).any(|window| window == part.as_bytes())
    }

    /// Whether the text is empty, or says itself that there is nothing. One that is too long to be kept says something.
    fn says_nothing(&self, text: &Word) -> bool {
        match self.get() {
            b"" => text.get().is_empty() == text.is_empty() && text.get().trim_ascii().is_empty(),
            b"none" | b"null" | b"nil" | b"false" | b"undefined" | b"ok" | b"success" | b"noerror" | b"0" => true,
            _ => false,
        }
    }

    fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.get()).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        let mut word = Word::default();
        word.push(text.as_bytes());
        word
    }

    fn status(text: &str) -> Option<u16> {
        let mut fault = Fault::default();
        fault.word(&word(text));
        assert!(fault.is_error(), "{text}");
        fault.claim().status()
    }

    #[test]
    fn every_providers_words_name_a_status() {
        for (expected, words) in [
            // OpenAI, vLLM, SGLang, LiteLLM.
            (
                400,
                "context_length_exceeded string_above_max_length content_policy_violation content_filter invalid_prompt",
            ),
            (400, "invalid_request_error BadRequestError bad_request previous_response_not_found invalid_image_url"),
            (400, "ContextWindowExceededError litellm.BadRequestError UnprocessableEntityError validation_error"),
            (
                401,
                "invalid_api_key authentication_error AuthenticationError Unauthorized API_KEY_INVALID UNAUTHENTICATED",
            ),
            (
                402,
                "billing_error billing_hard_limit_reached payment_required insufficient_balance insufficient_credits",
            ),
            (403, "permission_error PermissionDeniedError PERMISSION_DENIED access_denied AccessDeniedException"),
            (404, "model_not_found not_found_error NotFoundError NOT_FOUND DeploymentNotFound unsupported_model"),
            (413, "request_too_large payload-too-large"),
            (
                429,
                "rate_limit_error rate_limit_exceeded RateLimitError insufficient_quota RESOURCE_EXHAUSTED tokens requests",
            ),
            (429, "throttling_error ThrottlingException TooManyRequests quota_exceeded litellm.RateLimitError"),
            (499, "CANCELLED request_cancelled"),
            (500, "server_error internal_server_error api_error INTERNAL InternalServerError UNKNOWN"),
            (502, "bad_gateway network_error provider_error upstream_error APIConnectionError"),
            (503, "service_unavailable UNAVAILABLE ServiceUnavailableError no_capacity insufficient_system_resource"),
            (504, "timeout_error DEADLINE_EXCEEDED Timeout request_timed_out"),
            (529, "overloaded_error engine_overloaded ModelOverloaded"),
            (501, "UNIMPLEMENTED not-implemented"),
        ] {
            for word in words.split(' ') {
                assert_eq!(status(word), Some(expected), "{word}");
            }
        }
        assert_eq!(status("something_else"), None);
        assert_eq!(status(&"long".repeat(20)), None);
    }

    #[test]
    fn numbers_are_statuses_or_codes_of_google_rpc() {
        for (text, expected) in [
            ("400", Some(400)),
            ("429", Some(429)),
            ("599", Some(599)),
            ("503.0", Some(503)),
            ("3", Some(400)),
            ("8", Some(429)),
            ("14", Some(503)),
            ("16", Some(401)),
            ("1302", None),
            ("600", None),
            ("302", None),
            ("-1", None),
            ("4e2", None),
            ("true", None),
        ] {
            let mut fault = Fault::default();
            fault.scalar(text.as_bytes());
            assert!(fault.is_error(), "{text}");
            assert_eq!(fault.claim().status(), expected, "{text}");
        }
        assert_eq!(status("429"), Some(429));
        assert_eq!(status("8"), Some(429));
    }

    #[test]
    fn what_says_nothing_is_no_error() {
        for text in ["", " ", "none", "None", "null", "0", "OK", "success", "no error", "200"] {
            let mut fault = Fault::default();
            fault.word(&word(text));
            assert!(!fault.is_error(), "{text:?}");
        }
        for text in ["0", "0.0", "-0", "0e5", "null", "false", "200", "204"] {
            let mut fault = Fault::default();
            fault.scalar(text.as_bytes());
            assert!(!fault.is_error(), "{text:?}");
        }
        let mut fault = Fault::default();
        fault.text(&word("it is fine"));
        fault.scalar(b"200");
        assert!(!fault.is_error());
        fault.word(&word("server_error"));
        assert!(fault.is_error());
        // A text that is no word, and one that is too long to be kept.
        for text in ["!", "…", &"x".repeat(100)] {
            let mut fault = Fault::default();
            fault.text(&word(text));
            assert!(fault.is_error(), "{text}");
        }
    }

    #[test]
    fn the_most_specific_claim_counts_in_any_order() {
        for (claims, expected) in [
            (&["invalid_request_error", "invalid_api_key"][..], 401),
            (&["invalid_request_error", "model_not_found"], 404),
            (&["400", "INVALID_ARGUMENT", "API_KEY_INVALID"], 401),
            (&["400", "server_error"], 400),
            (&["500", "invalid_request_error"], 500),
            (&["400", "rate_limit_error"], 429),
            (&["tokens", "rate_limit_exceeded"], 429),
            (&["tool_use_failed", "invalid_request_error"], 400),
        ] {
            let both = |claims: &mut dyn Iterator<Item = &&str>| {
                let mut fault = Fault::default();
                claims.for_each(|claim| fault.word(&word(claim)));
                fault.claim().status()
            };
            assert_eq!(both(&mut claims.iter()), Some(expected), "{claims:?}");
            assert_eq!(both(&mut claims.iter().rev()), Some(expected), "{claims:?}");
        }
    }

    #[test]
    fn every_providers_finish_reasons_have_a_class() {
        let statuses = |text: &str| match Finish::of(&word(text)) {
            Finish::Failed => Some(Claim::of_finish(&word(text)).status().unwrap_or(0)),
            Finish::Misused => Some(400),
            Finish::None | Finish::Good => None,
        };
        for good in "stop length tool_calls content_filter function_call eos_token stop_sequence end_turn max_tokens tool_use \
            pause_turn refusal model_context_window_exceeded STOP MAX_TOKENS SAFETY RECITATION LANGUAGE OTHER BLOCKLIST \
            PROHIBITED_CONTENT SPII IMAGE_SAFETY NO_IMAGE COMPLETE ERROR_TOXIC model_length sensitive repetition eos \
            load unload new_in_2030"
            .split_whitespace()
        {
            assert_eq!(Finish::of(&word(good)), Finish::Good, "{good}");
        }
        for none in ["", " ", "null", "None", "FINISH_REASON_UNSPECIFIED"] {
            assert_eq!(Finish::of(&word(none)), Finish::None, "{none:?}");
        }
        for (failed, status) in [
            ("error", 0),
            ("ERROR", 0),
            ("abort", 0),
            ("aborted", 0),
            ("failed", 0),
            ("network_error", 502),
            ("insufficient_system_resource", 503),
            ("timeout", 504),
            ("USER_CANCEL", 499),
            ("MALFORMED_FUNCTION_CALL", 400),
            ("MALFORMED_RESPONSE", 400),
            ("UNEXPECTED_TOOL_CALL", 400),
            ("rate_limit_error", 429),
        ] {
            assert_eq!(statuses(failed), Some(status), "{failed}");
        }
    }
}
