//! A trial as a scenario script, so that what failed once stays in the suite as something to read.
//!
//! The script is in the language of `kv-core/tests/scripts`: how the run begins, then each action with its
//! time, then what clients were answered and what the judges say. It holds the transcript too, as the
//! runner of the suite would write it with the same core, so it passes there at once. Once what was wrong is
//! mended, the last line of the transcript is another.

use alloc::format;
use alloc::string::String;

use super::action::TimedAction;
use super::told::{self, Names};
use super::trial::{self, Report, Schedule, Terms};
use super::world::World;
use crate::check::Objection;
use crate::time::Mono;

/// The script of a trial and its transcript; none if something in it is no text for a line, or if there
/// are more operations than a world keeps.
#[must_use]
pub fn of(report: &Report) -> Option<String> {
    let Schedule { config, actions, until } = &report.schedule;
    let mut script = String::new();
    if let Some(objection) = &report.objection {
        script += &format!("# {}\n", objection.promise);
    }
    script += &format!("begin {}\n", config.pairs().join(" "));
    let mut world = World::new(config.clone()).ok()?;
    let mut names = Names::default();
    for TimedAction { at, action } in actions {
        script += &format!("{}: {}\n", moment(*at), action.command()?);
        names.learn(&world);
        world.run_until(*at, u64::MAX);
        world.act(action.clone()).ok()?;
    }
    script += &format!("run until={}\nanswers\njudge\n---\n", moment(*until));
    names.learn(&world);
    world.run_until(*until, u64::MAX);
    names.learn(&world);
    script += &answers(&world, &names)?;
    script += &verdict(report.objection.as_ref());
    Some(script)
}

/// What every operation so far was answered, a line for each; none if there were more than are kept.
#[must_use]
pub fn answers(world: &World, names: &Names) -> Option<String> {
    let whole = world.operations().next().is_none_or(|first| first.number == 0);
    whole.then(|| world.operations().map(|record| told::operation(names, record)).collect())
}

/// What the judges say about a world, if all faults ended now.
#[must_use]
pub fn judge(world: &World) -> String {
    match trial::of_schedule(&Schedule::of(&world.run()), &Terms::default()) {
        Ok(report) => verdict(report.objection.as_ref()),
        Err(refused) => format!("{refused}\n"),
    }
}

fn verdict(objection: Option<&Objection>) -> String {
    objection.map_or_else(|| String::from("no objection\n"), |objection| format!("{objection}\n"))
}

/// A moment of a run, exact.
fn moment(at: Mono) -> String {
    format!("{}.{:06}s", at.0 / 1_000_000, at.0 % 1_000_000)
}
