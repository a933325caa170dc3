//! A replica of raft-rs: its `RawNode` over its `MemStorage`, which keeps entries as they are.
//!
//! A `Ready` is handled in the order that its documentation gives. Entries hold shared bytes, as they
//! do with its default features.

use raft::eraftpb::{Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use crate::cluster::{
    COMPACT_EVERY, ELECTION_TIMEOUT, HEARTBEAT, MESSAGE_BYTES, Node, Options, REPLICAS, TRAILING,
};

pub(crate) struct Theirs {
    node: RawNode<MemStorage>,
    /// Time there is counted in ticks, one in each heartbeat.
    now: u64,
    next_tick: u64,
    compacted: u64,
}

/// Replicas count from 1 there.
fn id(number: usize) -> u64 {
    number as u64 + 1
}

impl Node for Theirs {
    type Message = Message;

    const NAME: &'static str = "raft-rs";

    fn new(_: u64, me: usize, options: Options) -> Self {
        let config = Config {
            id: id(me),
            heartbeat_tick: 1,
            election_tick: ELECTION_TIMEOUT as usize,
            max_size_per_msg: MESSAGE_BYTES,
            check_quorum: true,
            pre_vote: true,
            batch_append: options.gathers,
            ..Config::default()
        };
        let voters: Vec<u64> = (0..REPLICAS).map(id).collect();
        let storage = MemStorage::new_with_conf_state((voters, Vec::new()));
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage, &logger).expect("the configuration is sound");
        Self { node, now: 0, next_tick: HEARTBEAT, compacted: 0 }
    }

    fn campaign(&mut self) {
        self.node.campaign().expect("a voter may stand for election");
    }

    fn propose(&mut self, command: Vec<u8>) {
        self.node.propose(Vec::new(), command).expect("the leader has room");
    }

    fn propose_together(&mut self, commands: Vec<Vec<u8>>) {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.node.raft.id;
        for command in commands {
            message.mut_entries().push(Entry { data: command.into(), ..Entry::default() });
        }
        // `RawNode::step` refuses what is not from the network.
        self.node.raft.step(message).expect("the leader has room");
    }

    fn step(&mut self, _: usize, message: Message) {
        self.node.step(message).expect("a message of a replica");
    }

    fn turn(&mut self, mut send: impl FnMut(usize, Message)) -> u64 {
        if !self.node.has_ready() {
            return 0;
        }
        let mut send_all = |messages: Vec<Message>| {
            messages.into_iter().for_each(|message| send(message.to as usize - 1, message));
        };
        let mut commands = 0;
        let mut last = 0;
        let mut apply = |entries: Vec<Entry>| {
            for entry in entries {
                commands += u64::from(!entry.data.is_empty());
                last = entry.index;
            }
        };
        let mut ready = self.node.ready();
        send_all(ready.take_messages());
        apply(ready.take_committed_entries());
        if !ready.entries().is_empty() {
            let appended = self.node.mut_store().wl().append(ready.entries());
            appended.expect("entries follow on each other");
        }
        if let Some(state) = ready.hs() {
            self.node.mut_store().wl().set_hardstate(state.clone());
        }
        send_all(ready.take_persisted_messages());
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.mut_store().wl().mut_hard_state().set_commit(commit);
        }
        send_all(light.take_messages());
        apply(light.take_committed_entries());
        self.node.advance_apply();
        if self.compacted + COMPACT_EVERY <= last {
            self.compacted = last;
            let compacted = self.node.mut_store().wl().compact(last - TRAILING);
            compacted.expect("the log is that long");
        }
        commands
    }

    fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    fn tick(&mut self) {
        while self.next_tick <= self.now {
            self.next_tick += HEARTBEAT;
            self.node.tick();
        }
    }

    fn next_deadline(&self) -> u64 {
        self.next_tick
    }

    fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }
}
