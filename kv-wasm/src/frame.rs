//! The frame: everything the stage draws, as one packed little-endian buffer.
//!
//! A versioned header of 64 bytes, then one column per fact, widest numbers first, so that every column
//! is aligned by itself. `web/src/sim/frame.ts` reads exactly this; the same bytes pin both sides.
//!
//! | header | | |
//! | --- | --- | --- |
//! | 0 u32 version | 4 u32 nodes (n) | 8 u32 messages (m) |
//! | 12 u32 operations (o) | 16 u32 partitions (p) | 20 u32 replicas |
//! | 24 u32 kinds named so far | 28 u32 trace entries so far | 32 f64 time in µs |
//! | 40 f64 steps | 48 u64 trace hash | 56 u32 epoch | 60 u32 election timeout in ms |
//!
//! | columns of | in this order |
//! | --- | --- |
//! | f64 | deadline, election n (-1: none); number, sent, arrives m; number, called, answered o (-1: none) |
//! | u32 | epoch, keys, requests, held, unsynced, term, base, last, durable, commit n |
//! | u16 | suspected by n; from, to m; node o; owner p (65,535: none) |
//! | u8 | flags, role n; kind, flags m; operation, outcome o; cuts, then links with settings of their own, one bit per (from · n + to) each |

/// The version of the layout.
pub const VERSION: u32 = 3;
/// Flag of a node: it is up.
pub const UP: u8 = 1;
/// Flag of a node: it has halted for good.
pub const HALTED: u8 = 2;
/// Flag of a node: it leads the metadata group, in the greatest term of all that run.
pub const LEADER: u8 = 4;
/// Flag of a node: another live node knows later settings.
pub const BEHIND: u8 = 8;
/// Flag of a node: its disk is full.
pub const FULL: u8 = 16;
/// Flag of a node: its process is stopped.
pub const PAUSED: u8 = 32;
/// Flag of a node: it is down, and cannot be started from its disk.
pub const DAMAGED: u8 = 64;
/// Flag of a message: it will not arrive.
pub const LOST: u8 = 1;
/// Flag of a message: it travels in the urgent lane.
pub const URGENT: u8 = 2;

/// What a frame says.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The time, in microseconds.
    pub now: u64,
    /// Simulator events so far.
    pub steps: u64,
    /// The trace hash.
    pub hash: u64,
    /// N.
    pub replicas: u32,
    /// The latest epoch that a live node knows.
    pub epoch: u32,
    /// How long a node waits for its leader, in milliseconds; up to twice as long by chance.
    pub election_timeout: u32,
    /// How many kinds of messages have numbers.
    pub kinds: u32,
    /// How many trace entries there are.
    pub trace: u32,
    /// The nodes.
    pub nodes: Vec<NodeColumn>,
    /// The messages in flight.
    pub messages: Vec<MessageColumn>,
    /// Operations that are open or ended a moment ago.
    pub operations: Vec<OperationColumn>,
    /// Which node claimed each partition.
    pub owners: Vec<u16>,
    /// Cut directions.
    pub cuts: Vec<(u16, u16)>,
    /// Directions with settings of their own.
    pub own: Vec<(u16, u16)>,
}

/// What a frame says of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeColumn {
    /// Its next deadline, in microseconds.
    pub deadline: Option<u64>,
    /// The epoch it knows.
    pub epoch: u32,
    /// Keys with a live value.
    pub keys: u32,
    /// Open client requests.
    pub requests: u32,
    /// Outputs that wait for a sync.
    pub held: u32,
    /// Bytes that are not durable.
    pub unsynced: u32,
    /// How many live nodes suspect it.
    pub suspected_by: u16,
    /// See the flags of a node.
    pub flags: u8,
    /// Its replica of the metadata group.
    pub raft: RaftColumn,
}

/// What a frame says of a node's replica of the metadata group.
#[derive(Clone, Debug, Default)]
pub struct RaftColumn {
    /// 0 none, 1 follower, 2 learner, 3 pre-candidate, 4 candidate, 5 leader.
    pub role: u8,
    /// Its term.
    pub term: u32,
    /// The index of the last entry that was compacted.
    pub base: u32,
    /// The index of the last entry.
    pub last: u32,
    /// Up to where its disk has the log.
    pub durable: u32,
    /// Up to where it knows entries to be committed.
    pub commit: u32,
    /// When it stands for election unless it hears from a leader, in microseconds.
    pub election: Option<u64>,
}

/// What a frame says of a message.
#[derive(Clone, Debug, Default)]
pub struct MessageColumn {
    /// Its number in the run.
    pub number: u64,
    /// When it was sent, in microseconds.
    pub sent: u64,
    /// When it arrives.
    pub arrives: u64,
    /// From which node.
    pub from: u16,
    /// To which node.
    pub to: u16,
    /// The number of its kind.
    pub kind: u8,
    /// See the flags of a message.
    pub flags: u8,
}

/// What a frame says of an operation.
#[derive(Clone, Debug, Default)]
pub struct OperationColumn {
    /// Its number in the run.
    pub number: u64,
    /// When it was called, in microseconds.
    pub called: u64,
    /// When it was answered.
    pub answered: Option<u64>,
    /// On which node.
    pub node: u16,
    /// 0 get, 1 put, 2 delete.
    pub operation: u8,
    /// 0 open, 1 done, 2 failed.
    pub outcome: u8,
}

impl Frame {
    /// The bytes.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let (nodes, messages, operations) = (&self.nodes, &self.messages, &self.operations);
        let mut out = Columns(Vec::with_capacity(64 + 64 * (nodes.len() + messages.len())));
        self.pack_header(&mut out);
        out.f64(nodes.iter().map(|node| node.deadline));
        out.f64(nodes.iter().map(|node| node.raft.election));
        out.f64(messages.iter().map(|message| Some(message.number)));
        out.f64(messages.iter().map(|message| Some(message.sent)));
        out.f64(messages.iter().map(|message| Some(message.arrives)));
        out.f64(operations.iter().map(|operation| Some(operation.number)));
        out.f64(operations.iter().map(|operation| Some(operation.called)));
        out.f64(operations.iter().map(|operation| operation.answered));
        out.u32(nodes.iter().map(|node| node.epoch));
        out.u32(nodes.iter().map(|node| node.keys));
        out.u32(nodes.iter().map(|node| node.requests));
        out.u32(nodes.iter().map(|node| node.held));
        out.u32(nodes.iter().map(|node| node.unsynced));
        out.u32(nodes.iter().map(|node| node.raft.term));
        out.u32(nodes.iter().map(|node| node.raft.base));
        out.u32(nodes.iter().map(|node| node.raft.last));
        out.u32(nodes.iter().map(|node| node.raft.durable));
        out.u32(nodes.iter().map(|node| node.raft.commit));
        out.u16(nodes.iter().map(|node| node.suspected_by));
        out.u16(messages.iter().map(|message| message.from));
        out.u16(messages.iter().map(|message| message.to));
        out.u16(operations.iter().map(|operation| operation.node));
        out.u16(self.owners.iter().copied());
        out.0.extend(nodes.iter().map(|node| node.flags));
        out.0.extend(nodes.iter().map(|node| node.raft.role));
        out.0.extend(messages.iter().map(|message| message.kind));
        out.0.extend(messages.iter().map(|message| message.flags));
        out.0.extend(operations.iter().map(|operation| operation.operation));
        out.0.extend(operations.iter().map(|operation| operation.outcome));
        out.0.extend(self.bits(&self.cuts));
        out.0.extend(self.bits(&self.own));
        out.0
    }

    fn pack_header(&self, out: &mut Columns) {
        let counts = [
            VERSION,
            self.nodes.len() as u32,
            self.messages.len() as u32,
            self.operations.len() as u32,
            self.owners.len() as u32,
            self.replicas,
            self.kinds,
            self.trace,
        ];
        out.u32(counts.into_iter());
        out.f64([Some(self.now), Some(self.steps)].into_iter());
        out.0.extend(self.hash.to_le_bytes());
        out.u32([self.epoch, self.election_timeout].into_iter());
    }

    fn bits(&self, directions: &[(u16, u16)]) -> Vec<u8> {
        let nodes = self.nodes.len();
        let mut bits = vec![0; (nodes * nodes).div_ceil(8)];
        for &(from, to) in directions {
            let bit = usize::from(from) * nodes + usize::from(to);
            if let Some(byte) = bits.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
        bits
    }
}

struct Columns(Vec<u8>);

impl Columns {
    fn f64(&mut self, column: impl Iterator<Item = Option<u64>>) {
        for value in column {
            // JavaScript has no other number; below 2^53 it is exact, which is 285 years of µs.
            let value = value.map_or(-1.0, |value| value as f64);
            self.0.extend(value.to_le_bytes());
        }
    }

    fn u32(&mut self, column: impl Iterator<Item = u32>) {
        column.for_each(|value| self.0.extend(value.to_le_bytes()));
    }

    fn u16(&mut self, column: impl Iterator<Item = u16>) {
        column.for_each(|value| self.0.extend(value.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's unit tests read the same file.
    const PINNED: &str = include_str!("../tests/frame.hex");

    fn sample() -> Frame {
        Frame {
            now: 1_234_567,
            steps: 890,
            hash: 0x0123_4567_89ab_cdef,
            replicas: 3,
            epoch: 3,
            election_timeout: 1_000,
            kinds: 2,
            trace: 77,
            nodes: nodes(),
            messages: messages(),
            operations: operations(),
            owners: vec![0, 1, 2, 0, 1, 2, 0, u16::MAX],
            cuts: vec![(0, 1), (2, 0)],
            own: vec![(1, 2)],
        }
    }

    fn nodes() -> Vec<NodeColumn> {
        let up = NodeColumn {
            deadline: Some(1_500_000),
            epoch: 3,
            keys: 12,
            requests: 1,
            held: 2,
            unsynced: 4_096,
            suspected_by: 0,
            flags: UP | LEADER,
            raft: RaftColumn {
                role: 5,
                term: 4,
                base: 6,
                last: 11,
                durable: 10,
                commit: 9,
                election: None,
            },
        };
        let down = NodeColumn { suspected_by: 2, ..NodeColumn::default() };
        let waits = RaftColumn { role: 1, election: Some(2_500_000), ..up.raft.clone() };
        let behind = NodeColumn {
            deadline: Some(1_600_000),
            flags: UP | BEHIND | PAUSED,
            raft: waits,
            ..up.clone()
        };
        vec![up, down, behind]
    }

    fn messages() -> Vec<MessageColumn> {
        vec![
            MessageColumn {
                number: 41,
                sent: 1_200_000,
                arrives: 1_300_000,
                from: 0,
                to: 2,
                kind: 1,
                flags: URGENT,
            },
            MessageColumn {
                number: 42,
                sent: 1_210_000,
                arrives: 1_310_000,
                from: 2,
                to: 1,
                kind: 0,
                flags: LOST,
            },
        ]
    }

    fn operations() -> Vec<OperationColumn> {
        vec![
            OperationColumn {
                number: 9,
                called: 1_000_000,
                answered: Some(1_100_000),
                node: 2,
                operation: 1,
                outcome: 1,
            },
            OperationColumn {
                number: 10,
                called: 1_230_000,
                answered: None,
                node: 0,
                operation: 0,
                outcome: 0,
            },
        ]
    }

    #[test]
    fn the_layout_is_pinned() {
        let hex: String = sample().pack().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, PINNED.split_whitespace().collect::<String>());
    }

    #[test]
    fn every_column_is_aligned_whatever_the_counts() {
        let mut frame = sample();
        frame.messages.truncate(1);
        frame.nodes.push(NodeColumn::default());
        let (n, m, o, p) = (4_usize, 1, 2, 8);
        let bytes = 64 + 8 * (2 * n + 3 * m + 3 * o) + 4 * 10 * n + 2 * (n + 2 * m + o + p);
        assert_eq!(frame.pack().len(), bytes + 2 * n + 2 * m + 2 * o + 2 * (n * n).div_ceil(8));
    }
}
