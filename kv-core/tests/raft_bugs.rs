//! Pitfalls that can be planted in the consensus machine are found twice: by the fuzz, within a budget of
//! seeds, and by a scenario script that plays otherwise. That neither finds anything where none is planted
//! is a test of `raft`. `BUG=…` and `BUDGET=…` search for one, or longer.
//!
//! What is planted is planted in the whole process, so all of it is one test.

#[path = "raft/harness/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod harness;
#[path = "raft/scripts/mod.rs"]
mod scripts;

use std::sync::Mutex;
use std::thread;

use harness::fuzz::{Temper, attack};
use kv_core::bugs::{Bug, plant};

/// A bug has to be found within so many seeds; a rare one within more.
const BUDGET: u64 = 300;
const BUDGET_OF_RARE: u64 = 2_000;

/// Those that take several things in a row, and the temper that has a liking for those things.
const RARE: [(Bug, Temper); 6] = [
    (Bug::QuestionsRestart, Temper::Echo),
    (Bug::LateAnswerConfirmsRead, Temper::Hunter),
    (Bug::OldConfirmationCounts, Temper::Echo),
    (Bug::StateOverCommitted, Temper::Compacter),
    (Bug::LongerLogIsNewer, Temper::Hunter),
    (Bug::LeaverNeverStands, Temper::Replacer),
];

/// Or as many as the environment says.
fn budget(is_rare: bool) -> u64 {
    let usual = if is_rare { BUDGET_OF_RARE } else { BUDGET };
    std::env::var("BUDGET").map_or(usual, |text| text.parse().expect("a number"))
}

/// The first seed to which there is an objection, of all or in one temper; on all cores.
fn search(temper: Option<Temper>, forgets_incarnations: bool) -> Option<(u64, String)> {
    let (next, found) =
        (Mutex::new(0..budget(temper.is_some())), Mutex::new(None::<(u64, String)>));
    let work = || {
        // Seeds are taken in order, so whoever finds one first leaves only greater ones untried.
        loop {
            let seed = next.lock().unwrap().next();
            let Some(seed) = seed.filter(|_| found.lock().unwrap().is_none()) else { return };
            let report = attack(seed, temper, forgets_incarnations);
            let Some(objection) = report.objection else { continue };
            let mut found = found.lock().unwrap();
            if found.as_ref().is_none_or(|(first, _)| seed < *first) {
                *found = Some((seed, objection));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap()
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
        let temper = RARE.iter().find(|(rare, _)| *rare == bug).map(|(_, temper)| *temper);
        match search(temper, false) {
            Some((seed, objection)) => {
                let first = objection.lines().next().unwrap_or_default();
                println!("{bug:?}: seed {seed}: {}", first.get(..150).unwrap_or(first));
            }
            None => missed.push(bug),
        }
    }
    plant(None);
    let wiped = search(None, true);
    println!("a wiped disk that returns as it was: {wiped:?}");
    assert!(wiped.is_some(), "a wiped disk may return as the replica it was");
    assert!(unnoticed.is_empty(), "no script notices {unnoticed:?}");
    assert!(missed.is_empty(), "not found within their budgets: {missed:?}");
}
