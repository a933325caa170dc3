//! kv-core's simulator for a browser page.
//!
//! [`Sim`] is a [`Timeline`] of a simulated cluster, with its judges, behind a surface that JavaScript
//! can hold: plain objects in, plain objects and one packed buffer per [`frame`] out. [`search::Search`]
//! looks for runs that break a promise. They convert and decide nothing. Refusals are thrown as `Error`
//! with the core's own words; a panic, which is a bug, is thrown as a plain string, and the page halts.

#![forbid(unsafe_code)]

use kv_core::sim::timeline::Timeline;
use kv_core::sim::{ActionRefused, Run, Verdicts, World, link};
use kv_core::time::Mono;
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;

pub mod action;
mod elections;
mod facts;
mod fields;
pub mod frame;
pub mod inspect;
pub mod search;
pub mod storage;
pub mod travel;
pub mod words;

use action::{Act, Clients, LinkSettings, Network, RunConfig, SettingValue};
use elections::Elections;
use inspect::{KeyObject, LinkObject, MachineObject, NodeObject, SettingRow, SettingState};
use travel::{Mark, VerdictObject};
use words::{ActionLine, Names, OperationLine, Trace};

/// How many events a link to a crash plays at most beyond what is known to go well.
const STEPS_TO_A_CRASH: u64 = 1_000_000;

/// So many events are played between two looks at the history, so that none of it is missed.
const SLICE: u64 = 256;

/// A simulated cluster, and all moments of it.
#[wasm_bindgen]
pub struct Sim {
    timeline: Timeline,
    verdicts: Verdicts,
    elections: Elections,
    names: Names,
    kinds: facts::Kinds,
    key_counts: facts::KeyCounts,
}

#[wasm_bindgen]
impl Sim {
    /// A new run.
    #[wasm_bindgen(constructor)]
    pub fn new(config: Ts<RunConfig>) -> Result<Self, JsError> {
        let config =
            RunConfig::read(&config.into()).and_then(|config| config.to_core()).map_err(refusal)?;
        Timeline::new(config).map(Self::of).map_err(refusal)
    }

    /// The run of a share link, played to its end. Compare [`Sim::hash`] with the link's.
    pub fn from_link(text: &str) -> Result<Self, JsError> {
        let mut sim = Self::of(Timeline::of_run(&link::decode(text)?.run).map_err(refusal)?);
        while !sim.go_on(u32::MAX)? {}
        Ok(sim)
    }

    /// How the run began.
    pub fn config(&self) -> Result<Ts<RunConfig>, JsError> {
        Ok(RunConfig::of(self.world().config()).into_ts()?)
    }

    /// The network as it is now.
    pub fn network(&self) -> Result<Ts<Network>, JsError> {
        Ok(Network::of(self.world().network()).into_ts()?)
    }

    /// The settings that messages from one node to another have for themselves; nothing if they go by
    /// those of the network.
    pub fn link_settings(&self, from: u16, to: u16) -> Result<Option<Ts<LinkSettings>>, JsError> {
        let own = self.world().link_config(from, to).map(LinkSettings::of);
        Ok(own.map(|own| own.into_ts()).transpose()?)
    }

    /// The generated clients as they are now.
    pub fn clients(&self) -> Result<Ts<Clients>, JsError> {
        Ok(Clients::of(self.world().workload()).into_ts()?)
    }

    /// Does something to the world, now.
    pub fn act(&mut self, act: Ts<Act>) -> Result<(), JsError> {
        let action = Act::read(&act.into()).and_then(|act| act.to_core()).map_err(refusal)?;
        self.timeline.act(action).map_err(refusal)?;
        self.follow();
        Ok(())
    }

    /// Runs on until a time in microseconds, or for so many steps. Whether the time was reached. Where
    /// the branch has a future it is that.
    pub fn advance(&mut self, until_us: f64, steps_max: u32) -> Result<bool, JsError> {
        let until = Mono(until_us.max(0.0) as u64);
        self.in_slices(steps_max, |timeline, steps| timeline.run_until(until, steps))
    }

    /// Runs the next event or action only.
    pub fn step(&mut self) -> Result<(), JsError> {
        self.timeline.step().map_err(refusal)?;
        self.follow();
        Ok(())
    }

    /// Looks for what was there before the latest event or action: call [`Sim::go_on`] until it is found.
    pub fn step_back(&mut self) -> Result<(), JsError> {
        self.timeline.step_back().map_err(refusal)
    }

    /// Looks for a moment of a branch: call [`Sim::go_on`] until it is found.
    pub fn seek(&mut self, branch: u32, at_us: f64) -> Result<(), JsError> {
        self.timeline.seek(branch as usize, Mono(at_us.max(0.0) as u64)).map_err(refusal)
    }

    /// Plays on towards what is looked for, for so many events. Whether it is found.
    pub fn go_on(&mut self, steps_max: u32) -> Result<bool, JsError> {
        self.in_slices(steps_max, Timeline::go_on)
    }

    /// The branch shown; then of each branch the one it left or -1, when it begins and ends in
    /// microseconds, and how many actions it holds.
    pub fn tracks(&self) -> Vec<f64> {
        travel::tracks(&self.timeline)
    }

    /// What was done on a branch since it began.
    pub fn marks(&self, branch: u32) -> Result<Vec<Ts<Mark>>, JsError> {
        all(travel::marks(&self.timeline, branch as usize).into_iter())
    }

    /// Who led the metadata group on the branch shown, its past and what was played of its future
    /// included: of each election when it was in microseconds, the node, and its term.
    pub fn elections(&self) -> Vec<f64> {
        self.elections.of(self.timeline.branch())
    }

    /// What the judges say of this branch up to this moment.
    pub fn verdicts(&mut self) -> Result<Vec<Ts<VerdictObject>>, JsError> {
        self.names.learn(self.timeline.world());
        all(travel::verdicts(&mut self.verdicts, &self.timeline, &self.names).into_iter())
    }

    /// The time, in microseconds.
    pub fn now(&self) -> f64 {
        self.world().now().0 as f64
    }

    /// The rolling hash over everything that went into and came out of every node.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.world().hash())
    }

    /// What the stage draws; [`frame`] has the layout.
    pub fn frame(&mut self) -> Vec<u8> {
        self.names.learn(self.timeline.world());
        facts::frame(self.timeline.world(), &self.names, &mut self.kinds, &mut self.key_counts)
            .pack()
    }

    /// The names of the kinds of messages, by their number in the frame.
    pub fn kinds(&self) -> Vec<String> {
        self.kinds.names().iter().map(|name| (*name).to_owned()).collect()
    }

    /// The events from this index on: the latest ones, at most `most` changes of state, and as many
    /// single requests and messages.
    pub fn trace_since(&mut self, index: f64, most: u32) -> Result<Ts<Trace>, JsError> {
        self.names.learn(self.timeline.world());
        let trace = Trace::since(self.world(), index.max(0.0) as u64, most as usize, &self.names);
        Ok(trace.into_ts()?)
    }

    /// The actions from this one on.
    pub fn actions_since(&self, index: u32) -> Result<Vec<Ts<ActionLine>>, JsError> {
        let lines = self.world().actions().iter().skip(index as usize).map(ActionLine::of);
        all(lines)
    }

    /// The latest operations of clients, oldest first: all that are open, and others up to `most`.
    pub fn operations(&mut self, most: u32) -> Result<Vec<Ts<OperationLine>>, JsError> {
        self.names.learn(self.timeline.world());
        let surplus = self.world().operations().count().saturating_sub(most as usize);
        let wanted = self
            .world()
            .operations()
            .enumerate()
            .filter(|(place, record)| *place >= surplus || record.outcome.is_none());
        all(wanted.map(|(_, record)| OperationLine::of(record, &self.names)))
    }

    /// A node as it is right now; nothing while it is down.
    pub fn inspect(&mut self, node: u16) -> Result<Option<Ts<NodeObject>>, JsError> {
        self.names.learn(self.timeline.world());
        let object = inspect::node(self.world(), node, &self.names);
        Ok(object.map(|object| object.into_ts()).transpose()?)
    }

    /// What a node runs on, whether it runs or not; nothing if there is no such node.
    pub fn machine(&self, node: u16) -> Result<Option<Ts<MachineObject>>, JsError> {
        Ok(inspect::machine(self.world(), node).map(|object| object.into_ts()).transpose()?)
    }

    /// A key on all nodes.
    pub fn key(&mut self, key: &str) -> Result<Ts<KeyObject>, JsError> {
        self.names.learn(self.timeline.world());
        Ok(inspect::key(self.world(), key, &self.names).into_ts()?)
    }

    /// The values of all settings on all nodes.
    pub fn settings(&self) -> Result<Vec<Ts<SettingState>>, JsError> {
        all(inspect::settings(self.world()).into_iter())
    }

    /// Why a node would not take these changes of settings; nothing if it would.
    pub fn settings_refused(
        &self,
        node: u16,
        changes: Vec<Ts<SettingValue>>,
    ) -> Result<Option<String>, JsError> {
        let changes: Vec<JsValue> = changes.into_iter().map(JsValue::from).collect();
        let changes = SettingValue::read_all(&changes).map_err(refusal)?;
        let changes = action::settings_to_core(&changes).map_err(refusal)?;
        Ok(match self.world().view(node) {
            Some(view) => view.settings.with(&changes).err(),
            None => Some(format!("{} is down; choose another node", words::name(node.into()))),
        })
    }

    /// The run up to now as text for a link. Fails if it has become too long for one.
    pub fn link(&self) -> Result<String, JsError> {
        link::share(&self.world().run()).map_err(refusal)
    }

    /// The same, played on to a later time whose hash is not known: a link to a crash of the simulator.
    pub fn link_to(&self, until_us: f64) -> String {
        let run = self.world().run();
        let steps = run.steps + STEPS_TO_A_CRASH;
        link::encode(&Run { until: Mono(until_us.max(0.0) as u64), steps, hash: 0, ..run })
    }
}

impl Sim {
    fn of(timeline: Timeline) -> Self {
        let names = Names::of(timeline.world());
        let mut sim = Self {
            timeline,
            verdicts: Verdicts::default(),
            elections: Elections::default(),
            names,
            kinds: facts::Kinds::default(),
            key_counts: facts::KeyCounts::default(),
        };
        sim.follow();
        sim
    }

    /// Takes in what is new of the branch shown.
    fn follow(&mut self) {
        self.verdicts.follow(&self.timeline);
        self.elections.follow(&self.timeline);
    }

    fn world(&self) -> &World {
        self.timeline.world()
    }

    fn in_slices(
        &mut self,
        steps_max: u32,
        mut play: impl FnMut(&mut Timeline, u64) -> Result<bool, ActionRefused>,
    ) -> Result<bool, JsError> {
        let mut left = u64::from(steps_max);
        loop {
            let slice = left.min(SLICE);
            let there = play(&mut self.timeline, slice).map_err(refusal)?;
            self.follow();
            left -= slice;
            if there || left == 0 {
                return Ok(there);
            }
        }
    }
}

/// What a share link holds; thrown in words if it is none.
#[wasm_bindgen]
pub fn parse_link(text: &str) -> Result<Ts<LinkObject>, JsError> {
    Ok(inspect::link(&link::decode(text)?).into_ts()?)
}

/// The settings table, from which the sliders are made.
#[wasm_bindgen]
pub fn settings_table() -> Result<Vec<Ts<SettingRow>>, JsError> {
    all(inspect::settings_rows().into_iter())
}

/// A stamp of the sources of the core inside.
#[wasm_bindgen]
pub fn build() -> String {
    kv_core::BUILD.into()
}

/// Makes a panic throw its own words; without this JavaScript sees only "unreachable".
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        // A string, not an `Error`: so the page tells a bug from a refusal.
        wasm_bindgen::throw_val(JsValue::from_str(&panic.to_string()))
    }));
}

fn all<T: Tsify + serde::Serialize>(
    objects: impl Iterator<Item = T>,
) -> Result<Vec<Ts<T>>, JsError> {
    Ok(objects.map(|object| object.into_ts()).collect::<Result<_, _>>()?)
}

fn refusal(refused: ActionRefused) -> JsError {
    JsError::new(&refused.0)
}
