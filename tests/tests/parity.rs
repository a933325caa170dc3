//! Parity: the same seeds go the same way on every platform.
//!
//! `parity.txt` holds one line for each run under attack: seed, trace hash and number of events; and one
//! for each life of a store ([`storage`]). This test compares it with native runs, that of `kv-wasm`
//! with runs in a browser. A change of the core that changes what nodes do or what is stored changes the
//! file: write it anew with `UPDATE=1`.

#[path = "parity/storage.rs"]
mod storage;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use kv_core::sim::nemesis;

/// How many runs there are.
const SEEDS: u64 = 200;

#[test]
fn native_runs_reach_the_hashes_on_record() {
    let mut lines = String::new();
    for seed in 0..SEEDS {
        let world = nemesis::run(seed, nemesis::STRIKES).expect("the nemesis chooses a valid run");
        writeln!(lines, "{seed} {:016x} {}", world.hash(), world.steps())
            .expect("a string takes it");
    }
    for seed in 0..storage::SEEDS {
        writeln!(lines, "{}", storage::line(seed)).expect("a string takes it");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity.txt");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &lines).expect("the record can be written");
    }
    let record = fs::read_to_string(&path).expect("the record can be read");
    for (expected, reached) in record.lines().zip(lines.lines()) {
        assert_eq!(reached, expected, "if this change is meant, run again with UPDATE=1");
    }
    assert_eq!(record.lines().count() as u64, SEEDS + storage::SEEDS);
}
