//! The store of a node for the inspector: memtables, levels, log, and what was counted.

use kv_core::node::entry::{key_words, last_words};
use kv_core::storage::{LevelView, StoreView, Suspect, TableView};
use serde::Serialize;
use tsify::Tsify;

/// A store.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct StorageObject {
    /// Versions of keys: removals and replaced ones included, and what the node keeps for itself.
    pub entries: u64,
    /// Bytes of the memtable that is written to.
    pub memtable: u64,
    /// How many bytes it may have before it is on its way to a table.
    pub memtable_limit: u64,
    /// How many memtables are on their way, and their bytes.
    pub waiting: (u64, u64),
    /// The levels of tables, as far down as there are any.
    pub levels: Vec<LevelObject>,
    /// Log segments, oldest first, with their bytes.
    pub segments: Vec<(u64, u64)>,
    /// Where the log ends: segment, offset.
    pub end: (u64, u64),
    /// Up to where it is durable.
    pub durable: (u64, u64),
    /// Bytes behind that.
    pub unsynced_bytes: u64,
    /// Whether the disk is full.
    pub full: bool,
    /// Of the lookups for keys that a table does not have, the share that its filter lets pass.
    pub false_positives: Option<f64>,
    /// The share of blocks that the cache had.
    pub cache_hits: Option<f64>,
    /// Bytes written for each byte of batches.
    pub write_amplification: Option<f64>,
    /// Bytes of tables for each byte of the deepest level.
    pub space_amplification: Option<f64>,
    /// Ranges of keys of which something was lost.
    pub suspects: Vec<String>,
}

/// One level of tables.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct LevelObject {
    /// Bytes of its tables.
    pub bytes: u64,
    /// How many bytes it should have at most; 0 for level 0, which goes by its number of tables.
    pub target_bytes: u64,
    /// Its tables: of level 0 the newest first, of others by key.
    pub tables: Vec<TableObject>,
}

/// One table.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct TableObject {
    /// Its number.
    pub number: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Its versions.
    pub versions: u64,
    /// Its first key.
    pub first: String,
    /// Its last key.
    pub last: String,
    /// Why nothing of it can be read, if so.
    pub fault: Option<String>,
}

impl StorageObject {
    pub(crate) fn of(store: &StoreView) -> Self {
        let depth = store.levels.iter().rposition(|level| !level.tables.is_empty());
        let (_, hits, misses) = store.cache;
        let thousandths = |value: Option<u64>| value.map(|value| value as f64 / 1_000.0);
        Self {
            entries: store.versions,
            memtable: store.memtable.1,
            memtable_limit: store.memtable_limit,
            waiting: store.frozen,
            levels: store
                .levels
                .iter()
                .take(depth.map_or(0, |depth| depth + 1))
                .map(level)
                .collect(),
            segments: store.segments.iter().map(|(file, bytes)| (file.number(), *bytes)).collect(),
            end: (store.end.segment.number(), store.end.offset),
            durable: (store.durable.segment.number(), store.durable.offset),
            unsynced_bytes: store.unsynced_bytes,
            full: store.full,
            false_positives: store.false_positives_per_million().map(|share| share as f64 / 1e6),
            cache_hits: (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64),
            write_amplification: thousandths(store.write_amplification()),
            space_amplification: thousandths(store.space_amplification()),
            suspects: store.suspects.iter().map(suspect).collect(),
        }
    }
}

fn level(level: &LevelView) -> LevelObject {
    LevelObject {
        bytes: level.bytes(),
        target_bytes: level.target_bytes,
        tables: level.tables.iter().map(table).collect(),
    }
}

fn table(table: &TableView) -> TableObject {
    TableObject {
        number: table.file.number(),
        bytes: table.bytes,
        versions: table.versions,
        first: key_words(&table.first),
        last: last_words(&table.end),
        fault: table.fault.as_ref().map(ToString::to_string),
    }
}

fn suspect(suspect: &Suspect) -> String {
    format!("{} to {}", key_words(&suspect.start), last_words(&suspect.end))
}
