//! A seeded opponent that breaks a cluster in every way the simulator knows, and mends it again.
//!
//! It does only what a person could do on the page: it acts on a [`World`]. Its faults have no upper
//! bound except that each ends at some time; a cluster may well lose every node at once. [`run`] is a
//! whole run under attack, the same on every platform for a seed.

use alloc::vec::Vec;

use super::action::Action;
use super::config::{Chance, NetworkConfig, SimConfig, Workload};
use super::world::World;
use crate::rng::{Ratio, Rng};
use crate::settings::Setting;
use crate::time::{Micros, Mono};

/// The opponent.
#[derive(Clone, Debug)]
pub struct Nemesis {
    rng: Rng,
    /// The most replicas it sets; from [`Setting::Replicas`]' default on.
    replicas_max: u64,
    /// Whether clients say how many replicas to ask, so that it may set the quorums to anything.
    clients_choose: bool,
}

impl Nemesis {
    /// The opponent of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Chance::Nemesis.generator(seed);
        let clients_choose = rng.below(3) == 0;
        Self { rng, replicas_max: REPLICAS, clients_choose }
    }

    /// One that also changes the number of replicas, from 3 to this, and so moves partitions.
    #[must_use]
    pub fn moving_partitions(seed: u64, replicas_max: u64) -> Self {
        Self { replicas_max: replicas_max.max(REPLICAS), ..Self::new(seed) }
    }

    /// How a cluster that it attacks begins: from 1 to 7 nodes and a few clients.
    pub fn config(&mut self, seed: u64) -> SimConfig {
        let nodes = [1, 2, 3, 3, 4, 5, 5, 6, 7][self.rng.below(9) as usize];
        SimConfig {
            seed,
            nodes,
            partitions: 8 << self.rng.below(3),
            network: self.network(),
            sync: Micros(self.rng.between(0, 20_000)),
            settings: alloc::vec![
                (Setting::RequestTimeoutMs, 500),
                (Setting::ReadQuorum, self.majority()),
                (Setting::WriteQuorum, self.majority()),
            ],
            workload: Workload {
                clients: self.rng.between(1, 20) as u16,
                per_second: 80,
                keys: self.rng.between(1, 12) as u32,
                writes: Ratio::per_mille(600),
                quorum: if self.clients_choose { self.majority() as u32 } else { 0 },
            },
        }
    }

    /// Lets some time pass, then breaks or mends something. An action that makes no sense at that
    /// moment is refused by the world and simply not done.
    pub fn strike(&mut self, world: &mut World) {
        let pause = self.rng.between(1, 300_000);
        world.run_until(world.now() + Micros(pause), u64::MAX);
        let nodes = u64::from(world.nodes());
        let node = self.rng.below(nodes) as u16;
        let other = self.rng.below(nodes) as u16;
        let everyone = || 0..world.nodes();
        let actions: Vec<Action> = match self.rng.below(24) {
            0..=2 => alloc::vec![Action::Crash { node }],
            3 | 4 => everyone().map(|node| Action::Crash { node }).collect(),
            5..=7 => alloc::vec![Action::Restart { node }],
            8 | 9 => everyone().map(|node| Action::Restart { node }).collect(),
            10 | 11 => alloc::vec![Action::Cut { from: node, to: other }],
            12 | 13 => alloc::vec![Action::Mend { from: node, to: other }],
            14 => alloc::vec![Action::Partition { groups: self.groups(nodes) }],
            15..=17 => alloc::vec![Action::Heal],
            18 => alloc::vec![Action::Network(self.network())],
            19 => alloc::vec![Action::Fill { node, free: self.rng.below(4_000) }],
            20 | 21 => everyone().map(|node| Action::Free { node }).collect(),
            22 => alloc::vec![Action::Slow { node, wait: Micros(self.rng.between(0, 200_000)) }],
            _ => alloc::vec![Action::Set { node, changes: self.settings() }],
        };
        for action in actions {
            // Refused where it makes no sense now; that changes nothing.
            drop(world.act(action));
        }
    }

    /// Ends every fault and every load: all nodes run, and all messages arrive.
    pub fn relent(world: &mut World) {
        let network = NetworkConfig { loss: Ratio::ZERO, ..NetworkConfig::default() };
        let workload = Workload { per_second: 0, ..world.workload() };
        let calm = [Action::Heal, Action::Network(network), Action::Workload(workload)];
        let wait = world.config().sync;
        let disks = (0..world.nodes())
            .flat_map(|node| [Action::Free { node }, Action::Slow { node, wait }]);
        let restarts = (0..world.nodes()).map(|node| Action::Restart { node });
        for action in calm.into_iter().chain(disks).chain(restarts) {
            // A node that runs already refuses its restart.
            drop(world.act(action));
        }
    }

    fn network(&mut self) -> NetworkConfig {
        let latency_min = Micros(self.rng.between(0, 5_000));
        let latency_max = Micros(latency_min.0 + self.rng.between(0, 30_000));
        let loss = Ratio::per_mille([0, 0, 10, 100, 300][self.rng.below(5) as usize]);
        NetworkConfig { latency_min, latency_max, loss }
    }

    fn groups(&mut self, nodes: u64) -> Vec<u8> {
        (0..nodes).map(|_| self.rng.below(2) as u8).collect()
    }

    /// Only settings with which reads see what was written before: R + W > N; or any, if clients do not
    /// go by them.
    fn settings(&mut self) -> Vec<(Setting, u64)> {
        let least = if self.clients_choose { 1 } else { self.majority() };
        let kinds = if self.replicas_max > REPLICAS { 8 } else { 5 };
        match self.rng.below(kinds) {
            0 => alloc::vec![(Setting::GossipIntervalMs, self.rng.between(50, 400))],
            1 => alloc::vec![(Setting::ClockThreshold, self.rng.between(8, 16))],
            2 => alloc::vec![(Setting::ReadQuorum, least), (Setting::WriteQuorum, least)],
            3 => alloc::vec![(Setting::ReadQuorum, REPLICAS)],
            4 => alloc::vec![(Setting::WriteQuorum, REPLICAS)],
            _ => alloc::vec![(Setting::Replicas, self.rng.between(REPLICAS, self.replicas_max))],
        }
    }

    /// A quorum that meets every other one of as many replicas as there may be.
    fn majority(&self) -> u64 {
        self.replicas_max / 2 + 1
    }
}

/// The fewest replicas it sets.
const REPLICAS: u64 = 3;

/// How many strikes make a run of a few thousand events.
pub const STRIKES: u32 = 40;

/// The run of this seed: so many strikes, then calm, then a second of peace.
#[must_use]
pub fn run(seed: u64, strikes: u32) -> Option<World> {
    let mut nemesis = Nemesis::new(seed);
    let mut world = World::new(nemesis.config(seed)).ok()?;
    for _ in 0..strikes {
        nemesis.strike(&mut world);
    }
    Nemesis::relent(&mut world);
    let end = Mono(world.now().0 + 1_000_000);
    world.run_until(end, u64::MAX);
    Some(world)
}
