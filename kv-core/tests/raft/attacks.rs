//! Clusters under attack: many seeds, and no objection to any.
//!
//! A failure names its seed; that and the commit are a full report: `SEED=… cargo test --test raft attacks`.
//! What happened in all attacks is written to the file in `KV_RAFT_REPORT`, if that is set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::{env, fs, thread};

use crate::harness::fuzz::{Report, attack};

#[test]
fn nothing_is_lost_whatever_happens() {
    let seeds = seeds(150);
    let (count, many) = (seeds.len(), seeds.len() >= 100);
    let mut failed = Vec::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (seed, report) in attack_all(seeds) {
        for (name, count) in report.counts {
            *counts.entry(name).or_default() += count;
        }
        if let Some(objection) = &report.objection {
            println!("seed {seed}: {}", objection.lines().next().unwrap_or_default());
        }
        failed.extend(report.objection.map(|objection| format!("seed {seed}: {objection}")));
    }
    println!("{counts:?}");
    if let Some(path) = env::var_os("KV_RAFT_REPORT") {
        fs::write(path, table(count, &counts, &failed)).expect("a report can be written");
    }
    assert!(failed.is_empty(), "{} failed: {}", failed.len(), failed[0]);
    if many {
        for name in [
            "acknowledged",
            "served",
            "raft_changed",
            "raft_installed",
            "raft_stepped_down",
            "wiped",
            "leader cut off",
            "leader failed in a change",
            "lost replica replaced",
            "damaged disk refused",
        ] {
            assert!(counts.get(name) > Some(&50), "{name} was hardly tried: {counts:?}");
        }
        for name in [
            "flipped bit in a log",
            "flipped bit in a table",
            "unreadable sector",
            "misdirected read",
            "torn write",
            "returned with an empty disk",
        ] {
            assert!(counts.get(name) > Some(&5), "{name} was hardly tried: {counts:?}");
        }
    }
}

/// Attacks the clusters of all seeds, on all cores; in the order of the seeds.
fn attack_all(seeds: Vec<u64>) -> BTreeMap<u64, Report> {
    let (left, reports) = (Mutex::new(seeds), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let Some(seed) = left.lock().unwrap().pop() else { return };
            let report = attack(seed, None, false);
            reports.lock().unwrap().insert(seed, report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    reports.into_inner().unwrap()
}

/// What happened, as Markdown.
fn table(count: usize, counts: &BTreeMap<&str, u64>, failed: &[String]) -> String {
    let mut text = format!("{count} runs.\n\n| what | times |\n| --- | ---: |\n");
    for (name, count) in counts {
        writeln!(text, "| {} | {count} |", name.trim_start_matches("raft_").replace('_', " "))
            .expect("a string grows");
    }
    let firsts = failed.iter().map(|failure| failure.lines().next().unwrap_or_default());
    match failed {
        [] => text + "\nVerdict: no objection to any run.\n",
        _ => text + "\nObjections:\n\n- " + &firsts.collect::<Vec<_>>().join("\n- ") + "\n",
    }
}

/// Seeds to which there was an objection once. These two were wrong: what proves durability was not durable
/// itself, and a state that could not be read was not handed on.
const ONCE_FAILED: [u64; 2] = [760, 1_740];

/// The first `count`, or as many as the environment says in `SEEDS`, from the one in `FROM` on, and those
/// that once failed; or only the one in `SEED`.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| {
        let text = env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
    };
    match number("SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("FROM").unwrap_or(0);
            let seeds = first..first + number("SEEDS").unwrap_or(count);
            let others = ONCE_FAILED.into_iter().filter(|seed| !seeds.contains(seed));
            seeds.clone().chain(others).collect()
        }
    }
}
