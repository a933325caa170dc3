//! What clients ask of the strong keyspace, and what they are answered.
//!
//! A key falls into a *shard*, and a shard is one replicated log. Whatever changes a shard is one entry of
//! that log, and the index of the entry is the *revision* of what it wrote. So revisions of one shard only
//! grow, and a revision names a version of a key for good: it is what conditions compare.
//!
//! A read is linearizable unless it says that a stale one will do. A write that carries a [`SessionSeq`]
//! is carried out at most once, however often it is sent.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{Index, NodeId, ShardId};
use crate::time::{Micros, Wall};

/// The most operations of one write.
pub const OPERATIONS_MAX: usize = 1_024;

/// The most writes of one session that may be open at a time.
pub const SESSION_WINDOW: u64 = 32;

/// The most records or changes of one answer.
pub const PAGE_MAX: u32 = 10_000;

/// For how long a session lives that sends nothing, by the clock of the log.
pub const SESSION_TTL: Micros = Micros::from_millis(10 * 60 * 1_000);

/// The longest time to live that a record may be given: a hundred years.
pub const TTL_MAX: Micros = Micros::from_millis(100 * 365 * 24 * 3_600 * 1_000);

/// What a client can ask of the strong keyspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrongRequest {
    /// Read a key. Answered with [`StrongReply::Value`].
    Get {
        /// The key.
        key: Bytes,
        /// How fresh.
        freshness: Freshness,
    },
    /// Change keys of one shard, all or none. Answered with [`StrongReply::Written`] or
    /// [`StrongReply::Unmet`].
    Write {
        /// The operations: at least one, at most [`OPERATIONS_MAX`], no two of one key.
        operations: Vec<WriteOperation>,
        /// Names the write, so that it is carried out at most once.
        session: Option<SessionSeq>,
    },
    /// The records of one shard whose keys begin with a prefix, in the order of their keys. Answered with
    /// [`StrongReply::Page`].
    Scan {
        /// Which shard.
        shard: ShardId,
        /// What keys begin with.
        prefix: Bytes,
        /// Only keys behind this one.
        after: Option<Bytes>,
        /// The most records, up to [`PAGE_MAX`]. An answer may hold fewer, and yet there are more.
        limit: u32,
        /// How fresh.
        freshness: Freshness,
    },
    /// What has changed in a shard. Answered with [`StrongReply::Changes`] as soon as there is something,
    /// or when the time is over.
    Watch {
        /// Which shard.
        shard: ShardId,
        /// What keys begin with.
        prefix: Bytes,
        /// Only changes behind this revision. Without one the answer comes at once and says where
        /// watching begins.
        after: Option<Index>,
        /// The most changes, up to [`PAGE_MAX`]. With none the answer comes at once, and only says whether
        /// changes behind that revision are still kept.
        limit: u32,
    },
    /// Open a session in a shard. Answered with [`StrongReply::Session`].
    OpenSession {
        /// Which shard.
        shard: ShardId,
    },
    /// Who leads a shard, as far as one of its replicas knows. Answered with [`StrongReply::Leader`].
    Leader {
        /// Which shard.
        shard: ShardId,
    },
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// It sees every write that was acknowledged before it was asked.
    #[default]
    Linearizable,
    /// It sees what some replica has applied, which may be old.
    Stale,
}

/// One operation of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOperation {
    /// The key.
    pub key: Bytes,
    /// What must be there, else nothing of the write is carried out.
    pub condition: Condition,
    /// What to do.
    pub action: Action,
}

/// What must be under a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Anything or nothing.
    #[default]
    Any,
    /// Nothing.
    Absent,
    /// Something.
    Present,
    /// The version of this revision.
    Revision(Index),
}

/// What an operation does with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Store a value.
    Put {
        /// The value.
        value: Bytes,
        /// For how long, by the clock of the log; for good if none.
        ttl: Option<Micros>,
    },
    /// Delete it. That there is nothing is no error; a condition can make it one.
    Delete,
    /// Nothing: only the condition counts.
    Check,
}

/// The sessions of one client, one in each shard, in the order of the shards. Each is named by the
/// revision that opened it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session(pub Vec<Index>);

/// The name of a write: it is carried out at most once, and whoever sends it again gets the first answer
/// (Ongaro's dissertation, 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSeq {
    /// The client's sessions.
    pub session: Session,
    /// The number of the write in the session of its shard, counted from 1 by the client. At most
    /// [`SESSION_WINDOW`] numbers may be open at a time.
    pub seq: u64,
    /// The client has the answers of all numbers up to this one and will not send them again.
    pub acknowledged: u64,
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The revision that wrote it.
    pub revision: Index,
    /// The value.
    pub value: Bytes,
    /// When it ceases to be there, by the clock of the log; never if none.
    pub expires: Option<Wall>,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// The revision that did it.
    pub revision: Index,
    /// The key.
    pub key: Bytes,
    /// What is there now: nothing if it was deleted or has expired.
    pub record: Option<Record>,
}

/// The answer to a request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrongReply {
    /// To a get.
    Value {
        /// What is there, if anything.
        record: Option<Record>,
        /// The last entry of the log that the answer knows of.
        revision: Index,
    },
    /// To a write: a majority has it on disk, and it is applied.
    Written {
        /// The revision of what it wrote.
        revision: Index,
        /// For each operation the revision of what was there before.
        replaced: Vec<Option<Index>>,
        /// The clock of the log as of then, from which times to live count.
        clock: Wall,
    },
    /// To a write: a condition was not met, and nothing was changed.
    Unmet {
        /// Which operation, counted from 0.
        operation: u32,
        /// The revision of what is there, if anything.
        found: Option<Index>,
    },
    /// To a scan.
    Page {
        /// The records, in the order of their keys.
        records: Vec<(Bytes, Record)>,
        /// Where to go on, if there may be more: the last key that was looked at.
        next: Option<Bytes>,
        /// The last entry of the log that the answer knows of.
        revision: Index,
    },
    /// To a watch.
    Changes {
        /// The changes, in their order. All of one revision are in one answer.
        changes: Vec<KeyChange>,
        /// Where to go on watching.
        upto: Index,
    },
    /// To a request for a session: its name in this shard.
    Session(Index),
    /// To the question who leads.
    Leader(NodeId),
}
