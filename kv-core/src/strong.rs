//! The strong keyspace: linearizable reads and writes, over one replicated log for each shard.
//!
//! A key falls into a shard ([`Layout::shard_of`]). Each node that holds a shard has its state
//! ([`state`]), made of the entries of its log. Any node takes any request: it does it itself, or asks one
//! that can, once ([`routing`]). What changes something becomes an entry of the log and is answered when
//! the entry is applied; a read is answered by any replica of the shard, once that has applied whatever was
//! committed when the read was asked ([`reading`]). Clients that name their writes have each carried out
//! at most once ([`sessions`]). A replica that lacks entries takes over the state ([`transfer`]).
//!
//! This machine knows no Raft: its owner enters what it hands out ([`Strong::next_proposals`],
//! [`Strong::next_rounds`]) into the logs, and tells it what became of that. Requests that come in one turn
//! of the shell enter a log together: they wait until the node's timer, which is due at once, has its turn.
//!
//! An answer is one of three: done, not done and nothing changed, or unknown. Left out: moving keys from
//! shard to shard, writes over several shards, and leases.

mod command;
mod feed;
mod held;
mod operation;
mod place;
mod reading;
mod routing;
mod sessions;
mod state;
mod transfer;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use self::command::{Change, Command, WriteName};
use self::held::Held;
use self::operation::{Operation, Origin, Phase};
pub use self::place::{key_words, value_of};
pub use self::state::NotApplied;
use self::transfer::Transfer;
use crate::begun::Begun;
use crate::bugs::{Bug, planted};
use crate::disk::Disk;
use crate::error::RequestError;
use crate::id::{BootCount, GroupId, Index, LogPosition, NodeId, RequestId, ShardId};
use crate::message::Token;
use crate::message::raft::{Entry, EntryId};
use crate::message::strong::{StrongMessage, StrongRefusal};
use crate::ordered::{Map, Set};
use crate::outbox::Outbox;
use crate::request::strong::{StrongReply, StrongRequest};
use crate::ring::layout::Layout;
use crate::settings::Settings;
use crate::storage::{Batch, Store, Unreadable};
use crate::time::{Micros, Mono, Now};

/// What the machine stands on during one call: facts of other machines, the store and the outbox.
pub struct Ground<'a, D> {
    /// The time of the input.
    pub now: Now,
    /// The layout, of which this node is a member.
    pub layout: &'a Layout,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The members that requests may count on, this node among them.
    pub reachable: &'a Set<NodeId>,
    /// The node's store.
    pub store: &'a mut Store,
    /// What it writes to.
    pub disk: &'a mut D,
    /// Where outputs go.
    pub out: &'a mut Outbox,
}

/// The machine of the strong keyspace of one node.
#[derive(Clone, Debug)]
pub struct Strong {
    me: NodeId,
    held: Map<ShardId, Held>,
    operations: Map<Token, Box<Operation>>,
    /// How many bytes of values they hold.
    bytes: u64,
    /// When operations end.
    deadlines: Set<(Mono, Token)>,
    /// When operations are tried again.
    retries: Set<(Mono, Token)>,
    clients: Map<RequestId, Token>,
    /// The questions that were asked of other nodes, and for which operation.
    asked: Map<Token, Token>,
    last_token: Token,
    last_round: u64,
    /// The questions of other nodes that were taken in.
    begun: Begun,
    /// What is to be said at the end of the turn.
    speaking: Map<NodeId, Vec<StrongMessage>>,
    /// The shards for which something has gathered in this turn.
    gathered: Set<ShardId>,
    /// The shards of which something expires.
    expiring: Set<ShardId>,
    /// The shards whose state is on its way, step by step.
    busy: Set<ShardId>,
    /// The shards of which something could not be read, since the owner last asked.
    unreadable: Map<ShardId, Unreadable>,
    /// The time of the last input that came here.
    now: Mono,
    /// Whether something waits for the timer that is due at once.
    due: bool,
    /// Whether that timer has its turn now.
    turn: bool,
}

/// Something for the log of a shard.
#[derive(Debug)]
pub struct Proposal {
    /// The group of the shard.
    pub group: GroupId,
    /// Who wants it; to be told with [`Strong::proposed`].
    pub token: Option<Token>,
    /// What.
    pub command: Bytes,
}

/// Why something did not enter a log. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotProposed {
    /// This node does not lead; ask that one, if one is named.
    NotLeader(Option<NodeId>),
    /// It is longer than a log takes.
    TooLarge,
    /// Not now.
    Busy,
}

/// The most operations that are open on a node at a time.
pub const OPERATIONS_MAX: usize = 20_000;

/// The most bytes of values in them.
const BYTES_MAX: u64 = 256 << 20;

/// How long until the clock of a log is moved again when something is due and nothing is written.
const TICK_LEAST: Micros = Micros::from_millis(10);

impl Strong {
    /// The machine of a node that has just been opened. It holds no shard yet.
    #[must_use]
    pub fn new(me: NodeId, boot: BootCount) -> Self {
        Self {
            me,
            held: Map::new(),
            operations: Map::new(),
            bytes: 0,
            deadlines: Set::new(),
            retries: Set::new(),
            clients: Map::new(),
            asked: Map::new(),
            // A late answer to a question of an earlier boot must not pass for one of this boot.
            last_token: boot.0 << 40,
            last_round: 0,
            begun: Begun::default(),
            speaking: Map::new(),
            gathered: Set::new(),
            expiring: Set::new(),
            busy: Set::new(),
            unreadable: Map::new(),
            now: Mono(0),
            due: false,
            turn: false,
        }
    }

    /// This node holds a shard, with the state that is in its store, which counts under this name how far
    /// that goes.
    pub fn hold(
        &mut self,
        shard: ShardId,
        stream: u64,
        store: &Store,
        disk: &impl Disk,
    ) -> Result<(), Unreadable> {
        let held = Held::open(shard, stream, store, disk)?;
        if held.state.next_expiry().is_some() {
            self.expiring.insert(shard);
        }
        self.held.insert(shard, held);
        Ok(())
    }

    /// This node holds a shard, but not all of its state, which will be received.
    pub fn hold_without_state(&mut self, shard: ShardId, stream: u64) {
        self.held.insert(shard, Held::without_state(shard, stream));
    }

    /// The state of a shard cannot be read here and will be received. Until then others serve it, and whoever
    /// waits here asks them.
    pub fn give_up_state<D: Disk>(&mut self, ground: &mut Ground<'_, D>, shard: ShardId) {
        let Some(held) = self.held.get_mut(&shard) else { return };
        held.damaged = true;
        held.transfer.release(ground.store);
        held.transfer = Transfer::default();
        let waiting = held.waiting();
        self.busy.remove(&shard);
        self.gathered.remove(&shard);
        for (token, in_doubt) in waiting {
            self.failed(ground, token, in_doubt, None);
        }
    }

    /// Whether a shard that this node holds waits for another state.
    #[must_use]
    pub fn is_damaged(&self, shard: ShardId) -> bool {
        self.held.get(&shard).is_some_and(|held| held.damaged)
    }

    /// A shard of which something could not be read, and what: each is told once.
    pub fn next_unreadable(&mut self) -> Option<(ShardId, Unreadable)> {
        self.unreadable.pop_first()
    }

    /// This node no longer holds a shard. The batch removes its state.
    pub fn let_go<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        shard: ShardId,
        batch: &mut Batch,
    ) {
        Self::remove(shard, batch);
        for shards in [&mut self.gathered, &mut self.expiring, &mut self.busy] {
            shards.remove(&shard);
        }
        self.unreadable.remove(&shard);
        if let Some(mut held) = self.held.remove(&shard) {
            held.transfer.release(ground.store);
            for (token, in_doubt) in held.waiting() {
                self.failed(ground, token, in_doubt, None);
            }
        }
    }

    /// Adds to a batch that a store forgets the state of a shard.
    pub fn remove(shard: ShardId, batch: &mut Batch) {
        let (start, end) = Self::range(shard);
        batch.remove_range(start, end);
    }

    /// The keys of a store that are the state of a shard: from the first on and before the second.
    #[must_use]
    pub fn range(shard: ShardId) -> ([u8; 5], [u8; 6]) {
        (place::prefix(shard), place::end(shard))
    }

    /// The shards that this node holds.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.held.keys().copied()
    }

    /// Up to where the log of a shard is applied here, if it is held here.
    #[must_use]
    pub fn applied(&self, shard: ShardId) -> Option<Index> {
        self.held.get(&shard).map(|held| held.state.applied())
    }

    /// The name under which the store counts how far a shard goes, and how far it goes in memory.
    #[must_use]
    pub fn stream(&self, shard: ShardId) -> Option<(u64, Index)> {
        self.held.get(&shard).map(|held| (held.state.stream(), held.state.applied()))
    }

    /// Whether the store is to be asked to write what lies behind this mark to tables: once for each.
    pub fn wants_flush(&mut self, shard: ShardId, mark: Index) -> bool {
        let Some(held) = self.held.get_mut(&shard) else { return false };
        held.flushed.replace(mark) != Some(mark)
    }

    /// How many clients a shard remembers, if it is held here.
    #[must_use]
    pub fn sessions(&self, shard: ShardId) -> Option<u64> {
        self.held.get(&shard).map(|held| held.state.sessions() as u64)
    }

    /// How many client requests wait for an answer.
    #[must_use]
    pub fn open_requests(&self) -> u64 {
        self.clients.len() as u64
    }

    /// How many operations are open, those of other nodes among them.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// Whether a store holds a key of any shard.
    pub fn has_keys(&self, store: &Store, disk: &impl Disk) -> Result<bool, Unreadable> {
        for shard in self.held.keys() {
            let data = place::kind(*shard, place::DATA);
            if store.scan_prefix(&data, &data).next(disk)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A digest of the state of a shard, equal on all replicas that have applied the same. It reads all of
    /// it: for tests and checkers.
    pub fn digest(shard: ShardId, store: &Store, disk: &impl Disk) -> Result<u64, Unreadable> {
        let mut rolling = crate::hash::Rolling::default();
        let (start, end) = (place::prefix(shard), place::end(shard));
        let mut scan = store.scan(&start, Some(&end), crate::storage::Direction::Forward);
        while let Some(item) = scan.next(disk)? {
            rolling.update(item.key);
            rolling.update(item.value);
        }
        Ok(rolling.value())
    }

    /// A client asks for something.
    pub fn on_request<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        id: RequestId,
        request: StrongRequest,
        timeout: Option<Micros>,
    ) {
        self.now = ground.now.mono;
        self.start(ground, Origin::Client(id), request, timeout);
    }

    /// What another member asks or answers.
    pub fn on_messages<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        messages: Vec<StrongMessage>,
    ) {
        self.now = ground.now.mono;
        for message in messages {
            match message {
                StrongMessage::Ask { token, request, timeout } => {
                    let folder = ground.layout.members.get(&from).map(|member| member.incarnation);
                    // One that arrives twice is carried out once.
                    if folder.is_some_and(|folder| self.begun.note(from, folder, token)) {
                        self.start(ground, Origin::Peer(from, token), *request, Some(timeout));
                    }
                }
                StrongMessage::Answer { token, result } => {
                    self.on_answer(ground, from, token, result.map(|reply| *reply));
                }
            }
        }
    }

    /// A client no longer waits. A write that has begun goes on.
    pub fn cancel(&mut self, id: RequestId) {
        let Some(token) = self.clients.remove(&id) else { return };
        let Some(operation) = self.operations.get_mut(&token) else { return };
        operation.origin = Origin::Nobody;
        if operation.is_watch() {
            if let Some(held) = self.held.get_mut(&operation.shard) {
                held.watching.retain(|waiting| *waiting != token);
            }
            self.forget(token);
        }
    }

    /// This node is no longer a member: nothing it began can be finished here.
    pub fn leave(&mut self, out: &mut Outbox) {
        for operation in core::mem::take(&mut self.operations).into_values() {
            if let Origin::Client(id) = operation.origin {
                out.reply(id, LogPosition::START, Err(operation.timed_out()));
            }
        }
        self.bytes = 0;
        self.deadlines.clear();
        self.retries.clear();
        self.clients.clear();
        self.asked.clear();
        self.speaking.clear();
    }

    /// When [`Self::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.due {
            return Some(self.now);
        }
        let first = |set: &Set<(Mono, Token)>| set.first().map(|(at, _)| *at);
        let waiting = crate::timers::earliest(first(&self.deadlines), first(&self.retries));
        crate::timers::earliest(waiting, self.busy_at())
    }

    /// Ends operations whose time is over, tries those again whose time has come, and lets what has
    /// gathered have its turn.
    pub fn on_timer<D: Disk>(&mut self, ground: &mut Ground<'_, D>) {
        self.now = ground.now.mono;
        self.turn |= core::mem::take(&mut self.due);
        let now = ground.now.mono;
        while let Some(&(at, token)) = self.retries.first()
            && at <= now
        {
            self.retries.pop_first();
            self.try_again(ground, token);
        }
        while let Some(&(at, token)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            self.expire(ground, token);
        }
        self.make_states(ground.store, &*ground.disk);
    }

    /// Who leads a shard, as far as this node knows. Those who waited for a leader try again.
    pub fn led_by<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        shard: ShardId,
        leader: Option<NodeId>,
    ) {
        self.now = ground.now.mono;
        let Some(held) = self.held.get_mut(&shard) else { return };
        if held.leader == leader {
            return;
        }
        held.leader = leader;
        held.ticking = false;
        if leader.is_some() {
            self.wake(ground, shard);
        }
    }

    /// When the clock of a log that this node leads is to be moved, if something there expires.
    #[must_use]
    pub fn next_tick(&self, now: Now) -> Option<Mono> {
        let expiring = self.expiring.iter().filter_map(|shard| self.held.get(shard));
        let led = expiring.filter(|held| held.leader == Some(self.me) && !held.ticking);
        let at = led.filter_map(|held| held.state.next_expiry()).min()?;
        let wait = Micros(at.0.saturating_sub(now.wall.0)).max(TICK_LEAST);
        Some(now.mono + wait)
    }

    /// The entries that are to move the clocks of logs where something has expired.
    pub fn ticks(&mut self, now: Now) -> Vec<Proposal> {
        let mut ticks = Vec::new();
        for shard in &self.expiring {
            let Some(held) = self.held.get_mut(shard) else { continue };
            let due = held.state.next_expiry().is_some_and(|at| at <= now.wall);
            if due && held.leader == Some(self.me) && !held.ticking {
                held.ticking = true;
                let command = Command { stamp: held.state.stamp(now.wall), change: Change::Tick };
                let (group, token) = (shard.group(), None);
                ticks.push(Proposal { group, token, command: command.encode() });
            }
        }
        ticks
    }

    /// What is to enter the logs in this turn.
    pub fn next_proposals(&mut self, now: Now) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        if !self.turn {
            return proposals;
        }
        for shard in &self.gathered {
            let Some(held) = self.held.get_mut(shard) else { continue };
            let stamp = held.state.stamp(now.wall);
            for token in core::mem::take(&mut held.entering) {
                let Some(operation) = self.operations.get(&token) else { continue };
                let Some(change) = change_of(*shard, &operation.request) else { continue };
                let command = Command { stamp, change }.encode();
                proposals.push(Proposal { group: shard.group(), token: Some(token), command });
            }
        }
        proposals
    }

    /// Something stands in the log of a shard, or does not.
    pub fn proposed<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        result: Result<EntryId, NotProposed>,
    ) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let shard = operation.shard;
        match result {
            Ok(entry) => {
                operation.phase = Phase::InLog;
                if let Some(held) = self.held.get_mut(&shard) {
                    held.proposed.insert(entry.index, (entry.term, token));
                }
            }
            Err(NotProposed::TooLarge) => {
                let words = "the write is longer than a log takes; nothing was changed, split it";
                let error = RequestError::Invalid(String::from(words));
                self.finish(ground, token, Err(StrongRefusal::Error(error)));
            }
            Err(NotProposed::NotLeader(leader)) => self.failed(ground, token, false, leader),
            Err(NotProposed::Busy) => self.failed(ground, token, false, None),
        }
    }

    /// The next entry of a shard is committed. Whoever asked for it is answered. With an error nothing has
    /// changed, and the entry must come again.
    pub fn apply<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        shard: ShardId,
        entry: &Entry,
    ) -> Result<(), NotApplied> {
        self.now = ground.now.mono;
        let Some(held) = self.held.get_mut(&shard) else { return Ok(()) };
        if entry.id.index <= held.state.applied() {
            return Ok(()); // It was part of a state.
        }
        let applied = held.state.apply(entry, ground.store, ground.disk)?;
        let expires = held.state.next_expiry().is_some();
        let changed = !applied.changes.is_empty();
        held.feed.push(applied.changes);
        held.ticking = false;
        if expires {
            self.expiring.insert(shard);
        } else {
            self.expiring.remove(&shard);
        }
        let asked = held.proposed.remove(&entry.id.index);
        let (answerable, watching) = (
            held.answerable(),
            if changed { core::mem::take(&mut held.watching) } else { Vec::new() },
        );
        if let Some((term, token)) = asked {
            self.settle_proposed(ground, token, term == entry.id.term, applied.answer);
        }
        for token in answerable.into_iter().chain(watching) {
            self.read(ground, token);
        }
        Ok(())
    }

    /// A state took the place of all entries up to here: what stood in the log before may or may not be
    /// part of it.
    pub fn installed<D: Disk>(&mut self, ground: &mut Ground<'_, D>, shard: ShardId, upto: Index) {
        self.now = ground.now.mono;
        let Some(held) = self.held.get_mut(&shard) else { return };
        held.state.pass(upto);
        if held.state.next_expiry().is_some() {
            self.expiring.insert(shard);
        }
        let behind = held.proposed.split_off(&upto.next());
        let covered = core::mem::replace(&mut held.proposed, behind);
        let mut again: Vec<Token> = held.answerable();
        again.append(&mut held.watching);
        for (_, token) in covered.into_values() {
            self.failed(ground, token, true, None);
        }
        for token in again {
            self.read(ground, token);
        }
    }

    /// The turn is over: what gathered in it is said.
    pub fn end_turn(&mut self, out: &mut Outbox) {
        if core::mem::take(&mut self.turn) {
            self.speak(out);
        }
    }

    /// Answers whoever asked for an entry, or has it tried again if another entry took its place.
    fn settle_proposed<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        is_same: bool,
        answer: Option<Result<StrongReply, RequestError>>,
    ) {
        match answer.filter(|_| is_same || planted(Bug::PlaceTaken)) {
            Some(answer) => self.finish(ground, token, answer.map_err(StrongRefusal::Error)),
            // It can never be committed, for another entry stands in its place.
            None => self.failed(ground, token, false, None),
        }
    }
}

/// What a request does to its shard, if it is to do something.
fn change_of(shard: ShardId, request: &StrongRequest) -> Option<Change> {
    match request {
        StrongRequest::Write { operations, session } => {
            let name = session.as_ref().map(|name| WriteName {
                session: name.session.0.get(shard.0 as usize).copied().unwrap_or_default(),
                seq: name.seq,
                acknowledged: name.acknowledged,
            });
            Some(Change::Write { operations: operations.clone(), name })
        }
        StrongRequest::OpenSession { .. } => Some(Change::OpenSession),
        StrongRequest::Get { .. }
        | StrongRequest::Scan { .. }
        | StrongRequest::Watch { .. }
        | StrongRequest::Leader { .. } => None,
    }
}
