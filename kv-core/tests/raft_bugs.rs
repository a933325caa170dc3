//! Pitfalls that can be planted in the consensus machine are found by the fuzz, within a budget of seeds.
//! That it finds nothing where none is planted is a test of `raft`.
//!
//! What is planted is planted in the whole process, so all of it is one test.

#[path = "raft/harness/mod.rs"]
#[allow(dead_code, reason = "scripts use more of it")]
mod harness;

use harness::fuzz::attack;
use kv_core::bugs::{Bug, plant};

/// A bug has to be found within so many seeds.
const BUDGET: u64 = 300;

/// So rare that no budget of a test finds them; `BUG=…` and `BUDGET=…` search for one of them. The scripts
/// in `raft/reads.rs` have the first.
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
    let mut missed = Vec::new();
    let chosen = std::env::var("BUG").ok();
    let is_chosen = |bug: &Bug| match &chosen {
        Some(name) => format!("{bug:?}") == *name,
        None => !RARE.contains(bug),
    };
    for bug in Bug::RAFT.into_iter().filter(is_chosen) {
        plant(Some(bug));
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
    assert!(missed.is_empty(), "not found in {} seeds: {missed:?}", budget());
}
