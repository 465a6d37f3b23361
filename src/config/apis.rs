//! `apis`: what a backend speaks, by the names of APIs and of the families that they belong to.

use super::names::Named;
use super::reader::Reader;
use super::tree::Tree;
use crate::domain::{Api, ApiFamily, ApiSet, BackendType};

/// An entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    One(Api),
    Family(ApiFamily),
}

/// Every entry there is: the families first, as they are what most operators want. The family of what no API has is
/// written as that API, `other`.
#[expect(clippy::indexing_slicing, reason = "worked out when it is compiled")]
const ENTRIES: [Entry; 6 + Api::ALL.len()] = {
    let mut all = [Entry::One(Api::Other); 6 + Api::ALL.len()];
    let mut n = 0;
    while n < 6 {
        all[n] = Entry::Family(ApiFamily::ALL[n]);
        n += 1;
    }
    while n < all.len() {
        all[n] = Entry::One(Api::ALL[n - 6]);
        n += 1;
    }
    all
};

impl Named for Entry {
    const ALL: &'static [Self] = &ENTRIES;

    fn name(self) -> &'static str {
        match self {
            Self::One(api) => api.name(),
            Self::Family(family) => family.name,
        }
    }
}

/// What a backend of this type speaks.
pub(super) fn read(reader: &mut Reader<'_, '_>, kind: BackendType) -> ApiSet {
    const KEY: &str = "apis";
    if matches!(reader.value(KEY), Some(Tree::List(entries)) if entries.is_empty()) {
        reader.problem(KEY, "at least one API is needed; leave it out for those of the backend's type");
    }
    let Some(entries) = reader.optional_choices::<Entry>(KEY) else { return kind.apis() };
    entries.into_iter().fold(ApiSet::NONE, |all, entry| {
        all.with(match entry {
            Entry::One(api) => ApiSet::of(&[api]),
            Entry::Family(family) => family.apis,
        })
    })
}
