//! Makes a schedule that fails as small as it can, so that a person sees why.
//!
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002)
//! over the actions, and beside it simpler clusters, networks and times. Every step is a trial, and only
//! one that breaks the same promise counts. All of it follows from the schedule, so it leads to the same
//! end everywhere.
//!
//! First the generated clients are written down, operation by operation; from then on each operation can
//! be left out like any fault. What was asked about other keys goes first of all, with other seeds if
//! need be: every operation left out draws the luck of the messages behind it anew.

use alloc::vec::Vec;

use super::action::{Action, TimedAction};
use super::config::{NetworkConfig, Workload};
use super::trial::{self, Report, Schedule};
use crate::check::Promise;
use crate::rng::Ratio;
use crate::time::{Micros, Mono};

/// A search for the smallest schedule, of which a part can be done at a time.
#[derive(Clone, Debug)]
pub struct Shrinking {
    promise: Promise,
    best: Report,
    trials: u64,
    stage: Stage,
    /// Whether something was made smaller since the first stage began last.
    progress: bool,
}

/// What is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Write the operations of generated clients down.
    Script,
    /// Ask only about the key of the objection: with the how-manieth seed.
    Key(u64),
    /// Leave out so many actions in a row, from this one on.
    Actions {
        chunk: usize,
        from: usize,
    },
    /// Leave out these two, neither of which can be left out alone: a crash and the start after it.
    Pair {
        first: usize,
        second: usize,
    },
    /// Have only so many nodes.
    Nodes(u16),
    /// Simplify what the run begins with: the how-manieth thing.
    Setting(usize),
    /// Let the time between two actions be short: the how-manieth.
    Pause(usize),
    Done,
}

impl Shrinking {
    /// Begins with a trial that failed; none if it did not.
    #[must_use]
    pub fn new(failed: Report) -> Option<Self> {
        let promise = failed.objection.as_ref()?.promise;
        let stage = Stage::Script;
        Some(Self { promise, best: failed, trials: 0, stage, progress: false })
    }

    /// The smallest so far.
    #[must_use]
    pub fn best(&self) -> &Report {
        &self.best
    }

    /// How many trials were made.
    #[must_use]
    pub fn trials(&self) -> u64 {
        self.trials
    }

    /// Whether nothing more can be left out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Makes the next trial.
    pub fn step(&mut self) {
        match self.stage {
            Stage::Script => {
                let scripted = scripted(&self.best);
                self.attempt(scripted);
                self.stage = Stage::Key(0);
            }
            Stage::Key(nth) => {
                let about = about_key(&self.best, nth).filter(|_| nth < SEEDS);
                let on = about.is_some_and(|schedule| !self.attempt(schedule));
                self.stage = if on { Stage::Key(nth + 1) } else { self.first_actions() };
            }
            Stage::Actions { chunk, from } => self.actions(chunk, from),
            Stage::Pair { first, second } => self.pair(first, second),
            Stage::Nodes(nodes) => {
                let fewer = nodes < self.best.schedule.config.nodes;
                self.stage = match fewer && !self.attempt(with_nodes(&self.best.schedule, nodes)) {
                    true => Stage::Nodes(nodes + 1),
                    false => Stage::Setting(0),
                };
            }
            Stage::Setting(which) => {
                self.stage = match simpler(&self.best.schedule, which) {
                    Simpler::Schedule(schedule) => {
                        let smaller = self.attempt(schedule);
                        // What was left out stands in that place no longer.
                        Stage::Setting(which + usize::from(!smaller || which < FIXED))
                    }
                    Simpler::Already => Stage::Setting(which + 1),
                    Simpler::NoMore => Stage::Pause(0),
                };
            }
            Stage::Pause(which) => {
                self.stage = match sooner(&self.best.schedule, which) {
                    Some(schedule) => {
                        if schedule != self.best.schedule {
                            self.attempt(schedule);
                        }
                        Stage::Pause(which + 1)
                    }
                    None if core::mem::take(&mut self.progress) => self.first_actions(),
                    None => Stage::Done,
                };
            }
            Stage::Done => {}
        }
    }

    fn first_actions(&self) -> Stage {
        Stage::Actions { chunk: self.best.schedule.actions.len().div_ceil(2).max(1), from: 0 }
    }

    fn actions(&mut self, chunk: usize, from: usize) {
        let all = self.best.schedule.actions.len();
        if from >= all {
            self.stage = match chunk {
                0 | 1 if all <= PAIRED => Stage::Pair { first: 0, second: 1 },
                0 | 1 => Stage::Nodes(1),
                _ => Stage::Actions { chunk: chunk.div_ceil(2), from: 0 },
            };
            return;
        }
        let mut smaller = self.best.schedule.clone();
        smaller.actions.drain(from..all.min(from + chunk));
        let left_out = self.attempt(smaller);
        self.stage = Stage::Actions { chunk, from: if left_out { from } else { from + chunk } };
    }

    fn pair(&mut self, first: usize, second: usize) {
        let all = self.best.schedule.actions.len();
        self.stage = if all <= first + 1 {
            Stage::Nodes(1)
        } else if all <= second {
            Stage::Pair { first: first + 1, second: first + 2 }
        } else {
            let mut smaller = self.best.schedule.clone();
            smaller.actions.remove(second);
            smaller.actions.remove(first);
            let left_out = self.attempt(smaller);
            Stage::Pair { first, second: if left_out { first + 1 } else { second + 1 } }
        };
    }

    /// Tries a schedule, and keeps it if it fails in the same way.
    fn attempt(&mut self, mut schedule: Schedule) -> bool {
        self.trials += 1;
        let last = schedule.actions.last().map_or(Mono(0), |action| action.at);
        schedule.until = schedule.until.min(last + AFTERMATH).max(last);
        let Ok(report) = trial::of_schedule(&schedule, &self.best.terms) else { return false };
        let same =
            report.objection.as_ref().is_some_and(|objection| objection.promise == self.promise);
        if same {
            // Its schedule is without what made no sense.
            self.best = report;
            self.progress = true;
        }
        same
    }
}

/// Of so few actions every two are tried together.
const PAIRED: usize = 24;

/// How many seeds are tried for the key alone.
const SEEDS: u64 = 12;

/// How long after the last action the faults last at most.
const AFTERMATH: Micros = Micros::from_millis(1_000);

/// The schedule of a run in which every operation is an action and nothing is generated.
fn scripted(report: &Report) -> Schedule {
    let mut schedule = report.schedule.clone();
    schedule.config.workload.per_second = 0;
    schedule.actions.retain(|timed| !matches!(timed.action, Action::Workload(_)));
    let asked = report.generated.iter().cloned();
    schedule.actions.extend(asked.filter(|timed| timed.at <= report.schedule.until));
    // Stable, so actions of one time keep their order, and operations come behind them.
    schedule.actions.sort_by_key(|timed| timed.at);
    schedule
}

/// The schedule without operations on other keys, under the how-manieth seed from its own on.
fn about_key(report: &Report, nth: u64) -> Option<Schedule> {
    let key = report.key.as_ref()?;
    let mut schedule = report.schedule.clone();
    schedule.config.seed = schedule.config.seed.wrapping_add(nth);
    schedule.actions.retain(|timed| match &timed.action {
        Action::Client { operation, .. } => operation.key() == key,
        _ => true,
    });
    Some(schedule)
}

fn with_nodes(schedule: &Schedule, nodes: u16) -> Schedule {
    let mut smaller = schedule.clone();
    smaller.config.nodes = nodes;
    for timed in &mut smaller.actions {
        if let Action::Partition { groups } = &mut timed.action {
            groups.truncate(usize::from(nodes));
        }
    }
    // Actions on nodes that are gone make no sense and are left out.
    smaller
}

enum Simpler {
    Schedule(Schedule),
    Already,
    NoMore,
}

/// How many things can be simplified that are always there; behind them come the settings.
const FIXED: usize = 4;

fn simpler(schedule: &Schedule, which: usize) -> Simpler {
    let mut simple = schedule.clone();
    let config = &mut simple.config;
    match which {
        0 => config.network = NetworkConfig { loss: Ratio::ZERO, ..config.network },
        1 => config.network = NetworkConfig::default(),
        2 => config.sync = Micros::from_millis(1),
        3 => config.workload = Workload { quorum: config.workload.quorum, ..Workload::default() },
        _ if which - FIXED < config.settings.len() => drop(config.settings.remove(which - FIXED)),
        _ => return Simpler::NoMore,
    }
    if simple == *schedule { Simpler::Already } else { Simpler::Schedule(simple) }
}

/// What follows an action comes a millisecond after it, or at the next whole millisecond.
fn sooner(schedule: &Schedule, which: usize) -> Option<Schedule> {
    let (index, whole) = (which / 2, which % 2 == 1);
    let mut sooner = schedule.clone();
    let before = index
        .checked_sub(1)
        .map_or(Mono(0), |index| sooner.actions.get(index).map_or(Mono(0), |timed| timed.at));
    let at = sooner.actions.get(index)?.at;
    let wanted = match whole {
        true => Mono(at.0 / 1_000 * 1_000).max(before),
        false => before + Micros::from_millis(1),
    };
    let gain = at - wanted;
    let moved: &mut [TimedAction] = &mut sooner.actions[index..];
    for timed in moved {
        timed.at = Mono(timed.at.0 - gain.0);
    }
    sooner.until = Mono(sooner.until.0 - gain.0);
    Some(sooner)
}

/// The operations that generated clients began, as actions.
pub(super) fn as_actions<'a>(
    records: impl Iterator<Item = &'a super::OperationRecord>,
) -> Vec<TimedAction> {
    let of_clients = records.filter(|record| record.client.is_some());
    of_clients
        .map(|record| TimedAction {
            at: record.called,
            action: Action::Client {
                client: record.client,
                node: record.node,
                operation: record.operation.clone(),
            },
        })
        .collect()
}
