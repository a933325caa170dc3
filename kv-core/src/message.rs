//! Everything that crosses the network between nodes.
//!
//! A link begins with a [`Hello`] each way; then come [`Envelope`]s. A link has two [`Lane`]s, so that a
//! large value never delays a heartbeat. Exchanges:
//!
//! ```text
//! strong     any member ── Strong ──▶ a member that has the shard, and back
//! eventual   coordinator ── Store ──▶ replica ── Stored ──▶ coordinator        write, repair
//!            coordinator ── Fetch ──▶ replica ── Fetched ─▶ coordinator        read
//!            any member ── Forward ─▶ owner ──── Forwarded ─▶ any member       write through an owner
//!            old owner ── HandOff ──▶ new owner ─ HandedOff ─▶ old owner       move of partitions
//! cluster    newcomer ─── Join ─────▶ member ─── JoinRefused | Adopt ─▶ newcomer
//!            member ───── Propose ──▶ leader ─── Adopt ──────▶ all members
//! gossip     member ───── Heartbeats ▶ member ── SettingsAre | Adopt ─▶ member when it lags
//! ```
//!
//! [`Message::Join`], [`Message::JoinRefused`] and [`Message::Invite`] are the only ones that a node
//! accepts from another cluster, and [`Message::Adopt`] if that one has taken it in.

pub mod raft;
pub mod strong;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::RequestError;
use crate::id::{BootCount, ClusterId, Epoch, Incarnation, MessageId, NodeId, ShardId};
use crate::request::{Reply, Request};
use crate::ring::layout::Layout;
use crate::settings::SettingsDocument;
use crate::time::Micros;
use crate::version::Object;

/// The first thing each side of a link says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who speaks.
    pub node: NodeId,
    /// The name behind the id.
    pub name: String,
    /// Where others reach it, as `HOST:PORT`.
    pub address: String,
    /// Its data folder.
    pub incarnation: Incarnation,
    /// How often that was opened.
    pub boot: BootCount,
    /// The cluster it belongs to, if it does already.
    pub cluster: Option<ClusterId>,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's number for it; events on both sides refer to it.
    pub id: MessageId,
    /// The sender's cluster, if it has one.
    pub cluster: Option<ClusterId>,
    /// Who sent it.
    pub from: NodeId,
    /// The sender's data folder. A message of a folder that is not the member's is dropped.
    pub incarnation: Incarnation,
    /// Whom it is for.
    pub to: NodeId,
    /// What it says.
    pub message: Message,
}

/// The two queues of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Small and timely: heartbeats, membership, settings.
    Urgent,
    /// Everything with values in it, and what must keep its order with that.
    Bulk,
}

/// Connects an answer with its question, unique on the node that asked.
pub type Token = u64;

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Coordinator to replica: keep this object, merged with what you have.
    Store {
        /// Returned in the answer.
        token: Token,
        /// The sender's epoch; a replica that knows a later one refuses.
        epoch: Epoch,
        /// The key.
        key: Bytes,
        /// The whole object.
        object: Object,
    },
    /// Replica to coordinator: it is on disk, or why it is not.
    Stored {
        /// Of the question.
        token: Token,
        /// Nothing, or why nothing was kept.
        refused: Option<Refusal>,
    },
    /// Coordinator to replica: what do you have under this key?
    Fetch {
        /// Returned in the answer.
        token: Token,
        /// The sender's epoch; a replica that knows a later one refuses.
        epoch: Epoch,
        /// The key.
        key: Bytes,
    },
    /// Replica to coordinator: this, or nothing; all of it is on disk.
    Fetched {
        /// Of the question.
        token: Token,
        /// What is there, or why no answer is given.
        object: Result<Option<Object>, Refusal>,
    },
    /// Member to owner: do this request for my client. Sent once, never forwarded again.
    Forward {
        /// Returned in the answer.
        token: Token,
        /// The sender's epoch.
        epoch: Epoch,
        /// A get, put or delete.
        request: Box<Request>,
        /// How long the client still waits.
        timeout: Micros,
    },
    /// Owner to member: the outcome.
    Forwarded {
        /// Of the question.
        token: Token,
        /// As the client shall get it.
        result: Result<Box<Reply>, RequestError>,
    },
    /// Member to new owner: objects of partitions that are yours now.
    HandOff {
        /// Returned in the answer.
        token: Token,
        /// The epoch whose move this belongs to.
        epoch: Epoch,
        /// Keys and objects.
        objects: Vec<(Bytes, Object)>,
    },
    /// New owner to member: they are on disk.
    HandedOff {
        /// Of the question.
        token: Token,
    },
    /// Newcomer to any member, or to its own founder: take me in. Repeated until it is a member.
    Join {
        /// The newcomer.
        who: Hello,
        /// Its present cluster.
        size: ClusterSize,
    },
    /// Member to newcomer: not now, or not at all.
    JoinRefused {
        /// Whether asking again later makes sense.
        later: bool,
        /// What to do about it.
        reason: String,
    },
    /// Member to a node that shall join: ask me to take you in.
    Invite {
        /// The sender's cluster.
        size: ClusterSize,
    },
    /// Member to the leader of the metadata group: change the cluster so. Repeated until a layout shows it.
    Propose {
        /// The sender's epoch. Under a later layout the proposal is dropped: it may be an old one that
        /// was held up, and would undo what was chosen since.
        epoch: Epoch,
        /// How.
        command: ClusterCommand,
    },
    /// To whoever lags: this is the layout now.
    Adopt(Box<Layout>),
    /// Member to a few others: whom I have heard of.
    Heartbeats {
        /// One for each member the sender knows of, itself included.
        beats: Vec<Heartbeat>,
        /// The sender's epoch.
        epoch: Epoch,
        /// The sender's interval between heartbeats.
        interval: Micros,
        /// The sender's allowed time.
        allowed: Micros,
        /// [`SettingsDocument::digest`] of the sender.
        settings: u64,
    },
    /// Replica to replica: what all groups of one node have to say to those of another at a moment.
    Raft(Vec<raft::RaftMessage>),
    /// Member to member: what a turn brought of questions and answers about the strong keyspace.
    Strong(Vec<strong::StrongMessage>),
    /// To whoever knows other settings: these are mine.
    SettingsAre {
        /// The sender's document.
        document: SettingsDocument,
        /// Whether the sender wants the receiver's in return.
        answer: bool,
    },
}

/// What two clusters compare before one joins the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSize {
    /// How many members it has; zero if the sender is in none yet.
    pub members: u64,
    /// Into how many partitions its data is cut.
    pub partitions: u16,
    /// Whether it holds keys that only it can hold: joining another cluster would lose them.
    pub keeps: bool,
}

/// Why a replica did not do what a coordinator asked. Nothing changed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It knows a later layout; the sender will hear of it.
    StaleEpoch,
    /// Its disk is full.
    Full,
    /// It has as many unsynced bytes as it accepts.
    Busy,
    /// It cannot read what it has of the key.
    Unreadable,
}

/// A member as of some moment: the greater version is the later news of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which member.
    pub node: NodeId,
    /// Its data folder.
    pub incarnation: Incarnation,
    /// How often that was opened.
    pub boot: BootCount,
    /// How often it has gossiped since.
    pub version: u64,
}

/// A change of the cluster, put in order by the metadata group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterCommand {
    /// Take a node in. A member of the same name with another data folder is replaced, for that
    /// folder is gone.
    AddMember {
        /// Its name.
        name: String,
        /// Its data folder.
        incarnation: Incarnation,
        /// Where others reach it.
        address: String,
    },
    /// A member is reached elsewhere now.
    SetAddress {
        /// Which.
        node: NodeId,
        /// Where.
        address: String,
    },
    /// Let a member go. What it alone held is lost.
    RemoveMember {
        /// Which.
        node: NodeId,
        /// Even while a shard is on its way from some members to others.
        force: bool,
    },
    /// Change N.
    SetReplicas(u64),
    /// A member has done its part of a stage of a move.
    MoveDone {
        /// Which.
        node: NodeId,
        /// The epoch in which the stage began.
        since: Epoch,
    },
    /// Those and only those vote in a shard who are to have it.
    ShardSettled {
        /// Which.
        shard: ShardId,
        /// The epoch since which it is to be there.
        since: Epoch,
    },
}

impl Message {
    /// The lane it travels in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Store { .. }
            | Self::Stored { .. }
            | Self::Fetch { .. }
            | Self::Fetched { .. }
            | Self::Forward { .. }
            | Self::Forwarded { .. }
            | Self::HandOff { .. }
            | Self::HandedOff { .. }
            | Self::Strong(_) => Lane::Bulk,
            Self::Join { .. }
            | Self::JoinRefused { .. }
            | Self::Invite { .. }
            | Self::Propose { .. }
            | Self::Adopt(_)
            | Self::Heartbeats { .. }
            | Self::SettingsAre { .. } => Lane::Urgent,
            Self::Raft(messages) if messages.iter().any(raft::RaftMessage::is_large) => Lane::Bulk,
            Self::Raft(_) => Lane::Urgent,
        }
    }

    /// What kind of message it is, in a word of the field; the page and metrics count by it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Store { .. } => "store",
            Self::Stored { .. } => "stored",
            Self::Fetch { .. } => "fetch",
            Self::Fetched { .. } => "fetched",
            Self::Forward { .. } => "forward",
            Self::Forwarded { .. } => "forwarded",
            Self::HandOff { .. } => "hand_off",
            Self::HandedOff { .. } => "handed_off",
            Self::Join { .. } => "join",
            Self::JoinRefused { .. } => "join_refused",
            Self::Invite { .. } => "invite",
            Self::Propose { .. } => "propose",
            Self::Adopt(_) => "adopt",
            Self::Heartbeats { .. } => "heartbeats",
            Self::SettingsAre { .. } => "settings_are",
            Self::Strong(messages) => match messages.first() {
                Some(strong::StrongMessage::Answer { .. }) => "strong_answer",
                _ => "strong_ask",
            },
            Self::Raft(messages) => messages.first().map_or("raft", |first| first.body.name()),
        }
    }
}
