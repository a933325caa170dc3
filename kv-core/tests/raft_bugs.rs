//! Every pitfall that can be planted in the consensus machine is found by the fuzz, within a budget of
//! seeds, and nothing is where none is planted.
//!
//! What is planted is planted in the whole process, so all of it is one test.

#[path = "raft/harness/mod.rs"]
mod harness;

use harness::fuzz::search;
use kv_core::bugs::{Bug, plant};

/// A bug has to be found within so many seeds.
const BUDGET: u64 = 300;

fn budget() -> u64 {
    std::env::var("BUDGET").map_or(BUDGET, |text| text.parse().expect("a number"))
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    let chosen = std::env::var("BUG").ok();
    let is_chosen = |bug: &Bug| chosen.as_ref().is_none_or(|name| format!("{bug:?}") == *name);
    for bug in Bug::RAFT.into_iter().filter(is_chosen) {
        plant(Some(bug));
        match search(0..budget(), false) {
            Some((seed, objection)) => {
                let first = objection.lines().next().unwrap_or_default();
                println!("{bug:?}: seed {seed}: {}", first.get(..150).unwrap_or(first));
            }
            None => missed.push(bug),
        }
    }
    plant(None);
    let wiped = search(0..budget(), true);
    println!("a wiped disk that returns as it was: {wiped:?}");
    assert!(wiped.is_some(), "a wiped disk may return as the replica it was");
    assert!(missed.is_empty(), "not found in {BUDGET} seeds: {missed:?}");
}
