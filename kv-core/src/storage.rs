//! The store of a node: one commit log on the disk, and an index of all live keys in memory.
//!
//! A [`Batch`] of changes becomes one record at the end of the log, and only then changes the index;
//! opening reads the log back. What must be durable before a value may be shown is a position in the
//! log, so one sync covers everything appended before it.
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
//! Left out: tables on the disk. Everything live is in memory, and no segment is ever dropped.

mod batch;
mod log;
mod reader;
mod record;
mod recovery;
mod store;
mod verify;

pub use batch::Batch;
pub use log::StoreError;
pub use recovery::{Cut, Damage, Fault, OpenError, Recovery};
pub use store::{Store, StoreView};
pub use verify::verify_segment;
