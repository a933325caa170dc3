//! Clusters under attack: many seeded runs, and what must be true of each of them.
//!
//! A failure names its seed; that and the commit are a full report. `kv sim --seeds SEED --shrink` makes
//! it small.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kv_core::check::Demand;
use kv_core::settings::Setting;
use kv_core::sim::fault::{Fault, Faults};
use kv_core::sim::shrink::Shrinking;
use kv_core::sim::tally::Kind;
use kv_core::sim::trial::{self, Plan, Terms};

#[test]
fn no_judge_objects_under_any_fault() {
    let seeds = seeds(200);
    let many = seeds.len() >= LEAST;
    let done = each("any fault", seeds, &Plan::default());
    let missing: Vec<_> = done.iter().filter(|(_, times)| **times == 0).collect();
    assert!(missing.is_empty() || !many, "never done: {missing:?}");
}

#[test]
fn no_judge_objects_while_partitions_move() {
    each("moving partitions", seeds(100), &Plan { moves: true, ..Plan::default() });
}

/// What shows only where little else goes wrong.
#[test]
fn no_judge_objects_under_any_kind_of_fault_alone() {
    for fault in Fault::ALL {
        let plan = Plan { faults: Faults::from_iter([fault]), ..Plan::default() };
        each(fault.name(), seeds(80).into_iter().step_by(8).collect(), &plan);
    }
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

/// Judges the run of each seed, and names all that failed. Returns how often each kind of fault was done.
///
/// On a machine that is so slow that the last seeds would be begun later than [`BOX`] they are left out, and
/// how many were tried is said. Of fewer than [`LEAST`] the test fails.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "how many seeds there is time for is a matter of the machine, and said"
)]
fn each(what: &str, seeds: Vec<u64>, plan: &Plan) -> BTreeMap<Kind, u64> {
    let (began, all) = (Instant::now(), seeds.len());
    let (mut failed, mut done, mut tried) = (Vec::new(), BTreeMap::new(), 0);
    for seed in seeds.into_iter().take_while(|_| began.elapsed() < BOX) {
        let report = trial::of_seed(seed, plan).unwrap();
        assert!(report.run.steps > 100, "seed {seed} did nothing");
        failed.extend(report.objection.map(|objection| format!("seed {seed}: {objection}")));
        failed.extend(report.undecided.map(|words| format!("seed {seed} is undecided: {words}")));
        for (kind, times) in report.faults {
            *done.entry(kind).or_default() += times;
        }
        tried += 1;
    }
    println!("{what}: {tried} of {all} seeds in {:.1?}", began.elapsed());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(tried >= all.min(LEAST), "{tried} of {all} seeds in {BOX:?} are too few");
    done
}

/// Ten times what 500 seeds take on two slow cores.
const BOX: Duration = Duration::from_secs(900);
/// The fewest seeds of many that say something.
const LEAST: usize = 100;

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

/// The log of a run has an end, and what is broken must be mended before.
#[test]
fn however_often_something_is_broken_there_is_room_to_mend_it() {
    let plan = Plan { strikes: 10_000, nodes: Some(3), per_second: Some(1), ..Plan::default() };
    let report = trial::of_seed(2, &plan).unwrap();
    assert_eq!(report.objection, None);
    assert!(report.schedule.actions.len() > 5_000, "it was not broken often");
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
