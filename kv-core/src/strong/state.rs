//! The state machine of a shard: entries of its log go in, in their order, and keys change.
//!
//! Everything follows from the entries, so replicas that have applied the same have the same, byte for
//! byte: revisions are indexes of the log, and time is the clock of the log, the latest stamp of any
//! entry so far. What has expired by that clock is no longer there, even before it is swept out.
//!
//! The state stands in the node's store by batches that are not logged ([`Store::apply_unlogged`]): the
//! log of the shard has them already. After a crash the store says how far it goes, and the entries
//! behind that are applied again.

use alloc::vec::Vec;

use bytes::Bytes;

use super::command::{Change, Command, WriteName};
use super::place::{self, Stored};
use super::sessions::{Session, Sessions, Standing};
use crate::codec;
use crate::disk::Disk;
use crate::error::RequestError;
use crate::id::{Index, ShardId};
use crate::message::raft::{Entry, Payload};
use crate::request::strong::{Action, Condition, KeyChange, Record, StrongReply, WriteOperation};
use crate::storage::{Batch, Store, StoreError, Unreadable};
use crate::time::Wall;

/// How many expired keys one entry sweeps out. The rest is left to the next.
const SWEEP: usize = 64;

/// The state of a shard on one replica, but for what is in the store.
#[derive(Clone, Debug)]
pub(super) struct State {
    shard: ShardId,
    /// The name under which the store counts how far it goes.
    stream: u64,
    /// The last entry that is applied.
    applied: Index,
    /// The clock of the log.
    clock: Wall,
    sessions: Sessions,
    /// When the next key expires.
    next_expiry: Option<Wall>,
}

/// Why an entry is not applied. It must be tried again, for the log does not go on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotApplied {
    /// The store takes nothing just now.
    Refused(StoreError),
    /// What is there cannot be read.
    Unreadable(Unreadable),
}

impl From<Unreadable> for NotApplied {
    fn from(fault: Unreadable) -> Self {
        Self::Unreadable(fault)
    }
}

/// Records in the order of their keys and, if there may be more, the last key that was looked at.
type Page = (Vec<(Bytes, Record)>, Option<Bytes>);

/// What came of an entry.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// For whoever asked for it; none if the entry is one that nobody asks for.
    pub(super) answer: Option<Result<StrongReply, RequestError>>,
    /// What happened to keys.
    pub(super) changes: Vec<KeyChange>,
}

/// What an entry is about to do. Nothing of it has happened until the store has taken the batch.
#[derive(Debug, Default)]
struct Draft {
    batch: Batch,
    clock: Wall,
    forgotten: Vec<Index>,
    session: Option<(Index, Session)>,
    expiries_changed: bool,
    applied: Applied,
}

impl State {
    /// The state that no entry has changed yet.
    pub(super) fn empty(shard: ShardId, stream: u64) -> Self {
        Self {
            shard,
            stream,
            applied: Index(0),
            clock: Wall(0),
            sessions: Sessions::default(),
            next_expiry: None,
        }
    }

    /// The state that a store holds: nothing, if it holds none.
    pub(super) fn open(
        shard: ShardId,
        stream: u64,
        store: &Store,
        disk: &impl Disk,
    ) -> Result<Self, Unreadable> {
        let mut state = Self::empty(shard, stream);
        if let Some(bytes) = store.peek(&place::kind(shard, place::INFO), disk)?
            && let Ok(info) = codec::decode(&bytes)
        {
            (state.applied, state.clock) = info;
        }
        let prefix = place::kind(shard, place::SESSIONS);
        let mut scan = store.scan_prefix(&prefix, &prefix);
        while let Some(item) = scan.next(disk)? {
            if let Some(name) = item.key.get(prefix.len()..).and_then(|name| name.try_into().ok())
                && let Ok(session) = codec::decode(item.value)
            {
                state.sessions.restore(Index(u64::from_be_bytes(name)), session);
            }
        }
        state.next_expiry = state.find_expiry(store, disk)?;
        Ok(state)
    }

    /// The last entry that is applied.
    pub(super) fn applied(&self) -> Index {
        self.applied
    }

    /// The name under which the store counts how far it goes.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// An entry that was taken over as part of a state, or that does nothing, counts as applied.
    pub(super) fn pass(&mut self, index: Index) {
        self.applied = self.applied.max(index);
    }

    /// When something expires, by the clock of the log.
    pub(super) fn next_expiry(&self) -> Option<Wall> {
        self.next_expiry
    }

    /// The stamp of an entry that is made at this time.
    pub(super) fn stamp(&self, wall: Wall) -> Wall {
        wall.max(self.clock)
    }

    /// How many clients are remembered.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Applies the next entry. With an error nothing has changed.
    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        store: &mut Store,
        disk: &mut impl Disk,
    ) -> Result<Applied, NotApplied> {
        let index = entry.id.index;
        debug_assert!(self.applied < index, "each entry is applied once");
        let command = match &entry.payload {
            Payload::Command(bytes) => Command::decode(bytes),
            Payload::Empty | Payload::Membership(_) => None,
        };
        let Some(command) = command else {
            self.pass(index);
            return Ok(Applied::default());
        };
        let mut draft = Draft { clock: self.clock.max(command.stamp), ..Draft::default() };
        draft.forgotten = self.sessions.expired(draft.clock);
        self.sweep(index, &mut draft, store, &*disk)?;
        match command.change {
            Change::Tick => {}
            Change::OpenSession => {
                draft.forgotten.extend(self.sessions.crowded_out(&draft.forgotten));
                draft.session = Some((index, Session::opened(draft.clock)));
                draft.applied.answer = Some(Ok(StrongReply::Session(index)));
            }
            Change::Write { operations, name } => {
                let answer = self.write(index, &operations, name, &mut draft, store, &*disk)?;
                draft.applied.answer = Some(answer);
            }
        }
        self.enter(index, draft, store, disk)
    }

    /// What is under a key.
    pub(super) fn get(
        &self,
        key: &[u8],
        store: &mut Store,
        disk: &impl Disk,
    ) -> Result<Option<Record>, Unreadable> {
        let clock = self.clock;
        let found = store.get_with(&place::data(self.shard, key), disk, |bytes| {
            let stored = Stored::decode(bytes)?;
            stored.is_live(clock).then(|| stored.record())
        })?;
        Ok(found.and_then(|(record, _)| record))
    }

    /// The records whose keys begin with a prefix and lie behind a key, in their order: at most so many,
    /// and about so many bytes. Returns with them the last key that was looked at, if there is more.
    pub(super) fn scan(
        &self,
        (prefix, after): (&[u8], Option<&[u8]>),
        (limit, bytes_max): (u32, u64),
        store: &Store,
        disk: &impl Disk,
    ) -> Result<Page, Unreadable> {
        let within = place::data(self.shard, prefix);
        let start = after.map(|after| {
            let mut start = place::data(self.shard, after);
            start.push(0);
            start
        });
        let mut scan = store.scan_prefix(&within, start.as_deref().unwrap_or(&within));
        let (mut records, mut bytes) = (Vec::new(), 0_u64);
        let mut last = None;
        let mut looked_at = 0_u32;
        while let Some(item) = scan.next(disk)? {
            if limit <= looked_at || bytes_max <= bytes {
                return Ok((records, last));
            }
            looked_at += 1;
            bytes += (item.key.len() + item.value.len()) as u64;
            let key = Bytes::copy_from_slice(item.key.get(6..).unwrap_or_default());
            if let Some(stored) = Stored::decode(item.value)
                && stored.is_live(self.clock)
            {
                records.push((key.clone(), stored.record()));
            }
            last = Some(key);
        }
        Ok((records, None))
    }

    /// Adds the expired keys to the batch, as far as they are swept out now.
    fn sweep(
        &self,
        index: Index,
        draft: &mut Draft,
        store: &Store,
        disk: &impl Disk,
    ) -> Result<(), Unreadable> {
        if self.next_expiry.is_none_or(|at| draft.clock < at) {
            return Ok(());
        }
        let within = place::kind(self.shard, place::EXPIRING);
        let mut scan = store.scan_prefix(&within, &within);
        while draft.applied.changes.len() < SWEEP
            && let Some(item) = scan.next(disk)?
        {
            let Some((at, key)) = place::parse_expiring(item.key) else { continue };
            if draft.clock < at {
                break;
            }
            draft.batch.remove(item.key);
            draft.batch.remove(place::data(self.shard, key));
            let key = Bytes::copy_from_slice(key);
            draft.applied.changes.push(KeyChange { revision: index, key, record: None });
        }
        draft.expiries_changed = true;
        Ok(())
    }

    /// Adds a write to the batch, unless it was carried out before, must not be, or a condition is not met.
    fn write(
        &self,
        index: Index,
        operations: &[WriteOperation],
        name: Option<WriteName>,
        draft: &mut Draft,
        store: &mut Store,
        disk: &impl Disk,
    ) -> Result<Result<StrongReply, RequestError>, Unreadable> {
        let named = match name.map(|name| (name, self.standing(name, draft))) {
            None => None,
            Some((name, Standing::Fresh(session))) => Some((name, session)),
            Some((_, Standing::Done(reply))) => return Ok(Ok(reply)),
            Some((_, Standing::Refused(error))) => return Ok(Err(error)),
        };
        let reply = self.carry_out(index, operations, draft, store, disk)?;
        if let Some((name, mut session)) = named {
            session.remember(draft.clock, name.seq, reply.clone());
            draft.session = Some((name.session, session));
        }
        Ok(Ok(reply))
    }

    fn standing(&self, name: WriteName, draft: &Draft) -> Standing {
        if draft.forgotten.contains(&name.session) {
            // It is over by the time of this very entry.
            return Sessions::default().standing(name);
        }
        self.sessions.standing(name)
    }

    fn carry_out(
        &self,
        index: Index,
        operations: &[WriteOperation],
        draft: &mut Draft,
        store: &mut Store,
        disk: &impl Disk,
    ) -> Result<StrongReply, Unreadable> {
        let mut found = Vec::with_capacity(operations.len());
        for (number, operation) in operations.iter().enumerate() {
            let place = place::data(self.shard, &operation.key);
            let there = store.get_with(&place, disk, |bytes| {
                Stored::decode(bytes)
                    .map(|stored| (stored.revision, stored.expires, stored.is_live(draft.clock)))
            })?;
            let there = there.and_then(|(stored, _)| stored);
            let live = there.filter(|(.., live)| *live).map(|(revision, ..)| revision);
            if !meets(operation.condition, live) {
                return Ok(StrongReply::Unmet { operation: number as u32, found: live });
            }
            found.push((place, there.and_then(|(_, expires, _)| expires), live));
        }
        let mut replaced = Vec::with_capacity(operations.len());
        for (operation, (place, expires, live)) in operations.iter().zip(found) {
            replaced.push(live);
            if !matches!(operation.action, Action::Check)
                && let Some(expires) = expires
            {
                draft.batch.remove(place::expiring(self.shard, expires, &operation.key));
                draft.expiries_changed = true;
            }
            self.act(index, operation, &place, live.is_some(), draft);
        }
        Ok(StrongReply::Written { revision: index, replaced, clock: draft.clock })
    }

    /// Adds one operation whose condition is met.
    fn act(
        &self,
        index: Index,
        operation: &WriteOperation,
        place: &[u8],
        was_there: bool,
        draft: &mut Draft,
    ) {
        let key = &operation.key;
        let record = match &operation.action {
            Action::Check => return,
            Action::Delete => {
                if !was_there {
                    return;
                }
                draft.batch.remove(place);
                None
            }
            Action::Put { value, ttl } => {
                let expires = ttl.map(|ttl| Wall(draft.clock.0.saturating_add(ttl.0)));
                if let Some(expires) = expires {
                    draft.batch.put(place::expiring(self.shard, expires, key), b"");
                    draft.expiries_changed = true;
                }
                let stored = Stored { revision: index, expires, value };
                draft.batch.put(place, stored.encode());
                Some(Record { revision: index, value: value.clone(), expires })
            }
        };
        draft.applied.changes.push(KeyChange { revision: index, key: key.clone(), record });
    }

    /// Gives the batch to the store, then does the rest.
    fn enter(
        &mut self,
        index: Index,
        mut draft: Draft,
        store: &mut Store,
        disk: &mut impl Disk,
    ) -> Result<Applied, NotApplied> {
        for name in &draft.forgotten {
            draft.batch.remove(place::session(self.shard, *name));
        }
        if let Some((name, session)) = &draft.session {
            draft.batch.put(place::session(self.shard, *name), codec::encode(session));
        }
        let info = codec::encode(&(index, draft.clock));
        draft.batch.put(place::kind(self.shard, place::INFO), info);
        store
            .apply_unlogged(&draft.batch, self.stream, index.0, disk)
            .map_err(NotApplied::Refused)?;
        self.applied = index;
        self.clock = draft.clock;
        for name in draft.forgotten {
            self.sessions.remove(name);
        }
        if let Some((name, session)) = draft.session {
            self.sessions.put(name, session);
        }
        if draft.expiries_changed {
            // Where it cannot be read, the next entry looks again.
            self.next_expiry = self.find_expiry(store, &*disk).unwrap_or(Some(draft.clock));
        }
        Ok(draft.applied)
    }

    fn find_expiry(&self, store: &Store, disk: &impl Disk) -> Result<Option<Wall>, Unreadable> {
        let within = place::kind(self.shard, place::EXPIRING);
        let mut scan = store.scan_prefix(&within, &within);
        let first = scan.next(disk)?;
        Ok(first.and_then(|item| place::parse_expiring(item.key)).map(|(at, _)| at))
    }
}

/// Whether what is under a key is what a condition asks for.
fn meets(condition: Condition, found: Option<Index>) -> bool {
    match condition {
        Condition::Any => true,
        Condition::Absent => found.is_none(),
        Condition::Present => found.is_some(),
        Condition::Revision(revision) => found == Some(revision),
    }
}
