//! One request on its way: who waits for it, what was pinned when it began, how far it has come.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Ground, check_sizes, key_of};
use crate::bugs::{Bug, planted};
use crate::error::RequestError;
use crate::id::{LogPosition, NodeId, PartitionId, RequestId};
use crate::message::{Message, Token};
use crate::ordered::Set;
use crate::pairs::Pairs;
use crate::request::{Basis, QuorumOptions, Receipt, Reply, Request};
use crate::settings::Setting;
use crate::time::{Micros, Mono};
use crate::version::{Context, Dot, Object};

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) origin: Origin,
    pub(super) key: Bytes,
    pub(super) partition: PartitionId,
    pub(super) deadline: Mono,
    pub(super) intent: Intent,
    /// R, pinned.
    pub(super) read_quorum: u64,
    /// W, pinned.
    pub(super) write_quorum: u64,
    /// Whether stale replicas are mended before the answer, pinned.
    pub(super) blocking_repair: bool,
    /// The clock threshold, pinned.
    pub(super) clock_threshold: u64,
    pub(super) receipt: Receipt,
    /// The log position that the answer depends on.
    pub(super) after: LogPosition,
    pub(super) phase: Phase,
    pub(super) readers: Vec<NodeId>,
    /// How many of the readers must answer.
    pub(super) readers_needed: u64,
    /// While the partition moves, those that are asked too and must hold what is shown.
    pub(super) others: Option<Group>,
    /// What each reader has.
    pub(super) answers: Pairs<NodeId, Option<Object>>,
    pub(super) answered: bool,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A client of this node.
    Client(RequestId),
    /// A member that forwarded the request, and how long its client waits.
    Peer { node: NodeId, token: Token, timeout: Micros },
    /// No one any more.
    Nobody,
}

/// What the operation is for.
#[derive(Clone, Debug)]
pub(super) enum Intent {
    Read,
    Write {
        value: Option<Bytes>,
        basis: Basis,
    },
    /// Get back what this node cannot read.
    Restore,
}

impl Intent {
    pub(super) fn reads_first(&self) -> bool {
        match self {
            Self::Read | Self::Restore => true,
            Self::Write { basis, .. } => *basis == Basis::ReadFirst,
        }
    }
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Readers are asked.
    Read,
    /// Stale readers are mended before the answer.
    Repair(Repair),
    /// Writers are asked to store.
    Write(Writing),
    /// An owner does it.
    Forward { to: NodeId },
}

/// A read that waits until what it found stands on enough replicas.
#[derive(Clone, Debug)]
pub(super) struct Repair {
    pub(super) merged: Object,
    pub(super) holders: Set<NodeId>,
    /// The readers, and the other owners while partitions move, each with how many must hold it.
    pub(super) groups: Vec<Group>,
}

impl Repair {
    /// The group that lacks most of what it needs, with how many of it hold what was found; none if
    /// nothing is lacking.
    pub(super) fn lacking(&self) -> Option<(u64, u64)> {
        let counts = self.groups.iter().map(|group| {
            let held = group.count(|node| self.holders.contains(node));
            (held, group.need)
        });
        counts.filter(|(held, need)| held < need).max_by_key(|(held, need)| need - held)
    }
}

/// A write that waits for its quorums.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    pub(super) object: Object,
    pub(super) dot: Dot,
    /// What the client has seen once the write is done.
    pub(super) context: Context,
    /// The owners, and the old owners while partitions move, each with how many must confirm.
    pub(super) groups: Vec<Group>,
    pub(super) refused: Set<NodeId>,
}

/// Nodes of which so many must confirm.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) nodes: Vec<NodeId>,
    pub(super) need: u64,
}

impl Group {
    pub(super) fn count(&self, among: impl Fn(&NodeId) -> bool) -> u64 {
        self.nodes.iter().filter(|node| among(node)).count() as u64
    }
}

impl Operation {
    /// Pins the settings and checks the request against them.
    pub(super) fn new<D>(
        ground: &Ground<'_, D>,
        me: NodeId,
        origin: Origin,
        request: &Request,
    ) -> Result<Self, RequestError> {
        check_sizes(request, ground.settings)?;
        let key = key_of(request).cloned().unwrap_or_default();
        let (options, intent) = match request {
            Request::Put { value, basis, options, .. } => {
                (*options, Intent::Write { value: Some(value.clone()), basis: basis.clone() })
            }
            Request::Delete { basis, options, .. } => {
                (*options, Intent::Write { value: None, basis: basis.clone() })
            }
            Request::Get { options, .. } => (*options, Intent::Read),
            Request::ListLocal { .. }
            | Request::Set { .. }
            | Request::AddPeer { .. }
            | Request::RemoveMember { .. }
            | Request::Strong { .. } => {
                return Err(RequestError::Invalid(String::from(
                    "only reads and writes of keys have a coordinator",
                )));
            }
        };
        let settings = ground.settings;
        let quorum = |option: Option<u32>, setting| match option {
            Some(nodes) => check_quorum(u64::from(nodes), setting, ground.layout.replicas),
            None => Ok(settings.get(setting)),
        };
        Ok(Self {
            origin,
            partition: ground.layout.ring.partition_of(&key),
            key,
            deadline: ground.now.mono + timeout(ground, origin, options),
            intent,
            read_quorum: quorum(options.read_quorum, Setting::ReadQuorum)?,
            write_quorum: quorum(options.write_quorum, Setting::WriteQuorum)?,
            blocking_repair: settings.is_on(Setting::BlockingReadRepair),
            clock_threshold: settings.get(Setting::ClockThreshold),
            receipt: Receipt {
                coordinator: me,
                epoch: ground.layout.epoch,
                settings: ground.chosen,
                ..Receipt::default()
            },
            after: LogPosition::START,
            phase: Phase::Read,
            readers: Vec::new(),
            readers_needed: 0,
            others: None,
            answers: Pairs::default(),
            answered: false,
        })
    }

    /// Answers a request that was not begun.
    pub(super) fn refuse<D>(ground: &mut Ground<'_, D>, origin: Origin, error: RequestError) {
        deliver(ground, origin, None, LogPosition::START, Err(error));
    }

    /// Gives whoever waits the answer, once.
    pub(super) fn answer<D>(
        &mut self,
        ground: &mut Ground<'_, D>,
        result: Result<Reply, RequestError>,
    ) {
        debug_assert!(!self.answered, "an operation is answered once");
        self.answered = true;
        deliver(ground, self.origin, Some(self.partition), self.after, result);
    }

    /// Whether readers that have not answered yet may still do so, and turn out to be stale.
    pub(super) fn awaits_readers(&self, reachable: &Set<NodeId>) -> bool {
        let open = |node: &NodeId| reachable.contains(node) && !self.answers.contains(*node);
        matches!(self.phase, Phase::Read | Phase::Repair(_))
            && !self.answers.is_empty()
            && self.readers.iter().any(open)
    }

    /// What to tell whoever waits when this node is no longer a member.
    pub(super) fn cut_short(&self) -> RequestError {
        let words = String::from("this node was just removed from its cluster");
        match self.phase {
            Phase::Read | Phase::Repair(_) => {
                RequestError::Unavailable(words + "; nothing was changed, ask a member")
            }
            Phase::Write(_) | Phase::Forward { .. } => RequestError::Unknown(words),
        }
    }

    /// What to tell whoever waits when the time is over.
    pub(super) fn timed_out(&self) -> RequestError {
        match &self.phase {
            Phase::Read => RequestError::Unavailable(format!(
                "{} of {} replicas answered in time; nothing was changed, try again or lower read_quorum",
                self.answers.len(),
                self.readers_needed
            )),
            Phase::Repair(repair) => {
                let (held, need) = repair.lacking().unwrap_or_default();
                RequestError::Unavailable(format!(
                    "the value stands on {held} of {need} replicas and the others could not be mended in time; try again"
                ))
            }
            Phase::Write(_) if planted(Bug::UnknownReportedAsFailed) => {
                RequestError::Unavailable(String::from("too few replicas; nothing was changed"))
            }
            Phase::Write(_) => RequestError::Unknown(format!(
                "{} of {} replicas confirmed the write in time",
                self.receipt.acknowledged.len(),
                self.write_quorum
            )),
            Phase::Forward { .. } => {
                RequestError::Unknown(String::from("the coordinator did not answer in time"))
            }
        }
    }
}

fn check_quorum(nodes: u64, setting: Setting, replicas: u64) -> Result<u64, RequestError> {
    if (1..=replicas).contains(&nodes) {
        return Ok(nodes);
    }
    Err(RequestError::Invalid(format!(
        "{} must be from 1 to replicas ({replicas}), not {nodes}; nothing was changed",
        setting.spec().name
    )))
}

fn timeout<D>(ground: &Ground<'_, D>, origin: Origin, options: QuorumOptions) -> Micros {
    let standard = ground.settings.span(Setting::RequestTimeoutMs);
    match origin {
        Origin::Peer { timeout, .. } => timeout.min(TIMEOUT_MAX),
        Origin::Client(_) | Origin::Nobody => options.timeout.unwrap_or(standard).min(TIMEOUT_MAX),
    }
}

/// However long a client wants to wait, it does not wait longer.
const TIMEOUT_MAX: Micros = Micros::from_millis(600_000);

fn deliver<D>(
    ground: &mut Ground<'_, D>,
    origin: Origin,
    partition: Option<PartitionId>,
    after: LogPosition,
    result: Result<Reply, RequestError>,
) {
    match origin {
        Origin::Client(id) => ground.out.reply(id, after, result),
        Origin::Peer { node, token, .. } => {
            let message = Message::Forwarded { token, result: result.map(Box::new) };
            ground.out.send(node, partition, after, message);
        }
        Origin::Nobody => {}
    }
}
