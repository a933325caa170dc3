//! What to merge next: a pure function of the list of tables.

use alloc::vec::Vec;

use super::super::options::StoreOptions;
use super::super::root::{LEVELS, Root};
use super::super::table::TableMeta;
use crate::id::FileId;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Pick {
    /// Merge these runs, newest first, into a level.
    Merge { runs: Vec<Vec<TableMeta>>, level: usize, last: bool },
    /// A table that nothing overlaps in the next level goes there as it is.
    Move { table: TableMeta, level: usize },
}

/// How many tables of level 0 are merged at once.
const LEVEL_0_TABLES: usize = 4;

/// How much larger each level is than the one above.
const RATIO: u64 = 10;

/// The size that a level should not exceed.
pub(in super::super) fn level_target(level: usize, options: &StoreOptions) -> u64 {
    (1..level).fold(options.level_bytes, |bytes, _| bytes.saturating_mul(RATIO))
}

/// What to merge next, if anything. With `everything` all levels go into one.
pub(in super::super) fn pick(
    root: &Root,
    options: &StoreOptions,
    everything: bool,
) -> Option<Pick> {
    if everything {
        return pick_everything(root);
    }
    let [upper, ..] = &root.levels[..] else { return None };
    if LEVEL_0_TABLES <= upper.len() {
        let runs = upper.iter().map(|table| alloc::vec![table.clone()]).collect();
        return Some(with_next_level(root, runs, 1));
    }
    let excess = |level: usize| {
        let bytes = bytes(&root.levels[level]);
        let target = level_target(level, options);
        // The part by which it is too large, in thousandths.
        let excess = (bytes > target).then(|| (bytes - target) * 1_000 / target.max(1));
        excess.map(|excess| (excess, level))
    };
    let deepest = LEVELS - 1;
    let (_, level) = (1..deepest)
        .filter_map(excess)
        .max_by_key(|(excess, level)| (*excess, core::cmp::Reverse(*level)))?;
    let table = cheapest(root, level)?.clone();
    // What was removed must be merged, or it would be carried down and never dropped.
    let removes = table.properties.removals > 0 || table.properties.ranges > 0;
    if !removes && overlapping(root, level + 1, &table).next().is_none() {
        return Some(Pick::Move { table, level: level + 1 });
    }
    Some(with_next_level(root, alloc::vec![alloc::vec![table]], level + 1))
}

/// Merges all tables into the deepest level that has any, unless they are there already.
fn pick_everything(root: &Root) -> Option<Pick> {
    let deepest = root.levels.iter().rposition(|level| !level.is_empty())?.max(1);
    if root.levels[..deepest].iter().all(Vec::is_empty) {
        return None;
    }
    let mut runs: Vec<_> = root.levels[0].iter().map(|table| alloc::vec![table.clone()]).collect();
    runs.extend(root.levels[1..].iter().filter(|level| !level.is_empty()).cloned());
    Some(Pick::Merge { runs, level: deepest, last: true })
}

/// The table of a level that overlaps the least of the next, for its size.
fn cheapest(root: &Root, level: usize) -> Option<&TableMeta> {
    let cost = |table: &&TableMeta| {
        let next: u64 = overlapping(root, level + 1, table).map(|table| table.bytes).sum();
        (u128::from(next) * 1_000 / u128::from(table.bytes.max(1)), table.file)
    };
    root.levels[level].iter().min_by_key(cost)
}

/// Everything between the first and the last key of the inputs, for an output may reach from one to the
/// other.
fn with_next_level(root: &Root, mut runs: Vec<Vec<TableMeta>>, level: usize) -> Pick {
    let spans = || runs.iter().flatten().map(|table| &table.properties);
    let first = spans().map(|span| span.first.clone()).min().unwrap_or_default();
    let end = spans().map(|span| span.end.clone()).max().unwrap_or_default();
    let within = |table: &&TableMeta| table.properties.overlaps(&first, &end);
    let next: Vec<TableMeta> =
        root.levels.get(level).into_iter().flatten().filter(within).cloned().collect();
    let first = next.first().map_or(&first, |table| (&first).min(&table.properties.first));
    let end = next.last().map_or(&end, |table| (&end).max(&table.properties.end));
    let deeper = root.levels.get(level + 1..).unwrap_or_default();
    let last = !deeper.iter().flatten().any(|table| table.properties.overlaps(first, end));
    if !next.is_empty() {
        runs.push(next);
    }
    Pick::Merge { runs, level, last }
}

fn overlapping<'a>(
    root: &'a Root,
    level: usize,
    table: &TableMeta,
) -> impl Iterator<Item = &'a TableMeta> + use<'a> {
    let (first, end) = (table.properties.first.clone(), table.properties.end.clone());
    let tables = root.levels.get(level).map(Vec::as_slice).unwrap_or_default();
    tables.iter().filter(move |other| other.properties.overlaps(&first, &end))
}

fn bytes(tables: &[TableMeta]) -> u64 {
    tables.iter().map(|table| table.bytes).sum()
}

/// Tables below level 0 that lie whole within newer removed ranges: they can go unread.
pub(in super::super) fn covered(
    root: &Root,
    cover: impl Fn(usize, &TableMeta) -> bool,
) -> Vec<FileId> {
    let deeper = root.tables().filter(|(level, _)| *level > 0);
    deeper.filter(|(level, table)| cover(*level, table)).map(|(_, table)| table.file).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::table::Properties;
    use super::*;

    fn table(number: u64, first: &str, end: &str, bytes: u64) -> TableMeta {
        let properties = Properties {
            first: Bytes::copy_from_slice(first.as_bytes()),
            end: Bytes::copy_from_slice(end.as_bytes()),
            ..Properties::default()
        };
        TableMeta { file: FileId::table(number), bytes, checksum: 0, properties }
    }

    fn files(pick: Option<Pick>) -> (Vec<Vec<u64>>, usize, bool) {
        match pick {
            Some(Pick::Merge { runs, level, last }) => {
                let run =
                    |run: &Vec<TableMeta>| run.iter().map(|table| table.file.number()).collect();
                (runs.iter().map(run).collect(), level, last)
            }
            other => panic!("{other:?} is no merge"),
        }
    }

    fn options() -> StoreOptions {
        StoreOptions { level_bytes: 100, ..StoreOptions::SIMULATED }
    }

    #[test]
    fn four_tables_of_level_0_are_merged_with_what_they_overlap() {
        let mut root = Root::empty();
        root.levels[0] = (1..4).map(|number| table(number, "c", "f", 10)).collect();
        root.levels[1] = alloc::vec![table(5, "a", "c", 10), table(6, "c", "d", 10)];
        assert_eq!(pick(&root, &options(), false), None, "three are not enough");
        root.levels[0].push(table(4, "e", "h", 10));
        let merged = alloc::vec![
            alloc::vec![1],
            alloc::vec![2],
            alloc::vec![3],
            alloc::vec![4],
            alloc::vec![6]
        ];
        assert_eq!(files(pick(&root, &options(), false)), (merged.clone(), 1, true));
        root.levels[3] = alloc::vec![table(7, "g", "z", 10)];
        assert_eq!(files(pick(&root, &options(), false)), (merged, 1, false));
    }

    #[test]
    fn the_level_that_is_too_large_gives_up_what_overlaps_least() {
        let mut root = Root::empty();
        root.levels[1] = alloc::vec![table(1, "a", "c", 60), table(2, "c", "e", 60)];
        root.levels[2] = alloc::vec![table(3, "a", "d", 50), table(4, "d", "d5", 10)];
        let merged = alloc::vec![alloc::vec![1], alloc::vec![3]];
        assert_eq!(files(pick(&root, &options(), false)), (merged, 2, true));
        root.levels[2].clear();
        let moved = Pick::Move { table: table(1, "a", "c", 60), level: 2 };
        assert_eq!(pick(&root, &options(), false), Some(moved));
        root.levels[1][0].properties.removals = 1;
        let merged = alloc::vec![alloc::vec![1]];
        assert_eq!(files(pick(&root, &options(), false)), (merged, 2, true), "its removal goes");
    }

    #[test]
    fn everything_goes_to_the_deepest_level_in_use() {
        let mut root = Root::empty();
        assert_eq!(pick(&root, &options(), true), None);
        root.levels[0] = alloc::vec![table(2, "a", "c", 1), table(1, "a", "c", 1)];
        root.levels[2] = alloc::vec![table(3, "a", "d", 1)];
        let merged = alloc::vec![alloc::vec![2], alloc::vec![1], alloc::vec![3]];
        assert_eq!(files(pick(&root, &options(), true)), (merged, 2, true));
        root.levels[0].clear();
        assert_eq!(pick(&root, &options(), true), None);
    }
}
