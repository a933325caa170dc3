//! Simulated clusters, to be timed from outside: the same code natively and in WebAssembly.

use kv_core::sim::{SimConfig, Workload, World};
use kv_core::time::{Micros, Mono};

/// How long a cluster has to come to be before it is timed, in simulated time.
const BEGINNING: Micros = Micros::from_millis(5_000);

/// A cluster that is whole and under load.
pub struct Cluster(World);

impl Cluster {
    /// So many nodes; their clients begin so many operations a second.
    #[must_use]
    pub fn new(nodes: u16, per_second: u32) -> Option<Self> {
        let workload = Workload { clients: 16, per_second, keys: 100, ..Workload::default() };
        let mut world = World::new(SimConfig { nodes, workload, ..SimConfig::default() }).ok()?;
        world.run_until(Mono::default() + BEGINNING, u64::MAX);
        Some(Self(world))
    }

    /// Runs on for so many simulated milliseconds, and tells how many events that were.
    pub fn run(&mut self, millis: u64) -> u64 {
        let before = self.0.steps();
        self.0.run_until(self.0.now() + Micros::from_millis(millis), u64::MAX);
        self.0.steps() - before
    }
}
