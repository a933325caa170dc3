//! `kv sim`: attacks simulated clusters, seed after seed, on all cores, until a judge objects.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use kv_core::sim::fault::Faults;
use kv_core::sim::shrink::Shrinking;
use kv_core::sim::trial::{self, Plan, Report};
use kv_core::sim::{SimConfig, link, script};
use kv_core::time::Micros;

use crate::cli::{End, output};
use crate::replay;

/// Options of `kv sim`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SimArgs {
    /// Which seeds: one, or the first and the last
    #[arg(long, value_name = "FIRST..LAST", default_value = "1..1000")]
    seeds: Seeds,
    /// How many nodes each cluster has [default: drawn from the seed]
    #[arg(long)]
    nodes: Option<u16>,
    /// How many operations begin per second of simulated time [default: drawn from the seed]
    #[arg(long, value_name = "PER_SECOND")]
    ops: Option<u32>,
    /// Only these kinds of faults, of crash, pause, wipe, cut, loss, disk, drift, settings [default: all]
    #[arg(long, value_name = "KIND,KIND")]
    faults: Option<Faults>,
    /// How often something is broken or mended in each run
    #[arg(long, value_name = "TIMES", default_value_t = Plan::default().strikes,
          value_parser = value_parser!(u32).range(..=10_000))]
    strikes: u32,
    /// Change the number of replicas on the way, so that partitions move
    #[arg(long)]
    moves: bool,
    /// Stop at the first seed that fails
    #[arg(long)]
    first: bool,
    /// Make each failing run as small as it gets
    #[arg(long)]
    shrink: bool,
    /// Write each failing run to files in this folder: a link for `kv replay`, and a script of the test
    /// suite
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Write what was tried and found to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print every event of the run, one line each; for one seed
    #[arg(long)]
    trace: bool,
    /// How many threads [default: one per core]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

/// Seeds from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seeds {
    first: u64,
    last: u64,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim().parse().map_err(|_| {
                format!("{text:?} is no number; give one seed, or FIRST..LAST such as 1..1000")
            })
        };
        let (first, last) = match text.split_once("..") {
            Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            return Err(format!("the first seed, {first}, comes after the last, {last}"));
        }
        Ok(Self { first, last })
    }
}

/// What all runs together were.
#[derive(Default)]
struct Sum {
    runs: u64,
    events: u64,
    operations: u64,
    simulated: Micros,
    /// How often each kind of fault was done, and in how many runs.
    faults: BTreeMap<&'static str, (u64, u64)>,
    /// What was objected to, by seed.
    failed: BTreeMap<u64, String>,
}

/// How many trials one failing run is worth.
const SHRINKING: u64 = 2_000;

/// `kv sim`.
pub(crate) fn run(args: &SimArgs) -> Result<(), End> {
    let plan = Plan {
        strikes: args.strikes,
        faults: args.faults.unwrap_or(Faults::ALL),
        nodes: args.nodes,
        per_second: args.ops,
        moves: args.moves,
        ..Plan::default()
    };
    check(args)?;
    if args.trace {
        return trace(args, &plan);
    }
    let began = Instant::now();
    let bar = progress(args.seeds);
    let (mut sum, mut words) = (Sum::default(), Ok(()));
    each(args, &plan, |seed, report| {
        sum.take(seed, &report);
        bar.inc(1);
        if report.objection.is_some() && words.is_ok() {
            words = bar.suspend(|| tell(args, seed, report));
        }
    })?;
    bar.finish_and_clear();
    words?;
    if let Some(file) = &args.report {
        let written = fs::write(file, sum.report());
        written.map_err(|error| {
            End::failed(format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    sum.judge(began.elapsed())
}

fn check(args: &SimArgs) -> Result<(), End> {
    if let Some(nodes) = args.nodes {
        let config = SimConfig { nodes, ..SimConfig::default() };
        config.check().map_err(|refused| End::misuse(refused.0))?;
    }
    if args.trace && args.seeds.first != args.seeds.last {
        return Err(End::misuse("--trace prints one run; name one seed with --seeds"));
    }
    // What was found after hours must not be lost for want of a place.
    let cannot = |path: &Path, error: io::Error| {
        End::misuse(format!("{} cannot be written: {error}; nothing was tried", path.display()))
    };
    if let Some(folder) = &args.save {
        fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    }
    if let Some(file) = &args.report {
        let opened = OpenOptions::new().create(true).append(true).open(file);
        opened.map_err(|error| cannot(file, error))?;
    }
    Ok(())
}

fn progress(seeds: Seeds) -> ProgressBar {
    let bar = ProgressBar::new((seeds.last - seeds.first).saturating_add(1));
    let style =
        ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} seeds, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Tries the seeds on all threads, and hands what became of them on in any order.
fn each(args: &SimArgs, plan: &Plan, mut done: impl FnMut(u64, Report)) -> Result<(), End> {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = args.threads.map_or_else(cores, usize::from);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (next, stop) = (&next, &stop);
    let (tell, told) = mpsc::sync_channel(threads * 4);
    thread::scope(|scope| {
        for _ in 0..threads {
            let tell = tell.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = args.seeds.first.checked_add(nth) else { return };
                    if seed > args.seeds.last
                        || tell.send((seed, trial::of_seed(seed, plan))).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(tell);
        for (seed, report) in told {
            let report = report.map_err(|refused| End::misuse(refused.0));
            let report = report.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            if args.first && report.objection.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            done(seed, report);
        }
        Ok(())
    })
}

/// Tells of a run that failed.
fn tell(args: &SimArgs, seed: u64, report: Report) -> Result<(), End> {
    let mut report = report;
    if let Some(objection) = &report.objection {
        // At once: making it small may take minutes.
        output(format!("seed {seed}: {objection}\n").as_bytes())?;
    }
    let mut words = String::new();
    if args.shrink
        && let Some(mut shrinking) = Shrinking::new(report.clone())
    {
        while !shrinking.is_done() && shrinking.trials() < SHRINKING {
            shrinking.step();
        }
        report = shrinking.best().clone();
        if let Some(objection) = &report.objection {
            let _ = writeln!(words, "  made smaller in {} trials: {objection}", shrinking.trials());
        }
        for line in script::of(&report).unwrap_or_default().lines() {
            let _ = writeln!(words, "    {line}");
        }
    }
    let _ = writeln!(words, "  link #run={}", link::encode(&report.run));
    if let Some(folder) = &args.save {
        let file = save(folder, seed, &report)?;
        let _ = writeln!(words, "  saved as {}", file.display());
    }
    output(words.as_bytes())
}

/// Writes a run to a file of its own: what is wrong and what is done as comments, then the link. And, if
/// it can be one, as a script of the suite beside it. Returns the first file.
fn save(folder: &Path, seed: u64, report: &Report) -> Result<PathBuf, End> {
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
        written.map_err(|error| {
            let file = file.display();
            End::failed(format!("{file} cannot be written: {error}; nothing else is lost"))
        })
    };
    let file = folder.join(format!("seed-{seed}.link"));
    write(&file, &text)?;
    if let Some(script) = script::of(report) {
        write(&folder.join(format!("seed-{seed}.script")), &script)?;
    }
    Ok(file)
}

/// Prints every event of one run, then the verdict.
fn trace(args: &SimArgs, plan: &Plan) -> Result<(), End> {
    let seed = args.seeds.first;
    let report = trial::of_seed(seed, plan).map_err(|refused| End::misuse(refused.0))?;
    let mut out = BufWriter::new(io::stdout().lock());
    replay::trace(&report.run, &mut out)?;
    let flushed = out.flush();
    flushed.map_err(|error| End::failed(format!("the result cannot be written: {error}")))?;
    drop(out);
    match report.objection {
        None => output(b"no objection\n"),
        Some(objection) => Err(End::failed(format!("seed {seed}: {objection}"))),
    }
}

impl Sum {
    fn take(&mut self, seed: u64, report: &Report) {
        self.runs += 1;
        self.events += report.run.steps;
        self.operations += report.operations;
        self.simulated = Micros(self.simulated.0 + report.run.until.0);
        for (kind, times) in &report.faults {
            let (all, runs) = self.faults.entry(kind).or_default();
            (*all, *runs) = (*all + times, *runs + 1);
        }
        if let Some(objection) = &report.objection {
            self.failed.insert(seed, objection.to_string());
        }
    }

    /// All of it as Markdown. What a machine's speed decides is not in it, so that two reports differ
    /// only where the runs do.
    fn report(&self) -> String {
        let mut text = format!(
            "{} runs, {} operations of clients, {} simulator events, {} hours of simulated time.\n\n",
            HumanCount(self.runs),
            HumanCount(self.operations),
            HumanCount(self.events),
            self.simulated.0 / 3_600_000_000,
        );
        text.push_str("| fault | times | in runs |\n| --- | ---: | ---: |\n");
        for (kind, (times, runs)) in &self.faults {
            let _ = writeln!(text, "| {kind} | {} | {} |", HumanCount(*times), HumanCount(*runs));
        }
        text.push_str("\nVerdict: ");
        if self.failed.is_empty() {
            text.push_str("no judge objects to any run.\n");
            return text;
        }
        let _ = writeln!(text, "{} runs are objected to.\n", self.failed.len());
        for (seed, objection) in &self.failed {
            let _ = writeln!(text, "- seed {seed}: {objection}");
        }
        text
    }

    fn judge(&self, took: Duration) -> Result<(), End> {
        let seconds = took.as_secs_f64();
        let rate = if seconds > 0.0 { self.events as f64 / seconds } else { 0.0 };
        let words = format!(
            "{} seeds with {} operations and {} events in {seconds:.1} s, {} events per second",
            HumanCount(self.runs),
            HumanCount(self.operations),
            HumanCount(self.events),
            HumanCount(rate as u64),
        );
        match self.failed.len() {
            0 => output(format!("{words}: no objection\n").as_bytes()),
            failed => Err(End::failed(format!(
                "{words}: {failed} failed; make one small with --seeds SEED --shrink, or see it with --trace"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range() {
        let seeds = |first, last| Ok(Seeds { first, last });
        assert_eq!("7".parse(), seeds(7, 7));
        assert_eq!("1..10".parse(), seeds(1, 10));
        assert_eq!("1..=10".parse(), seeds(1, 10));
        for wrong in ["", "a", "1..", "..3", "5..4", "1...4", "-1"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }
}
