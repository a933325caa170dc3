//! `kv replay`: plays the run of a link or the journal of a node again, and prints runs line by line.

mod record;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use kv_core::BUILD;
use kv_core::id::NodeId;
use kv_core::journal::{self, JournalError, Replayed};
use kv_core::sim::link::{self, LinkError};
use kv_core::sim::timeline::Timeline;
use kv_core::sim::trial::Schedule;
use kv_core::sim::{ActionRefused, Run, World};
use kv_core::text;
use kv_core::time::Mono;

use crate::cli::{End, output};

pub(crate) use record::{folder, record};

/// `kv replay`.
pub(crate) fn run(what: &str, show: bool, journals: Option<&Path>) -> Result<(), End> {
    let file = file(what)?;
    if let Some(bytes) = file.as_ref().filter(|bytes| journal::is_journal(bytes)) {
        return match show || journals.is_some() {
            true => Err(End::misuse(
                "this is the journal of a node; --trace and --journals are for the links of runs",
            )),
            false => node(bytes),
        };
    }
    let text = file.as_ref().map_or_else(|| what.into(), |bytes| String::from_utf8_lossy(bytes));
    let found = link::decode(link_in(&text)).map_err(|error| match error {
        LinkError::Damaged if file.is_none() => {
            End::misuse(format!("there is no file of this name; if it is a link: {error}"))
        }
        _ if file.is_some() => End::misuse(format!("{what}: {error}")),
        _ => End::misuse(error.to_string()),
    })?;
    let run = &found.run;
    let played = match journals {
        Some(journals) => folder(journals).and_then(|()| record(run, journals)),
        None if show => trace(run),
        None => watched(run),
    };
    let world = played.map_err(|end| match found.build == BUILD {
        true => end,
        false => end.also(&made_by(&found.build)),
    })?;
    let words = format!(
        "{} of {} nodes, {} actions, {} events; hash {:016x}",
        seconds(run.until),
        run.config.nodes,
        run.actions.len(),
        world.steps(),
        world.hash()
    );
    if world.hash() == run.hash {
        return output(format!("{words}, as the link says\n").as_bytes());
    }
    let why = match found.build == BUILD {
        true => String::from(
            "the core is the same, so the link was changed by somebody, or this is a bug in kv; please report it with the link",
        ),
        false => made_by(&found.build),
    };
    Err(End::failed(format!("{words}, and the link says {:016x}: {why}", run.hash)))
}

/// What to do with the link of another build.
fn made_by(build: &str) -> String {
    format!(
        "the link was made by core build {build}, this is {BUILD}; play it with the release that made it"
    )
}

/// Plays a run and prints each event and each action in a line of its own.
pub(crate) fn trace(run: &Run) -> Result<World, End> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut seen, mut done) = (0, 0);
    let world = play(run, |world| {
        let mut text = String::new();
        let name = |node: NodeId| {
            let index = (0..world.nodes()).find(|index| world.node_id(*index) == node);
            index.map_or_else(|| node.to_string(), name_of)
        };
        let mut actions = world.actions().iter().skip(done).peekable();
        for entry in world.trace_since(seen) {
            // The time of the run; clocks of nodes may be wrong. What follows from an action comes behind it.
            let at = entry.at;
            while let Some(timed) = actions.next_if(|timed| timed.at <= at) {
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
    })?;
    out.flush().map_err(|error| End::unwritten(&error))?;
    Ok(world)
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

/// Plays a run to its end, and shows how far it is: a day of a large cluster takes minutes.
fn watched(run: &Run) -> Result<World, End> {
    let bar = ProgressBar::new(run.steps);
    let style = ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let world = play(run, |world| {
        bar.set_position(world.steps());
        Ok(())
    });
    bar.finish_and_clear();
    world
}

/// Plays a run to its end, and lets somebody look often enough to miss no event.
fn play(run: &Run, mut look: impl FnMut(&World) -> io::Result<()>) -> Result<World, End> {
    /// A world keeps more than this many events, however many one step has.
    const STEPS: u64 = 100;
    let mut timeline = Timeline::of_run(run).map_err(refused)?;
    loop {
        let reached = timeline.go_on(STEPS).map_err(refused)?;
        look(timeline.world()).map_err(|error| End::unwritten(&error))?;
        if reached {
            return Ok(timeline.world().clone());
        }
    }
}

fn refused(refused: ActionRefused) -> End {
    End::misuse(format!("the run cannot be played: {}", refused.0))
}

/// Plays the journal of a node.
fn node(bytes: &[u8]) -> Result<(), End> {
    let played = journal::replay(bytes).map_err(|error| match error {
        JournalError::Differs { .. } => End::failed(error.to_string()),
        _ => End::misuse(error.to_string()),
    })?;
    let Replayed { name, inputs, hash, end } = played;
    let name = text::of_bytes(name.as_bytes());
    let end = match end {
        journal::End::Whole => String::new(),
        journal::End::Open => {
            String::from("; nothing says that the journal ends here, more may have followed")
        }
        journal::End::Torn(at) => format!("; the journal is cut off at byte {at}"),
        journal::End::Full => String::from("; what followed was not recorded, for it was full"),
    };
    output(format!("{name}, {inputs} inputs; hash {hash:016x}, as recorded{end}\n").as_bytes())
}

/// The content of the file of this name, if there is one.
fn file(name: &str) -> Result<Option<Vec<u8>>, End> {
    let mut bytes = Vec::new();
    let read =
        File::open(name).and_then(|file| file.take(journal::BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > journal::BYTES_MAX => Err(End::misuse(format!(
            "{name} has more than the {} bytes of the longest journal; nothing of it was played",
            journal::BYTES_MAX
        ))),
        Ok(_) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {
            Ok(None)
        }
        Err(error) => Err(End::misuse(format!("{name} cannot be read: {error}"))),
    }
}

/// The link in a text: in its first line that is no comment, by itself or in an address.
fn link_in(text: &str) -> &str {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && (!line.starts_with('#') || line.starts_with("#run=")));
    let line = line.unwrap_or_default();
    line.split_once("#run=").map_or(line, |(_, text)| text)
}

fn name_of(node: u16) -> String {
    format!("n{}", u32::from(node) + 1)
}

/// Aligned, to the microsecond.
fn seconds(at: Mono) -> String {
    format!("{:>4}.{:06} s", at.0 / 1_000_000, at.0 % 1_000_000)
}
