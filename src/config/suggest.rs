//! "Did you mean …?"

/// Longer names than this get no suggestion: no key of ours is as long, and the work stays bounded.
const LONGEST: usize = 48;

/// The candidate that `name` is most likely a slip of: at most a third of its letters differ, however it is written.
pub(super) fn closest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > LONGEST {
        return None;
    }
    let normal = normal(name);
    let edits = |candidate| {
        if is_same(name, candidate) { 0 } else { edits(name, candidate).min(edits(&normal, candidate)) }
    };
    let (edits, best) = candidates.map(|candidate| (edits(candidate), candidate)).min()?;
    (edits <= (name.len() / 3).clamp(1, 4)).then_some(best)
}

/// Whether two names are the same but for their case and what stands between their words.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase())
    }
    a.is_ascii() && b.is_ascii() && letters(a).eq(letters(b))
}

/// A name as those of this house are written: `Least-Connections`, `least connections` and `leastConnections` are all
/// `least_connections`. Of a longer one than any of ours only the beginning.
pub(super) fn normal(name: &str) -> String {
    let mut normal = String::new();
    let mut before = ' ';
    for c in name.trim().chars().take(LONGEST) {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            normal.push('_');
        }
        match c {
            '-' | ' ' | '.' | '_' if normal.ends_with('_') => {}
            '-' | ' ' | '.' => normal.push('_'),
            c => normal.push(c.to_ascii_lowercase()),
        }
        before = c;
    }
    normal
}

/// The unit of a key's value, in words, as the key's name has it.
pub(super) fn unit(key: &str) -> Option<&'static str> {
    const UNITS: [(&str, &str); 13] = [
        ("_per_1k_tokens", "USD per 1000 tokens"),
        ("_per_1m_tokens", "USD per million tokens"),
        ("_requests_per_minute", "requests a minute"),
        ("_tokens_per_minute", "tokens a minute"),
        ("_budget_usd", "USD"),
        ("_usd", "USD"),
        ("_seconds", "seconds"),
        ("_ms", "milliseconds"),
        ("_hours", "hours"),
        ("_bytes", "bytes"),
        ("_requests", "requests"),
        ("_attempts", "attempts"),
        ("_percent", "per cent"),
    ];
    UNITS.into_iter().find(|(end, _)| key.ends_with(end)).map(|(_, unit)| unit)
}

/// A question for what was meant. Where the unit is not the one that was written it is told: what was right in one is not
/// in the other.
pub(super) fn question(written: &str, meant: &str) -> String {
    match unit(meant).filter(|&words| unit(&normal(written)) != Some(words)) {
        Some(unit) => format!("did you mean {meant} ({unit})?"),
        None => format!("did you mean {meant}?"),
    }
}

/// The Levenshtein distance in bytes: insertions, deletions and replacements that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        // `diagonal` and `left` are the neighbours of the cell that is being filled; `row` still holds the line above.
        let (mut diagonal, mut left) = (i, i + 1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            left = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["quality_score", "weight", "priority", "id"];

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        for (slip, key) in [
            ("qualty_score", "quality_score"),
            ("qualityScore", "quality_score"),
            ("quality-score", "quality_score"),
            ("wieght", "weight"),
            ("prioritys", "priority"),
        ] {
            assert_eq!(closest(slip, KEYS.into_iter()), Some(key), "{slip}");
        }
    }

    #[test]
    fn a_name_may_be_written_in_any_way() {
        for written in [
            "least-connections",
            "Least Connections",
            "LEAST_CONNECTIONS",
            "leastConnections",
            " least.connections ",
            "Least - Connections",
        ] {
            assert_eq!(normal(written), "least_connections", "{written}");
        }
        for written in ["LEAST-CONECTIONS", "Least Connection", "leastConections"] {
            assert_eq!(
                closest(written, ["least_connections", "weighted"].into_iter()),
                Some("least_connections"),
                "{written}"
            );
        }
        for (written, meant) in [("QUEUE_SIZE_1K", "queue_size_1k"), ("vLLM", "vllm"), ("Open-AI", "openai"), ("", "-")]
        {
            assert!(is_same(written, meant), "{written}");
        }
        assert!(!is_same("queue_sizes", "queue_size") && !is_same("größe", "gre"));
        assert_eq!(normal(&"Ä".repeat(1_000)).chars().count(), LONGEST);
    }

    #[test]
    fn another_unit_is_told() {
        for (written, meant, asked) in [
            ("wieght", "weight", "did you mean weight?"),
            ("cost_per_token", "cost_per_1k_tokens", "did you mean cost_per_1k_tokens (USD per 1000 tokens)?"),
            ("cost_per_1k_token", "cost_per_1k_tokens", "did you mean cost_per_1k_tokens (USD per 1000 tokens)?"),
            ("costPer1kTokens", "cost_per_1k_tokens", "did you mean cost_per_1k_tokens (USD per 1000 tokens)?"),
            (
                "expected_response_time_s",
                "expected_response_time_ms",
                "did you mean expected_response_time_ms (milliseconds)?",
            ),
            ("Expected-Response-Time-MS", "expected_response_time_ms", "did you mean expected_response_time_ms?"),
        ] {
            assert_eq!(question(written, meant), asked, "{written}");
        }
    }

    #[test]
    fn another_word_is_not() {
        for word in ["temperature", "xyz", "", &"q".repeat(200)] {
            assert_eq!(closest(word, KEYS.into_iter()), None, "{word}");
        }
        assert_eq!(closest("weight", [].into_iter()), None);
    }

    #[test]
    fn edits_are_counted_as_in_the_textbook() {
        for (a, b, distance) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0)] {
            assert_eq!(edits(a, b), distance, "{a} {b}");
        }
    }
}
