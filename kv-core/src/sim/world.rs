//! A whole simulated cluster, and the loop that makes time pass in it.
//!
//! One event after the other is taken from a queue, given to a node, and what the node wants done is
//! put back into the queue. Everything takes at least a microsecond, so every moment comes to an end;
//! an action is done at the end of its moment. That makes a run the same whether it is played event
//! by event, in slices or at once, live or again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Serialize;

use super::action::{Action, TimedAction};
use super::client::{Clients, OperationRecord, Purpose};
use super::config::{ActionRefused, NetworkConfig, Run, SimConfig, Workload, refuse};
use super::disk::SimDisk;
use super::due::Due;
use super::host::{Host, State};
use super::naming::Sessions;
use super::network::{InFlight, Network};
use super::queue::Queue;
use super::recent::Recent;
use super::watch::{Sender, Watch};
use super::workload::Generators;
use crate::check::Objection;
use crate::event::{Event, EventKind};
use crate::hash::{self, Rolling};
use crate::id::NodeId;
use crate::io::{Input, Output};
use crate::journal::Recorder;
use crate::message::Hello;
use crate::node::Node;
use crate::ordered::Map;
use crate::request::Request;
use crate::storage::Job;
use crate::time::{Micros, Mono, Wall};
use crate::version::Object;

/// An event of a node, in the order of the whole run.
#[derive(Clone, Debug)]
pub struct TraceEntry {
    /// Its number in this run, counted from 0.
    pub index: u64,
    /// The node.
    pub node: u16,
    /// The true time; the event itself has that of the node's own clocks.
    pub at: Mono,
    /// What happened.
    pub event: Event,
}

/// A simulated cluster at one moment. A clone is a moment to go back to.
#[derive(Clone, Debug)]
pub struct World {
    config: SimConfig,
    now: Mono,
    steps: u64,
    hash: Rolling,
    pub(super) queue: Queue<Due>,
    pub(super) hosts: Vec<Host>,
    indices: Map<NodeId, u16>,
    pub(super) network: Network,
    pub(super) clients: Clients,
    pub(super) generators: Generators,
    pub(super) sessions: Sessions,
    trace: Recent<TraceEntry>,
    pub(super) actions: Vec<TimedAction>,
    first_settings: FirstSettings,
    /// Looks at what leaves the nodes, if it was asked to.
    watch: Option<Watch>,
}

/// How far the settings of [`SimConfig`] have come. They are a request to the first node, made once
/// that is a member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstSettings {
    Waiting,
    Asked,
    Done,
}

impl World {
    /// Civil time at the beginning of every run: 2026-01-01 00:00 UTC.
    pub const EPOCH: Wall = Wall(1_767_225_600_000_000);
    /// At least so many of the latest events are kept.
    const TRACE: u64 = 10_000;
    /// How long until settings that could not be set at first are tried again.
    const RETRY: Micros = Micros::from_millis(100);

    /// A cluster at its beginning: all nodes open for the first time, none knows another.
    pub fn new(config: SimConfig) -> Result<Self, ActionRefused> {
        Self::opened(config, false)
    }

    /// The same, and whatever goes into a node is recorded. That changes nothing in the run.
    #[cfg(feature = "journals")]
    pub fn recorded(config: SimConfig) -> Result<Self, ActionRefused> {
        Self::opened(config, true)
    }

    fn opened(config: SimConfig, recorded: bool) -> Result<Self, ActionRefused> {
        config.check()?;
        let hosts: Vec<Host> =
            (0..config.nodes).map(|index| Host::new(index, &config, recorded)).collect();
        let mut indices = Map::new();
        indices.extend((0..).zip(&hosts).map(|(index, host)| (host.id, index)));
        let set =
            if config.settings.is_empty() { FirstSettings::Done } else { FirstSettings::Waiting };
        let mut world = Self {
            now: Mono::default(),
            steps: 0,
            hash: Rolling::default(),
            queue: Queue::default(),
            indices,
            hosts,
            network: Network::new(config.seed, config.network),
            clients: Clients::new(),
            generators: Generators::new(config.seed, config.workload),
            sessions: Sessions::default(),
            trace: Recent::keeping(Self::TRACE),
            actions: Vec::new(),
            first_settings: set,
            watch: None,
            config,
        };
        for node in 0..world.config.nodes {
            world.start(node);
        }
        world.generate(world.config.workload);
        Ok(world)
    }

    /// How the run began.
    #[must_use]
    pub fn config(&self) -> &SimConfig {
        &self.config
    }

    /// The time since the beginning.
    #[must_use]
    pub fn now(&self) -> Mono {
        self.now
    }

    /// A rolling hash over every input and output of every node with its time, and everything written
    /// to any disk. Two runs with equal hashes went the same way.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many simulator events there were.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> u16 {
        self.config.nodes
    }

    /// A node, if it is running.
    #[must_use]
    pub fn node(&self, index: u16) -> Option<&Node> {
        self.hosts.get(usize::from(index)).and_then(Host::node)
    }

    /// What a node holds under a key, if it runs.
    #[must_use]
    pub fn object(&self, index: u16, key: &[u8]) -> Option<Object> {
        let host = self.hosts.get(usize::from(index))?;
        host.node()?.object(key, &host.disk)
    }

    /// Whether a node that runs does not know what it holds under a key, for its disk is damaged there.
    #[must_use]
    pub fn is_lost(&self, index: u16, key: &[u8]) -> bool {
        let host = self.hosts.get(usize::from(index));
        host.is_some_and(|host| host.node().is_some_and(|node| node.is_lost(key, &host.disk)))
    }

    /// Whether a node is running.
    #[must_use]
    pub fn is_up(&self, index: u16) -> bool {
        self.node(index).is_some()
    }

    /// The id of a node, running or not; that of nobody if there is no such node.
    #[must_use]
    pub fn node_id(&self, index: u16) -> NodeId {
        self.hosts.get(usize::from(index)).map_or_else(NodeId::default, |host| host.id)
    }

    /// Why a node could not be started from its disk, in words, if it could not.
    #[must_use]
    pub fn failure(&self, index: u16) -> Option<&str> {
        match &self.hosts.get(usize::from(index))?.state {
            State::Failed(words) => Some(words),
            State::Running(_) | State::Down => None,
        }
    }

    /// The disk of a node, running or not.
    #[must_use]
    pub fn disk(&self, index: u16) -> Option<&SimDisk> {
        self.hosts.get(usize::from(index)).map(|host| &host.disk)
    }

    /// The journal of each opening of a node, oldest first; none if the world is not recorded.
    #[must_use]
    pub fn journals(&self, index: u16) -> &[Recorder] {
        self.hosts.get(usize::from(index)).map_or(&[], Host::journals)
    }

    /// Whether messages from one node to another are lost, by a cut or a partition.
    #[must_use]
    pub fn is_cut(&self, from: u16, to: u16) -> bool {
        self.network.is_cut(from, to)
    }

    /// The network as it is now.
    #[must_use]
    pub fn network(&self) -> NetworkConfig {
        self.network.config
    }

    /// What the generated clients do now.
    #[must_use]
    pub fn workload(&self) -> Workload {
        self.generators.workload()
    }

    /// How much memory a copy of it takes beside others: as much as so many nodes with what they have in
    /// memory.
    pub(super) fn weight(&self) -> usize {
        /// So many messages take as much as a node.
        const MESSAGES: usize = 200;
        /// And so many entries of replicated logs.
        const ENTRIES: usize = 1_000;
        let waiting = self.hosts.iter().map(|host| host.waiting.len()).sum::<usize>();
        let entries = self.hosts.iter().filter_map(Host::node).map(Node::log_entries).sum::<u64>();
        self.hosts.len() + (self.network.weight() + waiting) / MESSAGES + entries as usize / ENTRIES
    }

    /// All messages under way. Lost ones stay until they would have arrived.
    pub fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.network.in_flight()
    }

    /// The latest operations of all clients, at least 1,000 of them, by number.
    pub fn operations(&self) -> impl Iterator<Item = &OperationRecord> {
        self.clients.since(0)
    }

    /// The operations from this number on, as far as they are kept.
    pub fn operations_since(&self, number: u64) -> impl Iterator<Item = &OperationRecord> {
        self.clients.since(number)
    }

    /// The events from this index on, as far as they are kept: at least the latest 10,000.
    pub fn trace_since(&self, index: u64) -> impl Iterator<Item = &TraceEntry> {
        self.trace.since(index)
    }

    /// How many events there were: the index of the next one.
    #[must_use]
    pub fn trace_len(&self) -> u64 {
        self.trace.end()
    }

    /// Everything that was done to the world, in order.
    #[must_use]
    pub fn actions(&self) -> &[TimedAction] {
        &self.actions
    }

    /// The run so far: what a share link holds.
    #[must_use]
    pub fn run(&self) -> Run {
        Run {
            config: self.config.clone(),
            actions: self.actions.clone(),
            until: self.now,
            steps: self.steps,
            hash: self.hash(),
        }
    }

    /// Plays a run again. It went the same way if the world's hash is that of the run; a core built
    /// from other sources may well go another way. Fails at an action that makes no sense there.
    pub fn replay(run: &Run) -> Result<Self, ActionRefused> {
        let mut world = Self::new(run.config.clone())?;
        for TimedAction { at, action } in &run.actions {
            if *at < world.now || *at > run.until {
                return refuse("the actions of the run are not in the order of their times");
            }
            if !world.run_until(*at, run.steps.saturating_sub(world.steps)) {
                return refuse("the run has more events up to its actions than it says");
            }
            world.act(action.clone())?;
        }
        // The run may have been stopped within a moment, so its events count and not only its time.
        world.run_until(run.until, run.steps.saturating_sub(world.steps));
        world.now = run.until;
        Ok(world)
    }

    /// Runs the next simulator event, whenever it is due, and returns the time. If nothing is due
    /// ever, the time stays.
    pub fn step(&mut self) -> Mono {
        if let Some((at, due)) = self.queue.take() {
            self.now = at;
            self.steps += 1;
            self.carry_on(due);
        }
        self.now
    }

    /// Runs all events up to a time, but at most `steps_max`. Returns whether it got there.
    pub fn run_until(&mut self, until: Mono, steps_max: u64) -> bool {
        let last = self.steps.saturating_add(steps_max);
        while self.queue.next().is_some_and(|at| at <= until) {
            if self.steps >= last {
                return false;
            }
            self.step();
        }
        self.now = self.now.max(until);
        true
    }

    /// From now on looks whether what nodes say is durable on their disks. That changes nothing in the
    /// run, and makes it slower.
    pub fn watch(&mut self) {
        self.watch = Some(Watch::new(self.config.partitions));
    }

    /// What the watch objects to.
    #[must_use]
    pub fn watched(&self) -> Option<&Objection> {
        self.watch.as_ref()?.objection()
    }

    /// When the next simulator event is due; none if nothing is due ever.
    #[must_use]
    pub fn next_due(&self) -> Option<Mono> {
        self.queue.next()
    }

    /// Lets the time pass up to this, when nothing is due before it.
    pub(super) fn arrive_at(&mut self, at: Mono) {
        self.now = self.now.max(at);
    }

    /// Does something to the world at the end of the present moment: what is due at this very time
    /// happens first. It is logged, and its effects are visible at once.
    pub fn act(&mut self, action: Action) -> Result<(), ActionRefused> {
        self.run_until(self.now, u64::MAX);
        self.check_action(&action)?;
        self.actions.push(TimedAction { at: self.now, action: action.clone() });
        self.perform(action);
        Ok(())
    }

    pub(super) fn carry_on(&mut self, due: Due) {
        let Some(due) = self.hold(due) else { return };
        match due {
            Due::Arrival { number, .. } => {
                if let Some((to, envelope, hash)) = self.network.arrive(number) {
                    self.take_in(to, Input::Message(envelope), hash);
                }
            }
            Due::Notice(notice) => {
                let (gone, there) = self.network.take_notice(&notice);
                for (link, up) in [(gone, false), (there, true)] {
                    if let Some(link) = link {
                        let peer = Hello::clone(&link.hello);
                        self.deliver(notice.to, Input::Link { peer, up });
                    }
                }
            }
            Due::Synced { node, upto } => {
                let Some(host) = self.hosts.get_mut(usize::from(node)) else { return };
                let result = host.disk.sync_log(upto);
                self.deliver(node, Input::Synced { upto, result });
            }
            Due::Job { node, id, job } => {
                let Some(host) = self.hosts.get_mut(usize::from(node)) else { return };
                let result = job.run(&mut host.disk);
                self.deliver(node, Input::JobDone { id, result });
            }
            Due::Timer { node } => {
                if let Some(host) = self.hosts.get_mut(usize::from(node)) {
                    host.timer = None;
                }
                self.deliver(node, Input::Timer);
            }
            Due::Client { node, input } => self.deliver(node, *input),
            Due::GiveUp { request } => self.give_up(request),
            Due::Begin { client } => self.begin(client),
            Due::FirstSettings => self.set_first_settings(),
        }
    }

    /// Gives a node an input, if it runs, and does what it then wants done.
    pub(super) fn deliver(&mut self, index: u16, input: Input) {
        let hash = hash::of_value(&input);
        self.take_in(index, input, hash);
    }

    /// The same for an input of this hash: a message is hashed where it is sent.
    fn take_in(&mut self, index: u16, input: Input, hash: u64) {
        let truth = self.now;
        let Some(host) = self.hosts.get_mut(usize::from(index)) else { return };
        let now = host.clocks.at(truth);
        if host.node().is_none() {
            return;
        }
        self.hash.take(&(truth, index, hash));
        host.handle(now, input);
        self.drain(index);
    }

    fn drain(&mut self, index: u16) {
        while let Some(output) = self.hosts.get_mut(usize::from(index)).and_then(Host::poll) {
            let hash = hash::of_value(&output);
            self.hash.take(&hash);
            self.carry_out(index, output, hash);
        }
        if let Some(host) = self.hosts.get(usize::from(index)) {
            self.hash.take(&host.disk.written());
            if host.node().is_some_and(|node| node.halted().is_some()) {
                // Its process ends, so its clients are told as much.
                self.lose_requests(index, "the node halted before it answered");
            }
        }
        self.wind(index);
    }

    fn carry_out(&mut self, index: u16, output: Output, hash: u64) {
        match output {
            Output::Send { lane, envelope } => {
                let Some(&to) = self.indices.get(&envelope.to) else { return };
                self.look_at(index, |watch, from, _| watch.sent(to, &envelope, from));
                let way = (index, to);
                for (number, at) in self.network.send(self.now, way, lane, envelope, hash) {
                    self.queue.enter(at, Due::Arrival { to, number });
                }
            }
            Output::Reply { id, result, .. } => {
                if let Ok(reply) = &result {
                    self.look_at(index, |watch, from, clients| {
                        if let Some(key) = clients.key_of(id) {
                            watch.replied(key, reply, from);
                        }
                    });
                }
                self.answered(id, result);
            }
            Output::Sync { upto } => {
                self.queue.enter(self.after_disk(index), Due::Synced { node: index, upto });
            }
            Output::Job { id, job } => {
                self.queue.enter(self.after_disk(index), Due::Job { node: index, id, job });
            }
            Output::Event(event) => self.record(index, event),
        }
    }

    /// Has the watch look at what a node says, if there is a watch.
    fn look_at(&mut self, node: u16, look: impl FnOnce(&mut Watch, Sender<'_>, &Clients)) {
        if let (Some(watch), Some(host)) = (&mut self.watch, self.hosts.get(usize::from(node))) {
            look(watch, Sender { now: self.now, node, host }, &self.clients);
        }
    }

    fn record(&mut self, node: u16, event: Event) {
        let member = matches!(event.kind, EventKind::Founded(_) | EventKind::Joined(_));
        if node == 0 && member && self.first_settings == FirstSettings::Waiting {
            self.first_settings = FirstSettings::Asked;
            self.queue.enter(self.now + Micros(1), Due::FirstSettings);
        }
        let at = self.now;
        self.trace.push(TraceEntry { index: self.trace.end(), node, at, event });
    }

    /// Has the queue wake a node at its deadline.
    pub(super) fn wind(&mut self, index: u16) {
        let soonest = self.now + Micros(1);
        let Some(host) = self.hosts.get_mut(usize::from(index)) else { return };
        let deadline = host.node().and_then(Node::next_deadline);
        let deadline = deadline.map(|at| host.clocks.truth(at).max(soonest));
        if host.timer.map(|ticket| ticket.at()) == deadline {
            return;
        }
        if let Some(ticket) = host.timer.take() {
            self.queue.withdraw(ticket);
        }
        host.timer = deadline.map(|at| self.queue.enter(at, Due::Timer { node: index }));
    }

    /// Notes something in the hash that is no input of a node.
    pub(super) fn mark(&mut self, what: &impl Serialize) {
        self.hash.take(what);
    }

    fn after_disk(&self, node: u16) -> Mono {
        let wait = self.hosts.get(usize::from(node)).map_or(self.config.sync, |host| host.wait);
        self.now + wait.max(Micros(1))
    }

    pub(super) fn start(&mut self, node: u16) {
        let (now, ids) = (self.now, self.hosts.iter().map(|host| host.id).collect());
        self.mark(&(now, node, "start"));
        if let Some(host) = self.hosts.get_mut(usize::from(node)) {
            host.start(&self.config, ids, host.clocks.at(now));
        }
        if let Some(watch) = &mut self.watch {
            watch.started(node);
        }
        self.drain(node);
        self.connect(node);
    }

    pub(super) fn crash(&mut self, node: u16) {
        self.mark(&(self.now, node, "crash"));
        let job = |due: &Due| match due {
            Due::Job { node: on, job, .. } if *on == node => Some(Job::clone(job)),
            _ => None,
        };
        let mut jobs: Vec<Job> = self.queue.entries().filter_map(job).collect();
        jobs.extend(self.abandon(node).iter().filter_map(job));
        if let Some(host) = self.hosts.get_mut(usize::from(node)) {
            host.crash(jobs.iter());
        }
        self.queue.withdraw_all(|due| due.dies_with(node));
        self.network.forget(node);
        self.lose_requests(node, "the node crashed before it answered");
        self.connect(node);
    }

    /// Brings the links of a node in line with who runs and what is cut.
    pub(super) fn connect(&mut self, node: u16) {
        for other in (0..self.config.nodes).filter(|other| *other != node) {
            let hosts = &self.hosts;
            let hello = |index: u16| {
                hosts
                    .get(usize::from(index))
                    .and_then(Host::node)
                    .map(|node| Arc::new(node.hello()))
            };
            let runs = [self.is_up(node), self.is_up(other)];
            let awake = !self.is_paused(node) && !self.is_paused(other);
            for (at, notice) in self.network.connect(self.now, (node, other), runs, hello, awake) {
                self.queue.enter(at, Due::Notice(notice));
            }
        }
    }

    fn set_first_settings(&mut self) {
        if self.is_up(0) {
            let changes = self.config.settings.clone();
            self.ask(0, Purpose::FirstSettings, Request::Set { changes });
        } else {
            self.retry_first_settings();
        }
    }

    pub(super) fn first_settings_ended(&mut self, done: bool) {
        self.first_settings = FirstSettings::Done;
        if !done {
            self.retry_first_settings();
        }
    }

    fn retry_first_settings(&mut self) {
        self.first_settings = FirstSettings::Asked;
        self.queue.enter(self.now + Self::RETRY, Due::FirstSettings);
    }
}
