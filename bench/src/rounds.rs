//! Rounds: every phase runs on every engine before the next phase begins, in an order that turns by
//! one each round, so that whatever else the machine does meets all engines alike.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::engine::Kind;
use crate::measure;
use crate::phase::{Extent, Numbers, Phase};

/// What to run.
pub(crate) struct Plan {
    pub(crate) engines: Vec<Kind>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) rounds: u64,
    pub(crate) extent: Extent,
    pub(crate) buffered: bool,
    /// Where the databases are made; what is left there of an earlier run is removed.
    pub(crate) folder: PathBuf,
    /// Leaves the databases there in the end.
    pub(crate) keep: bool,
}

/// The numbers of every round.
#[derive(Default)]
pub(crate) struct Results {
    /// By engine's name.
    pub(crate) engines: BTreeMap<&'static str, Vec<Numbers>>,
    /// Syncs per second of the bare device, in place and growing.
    pub(crate) raw_syncs: Vec<(f64, f64)>,
}

/// Runs all rounds. Progress goes to standard error.
pub(crate) fn run(plan: &Plan) -> Result<Results> {
    let mut results = Results::default();
    for round in 0..plan.rounds {
        let mut engines = plan.engines.clone();
        let turn = round as usize % engines.len();
        engines.rotate_left(turn);
        let mut numbers: BTreeMap<_, Numbers> = BTreeMap::new();
        for engine in &engines {
            remove(&plan.folder.join(engine.name()))?;
        }
        for phase in phases(plan) {
            for engine in &engines {
                let folder = plan.folder.join(engine.name());
                let folder =
                    if is_synced(phase) { folder.join("synced") } else { folder.join("db") };
                if is_synced(phase) {
                    remove(&folder)?;
                }
                fs::create_dir_all(&folder)?;
                eprint!(
                    "round {} of {}: {} {} ... ",
                    round + 1,
                    plan.rounds,
                    phase.name(),
                    engine.name()
                );
                let told = in_child(plan, *engine, phase, &folder)?;
                let rate = told.get(&format!("{} per s", phase.name()));
                eprintln!("{}", rate.map_or_else(String::new, |rate| format!("{rate:.0}/s")));
                numbers.entry(engine.name()).or_default().extend(told);
            }
        }
        if plan.phases.iter().copied().any(is_synced) {
            results.raw_syncs.push(measure::raw_syncs(&plan.folder, plan.extent.sync_time)?);
        }
        for (engine, numbers) in numbers {
            results.engines.entry(engine).or_default().push(numbers);
        }
    }
    if !plan.keep {
        for engine in &plan.engines {
            remove(&plan.folder.join(engine.name()))?;
        }
    }
    Ok(results)
}

/// Those asked for, and the insertion that they need.
fn phases(plan: &Plan) -> Vec<Phase> {
    let mut phases = plan.phases.clone();
    if phases.iter().any(|phase| phase.needs_entries()) && !phases.contains(&Phase::Insert) {
        phases.insert(0, Phase::Insert);
    }
    phases
}

fn is_synced(phase: Phase) -> bool {
    matches!(phase, Phase::Sync100 | Phase::Sync1 | Phase::Sync16)
}

fn in_child(plan: &Plan, engine: Kind, phase: Phase, folder: &Path) -> Result<Numbers> {
    let mut child = Command::new(env::current_exe()?);
    child.args(["phase", engine.name(), &phase.name()]).arg(folder);
    child.args(["--ops", &plan.extent.entries.to_string()]);
    child.args(["--sync-seconds", &plan.extent.sync_time.as_secs_f64().to_string()]);
    if plan.buffered {
        child.arg("--buffered");
    }
    let output = child.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{} failed in phase {}: {}", engine.name(), phase.name(), output.status);
    }
    serde_json::from_slice(&output.stdout).context("a phase did not tell its numbers in JSON")
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
