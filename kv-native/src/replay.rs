//! `kv replay`: plays the run of a link again, and prints runs line by line.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use kv_core::BUILD;
use kv_core::id::NodeId;
use kv_core::sim::timeline::Timeline;
use kv_core::sim::trial::Schedule;
use kv_core::sim::{ActionRefused, Run, World, link};
use kv_core::time::Mono;

use crate::cli::{End, output};

/// `kv replay`.
pub(crate) fn run(what: &str, show: bool) -> Result<(), End> {
    let found = link::decode(&text(what)?).map_err(|error| End::misuse(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    let world = match show {
        true => trace(&found.run, &mut out)?,
        false => play(&found.run, |_| Ok(()))?,
    };
    let run = &found.run;
    let words = format!(
        "{} of {} nodes, {} actions, {} events; hash {:016x}",
        seconds(world.now()),
        run.config.nodes,
        run.actions.len(),
        world.steps(),
        world.hash()
    );
    if world.hash() == run.hash {
        drop(out);
        return output(format!("{words}, as the link says\n").as_bytes());
    }
    let why = match found.build == BUILD {
        true => String::from(
            "the core is the same, so this is a bug in kv; please report it with the link",
        ),
        false => format!(
            "the link was made by core build {}, this is {BUILD}; play it with the release that made it",
            found.build
        ),
    };
    Err(End::failed(format!("{words}, and the link says {:016x}: {why}", run.hash)))
}

/// Plays a run and prints each event and each action in a line of its own.
pub(crate) fn trace(run: &Run, out: &mut impl Write) -> Result<World, End> {
    let (mut seen, mut done) = (0, 0);
    play(run, |world| {
        let mut text = String::new();
        let name = |node: NodeId| {
            let index = (0..world.nodes()).find(|index| world.node_id(*index) == node);
            index.map_or_else(|| node.to_string(), name_of)
        };
        let mut actions = world.actions().iter().skip(done).peekable();
        for entry in world.trace_since(seen) {
            let at = entry.event.at.mono;
            while let Some(timed) = actions.next_if(|timed| timed.at < at) {
                let _ = writeln!(text, "{}  --   {}", seconds(timed.at), timed.action.words());
            }
            let (node, words) = (name_of(entry.node), entry.event.kind.words(name));
            let _ = writeln!(text, "{}  {node:<4} {words}", seconds(at));
        }
        for timed in actions {
            let _ = writeln!(text, "{}  --   {}", seconds(timed.at), timed.action.words());
        }
        (seen, done) = (world.trace_len(), world.actions().len());
        out.write_all(text.as_bytes())
    })
}

/// What is done to a cluster, a line for each thing.
pub(crate) fn script(schedule: &Schedule) -> impl Iterator<Item = String> {
    let config = &schedule.config;
    let first = format!("{}  {} nodes begin, seed {}", seconds(Mono(0)), config.nodes, config.seed);
    let actions = schedule.actions.iter();
    let actions = actions.map(|timed| format!("{}  {}", seconds(timed.at), timed.action.words()));
    let last = format!("{}  all faults end", seconds(schedule.until));
    std::iter::once(first).chain(actions).chain([last])
}

/// Plays a run to its end, and lets somebody look often enough to miss no event.
fn play(run: &Run, mut look: impl FnMut(&World) -> std::io::Result<()>) -> Result<World, End> {
    /// A world keeps more than this many events, however many one step has.
    const STEPS: u64 = 100;
    let refused =
        |refused: ActionRefused| End::failed(format!("the run cannot be played: {}", refused.0));
    let mut timeline = Timeline::of_run(run).map_err(refused)?;
    loop {
        let reached = timeline.go_on(STEPS).map_err(refused)?;
        look(timeline.world())
            .map_err(|error| End::failed(format!("the result cannot be written: {error}")))?;
        if reached {
            return Ok(timeline.world().clone());
        }
    }
}

/// The link in an argument: in a file of this name if there is one, an address, or the text itself.
fn text(what: &str) -> Result<String, End> {
    let found = match fs::read_to_string(Path::new(what)) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {
            what.to_owned()
        }
        Err(error) => return Err(End::misuse(format!("{what} cannot be read: {error}"))),
    };
    let line =
        found.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("# "));
    let line = line.unwrap_or_default();
    Ok(line.split_once("#run=").map_or(line, |(_, text)| text).to_owned())
}

fn name_of(node: u16) -> String {
    format!("n{}", u32::from(node) + 1)
}

/// Aligned, to the microsecond.
fn seconds(at: Mono) -> String {
    format!("{:>4}.{:06} s", at.0 / 1_000_000, at.0 % 1_000_000)
}
