//! What the queue of a world holds: everything that happens at a later time.

use alloc::boxed::Box;

use super::network::Notice;
use crate::id::{JobId, LogPosition, RequestId};
use crate::io::Input;
use crate::storage::Job;

/// What is due.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// The message of this number reaches a node.
    Arrival { to: u16, number: u64 },
    /// A node learns of a link.
    Notice(Notice),
    /// A node's device has written what it was asked to.
    Synced { node: u16, upto: LogPosition },
    /// A node's job is done.
    Job { node: u16, id: JobId, job: Box<Job> },
    /// A node's deadline has passed.
    Timer { node: u16 },
    /// A client asks a node that was paused for something, or no longer waits.
    Client { node: u16, input: Box<Input> },
    /// A client has waited for its answer for too long.
    GiveUp { request: RequestId },
    /// A generated client begins its next operation.
    Begin { client: u16 },
    /// The settings with which the run begins are set.
    FirstSettings,
}

impl Due {
    /// The node to which it happens, if it happens to one.
    pub(super) fn node(&self) -> Option<u16> {
        match self {
            Self::Arrival { to: node, .. }
            | Self::Notice(Notice { to: node, .. })
            | Self::Synced { node, .. }
            | Self::Job { node, .. }
            | Self::Timer { node }
            | Self::Client { node, .. } => Some(*node),
            Self::GiveUp { .. } | Self::Begin { .. } | Self::FirstSettings => None,
        }
    }

    /// Whether it is over with the life of this node: a crash takes what its process was waiting for.
    pub(super) fn dies_with(&self, node: u16) -> bool {
        let dies = match self {
            Self::Synced { .. } | Self::Job { .. } | Self::Timer { .. } | Self::Client { .. } => {
                true
            }
            Self::Arrival { .. }
            | Self::Notice(_)
            | Self::GiveUp { .. }
            | Self::Begin { .. }
            | Self::FirstSettings => false,
        };
        dies && self.node() == Some(node)
    }
}
