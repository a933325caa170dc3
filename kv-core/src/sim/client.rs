//! The clients of a simulated run: what they ask, what they are answered, and a generator of load.
//!
//! A client sits beside the node it asks. If that node crashes, the client does not know what became
//! of its request, and that is what its record says.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::action::ClientOperation;
use super::config::{Chance, Workload};
use super::recent::Recent;
use crate::error::RequestError;
use crate::id::RequestId;
use crate::request::{Basis, QuorumOptions, Reply, Request};
use crate::rng::{Ratio, Rng};
use crate::time::{Micros, Mono};

/// How a request ended.
pub type Outcome = Result<Reply, RequestError>;

/// One operation of a client.
#[derive(Clone, Debug)]
pub struct OperationRecord {
    /// Its number in this run, counted from 0.
    pub number: u64,
    /// The node that was asked.
    pub node: u16,
    /// For what.
    pub operation: ClientOperation,
    /// Whether the generated workload asked.
    pub generated: bool,
    /// When.
    pub called: Mono,
    /// When the answer came and which; none while it is awaited.
    pub outcome: Option<(Mono, Outcome)>,
}

/// Why a request was made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The operation of this number.
    Operation(u64),
    /// An action that changes settings.
    Settings,
    /// The settings with which the run begins.
    FirstSettings,
}

#[derive(Clone, Debug)]
pub(super) struct Clients {
    records: Recent<OperationRecord>,
    open: BTreeMap<RequestId, (u16, Purpose)>,
    requests: u64,
    pub(super) workload: Workload,
    rng: Rng,
    /// How many operations were generated.
    generated: u64,
}

/// At least so many of the latest operations are kept.
const RECORDS: u64 = 1_000;

impl Clients {
    pub(super) fn new(seed: u64, workload: Workload) -> Self {
        Self {
            records: Recent::keeping(RECORDS),
            open: BTreeMap::new(),
            requests: 0,
            workload,
            rng: Chance::Clients.generator(seed),
            generated: 0,
        }
    }

    /// The operations, from the number on, that are still kept.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = &OperationRecord> {
        self.records.since(number)
    }

    /// Begins an operation on a node; returns its number.
    pub(super) fn call(
        &mut self,
        now: Mono,
        node: u16,
        operation: ClientOperation,
        generated: bool,
    ) -> u64 {
        let number = self.records.end();
        let called = now;
        let outcome = None;
        self.records.push(OperationRecord { number, node, operation, generated, called, outcome });
        number
    }

    /// Opens a request on a node.
    pub(super) fn open(&mut self, node: u16, purpose: Purpose) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.open.insert(id, (node, purpose));
        id
    }

    /// Takes an answer, and returns what the request was for.
    pub(super) fn answer(
        &mut self,
        now: Mono,
        id: RequestId,
        outcome: &Outcome,
    ) -> Option<Purpose> {
        let (_, purpose) = self.open.remove(&id)?;
        if let Purpose::Operation(number) = purpose {
            self.end(now, number, outcome.clone());
        }
        Some(purpose)
    }

    /// The operation ends so.
    pub(super) fn end(&mut self, now: Mono, number: u64, outcome: Outcome) {
        if let Some(record) = self.records.get_mut(number) {
            record.outcome = Some((now, outcome));
        }
    }

    /// A node has crashed: what was asked of it has an unknown outcome. Returns what that was.
    pub(super) fn lose_node(&mut self, now: Mono, node: u16) -> Vec<Purpose> {
        let asked = self.open.extract_if(.., |_, (asked, _)| *asked == node);
        let lost: Vec<Purpose> = asked.map(|(_, (_, purpose))| purpose).collect();
        for purpose in &lost {
            if let Purpose::Operation(number) = purpose {
                let words = String::from("the node crashed before it answered");
                self.end(now, *number, Err(RequestError::Unknown(words)));
            }
        }
        lost
    }

    /// How long until the next operation is generated; none if none is.
    pub(super) fn pause(&mut self) -> Option<Micros> {
        let per_second = u64::from(self.workload.per_second);
        let mean = 1_000_000_u64.checked_div(per_second)?;
        Some(Micros(self.rng.between(1, (2 * mean).saturating_sub(1).max(1))))
    }

    /// The next generated operation, and the node it is meant for. Each takes equally many numbers
    /// from the generator, whatever it becomes.
    pub(super) fn generate(&mut self, nodes: u16) -> (u16, ClientOperation) {
        let node = self.rng.below(u64::from(nodes)) as u16;
        let key = self.rng.between(1, u64::from(self.workload.keys));
        let writes = self.rng.chance(self.workload.writes);
        let deletes = self.rng.chance(DELETES);
        self.generated += 1;
        let key = Bytes::from(format!("k{key}"));
        let operation = match (writes, deletes) {
            (false, _) => ClientOperation::Get { key },
            (true, true) => ClientOperation::Delete { key },
            (true, false) => {
                ClientOperation::Put { key, value: Bytes::from(format!("v{}", self.generated)) }
            }
        };
        (node, operation)
    }
}

/// How many of the generated writes delete.
const DELETES: Ratio = Ratio { numerator: 1, denominator: 8 };

/// What a client sends a node for an operation.
pub(super) fn request(operation: &ClientOperation) -> Request {
    let options = QuorumOptions::default();
    let basis = Basis::ReadFirst;
    match operation.clone() {
        ClientOperation::Get { key } => Request::Get { key, options },
        ClientOperation::Put { key, value } => Request::Put { key, value, basis, options },
        ClientOperation::Delete { key } => Request::Delete { key, basis, options },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_drawn_as_the_workload_says() {
        let workload = Workload { per_second: 100, keys: 3, writes: Ratio::per_mille(500) };
        let mut clients = Clients::new(1, workload);
        let (mut writes, mut time) = (0, 0);
        for _ in 0..10_000 {
            time += clients.pause().unwrap().0;
            let (node, operation) = clients.generate(5);
            assert!(node < 5 && operation.key().len() == 2);
            writes += u64::from(!matches!(operation, ClientOperation::Get { .. }));
        }
        assert!((4_700..5_300).contains(&writes), "{writes}");
        assert!((97_000_000..103_000_000).contains(&time), "{time} µs for 10,000 operations");
        clients.workload.per_second = 0;
        assert_eq!(clients.pause(), None);
    }

    #[test]
    fn a_crash_leaves_the_outcome_unknown_of_that_node_only() {
        let mut clients = Clients::new(1, Workload::default());
        let get = ClientOperation::Get { key: Bytes::from_static(b"k") };
        for node in [0, 1] {
            let number = clients.call(Mono(1), node, get.clone(), false);
            clients.open(node, Purpose::Operation(number));
        }
        assert_eq!(clients.lose_node(Mono(2), 0).len(), 1);
        let outcomes = clients.since(0).map(|record| record.outcome.clone());
        let unknown = outcomes.map(|outcome| {
            outcome.map(|(_, outcome)| matches!(outcome, Err(RequestError::Unknown(_))))
        });
        assert!(unknown.eq([Some(true), None]));
        assert!(clients.answer(Mono(3), RequestId(1), &Ok(Reply::Done)).is_none());
        assert!(clients.answer(Mono(3), RequestId(2), &Ok(Reply::Done)).is_some());
    }
}
