//! What becomes of a node's process and machine: it is paused, goes on, loses its disk, or its clocks
//! run wrong.

use alloc::vec::Vec;

use super::clock::Clocks;
use super::config::LinkConfig;
use super::due::Due;
use super::world::World;
use crate::id::{Index, ShardId};
use crate::node::{Node, NodeView};
use crate::time::{Micros, Mono};

impl World {
    /// Whether a node is paused.
    #[must_use]
    pub fn is_paused(&self, index: u16) -> bool {
        self.hosts.get(usize::from(index)).is_some_and(|host| host.paused)
    }

    /// The clocks of a node, running or not.
    #[must_use]
    pub fn clocks(&self, index: u16) -> Option<&Clocks> {
        self.hosts.get(usize::from(index)).map(|host| &host.clocks)
    }

    /// How long each sync of a node takes, and each job's wait for its disk.
    #[must_use]
    pub fn sync_time(&self, index: u16) -> Option<Micros> {
        self.hosts.get(usize::from(index)).map(|host| host.wait)
    }

    /// What a node shows at this moment of its own clock, if it runs.
    #[must_use]
    pub fn view(&self, index: u16) -> Option<NodeView> {
        let host = self.hosts.get(usize::from(index))?;
        Some(host.node()?.view(host.clocks.at(self.now()).mono))
    }

    /// The shards that a node holds: up to which entry each is applied, and a digest of its state.
    #[must_use]
    pub fn shards(&self, index: u16) -> Vec<(ShardId, Index, u64)> {
        let host = self.hosts.get(usize::from(index));
        host.and_then(|host| Some(host.node()?.shards(&host.disk))).unwrap_or_default()
    }

    /// The true time of a node's next deadline, if it has one; it may be past while the node is paused.
    #[must_use]
    pub fn deadline(&self, index: u16) -> Option<Mono> {
        let host = self.hosts.get(usize::from(index))?;
        host.node().and_then(Node::next_deadline).map(|at| host.clocks.truth(at))
    }

    /// The settings that one direction of a link has for itself, if it has any.
    #[must_use]
    pub fn link_config(&self, from: u16, to: u16) -> Option<LinkConfig> {
        self.network.own(from, to)
    }

    pub(super) fn pause(&mut self, node: u16) {
        if let Some(host) = self.hosts.get_mut(usize::from(node)) {
            host.paused = true;
        }
    }

    /// Whatever has waited happens now, in its order.
    pub(super) fn resume(&mut self, node: u16) {
        let Some(host) = self.hosts.get_mut(usize::from(node)) else { return };
        host.paused = false;
        for due in core::mem::take(&mut host.waiting) {
            self.carry_on(due);
        }
        self.wind(node);
        self.connect(node);
    }

    /// What has waited for a paused node never happens, for the node crashes.
    pub(super) fn abandon(&mut self, node: u16) -> Vec<Due> {
        let host = self.hosts.get_mut(usize::from(node));
        let waiting = host.map_or_else(Vec::new, |host| core::mem::take(&mut host.waiting));
        for due in &waiting {
            if let Due::Arrival { number, .. } = due {
                drop(self.network.arrive(*number));
            }
        }
        waiting
    }

    /// Keeps what is due for a node that is paused; gives back what can happen.
    pub(super) fn hold(&mut self, due: Due) -> Option<Due> {
        let host = due.node().and_then(|node| self.hosts.get_mut(usize::from(node)));
        let Some(host) = host.filter(|host| host.paused) else { return Some(due) };
        match due {
            // A deadline that has passed is found when the node goes on.
            Due::Timer { .. } => host.timer = None,
            due => host.waiting.push(due),
        }
        None
    }

    pub(super) fn wipe(&mut self, node: u16) {
        if self.is_up(node) {
            self.crash(node);
        }
        self.mark(&(self.now(), node, "wipe"));
        if let Some(host) = self.hosts.get_mut(usize::from(node)) {
            host.wipe();
        }
    }

    pub(super) fn drift(&mut self, node: u16, ppm: i32) {
        let now = self.now();
        if let Some(host) = self.hosts.get_mut(usize::from(node)) {
            host.clocks.run(now, ppm);
        }
        // The deadline of its clock is another true time now.
        self.wind(node);
    }

    pub(super) fn delay(&mut self, message: u64, by: Micros) {
        self.queue
            .withdraw_all(|due| matches!(due, Due::Arrival { number, .. } if *number == message));
        let flight = self.network.in_flight().find(|flight| flight.number == message);
        let Some(to) = flight.map(|flight| flight.to) else { return };
        if let Some(at) = self.network.delay(message, by) {
            self.queue.enter(at, Due::Arrival { to, number: message });
        }
    }
}
