//! A replica of kv's machine.
//!
//! What it has for the disk is put into a batch, as its owner would, with keys and values encoded; the
//! batch is dropped then.

use bytes::Bytes;
use kv_core::id::{FileId, GroupId, Incarnation, Index, LogPosition, NodeId, Replica};
use kv_core::message::raft::{Membership, Payload, RaftMessage};
use kv_core::raft::{Group, Limits, Opened};
use kv_core::storage::Batch;
use kv_core::time::{Micros, Mono};

use crate::cluster::{
    COMPACT_EVERY, ELECTION_TIMEOUT, HEARTBEAT, MESSAGE_BYTES, Node, Options, REPLICAS, TRAILING,
};

pub(crate) struct Ours {
    group: Group,
    batch: Batch,
    now: Mono,
    end: LogPosition,
    compacted: u64,
}

fn replica(number: usize) -> Replica {
    Replica { node: NodeId(number as u64), incarnation: Incarnation(1) }
}

impl Node for Ours {
    type Message = RaftMessage;

    const NAME: &'static str = "kv";

    fn new(group: u64, me: usize, _: Options) -> Self {
        let end = LogPosition { segment: FileId(1), offset: 0 };
        let membership = Membership::of((0..REPLICAS).map(replica));
        let opened = Opened::new(GroupId(group), replica(me), membership, end);
        let limits = Limits {
            heartbeat: Micros(HEARTBEAT),
            election_timeout: Micros(HEARTBEAT * ELECTION_TIMEOUT),
            append_bytes_max: MESSAGE_BYTES,
            ..Limits::default()
        };
        let now = Mono(0);
        let group = Group::open(opened, limits, me as u64, now);
        Self { group, batch: Batch::default(), now, end, compacted: 0 }
    }

    fn campaign(&mut self) {
        self.group.campaign(self.now);
    }

    fn propose(&mut self, command: Vec<u8>) {
        self.group.propose(self.now, Bytes::from(command)).expect("the leader has room");
    }

    fn propose_together(&mut self, commands: Vec<Vec<u8>>) {
        // Whatever is proposed in one turn travels together.
        commands.into_iter().for_each(|command| self.propose(command));
    }

    fn step(&mut self, from: usize, message: RaftMessage) {
        self.group.step(self.now, replica(from), message);
    }

    fn turn(&mut self, mut send: impl FnMut(usize, RaftMessage)) -> u64 {
        self.group.settle(self.now);
        self.batch.clear();
        if self.group.write(&mut self.batch) {
            self.end.offset += 1;
            self.group.written(self.end);
            self.group.synced(self.now, self.end);
        }
        while let Some((to, _, message)) = self.group.next_message() {
            send(to.node.0 as usize, message);
        }
        let mut commands = 0;
        let mut last = Index(0);
        while let Some(entry) = self.group.next_committed() {
            commands += u64::from(matches!(entry.payload, Payload::Command(_)));
            last = entry.id.index;
        }
        while self.group.next_event().is_some() {}
        if self.compacted + COMPACT_EVERY <= last.0 {
            self.compacted = last.0;
            self.group.compact_to(Index(last.0 - TRAILING));
        }
        commands
    }

    fn set_time(&mut self, now: u64) {
        self.now = Mono(now);
    }

    fn tick(&mut self) {
        self.group.tick(self.now);
    }

    fn next_deadline(&self) -> u64 {
        self.group.next_deadline().map_or(u64::MAX, |due| due.0)
    }

    fn is_leader(&self) -> bool {
        self.group.is_leader()
    }
}
