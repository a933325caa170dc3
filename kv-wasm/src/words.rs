//! What happened, in words: the trace, the clients' operations, the actions of the reader.
//!
//! The words are the core's own; here ids become the names n1, n2, … that the page shows.

use kv_core::event::{Cause, Severity};
use kv_core::id::NodeId;
use kv_core::request::strong::StrongReply;
use kv_core::request::{Receipt, Reply};
use kv_core::sim::{Action, OperationRecord, TimedAction, TraceEntry, World};
use kv_core::text::of_bytes as text;
use serde::Serialize;
use tsify::Tsify;

/// Which id stands for which node.
#[derive(Default)]
pub struct Names {
    ids: Vec<NodeId>,
    /// Hexadecimal text of an id or data folder, and what to say instead.
    texts: Vec<(String, String)>,
    folders: Vec<bool>,
}

impl Names {
    /// The names of the nodes of a world.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let ids: Vec<NodeId> = (0..world.nodes()).map(|index| world.node_id(index)).collect();
        let texts =
            ids.iter().enumerate().map(|(index, id)| (id.to_string(), name(index))).collect();
        let folders = vec![false; ids.len()];
        Self { ids, texts, folders }
    }

    /// Learns the data folders of nodes that were not up before.
    pub fn learn(&mut self, world: &World) {
        for index in 0..self.ids.len() {
            if self.folders[index] {
                continue;
            }
            if let Some(node) = world.node(index as u16) {
                self.texts.push((node.hello().incarnation.to_string(), name(index)));
                self.folders[index] = true;
            }
        }
    }

    /// The place of a node, if it is one of this world.
    #[must_use]
    pub fn index(&self, id: NodeId) -> Option<u16> {
        self.ids.iter().position(|known| *known == id).map(|index| index as u16)
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, id: NodeId) -> String {
        self.index(id).map_or_else(|| id.to_string(), |index| name(usize::from(index)))
    }

    /// Words with names in place of ids.
    #[must_use]
    pub fn say(&self, words: impl ToString) -> String {
        let mut words = words.to_string();
        for (text, name) in &self.texts {
            if words.contains(text.as_str()) {
                words = words.replace(text.as_str(), name);
            }
        }
        words
    }

    fn list(&self, nodes: &[NodeId]) -> String {
        let names: Vec<String> = nodes.iter().map(|node| self.name(*node)).collect();
        names.join(", ")
    }
}

/// The name of the node at a place.
#[must_use]
pub fn name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// How much attention an event deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Every single request and message.
    Trace,
    /// Changes of state.
    Info,
    /// Something to look into.
    Warning,
    /// Something one must look into.
    Error,
}

/// One event of a node.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct TraceLine {
    /// Its number in the run.
    pub index: u64,
    /// On which node.
    pub node: u16,
    /// When, in microseconds.
    pub at_us: u64,
    /// What happened.
    pub words: String,
    /// What caused it.
    pub cause: String,
    /// How much attention it deserves.
    pub weight: Weight,
}

/// What happened since the page last asked.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct Trace {
    /// What to ask for next time.
    pub next: u64,
    /// How many events came and went in between.
    pub missed: u64,
    /// The events, oldest first.
    pub lines: Vec<TraceLine>,
}

/// What an action broke or mended, as far as a story can be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// A node lost power.
    Crash,
    /// A node started.
    Restart,
    /// A node lost its disk.
    Wipe,
    /// Links were cut.
    Cut,
    /// Anything else.
    Other,
}

/// One action of the reader.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct ActionLine {
    /// When, in microseconds.
    pub at_us: u64,
    /// On which node, if on one.
    pub node: Option<u16>,
    /// What was done.
    pub words: String,
    /// What that broke or mended.
    pub turn: Turn,
}

/// One operation of a client.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct OperationLine {
    /// Its number in the run.
    pub number: u64,
    /// On which node.
    pub node: u16,
    /// What was asked for.
    pub words: String,
    /// The key.
    pub key: String,
    /// Whether it was of the strong keyspace.
    pub strong: bool,
    /// Whether a generated client asked, rather than the reader.
    pub generated: bool,
    /// When, in microseconds.
    pub called_us: u64,
    /// What came of it; nothing while it is open.
    pub outcome: Option<Outcome>,
}

/// What came of an operation.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct Outcome {
    /// When, in microseconds.
    pub at_us: u64,
    /// Whether it was carried out.
    pub done: bool,
    /// What the client got.
    pub words: String,
    /// How the answer came about; nothing if there was none.
    pub receipt: String,
}

impl Trace {
    /// The latest events from an index on. Changes of state and the others are counted apart: requests
    /// are so many that among the latest few there would hardly be anything else.
    #[must_use]
    pub fn since(world: &World, index: u64, most: usize, names: &Names) -> Self {
        let entries: Vec<&TraceEntry> = world.trace_since(index).collect();
        let is_notable = |entry: &&TraceEntry| entry.event.kind.severity() != Severity::Trace;
        let notable = entries.iter().filter(|entry| is_notable(entry)).count();
        let mut surplus =
            [notable, entries.len() - notable].map(|count| count.saturating_sub(most));
        let mut lines = Vec::new();
        for entry in entries {
            let left_out = &mut surplus[usize::from(!is_notable(&entry))];
            if *left_out > 0 {
                *left_out -= 1;
            } else {
                lines.push(TraceLine::of(entry, names));
            }
        }
        let next = world.trace_len();
        Self { next, missed: next.saturating_sub(index) - lines.len() as u64, lines }
    }
}

impl TraceLine {
    /// An entry of the trace in words.
    #[must_use]
    pub fn of(entry: &TraceEntry, names: &Names) -> Self {
        let event = &entry.event;
        Self {
            index: entry.index,
            node: entry.node,
            at_us: entry.at.0,
            // Data folders have no names of their own in the core's words.
            words: names.say(event.kind.words(|node| names.name(node))),
            cause: cause(event.cause, names),
            weight: match event.kind.severity() {
                Severity::Trace => Weight::Trace,
                Severity::Info => Weight::Info,
                Severity::Warning => Weight::Warning,
                Severity::Error => Weight::Error,
            },
        }
    }
}

impl ActionLine {
    /// An action in words.
    #[must_use]
    pub fn of(timed: &TimedAction) -> Self {
        let turn = match &timed.action {
            Action::Crash { .. } => Turn::Crash,
            Action::Restart { .. } => Turn::Restart,
            Action::Wipe { .. } => Turn::Wipe,
            Action::Cut { .. } | Action::Partition { .. } => Turn::Cut,
            _ => Turn::Other,
        };
        let (node, words) = (timed.action.node(), timed.action.words());
        Self { at_us: timed.at.0, node, words, turn }
    }
}

impl OperationLine {
    /// An operation in words.
    #[must_use]
    pub fn of(record: &OperationRecord, names: &Names) -> Self {
        let (words, key) = (record.operation.words(), text(record.operation.key()));
        let outcome = record.outcome.as_ref().map(|(at, result)| match result {
            Ok(reply) => Outcome {
                at_us: at.0,
                done: true,
                words: reply_words(reply),
                receipt: receipt(reply, names),
            },
            Err(error) => Outcome {
                at_us: at.0,
                done: false,
                words: names.say(error),
                receipt: String::new(),
            },
        });
        Self {
            number: record.number,
            node: record.node,
            words,
            key,
            strong: record.operation.is_strong(),
            generated: record.client.is_some(),
            called_us: record.called.0,
            outcome,
        }
    }
}

fn cause(cause: Cause, names: &Names) -> String {
    match cause {
        Cause::Boot => "it was started".into(),
        Cause::Timer => "a deadline passed".into(),
        Cause::Message { from, id } => format!("message {} of {}", id.0, names.name(from)),
        Cause::Request(id) => format!("request {} of a client", id.0),
        Cause::Synced(at) => {
            format!("the log is durable up to segment {} offset {}", at.segment.0, at.offset)
        }
        Cause::Link(peer) => format!("the link to {} changed", names.name(peer)),
        Cause::Job(id) => format!("job {} ended", id.0),
    }
}

/// What was done, and on which node if on one.
fn reply_words(reply: &Reply) -> String {
    match reply {
        Reply::Read { values, .. } => match values.as_slice() {
            [] => "there is no such key".into(),
            [one] => text(&one.value),
            several => {
                let texts: Vec<String> = several.iter().map(|value| text(&value.value)).collect();
                format!("{} concurrent values: {}", several.len(), texts.join(" | "))
            }
        },
        Reply::Written { siblings: 0 | 1, .. } => "written".into(),
        Reply::Written { siblings, .. } => format!("written beside {} others", siblings - 1),
        Reply::Keys(keys) => format!("{} keys", keys.len()),
        Reply::Strong(StrongReply::Value { record: Some(record), .. }) => text(&record.value),
        Reply::Strong(StrongReply::Value { record: None, .. }) => "there is no such key".into(),
        Reply::Strong(StrongReply::Written { revision, .. }) => {
            format!("written as revision {}", revision.0)
        }
        Reply::Strong(_) | Reply::Done => "done".into(),
    }
}

fn receipt(reply: &Reply, names: &Names) -> String {
    match reply {
        Reply::Read { receipt, .. } => receipt_words(receipt, "answered by", names),
        Reply::Written { receipt, .. } => receipt_words(receipt, "on the disks of", names),
        Reply::Keys(_) | Reply::Strong(_) | Reply::Done => String::new(),
    }
}

fn receipt_words(receipt: &Receipt, by: &str, names: &Names) -> String {
    let mut words = format!(
        "coordinated by {}, asked {}, {by} {}",
        names.name(receipt.coordinator),
        names.list(&receipt.asked),
        names.list(&receipt.acknowledged)
    );
    if !receipt.repaired.is_empty() {
        words.push_str(&format!(", mended {}", names.list(&receipt.repaired)));
    }
    words
}

#[cfg(test)]
mod tests {
    use kv_core::rng::Ratio;
    use kv_core::sim::{SimConfig, Workload};
    use kv_core::time::Mono;

    use super::*;

    fn busy(strong: u32) -> World {
        let workload = Workload {
            clients: 20,
            per_second: 200,
            strong: Ratio::per_mille(strong),
            ..Workload::default()
        };
        let config = SimConfig { nodes: 3, workload, ..SimConfig::default() };
        let mut world = World::new(config).unwrap();
        world.run_until(Mono(4_000_000), u64::MAX);
        world
    }

    #[test]
    fn requests_do_not_wash_away_changes_of_state() {
        let world = busy(0);
        let names = Names::of(&world);
        let all = Trace::since(&world, 0, usize::MAX, &names);
        let notable = |trace: &Trace| {
            let lines = trace.lines.iter().filter(|line| line.weight != Weight::Trace);
            lines.map(|line| line.index).collect::<Vec<u64>>()
        };
        let most = notable(&all).len();
        assert!(all.lines.len() > 4 * most, "{most} of {}", all.lines.len());
        let latest = Trace::since(&world, 0, most, &names);
        assert_eq!(notable(&latest), notable(&all));
        assert_eq!(latest.lines.len(), 2 * most);
        assert_eq!(latest.missed, world.trace_len() - 2 * most as u64);
        assert_eq!(latest.next, world.trace_len());
        assert!(latest.lines.is_sorted_by_key(|line| line.index));
        let few = Trace::since(&world, 0, 5, &names);
        assert_eq!(notable(&few), notable(&all)[most - 5..]);
    }

    #[test]
    fn a_strong_read_tells_what_it_read() {
        let world = busy(1_000);
        let names = Names::of(&world);
        let lines: Vec<OperationLine> =
            world.operations().map(|record| OperationLine::of(record, &names)).collect();
        assert!(lines.iter().all(|line| line.strong));
        let told = |asked: &str, words: &str| {
            let outcome = |line: &OperationLine| line.outcome.as_ref().map(|end| end.words.clone());
            let mut lines = lines.iter().filter(|line| line.words.starts_with(asked));
            lines.any(|line| outcome(line).is_some_and(|end| end.starts_with(words)))
        };
        assert!(told("get", "v") && told("get", "there is no such key"));
        assert!(told("put", "written as revision ") && told("delete", "written as revision "));
    }
}
