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
    /// What could not be judged of the others, by seed.
    undecided: BTreeMap<u64, String>,
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
        } else if let Some(words) = &report.undecided {
            self.undecided.insert(seed, words.clone());
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

    /// How many runs could not be judged whole, and the first of them in words; none if all could.
    pub(super) fn undecided(&self) -> Option<String> {
        let (seed, words) = self.undecided.first_key_value()?;
        Some(format!("{} not judged whole, seed {seed} first: {words}", self.undecided.len()))
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
        let _ = match (self.failed.len(), self.undecided.len()) {
            (0, 0) => writeln!(text, "no judge objects to any run."),
            (failed, 0) => writeln!(text, "{failed} runs are objected to.\n"),
            (failed, undecided) => writeln!(
                text,
                "{failed} runs are objected to, {undecided} could not be judged whole.\n"
            ),
        };
        for (seed, words) in self.failed.iter().chain(&self.undecided) {
            let _ = writeln!(text, "- seed {seed}: {words}");
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

#[cfg(test)]
mod tests {
    use kv_core::sim::trial::{self, Plan};

    use super::*;

    #[test]
    fn what_no_judge_could_decide_does_not_pass_for_sound() {
        let mut report = trial::of_seed(1, &Plan { strikes: 1, ..Plan::default() }).unwrap();
        let mut sum = Sum::default();
        sum.take(1, &report);
        assert_eq!(sum.undecided(), None);
        assert!(sum.report(None).ends_with("\nVerdict: no judge objects to any run.\n"));
        report.undecided = Some(String::from("it is too long"));
        sum.take(2, &report);
        let words = sum.undecided().unwrap();
        assert_eq!(words, "1 not judged whole, seed 2 first: it is too long");
        let verdict = "\nVerdict: 0 runs are objected to, 1 could not be judged whole.\n\n";
        assert!(sum.report(None).ends_with(&format!("{verdict}- seed 2: it is too long\n")));
    }
}
