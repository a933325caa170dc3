//! Machines, the network between them and their clients, played in virtual time.

use std::collections::BTreeMap;

use kv_core::id::{GroupId, Replica};
use kv_core::message::raft::{EntryId, Membership, RaftMessage};
use kv_core::ordered::Set;
use kv_core::raft::{
    ChangeError, Group, GroupView, Limits, ProposeError, RaftEvent, TransferError,
};
use kv_core::time::{Micros, Mono};

use super::clients::Clients;
use super::host::Host;
use super::network::{Arrival, Flying, Network};
use super::process::{Outputs, Process};
use super::watch::Watch;

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) seed: u64,
    pub(crate) hosts: u64,
    /// The first so many machines found the groups; the others wait to be told.
    pub(crate) founders: u64,
    pub(crate) groups: u64,
    pub(crate) limits: Limits,
    /// How long a part of a state is.
    pub(crate) chunk_bytes: usize,
    /// A machine whose disk was lost returns as the replica it was: a pitfall of owners.
    pub(crate) forgets_incarnations: bool,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        let (hosts, founders, groups) = (3, 3, 1);
        let (seed, chunk_bytes, forgets_incarnations) = (0, 64, false);
        Self { seed, hosts, founders, groups, limits, chunk_bytes, forgets_incarnations }
    }
}

/// How soon a batch is tried again that the disk refused.
const RETRY: u64 = 20_000;

/// More things than this at one moment mean that somebody goes in circles.
const AT_ONCE_MAX: u64 = 10_000;

/// A cluster.
pub(crate) struct Cluster {
    /// Microseconds since the beginning; each machine's clock goes its own way.
    pub(crate) now: u64,
    pub(crate) config: Config,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) watch: Watch,
    /// What happened so far: when, where, in which group.
    pub(crate) events: Vec<(u64, u64, GroupId, RaftEvent)>,
    /// How often a machine with a damaged disk did not open what is on it.
    pub(crate) refused_to_open: u64,
    /// What must not be. A cluster with an objection stands still.
    pub(crate) objection: Option<String>,
    hosts: Vec<Host>,
    /// What has reached machines whose process is stopped.
    parked: Vec<Flying>,
    /// When each machine's first timer runs out.
    timers: BTreeMap<u64, u64>,
    /// How many things happened since time last passed.
    at_once: u64,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Arrival(Arrival),
    Sync(u64),
    Retry(u64),
    Timer(u64),
}

impl Cluster {
    /// Machines that run, with their groups founded and nobody leading. Messages and syncs take no time
    /// unless a caller changes that.
    pub(crate) fn new(config: Config) -> Self {
        let mut cluster = Self {
            now: 1_000_000,
            config,
            network: Network::new(config.seed),
            clients: Clients::default(),
            watch: Watch::new(config.limits),
            events: Vec::new(),
            refused_to_open: 0,
            objection: None,
            hosts: (1..=config.hosts).map(|number| Host::new(number, config.seed)).collect(),
            parked: Vec::new(),
            timers: BTreeMap::new(),
            at_once: 0,
        };
        let founders: Set<Replica> =
            (1..=config.founders).map(|number| cluster.replica(number)).collect();
        for number in cluster.numbers() {
            cluster.start(number);
            if number <= config.founders {
                for group in cluster.groups() {
                    let membership = Membership::of(founders.iter().copied());
                    cluster.with(number, |process, now| process.found(group, membership, now));
                }
            }
        }
        cluster
    }

    /// All machines, counted from 1.
    pub(crate) fn numbers(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.config.hosts
    }

    /// All groups, counted from 1.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (1..=self.config.groups).map(GroupId)
    }

    pub(crate) fn host(&self, number: u64) -> &Host {
        &self.hosts[number as usize - 1]
    }

    pub(crate) fn host_mut(&mut self, number: u64) -> &mut Host {
        &mut self.hosts[number as usize - 1]
    }

    /// Who a machine is now.
    pub(crate) fn replica(&self, number: u64) -> Replica {
        self.host(number).replica()
    }

    /// Whether a machine is on; its process may be stopped.
    pub(crate) fn runs(&self, number: u64) -> bool {
        self.host(number).process.is_some()
    }

    /// A group on a machine that is on.
    pub(crate) fn group(&self, number: u64, group: GroupId) -> Option<&Group> {
        let process = self.host(number).process.as_ref()?;
        Some(&process.members.get(&group)?.group)
    }

    /// What a group looks like on a machine that is on.
    pub(crate) fn view(&self, number: u64, group: GroupId) -> Option<GroupView> {
        Some(self.group(number, group)?.view())
    }

    /// All messages that may still arrive.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &RaftMessage> {
        self.network.flying.values().chain(&self.parked).map(|flying| &flying.message)
    }

    /// The machine that leads a group in the latest term.
    pub(crate) fn leader(&self, group: GroupId) -> Option<u64> {
        let led = |number: &u64| self.group(*number, group).is_some_and(Group::is_leader);
        let led = self.numbers().filter(led);
        led.max_by_key(|number| self.group(*number, group).map(Group::term))
    }
}

/// What a script or a nemesis does.
impl Cluster {
    /// Switches a machine on that is off. One that cannot read its disk stays off.
    pub(crate) fn start(&mut self, number: u64) {
        let (config, now) = (self.config, self.now);
        match self.host_mut(number).start(&config, now) {
            Ok(()) => self.turn(number),
            Err(_) if self.host(number).shaky => self.crash(number),
            Err(_) if self.host(number).rotten => self.refused_to_open += 1,
            Err(stopped) => self.object(format!("n{number} cannot be opened: {}", stopped.0)),
        }
    }

    /// A machine loses power.
    pub(crate) fn crash(&mut self, number: u64) {
        self.host_mut(number).crash();
        self.forget(number);
    }

    /// A machine loses power and its disk.
    pub(crate) fn wipe(&mut self, number: u64) {
        let keeps_identity = self.config.forgets_incarnations;
        self.host_mut(number).wipe(keeps_identity);
        self.forget(number);
    }

    fn forget(&mut self, number: u64) {
        self.clients.forget(number);
        self.watch.crashed(number);
        self.timers.remove(&number);
        self.parked.retain(|flying| flying.to.node.0 != number);
    }

    /// Stops a process, or lets it go on.
    pub(crate) fn pause(&mut self, number: u64, paused: bool) {
        self.host_mut(number).paused = paused;
        if !paused {
            self.watch.resumed(self.now, number);
            let (due, rest) = std::mem::take(&mut self.parked)
                .into_iter()
                .partition(|flying| flying.to.node.0 == number);
            self.parked = rest;
            for flying in due {
                self.network.arrive_at(self.now, flying);
            }
        }
    }

    /// A client writes on a machine.
    pub(crate) fn write(
        &mut self,
        number: u64,
        group: GroupId,
        bytes: u64,
    ) -> Result<EntryId, ProposeError> {
        let command = self.clients.command(bytes);
        let proposed =
            self.with_group(number, group, |group, now| group.propose(now, command.clone()));
        let id = proposed.unwrap_or(Err(ProposeError::NotLeader(None)))?;
        self.clients.wrote(number, group, id, command);
        self.turn(number);
        Ok(id)
    }

    /// A client reads on a machine.
    pub(crate) fn read(&mut self, number: u64, group: GroupId) {
        if self.group(number, group).is_some() {
            let id = self.clients.reads(number, group);
            self.with_group(number, group, |group, now| group.read(now, id));
            self.turn(number);
        }
    }

    /// A machine begins a change of the membership.
    pub(crate) fn change(
        &mut self,
        number: u64,
        group: GroupId,
        voters: Set<Replica>,
        learners: Set<Replica>,
    ) -> Result<(), ChangeError> {
        let changed =
            self.with_group(number, group, |group, now| group.change(now, voters, learners));
        self.turn(number);
        changed.unwrap_or(Err(ChangeError::NotLeader(None)))
    }

    /// A machine begins to hand leadership on.
    pub(crate) fn transfer(
        &mut self,
        number: u64,
        group: GroupId,
        to: Replica,
    ) -> Result<(), TransferError> {
        let begun = self.with_group(number, group, |group, now| group.transfer(now, to));
        self.turn(number);
        begun.unwrap_or(Err(TransferError::NotLeader(None)))
    }

    /// A machine stands for election now.
    pub(crate) fn campaign(&mut self, number: u64, group: GroupId) {
        // Its owner tells it to, who knows what it does.
        self.watch.arrives(self.now, number, number);
        self.with_group(number, group, |group, now| group.campaign(now));
        self.turn(number);
    }

    /// The state machine of a machine cannot read its state any more.
    pub(crate) fn lose_state(&mut self, number: u64, group: GroupId) {
        self.with(number, |process, _| process.lose_state(group));
    }

    /// A message under way arrives now.
    pub(crate) fn deliver(&mut self, arrival: Arrival) {
        if let Some(flying) = self.network.flying.remove(&arrival) {
            self.arrive(flying);
        }
    }

    fn arrive(&mut self, flying: Flying) {
        let number = flying.to.node.0;
        if self.host(number).paused {
            self.parked.push(flying);
            return;
        }
        let Flying { from, message, .. } = flying;
        self.watch.arrives(self.now, from.node.0, number);
        self.with(number, |process, now| process.step(now, from, message));
    }

    /// The sync under way on a machine ends now.
    pub(crate) fn end_sync(&mut self, number: u64) {
        match self.host_mut(number).end_sync() {
            Ok(Some(upto)) => self.with(number, |process, now| process.synced(now, upto)),
            Ok(None) => {}
            Err(_) => self.crash(number),
        }
    }

    /// Time passes; whatever is due happens.
    pub(crate) fn run_for(&mut self, span: Micros) {
        self.run_until(self.now + span.0);
    }

    /// The same, up to a moment.
    pub(crate) fn run_until(&mut self, moment: u64) {
        while self.objection.is_none() && self.step(moment, true) {}
        self.now = self.now.max(moment);
    }

    /// Messages arrive and syncs end until there are none, but no timer runs out.
    pub(crate) fn stabilize(&mut self) {
        self.stabilize_but(|_| false);
    }

    /// The same, but such messages are held back, and returned.
    pub(crate) fn stabilize_but(&mut self, hold: impl Fn(&Flying) -> bool) -> Vec<Flying> {
        let mut held = Vec::new();
        loop {
            held.extend(self.network.take(&hold));
            if self.objection.is_some() || !self.step(u64::MAX, false) {
                return held;
            }
        }
    }
}

/// What happens by itself.
impl Cluster {
    /// Does the next thing that is due up to a moment. Returns whether there was one.
    fn step(&mut self, moment: u64, timers: bool) -> bool {
        let Some((at, next)) = self.next(timers).filter(|(at, _)| *at <= moment) else {
            return false;
        };
        self.at_once = if self.now < at { 0 } else { self.at_once + 1 };
        self.now = self.now.max(at);
        if AT_ONCE_MAX < self.at_once {
            self.object(format!("goes in circles: {next:?}"));
        }
        match next {
            Next::Arrival(arrival) => self.deliver(arrival),
            Next::Sync(number) => self.end_sync(number),
            Next::Retry(number) => {
                let host = self.host_mut(number);
                host.retry = None;
                if let Some(process) = &mut host.process {
                    process.retry(&mut host.disk);
                }
                self.turn(number);
            }
            Next::Timer(number) => self.with(number, Process::tick),
        }
        true
    }

    fn next(&self, timers: bool) -> Option<(u64, Next)> {
        let arrival = self.network.flying.first_key_value();
        let arrival = arrival.map(|(arrival, _)| (arrival.0, Next::Arrival(*arrival)));
        let awake = || self.hosts.iter().filter(|host| !host.paused);
        let syncs = awake().filter_map(|host| Some((host.sync_ends?, Next::Sync(host.number))));
        let retries = awake().filter_map(|host| Some((host.retry?, Next::Retry(host.number))));
        let first = arrival.into_iter().chain(syncs).chain(retries).min();
        let timer = awake().filter(|_| timers).filter_map(|host| {
            let at = self.timers.get(&host.number)?;
            Some((*at, Next::Timer(host.number)))
        });
        first.into_iter().chain(timer).min()
    }

    fn with(&mut self, number: u64, act: impl FnOnce(&mut Process, Mono)) {
        let clock = self.host(number).clock(self.now);
        if let Some(process) = &mut self.host_mut(number).process {
            act(process, clock);
            self.turn(number);
        }
    }

    fn with_group<T>(
        &mut self,
        number: u64,
        group: GroupId,
        act: impl FnOnce(&mut Group, Mono) -> T,
    ) -> Option<T> {
        let clock = self.host(number).clock(self.now);
        let process = self.host_mut(number).process.as_mut()?;
        Some(act(&mut process.members.get_mut(&group)?.group, clock))
    }

    /// Ends a turn of a machine, and looks at what came of it.
    pub(crate) fn turn(&mut self, number: u64) {
        let (now, clock) = (self.now, self.host(number).clock(self.now));
        let host = self.host_mut(number);
        let Some(process) = &mut host.process else { return };
        let mut out = Outputs::default();
        if process.turn(clock, &mut host.disk, &mut out).is_err() {
            // Nothing leaves it any more, but what it has just committed is.
            process.failed = true;
            if let Err(objection) = self.watch.looks(&mut self.hosts, self.now, number) {
                self.object(format!("n{number}: {objection}"));
            }
            self.crash(number);
            return;
        }
        if process.wants_sync() {
            process.syncing = Some(process.store.end());
            host.sync_ends = Some(now + host.rng.between(host.sync.0.0, host.sync.1.0));
        }
        host.retry = process.refused.then_some(now + RETRY);
        let deadline = process.next_deadline();
        match deadline.map(|deadline| host.moment(deadline)) {
            // What is due has been done; a timer that is still due would be so for ever.
            Some(at) => self.timers.insert(number, at),
            None => self.timers.remove(&number),
        };
        if let Err(objection) = self.take(number, out) {
            self.object(format!("n{number}: {objection}"));
        }
    }

    /// Takes what a machine has done.
    fn take(&mut self, number: u64, out: Outputs) -> Result<(), String> {
        let from = self.replica(number);
        for (group, event) in out.events {
            self.events.push((self.now, number, group, event));
        }
        for (to, message) in out.sent {
            self.watch.sends(&mut self.hosts, number, to, &message)?;
            self.network.send(self.now, Flying { from, to, message });
        }
        for (group, entry, hash) in out.applied {
            self.watch.applies(group, entry.id.index, hash)?;
            self.clients.applied(number, group, &entry)?;
        }
        for (_, id, answer, state) in out.reads {
            self.clients.answered(id, answer, state)?;
        }
        self.watch.looks(&mut self.hosts, self.now, number)
    }

    fn object(&mut self, objection: String) {
        let at = self.now;
        self.objection.get_or_insert_with(|| format!("at {at} µs: {objection}"));
    }
}
