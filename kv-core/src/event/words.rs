//! Events in words: one sentence each, with the way out where there is one.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use super::{DropReason, EventKind};
use crate::id::NodeId;
use crate::text;

impl EventKind {
    /// What happened, in words. `name` says how to call a node.
    #[must_use]
    pub fn words(&self, name: impl Fn(NodeId) -> String) -> String {
        match self {
            Self::Raft { group, event } => format!("group {} {}", group.0, event.words(name)),
            Self::ShardLeft(shard) => format!("no longer holds shard {}", shard.0),
            Self::ShardDamaged(shard) => {
                format!("cannot read all of shard {} and asks its leader for it", shard.0)
            }
            Self::LinkUp(node) => format!("link to {} is up", name(*node)),
            Self::LinkDown(node) => format!("link to {} is down", name(*node)),
            Self::Suspected { node, silent } => {
                format!("{} is suspected: no heartbeat for {} ms", name(*node), silent.as_millis())
            }
            Self::Trusted(node) => format!("{} is heard of again", name(*node)),
            Self::Founded(cluster) => format!("founded cluster {cluster}"),
            Self::Joined(cluster) => format!("became a member of cluster {cluster}"),
            Self::JoinRefused { by, reason } => {
                format!("{} does not take this node in: {}", name(*by), text::line(reason))
            }
            Self::LayoutChanged { epoch, members, moving } => format!(
                "layout of epoch {}: {members} members{}",
                epoch.0,
                if *moving { ", partitions are moving" } else { "" }
            ),
            Self::HandedOff { to, objects } => {
                format!("handed {objects} objects on to {}", name(*to))
            }
            Self::SettingChanged { setting, value, author } => {
                format!("{} is now {value}, set on {}", setting.spec().name, name(*author))
            }
            Self::Repaired { replica, .. } => {
                format!("sent {} a write it had missed", name(*replica))
            }
            Self::Dropped { from, reason } => {
                format!("dropped a message of {}: {}", name(*from), reason.words())
            }
            Self::Requested { .. }
            | Self::Answered { .. }
            | Self::Stored { .. }
            | Self::ClockPruned { .. } => self.request_words(),
            Self::Opened { .. }
            | Self::LogCut { .. }
            | Self::DiskFull
            | Self::DiskFreed
            | Self::Flushed { .. }
            | Self::Compacted { .. }
            | Self::Unreadable { .. }
            | Self::FileVerified { .. }
            | Self::FileDamaged { .. }
            | Self::Halted { .. } => self.disk_words(),
        }
    }

    fn request_words(&self) -> String {
        match self {
            Self::Requested { request, operation } => {
                format!("request {}: {operation:?}", request.0)
            }
            Self::Answered { request, error: None } => format!("request {} is done", request.0),
            Self::Answered { request, error: Some(error) } => {
                format!("request {} failed: {error}", request.0)
            }
            Self::Stored { partition, dot, .. } => {
                format!("stored write {}:{} in partition {}", dot.actor, dot.counter, partition.0)
            }
            Self::ClockPruned { pairs, .. } => format!("dropped {pairs} old version pairs"),
            other => other.name().to_string(),
        }
    }

    fn disk_words(&self) -> String {
        match self {
            Self::Opened { incarnation, boot, records } => {
                format!("opened folder {incarnation}, boot {}, {records} records read back", boot.0)
            }
            Self::LogCut { at, bytes } => format!(
                "the log was torn by a crash: {bytes} bytes cut at segment {} offset {}; nothing acknowledged was lost",
                at.segment.0, at.offset
            ),
            Self::DiskFull => {
                String::from("the disk is full: writes are refused until there is room")
            }
            Self::DiskFreed => String::from("the disk has room again: writes are accepted"),
            Self::Flushed { bytes } => format!("wrote its memtable to a table of {bytes} bytes"),
            Self::Compacted { level, read, written } => {
                format!("merged tables of {read} bytes into {written} bytes in level {level}")
            }
            Self::Unreadable { file, offset } => {
                format!("{file} cannot be read at offset {offset}; other replicas must answer")
            }
            Self::FileVerified { file, records } => {
                format!("{file}: all {records} checksums verified")
            }
            Self::FileDamaged { file, offset: Some(offset) } => {
                format!("{file} is damaged at offset {offset}")
            }
            Self::FileDamaged { file, offset: None } => format!("{file} cannot be read"),
            Self::Halted { reason } => format!(
                "halted, nothing more is acknowledged: {reason}; check the disk, then restart"
            ),
            other => other.name().to_string(),
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(|node| node.to_string()))
    }
}

impl DropReason {
    /// What to look into.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ForeignCluster => "it belongs to another cluster",
            Self::NotAMember => "its sender is not a member of this cluster",
            Self::Misdirected => "it was meant for another node",
            Self::Nonsense => "it makes no sense",
        }
    }
}
