//! What a world tells in transcripts of scenario scripts: operations, answers and objects in words.
//!
//! Ids differ from seed to seed, so nodes and their data folders go by names: n1 for either.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::action::ClientOperation;
use super::client::{OperationRecord, Outcome};
use super::world::World;
use crate::id::NodeId;
use crate::ordered::{self, Map};
use crate::request::strong::StrongReply;
use crate::request::{Receipt, Reply};
use crate::text;
use crate::version::{Dot, Object};

/// The names of nodes by their ids and data folders.
#[derive(Clone, Debug, Default)]
pub struct Names(Map<String, String>);

impl Names {
    /// Learns the ids of the nodes that run; those of others stay known.
    pub fn learn(&mut self, world: &World) {
        for (index, number) in (0..world.nodes()).zip(1..) {
            let name = format!("n{number}");
            if let Some(node) = world.node(index) {
                self.0.insert(node.hello().incarnation.to_string(), name.clone());
            }
            self.0.insert(world.node_id(index).to_string(), name);
        }
    }

    /// The text with names in the place of ids and data folders.
    #[must_use]
    pub fn put_into(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
    }

    /// The names of these nodes in their order.
    pub fn of_all<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
        let name = |node: &NodeId| self.put_into(&node.to_string());
        let mut names: Vec<String> = nodes.into_iter().map(name).collect();
        ordered::sort(&mut names);
        names.join(" ")
    }

    fn of_dot(&self, dot: Dot) -> String {
        format!("{}:{}", self.put_into(&dot.actor.to_string()), dot.counter)
    }
}

/// An operation and its outcome, in a line.
#[must_use]
pub fn operation(names: &Names, record: &OperationRecord) -> String {
    let key = shown(record.operation.key());
    let what = match &record.operation {
        ClientOperation::Get { .. } => format!("get {key}"),
        ClientOperation::Put { value, .. } => format!("put {key}={}", shown(value)),
        ClientOperation::Delete { .. } => format!("delete {key}"),
        ClientOperation::Strong(_) => record.operation.words(),
    };
    let outcome = match &record.outcome {
        Some((_, outcome)) => told(names, outcome),
        None => "no answer yet".into(),
    };
    format!("n{} {what}: {outcome}\n", u32::from(record.node) + 1)
}

fn told(names: &Names, outcome: &Outcome) -> String {
    let on = |receipt: &Receipt| names.of_all(&receipt.acknowledged);
    match outcome {
        Ok(Reply::Read { values, receipt, .. }) => {
            let found: Vec<_> = values.iter().map(|value| shown(&value.value)).collect();
            let found = if found.is_empty() { "absent".to_owned() } else { found.join(" and ") };
            let mended = if receipt.repaired.is_empty() {
                String::new()
            } else {
                format!(", mended {}", names.of_all(&receipt.repaired))
            };
            format!("{found} (from {}{mended})", on(receipt))
        }
        Ok(Reply::Written { dot, siblings, receipt, .. }) => {
            let beside =
                if *siblings > 1 { format!(", {siblings} siblings") } else { String::new() };
            format!("written as {} on {}{beside}", names.of_dot(*dot), on(receipt))
        }
        Ok(Reply::Strong(StrongReply::Value { record, .. })) => match record {
            Some(record) => {
                format!("{} (revision {})", shown(&record.value), record.revision.0)
            }
            None => "absent".to_owned(),
        },
        Ok(Reply::Strong(StrongReply::Written { revision, .. })) => {
            format!("written as revision {}", revision.0)
        }
        Ok(Reply::Keys(_) | Reply::Strong(_) | Reply::Done) => "done".into(),
        Err(error) => error.to_string(),
    }
}

/// Bytes of a client, whole, on one line.
fn shown(bytes: &[u8]) -> String {
    text::line(&String::from_utf8_lossy(bytes))
}

/// An object: its values with their dots, and how far it has seen each node's writes.
#[must_use]
pub fn object(names: &Names, object: &Object) -> String {
    let values: Vec<String> = object
        .siblings()
        .map(|(dot, sibling)| {
            let value = sibling.value.as_ref();
            let value = value.map_or_else(|| "a delete".into(), |value| shown(value));
            format!("{value} ({})", names.of_dot(dot))
        })
        .collect();
    let seen: Vec<String> = object
        .clock()
        .entries()
        .map(|(actor, entry)| names.of_dot(Dot { actor, counter: entry.counter }))
        .collect();
    format!("{}, has seen {}", values.join(" and "), seen.join(" "))
}
