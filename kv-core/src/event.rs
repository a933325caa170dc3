//! The trace schema: what happened on a node, when, and which input caused it.
//!
//! One schema serves the simulator, the live cluster and recordings; log lines, metrics and the page's
//! explanations are views of it. The core never logs: it emits [`Event`]s, and shells decide. The same
//! words serve all of them ([`EventKind::words`]).

pub mod raft;
mod words;

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::error::RequestError;
use crate::id::{
    BootCount, ClusterId, Epoch, EventId, FileId, GroupId, Incarnation, JobId, LogPosition,
    MessageId, NodeId, PartitionId, RequestId, ShardId,
};
use crate::settings::Setting;
use crate::time::{Micros, Now};
use crate::version::Dot;

/// One thing that happened on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number on this node since it was opened.
    pub id: EventId,
    /// When.
    pub at: Now,
    /// The input that caused it.
    pub cause: Cause,
    /// What happened.
    pub kind: EventKind,
}

/// The input that caused an event or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The node was opened.
    Boot,
    /// A deadline passed.
    Timer,
    /// A message of another node.
    Message {
        /// Who sent it.
        from: NodeId,
        /// Its number among the sender's messages.
        id: MessageId,
    },
    /// A request of a client, or its withdrawal or credit.
    Request(RequestId),
    /// The log became durable up to a position.
    Synced(LogPosition),
    /// A link came up or went down.
    Link(NodeId),
    /// A job ended.
    Job(JobId),
}

/// What a client asked for, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is named after the request it stands for")]
pub enum Operation {
    Get,
    Put,
    Delete,
    List,
    Set,
    AddPeer,
    RemoveMember,
    Write,
    Scan,
    Watch,
    OpenSession,
    Leader,
}

/// Why an input was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropReason {
    /// It came from another cluster.
    ForeignCluster,
    /// Its sender is not a member, or is one with another data folder.
    NotAMember,
    /// It was meant for another node.
    Misdirected,
    /// Its values make no sense.
    Nonsense,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The node opened its data folder.
    Opened {
        /// Which folder.
        incarnation: Incarnation,
        /// How often it has been opened.
        boot: BootCount,
        /// How many log records were read back.
        records: u64,
    },
    /// The end of the log had been torn by a crash and was cut. Nothing acknowledged was in it.
    LogCut {
        /// Where the log ends now.
        at: LogPosition,
        /// How many bytes were cut.
        bytes: u64,
    },
    /// Something happened in a Raft group.
    Raft {
        /// The group.
        group: GroupId,
        /// What.
        event: raft::RaftEvent,
    },
    /// This node no longer holds a shard of the strong keyspace.
    ShardLeft(ShardId),
    /// A link to another node came up.
    LinkUp(NodeId),
    /// A link to another node went down.
    LinkDown(NodeId),
    /// A member has not been heard of for too long.
    Suspected {
        /// Which.
        node: NodeId,
        /// For how long.
        silent: Micros,
    },
    /// A suspected member has been heard of again.
    Trusted(NodeId),
    /// This node founded a cluster.
    Founded(ClusterId),
    /// This node became a member of another cluster.
    Joined(ClusterId),
    /// This node asked to be taken in and was refused.
    JoinRefused {
        /// By whom.
        by: NodeId,
        /// Why, and what to do.
        reason: String,
    },
    /// The cluster has a new layout.
    LayoutChanged {
        /// Its epoch.
        epoch: Epoch,
        /// How many members it has.
        members: u64,
        /// Whether partitions are moving.
        moving: bool,
    },
    /// Objects were handed on to a new owner.
    HandedOff {
        /// To whom.
        to: NodeId,
        /// How many.
        objects: u64,
    },
    /// Settings changed, here or elsewhere.
    SettingChanged {
        /// Which.
        setting: Setting,
        /// To what.
        value: u64,
        /// On which node.
        author: NodeId,
    },
    /// A client's request arrived.
    Requested {
        /// Its number.
        request: RequestId,
        /// What it wants.
        operation: Operation,
    },
    /// A client's request was answered.
    Answered {
        /// Its number.
        request: RequestId,
        /// Why it failed, if it did.
        error: Option<RequestError>,
    },
    /// A replica wrote an object to its log.
    Stored {
        /// In which partition.
        partition: PartitionId,
        /// The hash of the key.
        key: u64,
        /// The newest write in it.
        dot: Dot,
    },
    /// A read found a stale replica and sent it what it missed.
    Repaired {
        /// The replica.
        replica: NodeId,
        /// The hash of the key.
        key: u64,
    },
    /// Pairs of a version vector were dropped because there were more than the threshold.
    ClockPruned {
        /// The hash of the key.
        key: u64,
        /// How many.
        pairs: u64,
    },
    /// An input was dropped; nothing changed.
    Dropped {
        /// Who sent it.
        from: NodeId,
        /// Why.
        reason: DropReason,
    },
    /// The disk is full: writes are refused, reads go on.
    DiskFull,
    /// There is room again.
    DiskFreed,
    /// A memtable was written to a table.
    Flushed {
        /// Bytes of the table.
        bytes: u64,
    },
    /// Tables were merged into a level.
    Compacted {
        /// The level.
        level: u64,
        /// Bytes that were read.
        read: u64,
        /// Bytes that were written.
        written: u64,
    },
    /// A place in the store cannot be read. What it held must come from other replicas.
    Unreadable {
        /// The file.
        file: FileId,
        /// Where in it.
        offset: u64,
    },
    /// A file was read through and every checksum held.
    FileVerified {
        /// The file.
        file: FileId,
        /// How many records or blocks it has.
        records: u64,
    },
    /// A file was read through and is damaged. If it is a segment of the log, then what this node holds
    /// in memory is whole; it must not be restarted before the others have a copy.
    FileDamaged {
        /// The file.
        file: FileId,
        /// Where the damage begins, or nothing if the file could not be read.
        offset: Option<u64>,
    },
    /// The node has stopped for good: its log could not be made durable.
    Halted {
        /// The disk's own words.
        reason: String,
    },
    /// A part of the state of a shard cannot be read here. It is taken over from the shard's leader.
    ShardDamaged(ShardId),
}

/// How much attention an event deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Every single request and message.
    Trace,
    /// Changes of state worth a line in the log.
    Info,
    /// Something an operator may want to look into.
    Warning,
    /// Something an operator must look into.
    Error,
}

impl EventKind {
    /// How much attention it deserves.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Raft { event, .. } => event.severity(),
            Self::Requested { .. }
            | Self::Answered { .. }
            | Self::Stored { .. }
            | Self::ClockPruned { .. }
            | Self::Flushed { .. }
            | Self::Compacted { .. }
            | Self::FileVerified { .. } => Severity::Trace,
            Self::Opened { .. }
            | Self::ShardLeft(_)
            | Self::LinkUp(_)
            | Self::LinkDown(_)
            | Self::Trusted(_)
            | Self::Founded(_)
            | Self::Joined(_)
            | Self::LayoutChanged { .. }
            | Self::HandedOff { .. }
            | Self::SettingChanged { .. }
            | Self::Repaired { .. }
            // While a node is taken in, news of it and from it cross; nothing needs to be done.
            | Self::Dropped { reason: DropReason::NotAMember, .. }
            | Self::DiskFreed => Severity::Info,
            Self::LogCut { .. }
            | Self::Suspected { .. }
            | Self::JoinRefused { .. }
            | Self::Dropped { .. }
            | Self::ShardDamaged(_)
            | Self::DiskFull => Severity::Warning,
            Self::Unreadable { .. } | Self::FileDamaged { .. } | Self::Halted { .. } => Severity::Error,
        }
    }

    /// A name for counting events of this kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Raft { event, .. } => event.name(),
            Self::Opened { .. } => "opened",
            Self::LogCut { .. } => "log_cut",
            Self::ShardLeft(_) => "shard_left",
            Self::ShardDamaged(_) => "shard_damaged",
            Self::LinkUp(_) => "link_up",
            Self::LinkDown(_) => "link_down",
            Self::Suspected { .. } => "suspected",
            Self::Trusted(_) => "trusted",
            Self::Founded(_) => "founded",
            Self::Joined(_) => "joined",
            Self::JoinRefused { .. } => "join_refused",
            Self::LayoutChanged { .. } => "layout_changed",
            Self::HandedOff { .. } => "handed_off",
            Self::SettingChanged { .. } => "setting_changed",
            Self::Requested { .. } => "requested",
            Self::Answered { .. } => "answered",
            Self::Stored { .. } => "stored",
            Self::Repaired { .. } => "repaired",
            Self::ClockPruned { .. } => "clock_pruned",
            Self::Dropped { .. } => "dropped",
            Self::DiskFull => "disk_full",
            Self::DiskFreed => "disk_freed",
            Self::Flushed { .. } => "flushed",
            Self::Compacted { .. } => "compacted",
            Self::Unreadable { .. } => "unreadable",
            Self::FileVerified { .. } => "file_verified",
            Self::FileDamaged { .. } => "file_damaged",
            Self::Halted { .. } => "halted",
        }
    }
}
