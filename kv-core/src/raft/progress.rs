//! What a leader knows of one other replica, and what it may send to it next.
//!
//! ```text
//!            a reply connects the logs                   it lacks what was compacted
//! Probe ─────────────────────────────────▶ Replicate ───────────────────────────────▶ Snapshot
//!   ▲  one message at a time to find where    │  many under way, without waiting        │
//!   │  the logs agree                         │                                         │
//!   └──────────── something was lost ─────────┘◀────── a reply connects the logs ───────┘
//! ```
//!
//! Invariant: `matched < next`. Whatever was lost, the reply to the next heartbeat gets things moving.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::bugs::{Bug, planted};
use crate::id::Index;
use crate::message::raft::Manifest;
use crate::time::Mono;

/// What a leader knows of one replica.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// Up to here the replica's log is known to equal the leader's, on disk.
    pub(super) matched: Index,
    /// The next entry to send.
    pub(super) next: Index,
    /// How entries are sent.
    pub(super) flow: Flow,
    /// The newest round of reads it confirmed.
    pub(super) read: u64,
    /// When it last answered anything.
    pub(super) heard: Mono,
    /// The last commit index it was told.
    pub(super) told: Index,
    /// Where things stood at the last regular heartbeat.
    mark: (Index, Index, u32),
    /// Whether nothing moved from one regular heartbeat to the next, though something should.
    stalled: bool,
}

/// How entries are sent to a replica.
#[derive(Clone, Debug)]
pub(super) enum Flow {
    /// One message, then wait.
    Probe {
        /// Whether it is under way.
        waiting: bool,
    },
    /// Message after message.
    Replicate(InFlight),
    /// A whole state first.
    Snapshot(Transfer),
}

/// Messages with entries that were not answered yet.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    /// The last entry and the bytes of each.
    messages: VecDeque<(Index, u64)>,
    bytes: u64,
}

/// A state on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Transfer {
    /// What is sent; none while it is being made.
    pub(super) manifest: Option<(u64, Arc<Manifest>)>,
    /// The first chunk the replica has not confirmed.
    pub(super) acked: u32,
    /// The next chunk to ask the state machine for.
    pub(super) next: u32,
}

impl Progress {
    /// Of a replica of which nothing is known, by a leader whose log ends before `next`.
    #[must_use]
    pub(super) fn new(next: Index, now: Mono) -> Self {
        Self {
            matched: Index(0),
            next,
            flow: Flow::Probe { waiting: false },
            read: 0,
            heard: now,
            told: Index(0),
            mark: (Index(0), Index(0), 0),
            stalled: false,
        }
    }

    /// A regular heartbeat is sent by a leader whose log ends at `last`.
    pub(super) fn mark(&mut self, last: Index) {
        let (acked, lacks) = match &self.flow {
            // It may lack the state alone.
            Flow::Snapshot(transfer) => (transfer.acked, true),
            Flow::Probe { .. } | Flow::Replicate(_) => (0, self.matched < last),
        };
        let mark = (self.matched, self.next, acked);
        self.stalled = lacks && self.mark == mark;
        self.mark = mark;
    }

    /// The replica has everything up to here. Returns whether that is news.
    pub(super) fn advance(&mut self, matched: Index) -> bool {
        self.next = self.next.max(matched.next());
        if let Flow::Replicate(in_flight) = &mut self.flow {
            in_flight.answered(matched);
        }
        let news = self.matched < matched;
        self.matched = self.matched.max(matched);
        news
    }

    /// The replica has not the entry at `prev`; the logs may agree at `hint`. Returns whether to try
    /// there: an answer that is late, or repeated, says nothing.
    pub(super) fn reject(&mut self, prev: Index, hint: Index) -> bool {
        let believable = match self.flow {
            Flow::Replicate(_) => self.matched < prev,
            Flow::Probe { .. } => prev.next() == self.next,
            Flow::Snapshot(_) => false,
        };
        if believable {
            self.next = match self.flow {
                // Where it was connected once, it still is: its disk is behind no promise.
                Flow::Replicate(_) => self.matched.next(),
                _ => hint.next().min(prev).max(self.matched.next()),
            };
            self.flow = Flow::Probe { waiting: false };
        }
        believable
    }

    /// From now on entries are sent one message after the other.
    pub(super) fn replicate(&mut self) {
        self.next = self.matched.next();
        self.flow = Flow::Replicate(InFlight::default());
    }

    /// From now on the replica waits for a state.
    pub(super) fn need_snapshot(&mut self) {
        self.flow = Flow::Snapshot(Transfer::default());
    }

    /// Whether entries may be sent now.
    #[must_use]
    pub(super) fn may_send(&self, messages_max: usize, bytes_max: u64) -> bool {
        match &self.flow {
            Flow::Probe { waiting } => !waiting,
            Flow::Replicate(in_flight) => {
                in_flight.messages.len() < messages_max && in_flight.bytes < bytes_max
            }
            Flow::Snapshot(_) => false,
        }
    }

    /// Whether a message with entries is on its way, which carries the commit index too.
    #[must_use]
    pub(super) fn is_waiting(&self) -> bool {
        match &self.flow {
            Flow::Probe { waiting } => *waiting,
            Flow::Replicate(in_flight) => !in_flight.messages.is_empty(),
            Flow::Snapshot(_) => true,
        }
    }

    /// Entries up to `last` were sent; none, if `last` is before `next`.
    pub(super) fn sent(&mut self, last: Index, bytes: u64) {
        match &mut self.flow {
            Flow::Probe { waiting } => *waiting = true,
            Flow::Replicate(in_flight) if self.next <= last => {
                in_flight.messages.push_back((last, bytes));
                in_flight.bytes += bytes;
                self.next = last.next();
            }
            Flow::Replicate(_) | Flow::Snapshot(_) => {}
        }
    }

    /// The replica answered a heartbeat. If nothing has moved for so long, messages were lost: it is
    /// tried again where it is known to be. Returns whether so.
    pub(super) fn resume(&mut self) -> bool {
        let stuck = match self.flow {
            Flow::Probe { .. } => planted(Bug::ProbeNeverRepeated),
            Flow::Replicate(_) => planted(Bug::WindowNeverDrains),
            Flow::Snapshot(_) => false,
        };
        if !core::mem::take(&mut self.stalled) || stuck {
            return false;
        }
        match &mut self.flow {
            Flow::Probe { waiting } => *waiting = false,
            Flow::Replicate(_) => {
                self.next = self.matched.next();
                self.flow = Flow::Probe { waiting: false };
            }
            Flow::Snapshot(transfer) => transfer.next = transfer.acked,
        }
        true
    }
}

impl InFlight {
    fn answered(&mut self, upto: Index) {
        while let Some((_, bytes)) = self.messages.pop_front_if(|(last, _)| *last <= upto) {
            self.bytes -= bytes;
        }
    }
}
