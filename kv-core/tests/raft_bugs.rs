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

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use harness::fuzz::{Temper, attack};
use kv_core::bugs::{Bug, plant};

/// A bug has to be found within so many seeds.
const BUDGET: u64 = 300;

/// Those that take several things in a row: the temper that has a liking for those things, and the budget.
const RARE: [(Bug, Temper, u64); 6] = [
    (Bug::QuestionsRestart, Temper::Echo, BUDGET),
    (Bug::LateAnswerConfirmsRead, Temper::Hunter, BUDGET),
    // Two elections, a log that was cut, and a message older than both: about one seed in two hundred.
    (Bug::OldConfirmationCounts, Temper::Echo, 2_000),
    (Bug::StateOverCommitted, Temper::Compacter, BUDGET),
    (Bug::LongerLogIsNewer, Temper::Hunter, BUDGET),
    (Bug::LeaverNeverStands, Temper::Replacer, BUDGET),
];

/// The first seed within a budget, or one from the environment, to which there is an objection, of all or
/// in one temper; on all cores.
fn search(
    temper: Option<Temper>,
    budget: u64,
    forgets_incarnations: bool,
) -> Option<(u64, String)> {
    let budget =
        std::env::var("BUDGET").map_or(budget, |text| text.parse().expect("BUDGET is a number"));
    let (next, found) = (Mutex::new(0..budget), Mutex::new(None::<(u64, String)>));
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

/// The beginning of an objection, for a table in Markdown.
fn cell(objection: &str) -> String {
    const SHOWN: usize = 80;
    let line = objection.lines().next().unwrap_or_default().replace('|', "/");
    let mut cell: String = line.chars().take(SHOWN).collect();
    if line.chars().count() > SHOWN {
        cell.push('…');
    }
    cell
}

#[test]
fn planted_bugs_are_found() {
    let (mut missed, mut unnoticed) = (Vec::new(), Vec::new());
    let mut rows = String::from(
        "| bug | scripts that notice it | first seed | temper | what the watch says |\n\
         | --- | ---: | ---: | --- | --- |\n",
    );
    let chosen = std::env::var("BUG").ok();
    let is_chosen = |bug: &Bug| chosen.as_ref().is_none_or(|name| format!("{bug:?}") == *name);
    for bug in Bug::RAFT.into_iter().filter(is_chosen) {
        plant(Some(bug));
        let faults = scripts::play_all(false);
        let mut row = format!("| {bug:?} | {} |", faults.len());
        match faults.first().and_then(|fault| fault.lines().next()) {
            Some(first) => println!("{bug:?}: {} scripts: {first}", faults.len()),
            None => unnoticed.push(bug),
        }
        let rare = RARE.iter().find(|(rare, ..)| *rare == bug);
        let (temper, budget) =
            rare.map_or((None, BUDGET), |(_, temper, budget)| (Some(*temper), *budget));
        match search(temper, budget, false) {
            Some((seed, objection)) => {
                let first = objection.lines().next().unwrap_or_default();
                println!("{bug:?}: seed {seed}: {}", first.get(..150).unwrap_or(first));
                let temper = temper.map_or_else(|| "any".into(), |temper| format!("{temper:?}"));
                row += &format!(" {seed} | {} | {} |\n", temper.to_lowercase(), cell(first));
                rows += &row;
            }
            None => missed.push(bug),
        }
    }
    plant(None);
    let wiped = search(None, BUDGET, true);
    println!("a wiped disk that returns as it was: {wiped:?}");
    if let Some((seed, objection)) = &wiped {
        rows +=
            &format!("| a wiped disk returns as it was | | {seed} | any | {} |\n", cell(objection));
    }
    if let Some(folder) = std::env::var_os("KV_REPORT") {
        let file = Path::new(&folder).join("planted-raft-bugs.md");
        fs::write(file, rows).expect("the report can be written");
    }
    assert!(wiped.is_some(), "a wiped disk may return as the replica it was");
    assert!(unnoticed.is_empty(), "no script notices {unnoticed:?}");
    assert!(missed.is_empty(), "not found within their budgets: {missed:?}");
}
