//! Scenario scripts: what a cluster does, as transcripts that can be read and are checked.
//!
//! Each file below `scripts/` is one scenario on a simulated cluster: commands, then what came of them.
//! `UPDATE=1` writes the transcripts anew; every line that changes wants an explanation.
//!
//! | command | what |
//! | --- | --- |
//! | `cluster nodes=3 [replicas= read_quorum= …]` | a cluster, running until all nodes are members |
//! | `nodes 3` | the same at its very beginning |
//! | `put n1 KEY VALUE`, `get n1 KEY`, `delete n1 KEY` | a client asks n1 and waits; with `[later]` it does not |
//! | `strong_put n1 KEY VALUE`, `strong_get n1 KEY`, `strong_delete n1 KEY` | the same in the strong keyspace |
//! | `answers` | what came of everything that was asked `[later]`, or of everything |
//! | `begin nodes=3 seed=7 …` | a world with any configuration at its very beginning |
//! | `0.250000s: crash n2` | what follows is done at that time, and not waited for |
//! | `run until=1.5s`, `judge` | time passes up to then; what the judges say if all faults ended now |
//! | `crash n1`, `restart n1`, `cut n1 n2`, `mend n1 n2`, `partition n1-n2 n3`, `heal`, `network lose=30/100` | faults, and their end |
//! | `pause n1`, `resume n1`, `wipe n1` | a stopped process, and a lost disk |
//! | `link n1 n2 latency=300ms lose=1/10`, `unlink n1 n2` | one direction of a link is slow and loses messages |
//! | `network twice=1/1 overtake=1/2 late=5/100 times=20` | messages arrive twice, out of order, late |
//! | `drift n1 fast=1000`, `drift n1 slow=1000` (parts per million), `jump n1 ahead=1h`, `jump n1 back=5s` | clocks |
//! | `fill n1 free=100`, `free n1`, `slow n1 200ms`, `failsync n1` | what becomes of a disk |
//! | `set n1 NAME=VALUE …` | somebody changes settings on n1 |
//! | `run 500ms`, `run 2s` | time passes |
//! | `key KEY`, `members`, `settings NAME`, `events` | what the nodes hold, think of each other, go by, and tell |

mod stage;

use std::path::{Path, PathBuf};
use std::{env, fs};

use kv_core::sim::script;
use kv_core::sim::trial::{self, Plan, Schedule, Terms};
use stage::Stage;

#[test]
fn quorum() {
    play("quorum");
}

#[test]
fn membership() {
    play("membership");
}

#[test]
fn failure() {
    play("failure");
}

#[test]
fn settings() {
    play("settings");
}

#[test]
fn recovery() {
    play("recovery");
}

#[test]
fn strong() {
    play("strong");
}

#[test]
fn a_trial_becomes_a_script_that_plays() {
    for seed in 0..12 {
        let moves = seed % 2 == 0;
        let plan = Plan { strikes: 30, per_second: Some(80), moves, ..Plan::default() };
        let report = trial::of_seed(seed, &plan).unwrap();
        let script = script::of(&report).unwrap();
        let mut stage = Stage::default();
        assert_eq!(goldenscript::generate(&mut stage, &script).unwrap(), script, "seed {seed}");
        let again =
            trial::of_schedule(&Schedule::of(&stage.world.unwrap().run()), &Terms::default())
                .unwrap();
        assert_eq!(again.run.hash, report.run.hash, "seed {seed}");
    }
}

/// Plays all scripts of an area.
fn play(area: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(area);
    let entries = fs::read_dir(&folder).expect("the area has a folder");
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "{} has no scripts", folder.display());
    for path in scripts {
        let script = fs::read_to_string(&path).expect("a script can be read");
        let played = goldenscript::generate(&mut Stage::default(), &script)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, played).expect("a script can be written");
        } else {
            let lines = played.lines().zip(script.lines()).zip(1..);
            for ((now, record), number) in lines {
                assert_eq!(now, record, "{}:{number}", path.display());
            }
            assert_eq!(played.len(), script.len(), "{} ends elsewhere", path.display());
        }
    }
}
