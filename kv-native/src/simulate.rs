//! `kv sim`: attacks simulated clusters, seed after seed, on all cores, until a judge objects.

mod search;
mod sum;

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use kv_core::sim::fault::Faults;
use kv_core::sim::trial::{self, Plan};
use kv_core::sim::{SimConfig, Workload};

use crate::cli::{End, output};
use crate::replay;
use search::Told;
use sum::Sum;

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
    /// How often something is broken or mended in each run, if the run has room for so much
    #[arg(long, value_name = "TIMES", default_value_t = Plan::default().strikes,
          value_parser = value_parser!(u32).range(1..=10_000))]
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
    #[arg(long, conflicts_with_all = OF_MANY)]
    trace: bool,
    /// Write the journal of each opening of each node to this folder, for `kv replay`; for one seed
    #[arg(long, value_name = "DIR", conflicts_with_all = OF_MANY, conflicts_with = "trace")]
    journals: Option<PathBuf>,
    /// How many threads [default: one per core]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

/// What a look at one run has no use for.
const OF_MANY: [&str; 5] = ["first", "shrink", "save", "report", "threads"];

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
                format!(
                    "{text:?} is no number, or too large; give one seed, or FIRST..LAST such as 1..1000"
                )
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
    if args.trace || args.journals.is_some() {
        return one(args, &plan);
    }
    let began = Instant::now();
    let bar = progress(args.seeds);
    let mut sum = Sum::default();
    let ended = search::run(args, &plan, |told| match told {
        Told::Tried { seed, report, words } => {
            sum.take(seed, &report);
            bar.inc(1);
            tell(&bar, &words)
        }
        Told::Broke { seed, words } => {
            let line = format!("seed {seed}: {words}\n");
            sum.take_broken(seed, words);
            bar.inc(1);
            tell(&bar, &line)
        }
        Told::More(words) => tell(&bar, &words),
        Told::Refused(words) => Err(End::misuse(words)),
        Told::Ended | Told::Signal(_) => Ok(()),
    });
    bar.finish_and_clear();
    let interrupted = ended.as_ref().map_or(true, Option::is_some);
    let written = args.report.as_ref().map_or(Ok(()), |file| {
        let text = sum.report(interrupted.then_some(args.seeds));
        fs::write(file, text)
            .map_err(|error| End::misuse(format!("{} cannot be written: {error}", file.display())))
    });
    judge(&sum, began.elapsed(), ended?).map_err(|end| end.beside(written.as_ref().err()))?;
    written
}

/// Tells of a run that failed.
fn tell(bar: &ProgressBar, words: &str) -> Result<(), End> {
    if words.is_empty() { Ok(()) } else { bar.suspend(|| output(words.as_bytes())) }
}

/// What the search comes to: signal or none, some runs failed or none.
fn judge(sum: &Sum, took: Duration, signal: Option<i32>) -> Result<(), End> {
    let words = sum.words(took);
    match (signal, sum.failed()) {
        (Some(signal), 0) => {
            Err(End::interrupted(signal, format!("interrupted: {words}: no objection so far")))
        }
        (Some(signal), failed) => {
            Err(End::interrupted(signal, format!("interrupted: {words}: {failed} failed so far")))
        }
        (None, 0) => match sum.undecided() {
            None => output(format!("{words}: no objection\n").as_bytes()),
            Some(undecided) => {
                Err(End::undecided(format!("{words}: no objection, but {undecided}")))
            }
        },
        (None, failed) => Err(End::failed(format!(
            "{words}: {failed} failed; with the same options --seeds SEED --shrink makes one small, and --trace shows it"
        ))),
    }
}

fn check(args: &SimArgs) -> Result<(), End> {
    let plain = SimConfig::default();
    let config = SimConfig {
        nodes: args.nodes.unwrap_or(plain.nodes),
        workload: Workload { per_second: args.ops.unwrap_or(0), ..plain.workload },
        ..plain
    };
    config.check().map_err(|refused| End::misuse(refused.0))?;
    if (args.trace || args.journals.is_some()) && args.seeds.first != args.seeds.last {
        return Err(End::misuse(
            "--trace and --journals are about one run; name one seed with --seeds",
        ));
    }
    // What was found after hours must not be lost for want of a place.
    for folder in args.save.iter().chain(&args.journals) {
        replay::folder(folder)?;
    }
    if let Some(file) = &args.report {
        let opened = OpenOptions::new().create(true).append(true).open(file);
        opened.map_err(|error| {
            End::misuse(format!("{} cannot be written: {error}; nothing was done", file.display()))
        })?;
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

/// Prints every event of one run, or records it; then the verdict.
fn one(args: &SimArgs, plan: &Plan) -> Result<(), End> {
    let seed = args.seeds.first;
    let report = trial::of_seed(seed, plan).map_err(|refused| End::misuse(refused.0))?;
    match &args.journals {
        Some(folder) => drop(replay::record(&report.run, folder)?),
        None => drop(replay::trace(&report.run)?),
    }
    match (report.objection, report.undecided) {
        (Some(objection), _) => Err(End::failed(format!("seed {seed}: {objection}"))),
        (None, Some(words)) => Err(End::undecided(format!("seed {seed} is undecided: {words}"))),
        (None, None) => output(b"no objection\n"),
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
