//! One request on its way: for whom, until when, and what it waits for.

use alloc::format;
use alloc::string::String;

use super::Ground;
use crate::bugs::{Bug, planted};
use crate::error::RequestError;
use crate::id::{NodeId, RequestId, ShardId};
use crate::message::Token;
use crate::request::KEY_BYTES;
use crate::request::strong::{
    Action, Freshness, OPERATIONS_MAX, PAGE_MAX, StrongRequest, TTL_MAX, WriteOperation,
};
use crate::settings::Setting;
use crate::time::{Micros, Mono};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) origin: Origin,
    pub(super) request: StrongRequest,
    pub(super) shard: ShardId,
    pub(super) deadline: Mono,
    /// How many bytes of values it holds.
    pub(super) bytes: u64,
    pub(super) phase: Phase,
    /// How often it was tried in vain.
    pub(super) tries: u32,
    /// Who is said to lead.
    pub(super) hint: Option<NodeId>,
    /// Whether nobody knows what became of an earlier attempt.
    pub(super) in_doubt: bool,
}

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client of this node.
    Client(RequestId),
    /// A client of another node, which gets the answer under this token.
    Peer(NodeId, Token),
    /// Nobody any more.
    Nobody,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For somebody who can do it. It is tried again at this time.
    Waiting(Mono),
    /// For its turn on this node. Nothing has happened yet.
    Here,
    /// For its entry in the log of this node to be committed.
    InLog,
    /// For the answer of another node to the question of this number. If it can be repeated, it is given
    /// up at this time.
    Asked(NodeId, Token, Option<Mono>),
}

/// Who can do a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Who leads the shard.
    Leader,
    /// Any replica of it, which asks the leader how fresh it is.
    Fresh,
    /// Any replica of it, as it is.
    Replica,
    /// Any replica of it that knows a leader.
    Follower,
}

impl Operation {
    /// Takes a request in, or says why it can never be done.
    pub(super) fn new<D>(
        ground: &Ground<'_, D>,
        origin: Origin,
        request: StrongRequest,
        timeout: Option<Micros>,
    ) -> Result<Self, RequestError> {
        check(ground, &request)?;
        let shard = shard_of(ground, &request)?;
        let bytes = bytes_of(&request);
        let usual = ground.settings.span(Setting::RequestTimeoutMs);
        let timeout = timeout.unwrap_or(usual).min(TIMEOUT_MAX);
        Ok(Self {
            origin,
            request,
            shard,
            deadline: ground.now.mono + timeout,
            bytes,
            phase: Phase::Here,
            tries: 0,
            hint: None,
            in_doubt: false,
        })
    }

    pub(super) fn need(&self) -> Need {
        match &self.request {
            StrongRequest::Write { .. } | StrongRequest::OpenSession { .. } => Need::Leader,
            StrongRequest::Get { freshness, .. } | StrongRequest::Scan { freshness, .. } => {
                match freshness {
                    Freshness::Linearizable => Need::Fresh,
                    Freshness::Stale => Need::Replica,
                }
            }
            StrongRequest::Watch { .. } => Need::Replica,
            StrongRequest::Leader { .. } => Need::Follower,
        }
    }

    /// Whether it may be sent once more when nobody knows what became of it.
    pub(super) fn can_be_repeated(&self) -> bool {
        match &self.request {
            StrongRequest::Write { session, .. } => {
                session.is_some() || planted(Bug::UnnamedWriteRepeated)
            }
            _ => true,
        }
    }

    /// Whether it may have changed something, or may yet.
    pub(super) fn may_take_effect(&self) -> bool {
        let under_way = matches!(self.phase, Phase::InLog | Phase::Asked(..));
        matches!(self.request, StrongRequest::Write { .. }) && (self.in_doubt || under_way)
    }

    pub(super) fn is_watch(&self) -> bool {
        matches!(self.request, StrongRequest::Watch { .. })
    }

    /// What a client hears whose request was not answered in time.
    pub(super) fn timed_out(&self) -> RequestError {
        if self.may_take_effect() {
            return lost();
        }
        RequestError::Unavailable(format!(
            "no majority of shard {} could be reached in time; nothing was changed, try again, and see with /v1/shards who of it is up",
            self.shard.0
        ))
    }
}

/// How many bytes of values a request holds.
pub(super) fn bytes_of(request: &StrongRequest) -> u64 {
    let StrongRequest::Write { operations, .. } = request else { return 0 };
    let of_one = |operation: &WriteOperation| match &operation.action {
        Action::Put { value, .. } => (operation.key.len() + value.len()) as u64,
        Action::Delete | Action::Check => operation.key.len() as u64,
    };
    operations.iter().map(of_one).sum()
}

/// What a client hears of whose write nobody knows what became.
pub(super) fn lost() -> RequestError {
    RequestError::Unknown(String::from("the shard of the key did not answer in time"))
}

/// The longest that a client may wait.
const TIMEOUT_MAX: Micros = Micros::from_millis(10 * 60_000);

fn shard_of<D>(ground: &Ground<'_, D>, request: &StrongRequest) -> Result<ShardId, RequestError> {
    let shard = match request {
        StrongRequest::Get { key, .. } => ground.layout.shard_of(key),
        StrongRequest::Write { operations, .. } => {
            let mut shards = operations.iter().map(|one| ground.layout.shard_of(&one.key));
            let first = shards.next().flatten();
            if shards.any(|shard| shard != first) {
                return Err(RequestError::Invalid(String::from(
                    "the keys of this batch lie in different shards, and it can be atomic in one only; nothing was changed, send a batch for each shard",
                )));
            }
            first
        }
        StrongRequest::Scan { shard, .. }
        | StrongRequest::Watch { shard, .. }
        | StrongRequest::OpenSession { shard }
        | StrongRequest::Leader { shard } => {
            Some(*shard).filter(|shard| (shard.0 as usize) < ground.layout.shards.len())
        }
    };
    shard.ok_or_else(|| {
        RequestError::Invalid(format!(
            "there is no such shard; this cluster has {}, counted from 0",
            ground.layout.shards.len()
        ))
    })
}

/// Checks what no log can make right.
fn check<D>(ground: &Ground<'_, D>, request: &StrongRequest) -> Result<(), RequestError> {
    match request {
        StrongRequest::Get { key, .. } => check_key(key),
        StrongRequest::Write { operations, session } => {
            if !(1..=OPERATIONS_MAX).contains(&operations.len()) {
                return Err(RequestError::Invalid(format!(
                    "a batch has 1 to {OPERATIONS_MAX} operations, not {}; nothing was changed",
                    operations.len()
                )));
            }
            let sessions = session.as_ref().map(|name| name.session.0.len());
            if sessions.is_some_and(|sessions| sessions != ground.layout.shards.len()) {
                return Err(RequestError::Conflict(String::from(
                    "the session is not one of this cluster; nothing was changed, open one",
                )));
            }
            check_operations(ground, operations)
        }
        StrongRequest::Scan { limit, .. } if (1..=PAGE_MAX).contains(limit) => Ok(()),
        StrongRequest::Watch { limit, .. } if *limit <= PAGE_MAX => Ok(()),
        StrongRequest::Scan { limit, .. } | StrongRequest::Watch { limit, .. } => {
            Err(RequestError::Invalid(format!("a limit is from 1 to {PAGE_MAX}, not {limit}")))
        }
        StrongRequest::OpenSession { .. } | StrongRequest::Leader { .. } => Ok(()),
    }
}

fn check_operations<D>(
    ground: &Ground<'_, D>,
    operations: &[WriteOperation],
) -> Result<(), RequestError> {
    let max = ground.settings.get(Setting::ValueBytesMax);
    let mut bytes = 0_u64;
    for operation in operations {
        check_key(&operation.key)?;
        bytes += operation.key.len() as u64;
        let Action::Put { value, ttl } = &operation.action else { continue };
        bytes += value.len() as u64;
        if ttl.is_some_and(|ttl| ttl.0 == 0 || TTL_MAX < ttl) {
            return Err(RequestError::Invalid(String::from(
                "a time to live is from 1 ms to a hundred years; nothing was changed",
            )));
        }
        if max < value.len() as u64 {
            return Err(RequestError::Invalid(format!(
                "the value has {} bytes and the limit is {max}; nothing was changed, raise value_bytes_max or split it",
                value.len()
            )));
        }
    }
    if max + BATCH_EXTRA < bytes {
        return Err(RequestError::Invalid(format!(
            "the batch has {bytes} bytes and the limit is {}; nothing was changed, split it",
            max + BATCH_EXTRA
        )));
    }
    let mut keys: alloc::vec::Vec<_> = operations.iter().map(|operation| &operation.key).collect();
    crate::ordered::sort(&mut keys);
    if keys.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(RequestError::Invalid(String::from(
            "a batch names each key once; nothing was changed",
        )));
    }
    Ok(())
}

/// What a batch may have beyond one value of the greatest size: its keys.
const BATCH_EXTRA: u64 = 64 << 10;

fn check_key(key: &[u8]) -> Result<(), RequestError> {
    if KEY_BYTES.contains(&key.len()) {
        return Ok(());
    }
    Err(RequestError::Invalid(format!(
        "a key has {} to {} bytes, not {}; nothing was changed",
        KEY_BYTES.start(),
        KEY_BYTES.end(),
        key.len()
    )))
}
