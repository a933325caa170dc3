//! What can be done to one machine, with what that changed there.

use std::error::Error;

use kv_core::id::{GroupId, Incarnation, Replica, Term};
use kv_core::message::raft::{RaftBody, RaftMessage};
use kv_core::raft::{GroupView, Limits};

use super::words;
use crate::harness::Cluster;
use crate::harness::network::Arrival;

/// The group that is played.
pub(super) const GROUP: GroupId = GroupId(1);

/// What a machine looked like before a step.
pub(super) struct Before {
    view: Option<GroupView>,
    events: usize,
    served: u64,
    refused: u64,
    acknowledged: u64,
}

impl Before {
    pub(super) fn of(cluster: &Cluster, number: u64) -> Self {
        Self {
            view: cluster.view(number, GROUP),
            events: cluster.events.len(),
            served: cluster.clients.served,
            refused: cluster.clients.refused,
            acknowledged: cluster.clients.acknowledged,
        }
    }
}

/// Does something to one machine, and tells what changed there.
pub(super) fn step(
    cluster: &mut Cluster,
    number: u64,
    what: String,
    out: &mut Vec<String>,
    act: impl FnOnce(&mut Cluster),
) {
    let before = Before::of(cluster, number);
    act(cluster);
    tell(cluster, number, what, &before, out);
}

pub(super) fn tell(
    cluster: &Cluster,
    number: u64,
    what: String,
    before: &Before,
    out: &mut Vec<String>,
) {
    let events = cluster.events[before.events..].iter();
    let mut all: Vec<String> = events.map(|(.., event)| words::event(*event)).collect();
    if let Some(now) = cluster.view(number, GROUP) {
        match &before.view {
            Some(then) => all.extend(words::changes(then, &now)),
            None => all.push(words::view(&now)),
        }
    }
    let clients = &cluster.clients;
    for (count, then, verb) in [
        (clients.acknowledged, before.acknowledged, "writes acknowledged"),
        (clients.served, before.served, "reads served"),
        (clients.refused, before.refused, "reads refused"),
    ] {
        if then < count {
            all.push(format!("{} {verb}", count - then));
        }
    }
    let bar = if all.is_empty() { "" } else { " | " };
    out.push(format!("{what}{bar}{}", all.join(", ")));
}

pub(super) fn deliver(cluster: &mut Cluster, arrival: Arrival, out: &mut Vec<String>) {
    let Some(flying) = cluster.network.flying.get(&arrival) else { return };
    let (what, to) = (words::flying(flying), flying.to);
    let there = cluster.runs(to.node.0) && cluster.replica(to.node.0) == to;
    let what = if there { what } else { format!("{what} | reaches nobody") };
    step(cluster, to.node.0, what, out, |cluster| cluster.deliver(arrival));
}

pub(super) fn sync(cluster: &mut Cluster, number: u64, out: &mut Vec<String>) {
    if cluster.host(number).sync_ends.is_some() {
        let what = format!("{}: sync", words::name(cluster.replica(number)));
        step(cluster, number, what, out, |cluster| cluster.end_sync(number));
    }
}

/// Hands a message straight to a replica.
pub(super) fn hand(
    cluster: &mut Cluster,
    from: Replica,
    number: u64,
    (to, term): (Incarnation, Term),
    body: RaftBody,
) -> Result<(), Box<dyn Error>> {
    let now = cluster.host(number).clock(cluster.now);
    let process = cluster.host_mut(number).process.as_mut().ok_or("it is off")?;
    let member = process.members.get_mut(&GROUP).ok_or("it knows nothing of the group")?;
    member.group.step(now, from, RaftMessage { group: GROUP, to, term, body });
    cluster.turn(number);
    Ok(())
}

/// Lets all timers of a machine run out that are due.
fn ring(cluster: &mut Cluster, number: u64) {
    let now = cluster.host(number).clock(cluster.now);
    if let Some(process) = &mut cluster.host_mut(number).process {
        process.tick(now);
        cluster.turn(number);
    }
}

/// Time passes until a machine's first timer runs out.
pub(super) fn tick(cluster: &mut Cluster, number: u64) {
    let host = cluster.host(number);
    let deadline = host.process.as_ref().and_then(|process| process.next_deadline());
    if let Some(moment) = deadline.map(|deadline| host.moment(deadline)) {
        cluster.now = cluster.now.max(moment);
        ring(cluster, number);
    }
}

/// Time passes until a machine has waited in vain for a leader.
pub(super) fn timeout(cluster: &mut Cluster, number: u64) {
    let deadline = cluster.view(number, GROUP).and_then(|view| view.deadline);
    if let Some(moment) = deadline.map(|deadline| cluster.host(number).moment(deadline)) {
        cluster.now = cluster.now.max(moment);
        ring(cluster, number);
    }
}

/// Switches a machine on.
pub(super) fn start(cluster: &mut Cluster, number: u64) {
    cluster.start(number);
    saves_at_once(cluster, number);
}

/// The state machine saves itself after each entry.
pub(super) fn saves_at_once(cluster: &mut Cluster, number: u64) {
    if let Some(process) = &mut cluster.host_mut(number).process {
        process.save_every = 1;
    }
}

/// Lets a machine compact all it can, for once.
pub(super) fn compact(cluster: &mut Cluster, number: u64) {
    let limits = cluster.config.limits;
    for limits in [Limits { log_bytes_max: 1, trailing_entries: 0, ..limits }, limits] {
        if let Some(process) = &mut cluster.host_mut(number).process
            && let Some(member) = process.members.get_mut(&GROUP)
        {
            member.group.set_limits(limits);
            cluster.turn(number);
        }
    }
}

/// Cuts one way, with all that is on it.
pub(super) fn cut(cluster: &mut Cluster, from: u64, to: u64) {
    cluster.network.cut(from, to);
    cluster.network.take(|flying| (flying.from.node.0, flying.to.node.0) == (from, to));
}
