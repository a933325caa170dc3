//! Answering from the state of a shard: reads, scans and watches.
//!
//! A linearizable read comes here when the replica has applied everything that was committed when the read
//! was asked (Ongaro's dissertation, 6.4); a stale one at once. Reads that gather in a turn share a round.

use alloc::format;
use alloc::vec::Vec;

use super::{Ground, Strong};
use crate::disk::Disk;
use crate::error::RequestError;
use crate::event::EventKind;
use crate::id::{GroupId, Index, ShardId};
use crate::message::Token;
use crate::message::strong::StrongRefusal;
use crate::request::strong::{StrongReply, StrongRequest};

/// About how many bytes of records one answer has.
const PAGE_BYTES: u64 = 1 << 20;

impl Strong {
    /// The reads of this turn: for each group of a shard a round of those that gathered.
    pub fn next_rounds(&mut self) -> Vec<(GroupId, u64)> {
        let mut rounds = Vec::new();
        if !self.turn {
            return rounds;
        }
        for shard in core::mem::take(&mut self.gathered) {
            let Some(held) = self.held.get_mut(&shard) else { continue };
            if let Some(tokens) = held.next_round() {
                self.last_round += 1;
                held.rounds.insert(self.last_round, tokens);
                rounds.push((shard.group(), self.last_round));
            } else if !held.reading.is_empty() {
                self.gathered.insert(shard);
            }
        }
        rounds
    }

    /// A round may be answered once so much is applied, or nobody vouches for it.
    pub fn on_round<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        shard: ShardId,
        round: u64,
        result: Option<Index>,
    ) {
        self.now = ground.now.mono;
        let Some(held) = self.held.get_mut(&shard) else { return };
        let Some(tokens) = held.rounds.remove(&round) else { return };
        if !held.reading.is_empty() {
            self.gathered.insert(shard);
            self.due = true;
        }
        match result {
            Some(index) => {
                held.confirmed.push_back((index, tokens));
                for token in held.answerable() {
                    self.read(ground, token);
                }
            }
            None => {
                let leader = held.leader;
                for token in tokens {
                    self.failed(ground, token, false, leader);
                }
            }
        }
    }

    /// Answers from what is applied now; a watch for which there is nothing yet goes on waiting.
    pub(super) fn read<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        let Some(held) = self.held.get_mut(&operation.shard) else { return };
        let revision = held.state.applied();
        let reply = match &operation.request {
            StrongRequest::Get { key, .. } => held
                .state
                .get(key, ground.store, &*ground.disk)
                .map(|record| StrongReply::Value { record, revision }),
            StrongRequest::Scan { prefix, after, limit, .. } => held
                .state
                .scan((prefix, after.as_deref()), (*limit, PAGE_BYTES), ground.store, &*ground.disk)
                .map(|(records, next)| StrongReply::Page { records, next, revision }),
            StrongRequest::Watch { prefix, after: Some(after), limit, .. } => {
                match held.feed.since(*after, prefix, *limit) {
                    Ok(changes) if changes.is_empty() && *limit > 0 => {
                        held.watching.push(token);
                        return;
                    }
                    Ok(changes) => {
                        let upto = match changes.last() {
                            Some(last) if *limit as usize <= changes.len() => last.revision,
                            None if *limit == 0 => *after,
                            _ => revision,
                        };
                        Ok(StrongReply::Changes { changes, upto })
                    }
                    Err(error) => {
                        self.finish(ground, token, Err(StrongRefusal::Error(error)));
                        return;
                    }
                }
            }
            StrongRequest::Watch { after: None, .. } => {
                Ok(StrongReply::Changes { changes: Vec::new(), upto: revision })
            }
            StrongRequest::Write { .. }
            | StrongRequest::OpenSession { .. }
            | StrongRequest::Leader { .. } => return,
        };
        let shard = operation.shard;
        let reply = match reply {
            Ok(reply) => Ok(reply),
            Err(fault) => {
                let kind = EventKind::Unreadable { file: fault.file, offset: fault.offset };
                ground.out.event(kind);
                if ground.layout.holders(shard).count() > 1 {
                    // Another replica answers, and gives this one its state.
                    self.unreadable.insert(shard, fault);
                    self.failed(ground, token, false, None);
                    return;
                }
                let words = format!("{fault}, and no other node has the key; nothing was changed");
                Err(StrongRefusal::Error(RequestError::Unavailable(words)))
            }
        };
        self.finish(ground, token, reply);
    }

    /// The time of a watch is over and nothing has come.
    pub(super) fn end_watch<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        let Some(held) = self.held.get_mut(&operation.shard) else { return };
        held.watching.retain(|waiting| *waiting != token);
        let seen = match &operation.request {
            StrongRequest::Watch { after: Some(after), .. } => *after,
            _ => Index(0),
        };
        let upto = held.state.applied().max(seen);
        self.finish(ground, token, Ok(StrongReply::Changes { changes: Vec::new(), upto }));
    }
}
