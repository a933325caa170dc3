//! Clusters under attack: many seeds, and no objection to any.
//!
//! A failure names its seed; that and the commit are a full report: `SEED=… cargo test --test raft attacks`.

use std::collections::BTreeMap;

use crate::harness::fuzz::attack;

#[test]
fn nothing_is_lost_whatever_happens() {
    let mut failed = Vec::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let seeds = seeds(150);
    let many = seeds.len() >= 100;
    for seed in seeds {
        let report = attack(seed, false);
        for (name, count) in report.counts {
            *counts.entry(name).or_default() += count;
        }
        if let Some(objection) = report.objection {
            println!("seed {seed}: {}", objection.lines().next().unwrap_or_default());
            failed.push(format!("seed {seed}: {objection}"));
        }
    }
    println!("{counts:?}");
    assert!(failed.is_empty(), "{} failed: {}", failed.len(), failed[0]);
    if many {
        let tried = ["raft_changed", "raft_installed", "raft_stepped_down"];
        for name in ["acknowledged", "served", "wiped"].into_iter().chain(tried) {
            assert!(counts.get(name) > Some(&50), "{name} was hardly tried: {counts:?}");
        }
    }
}

/// The first `count`, or as many as the environment says in `SEEDS`, from the one in `FROM` on, or only
/// the one in `SEED`.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
    };
    match number("SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("FROM").unwrap_or(0);
            (first..first + number("SEEDS").unwrap_or(count)).collect()
        }
    }
}
