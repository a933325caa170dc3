//! Parity in the browser: runs under attack reach the hashes that native runs are on record with.
//!
//! The record is written and explained by the test of the same name in the `tests` crate.

#![cfg(target_arch = "wasm32")]

use kv_core::sim::nemesis;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const RECORD: &str = include_str!("../../tests/parity.txt");

#[wasm_bindgen_test]
fn runs_in_a_browser_reach_the_hashes_of_native_runs() {
    let mut compared = 0;
    for line in RECORD.lines() {
        let seed = line.split(' ').next().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.expect("each line begins with a seed");
        let world = nemesis::run(seed, nemesis::STRIKES).expect("the nemesis chooses a valid run");
        let reached = format!("{seed} {:016x} {}", world.hash(), world.steps());
        assert_eq!(reached, line, "this platform goes another way");
        compared += 1;
    }
    assert_eq!(compared, 200, "the record holds every run");
}
