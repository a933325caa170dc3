//! The storage engine of a node: a log-structured merge tree over the `Disk` trait.
//!
//! ```text
//! write   batch ─▶ log ─▶ memtable ─▶ frozen memtable ─▶ table in level 0 ─▶ … ─▶ last level
//! read    memtable, frozen memtables, then table by table: filter ─▶ index ─▶ block
//! ```
//!
//! A [`Batch`] of changes becomes one record at the end of the log, and only then changes the memtable.
//! Memtables go to tables, and tables are merged, by jobs beside the node. A root names all tables and
//! where the log begins. What must be durable before a value may be shown is a position in the log, so
//! one sync covers everything appended before it.
//!
//! Read in this order: `batch`, `record`, `log`, `recovery`; `memtable`, `ranges`; `table` and below;
//! `merge`, `compaction`; `root`; `store` and below.
//!
//! # The log
//!
//! The log is a chain of segment files. A segment is cut into blocks of 32 KiB; a record that does not
//! fit into the rest of its block is split into fragments, so that every block begins with a header
//! (the idea of LevelDB's log). All numbers are little endian:
//!
//! ```text
//! crc32 | length u32 | seq u64 | kind u8 | flags u8 | changes u16 | durable_seq u64 | payload | zeros to 8
//! ```
//!
//! - The checksum covers all that follows it and starts from the segment's number and the offset, so
//!   bytes that ended up in another place never pass for a record.
//! - `seq` counts batches from 1 without a gap; the fragments of a batch share it.
//! - `durable_seq` is the newest batch known to be durable when the record was made.
//! - The first record of a segment names the format and where the segment before it ends. So what a
//!   recovery has cut off stays cut off, even where the disk brings it back after a crash.
//!
//! # Damage and torn tails
//!
//! Let D be the greatest `durable_seq` of all records found in all segments. A record that is missing
//! or bad was, if it is newer than D, still being written when the node died: nobody was promised
//! anything, and the log is cut there ([`Cut`]). If it is not newer than D, data that had been durable
//! was damaged: opening fails with [`Damage`] and changes nothing. An idle or stopping node appends a
//! marker ([`Store::mark_durable`]), after which damage in any place can be proven.
//!
//! Left out: transactions over several batches, and the repair of what was lost, for which a store can
//! only say where it is ([`StoreView::suspects`]).

mod batch;
mod cache;
mod compaction;
mod filter;
pub mod inspect;
mod job;
mod log;
mod memtable;
mod merge;
mod options;
mod ranges;
mod reader;
mod record;
mod recovery;
mod root;
mod store;
mod table;
mod varint;
mod verify;

pub use batch::{Batch, Change};
pub use compaction::Compaction;
pub use job::{Job, JobResult};
pub use log::StoreError;
pub use memtable::Memtable;
pub use merge::Direction;
pub use options::{StoreOptions, TableForm};
pub use recovery::{Cut, Damage, Fault, OpenError, Recovery};
pub use root::Suspect;
pub use store::{
    FROZEN_MOST, Item, LEVEL_0_MAX, LevelView, Outcome, Scan, Snapshot, Store, StoreView, TableView,
};
pub use table::reader::Unreadable;
pub use table::{Properties, TableMeta};
pub use verify::verify_segment;
