//! The eventually consistent keyspace: Dynamo's quorums over dotted versions.
//!
//! A key's partition names its owners. A read asks all of them, waits for R, merges what it gets and
//! mends those that were behind ([`read`]). A write is coordinated by an owner: it gives the write a dot
//! under a durable lease ([`lease`]), writes its own log first, sends the merged object to the other
//! owners and waits until W disks have it ([`mod@write`]). Owners answer to coordinators ([`replica`]); what
//! an owner can no longer read it gets back from the others ([`restore`]); when the owners change, members
//! hand on what they have ([`handoff`]).
//!
//! An answer is one of three: done, not done and nothing changed, or unknown. A write that did not reach
//! W in time is unknown, for the copies that exist stay and may surface.
//!
//! After DeCandia et al., "Dynamo" (2007), sections 4.4 to 4.6. Left out: fallback nodes and hints,
//! Merkle anti-entropy, and the removal of old tombstones.

mod handoff;
mod lease;
mod operation;
mod read;
mod replica;
mod restore;
mod write;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::begun::Begun;
use crate::bugs::{Bug, planted};
use crate::disk::Disk;
use crate::error::RequestError;
use crate::id::{BootCount, Incarnation, LogPosition, NodeId, PartitionId, RequestId};
use crate::message::{Message, Token};
use crate::ordered::{Map, Set};
use crate::outbox::Outbox;
use crate::request::{Reply, Request};
use crate::ring::layout::Layout;
use crate::settings::{Setting, Settings};
use crate::storage::{Store, Unreadable};
use crate::time::{HybridClock, Micros, Mono, Now, Stamp};
use crate::timers::earliest;
use crate::version::Object;

pub use lease::{Leases, parse_lease_key};
use operation::{Intent, Operation, Origin, Phase};

/// The most operations a node coordinates at a time.
pub const OPERATIONS_MAX: usize = 10_000;

/// The most bytes that may wait for a sync before writes are put off.
const UNSYNCED_MAX: u64 = 128 << 20;

/// What the machine stands on during one call: facts of other machines, the store and the outbox.
pub struct Ground<'a, D> {
    /// The time of the input.
    pub now: Now,
    /// The layout, of which this node is a member.
    pub layout: &'a Layout,
    /// The settings in force.
    pub settings: &'a Settings,
    /// When the latest of them was chosen.
    pub chosen: Stamp,
    /// The members that requests may count on, this node among them.
    pub reachable: &'a Set<NodeId>,
    /// The node's store.
    pub store: &'a mut Store,
    /// What it writes to.
    pub disk: &'a mut D,
    /// Makes stamps.
    pub clock: &'a mut HybridClock,
    /// Where outputs go.
    pub out: &'a mut Outbox,
}

/// The machine of the eventual keyspace of one node.
#[derive(Clone, Debug)]
pub struct Eventual {
    me: NodeId,
    actor: Incarnation,
    leases: Leases,
    operations: Map<Token, Box<Operation>>,
    deadlines: Set<(Mono, Token)>,
    clients: Map<RequestId, Token>,
    last_token: Token,
    /// The keys that this node could not read and is getting back.
    restoring: Map<Bytes, restore::Restoring>,
    handoff: Option<handoff::HandOff>,
    /// What was forwarded to this node and begun.
    begun: Begun,
}

impl Eventual {
    /// The machine of a node that has just been opened, with the leases of its folder.
    #[must_use]
    pub fn new(me: NodeId, actor: Incarnation, boot: BootCount, leases: Leases) -> Self {
        Self {
            me,
            actor,
            leases,
            operations: Map::new(),
            deadlines: Set::new(),
            clients: Map::new(),
            // A late answer to a question of an earlier boot must not pass for one of this boot.
            last_token: boot.0 << 40,
            restoring: Map::new(),
            handoff: None,
            begun: Begun::default(),
        }
    }

    /// How many client requests wait for an answer.
    #[must_use]
    pub fn open_requests(&self) -> u64 {
        self.clients.len() as u64
    }

    /// How many operations it coordinates, those among them that were answered and still mend something.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// A client asks for a get, a put or a delete.
    pub fn on_request<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        id: RequestId,
        request: Request,
    ) {
        self.start(ground, Origin::Client(id), request);
    }

    /// A client no longer waits. A write that has begun goes on.
    pub fn cancel(&mut self, id: RequestId) {
        if let Some(token) = self.clients.remove(&id)
            && let Some(operation) = self.operations.get_mut(&token)
        {
            operation.origin = Origin::Nobody;
        }
    }

    /// A message of a member. Those of other machines are not for here and are given back.
    pub fn on_message<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        message: Message,
    ) -> Option<Message> {
        match message {
            Message::Store { token, epoch, key, object } => {
                self.on_store(ground, from, token, epoch, &key, &object);
            }
            Message::Stored { token, refused } => self.on_stored(ground, from, token, refused),
            Message::Fetch { token, epoch, key } => self.on_fetch(ground, from, token, epoch, &key),
            Message::Fetched { token, object } => self.on_fetched(ground, from, token, object),
            Message::Forward { token, request, timeout, .. } => {
                self.on_forward(ground, from, token, *request, timeout);
            }
            Message::Forwarded { token, result } => {
                self.on_forwarded(ground, token, result.map(|reply| *reply));
            }
            Message::HandOff { token, epoch, objects } => {
                self.on_hand_off(ground, from, token, epoch, &objects);
            }
            Message::HandedOff { token } => self.on_handed_off(ground, from, token),
            other => return Some(other),
        }
        None
    }

    /// A link went down: what was forwarded over it has an unknown outcome.
    pub fn on_link_down<D: Disk>(&mut self, ground: &mut Ground<'_, D>, peer: NodeId) {
        let forwarded: Vec<Token> = self
            .operations
            .iter()
            .filter(|(_, operation)| matches!(operation.phase, Phase::Forward { to } if to == peer))
            .map(|(&token, _)| token)
            .collect();
        for token in forwarded {
            let words = "the node that coordinated the request was lost";
            self.finish(ground, token, Err(RequestError::Unknown(String::from(words))));
        }
    }

    /// This node is no longer a member: nothing it began can be finished here.
    pub fn leave(&mut self, out: &mut Outbox) {
        for operation in core::mem::take(&mut self.operations).into_values() {
            if let (Origin::Client(id), false) = (operation.origin, operation.answered) {
                out.reply(id, operation.after, Err(operation.cut_short()));
            }
        }
        self.deadlines.clear();
        self.clients.clear();
        self.restoring.clear();
        self.handoff = None;
    }

    /// The layout changed: operations under way go on under it, and a move may have to be served.
    pub fn on_layout<D: Disk>(&mut self, ground: &mut Ground<'_, D>) {
        let tokens: Vec<Token> = self.operations.keys().copied().collect();
        for token in tokens {
            self.follow_layout(ground, token);
        }
        self.follow_move(ground);
    }

    /// When [`Self::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let operation = self.deadlines.first().map(|(deadline, _)| *deadline);
        let handoff = self.handoff.as_ref().and_then(handoff::HandOff::next_deadline);
        earliest(operation, handoff)
    }

    /// Ends operations whose time is over and repeats what was not confirmed.
    pub fn on_timer<D: Disk>(&mut self, ground: &mut Ground<'_, D>) {
        while let Some(&(deadline, token)) = self.deadlines.first() {
            if deadline > ground.now.mono {
                break;
            }
            self.expire(ground, token);
            self.deadlines.remove(&(deadline, token));
        }
        self.repeat_handoff(ground);
    }

    /// What this node holds under a key, and the log position it depends on. An error means that it
    /// does not know what it holds; it has told so in an event.
    fn load<D: Disk>(
        ground: &mut Ground<'_, D>,
        partition: PartitionId,
        key: &[u8],
    ) -> Result<Option<(Object, LogPosition)>, Unreadable> {
        let found = ground.store.get_with(&object_key(partition, key), &*ground.disk, decode);
        let found = found.inspect_err(|fault| tell(ground.out, fault))?;
        Ok(found.and_then(|(object, at)| Some((object?, at))))
    }

    /// The same for an observer.
    #[must_use]
    pub fn peek(
        store: &Store,
        disk: &impl Disk,
        partition: PartitionId,
        key: &[u8],
    ) -> Option<Object> {
        decode(&store.peek(&object_key(partition, key), disk).ok()??)
    }

    fn new_token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }

    fn on_forward<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        request: Request,
        timeout: Micros,
    ) {
        let folder = ground.layout.members.get(&from).map(|member| member.incarnation);
        if !folder.is_some_and(|folder| self.begun.note(from, folder, token)) {
            return; // It was begun when it arrived first, and is answered once.
        }
        let partition = key_of(&request).map(|key| ground.layout.ring.partition_of(key));
        let writes = |partition| ground.layout.writers(partition).contains(&self.me);
        if !partition.is_some_and(writes) {
            let words = "the owners of the key are just changing; nothing was changed, try again";
            let result = Err(RequestError::Unavailable(String::from(words)));
            let message = Message::Forwarded { token, result };
            ground.out.send(from, partition, LogPosition::START, message);
            return;
        }
        self.start(ground, Origin::Peer { node: from, token, timeout }, request);
    }

    fn on_forwarded<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        result: Result<Reply, RequestError>,
    ) {
        let Some(operation) = self.operations.get(&token) else { return };
        if let Phase::Forward { .. } = operation.phase {
            self.finish(ground, token, result);
        }
    }

    /// Begins an operation: here if this node can coordinate it, else through an owner.
    fn start<D: Disk>(&mut self, ground: &mut Ground<'_, D>, origin: Origin, request: Request) {
        let operation = match Operation::new(ground, self.me, origin, &request) {
            Ok(operation) if self.operations.len() < OPERATIONS_MAX => Box::new(operation),
            Ok(_) => return Operation::refuse(ground, origin, RequestError::Busy),
            Err(error) => return Operation::refuse(ground, origin, error),
        };
        let token = self.new_token();
        if let Origin::Client(id) = origin {
            self.clients.insert(id, token);
        }
        self.deadlines.insert((operation.deadline, token));
        let owner = || ground.layout.writers(operation.partition).contains(&self.me);
        if operation.intent.is_write() && !owner() {
            self.operations.insert(token, operation);
            self.forward(ground, token, request);
        } else {
            let reads = operation.intent.reads_first();
            self.operations.insert(token, operation);
            if reads {
                self.begin_read(ground, token);
            } else {
                self.begin_write(ground, token, None);
            }
        }
    }

    fn forward<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token, request: Request) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let owners = ground.layout.owners(operation.partition);
        let target = owners.iter().find(|owner| ground.reachable.contains(owner));
        let Some(&to) = target else {
            let words = "no owner of the key can be reached; nothing was changed, try again later";
            self.finish(ground, token, Err(RequestError::Unavailable(String::from(words))));
            return;
        };
        operation.phase = Phase::Forward { to };
        let timeout = operation.deadline - ground.now.mono;
        let partition = operation.partition;
        let epoch = ground.layout.epoch;
        let message = Message::Forward { token, epoch, request: Box::new(request), timeout };
        ground.out.send(to, Some(partition), LogPosition::START, message);
    }

    /// Goes on under a new layout: reads begin again with the readers of now, writes are sent to the
    /// writers of now that have not confirmed them.
    fn follow_layout<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        match operation.phase {
            Phase::Read | Phase::Repair(_) if !operation.answered => {
                let Some(operation) = self.operations.remove(&token) else { return };
                self.deadlines.remove(&(operation.deadline, token));
                let before = token;
                let token = self.new_token();
                if let Origin::Client(id) = operation.origin {
                    self.clients.insert(id, token);
                }
                if let Some(restoring) = self.restoring.get_mut(&operation.key)
                    && restoring.token == before
                {
                    restoring.token = token;
                }
                self.deadlines.insert((operation.deadline, token));
                self.operations.insert(token, operation);
                self.begin_read(ground, token);
            }
            Phase::Write(_) => self.resend_write(ground, token),
            Phase::Read | Phase::Repair(_) | Phase::Forward { .. } => {}
        }
    }

    /// Gives the answer and forgets the operation, unless late answers may still show stale replicas.
    fn finish<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        result: Result<Reply, RequestError>,
    ) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        operation.answer(ground, result);
        let awaits_readers = operation.awaits_readers(ground.reachable);
        if let Origin::Client(id) = operation.origin {
            self.clients.remove(&id);
        }
        if !awaits_readers {
            self.forget(token);
        }
    }

    fn forget(&mut self, token: Token) {
        if let Some(operation) = self.operations.remove(&token) {
            self.deadlines.remove(&(operation.deadline, token));
            if matches!(operation.intent, Intent::Restore)
                && self
                    .restoring
                    .get(&operation.key)
                    .is_some_and(|restoring| restoring.token == token)
            {
                self.restoring.remove(&operation.key);
            }
        }
    }

    fn expire<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        if operation.answered {
            self.mend_late(ground, token);
            if planted(Bug::AnsweredKept) {
                return;
            }
        } else {
            let error = operation.timed_out();
            self.finish(ground, token, Err(error));
        }
        self.forget(token);
    }
}

fn decode(bytes: &[u8]) -> Option<Object> {
    let object = crate::codec::decode(bytes);
    debug_assert!(object.is_ok(), "its checksum held, so the object is as it was written");
    object.ok()
}

/// Tells that something in the store cannot be read.
fn tell(out: &mut Outbox, fault: &Unreadable) {
    out.event(crate::event::EventKind::Unreadable { file: fault.file, offset: fault.offset });
}

/// Where an object stands in the store: all objects of a partition lie together.
#[must_use]
pub fn object_key(partition: PartitionId, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 + key.len());
    bytes.push(OBJECTS[0]);
    bytes.extend_from_slice(&partition.0.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The partition and the key of an object's place in the store.
#[must_use]
pub fn parse_object_key(bytes: &[u8]) -> Option<(PartitionId, &[u8])> {
    match bytes {
        [first, high, low, key @ ..] if [*first] == *OBJECTS => {
            Some((PartitionId(u16::from_be_bytes([*high, *low])), key))
        }
        _ => None,
    }
}

/// What the places of all objects in the store begin with.
pub const OBJECTS: &[u8; 1] = b"o";

fn key_of(request: &Request) -> Option<&Bytes> {
    match request {
        Request::Get { key, .. } | Request::Put { key, .. } | Request::Delete { key, .. } => {
            Some(key)
        }
        Request::ListLocal { .. }
        | Request::Set { .. }
        | Request::AddPeer { .. }
        | Request::RemoveMember { .. }
        | Request::Strong { .. } => None,
    }
}

/// Checks what no layout or setting can make right.
fn check_sizes(request: &Request, settings: &Settings) -> Result<(), RequestError> {
    let limits = crate::request::KEY_BYTES;
    let key = key_of(request).map_or(0, Bytes::len);
    if !limits.contains(&key) {
        return Err(RequestError::Invalid(format!(
            "a key has {} to {} bytes, not {key}; nothing was changed",
            limits.start(),
            limits.end()
        )));
    }
    let max = settings.get(Setting::ValueBytesMax);
    match request {
        Request::Put { value, .. } if value.len() as u64 > max => {
            Err(RequestError::Invalid(format!(
                "the value has {} bytes and the limit is {max}; nothing was changed, raise value_bytes_max or split it",
                value.len()
            )))
        }
        _ => Ok(()),
    }
}

impl Intent {
    fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}
