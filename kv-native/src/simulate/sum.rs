//! What all runs of a search together were.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use indicatif::HumanCount;
use kv_core::sim::tally::Kind;
use kv_core::sim::trial::Report;
use kv_core::time::Micros;

use super::Seeds;

/// The runs so far.
#[derive(Default)]
pub(super) struct Sum {
    runs: u64,
    events: u64,
    operations: u64,
    simulated: Micros,
    /// How often each kind of fault was done, and in how many runs.
    faults: BTreeMap<Kind, (u64, u64)>,
    /// What was objected to, by seed.
    failed: BTreeMap<u64, String>,
}

impl Sum {
    pub(super) fn take(&mut self, seed: u64, report: &Report) {
        self.runs += 1;
        self.events += report.run.steps;
        self.operations += report.operations;
        self.simulated = Micros(self.simulated.0 + report.run.until.0);
        for (kind, times) in &report.faults {
            let (all, runs) = self.faults.entry(*kind).or_default();
            (*all, *runs) = (*all + times, *runs + u64::from(*times > 0));
        }
        if let Some(objection) = &report.objection {
            self.failed.insert(seed, objection.to_string());
        }
    }

    /// The simulator broke off in a run; perhaps while one that had failed was made small.
    pub(super) fn take_broken(&mut self, seed: u64, words: String) {
        self.failed.entry(seed).or_insert_with(|| {
            self.runs += 1;
            words
        });
    }

    /// How many runs failed.
    pub(super) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// All of it as Markdown. What a machine's speed decides is not in it, so that two reports differ
    /// only where the runs do. `asked` are the seeds of a search that was interrupted.
    pub(super) fn report(&self, asked: Option<Seeds>) -> String {
        let mut text = String::new();
        if let Some(seeds) = asked {
            let _ = writeln!(
                text,
                "Interrupted: of the seeds from {} to {} these were tried.\n",
                seeds.first, seeds.last
            );
        }
        let _ = writeln!(
            text,
            "{} runs, {} operations of clients, {} simulator events, {} hours of simulated time.\n",
            HumanCount(self.runs),
            HumanCount(self.operations),
            HumanCount(self.events),
            self.simulated.0 / 3_600_000_000,
        );
        text.push_str("| fault | times | in runs |\n| --- | ---: | ---: |\n");
        for kind in Kind::ALL {
            let (times, runs) = self.faults.get(&kind).copied().unwrap_or_default();
            let (kind, times, runs) = (kind.name(), HumanCount(times), HumanCount(runs));
            let _ = writeln!(text, "| {kind} | {times} | {runs} |");
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

    /// All of it in a line.
    pub(super) fn words(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        let rate = if seconds > 0.0 { self.events as f64 / seconds } else { 0.0 };
        format!(
            "{} seeds with {} operations and {} events in {seconds:.1} s, {} events per second",
            HumanCount(self.runs),
            HumanCount(self.operations),
            HumanCount(self.events),
            HumanCount(rate as u64),
        )
    }
}
