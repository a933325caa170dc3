//! A shard that this node holds: its state, and who waits for what of it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::feed::Feed;
use super::state::State;
use super::transfer::Transfer;
use crate::disk::Disk;
use crate::id::{Index, NodeId, ShardId, Term};
use crate::message::Token;
use crate::ordered::Map;
use crate::storage::{Store, Unreadable};

/// How many rounds of reads may be on their way at a time. What comes meanwhile shares the next.
const ROUNDS_MAX: usize = 4;

/// One shard on one replica.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) state: State,
    pub(super) feed: Feed,
    pub(super) transfer: Transfer,
    /// Whether a part of the state is missing or cannot be read: another one has to take its place, and
    /// until then other replicas serve the shard.
    pub(super) damaged: bool,
    /// Who leads it, as far as this node knows.
    pub(super) leader: Option<NodeId>,
    /// The operations that wait to be proposed.
    pub(super) entering: Vec<Token>,
    /// Those that stand in the log, with the term they were proposed in.
    pub(super) proposed: Map<Index, (Term, Token)>,
    /// The reads that wait for the next round.
    pub(super) reading: Vec<Token>,
    /// The rounds on their way.
    pub(super) rounds: Map<u64, Vec<Token>>,
    /// Rounds that may be answered once so much is applied.
    pub(super) confirmed: VecDeque<(Index, Vec<Token>)>,
    /// The operations that wait for changes.
    pub(super) watching: Vec<Token>,
    /// The mark behind which the store was last asked to write what is in memory.
    pub(super) flushed: Option<Index>,
    /// Whether an entry of the log that only moves the clock is on its way.
    pub(super) ticking: bool,
}

impl Held {
    pub(super) fn open(
        shard: ShardId,
        stream: u64,
        store: &Store,
        disk: &impl Disk,
    ) -> Result<Self, Unreadable> {
        Ok(Self::of(State::open(shard, stream, store, disk)?))
    }

    /// A shard whose state is to be received.
    pub(super) fn without_state(shard: ShardId, stream: u64) -> Self {
        Self { damaged: true, ..Self::of(State::empty(shard, stream)) }
    }

    fn of(state: State) -> Self {
        Self {
            feed: Feed::behind(state.applied()),
            state,
            transfer: Transfer::default(),
            damaged: false,
            leader: None,
            entering: Vec::new(),
            proposed: Map::new(),
            reading: Vec::new(),
            rounds: Map::new(),
            confirmed: VecDeque::new(),
            watching: Vec::new(),
            flushed: None,
            ticking: false,
        }
    }

    /// The reads that go into a round now.
    pub(super) fn next_round(&mut self) -> Option<Vec<Token>> {
        let due = !self.reading.is_empty() && self.rounds.len() < ROUNDS_MAX;
        due.then(|| core::mem::take(&mut self.reading))
    }

    /// The reads that may be answered from what is applied now.
    pub(super) fn answerable(&mut self) -> Vec<Token> {
        let applied = self.state.applied();
        let mut tokens = Vec::new();
        while let Some((_, round)) = self.confirmed.pop_front_if(|(index, _)| *index <= applied) {
            tokens.extend(round);
        }
        tokens
    }

    /// Everybody who waits for something of it, and whether that may still happen to the log.
    pub(super) fn waiting(&mut self) -> Vec<(Token, bool)> {
        let rounds = core::mem::take(&mut self.rounds).into_values();
        let confirmed = core::mem::take(&mut self.confirmed).into_iter().map(|(_, round)| round);
        let reads = rounds.chain(confirmed).flatten();
        let idle = reads
            .chain(self.entering.drain(..))
            .chain(self.reading.drain(..))
            .chain(self.watching.drain(..))
            .map(|token| (token, false));
        let mut all: Vec<(Token, bool)> = idle.collect();
        let proposed = core::mem::take(&mut self.proposed).into_values();
        all.extend(proposed.map(|(_, token)| (token, true)));
        all
    }
}
