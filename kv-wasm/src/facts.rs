//! The frame of a world: reads what the stage draws out of the simulator.
//!
//! Counts that pass 32 bits stand at the greatest one; the inspector has them whole.

use kv_core::id::{LogPosition, Term};
use kv_core::message::Lane;
use kv_core::node::NodeView;
use kv_core::raft::{GroupView, RoleView};
use kv_core::settings::Setting;
use kv_core::sim::clock::Clocks;
use kv_core::sim::{ClientOperation, OperationRecord, StrongOperation, World};
use kv_core::time::Micros;

use crate::frame::{self, Frame, MessageColumn, NodeColumn, OperationColumn, RaftColumn};
use crate::inspect;
use crate::words::Names;

/// How long an ended operation stays in the frame.
const AFTERGLOW: Micros = Micros::from_millis(1_000);
/// How many operations a frame holds; the latest ones stay.
const OPERATIONS: usize = 256;

/// Numbers the kinds of messages in the order in which they first appear.
#[derive(Default)]
pub(crate) struct Kinds(Vec<&'static str>);

impl Kinds {
    /// The names by number.
    #[must_use]
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.0
    }

    fn number(&mut self, kind: &'static str) -> u8 {
        let known = self.0.iter().position(|known| *known == kind);
        known.unwrap_or_else(|| {
            self.0.push(kind);
            self.0.len() - 1
        }) as u8
    }
}

/// How many live keys each node held when its log ended where it did. Counting reads every object, so a
/// frame counts those of one node, in turn, and of nodes that it has never seen.
#[derive(Default)]
pub(crate) struct KeyCounts {
    counted: Vec<(LogPosition, u32)>,
    frames: usize,
}

impl KeyCounts {
    fn of(&mut self, world: &World, views: &[Option<NodeView>]) -> &[(LogPosition, u32)] {
        self.counted.resize(views.len(), (LogPosition::START, 0));
        self.frames = self.frames.wrapping_add(1);
        let turn = self.frames % views.len().max(1);
        for ((index, view), counted) in (0..).zip(views).zip(&mut self.counted) {
            let end = view.as_ref().map_or(LogPosition::START, |view| view.storage.end);
            let is_due = usize::from(index) == turn || counted.0 == LogPosition::START;
            if view.is_some() && is_due && counted.0 != end {
                let is_live =
                    |key: &Vec<u8>| world.object(index, key).is_some_and(|object| object.is_live());
                let keys = inspect::known_keys(world).iter().filter(|key| is_live(key)).count();
                *counted = (end, clip(keys as u64));
            }
        }
        &self.counted
    }
}

/// The frame of this moment.
pub(crate) fn frame(
    world: &World,
    names: &Names,
    kinds: &mut Kinds,
    key_counts: &mut KeyCounts,
) -> Frame {
    let views: Vec<Option<NodeView>> = (0..world.nodes()).map(|index| world.view(index)).collect();
    let layout = views
        .iter()
        .flatten()
        .filter_map(|view| view.layout.as_ref())
        .max_by_key(|layout| layout.epoch);
    let settings = views.iter().flatten().max_by_key(|view| view.choices.latest());
    let messages = messages(world, kinds);
    Frame {
        now: world.now().0,
        steps: world.steps(),
        hash: world.hash(),
        replicas: layout.map_or(0, |layout| clip(layout.replicas)),
        epoch: layout.map_or(0, |layout| clip(layout.epoch.0)),
        election_timeout: settings
            .map_or(0, |view| clip(view.settings.get(Setting::ElectionTimeoutMs))),
        kinds: kinds.0.len() as u32,
        trace: clip(world.trace_len()),
        nodes: nodes(world, &views, names, key_counts.of(world, &views)),
        messages,
        operations: operations(world),
        owners: layout.map_or_else(Vec::new, |layout| {
            let claimant = |index| layout.ring.claimant(kv_core::id::PartitionId(index));
            (0..layout.ring.partitions())
                .map(|index| claimant(index).and_then(|node| names.index(node)).unwrap_or(u16::MAX))
                .collect()
        }),
        cuts: pairs(world.nodes()).filter(|&(from, to)| world.is_cut(from, to)).collect(),
        own: pairs(world.nodes())
            .filter(|&(from, to)| world.link_config(from, to).is_some())
            .collect(),
    }
}

fn nodes(
    world: &World,
    views: &[Option<NodeView>],
    names: &Names,
    key_counts: &[(LogPosition, u32)],
) -> Vec<NodeColumn> {
    let latest = views.iter().flatten().map(|view| view.choices.latest()).max();
    let led = views.iter().flatten().filter_map(leads).max();
    let mut columns: Vec<NodeColumn> = Vec::with_capacity(views.len());
    for ((index, view), (_, keys)) in (0..world.nodes()).zip(views).zip(key_counts) {
        let mut column = NodeColumn::default();
        if let Some(view) = view {
            let flags = [
                (frame::UP, world.is_up(index)),
                (frame::HALTED, view.halted.is_some()),
                (frame::LEADER, led.is_some() && leads(view) == led),
                (frame::BEHIND, Some(view.choices.latest()) < latest),
                (frame::FULL, view.storage.full),
                (frame::PAUSED, world.is_paused(index)),
            ];
            column = NodeColumn {
                deadline: world.deadline(index).map(|at| at.0),
                epoch: view.layout.as_ref().map_or(0, |layout| clip(layout.epoch.0)),
                keys: *keys,
                requests: clip(view.requests_open),
                held: clip(view.outputs_held),
                unsynced: clip(view.storage.unsynced_bytes),
                suspected_by: 0,
                flags: flags.iter().filter(|(_, on)| *on).map(|(flag, _)| flag).sum(),
                raft: inspect::metadata(view)
                    .map_or_else(RaftColumn::default, |group| replica(group, world.clocks(index))),
            };
        } else if world.failure(index).is_some() {
            column.flags = frame::DAMAGED;
        }
        columns.push(column);
    }
    for peer in views.iter().flatten().flat_map(|view| &view.peers) {
        if let Some(index) = names.index(peer.node).filter(|_| !peer.alive) {
            columns[usize::from(index)].suspected_by += 1;
        }
    }
    columns
}

/// The term in which a node leads the metadata group, if it does.
fn leads(view: &NodeView) -> Option<Term> {
    let group = inspect::metadata(view).filter(|group| group.role == RoleView::Leader);
    group.map(|group| group.term)
}

fn replica(group: &GroupView, clocks: Option<&Clocks>) -> RaftColumn {
    RaftColumn {
        role: match group.role {
            RoleView::Follower => 1,
            RoleView::Learner => 2,
            RoleView::PreCandidate => 3,
            RoleView::Candidate => 4,
            RoleView::Leader => 5,
        },
        term: clip(group.term.0),
        base: clip(group.base.index.0),
        last: clip(group.last.index.0),
        durable: clip(group.durable.0),
        commit: clip(group.commit.0),
        election: group.deadline.zip(clocks).map(|(at, clocks)| clocks.truth(at).0),
    }
}

fn messages(world: &World, kinds: &mut Kinds) -> Vec<MessageColumn> {
    world
        .in_flight()
        .map(|message| {
            let lost = if message.lost { frame::LOST } else { 0 };
            let urgent = if message.lane == Lane::Urgent { frame::URGENT } else { 0 };
            MessageColumn {
                number: message.number,
                sent: message.sent.0,
                arrives: message.arrives.0,
                from: message.from,
                to: message.to,
                kind: kinds.number(message.kind),
                flags: lost | urgent,
            }
        })
        .collect()
}

fn operations(world: &World) -> Vec<OperationColumn> {
    let recent = |record: &&OperationRecord| match &record.outcome {
        None => true,
        Some((at, _)) => world.now() - *at <= AFTERGLOW,
    };
    let mut recent: Vec<&OperationRecord> = world.operations().filter(recent).collect();
    let surplus = recent.len().saturating_sub(OPERATIONS);
    recent.drain(..surplus);
    recent
        .into_iter()
        .map(|record| OperationColumn {
            number: record.number,
            called: record.called.0,
            answered: record.outcome.as_ref().map(|(at, _)| at.0),
            node: record.node,
            operation: match record.operation {
                ClientOperation::Get { .. } => 0,
                ClientOperation::Put { .. } => 1,
                ClientOperation::Delete { .. } => 2,
                ClientOperation::Strong(StrongOperation::Get { .. }) => 0,
                ClientOperation::Strong(StrongOperation::Put { .. }) => 1,
                ClientOperation::Strong(StrongOperation::Delete { .. }) => 2,
            },
            outcome: match &record.outcome {
                None => 0,
                Some((_, Ok(_))) => 1,
                Some((_, Err(_))) => 2,
            },
        })
        .collect()
}

fn pairs(nodes: u16) -> impl Iterator<Item = (u16, u16)> {
    (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to)))
}

fn clip(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
