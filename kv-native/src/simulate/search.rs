//! Tries seeds on all threads. Whoever finds a run that fails also makes it small, and the others go on.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvError, SyncSender};
use std::thread;

use kv_core::sim::shrink::Shrinking;
use kv_core::sim::trial::{self, Plan, Report};
use kv_core::sim::{link, script};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::SimArgs;
use crate::cli::End;
use crate::replay;

/// What a search tells.
pub(super) enum Told {
    /// A seed was tried. If it fails, the words are for the user.
    Tried { seed: u64, report: Box<Report>, words: String },
    /// A seed could not be tried to its end: the simulator itself broke off.
    Broke { seed: u64, words: String },
    /// More words about a run that failed.
    More(String),
    /// This search makes no sense.
    Refused(String),
    /// A thread has nothing more to do.
    Ended,
    /// This signal asks for the end.
    Signal(i32),
}

/// What all threads share.
struct Search {
    args: SimArgs,
    plan: Plan,
    /// How many seeds were begun.
    begun: AtomicU64,
    stop: AtomicBool,
}

/// How many trials one failing run is worth.
const SHRINKING: u64 = 2_000;

/// Tries all seeds, and hands on what is told, in any order. Returns the signal that ended it, if one did;
/// threads may then be at work still, until the process ends.
pub(super) fn run(
    args: &SimArgs,
    plan: &Plan,
    take: impl FnMut(Told) -> Result<(), End>,
) -> Result<Option<i32>, End> {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = args.threads.map_or_else(cores, usize::from);
    let (tell, told) = mpsc::sync_channel(threads * 4);
    hear(tell.clone())?;
    start(threads, args, plan, &tell)?;
    follow(threads, &told, take)
}

/// Starts so many threads that try seeds.
fn start(threads: usize, args: &SimArgs, plan: &Plan, tell: &SyncSender<Told>) -> Result<(), End> {
    let (begun, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let search = Arc::new(Search { args: args.clone(), plan: plan.clone(), begun, stop });
    for _ in 0..threads {
        let (search, tell) = (Arc::clone(&search), tell.clone());
        let started = thread::Builder::new().spawn(move || search.work(&tell));
        started.map_err(|error| {
            End::misuse(format!(
                "a thread cannot be started: {error}; ask for fewer with --threads"
            ))
        })?;
    }
    Ok(())
}

/// Hands on what is told until all threads have ended or a signal comes.
fn follow(
    threads: usize,
    told: &Receiver<Told>,
    mut take: impl FnMut(Told) -> Result<(), End>,
) -> Result<Option<i32>, End> {
    let mut working = threads;
    while working > 0 {
        match told.recv() {
            Ok(Told::Ended) => working -= 1,
            Ok(Told::Signal(number)) => return Ok(Some(number)),
            Ok(told) => take(told)?,
            Err(RecvError) => break,
        }
    }
    Ok(None)
}

/// Has the first signal told that asks for the end. The second one ends the process, for whoever
/// is to be told may wait for a reader.
fn hear(tell: SyncSender<Told>) -> Result<(), End> {
    let cannot = |error| End::misuse(format!("signals cannot be handled: {error}"));
    let runtime = Builder::new_current_thread().enable_io().build().map_err(cannot)?;
    let within = runtime.enter();
    let kinds = (SignalKind::interrupt(), SignalKind::terminate());
    let mut interrupt = signal(kinds.0).map_err(cannot)?;
    let mut terminate = signal(kinds.1).map_err(cannot)?;
    drop(within);
    let listen = async move {
        let mut asked = false;
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => kinds.0.as_raw_value(),
                _ = terminate.recv() => kinds.1.as_raw_value(),
            };
            if asked {
                process::exit(128 + number);
            }
            asked = true;
            let tell = tell.clone();
            drop(tokio::task::spawn_blocking(move || tell.send(Told::Signal(number))));
        }
    };
    let started = thread::Builder::new().spawn(move || runtime.block_on(listen));
    started.map(drop).map_err(cannot)
}

impl Search {
    fn work(&self, tell: &SyncSender<Told>) {
        while let Some(seed) = self.next() {
            let heard = whole(|| self.attempt(seed, tell)).unwrap_or_else(|words| {
                self.stop_if_first();
                tell.send(Told::Broke { seed, words }).is_ok()
            });
            if !heard {
                return;
            }
        }
        drop(tell.send(Told::Ended));
    }

    fn next(&self) -> Option<u64> {
        let seeds = self.args.seeds;
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let seed = seeds.first.checked_add(self.begun.fetch_add(1, Ordering::Relaxed))?;
        (seed <= seeds.last).then_some(seed)
    }

    /// Tries a seed; returns whether anybody still listens.
    fn attempt(&self, seed: u64, tell: &SyncSender<Told>) -> bool {
        let report = match trial::of_seed(seed, &self.plan) {
            Ok(report) => report,
            Err(refused) => return tell.send(Told::Refused(refused.0)).is_ok(),
        };
        let Some(objection) = &report.objection else {
            let (report, words) = (Box::new(report), String::new());
            return tell.send(Told::Tried { seed, report, words }).is_ok();
        };
        // At once, and saved: making it small may take minutes.
        let words = format!("seed {seed}: {objection}\n{}", self.kept(seed, &report));
        let another = self.stop_if_first();
        let small = Shrinking::new(report.clone()).filter(|_| self.args.shrink && !another);
        if tell.send(Told::Tried { seed, report: Box::new(report), words }).is_err() {
            return false;
        }
        small.is_none_or(|shrinking| tell.send(Told::More(self.small(seed, shrinking))).is_ok())
    }

    /// Stops all if one failing seed is enough. Returns whether another one had done so.
    fn stop_if_first(&self) -> bool {
        self.args.first && self.stop.swap(true, Ordering::Relaxed)
    }

    /// Makes a failing run as small as it gets; returns what became of it.
    fn small(&self, seed: u64, mut shrinking: Shrinking) -> String {
        while !shrinking.is_done() && shrinking.trials() < SHRINKING {
            shrinking.step();
        }
        let (report, trials) = (shrinking.best(), shrinking.trials());
        let mut words = format!("seed {seed}, made smaller in {trials} trials");
        if let Some(objection) = &report.objection {
            let _ = write!(words, ": {objection}");
        }
        words.push('\n');
        for line in script::of(report).unwrap_or_default().lines() {
            let _ = writeln!(words, "    {line}");
        }
        words + &self.kept(seed, report)
    }

    /// Where a run can be had again.
    fn kept(&self, seed: u64, report: &Report) -> String {
        let mut words = format!("  link #run={}\n", link::encode(&report.run));
        if let Some(folder) = &self.args.save {
            let _ = match save(folder, seed, report) {
                Ok(file) => writeln!(words, "  saved as {}", file.display()),
                Err(error) => writeln!(words, "  not saved: {error}; keep the link"),
            };
        }
        words
    }
}

/// Does something; or says that it broke off in the middle.
fn whole<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref().copied()).unwrap_or("it panicked");
        format!("the simulator broke off: {words}")
    })
}

/// Writes a run to a file of its own: what is wrong and what is done as comments, then the link. And, if
/// it can be one, as a script of the suite beside it. Returns the first file.
fn save(folder: &Path, seed: u64, report: &Report) -> Result<PathBuf, String> {
    let mut text = String::new();
    if let Some(objection) = &report.objection {
        let _ = writeln!(text, "# {objection}");
    }
    for line in replay::script(&report.schedule) {
        let _ = writeln!(text, "# {line}");
    }
    let _ = writeln!(text, "{}", link::encode(&report.run));
    let write = |file: &Path, text: &str| {
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(file, text));
        written.map_err(|error| format!("{} cannot be written: {error}", file.display()))
    };
    let file = folder.join(format!("seed-{seed}.link"));
    write(&file, &text)?;
    if let Some(script) = script::of(report) {
        write(&folder.join(format!("seed-{seed}.script")), &script)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use kv_core::check::Demand;
    use kv_core::settings::Setting;
    use kv_core::sim::trial::Terms;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimArgs,
    }

    /// Attacks on a cluster whose reads may miss writes.
    fn weak() -> Plan {
        let settings = vec![(Setting::ReadQuorum, 1), (Setting::WriteQuorum, 1)];
        let terms = Terms { demands: vec![Demand::Latest], recovers: false };
        Plan { strikes: 20, nodes: Some(5), settings: Some(settings), terms, ..Plan::default() }
    }

    /// What a search by two threads tells.
    fn tells(plan: &Plan, arguments: &[&str]) -> Vec<Told> {
        let Line { args } = Line::parse_from([&["sim"], arguments].concat());
        let (tell, told) = mpsc::sync_channel(8);
        start(2, &args, plan, &tell).unwrap();
        let mut all = Vec::new();
        let ended = follow(2, &told, |told| {
            all.push(told);
            Ok(())
        });
        assert_eq!(ended.unwrap(), None);
        all
    }

    #[test]
    fn a_failing_run_is_told_and_saved_before_it_is_made_small() {
        let folder = tempfile::tempdir().unwrap();
        let save = folder.path().to_str().unwrap();
        let told = tells(&weak(), &["--seeds", "0..9", "--shrink", "--save", save]);
        let (mut failed, mut tried) = (Vec::new(), 0);
        for told in told {
            match told {
                Told::Tried { seed, report, words } => {
                    let fails = words.starts_with(&format!("seed {seed}: "));
                    assert_eq!(fails, report.objection.is_some(), "{words}");
                    if fails {
                        let file = format!("  saved as {save}/seed-{seed}.link\n");
                        assert!(words.contains("\n  link #run=") && words.ends_with(&file));
                        failed.push(seed);
                    }
                    tried += 1;
                }
                Told::More(words) => {
                    let of =
                        |seed: &u64| words.starts_with(&format!("seed {seed}, made smaller in "));
                    let place = failed.iter().position(of).expect("it was told before");
                    let seed = failed.swap_remove(place);
                    assert!(words.contains("    begin nodes="), "{words}");
                    let kept = fs::read_to_string(folder.path().join(format!("seed-{seed}.link")));
                    let link = words.lines().rev().nth(1).unwrap().replace("  link #run=", "");
                    assert!(kept.unwrap().ends_with(&format!("{link}\n")), "{words}");
                    tried += 100;
                }
                _ => panic!("nothing else is told"),
            }
        }
        assert!(tried % 100 == 10 && tried > 100 && failed.is_empty(), "{tried}, {failed:?}");
    }

    #[test]
    fn one_failing_seed_is_enough_if_so_asked() {
        let told = tells(&weak(), &["--seeds", "0..9999", "--first"]);
        assert!(told.len() < 100, "{} seeds were tried", told.len());
        let fails = |told: &Told| matches!(told, Told::Tried { words, .. } if !words.is_empty());
        assert!(told.iter().any(fails));
    }

    #[test]
    fn a_failing_run_that_cannot_be_saved_is_told_with_its_link() {
        let told = tells(&weak(), &["--seeds", "0..9", "--save", "/dev/null/runs"]);
        let words = told.iter().filter_map(|told| match told {
            Told::Tried { words, .. } if !words.is_empty() => Some(words),
            _ => None,
        });
        let words: Vec<_> = words.collect();
        assert!(!words.is_empty());
        let kept =
            |words: &&String| words.contains("  link #run=") && words.contains("  not saved: ");
        assert!(words.iter().all(kept), "{words:?}");
    }

    #[test]
    fn a_simulator_that_breaks_off_is_told_like_a_judge() {
        assert_eq!(whole(|| 7), Ok(7));
        let broke = whole::<()>(|| panic!("at {}", 3));
        assert_eq!(broke, Err(String::from("the simulator broke off: at 3")));
        let mut sum = super::super::Sum::default();
        sum.take_broken(9, broke.unwrap_err());
        assert_eq!(sum.failed(), 1);
        assert!(sum.report(None).contains("- seed 9: the simulator broke off: at 3\n"));
    }
}
