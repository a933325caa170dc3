//! One machine: a disk that outlives crashes, a clock that runs at its own rate, and a process or none.

use kv_core::id::{GroupId, Incarnation, Index, LogPosition, NodeId, Replica, Term};
use kv_core::message::raft::EntryId;
use kv_core::raft::Opened;
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::Store;
use kv_core::time::{Micros, Mono};

use super::cluster::Config;
use super::process::{Process, STORE, Stopped};

/// A machine.
pub(crate) struct Host {
    /// Counted from 1.
    pub(crate) number: u64,
    /// How often its disk was formatted.
    formatted: u64,
    pub(crate) disk: SimDisk,
    pub(crate) process: Option<Process>,
    /// Its process is stopped, but not gone.
    pub(crate) paused: bool,
    /// How many parts in a million its clock is fast.
    pub(crate) drift: i64,
    /// Its power may fail at any write.
    pub(crate) shaky: bool,
    /// Its disk may have lost something that was durable.
    pub(crate) rotten: bool,
    /// How long its syncs take, at least and at most.
    pub(crate) sync: (Micros, Micros),
    /// When the sync under way ends.
    pub(crate) sync_ends: Option<u64>,
    /// When a batch that the disk refused is tried again.
    pub(crate) retry: Option<u64>,
    /// How often it was switched on; what was begun before then is void.
    pub(crate) boots: u64,
    pub(crate) rng: Rng,
    /// Up to where the log was durable when the process was told so last, and where the log ended then.
    told: Option<(LogPosition, LogPosition)>,
    /// Up to where a durable record says that the log was durable before it: damage there must be noticed.
    pub(crate) proven: LogPosition,
    /// What a loss of power could not take, as long as that has not changed.
    image: Option<Result<Vec<Opened>, Damaged>>,
}

/// What a disk holds cannot be read: it was damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damaged;

impl Host {
    /// A machine with an empty disk, switched off.
    pub(crate) fn new(number: u64, seed: u64) -> Self {
        Self {
            number,
            formatted: 1,
            disk: SimDisk::default(),
            process: None,
            paused: false,
            shaky: false,
            rotten: false,
            drift: 0,
            sync: (Micros(0), Micros(0)),
            sync_ends: None,
            retry: None,
            boots: 0,
            rng: Rng::stream(seed, number),
            told: None,
            proven: LogPosition::START,
            image: None,
        }
    }

    /// Who it is in a group.
    pub(crate) fn replica(&self) -> Replica {
        let incarnation = Incarnation(1_000 * self.number + self.formatted);
        Replica { node: NodeId(self.number), incarnation }
    }

    /// What its clock shows, and when it will show that.
    pub(crate) fn clock(&self, now: u64) -> Mono {
        Mono(scale(now, 1_000_000 + self.drift, 1_000_000))
    }

    /// The first moment at which its clock shows this.
    pub(crate) fn moment(&self, clock: Mono) -> u64 {
        let mut at = scale(clock.0, 1_000_000, 1_000_000 + self.drift);
        while self.clock(at) < clock {
            at += 1;
        }
        at
    }

    /// Switches it on.
    pub(crate) fn start(&mut self, config: &Config, now: u64) -> Result<(), Stopped> {
        let (me, clock, seed) = (self.replica(), self.clock(now), self.rng.any());
        self.changed();
        let mut process = Process::open(me, config, seed, clock, &mut self.disk)?;
        process.save_every = 1 + self.rng.below(12);
        self.process = Some(process);
        self.boots += 1;
        self.paused = false;
        Ok(())
    }

    /// Loses power.
    pub(crate) fn crash(&mut self) {
        self.process = None;
        self.told = None;
        self.sync_ends = None;
        self.retry = None;
        (self.paused, self.shaky) = (false, false);
        self.disk.crash(&mut self.rng);
        self.changed();
    }

    /// Loses power after so many more operations of its disk.
    pub(crate) fn fail_power_after(&mut self, operations: u64) {
        self.shaky = true;
        self.disk.fail_power_after(operations);
    }

    /// Loses power and its disk, and gets a new one.
    pub(crate) fn wipe(&mut self, keeps_identity: bool) {
        self.crash();
        self.disk = SimDisk::default();
        self.proven = LogPosition::START;
        self.rotten = false;
        self.formatted += u64::from(!keeps_identity);
    }

    /// Ends the sync under way.
    pub(crate) fn end_sync(&mut self) -> Result<Option<LogPosition>, Stopped> {
        self.sync_ends = None;
        let Some(process) = &mut self.process else { return Ok(None) };
        let Some(upto) = process.syncing.take() else { return Ok(None) };
        let end = process.store.end();
        self.changed();
        self.disk.sync_log(upto).map_err(|error| Stopped(error.to_string()))?;
        // Whatever was written since the process was told says how far the log was durable then.
        if let Some((durable, _)) = self.told.filter(|(_, end)| *end < upto) {
            self.proven = durable;
        }
        self.told = Some((upto, end));
        Ok(Some(upto))
    }

    /// The entry at a place in a group's log, in memory, if the replica is still in this term.
    pub(crate) fn entry_in(&self, now: Term, group: GroupId, index: Index) -> Option<EntryId> {
        let group = &self.process.as_ref()?.members.get(&group)?.group;
        let term = group.log().term(index).filter(|_| group.term() == now)?;
        Some(EntryId { term, index })
    }

    /// What is durable may have changed.
    pub(crate) fn changed(&mut self) {
        self.image = None;
    }

    /// A group as it would be after a loss of power now; none if nothing would be left of it.
    pub(crate) fn durable(&mut self, group: GroupId) -> Result<Option<&Opened>, Damaged> {
        if self.image.is_none() {
            let image = groups_on(self.replica(), self.disk.durable());
            assert!(image.is_ok() || self.rotten, "what is durable is whole: {image:?}");
            self.image = Some(image.map_err(|_| Damaged));
        }
        match &self.image {
            Some(Ok(image)) => Ok(image.iter().find(|opened| opened.group() == group)),
            Some(Err(Damaged)) | None => Err(Damaged),
        }
    }
}

/// All groups that a disk holds.
fn groups_on(me: Replica, mut disk: SimDisk) -> Result<Vec<Opened>, Stopped> {
    let (store, _) = Store::open(STORE, &mut disk).map_err(Stopped::because)?;
    let mut groups = Vec::new();
    for id in Opened::list(&store, &disk).map_err(Stopped::because)? {
        groups.extend(Opened::read(id, me, &store, &disk).map_err(Stopped::because)?);
    }
    Ok(groups)
}

fn scale(value: u64, by: i64, over: i64) -> u64 {
    (i128::from(value) * i128::from(by) / i128::from(over)) as u64
}
