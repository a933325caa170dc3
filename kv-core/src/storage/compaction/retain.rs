//! Which versions somebody can still see.

use alloc::vec::Vec;

use super::super::memtable::Version;
use super::super::ranges::Ranges;

/// Looks at versions in their order and keeps those that a snapshot, or whoever reads now, can see.
pub(super) struct Retain {
    snapshots: Vec<u64>,
    ranges: Ranges,
    /// Whether nothing older exists elsewhere.
    last: bool,
    key: Vec<u8>,
    /// The stripe of the version before, if it was of the same key.
    stripe: Option<usize>,
}

impl Retain {
    /// `snapshots` ascend. `ranges` are the removed ranges of everything that is merged.
    pub(super) fn new(snapshots: Vec<u64>, ranges: Ranges, last: bool) -> Self {
        Self { snapshots, ranges, last, key: Vec::new(), stripe: None }
    }

    /// The version as it is to be kept, or none.
    pub(super) fn keep<'a>(&mut self, version: Version<'a>) -> Option<Version<'a>> {
        // Snapshots cut the revisions into stripes. Whoever sees a version of a stripe reads at the
        // snapshot that ends it or later, and sees the newest version of the stripe.
        let stripe = self.snapshots.partition_point(|snapshot| *snapshot < version.revision);
        if self.key == version.key {
            if self.stripe == Some(stripe) {
                return None;
            }
        } else {
            self.key.clear();
            self.key.extend_from_slice(version.key);
        }
        self.stripe = Some(stripe);
        let read_at = self.snapshots.get(stripe).copied().unwrap_or(u64::MAX);
        if !self.ranges.is_empty() && version.revision < self.ranges.covering(version.key, read_at)
        {
            // A removed range hides it from everybody, and is kept itself as long as that matters.
            return None;
        }
        if self.last && stripe == 0 {
            // Everybody sees this version or a newer one, and there is no older one: a removal says
            // nothing any more, and of a value it no longer matters when it was written.
            return version.value.is_some().then_some(Version { revision: 0, ..version });
        }
        Some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(
        snapshots: &[u64],
        last: bool,
        versions: &[(&str, u64, Option<&str>)],
    ) -> Vec<(u64, bool)> {
        let mut retain = Retain::new(snapshots.to_vec(), Ranges::default(), last);
        versions
            .iter()
            .filter_map(|(key, revision, value)| {
                let value = value.map(str::as_bytes);
                retain.keep(Version { key: key.as_bytes(), revision: *revision, value })
            })
            .map(|version| (version.revision, version.value.is_some()))
            .collect()
    }

    #[test]
    fn the_newest_stays_and_what_each_snapshot_sees() {
        let versions =
            [("a", 9, Some("4")), ("a", 7, Some("3")), ("a", 4, None), ("a", 2, Some("1"))];
        assert_eq!(kept(&[], false, &versions), [(9, true)]);
        assert_eq!(kept(&[8], false, &versions), [(9, true), (7, true)]);
        assert_eq!(kept(&[3, 4, 5], false, &versions), [(9, true), (4, false), (2, true)]);
        assert_eq!(kept(&[20], false, &versions), [(9, true)]);
    }

    #[test]
    fn removals_go_where_nothing_older_is() {
        let versions = [("a", 9, None), ("a", 2, Some("1")), ("b", 5, Some("2"))];
        assert_eq!(kept(&[], false, &versions), [(9, false), (5, true)]);
        assert_eq!(kept(&[], true, &versions), [(0, true)]);
        assert_eq!(kept(&[3], true, &versions), [(9, false), (0, true), (5, true)]);
    }
}
