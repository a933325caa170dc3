//! A node: the machines, the store and the outbox put together, and nothing but routing.
//!
//! A shell opens a [`Node`] on a disk, then for each thing that happens calls [`Node::handle`] and drains
//! [`Node::poll`]; it waits no longer than until [`Node::next_deadline`]. Machines never see each other:
//! the node passes each the facts of the others, writes down what must be durable and asks for a sync
//! whenever something is not. While one sync is under way more is appended, so the next covers it all.
//!
//! Left out: anything a machine could decide.

mod admin;
pub mod entry;
mod listing;
pub mod metadata;
mod opening;
mod queues;
mod route;
mod shards;
mod view;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;
pub use opening::OpenError;
pub use queues::Queue;
pub use view::{NodeView, PeerView};

use crate::cluster::{Adoption, Cluster};
use crate::disk::{Disk, DiskError};
use crate::error::RequestError;
use crate::event::{Cause, DropReason, EventKind};
use crate::eventual::{Eventual, Ground};
use crate::gossip::Gossip;
use crate::id::{Epoch, Index, JobId, LogPosition, NodeId, RequestId, ShardId};
use crate::io::{Boot, Input, Output};
use crate::message::raft::Manifest;
use crate::message::{Hello, Message};
use crate::ordered::{Map, Set};
use crate::outbox::Outbox;
use crate::raft::Group;
use crate::raft::groups::Groups;
use crate::request::Request;
use crate::ring::layout::Layout;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::storage::{Batch, JobResult, Outcome, Store, Suspect};
use crate::strong::Strong;
use crate::time::{HybridClock, Micros, Mono, Now};
use crate::timers::{TimerTable, earliest};
use crate::version::Object;

/// After how long without a write the log says that all of it is durable.
const IDLE: Micros = Micros::from_millis(1_000);

/// Where the idle timer sits in the table.
const IDLE_TIMER: usize = 0;

/// How long until a full disk is looked at again.
const RETRY: Micros = Micros::from_millis(1_000);

/// Where that timer sits.
const RETRY_TIMER: usize = 1;

/// How long from one table that is read through to the next.
const SCRUB: Micros = Micros::from_millis(10_000);

/// Where that timer sits.
const SCRUB_TIMER: usize = 2;

/// Where the timer sits that moves the clocks of shards in which something expires.
const TICK_TIMER: usize = 3;

/// How long until somebody looks again who votes in the groups.
const REVIEW: Micros = Micros::from_millis(300);

/// Where that timer sits.
const REVIEW_TIMER: usize = 4;

/// One node. `Clone` gives a second one that goes on independently.
#[derive(Clone, Debug)]
pub struct Node {
    store: Store,
    out: Outbox,
    clock: HybridClock,
    rng: Rng,
    settings: Settings,
    gossip: Gossip,
    cluster: Cluster,
    eventual: Eventual,
    strong: Strong,
    groups: Groups,
    /// The state of the metadata group as of some entry, for those who lack entries.
    state: Option<(Manifest, Bytes)>,
    /// Whether the leader of the metadata group has to look who votes.
    voters_due: bool,
    /// Whether leaders of shards have to look who votes on them.
    shards_due: bool,
    /// The shards that others have said this node is no longer needed for.
    dismissed: Set<ShardId>,
    /// The shards whose state was found damaged here, until they have another one.
    damaged: Set<ShardId>,
    listings: Map<RequestId, listing::Listing>,
    timers: TimerTable<5>,
    sync_outstanding: bool,
    full: bool,
    halted: Option<String>,
}

impl Node {
    /// Opens a node on its disk, formatting an empty one. With an error nothing can be served, and the
    /// words say what to do.
    pub fn open(boot: Boot, now: Now, disk: &mut impl Disk) -> Result<Self, OpenError> {
        opening::open(boot, now, disk)
    }

    /// Takes in one thing that happened. Everything that came of the last one must have been polled.
    pub fn handle(&mut self, now: Now, input: Input, disk: &mut impl Disk) {
        debug_assert!(self.out.is_drained(), "outputs are drained between inputs");
        self.out.begin(now, cause_of(&input));
        if self.halted.is_some() {
            self.refuse(input);
            return;
        }
        let concerns_groups = concerns_groups(&input);
        match input {
            Input::Message(envelope) => self.on_message(now, *envelope, disk),
            Input::Request { id, request } => self.on_request(now, id, *request, disk),
            Input::Cancel { id } => self.on_cancel(id),
            Input::Credit { id, items } => self.on_credit(id, items, &*disk),
            Input::Link { peer, up } => self.on_link(now, peer, up, disk),
            Input::Synced { upto, result } => self.on_synced(now, upto, result),
            Input::JobDone { id, result } => self.on_job_done(id, result, disk),
            Input::Timer => self.on_timer(now, disk),
        }
        self.settle(now, concerns_groups, disk);
    }

    /// The next thing to do, until there is none. It may be done at once.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// When [`Input::Timer`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.halted.is_some() {
            return None;
        }
        let deadlines = [
            self.gossip.next_deadline(),
            self.cluster.next_deadline(),
            self.eventual.next_deadline(),
            self.strong.next_deadline(),
            self.groups.next_deadline(),
            self.timers.next(),
        ];
        deadlines.into_iter().fold(None, earliest)
    }

    /// What this node says first on a link.
    #[must_use]
    pub fn hello(&self) -> Hello {
        self.cluster.hello().clone()
    }

    /// The other members with their addresses, to which the shell should hold links.
    #[must_use]
    pub fn addresses(&self) -> Vec<(NodeId, String)> {
        let me = self.cluster.hello().node;
        let members = self.cluster.membership().into_iter().flat_map(|layout| &layout.members);
        members
            .filter(|(node, _)| **node != me)
            .map(|(node, member)| (*node, member.address.clone()))
            .collect()
    }

    /// The epoch of the layout in force; it grows whenever [`Self::addresses`] may have changed.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.cluster.layout().map_or(Epoch(0), |layout| layout.epoch)
    }

    /// What this very node holds under a key.
    #[must_use]
    pub fn object(&self, key: &[u8], disk: &impl Disk) -> Option<Object> {
        let partition = self.cluster.layout()?.ring.partition_of(key);
        Eventual::peek(&self.store, disk, partition, key)
    }

    /// Whether this very node does not know what it holds under a key, for its disk is damaged there.
    #[must_use]
    pub fn is_lost(&self, key: &[u8], disk: &impl Disk) -> bool {
        let Some(layout) = self.cluster.layout() else { return false };
        let place = crate::eventual::object_key(layout.ring.partition_of(key), key);
        self.store.peek(&place, disk).is_err()
    }

    /// The shards that this very node holds: up to which entry each is applied, and a digest of its state.
    /// All of it is read: for checkers.
    #[must_use]
    pub fn shards(&self, disk: &impl Disk) -> Vec<(ShardId, Index, u64)> {
        let digest = |shard| Strong::digest(shard, &self.store, disk).ok();
        let shard = |shard| Some((shard, self.strong.applied(shard)?, digest(shard)?));
        self.strong.shards().filter_map(shard).collect()
    }

    /// The shards of which this node has found that it cannot read all, until it has another state.
    #[must_use]
    pub fn damaged_shards(&self) -> &Set<ShardId> {
        &self.damaged
    }

    /// The settings in force here.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many outputs wait for a sync.
    #[must_use]
    pub fn outputs_held(&self) -> u64 {
        self.out.held()
    }

    /// Why the node has stopped for good, if it has. The shell should end the process.
    #[must_use]
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// Says in the log that all of it is durable, if it is, so that later damage cannot pass for a torn
    /// end. For a clean stop: call it when nothing is outstanding, and wait for the sync it asks for.
    pub fn prepare_stop(&mut self, disk: &mut impl Disk) {
        if self.halted.is_none() && self.store.mark_durable(disk).is_ok() {
            self.ask_for_sync();
        }
    }

    /// Runs the eventual machine on the ground it needs; nothing if this node is no member.
    fn with_eventual<D: Disk, R>(
        &mut self,
        now: Now,
        disk: &mut D,
        run: impl FnOnce(&mut Eventual, &mut Ground<'_, D>) -> R,
    ) -> Option<R> {
        let layout = self.cluster.membership()?;
        let mut ground = Ground {
            now,
            layout,
            settings: &self.settings,
            chosen: self.gossip.document().latest(),
            reachable: self.gossip.reachable(),
            store: &mut self.store,
            disk,
            clock: &mut self.clock,
            out: &mut self.out,
        };
        Some(run(&mut self.eventual, &mut ground))
    }

    fn on_synced(&mut self, now: Now, upto: LogPosition, result: Result<(), DiskError>) {
        self.sync_outstanding = false;
        if let Err(error) = result {
            self.halt(&error);
            return;
        }
        self.store.synced(upto);
        self.out.release(upto);
        self.groups.synced(now.mono, upto);
        self.timers.set(IDLE_TIMER, now.mono + IDLE);
    }

    fn on_job_done(
        &mut self,
        id: JobId,
        result: Result<JobResult, DiskError>,
        disk: &mut impl Disk,
    ) {
        let Some(outcome) = self.store.job_done(id, result, disk) else { return };
        let kind = match outcome {
            Outcome::Flushed { bytes } => EventKind::Flushed { bytes },
            Outcome::Compacted { level, read, written, lost } => {
                for suspect in lost {
                    let Suspect { file, offset, .. } = suspect;
                    self.out.event(EventKind::Unreadable { file, offset });
                }
                EventKind::Compacted { level, read: read.1, written: written.1 }
            }
            Outcome::Verified { file, records, damaged_at: None } => {
                EventKind::FileVerified { file, records }
            }
            Outcome::Verified { file, damaged_at, .. } => {
                self.note_damaged_file(file);
                EventKind::FileDamaged { file, offset: damaged_at }
            }
            Outcome::Unverified { file } => EventKind::FileDamaged { file, offset: None },
        };
        self.out.event(kind);
    }

    fn on_timer(&mut self, now: Now, disk: &mut impl Disk) {
        if self.cluster.membership().is_some() {
            let epoch = self.epoch();
            self.gossip.on_timer(now, epoch, &self.settings, &mut self.out);
        }
        let entropy = self.rng.any();
        let replicas = self.settings.get(crate::settings::Setting::Replicas);
        if let Some(adoption) = self.cluster.on_timer(now, entropy, replicas, &mut self.out) {
            self.adopt(now, adoption, disk);
        }
        self.with_eventual(now, disk, |eventual, ground| eventual.on_timer(ground));
        self.with_strong(now, disk, |strong, ground| strong.on_timer(ground));
        if self.timers.take_due(REVIEW_TIMER, now.mono) {
            (self.voters_due, self.shards_due) = (true, true);
            self.follow_shards(now, disk);
            self.leave_shards(now, disk);
            self.note_losses();
            self.timers.set(REVIEW_TIMER, now.mono + REVIEW);
        }
        self.groups.tick(now.mono);
        if self.timers.take_due(SCRUB_TIMER, now.mono) {
            self.store.scrub();
            self.timers.set(SCRUB_TIMER, now.mono + SCRUB);
        }
        if self.timers.take_due(RETRY_TIMER, now.mono) {
            self.store.retry(disk);
        }
        if self.timers.take_due(IDLE_TIMER, now.mono) {
            // Without room for the marker nothing is lost; the next write tries again.
            let _ = self.store.mark_durable(disk);
        }
    }

    /// Lives by a layout from now on: writes it down, then tells every machine. Returns false if there is
    /// no room to write it; it will arrive again.
    fn adopt(&mut self, now: Now, adoption: Adoption, disk: &mut impl Disk) -> bool {
        let mut batch = Batch::default();
        batch.put(opening::LAYOUT, crate::codec::encode(&adoption.layout));
        let leaves = adoption.switched && self.cluster.layout().is_some();
        if leaves {
            batch.remove(opening::SETTINGS);
        }
        let group =
            adoption.switched.then(|| self.begin_metadata(now, &adoption.layout, &mut batch));
        let shards = match adoption.switched {
            true => self.begin_shards(now, &adoption.layout, &mut batch, disk),
            false => Vec::new(),
        };
        let Ok(at) = self.store.apply_always(&batch, disk) else { return false };
        if let Some(mut group) = group {
            group.written(at);
            self.groups.insert(group);
        }
        self.insert_shards(shards, at, &*disk);
        let layout = adoption.layout.clone();
        let newcomers = self.newcomers(&layout);
        self.out.speak_for(layout.cluster, at);
        if leaves {
            self.gossip.replace_document(crate::settings::SettingsDocument::default());
        }
        if adoption.switched && layout.founder != self.cluster.hello().node {
            self.out.event(EventKind::Joined(layout.cluster));
        }
        self.out.event(EventKind::LayoutChanged {
            epoch: layout.epoch,
            members: layout.members.len() as u64,
            moving: layout.moving.is_some(),
        });
        self.cluster.adopted(now, adoption, at, &mut self.out);
        for node in newcomers {
            // Right behind the layout, lest it serves under settings of its own.
            self.gossip.tell_settings(node, false, &mut self.out);
        }
        self.voters_due = true;
        self.refresh_settings(now);
        self.gossip.adopt(now, &layout, &self.settings);
        if self.cluster.membership().is_some() {
            self.with_eventual(now, disk, |eventual, ground| eventual.on_layout(ground));
            self.follow_shards(now, disk);
        } else {
            self.gossip.rest();
            self.eventual.leave(&mut self.out);
            self.strong.leave(&mut self.out);
        }
        true
    }

    /// The members of a layout that this node, if it leads the metadata group, has just taken in.
    fn newcomers(&self, layout: &Layout) -> Vec<NodeId> {
        let leads = self.groups.get(metadata::METADATA).is_some_and(Group::is_leader);
        let linked = self.cluster.linked();
        let new = |node: &NodeId, incarnation| {
            linked.contains_key(node)
                && self.cluster.layout().is_some_and(|known| !known.is_member(*node, incarnation))
        };
        let members = layout.members.iter().filter(|_| leads);
        let new = members.filter(|(node, member)| new(node, member.incarnation));
        new.map(|(node, _)| *node).collect()
    }

    fn refresh_settings(&mut self, now: Now) {
        let default = self.settings.get(crate::settings::Setting::Replicas);
        let replicas = self.cluster.layout().map_or(default, |layout| layout.replicas);
        self.settings = self.gossip.document().values(replicas);
        self.gossip.settings_changed(now, &self.settings);
        let settings = &self.settings;
        let shards = self.cluster.layout().map_or(1, |layout| layout.shards.len()) as u64;
        self.groups.set_limits(|group| match group {
            metadata::METADATA => metadata::limits(settings),
            _ => shards::limits(settings, shards),
        });
    }

    /// What follows from any input: the next stage of a move, jobs, a sync, a halt.
    fn settle(&mut self, now: Now, mut concerns_groups: bool, disk: &mut impl Disk) {
        loop {
            if let Some(since) = self.eventual.stage_done() {
                self.cluster.done_with_stage(now, since, &mut self.out);
                concerns_groups = true;
            }
            if !concerns_groups && self.groups_rest() || !self.settle_groups(now, disk) {
                break;
            }
        }
        if self.store.is_full() != self.full {
            self.full = self.store.is_full();
            let kind = if self.full { EventKind::DiskFull } else { EventKind::DiskFreed };
            self.out.event(kind);
        }
        if self.store.wants_retry() && !self.timers.is_set(RETRY_TIMER) {
            self.timers.set(RETRY_TIMER, now.mono + RETRY);
        }
        while let Some((id, job)) = self.store.next_job() {
            self.out.job(id, job);
        }
        if let Some(failure) = self.store.failure().cloned() {
            self.halt(&failure);
        } else {
            self.ask_for_sync();
        }
    }

    fn ask_for_sync(&mut self) {
        let end = self.store.end();
        if !self.sync_outstanding && end > self.store.durable() && self.halted.is_none() {
            self.sync_outstanding = true;
            self.out.sync(end);
        }
    }

    fn halt(&mut self, error: &DiskError) {
        if self.halted.is_none() {
            let reason = error.to_string();
            self.out.abandon_held();
            self.out.event(EventKind::Halted { reason: reason.clone() });
            self.halted = Some(reason);
        }
    }

    /// A node that has stopped for good answers requests and does nothing else.
    fn refuse(&mut self, input: Input) {
        if let Input::Request { id, .. } = input {
            let reason = self.halted.as_deref().unwrap_or_default();
            let words =
                format!("this node has halted ({reason}); nothing was changed, ask another");
            self.out.reply(id, LogPosition::START, Err(RequestError::Unavailable(words)));
        }
    }

    fn on_link(&mut self, now: Now, peer: Hello, up: bool, disk: &mut impl Disk) {
        let node = peer.node;
        if node == self.cluster.hello().node {
            self.out.dropped(node, DropReason::Nonsense);
            return;
        }
        self.out.event(if up { EventKind::LinkUp(node) } else { EventKind::LinkDown(node) });
        self.gossip.link(node, up);
        let member = self
            .cluster
            .membership()
            .is_some_and(|layout| layout.is_member(node, peer.incarnation));
        let elsewhere = peer.cluster != self.cluster.hello().cluster;
        self.cluster.link(peer, up);
        if up && member {
            self.gossip.tell(node, self.epoch(), &self.settings, &mut self.out);
            if elsewhere {
                // It was taken in and does not know, for it or this node was away just then.
                self.tell_layout(node);
            }
        }
        if !up {
            self.with_eventual(now, disk, |eventual, ground| eventual.on_link_down(ground, node));
            self.with_strong(now, disk, |strong, ground| strong.on_link_down(ground, node));
        }
    }

    fn on_cancel(&mut self, id: RequestId) {
        self.listings.remove(&id);
        self.cluster.forget_wish(id);
        self.strong.cancel(id);
        self.eventual.cancel(id);
    }

    fn on_credit(&mut self, id: RequestId, items: u32, disk: &impl Disk) {
        if let Some(mut listing) = self.listings.remove(&id) {
            listing.credit = listing.credit.saturating_add(items);
            self.go_on_listing(id, listing, disk);
        }
    }

    fn on_request(&mut self, now: Now, id: RequestId, request: Request, disk: &mut impl Disk) {
        let operation = admin::operation_of(&request);
        self.out.event(EventKind::Requested { request: id, operation });
        if self.cluster.membership().is_none() {
            let error = self.not_serving();
            self.out.reply(id, LogPosition::START, Err(error));
            return;
        }
        match request {
            Request::Get { .. } | Request::Put { .. } | Request::Delete { .. } => {
                self.with_eventual(now, disk, |eventual, ground| {
                    eventual.on_request(ground, id, request);
                });
            }
            Request::ListLocal { prefix, credit } => {
                self.go_on_listing(id, listing::Listing::new(prefix, credit), &*disk);
            }
            Request::Set { changes } => self.set(now, id, &changes, disk),
            Request::AddPeer { peer } => {
                self.note_keys(&*disk);
                self.wish(now, id, crate::cluster::Wish::Together(peer));
            }
            Request::RemoveMember { node, force } => self.remove_member(now, id, node, force),
            Request::Strong { request, timeout } => {
                self.with_strong(now, disk, |strong, ground| {
                    strong.on_request(ground, id, request, timeout);
                });
            }
        }
    }
}

/// Whether anything may follow from an input for the groups beyond what it does to them itself.
fn concerns_groups(input: &Input) -> bool {
    match input {
        Input::Message(envelope) => !matches!(
            envelope.message,
            Message::Store { .. }
                | Message::Stored { .. }
                | Message::Fetch { .. }
                | Message::Fetched { .. }
                | Message::Forward { .. }
                | Message::Forwarded { .. }
                | Message::Heartbeats { .. }
        ),
        Input::Request { request, .. } => {
            !matches!(**request, Request::Get { .. } | Request::Put { .. } | Request::Delete { .. })
        }
        Input::Synced { .. } => false,
        _ => true,
    }
}

fn cause_of(input: &Input) -> Cause {
    match input {
        Input::Message(envelope) => Cause::Message { from: envelope.from, id: envelope.id },
        Input::Request { id, .. } | Input::Cancel { id } | Input::Credit { id, .. } => {
            Cause::Request(*id)
        }
        Input::Link { peer, .. } => Cause::Link(peer.node),
        Input::Synced { upto, .. } => Cause::Synced(*upto),
        Input::JobDone { id, .. } => Cause::Job(*id),
        Input::Timer => Cause::Timer,
    }
}
