//! What the clients of a world saw, in the form in which judges want it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::action::ClientOperation;
use super::client::OperationRecord;
use super::world::World;
use crate::check::{Answer, End, Kind, Operation, Outcome, Versions};
use crate::error::RequestError;
use crate::request::{Receipt, Reply};
use crate::version::{Context, Dot};

/// All operations of a run, also those that its world no longer keeps.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: BTreeMap<u64, OperationRecord>,
    /// The number of the next operation.
    end: u64,
}

impl History {
    /// Takes in what is new, and what was open when this was called last. To be called before there are
    /// a thousand new ones.
    pub fn follow(&mut self, world: &World) {
        let mut open = self.records.values().filter(|record| record.outcome.is_none());
        let from = open.next().map_or(self.end, |record| record.number);
        for record in world.operations_since(from) {
            self.records.insert(record.number, record.clone());
            self.end = record.number + 1;
        }
    }

    /// The records, by number.
    pub fn records(&self) -> impl Iterator<Item = &OperationRecord> {
        self.records.values()
    }

    /// The number of the next operation.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// What judges are given.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.records.values().map(operation).collect()
    }
}

/// Somebody who did nothing else has a number above those of all clients.
const NOBODY: u64 = 1 << 32;

fn operation(record: &OperationRecord) -> Operation {
    let outcome = |outcome: &super::Outcome| match outcome {
        Ok(Reply::Read { values, context, receipt }) => {
            let dots = values.iter().map(|value| value.dot).collect();
            let versions = Some(versions(dots, context, receipt));
            let values = values.iter().map(|value| value.value.clone()).collect();
            Outcome::Done(Answer { values, versions })
        }
        Ok(Reply::Written { dot, context, receipt, .. }) => {
            let versions = Some(versions(alloc::vec![*dot], context, receipt));
            Outcome::Done(Answer { values: Vec::new(), versions })
        }
        Err(RequestError::Invalid(_)) => Outcome::Refused,
        Err(RequestError::Unknown(_)) | Ok(_) => Outcome::Unknown,
        Err(_) => Outcome::Failed,
    };
    Operation {
        number: record.number,
        client: record.client.map_or(NOBODY + record.number, u64::from),
        key: record.operation.key().clone(),
        kind: match &record.operation {
            ClientOperation::Get { .. } => Kind::Read,
            ClientOperation::Put { value, .. } => Kind::Write(value.clone()),
            ClientOperation::Delete { .. } => Kind::Delete,
        },
        called: record.called,
        end: record.outcome.as_ref().map(|(at, answer)| End { at: *at, outcome: outcome(answer) }),
    }
}

fn versions(dots: Vec<Dot>, context: &Context, receipt: &Receipt) -> Versions {
    Versions { dots, context: context.clone(), epoch: receipt.epoch }
}
