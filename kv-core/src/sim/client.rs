//! What the clients of a simulated run asked, and what they were answered.
//!
//! A client sits beside the node it asks. If that node crashes, or does not answer for long, the client
//! does not know what became of its request, and that is what its record says.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::action::{ClientOperation, StrongOperation};
use super::queue::Ticket;
use super::recent::Recent;
use crate::error::RequestError;
use crate::id::{RequestId, ShardId};
use crate::ordered::Map;
use crate::request::strong::{
    self, Condition, Freshness, SessionSeq, StrongRequest, WriteOperation,
};
use crate::request::{Basis, QuorumOptions, Reply, Request};
use crate::time::Mono;

/// How a request ended.
pub type Outcome = Result<Reply, RequestError>;

/// One operation of a client.
#[derive(Clone, Debug)]
pub struct OperationRecord {
    /// Its number in this run, counted from 0.
    pub number: u64,
    /// The client that asked, counted from 0; none if an action did that names none.
    pub client: Option<u16>,
    /// The node that was asked.
    pub node: u16,
    /// For what.
    pub operation: ClientOperation,
    /// When.
    pub called: Mono,
    /// When the answer came and which; none while it is awaited.
    pub outcome: Option<(Mono, Outcome)>,
}

/// Why a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The operation of this number, and the generated client that waits for it, if one does.
    Operation { number: u64, client: Option<u16> },
    /// A generated client opens a session in a shard.
    Session { client: u16, shard: ShardId },
    /// An action that changes settings.
    Settings,
    /// The settings with which the run begins.
    FirstSettings,
}

/// The requests of all clients.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    records: Recent<OperationRecord>,
    open: Map<RequestId, Open>,
    requests: u64,
}

/// A request that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) node: u16,
    pub(super) purpose: Purpose,
    /// When the client gives up, if it does.
    pub(super) gives_up: Option<Ticket>,
}

/// At least so many of the latest operations are kept.
const RECORDS: u64 = 1_000;

impl Clients {
    pub(super) fn new() -> Self {
        Self { records: Recent::keeping(RECORDS), open: Map::new(), requests: 0 }
    }

    /// The operations, from the number on, that are still kept.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = &OperationRecord> {
        self.records.since(number)
    }

    /// Begins an operation on a node; returns its number.
    pub(super) fn call(
        &mut self,
        called: Mono,
        client: Option<u16>,
        node: u16,
        operation: ClientOperation,
    ) -> u64 {
        let number = self.records.end();
        let outcome = None;
        self.records.push(OperationRecord { number, client, node, operation, called, outcome });
        number
    }

    /// The id of the next request.
    pub(super) fn next_id(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub(super) fn open(&mut self, id: RequestId, request: Open) {
        self.open.insert(id, request);
    }

    /// The key that an open request is about, if it is an operation.
    pub(super) fn key_of(&self, id: RequestId) -> Option<&Bytes> {
        let Purpose::Operation { number, .. } = self.open.get(&id)?.purpose else { return None };
        self.records.since(number).next().map(|record| record.operation.key())
    }

    /// Takes the request off the open ones, for it was answered or given up; nothing if it was before.
    pub(super) fn close(&mut self, id: RequestId) -> Option<Open> {
        self.open.remove(&id)
    }

    /// Takes all requests of a node off the open ones, for it has crashed.
    pub(super) fn lose_node(&mut self, node: u16) -> Vec<Open> {
        let lost = self.open.extract(|_, open| open.node == node);
        lost.into_iter().map(|(_, open)| open).collect()
    }

    /// The operation ends so.
    pub(super) fn end(&mut self, now: Mono, number: u64, outcome: Outcome) {
        if let Some(record) = self.records.get_mut(number) {
            record.outcome = Some((now, outcome));
        }
    }
}

/// What a client knows that got no answer, for this reason.
pub(super) fn in_doubt(words: &str) -> Outcome {
    Err(RequestError::Unknown(String::from(words)))
}

/// What a client sends a node for an operation that is to ask so many replicas, or as many as the
/// settings say if none. A write of the strong keyspace may have a name.
pub(super) fn request(
    operation: &ClientOperation,
    quorum: Option<u32>,
    name: Option<SessionSeq>,
) -> Request {
    let options =
        QuorumOptions { read_quorum: quorum, write_quorum: quorum, ..QuorumOptions::default() };
    let basis = Basis::ReadFirst;
    match operation.clone() {
        ClientOperation::Get { key } => Request::Get { key, options },
        ClientOperation::Put { key, value } => Request::Put { key, value, basis, options },
        ClientOperation::Delete { key } => Request::Delete { key, basis, options },
        ClientOperation::Strong(operation) => strong_request(operation, name),
    }
}

fn strong_request(operation: StrongOperation, session: Option<SessionSeq>) -> Request {
    let freshness = Freshness::Linearizable;
    let write = |key, action| {
        let operation = WriteOperation { key, condition: Condition::Any, action };
        StrongRequest::Write { operations: Vec::from([operation]), session }
    };
    let request = match operation {
        StrongOperation::Get { key } => StrongRequest::Get { key, freshness },
        StrongOperation::Put { key, value } => write(key, strong::Action::Put { value, ttl: None }),
        StrongOperation::Delete { key } => write(key, strong::Action::Delete),
    };
    Request::Strong { request, timeout: None }
}
