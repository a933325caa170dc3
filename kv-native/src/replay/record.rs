//! The journals of a run: what went into each node, in a file for each of its openings.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kv_core::journal::Recorder;
use kv_core::sim::{Run, TimedAction, World};
use kv_core::time::Mono;
use rustix::fs::{Access, access};

use super::refused;
use crate::cli::{End, output};

/// The most bytes of all journals of a run together.
const BYTES_MAX: u64 = 1 << 30;
/// They are counted after so many events.
const STEPS: u64 = 100_000;

/// Makes the folder if it is not there, and finds out whether files can be written to it.
pub(crate) fn folder(folder: &Path) -> Result<(), End> {
    let made = fs::create_dir_all(folder);
    let made = made.and_then(|()| Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?));
    made.map_err(|error| {
        End::misuse(format!("{} cannot be written to: {error}; nothing was done", folder.display()))
    })
}

/// Plays a run and writes the journal of each opening of each node to the folder, n1-1.journal first.
pub(crate) fn record(run: &Run, folder: &Path) -> Result<World, End> {
    let mut world = World::recorded(run.config.clone()).map_err(refused)?;
    for TimedAction { at, action } in &run.actions {
        if !go_on(&mut world, run, *at)? {
            return Err(End::misuse(
                "the run has more events than it says, so another build made it; no journal was written",
            ));
        }
        world.act(action.clone()).map_err(refused)?;
    }
    // A run may end within a moment.
    go_on(&mut world, run, run.until)?;
    let mut words = String::new();
    for node in 0..world.nodes() {
        for (number, journal) in (1..).zip(world.journals(node)) {
            let file = folder.join(format!("{}-{number}.journal", super::name_of(node)));
            fs::write(&file, journal.ended()).map_err(|error| {
                End::misuse(format!("{} cannot be written: {error}", file.display()))
            })?;
            let full = if journal.is_full() { ", and more that was not recorded" } else { "" };
            let _ = writeln!(words, "{}  hash {:016x}{full}", file.display(), journal.hash());
        }
    }
    output(words.as_bytes())?;
    Ok(world)
}

/// Plays up to a time, but no more events than the run has. Returns whether it got there.
fn go_on(world: &mut World, run: &Run, until: Mono) -> Result<bool, End> {
    loop {
        let left = run.steps.saturating_sub(world.steps());
        if world.run_until(until, left.min(STEPS)) {
            return Ok(true);
        }
        if left <= STEPS {
            return Ok(false);
        }
        let journals = (0..world.nodes()).flat_map(|node| world.journals(node));
        if journals.map(Recorder::bytes).map(<[u8]>::len).sum::<usize>() as u64 > BYTES_MAX {
            return Err(End::misuse(format!(
                "the journals of this run have more than {BYTES_MAX} bytes; none was written"
            )));
        }
    }
}
