//! A search for a run that breaks a demand: attacks on clusters with the settings of the reader's own,
//! seed by seed, and then the smallest run that shows what was found.
//!
//! A page has several of these, each in a worker of its own.

use kv_core::check::Demand;
use kv_core::settings::Setting;
use kv_core::sim::shrink::Shrinking;
use kv_core::sim::trial::{self, Plan, Report, Terms};
use kv_core::sim::{ActionRefused, link, script};
use serde::Serialize;
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;

use crate::action::{SettingValue, settings_to_core};
use crate::fields::Fields;
use crate::refusal;

/// What is attacked, and what is demanded of it.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct Attack {
    /// How many nodes there are.
    pub nodes: u16,
    /// Settings that differ from their defaults.
    pub settings: Vec<SettingValue>,
    /// The names of the demands; `recovers` is that the cluster becomes whole when all faults end.
    pub demands: Vec<String>,
    /// How often something is broken or mended in each run.
    pub strikes: u32,
}

/// What became of a run.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct Tried {
    /// How many simulator events it had.
    pub events: u64,
    /// How many operations clients began.
    pub operations: u64,
    /// What it has found.
    pub found: Option<Found>,
}

/// A run that breaks a demand: the smallest so far.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct Found {
    /// The promise that is broken.
    pub promise: String,
    /// What is wrong.
    pub words: String,
    /// When that was complete.
    pub at_us: u64,
    /// How many nodes it takes.
    pub nodes: u16,
    /// What is done in it, in words.
    pub deeds: Vec<String>,
    /// How many smaller runs were tried.
    pub trials: u64,
    /// Whether nothing more can be left out.
    pub smallest: bool,
    /// The run as text for a link.
    pub link: String,
}

/// A search.
#[wasm_bindgen]
pub struct Search {
    plan: Plan,
    shrinking: Option<Shrinking>,
}

#[wasm_bindgen]
impl Search {
    /// A search that has tried nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new(attack: Ts<Attack>) -> Result<Self, JsError> {
        let plan = plan(&attack.into()).map_err(refusal)?;
        Ok(Self { plan, shrinking: None })
    }

    /// Attacks the cluster of a seed.
    pub fn attack(&mut self, seed: u32) -> Result<Ts<Tried>, JsError> {
        let report = trial::of_seed(u64::from(seed), &self.plan).map_err(refusal)?;
        let (events, operations) = (report.run.steps, report.operations);
        self.shrinking = Shrinking::new(report);
        Ok(Tried { events, operations, found: self.found() }.into_ts()?)
    }

    /// Tries to make what was found smaller, once.
    pub fn shrink(&mut self) -> Result<Ts<Tried>, JsError> {
        if let Some(shrinking) = &mut self.shrinking {
            shrinking.step();
        }
        let best = self.shrinking.as_ref().map(Shrinking::best);
        let (events, operations) = best.map_or((0, 0), |best| (best.run.steps, best.operations));
        Ok(Tried { events, operations, found: self.found() }.into_ts()?)
    }

    /// What was found, as a script of the core's test suite, and as the suite judges it, which demands
    /// everything; nothing if nothing was found, or if it cannot be one.
    pub fn script(&self) -> Option<String> {
        let schedule = &self.shrinking.as_ref()?.best().schedule;
        script::of(&trial::of_schedule(schedule, &Terms::default()).ok()?)
    }
}

impl Search {
    fn found(&self) -> Option<Found> {
        let shrinking = self.shrinking.as_ref()?;
        let Report { schedule, run, objection: Some(objection), .. } = shrinking.best() else {
            return None;
        };
        Some(Found {
            promise: objection.promise.to_string(),
            words: objection.words.clone(),
            at_us: objection.at.0,
            nodes: schedule.config.nodes,
            deeds: schedule.actions.iter().map(|timed| timed.action.words()).collect(),
            trials: shrinking.trials(),
            smallest: shrinking.is_done(),
            link: link::encode(run),
        })
    }
}

/// How long a request waits: shorter than by default, so that runs are short.
const TIMEOUT_MS: (Setting, u64) = (Setting::RequestTimeoutMs, 500);

fn plan(attack: &JsValue) -> Result<Plan, ActionRefused> {
    let fields = Fields::of(attack);
    let mut settings = settings_to_core(&SettingValue::read_all(&fields.list("settings")?)?)?;
    settings.retain(|(setting, _)| *setting != TIMEOUT_MS.0);
    settings.push(TIMEOUT_MS);
    let names: Vec<String> =
        fields.list("demands")?.iter().filter_map(JsValue::as_string).collect();
    let demands = names.iter().filter_map(|name| Demand::of_name(name)).collect();
    let recovers = names.iter().any(|name| name == "recovers");
    Ok(Plan {
        strikes: fields.number("strikes")?,
        nodes: Some(fields.number("nodes")?),
        settings: Some(settings),
        terms: Terms { demands, recovers },
        ..Plan::default()
    })
}
