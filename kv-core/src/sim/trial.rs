//! One run under attack, from its seed to its verdict.
//!
//! A trial has two phases. In the first everything may break. Then all faults end, and by a deadline the
//! cluster must be whole: all nodes run, know each other and agree. Every key is read twice, on different
//! nodes, and then the judges are heard: about the history of the clients, about what nodes said before
//! their disks held it, and about the replicas, which must be equal by then.
//!
//! What was done in the first phase is a [`Schedule`]: plain data, so it can be made smaller and tried
//! again ([`super::shrink`]), travels as a link, and stays in the suite once it has found something.

mod state;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::act::ACTIONS_MAX;
use super::action::{Action, ClientOperation, TimedAction};
use super::config::{ActionRefused, Run, SimConfig};
use super::disk::SimDisk;
use super::fault::{Fault, Faults};
use super::history::History;
use super::nemesis::Nemesis;
use super::shrink;
use super::tally::{self, Kind};
use super::world::World;
use crate::check::{Demand, Objection, Promise, Verdict};
use crate::ordered::{Map, Set};
use crate::settings::Setting;
use crate::time::{Micros, Mono};

/// What is done to a cluster before all faults end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How the run begins.
    pub config: SimConfig,
    /// What is done, in the order of times. What makes no sense when its time comes is left out.
    pub actions: Vec<TimedAction>,
    /// When all faults end.
    pub until: Mono,
}

/// What becomes of a trial.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was done.
    pub schedule: Schedule,
    /// The whole run, the reads in the end among it.
    pub run: Run,
    /// What it was judged by.
    pub terms: Terms,
    /// The first thing that is wrong, if something is.
    pub objection: Option<Objection>,
    /// What could not be judged, and why, if nothing is wrong.
    pub undecided: Option<String>,
    /// The key that the objection is about, if about one.
    pub key: Option<Bytes>,
    /// How many operations clients began.
    pub operations: u64,
    /// Those that generated clients began, as actions.
    pub(super) generated: Vec<TimedAction>,
    /// How often each kind of fault was done before all of them ended; 0 for those that were not.
    pub faults: Map<Kind, u64>,
}

/// What a run is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What is demanded of the answers.
    pub demands: Vec<Demand>,
    /// Whether the second phase is part of it: that all faults end, that the cluster becomes whole
    /// then, that every request was answered in time, and all that nodes show.
    pub recovers: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { demands: Demand::ALL.to_vec(), recovers: true }
    }
}

/// How the clusters that are attacked differ from what the nemesis draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How often something is broken or mended; less often if a run would have no room for it.
    pub strikes: u32,
    /// Which kinds of faults there are.
    pub faults: Faults,
    /// How many nodes there are; drawn from the seed if none.
    pub nodes: Option<u16>,
    /// How many operations begin per second; drawn from the seed if none.
    pub per_second: Option<u32>,
    /// Whether the number of replicas changes on the way, so that partitions move.
    pub moves: bool,
    /// The settings at first, which then stay; drawn from the seed if none, and changed on the way.
    pub settings: Option<Vec<(Setting, u64)>>,
    /// What the runs are judged by.
    pub terms: Terms,
}

impl Default for Plan {
    fn default() -> Self {
        let terms = Terms::default();
        let (strikes, faults, settings) = (60, Faults::ALL, None);
        Self { strikes, faults, nodes: None, per_second: None, moves: false, settings, terms }
    }
}

/// How long a cluster may take to be whole once nothing is broken any more.
const RECOVERY: Micros = Micros::from_millis(8_000);
/// What a node does of itself waits no longer than this.
const GRACE: Micros = Micros::from_millis(500);
/// Longer than any request may take: two seconds by a clock that runs a tenth too slow, and then two of
/// the slowest syncs before the answer leaves.
const PATIENCE: Micros = Micros::from_millis(2_700);
/// The same once clocks run right and disks are fast again.
const PATIENCE_AT_REST: Micros = Micros::from_millis(2_500);
/// The history is looked at so often that none of it is missed.
const GLANCE: Micros = Micros::from_millis(50);
/// The most replicas there are while partitions move.
const REPLICAS_MAX: u64 = 5;

/// Attacks the cluster of this seed and judges it.
///
/// # Panics
///
/// If it has missed an operation, which would be a fault of the trial itself.
pub fn of_seed(seed: u64, plan: &Plan) -> Result<Report, ActionRefused> {
    let mut nemesis = match plan.moves {
        true => Nemesis::moving_partitions(seed, REPLICAS_MAX),
        false => Nemesis::new(seed),
    };
    let faults = match plan.settings {
        Some(_) => plan.faults.without(Fault::Settings),
        None => plan.faults,
    };
    nemesis = nemesis.with_faults(faults);
    let mut config = nemesis.config(seed);
    config.nodes = plan.nodes.unwrap_or(config.nodes);
    config.workload.per_second = plan.per_second.unwrap_or(config.workload.per_second);
    if let Some(settings) = &plan.settings {
        config.settings = settings.clone();
        config.workload.quorum = 0;
    }
    let mut trial = Trial::begin(config, &plan.terms)?;
    for _ in 0..plan.strikes {
        if trial.world.actions().len() as u64 > ACTIONS_MAX / 2 {
            break; // What is broken must be mended, and all keys read.
        }
        trial.pass_until(nemesis.next_strike(trial.world.now()));
        nemesis.strike_now(&mut trial.world);
    }
    Ok(trial.finish())
}

/// Does what the schedule says and judges what becomes of it.
///
/// # Panics
///
/// If it has missed an operation, which would be a fault of the trial itself.
pub fn of_schedule(schedule: &Schedule, terms: &Terms) -> Result<Report, ActionRefused> {
    let mut trial = Trial::begin(schedule.config.clone(), terms)?;
    for TimedAction { at, action } in &schedule.actions {
        trial.pass_until(*at);
        // A smaller schedule may mend what was never broken.
        trial.act(action.clone());
    }
    trial.pass_until(schedule.until);
    Ok(trial.finish())
}

impl Schedule {
    /// The schedule of a run. The judges will read all keys behind its end.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self { config: run.config.clone(), actions: run.actions.clone(), until: run.until }
    }
}

struct Trial {
    world: World,
    history: History,
    terms: Terms,
    objection: Option<Objection>,
    undecided: Option<String>,
}

impl Trial {
    fn begin(config: SimConfig, terms: &Terms) -> Result<Self, ActionRefused> {
        let mut world = World::new(config)?;
        if terms.recovers {
            world.watch();
        }
        let (history, terms) = (History::default(), terms.clone());
        Ok(Self { world, history, terms, objection: None, undecided: None })
    }

    fn follow(&mut self) {
        self.history.follow(&self.world);
        if !self.terms.recovers {
            return;
        }
        if let Err(words) = state::bounded(&self.world) {
            self.object(Promise::BoundedQueues, words);
        }
    }

    /// Does what makes sense, and looks at once: a world keeps the latest operations only.
    fn act(&mut self, action: Action) {
        drop(self.world.act(action));
        self.history.follow(&self.world);
    }

    fn pass_until(&mut self, until: Mono) {
        while self.world.now() < until {
            self.world.run_until(until.min(self.world.now() + GLANCE), u64::MAX);
            self.follow();
        }
    }

    fn pass(&mut self, span: Micros) {
        self.pass_until(self.world.now() + span);
    }

    /// Only the first objection counts.
    fn object(&mut self, promise: Promise, words: String) {
        let at = self.world.now();
        self.objection.get_or_insert_with(|| Objection::new(promise, Vec::new(), at, words));
    }

    fn finish(mut self) -> Report {
        let schedule = Schedule {
            config: self.world.config().clone(),
            actions: self.world.actions().to_vec(),
            until: self.world.now(),
        };
        let disks = (0..self.world.nodes()).filter_map(|node| self.world.disk(node));
        let faults = tally::of(&schedule.config, &schedule.actions, disks.map(SimDisk::harm));
        if self.terms.recovers {
            self.recover();
        } else {
            self.pass(PATIENCE);
            self.judge_history();
        }
        let run = self.world.run();
        let witness = self.objection.as_ref().and_then(|objection| objection.operations.first());
        let mut records = self.history.records();
        let key = records.find(|record| Some(&record.number) == witness);
        let key = key.map(|record| record.operation.key().clone());
        Report {
            schedule,
            run,
            terms: self.terms,
            objection: self.objection,
            undecided: self.undecided,
            key,
            operations: self.history.end(),
            generated: shrink::as_actions(self.history.records()),
            faults,
        }
    }

    /// The second phase.
    fn recover(&mut self) {
        Nemesis::relent(&mut self.world);
        self.pass(RECOVERY);
        let mut recovered = state::whole(&self.world);
        if recovered.is_ok() && state::idle(&self.world).is_err() {
            // Nodes look for damage by themselves: one may mend just now what it has only now found.
            self.pass(GRACE);
            recovered = state::idle(&self.world);
        }
        match recovered {
            Err(words) => self.object(Promise::Recovery, words),
            Ok(()) => self.drain(),
        }
        let asked = self.history.end();
        let keys = self.read_all();
        self.judge_answers(asked);
        self.judge_history();
        let equal = state::equal(&self.world, &keys);
        let shards = equal.and_then(|()| state::equal_shards(&self.world));
        if let Err(words) = shards.and_then(|()| state::mended(&self.world)) {
            self.object(Promise::Convergence, words);
        }
    }

    /// Nobody asks for anything any more, so what there is is left over, unless a node has just now found
    /// something to mend.
    fn drain(&mut self) {
        const TIMES: u64 = 8;
        for _ in 0..TIMES {
            if state::drained(&self.world).is_ok() {
                return;
            }
            self.pass(GRACE);
        }
        if let Err(words) = state::drained(&self.world) {
            self.object(Promise::BoundedQueues, format!("{words}, and nobody waits for them"));
        }
    }

    /// Reads every key twice, each time on another node. Returns the keys of the eventual keyspace.
    fn read_all(&mut self) -> Vec<Bytes> {
        let keys_of = |strong: bool| {
            let records = self.history.records().map(|record| &record.operation);
            let some = records.filter(|operation| operation.is_strong() == strong);
            some.map(|operation| operation.key().clone()).collect::<Set<_>>()
        };
        let (keys, strong) = (keys_of(false), keys_of(true));
        let reads = keys.iter().map(|key| ClientOperation::Get { key: key.clone() });
        let strong = strong.into_iter().map(|key| ClientOperation::Get { key }.in_strong());
        let reads: Vec<ClientOperation> = reads.chain(strong).collect();
        for round in 0..2 {
            for (number, operation) in (0..).zip(&reads) {
                let node = (number + round) % self.world.nodes();
                let operation = operation.clone();
                // Refused only where a run is full of actions.
                self.act(Action::Client { client: None, node, operation });
            }
            self.pass(PATIENCE);
        }
        keys.into_iter().collect()
    }

    /// Every operation ended in time, unless its node could not answer; and from the one with this
    /// number on, when nothing was broken any more, with success.
    fn judge_answers(&mut self, from: u64) {
        let patience = |number: u64| if number < from { PATIENCE } else { PATIENCE_AT_REST };
        let failed = self.history.records().find(|record| match &record.outcome {
            None => true,
            Some((at, outcome)) => {
                let late = *at - record.called > patience(record.number)
                    && !state::could_not_answer(&self.world, record);
                late || (record.number >= from && outcome.is_err())
            }
        });
        let Some(record) = failed else { return };
        let node = u32::from(record.node) + 1;
        let what = record.operation.words();
        let words = match &record.outcome {
            Some((at, Err(error))) if *at - record.called <= patience(record.number) => {
                format!("nothing was broken any more, and n{node} did not {what}: {error}")
            }
            _ => format!(
                "n{node} was asked to {what} at {} µs and did not answer in time",
                record.called.0
            ),
        };
        let numbers = alloc::vec![record.number];
        let at = self.world.now();
        self.objection
            .get_or_insert_with(|| Objection::new(Promise::AnswersInTime, numbers, at, words));
    }

    fn judge_history(&mut self) {
        if let Some(objection) = self.world.watched() {
            self.objection.get_or_insert_with(|| objection.clone());
        }
        assert!(self.history.is_whole(), "judges are given every operation");
        let judge = |demand: &Demand| demand.judge(&self.history.operations(*demand));
        let verdicts = self.terms.demands.iter().map(judge);
        match verdicts.fold(Verdict::Holds, Verdict::and) {
            // Of an attack that did not heal as well, this is what a reader wants to know first.
            Verdict::Wrong(objection) => self.objection = Some(objection),
            Verdict::Undecided(words) => self.undecided = Some(words),
            Verdict::Holds => {}
        }
    }
}
