//! One process: a store, the groups on it with their state machines, and the loop of their owner.
//!
//! ```text
//! step ─▶ settle ─▶ write ─▶ written, or refused ─▶ messages ─▶ apply ─▶ reads
//!                                                    held until the store's log is durable
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::codec;
use kv_core::hash;
use kv_core::id::{GroupId, Index, LogPosition, Replica};
use kv_core::message::raft::{Entry, Manifest, Membership, RaftMessage};
use kv_core::raft::{Group, Opened, RaftEvent, ReadError, ReadId};
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Store, StoreError, StoreOptions};
use kv_core::time::Mono;

use super::cluster::Config;
use super::machine::Machine;

/// So small that a short run has segments, flushes and compactions.
pub(crate) const STORE: StoreOptions = StoreOptions {
    segment_bytes: 8_000,
    memtable_bytes: 6_000,
    table_bytes: 6_000,
    level_bytes: 20_000,
    block_bytes: 500,
    filter_bits: 10,
    compressed_from: 2,
    cache_bytes: 8_000,
    reserve_bytes: 8_000,
};

/// More rounds than this in one turn mean that somebody goes in circles.
const ROUNDS_MAX: u32 = 100;

/// What a process has done in a turn, in order of kind.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) sent: Vec<(Replica, RaftMessage)>,
    /// What was applied, with the hash of the state after it.
    pub(crate) applied: Vec<(GroupId, Entry, u64)>,
    /// Answers, with what the state machine had applied.
    pub(crate) reads: Vec<(GroupId, ReadId, Result<Index, ReadError>, Index)>,
    pub(crate) events: Vec<(GroupId, RaftEvent)>,
}

impl Outputs {
    fn count(&self) -> usize {
        self.sent.len() + self.applied.len() + self.reads.len() + self.events.len()
    }
}

/// Why a process has ended.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) String);

impl Stopped {
    pub(crate) fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A group on a process.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) group: Group,
    pub(crate) machine: Machine,
    /// How far the state machine is on disk, and where a later state of it was written.
    saved: Index,
    saving: Option<(LogPosition, Index)>,
    /// The state came from a leader: until it is saved, the chunks it came in are needed.
    installed: bool,
    /// The state machine waits for another state in place of its own.
    lost: bool,
    /// States made for others.
    snapshots: BTreeMap<u64, Vec<Bytes>>,
}

/// A process on a disk.
pub(crate) struct Process {
    pub(crate) me: Replica,
    pub(crate) store: Store,
    pub(crate) members: BTreeMap<GroupId, Member>,
    config: Config,
    seed: u64,
    /// Messages that wait for the disk.
    held: Vec<(LogPosition, Replica, RaftMessage)>,
    /// Up to where a sync is under way.
    pub(crate) syncing: Option<LogPosition>,
    /// Whether the disk did not take the last batch.
    pub(crate) refused: bool,
    /// Whether the last turn ended in the middle, because something could not be read or written.
    pub(crate) failed: bool,
    /// After how many entries the state machine saves itself.
    pub(crate) save_every: u64,
}

impl Process {
    /// Opens what a disk holds.
    pub(crate) fn open(
        me: Replica,
        config: &Config,
        seed: u64,
        now: Mono,
        disk: &mut SimDisk,
    ) -> Result<Self, Stopped> {
        let (mut store, _) = Store::open(STORE, disk).map_err(Stopped::because)?;
        let mut members = BTreeMap::new();
        for id in Opened::list(&store, disk).map_err(Stopped::because)? {
            let opened = Opened::read(id, me, &store, disk).map_err(Stopped::because)?;
            let opened = opened.expect("it was listed");
            let mut group = Group::open(opened, config.limits, seed, now);
            let saved = store.get(&Machine::key(id), disk).map_err(Stopped::because)?;
            let machine: Machine =
                saved.map_or_else(Machine::default, |(bytes, _)| codec::decode(&bytes).unwrap());
            group.resume_at(machine.index);
            members.insert(id, Member::new(group, machine));
        }
        let held = Vec::new();
        let (syncing, refused, failed, save_every) = (None, false, false, 7);
        let config = *config;
        Ok(Self { me, store, members, config, seed, held, syncing, refused, failed, save_every })
    }

    /// Begins a group here.
    pub(crate) fn found(&mut self, id: GroupId, membership: Membership, now: Mono) {
        let opened = Opened::new(id, self.me, membership, self.store.end());
        let group = Group::open(opened, self.config.limits, self.seed, now);
        self.members.insert(id, Member::new(group, Machine::default()));
    }

    /// A message has arrived. Who is told of a group by its leader begins it with nothing.
    pub(crate) fn step(&mut self, now: Mono, from: Replica, message: RaftMessage) {
        if message.to != self.me.incarnation {
            return;
        }
        if !self.members.contains_key(&message.group) {
            self.found(message.group, Membership::default(), now);
        }
        let member = self.members.get_mut(&message.group).expect("it was just made");
        member.group.step(now, from, message);
    }

    /// A state machine cannot read its state any more: another one has to come.
    pub(crate) fn lose_state(&mut self, id: GroupId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.group.want_state();
            member.lost = true;
        }
    }

    /// When the first timer runs out.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.members.values().filter_map(|member| member.group.next_deadline()).min()
    }

    pub(crate) fn tick(&mut self, now: Mono) {
        self.members.values_mut().for_each(|member| member.group.tick(now));
    }

    /// A sync has ended: the log is durable up to there.
    pub(crate) fn synced(&mut self, now: Mono, upto: LogPosition) {
        self.store.synced(upto);
        for member in self.members.values_mut() {
            member.group.synced(now, upto);
            if let Some((_, saved)) = member.saving.take_if(|(at, _)| *at <= upto) {
                member.saved = saved;
                if std::mem::take(&mut member.installed) {
                    member.group.forget_chunks();
                }
            }
        }
    }

    /// There may be room on the disk again.
    pub(crate) fn retry(&mut self, disk: &mut SimDisk) {
        self.store.retry(disk);
    }

    /// Does all that there is to do.
    pub(crate) fn turn(
        &mut self,
        now: Mono,
        disk: &mut SimDisk,
        out: &mut Outputs,
    ) -> Result<(), Stopped> {
        self.refused = false;
        for _ in 0..ROUNDS_MAX {
            let wrote = self.write(now, disk)?;
            let collected = self.collect(now, disk, out)?;
            self.work(disk);
            if self.refused || !(wrote || collected) {
                return self
                    .store
                    .failure()
                    .map_or(Ok(()), |error| Err(Stopped(error.to_string())));
            }
        }
        Err(Stopped(format!("{ROUNDS_MAX} rounds in one turn")))
    }

    /// Writes what all groups have to write, as one batch.
    fn write(&mut self, now: Mono, disk: &mut SimDisk) -> Result<bool, Stopped> {
        let mut batch = Batch::default();
        let (mut wrote, mut saving) = (Vec::new(), Vec::new());
        for (id, member) in &mut self.members {
            member.group.settle(now);
            if member.group.write(&mut batch) {
                wrote.push(*id);
            }
            if member.wants_to_save(self.save_every) {
                batch.put(Machine::key(*id), codec::encode(&member.machine));
                saving.push(*id);
            }
        }
        if batch.is_empty() {
            return Ok(false);
        }
        match self.store.apply(&batch, disk) {
            Ok(at) => {
                for id in wrote {
                    self.member(id).group.written(at);
                }
                for id in saving {
                    let member = self.member(id);
                    member.saving = Some((at, member.machine.index));
                }
            }
            Err(StoreError::Failed(error)) => return Err(Stopped(error.to_string())),
            Err(StoreError::Full | StoreError::Busy) => {
                self.refused = true;
                for id in wrote {
                    self.member(id).group.refused(now);
                }
            }
        }
        Ok(true)
    }

    fn member(&mut self, id: GroupId) -> &mut Member {
        self.members.get_mut(&id).expect("groups stay")
    }

    /// Takes what the groups want done. Returns whether there was anything.
    fn collect(&mut self, now: Mono, disk: &SimDisk, out: &mut Outputs) -> Result<bool, Stopped> {
        let before = out.count() + self.held.len();
        for (id, member) in &mut self.members {
            if let Some(manifest) = member.group.to_install().cloned() {
                member.install(&manifest, &mut self.store, disk)?;
                member.group.installed();
            }
            while let Some(entry) = member.group.next_committed() {
                member.machine.apply(&entry);
                out.applied.push((*id, entry, member.machine.hash));
            }
            while let Some((read, answer)) = member.group.next_read() {
                out.reads.push((*id, read, answer, member.machine.index));
            }
            while let Some(event) = member.group.next_event() {
                out.events.push((*id, event));
            }
            member.serve_snapshots(self.config.chunk_bytes);
            member.group.compact(now, member.saved);
            while let Some((to, at, message)) = member.group.next_message() {
                self.held.push((at, to, message));
            }
        }
        let anything = before < out.count() + self.held.len();
        let durable = self.store.durable();
        let ready = self.held.extract_if(.., |(at, ..)| *at <= durable);
        out.sent.extend(ready.map(|(_, to, message)| (to, message)));
        Ok(anything)
    }

    /// Runs the store's jobs.
    fn work(&mut self, disk: &mut SimDisk) {
        while let Some((id, job)) = self.store.next_job() {
            let result = job.run(disk);
            self.store.job_done(id, result, disk);
        }
    }

    /// Whether the log has something that no sync covers yet.
    pub(crate) fn wants_sync(&self) -> bool {
        self.syncing.is_none() && self.store.durable() < self.store.end()
    }

    /// How many messages wait for the disk.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}

impl Member {
    fn new(group: Group, machine: Machine) -> Self {
        let saved = machine.index;
        let (saving, installed, lost, snapshots) = (None, false, false, BTreeMap::new());
        Self { group, machine, saved, saving, installed, lost, snapshots }
    }

    fn wants_to_save(&self, every: u64) -> bool {
        let behind = self.machine.index.0 - self.saved.0;
        self.saving.is_none() && (self.installed || every <= behind)
    }

    /// Begins with a state that was received, unless it was saved before the last restart.
    fn install(
        &mut self,
        manifest: &Manifest,
        store: &mut Store,
        disk: &SimDisk,
    ) -> Result<(), Stopped> {
        self.installed = true;
        self.saving = None;
        if manifest.last.index <= self.machine.index && !std::mem::take(&mut self.lost) {
            return Ok(());
        }
        self.lost = false;
        let mut chunks: Vec<Bytes> = Vec::new();
        for number in 0..manifest.chunks.len() as u32 {
            let chunk = self.group.received_chunk(number, store, disk).map_err(Stopped::because)?;
            chunks
                .push(chunk.unwrap_or_else(|| {
                    panic!("chunk {number} of an installed state is not there")
                }));
        }
        assert!(chunks.iter().map(|chunk| hash::of(chunk)).eq(manifest.chunks.iter().copied()));
        self.machine = Machine::of_chunks(&chunks).expect("a state was sent");
        assert_eq!(self.machine.index, manifest.last.index);
        Ok(())
    }

    /// Makes a state if one is wanted, and hands chunks out.
    fn serve_snapshots(&mut self, chunk_bytes: usize) {
        if self.group.drop_idle_snapshot() {
            self.snapshots.clear();
        }
        if self.group.take_snapshot_wanted() {
            let chunks = self.machine.chunks(chunk_bytes);
            let hashes = chunks.iter().map(|chunk| hash::of(chunk)).collect();
            if let Some(manifest) = self.group.snapshot_made(self.group.applied(), hashes) {
                self.snapshots.insert(manifest.id(), chunks);
            }
        }
        while let Some((to, snapshot, number)) = self.group.next_chunk() {
            let chunk = self.snapshots.get(&snapshot).and_then(|all| all.get(number as usize));
            if let Some(chunk) = chunk {
                self.group.send_chunk(to, snapshot, number, chunk.clone());
            }
        }
    }
}
