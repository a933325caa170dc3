//! The order of things: both clusters start and are filled, then rounds, each with every line of the table
//! once, and each line with both systems right after another, the other one first the next time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::client::Connector;
use crate::load::{self, Numbers, Operation};
use crate::measure::syncs_per_second;
use crate::servers::{Cluster, System};
use crate::{Options, Plan};

/// How long a cluster may take until it answers.
const START_WAIT: Duration = Duration::from_secs(30);
/// For how long the device is watched before each half of a round.
const SYNC_TIME: Duration = Duration::from_millis(200);
/// How much the device may have changed between the halves of a pair that counts.
const CHANGE_MAX: f64 = 2.0;

/// A line of the table: what is asked, by how many.
pub(crate) type Line = (Operation, usize);

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Results {
    /// For each line its rounds.
    pub(crate) lines: BTreeMap<Line, Vec<Pair>>,
}

/// A line with both systems, right after another.
pub(crate) struct Pair {
    /// What came of each.
    pub(crate) halves: BTreeMap<System, Numbers>,
    /// How many syncs per second the device did before each half.
    pub(crate) syncs: Vec<f64>,
}

impl Results {
    /// The pairs of a line that count: those during which the device stayed the same. If these are less
    /// than half of all, the device is the noise of everything, and all count.
    pub(crate) fn counted(&self, line: Line) -> Vec<&Pair> {
        let all = self.lines.get(&line).map_or(&[][..], Vec::as_slice);
        let steady: Vec<&Pair> = all.iter().filter(|pair| pair.is_steady()).collect();
        if steady.len() * 2 < all.len() { all.iter().collect() } else { steady }
    }
}

impl Pair {
    pub(crate) fn is_steady(&self) -> bool {
        let (least, most) =
            self.syncs.iter().fold((f64::MAX, 0.0_f64), |(a, b), it| (a.min(*it), b.max(*it)));
        most <= least * CHANGE_MAX
    }
}

/// A cluster and what reaches it.
struct Side {
    system: System,
    cluster: Cluster,
    connector: Connector,
}

/// Measures everything that is planned.
pub(crate) async fn run(plan: &Plan, options: &Options) -> Result<Results> {
    let mut sides = Vec::new();
    for &system in &plan.systems {
        sides.push(start(system, options).await?);
    }
    let mut results = Results::default();
    for round in 0..plan.rounds {
        for &operation in &plan.operations {
            for &count in &plan.clients {
                pair(plan, options, &mut sides, round, (operation, count), &mut results).await?;
            }
        }
        sides.reverse();
    }
    Ok(results)
}

async fn start(system: System, options: &Options) -> Result<Side> {
    let program = if system == System::Kv { &options.kv } else { &options.etcd };
    let mut cluster = Cluster::start(system, program, &options.folder)?;
    let started = Instant::now();
    let connector = loop {
        cluster.check().with_context(|| format!("{} does not start", system.name()))?;
        match reach(system, options, &cluster).await {
            Ok(connector) => break connector,
            Err(error) if started.elapsed() > START_WAIT => {
                return Err(error.context(format!("{} does not answer", system.name())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let begin = Instant::now();
    load::fill(&connector).await?;
    eprintln!("{}: filled in {:.1} s", system.name(), begin.elapsed().as_secs_f64());
    Ok(Side { system, cluster, connector })
}

/// Every node answers a write.
async fn reach(system: System, options: &Options, cluster: &Cluster) -> Result<Connector> {
    let connector = Connector::new(system, options.via, &cluster.addresses).await?;
    for client in &mut connector.clients(cluster.addresses.len()).await? {
        client.put("ready", b"yes").await?;
    }
    Ok(connector)
}

async fn pair(
    plan: &Plan,
    options: &Options,
    sides: &mut [Side],
    round: usize,
    line: Line,
    results: &mut Results,
) -> Result<()> {
    let (operation, count) = line;
    let mut pair = Pair { halves: BTreeMap::new(), syncs: Vec::new() };
    for side in sides.iter_mut() {
        let syncs = syncs_per_second(&options.folder, SYNC_TIME)?;
        let processes = side.cluster.processes();
        let seed = (round * 1_000 + count) as u64;
        let numbers =
            load::run(&side.connector, &processes, operation, count, plan.time, seed).await;
        side.cluster.check()?;
        let numbers = numbers.with_context(|| format!("{} fails", side.system.name()))?;
        eprintln!(
            "round {} {operation:?} x{count:<4} {:<5} {:>8.0}/s  p99 {:>7.2} ms  {:>6.1} us  device {syncs:.0} syncs/s",
            round + 1,
            side.system.name(),
            numbers.per_second,
            numbers.p99,
            numbers.server_processor,
        );
        pair.syncs.push(syncs);
        pair.halves.insert(side.system, numbers);
    }
    results.lines.entry(line).or_default().push(pair);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_with_an_unsteady_device_count_only_if_most_are_so() {
        let pairs = |all: &[[f64; 2]]| {
            let pair = |syncs: &[f64; 2]| Pair { halves: BTreeMap::new(), syncs: syncs.to_vec() };
            let line = (Operation::Put, 1);
            let results = Results { lines: [(line, all.iter().map(pair).collect())].into() };
            results.counted(line).len()
        };
        assert_eq!(pairs(&[[100.0, 190.0], [100.0, 210.0], [300.0, 200.0]]), 2);
        assert_eq!(pairs(&[[100.0, 190.0], [100.0, 210.0], [900.0, 200.0]]), 3);
    }
}
