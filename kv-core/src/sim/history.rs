//! The history of a run as [`crate::check`] judges it.
//!
//! A world keeps the latest operations only; a [`History`] that follows it keeps all.

use alloc::vec::Vec;

use super::action::{ClientOperation, StrongOperation};
use super::client::OperationRecord;
use super::world::World;
use crate::check::{Answer, Demand, End, Kind, Operation, Outcome, Versions};
use crate::error::RequestError;
use crate::ordered::Map;
use crate::request::Reply;
use crate::request::strong::StrongReply;
use crate::time::Mono;

/// All operations of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: Map<u64, OperationRecord>,
    /// The number of the first operation that has not ended.
    open: u64,
}

impl History {
    /// Takes in what is new, and what became of operations that were open before.
    pub fn follow(&mut self, world: &World) {
        for record in world.operations_since(self.open) {
            self.records.insert(record.number, record.clone());
        }
        let mut open = self.records.range(self.open..).map(|(_, record)| record);
        let open = open.find(|record| record.outcome.is_none()).map(|record| record.number);
        self.open = open.unwrap_or_else(|| self.end());
    }

    /// What there was of it at a time, when operations up to this number had begun.
    #[must_use]
    pub fn until(&self, at: Mono, end: u64) -> Self {
        let mut past = Self::default();
        for (number, record) in self.records.range(..end) {
            let outcome = record.outcome.clone().filter(|(ended, _)| *ended <= at);
            past.records.insert(*number, OperationRecord { outcome, ..record.clone() });
        }
        let open = past.records.values().find(|record| record.outcome.is_none());
        past.open = open.map_or(end, |record| record.number);
        past
    }

    /// Lets all but the latest so many go. From then on it is not whole.
    pub fn keep_latest(&mut self, most: usize) {
        while self.records.len() > most {
            self.records.pop_first();
        }
    }

    /// The records, by number.
    pub fn records(&self) -> impl Iterator<Item = &OperationRecord> {
        self.records.values()
    }

    /// What judges of a demand are given: the operations of the keyspace that it is about.
    #[must_use]
    pub fn operations(&self, demand: Demand) -> Vec<Operation> {
        let records = self.records.values();
        records.filter(|record| concerns(demand, record)).map(Operation::from).collect()
    }

    /// Whether none is missing, because the world was followed often enough.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.records.len() as u64 == self.end()
    }

    /// The number of the next operation.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.records.last_key_value().map_or(0, |(number, _)| number + 1)
    }
}

/// Whether a demand is about an operation.
pub(super) fn concerns(demand: Demand, record: &OperationRecord) -> bool {
    record.operation.is_strong() == demand.is_of_strong()
}

/// Operations that no client began have clients of their own, with numbers above this.
const NOBODY: u64 = 1 << 32;

impl From<&OperationRecord> for Operation {
    fn from(record: &OperationRecord) -> Self {
        let kind = match &record.operation {
            ClientOperation::Get { .. } | ClientOperation::Strong(StrongOperation::Get { .. }) => {
                Kind::Read
            }
            ClientOperation::Put { value, .. }
            | ClientOperation::Strong(StrongOperation::Put { value, .. }) => {
                Kind::Write(value.clone())
            }
            ClientOperation::Delete { .. }
            | ClientOperation::Strong(StrongOperation::Delete { .. }) => Kind::Delete,
        };
        let end = record.outcome.as_ref().map(|(at, outcome)| {
            let outcome = match outcome {
                Ok(reply) => Outcome::Done(answer(reply)),
                Err(RequestError::Unknown(_)) => Outcome::Unknown,
                Err(RequestError::Invalid(_)) => Outcome::Refused,
                Err(_) => Outcome::Failed,
            };
            End { at: *at, outcome }
        });
        Self {
            number: record.number,
            client: record.client.map_or(NOBODY + record.number, u64::from),
            key: record.operation.key().clone(),
            kind,
            called: record.called,
            end,
        }
    }
}

fn answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Read { values, context, receipt } => Answer {
            values: values.iter().map(|value| value.value.clone()).collect(),
            versions: Some(Versions {
                dots: values.iter().map(|value| value.dot).collect(),
                context: context.clone(),
                epoch: receipt.epoch,
            }),
        },
        Reply::Written { dot, context, receipt, .. } => {
            let dots = Vec::from([*dot]);
            let versions = Versions { dots, context: context.clone(), epoch: receipt.epoch };
            Answer { values: Vec::new(), versions: Some(versions) }
        }
        Reply::Strong(StrongReply::Value { record: Some(record), .. }) => {
            Answer { values: Vec::from([record.value.clone()]), versions: None }
        }
        Reply::Keys(_) | Reply::Strong(_) | Reply::Done => Answer::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Promise, Verdict, dots};
    use crate::rng::Ratio;
    use crate::sim::{SimConfig, Workload};
    use crate::time::Micros;

    fn busy() -> World {
        let writes = Ratio::per_mille(300);
        let workload =
            Workload { clients: 40, per_second: 400, keys: 4, writes, ..Workload::default() };
        World::new(SimConfig { nodes: 3, workload, ..SimConfig::default() }).unwrap()
    }

    #[test]
    fn who_follows_often_enough_has_all_operations_and_how_they_ended() {
        let mut world = busy();
        let mut history = History::default();
        for _ in 0..50 {
            world.run_until(world.now() + Micros::from_millis(100), u64::MAX);
            history.follow(&world);
        }
        assert!(history.is_whole() && history.end() > 1_500);
        let open = history
            .operations(Demand::Latest)
            .iter()
            .filter(|operation| operation.end.is_none())
            .count();
        assert!(open < 100, "{open} are open");
        let mut late = History::default();
        late.follow(&world);
        assert!(!late.is_whole());
        let skipped =
            history.operations(Demand::Latest).len() - late.operations(Demand::Latest).len();
        assert_eq!(history.operations(Demand::Latest)[skipped..], late.operations(Demand::Latest));
    }

    #[test]
    fn a_forged_answer_in_a_real_history_is_found() {
        let mut world = busy();
        let mut history = History::default();
        world.run_until(world.now() + Micros::from_millis(2_000), u64::MAX);
        history.follow(&world);
        let mut operations = history.operations(Demand::Latest);
        assert_eq!(dots::check_overlapping(&operations), Verdict::Holds);
        let found = operations.iter_mut().rev().find_map(|operation| match &mut operation.end {
            Some(End { outcome: Outcome::Done(answer), .. }) if !answer.values.is_empty() => {
                Some((operation.number, answer))
            }
            _ => None,
        });
        let (number, answer) = found.unwrap();
        answer.values.clear();
        let versions = answer.versions.as_mut().unwrap();
        versions.dots.clear();
        versions.context = crate::version::Context::default();
        let verdict = dots::check_overlapping(&operations);
        let objection = verdict.objection().unwrap();
        assert_eq!(objection.promise, Promise::NoLostUpdate);
        assert!(objection.operations.contains(&number), "{objection}");
    }
}
