//! Clusters under attack: many seeded runs, and what must be true of each of them.
//!
//! A failure names its seed; that and the commit are a full report. `kv sim --seeds SEED --shrink` makes
//! it small.

use kv_core::check::Demand;
use kv_core::settings::Setting;
use kv_core::sim::fault::{Fault, Faults};
use kv_core::sim::shrink::Shrinking;
use kv_core::sim::trial::{self, Plan, Terms};

#[test]
fn no_judge_objects_under_any_fault() {
    each(seeds(200), &Plan::default());
}

#[test]
fn no_judge_objects_while_partitions_move() {
    each(seeds(100), &Plan { moves: true, ..Plan::default() });
}

/// A search can be narrowed to some kinds of faults, and then these are done more often.
#[test]
fn a_nemesis_uses_only_the_kinds_it_was_given() {
    let faults: Faults = "wipe,drift".parse().unwrap();
    let mut done = 0;
    for seed in 0..20 {
        let report = trial::of_seed(seed, &Plan { faults, ..Plan::default() }).unwrap();
        let kinds: Vec<_> =
            report.schedule.actions.iter().filter_map(|timed| Fault::of(&timed.action)).collect();
        assert!(kinds.iter().all(|kind| matches!(kind, Fault::Wipe | Fault::Drift)), "{kinds:?}");
        assert_eq!(report.objection, None, "seed {seed}");
        done += kinds.len();
    }
    assert!(done > 100, "{done} faults were done");
}

/// Judges the run of each seed, and names all that failed.
fn each(seeds: Vec<u64>, plan: &Plan) {
    let mut failed = Vec::new();
    for seed in seeds {
        let report = trial::of_seed(seed, plan).unwrap();
        assert!(report.run.steps > 100, "seed {seed} did nothing");
        failed.extend(report.objection.map(|objection| format!("seed {seed}: {objection}")));
        failed.extend(report.undecided.map(|words| format!("seed {seed} is undecided: {words}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The first `count`, or as many as the environment says in `SEEDS`, or only the one in `SEED`.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
    };
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SEEDS").unwrap_or(count)).collect(),
    }
}

/// A world keeps only the latest thousand; judges are given all.
#[test]
fn no_operation_is_missed_under_the_heaviest_load() {
    let plan = Plan { strikes: 4, per_second: Some(10_000), ..Plan::default() };
    let operations = (0..6).map(|seed| trial::of_seed(seed, &plan).unwrap().operations);
    assert!(operations.max() > Some(1_000), "there was no load");
}

/// Attacks on a cluster with these quorums, judged by one demand.
fn quorums(read: u64, write: u64, demand: Demand) -> Plan {
    let settings = vec![(Setting::ReadQuorum, read), (Setting::WriteQuorum, write)];
    let terms = Terms { demands: vec![demand], recovers: false };
    Plan { strikes: 20, nodes: Some(5), settings: Some(settings), terms, ..Plan::default() }
}

#[test]
fn weak_quorums_break_what_overlapping_ones_keep_and_few_events_show_it() {
    for demand in [Demand::Latest, Demand::Sessions] {
        let failed = (0..20).find_map(|seed| {
            let report = trial::of_seed(seed, &quorums(1, 1, demand)).unwrap();
            report.objection.is_some().then_some(report)
        });
        let mut shrinking = Shrinking::new(failed.expect("reads may miss writes")).unwrap();
        while !shrinking.is_done() {
            shrinking.step();
        }
        let best = shrinking.best();
        assert!(best.schedule.actions.len() <= 6, "{:?}", best.schedule.actions);
        assert_eq!(best.run.actions, best.schedule.actions, "nothing is added to what was done");
        for seed in 0..20 {
            let report = trial::of_seed(seed, &quorums(2, 2, demand)).unwrap();
            assert_eq!(report.objection, None, "seed {seed}");
        }
    }
}
