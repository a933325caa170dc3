//! Parity in the browser: runs under attack, and lives of stores, reach the hashes that native ones are
//! on record with.
//!
//! The record is written and explained by the test of the same name in the `tests` crate.

#![cfg(target_arch = "wasm32")]

#[path = "../../tests/tests/parity/storage.rs"]
mod storage;

use kv_core::sim::nemesis;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const RECORD: &str = include_str!("../../tests/parity.txt");

#[wasm_bindgen_test]
fn runs_in_a_browser_reach_the_hashes_of_native_runs() {
    let mut compared = 0;
    for line in RECORD.lines().filter(|line| !line.starts_with("storage")) {
        let seed = line.split(' ').next().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.expect("each line begins with a seed");
        let world = nemesis::run(seed, nemesis::STRIKES).expect("the nemesis chooses a valid run");
        let reached = format!("{seed} {:016x} {}", world.hash(), world.steps());
        assert_eq!(reached, line, "this platform goes another way");
        compared += 1;
    }
    assert_eq!(compared, 200, "the record holds every run");
}

#[wasm_bindgen_test]
fn stores_in_a_browser_leave_the_bytes_of_native_ones() {
    let record = RECORD.lines().filter(|line| line.starts_with("storage"));
    let mut seeds = 0..storage::SEEDS;
    for line in record {
        let seed = seeds.next().expect("the record holds no more lives");
        assert_eq!(storage::line(seed), line, "this platform stores other bytes");
    }
    assert_eq!(seeds.next(), None, "the record holds every life");
}
