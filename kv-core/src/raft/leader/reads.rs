//! Linearizable reads without writing the log (ReadIndex, dissertation 6.4).
//!
//! A read is served when everything that was committed at its arrival is applied and the leader has made
//! sure, after the arrival, that it still leads. Reads wait for each other in rounds: a round asks
//! everybody once, by its number in a heartbeat, and a read that arrives meanwhile waits for the next
//! round. The number is the leader's own and only grows, so no late answer can vouch for a later read.

use alloc::vec::Vec;

use super::Leader;
use crate::bugs::{Bug, planted};
use crate::id::{Index, Replica};
use crate::message::raft::RaftBody;
use crate::raft::core::{After, Core};
use crate::raft::{ReadError, ReadId, quorum};
use crate::time::Mono;

/// Reads that wait for the leader to be sure.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// The round under way, or the last one.
    number: u64,
    /// Those that wait for it, and what they may see.
    asked: Vec<(Reader, Index)>,
    /// Those that came later.
    waiting: Vec<Reader>,
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// A client of this replica.
    Here(ReadId),
    /// A client of another replica, by the number of its question.
    There(Replica, u64),
}

/// The most reads that wait here.
const READS_MAX: usize = 100_000;

impl Reads {
    /// The number of the round that heartbeats ask about.
    pub(super) fn round(&self) -> u64 {
        self.number
    }

    fn is_under_way(&self) -> bool {
        !self.asked.is_empty()
    }
}

impl Leader {
    /// A client reads here.
    pub(in crate::raft) fn read(&mut self, core: &mut Core, id: ReadId) {
        if READS_MAX <= self.reads.waiting.len() {
            core.out.reads.push_back((id, Err(ReadError::Busy)));
        } else {
            self.reads.waiting.push(Reader::Here(id));
        }
    }

    /// A client reads at another replica.
    pub(in crate::raft) fn on_read(&mut self, from: Replica, attempt: u64) {
        if self.reads.waiting.len() < READS_MAX {
            self.reads.waiting.push(Reader::There(from, attempt));
        }
    }

    /// Begins the next round if there is somebody who waits for it.
    pub(super) fn begin_reads(&mut self, core: &mut Core, now: Mono) {
        let waits = !self.reads.waiting.is_empty() && !self.reads.is_under_way();
        if !waits || !(self.knows_commit(core) || planted(Bug::ReadBeforeFirstCommit)) {
            return;
        }
        self.reads.number += 1;
        let index = core.commit;
        let waiting = core::mem::take(&mut self.reads.waiting);
        self.reads.asked = waiting.into_iter().map(|reader| (reader, index)).collect();
        self.beat(core, now);
        self.confirm_reads(core, now);
    }

    /// Serves the round if a quorum has confirmed it, and begins the next.
    pub(super) fn confirm_reads(&mut self, core: &mut Core, now: Mono) {
        let confirmed = |replica: Replica| {
            if replica == core.me {
                u64::MAX
            } else {
                self.peers.get(&replica).map_or(0, |progress| progress.read)
            }
        };
        if !self.reads.is_under_way()
            || quorum::reached(core.membership(), confirmed) < self.reads.number
        {
            return;
        }
        for (reader, index) in core::mem::take(&mut self.reads.asked) {
            match reader {
                Reader::Here(id) => core.await_applied(now, index, id),
                Reader::There(peer, attempt) => {
                    core.send(peer, After::Nothing, RaftBody::ReadReply { attempt, index });
                }
            }
        }
        self.begin_reads(core, now);
    }

    /// It no longer leads: whoever waits must ask again.
    pub(in crate::raft) fn drop_reads(&mut self, core: &mut Core) {
        let asked = self.reads.asked.drain(..).map(|(reader, _)| reader);
        for reader in asked.chain(self.reads.waiting.drain(..)) {
            if let Reader::Here(id) = reader {
                core.out.reads.push_back((id, Err(ReadError::NoLeader)));
            }
        }
    }
}
