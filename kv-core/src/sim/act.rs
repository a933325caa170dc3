//! Doing things to the world: which actions make sense, and what each of them does.

use alloc::format;

use super::action::Action;
use super::client::Purpose;
use super::config::{ActionRefused, check_wait, refuse};
use super::disk::SimDisk;
use super::world::World;
use crate::disk::Disk;
use crate::id::FileId;
use crate::request::Request;
use crate::settings::Setting;

/// The most actions of a run.
pub const ACTIONS_MAX: u64 = 10_000;

impl World {
    /// Whether an action makes sense now; else words that say why not.
    pub(super) fn check_action(&self, action: &Action) -> Result<(), ActionRefused> {
        if self.actions.len() as u64 >= ACTIONS_MAX {
            return refuse(format!("a run has at most {ACTIONS_MAX} actions; begin a new one"));
        }
        match action {
            Action::Crash { node } => {
                let name = self.name(*node)?;
                if !self.is_up(*node) {
                    return refuse(format!("{name} is down already"));
                }
            }
            Action::Restart { node } => {
                let name = self.name(*node)?;
                if self.is_up(*node) {
                    return refuse(format!("{name} is running; crash it first"));
                }
            }
            Action::Cut { from, to } | Action::Mend { from, to } => {
                return self.check_link(*from, *to, matches!(action, Action::Cut { .. }));
            }
            Action::Partition { groups } => {
                if groups.len() != usize::from(self.nodes()) {
                    return refuse(format!(
                        "a partition names one group for each of the {} nodes, not for {}",
                        self.nodes(),
                        groups.len()
                    ));
                }
            }
            Action::Heal => {}
            Action::Network(network) => network.check()?,
            Action::Set { node, changes } => return self.check_settings(*node, changes),
            Action::Slow { node, wait } => {
                self.name(*node)?;
                check_wait(*wait)?;
            }
            Action::Flip { node, file, offset, bit } => {
                return self.check_flip(*node, *file, *offset, *bit);
            }
            Action::Workload(workload) => workload.check()?,
            Action::Fill { node, .. } | Action::Free { node } | Action::Client { node, .. } => {
                self.name(*node)?;
            }
        }
        Ok(())
    }

    fn name(&self, node: u16) -> Result<&str, ActionRefused> {
        match self.hosts.get(usize::from(node)) {
            Some(host) => Ok(host.name()),
            None => refuse(format!(
                "there is no node number {node}; they are counted from 0 to {}",
                self.nodes() - 1
            )),
        }
    }

    fn check_link(&self, from: u16, to: u16, cuts: bool) -> Result<(), ActionRefused> {
        let (source, target) = (self.name(from)?, self.name(to)?);
        if from == to {
            return refuse(format!("{source} has no link to itself"));
        }
        match (cuts, self.is_cut(from, to), self.network.is_parted(from, to)) {
            (true, true, _) => refuse(format!("{source} cannot reach {target} already")),
            (false, false, _) => refuse(format!("{source} reaches {target} already")),
            (false, true, true) => {
                refuse(format!("{source} and {target} are partitioned; heal the network instead"))
            }
            (true, false, _) | (false, true, false) => Ok(()),
        }
    }

    fn check_settings(&self, node: u16, changes: &[(Setting, u64)]) -> Result<(), ActionRefused> {
        let name = self.name(node)?;
        match self.node(node) {
            None => refuse(format!("{name} is down; change settings on a node that runs")),
            Some(node) => node.settings().with(changes).map(drop).map_err(ActionRefused),
        }
    }

    fn check_flip(
        &self,
        node: u16,
        file: FileId,
        offset: u64,
        bit: u8,
    ) -> Result<(), ActionRefused> {
        let name = self.name(node)?;
        match self.disk(node).map(|disk| disk.len(file)) {
            Some(Ok(length)) if offset < length && bit < 8 => Ok(()),
            Some(Ok(length)) => refuse(format!(
                "{file} of {name} has {length} bytes of 8 bits, counted from 0, and no bit {bit} of byte {offset}"
            )),
            Some(Err(_)) | None => refuse(format!("{name} has no such file: {file}")),
        }
    }

    /// Does an action that makes sense.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Crash { node } => self.crash(node),
            Action::Restart { node } => self.start(node),
            Action::Cut { from, to } => self.network.cut(from, to),
            Action::Mend { from, to } => {
                self.network.mend(from, to);
                self.connect(from);
            }
            Action::Partition { groups } => {
                self.network.partition(groups);
                self.connect_all();
            }
            Action::Heal => {
                self.network.heal();
                self.connect_all();
            }
            Action::Network(network) => self.network.config = network,
            Action::Set { node, changes } => {
                self.ask(node, Purpose::Settings, Request::Set { changes });
            }
            Action::Fill { node, free } => {
                self.change_disk(node, |disk| disk.limit(Some(disk.used().saturating_add(free))));
            }
            Action::Free { node } => self.change_disk(node, |disk| disk.limit(None)),
            Action::Slow { node, wait } => {
                if let Some(host) = self.hosts.get_mut(usize::from(node)) {
                    host.wait = wait;
                }
            }
            Action::Flip { node, file, offset, bit } => self.change_disk(node, |disk| {
                // It reaches so far, or the action would make no sense.
                drop(disk.flip(file, offset, bit));
            }),
            Action::Workload(workload) => self.generate(workload),
            Action::Client { client, node, operation } => {
                self.operate(client, false, node, operation);
            }
        }
    }

    fn change_disk(&mut self, node: u16, change: impl FnOnce(&mut SimDisk)) {
        if let Some(host) = self.hosts.get_mut(usize::from(node)) {
            change(&mut host.disk);
        }
    }

    fn connect_all(&mut self) {
        for node in 0..self.nodes() {
            self.connect(node);
        }
    }
}
