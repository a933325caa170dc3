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

/// A client's question is lost where a paused node has its share of this to hear already.
const WAITING_MAX: usize = 100_000;

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
        let most = WAITING_MAX / self.hosts.len().max(1);
        let host = due.node().and_then(|node| self.hosts.get_mut(usize::from(node)));
        let Some(host) = host.filter(|host| host.paused) else { return Some(due) };
        match due {
            // A deadline that has passed is found when the node goes on.
            Due::Timer { .. } => host.timer = None,
            // Who is not heard gives up.
            Due::Client { .. } if host.waiting.len() >= most => {}
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
        let flight = self.network.find(self.now(), message);
        let Ok(to) = flight.map(|flight| flight.to) else { return };
        if let Some(at) = self.network.delay(message, by) {
            self.queue.enter(at, Due::Arrival { to, number: message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Setting;
    use crate::sim::{Action, SimConfig, Workload};

    #[test]
    fn a_paused_node_lets_only_so_many_clients_wait() {
        let workload = Workload { clients: 1_000, per_second: 10_000, ..Workload::default() };
        // They soon give up, and ask again.
        let settings = [(Setting::RequestTimeoutMs, 100)].into();
        let config = SimConfig { nodes: 5, workload, settings, ..SimConfig::default() };
        let mut world = World::new(config).unwrap();
        world.run_until(Mono(2_000_000), u64::MAX);
        for node in 0..5 {
            world.act(Action::Pause { node }).unwrap();
        }
        world.run_until(Mono(20_000_000), u64::MAX);
        let waiting = world.hosts.iter().map(|host| host.waiting.len());
        assert_eq!(waiting.collect::<Vec<_>>(), [WAITING_MAX / 5; 5]);
        for node in 0..5 {
            world.act(Action::Resume { node }).unwrap();
        }
        world.run_until(Mono(23_000_000), u64::MAX);
        let mut last = world.operations().filter(|record| record.called > Mono(22_500_000));
        assert!(last.any(|record| matches!(record.outcome, Some((_, Ok(_))))), "they go on");
    }
}
