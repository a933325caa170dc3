//! Pitfalls that can be planted in the consensus machine are found twice: by the fuzz, within a budget of
//! seeds, and by a scenario script that plays otherwise. That neither finds anything where none is planted
//! is a test of `raft`.
//!
//! What is planted is planted in the whole process, so all of it is one test.

#[path = "raft/harness/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod harness;
#[path = "raft/scripts/mod.rs"]
mod scripts;

use harness::fuzz::attack;
use kv_core::bugs::{Bug, plant};

/// A bug has to be found within so many seeds.
const BUDGET: u64 = 300;

/// So rare that no budget of a test finds them, only a script does. `BUG=…` and `BUDGET=…` search for one.
const RARE: [Bug; 6] = [
    Bug::QuestionsRestart,
    Bug::LateAnswerConfirmsRead,
    Bug::OldConfirmationCounts,
    Bug::StateOverCommitted,
    Bug::LongerLogIsNewer,
    Bug::LeaverNeverStands,
];

/// Or as many as the environment says.
fn budget() -> u64 {
    std::env::var("BUDGET").map_or(BUDGET, |text| text.parse().expect("a number"))
}

/// The first seed to which there is an objection.
fn search(forgets_incarnations: bool) -> Option<(u64, String)> {
    let mut attacks = (0..budget()).map(|seed| (seed, attack(seed, forgets_incarnations)));
    attacks.find_map(|(seed, report)| Some((seed, report.objection?)))
}

#[test]
fn planted_bugs_are_found() {
    let (mut missed, mut unnoticed) = (Vec::new(), Vec::new());
    let chosen = std::env::var("BUG").ok();
    let is_chosen = |bug: &Bug| chosen.as_ref().is_none_or(|name| format!("{bug:?}") == *name);
    for bug in Bug::RAFT.into_iter().filter(is_chosen) {
        plant(Some(bug));
        let faults = scripts::play_all(false);
        match faults.first().and_then(|fault| fault.lines().next()) {
            Some(first) => println!("{bug:?}: {} scripts: {first}", faults.len()),
            None => unnoticed.push(bug),
        }
        if chosen.is_none() && RARE.contains(&bug) {
            continue;
        }
        match search(false) {
            Some((seed, objection)) => {
                let first = objection.lines().next().unwrap_or_default();
                println!("{bug:?}: seed {seed}: {}", first.get(..150).unwrap_or(first));
            }
            None => missed.push(bug),
        }
    }
    plant(None);
    let wiped = search(true);
    println!("a wiped disk that returns as it was: {wiped:?}");
    assert!(wiped.is_some(), "a wiped disk may return as the replica it was");
    assert!(unnoticed.is_empty(), "no script notices {unnoticed:?}");
    assert!(missed.is_empty(), "not found in {} seeds: {missed:?}", budget());
}
