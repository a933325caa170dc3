//! Three replicas in one process and everything between them, the same for both machines.
//!
//! A replica is given messages as values and ends its turn; what it sends lies in the inbox of the other
//! until that one's turn. Nothing is lost, nothing waits: a disk that is asked to sync has done so.

/// A replica of one group, of either machine.
pub(crate) trait Node: Sized {
    type Message;

    /// Which machine it is.
    const NAME: &'static str;

    /// Replica `me` of a group of [`REPLICAS`].
    fn new(group: u64, me: usize, options: Options) -> Self;

    /// Stands for election.
    fn campaign(&mut self);

    /// One command.
    fn propose(&mut self, command: Vec<u8>);

    /// Several commands in whatever way brings them to the others together.
    fn propose_together(&mut self, commands: Vec<Vec<u8>>);

    fn step(&mut self, from: usize, message: Self::Message);

    /// Ends a turn: writes, sends, applies. Returns how many commands were applied.
    fn turn(&mut self, send: impl FnMut(usize, Self::Message)) -> u64;

    /// Time has come so far, in microseconds.
    fn set_time(&mut self, now: u64);

    /// What is due is done.
    fn tick(&mut self);

    /// When the next tick is wanted.
    fn next_deadline(&self) -> u64;

    fn is_leader(&self) -> bool;
}

/// What can be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// raft-rs adds entries to a message that has not left yet. Here that is always so.
    pub(crate) gathers: bool,
}

pub(crate) const REPLICAS: usize = 3;

/// In microseconds, for both.
pub(crate) const HEARTBEAT: u64 = 100_000;

/// In heartbeats, for both, at least; at most twice that.
pub(crate) const ELECTION_TIMEOUT: u64 = 10;

/// The most bytes of entries in one message, for both.
pub(crate) const MESSAGE_BYTES: u64 = 256 << 10;

/// After so many applied entries a log is compacted, for both, and [`TRAILING`] stay.
pub(crate) const COMPACT_EVERY: u64 = 8_192;

pub(crate) const TRAILING: u64 = 1_024;

/// A group of which replica 0 leads.
pub(crate) struct Cluster<N: Node> {
    nodes: Vec<N>,
    inboxes: Vec<Vec<(usize, N::Message)>>,
    applied: Vec<u64>,
}

impl<N: Node> Cluster<N> {
    pub(crate) fn new(options: Options) -> Self {
        let nodes = (0..REPLICAS).map(|me| N::new(1, me, options)).collect();
        let inboxes = (0..REPLICAS).map(|_| Vec::new()).collect();
        let mut cluster = Self { nodes, inboxes, applied: vec![0; REPLICAS] };
        cluster.nodes[0].campaign();
        cluster.finish();
        assert!(cluster.leader().is_leader(), "nobody else stands for election");
        cluster
    }

    pub(crate) fn leader(&mut self) -> &mut N {
        &mut self.nodes[0]
    }

    /// Goes on until the leader has applied so many commands in all.
    pub(crate) fn drain(&mut self, applied: u64) {
        while self.applied[0] < applied {
            (0..REPLICAS).for_each(|me| self.turn(me));
        }
    }

    /// Goes on until nothing more happens. Returns what each has applied.
    pub(crate) fn finish(&mut self) -> &[u64] {
        loop {
            (0..REPLICAS).for_each(|me| self.turn(me));
            if self.inboxes.iter().all(Vec::is_empty) {
                return &self.applied;
            }
        }
    }

    fn turn(&mut self, me: usize) {
        let mut inbox = std::mem::take(&mut self.inboxes[me]);
        let node = &mut self.nodes[me];
        for (from, message) in inbox.drain(..) {
            node.step(from, message);
        }
        self.inboxes[me] = inbox;
        let inboxes = &mut self.inboxes;
        self.applied[me] += node.turn(|to, message| inboxes[to].push((me, message)));
    }
}
