//! Which version of the module this is.

/// Its number.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built of, where who built it said so: `scripts/build.sh` does.
pub(crate) const COMMIT: &str = match option_env!("LLM_ROUTER_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The fingerprint of a configuration, as it is shown.
pub(crate) fn fingerprint(configuration: u64) -> String {
    format!("{configuration:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_has_three_numbers_and_no_label_has_a_point() {
        assert_eq!(VERSION.split('.').count(), 3, "the names of metrics go by it");
        assert!(!COMMIT.is_empty() && !COMMIT.contains('.'));
        assert_eq!(fingerprint(7), "0000000000000007");
    }
}
