//! The sessions of generated clients in the strong keyspace: every other client names its writes, so that
//! nodes send them again when an answer is lost, and carry them out once.
//!
//! A client opens a session in one shard after the other, and names its writes from when it has all. One
//! that was lost is opened anew, all of them together.

use alloc::vec::Vec;

use super::client::Outcome;
use crate::error::RequestError;
use crate::id::ShardId;
use crate::ordered::Map;
use crate::request::Reply;
use crate::request::strong::{Session, SessionSeq, StrongReply};

/// The sessions of all clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(Map<u16, Sequence>);

/// The sessions of one client.
#[derive(Clone, Debug, Default)]
struct Sequence {
    session: Session,
    opening: bool,
    /// The number of its last write.
    last: u64,
}

impl Sessions {
    /// The name of the next write of a client, once its sessions are open.
    pub(super) fn name(&mut self, client: u16, shards: u32) -> Option<SessionSeq> {
        let own = self.0.get_mut(&client)?;
        if own.session.0.len() < shards as usize {
            return None;
        }
        own.last += 1;
        // It does one thing after the other, and asks nobody twice.
        let (session, seq, acknowledged) = (own.session.clone(), own.last, own.last - 1);
        Some(SessionSeq { session, seq, acknowledged })
    }

    /// In which shard a client opens its next session, if it is to.
    pub(super) fn next_to_open(&mut self, client: u16, shards: u32) -> Option<ShardId> {
        if client.is_multiple_of(2) {
            return None;
        }
        let own = self.0.entry(client).or_default();
        let next = own.session.0.len() as u32;
        let opens = next < shards && !own.opening;
        own.opening |= opens;
        opens.then_some(ShardId(next))
    }

    /// What came of a request for a session.
    pub(super) fn opened(&mut self, client: u16, shard: ShardId, outcome: &Outcome) {
        let Some(own) = self.0.get_mut(&client) else { return };
        own.opening = false;
        if let Ok(Reply::Strong(StrongReply::Session(name))) = outcome
            && own.session.0.len() == shard.0 as usize
        {
            own.session.0.push(*name);
        }
    }

    /// What came of an operation of a client: perhaps its sessions are forgotten.
    pub(super) fn answered(&mut self, client: u16, outcome: &Outcome) {
        if let Err(RequestError::Conflict(_)) = outcome
            && let Some(own) = self.0.get_mut(&client)
        {
            own.session = Session(Vec::new());
            own.last = 0;
        }
    }
}
