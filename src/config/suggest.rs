//! "Did you mean …?"

/// Longer names than this get no suggestion: no key of ours is as long, and the work stays bounded.
const LONGEST: usize = 48;

/// The candidate that `name` is most likely a slip of: at most a third of its letters differ.
pub(super) fn closest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > LONGEST {
        return None;
    }
    let (edits, best) = candidates.map(|candidate| (edits(name, candidate), candidate)).min()?;
    (edits <= (name.len() / 3).clamp(1, 4)).then_some(best)
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
