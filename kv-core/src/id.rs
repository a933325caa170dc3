//! Newtypes for everything that is counted or named, so that no two of them can be mixed up.
//!
//! Three identities of a node stand side by side and none replaces another: [`NodeId`] follows from
//! the name and outlives a wiped disk, [`Incarnation`] is minted when a data folder is formatted and is
//! the actor of every dot, [`BootCount`] counts the openings of that folder.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::hash;

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub $inner);
    )*};
}

identifiers! {
    /// A node by its name: the stable hash of the name, so no one has to hand ids out.
    NodeId(u64);
    /// A formatted data folder: random, new after every wipe or restore, the actor of every dot.
    Incarnation(u64);
    /// How often a data folder was opened, counted from 1.
    BootCount(u64);
    /// A cluster: random, minted by the node that founds it.
    ClusterId(u64);
    /// The version of a cluster's layout, counted from 1.
    Epoch(u64);
    /// One of the equal parts of the hash space, counted from 0.
    PartitionId(u16);
    /// One of the parts of the strong keyspace, each a replicated log, counted from 0.
    ShardId(u32);
    /// A client request, unique among the open requests of one node.
    RequestId(u64);
    /// A message, unique among the messages of one sender since it was opened.
    MessageId(u64);
    /// A job, unique among the jobs of one node since it was opened.
    JobId(u64);
    /// A file of a node's disk: what it is for, and a number among its kind. See [`FileKind`].
    FileId(u64);
    /// An event, unique among the events of one node since it was opened.
    EventId(u64);
    /// A Raft group of a cluster.
    GroupId(u64);
    /// A term of a Raft group: at most one leader, counted from 1; zero before the first election.
    Term(u64);
    /// A place in the log of a Raft group, counted from 1; zero stands before the first entry.
    Index(u64);
}

impl Term {
    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Index {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place before this one; of the first of all, itself.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// A node with one data folder, as a Raft group knows it. A wiped node that returns is another replica:
/// it has forgotten its votes and its log, and must not pass for the one that had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Replica {
    /// The node.
    pub node: NodeId,
    /// Its data folder.
    pub incarnation: Incarnation,
}

impl NodeId {
    /// The id of the node with this name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self(hash::of(name.as_bytes()))
    }
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A segment of the commit log.
    Log,
    /// A sorted table.
    Table,
    /// One of the two slots that name what belongs to the store.
    Root,
    /// Room kept free for when the disk is full.
    Reserve,
}

impl FileId {
    /// The two slots of the superblock.
    pub const ROOTS: [Self; 2] = [Self::of(2, 0), Self::of(2, 1)];
    /// Room kept free for when the disk is full.
    pub const RESERVE: Self = Self::of(3, 0);
    /// Numbers are smaller, so that every id is exact in JavaScript too.
    pub const NUMBERS: u64 = 1 << 48;
    /// A store counts on from the files that it finds, but not from such numbers and greater ones: no
    /// disk lives to see them, so these files are not its own.
    pub const FOREIGN: u64 = Self::NUMBERS / 2;

    /// The segment of the log with this number.
    #[must_use]
    pub const fn log(number: u64) -> Self {
        Self::of(0, number)
    }

    /// The table with this number.
    #[must_use]
    pub const fn table(number: u64) -> Self {
        Self::of(1, number)
    }

    /// What it is for; none for an id that this release does not know.
    #[must_use]
    pub fn kind(self) -> Option<FileKind> {
        match self.0 / Self::NUMBERS {
            0 => Some(FileKind::Log),
            1 => Some(FileKind::Table),
            2 => Some(FileKind::Root),
            3 => Some(FileKind::Reserve),
            _ => None,
        }
    }

    /// Its number among its kind.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0 % Self::NUMBERS
    }

    const fn of(kind: u64, number: u64) -> Self {
        debug_assert!(number < Self::NUMBERS, "no disk lives to see so many files");
        Self(kind * Self::NUMBERS + number)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number();
        match self.kind() {
            Some(FileKind::Log) => write!(f, "log segment {number}"),
            Some(FileKind::Table) => write!(f, "table {number}"),
            Some(FileKind::Root) => write!(f, "root {number}"),
            Some(FileKind::Reserve) => f.write_str("the reserve"),
            None => write!(f, "file {}", self.0),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in the commit log: everything before it has been appended.
/// Positions of one node only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// The file of the segment; later segments have greater ids.
    pub segment: FileId,
    /// Bytes from the start of the segment.
    pub offset: u64,
}

impl LogPosition {
    /// Before everything: an output that requires this may leave at once.
    pub const START: Self = Self { segment: FileId(0), offset: 0 };
}
