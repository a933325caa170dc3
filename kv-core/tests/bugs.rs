//! Every bug that can be planted is found by a search, and a search finds nothing where none is.
//!
//! What is planted is planted in the whole process, so all of it is one test. `BUG=…` searches for one only.

mod stage;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use kv_core::bugs::{Bug, plant};
use kv_core::check::Promise;
use kv_core::settings::Setting;
use kv_core::sim::shrink::Shrinking;
use kv_core::sim::trial::{self, Plan, Report, Schedule, Terms};
use kv_core::sim::{Action, ClientOperation, SimConfig, TimedAction, link, script};
use kv_core::time::Mono;
use stage::Stage;

/// Pitfalls of the consensus machine that break a promise of a single message: what leaves a node of a whole
/// cluster shows them too.
const SAID_TOO_EARLY: [Bug; 3] = [Bug::VoteUnsynced, Bug::CandidacyUnsynced, Bug::EntriesUnsynced];

/// A bug has to be found within so many seeds.
const BUDGET: u64 = 300;

/// The first seed that a judge objects to.
fn search(plan: &Plan, seeds: u64) -> Option<(u64, Report)> {
    (0..seeds).find_map(|seed| {
        let report = trial::of_seed(seed, plan).expect("the nemesis makes sound clusters");
        report.objection.is_some().then_some((seed, report))
    })
}

fn trial_of(schedule: &Schedule) -> Report {
    trial::of_schedule(schedule, &Terms::default()).expect("it can be tried")
}

/// The leader of the shard is cut off with two writes in its log, whose places are taken by the first
/// entry of the next leader and by another client's write. Then it hears of them.
fn taken_place() -> Schedule {
    let settings = vec![
        (Setting::RequestTimeoutMs, 2_000),
        (Setting::ElectionTimeoutMs, 150),
        (Setting::RaftHeartbeatMs, 25),
    ];
    let config = SimConfig { nodes: 3, settings, ..SimConfig::default() };
    let put = |node, key: &str| {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::from_static(b"v"));
        let operation = ClientOperation::Put { key, value }.in_strong();
        Action::Client { client: None, node, operation }
    };
    let actions = [
        (4_000_u64, Action::Partition { groups: vec![0, 1, 1] }),
        (4_001, put(0, "a")),
        (4_002, put(0, "b")),
        (4_700, put(1, "c")),
        (5_000, Action::Heal),
    ];
    let timed = |(millis, action)| TimedAction { at: Mono(millis * 1_000), action };
    let actions = actions.into_iter().map(timed).collect();
    Schedule { config, actions, until: Mono(6_500_000) }
}

/// Writes a run down for `tests/links.rs`.
fn keep(folder: &Path, bug: Bug, report: &Report) {
    let mut text = format!("# {bug:?}: {}\n", report.objection.as_ref().expect("it fails"));
    for timed in &report.schedule.actions {
        text += &format!("# {:>9} µs  {}\n", timed.at.0, timed.action.words());
    }
    text += &format!("{}\n", link::encode(&report.run));
    fs::write(folder.join(format!("{bug:?}.link")), text).expect("the run can be written");
}

/// What was made small fails in the same way as a script of the suite, and its transcript is right.
fn stays(report: &Report) {
    let script = script::of(report).expect("operations on text");
    let mut stage = Stage::default();
    let played = goldenscript::generate(&mut stage, &script).expect("the script can be played");
    assert_eq!(played, script);
    let objection = report.objection.as_ref().expect("it fails").to_string();
    assert!(script.ends_with(&format!("\n{objection}\n")), "{script}");
    let run = stage.world.expect("it began").run();
    let again =
        trial::of_schedule(&Schedule::of(&run), &Terms::default()).expect("it can be tried");
    assert_eq!(again.run.hash, report.run.hash, "{script}");
}

#[test]
fn every_planted_bug_is_found_and_made_small() {
    let plan = Plan::default();
    let faults = "loss,cut,pause".parse().expect("there are such faults");
    let lossy = Plan { faults, per_second: Some(120), ..Plan::default() };
    let moving = Plan { moves: true, ..Plan::default() };
    let mut missed = Vec::new();
    let mut rows = String::from(
        "| bug | first seed | promise broken | actions and operations | made small |\n\
         | --- | ---: | --- | ---: | ---: |\n",
    );
    let chosen = std::env::var("BUG").ok();
    let is_chosen = |bug: &Bug| chosen.as_ref().is_none_or(|name| format!("{bug:?}") == *name);
    let all = Bug::ALL.into_iter().chain(Bug::STRONG).chain(SAID_TOO_EARLY);
    for bug in all.filter(is_chosen) {
        if bug == Bug::PlaceTaken {
            // It takes two writes that wait on a leader that is cut off, which is too seldom by chance.
            plant(None);
            assert_eq!(trial_of(&taken_place()).objection, None);
            plant(Some(bug));
            let schedule = taken_place();
            let objection = trial_of(&schedule).objection.expect("it is found");
            println!("{bug:?}: by a script: {objection}");
            let (promise, actions) = (objection.promise, schedule.actions.len());
            let nodes = schedule.config.nodes;
            rows += &format!(
                "| {bug:?} | a script by hand | {promise} | {actions} | {actions} on {nodes} nodes |\n"
            );
            continue;
        }
        plant(Some(bug));
        // What happens only where answers are lost is found where little else goes wrong.
        let plans = if bug == Bug::HandOffUnsynced { [&moving; 2] } else { [&plan, &lossy] };
        let found = plans.into_iter().find_map(|plan| search(plan, BUDGET));
        let Some((seed, report)) = found else {
            missed.push(bug);
            continue;
        };
        let before = report.schedule.actions.len() as u64 + report.operations;
        let objection = report.objection.clone().expect("it was found");
        println!("{bug:?}: seed {seed}: {objection}");
        let mut shrinking = Shrinking::new(report).expect("it failed");
        while !shrinking.is_done() && shrinking.trials() < 400 {
            shrinking.step();
        }
        let best = shrinking.best();
        let after = best.schedule.actions.len() as u64;
        let smaller = best.objection.as_ref().expect("it still fails");
        println!("    {before} actions and operations became {after}: {smaller}");
        let nodes = best.schedule.config.nodes;
        let promise = objection.promise;
        if SAID_TOO_EARLY.contains(&bug) {
            assert_eq!(promise, Promise::DurableBeforeSaid, "{bug:?}: {objection}");
        }
        rows +=
            &format!("| {bug:?} | {seed} | {promise} | {before} | {after} on {nodes} nodes |\n");
        assert!(after * 2 < before, "{bug:?}: {after} of {before} are left");
        stays(best);
        if let Some(folder) = std::env::var_os("KV_LINKS") {
            keep(Path::new(&folder), bug, best);
        }
    }
    plant(None);
    if let Some(folder) = std::env::var_os("KV_REPORT") {
        let file = Path::new(&folder).join("planted-bugs.md");
        fs::write(file, rows).expect("the report can be written");
    }
    assert!(missed.is_empty(), "not found in {BUDGET} seeds: {missed:?}");
}
