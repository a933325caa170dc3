//! Doing things to the world: which actions make sense, and what each of them does.

use alloc::format;

use super::action::Action;
use super::client::Purpose;
use super::clock::Clocks;
use super::config::{ActionRefused, LinkConfig, check_delay, check_wait, refuse};
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
            Action::Crash { node } => self.check_up(*node, "is down already"),
            Action::Restart { node } if self.is_up(*node) => {
                refuse(format!("{} is running; crash it first", self.name(*node)?))
            }
            Action::Pause { node } if self.is_paused(*node) => {
                refuse(format!("{} is suspended already", self.name(*node)?))
            }
            Action::Pause { node } => {
                self.check_up(*node, "is down; only what runs can be suspended")
            }
            Action::Resume { node } if self.name(*node).is_ok() && !self.is_paused(*node) => {
                refuse(format!("{} is not suspended", self.name(*node)?))
            }
            Action::Wipe { node } => self.check_wipe(*node),
            Action::Cut { from, to } | Action::Mend { from, to } => {
                self.check_link(*from, *to, matches!(action, Action::Cut { .. }))
            }
            Action::Partition { groups } => self.check_groups(groups),
            Action::Heal => Ok(()),
            Action::Network(network) => network.check(),
            Action::Link { from, to, own } => self.check_own(*from, *to, *own),
            Action::Lose { message } => self.network.find(self.now(), *message).map(drop),
            Action::Delay { message, by } => {
                self.network.find(self.now(), *message)?;
                check_delay(*by)
            }
            Action::Set { node, changes } => self.check_settings(*node, changes),
            Action::Slow { node, wait } => {
                self.name(*node)?;
                check_wait(*wait)
            }
            Action::Flip { node, file, offset, bit } => {
                self.check_flip(*node, *file, *offset, *bit)
            }
            Action::FailSync { node } => self.check_up(*node, "is down and syncs nothing"),
            Action::Misread { node } => self.check_misread(*node),
            Action::Drift { node, ppm } => self.check_drift(*node, *ppm),
            Action::Jump { node, by } => self.check_jump(*node, *by),
            Action::Workload(workload) => workload.check(),
            Action::Restart { node }
            | Action::Resume { node }
            | Action::Fill { node, .. }
            | Action::Free { node }
            | Action::Client { node, .. } => self.name(*node).map(drop),
        }
    }

    fn check_up(&self, node: u16, but: &str) -> Result<(), ActionRefused> {
        let name = self.name(node)?;
        if self.is_up(node) { Ok(()) } else { refuse(format!("{name} {but}")) }
    }

    fn check_wipe(&self, node: u16) -> Result<(), ActionRefused> {
        let name = self.name(node)?;
        match self.disk(node).map(Disk::list) {
            Some(Ok(files)) if files.is_empty() => {
                refuse(format!("{name} has nothing on its disk"))
            }
            _ => Ok(()),
        }
    }

    fn check_groups(&self, groups: &[u8]) -> Result<(), ActionRefused> {
        if groups.len() == usize::from(self.nodes()) {
            return Ok(());
        }
        refuse(format!(
            "a partition names one group for each of the {} nodes, not for {}",
            self.nodes(),
            groups.len()
        ))
    }

    fn check_misread(&self, node: u16) -> Result<(), ActionRefused> {
        let name = self.name(node)?;
        if self.disk(node).is_some_and(SimDisk::has_tables) {
            return Ok(());
        }
        refuse(format!("{name} has no tables yet; let more be written first"))
    }

    fn check_drift(&self, node: u16, ppm: i32) -> Result<(), ActionRefused> {
        self.name(node)?;
        let most = Clocks::DRIFT_MAX;
        if (-most..=most).contains(&ppm) {
            return Ok(());
        }
        refuse(format!("a clock drifts by at most {most} parts per million"))
    }

    fn check_jump(&self, node: u16, by: i64) -> Result<(), ActionRefused> {
        let name = self.name(node)?;
        let ahead = self.clocks(node).map_or(0, Clocks::ahead);
        let most = Clocks::AHEAD_MAX;
        if (-most..=most).contains(&ahead.saturating_add(by)) {
            return Ok(());
        }
        refuse(format!("the civil time of {name} is at most a day off"))
    }

    fn check_own(&self, from: u16, to: u16, own: Option<LinkConfig>) -> Result<(), ActionRefused> {
        let (source, target) = (self.name(from)?, self.name(to)?);
        if from == to {
            return refuse(format!("{source} has no link to itself"));
        }
        match own {
            Some(own) => own.check(),
            None if self.link_config(from, to).is_none() => refuse(format!(
                "the link from {source} to {target} has no settings of its own already"
            )),
            None => Ok(()),
        }
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
            Action::Pause { node } => self.pause(node),
            Action::Resume { node } => self.resume(node),
            Action::Wipe { node } => self.wipe(node),
            Action::Cut { from, to } => self.network.cut(self.now(), from, to),
            Action::Mend { from, to } => {
                self.network.mend(from, to);
                self.connect(from);
            }
            Action::Partition { groups } => {
                self.network.partition(self.now(), groups);
                self.connect_all();
            }
            Action::Heal => {
                if self.network.heal() {
                    self.connect_all();
                }
            }
            Action::Network(network) => self.network.config = network,
            Action::Link { from, to, own } => self.network.set_own(from, to, own),
            Action::Lose { message } => self.network.lose(message),
            Action::Delay { message, by } => self.delay(message, by),
            Action::Set { node, changes } => {
                self.ask(node, Purpose::Settings, Request::Set { changes });
            }
            Action::Fill { node, free } => {
                self.change_disk(node, |disk| disk.limit(Some(disk.used().saturating_add(free))));
            }
            Action::Free { node } => self.change_disk(node, SimDisk::mend),
            Action::Slow { node, wait } => {
                if let Some(host) = self.hosts.get_mut(usize::from(node)) {
                    host.wait = wait;
                }
            }
            Action::Flip { node, file, offset, bit } => self.change_disk(node, |disk| {
                // It reaches so far, or the action would make no sense.
                drop(disk.flip(file, offset, bit));
            }),
            Action::FailSync { node } => self.change_disk(node, SimDisk::fail_next_sync),
            Action::Misread { node } => self.change_disk(node, |disk| disk.misread_next_table()),
            Action::Drift { node, ppm } => self.drift(node, ppm),
            Action::Jump { node, by } => {
                if let Some(host) = self.hosts.get_mut(usize::from(node)) {
                    host.clocks.jump(by);
                }
            }
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
