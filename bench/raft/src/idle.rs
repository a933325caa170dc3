//! Many groups of which none does anything: what their heartbeats cost.
//!
//! Each node has a heap with the next deadline of each of its groups, so that nobody looks at a group
//! that has nothing to do. A deadline that moved meanwhile goes back with its new time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cluster::{HEARTBEAT, Node, Options, REPLICAS};

/// A message of a group, on its way: the group, from, to.
type OnItsWay<N> = (usize, usize, usize, <N as Node>::Message);

/// The replicas of all groups on all nodes.
pub(crate) struct Idle<N: Node> {
    /// By group, then by node.
    groups: Vec<Vec<N>>,
    /// Of each node: when, and which group.
    deadlines: Vec<BinaryHeap<Reverse<(u64, usize)>>>,
    now: u64,
    /// How many messages were delivered.
    pub(crate) messages: u64,
}

impl<N: Node> Idle<N> {
    /// So many groups, led by the nodes in turn, with their heartbeats spread over the time.
    pub(crate) fn new(count: usize) -> Self {
        let replicas = |group: usize| {
            (0..REPLICAS).map(|me| N::new(group as u64, me, Options::default())).collect()
        };
        let groups = (0..count).map(replicas).collect();
        let deadlines = (0..REPLICAS).map(|_| BinaryHeap::new()).collect();
        let mut idle = Self { groups, deadlines, now: 0, messages: 0 };
        for group in 0..count {
            idle.run_until(group as u64 * HEARTBEAT / count as u64);
            let leader = group % REPLICAS;
            idle.groups[group][leader].set_time(idle.now);
            idle.groups[group][leader].campaign();
            idle.let_talk(group, leader);
            for me in 0..REPLICAS {
                let due = idle.groups[group][me].next_deadline();
                idle.deadlines[me].push(Reverse((due, group)));
            }
        }
        idle
    }

    /// Lets time pass up to there, in microseconds.
    pub(crate) fn run_until(&mut self, end: u64) {
        while let Some((due, me)) = self.first().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            let Some(Reverse((_, group))) = self.deadlines[me].pop() else { break };
            self.groups[group][me].set_time(self.now);
            self.groups[group][me].tick();
            self.let_talk(group, me);
            let next = self.groups[group][me].next_deadline();
            self.deadlines[me].push(Reverse((next, group)));
        }
        self.now = end;
    }

    /// How many groups have the leader they began with.
    pub(crate) fn led(&self) -> usize {
        let mut groups = self.groups.iter().enumerate();
        groups.by_ref().filter(|(group, replicas)| replicas[group % REPLICAS].is_leader()).count()
    }

    fn first(&self) -> Option<(u64, usize)> {
        let firsts = self.deadlines.iter().zip(0..).filter_map(|(deadlines, me)| {
            let Reverse((due, _)) = deadlines.peek()?;
            Some((*due, me))
        });
        firsts.min()
    }

    /// The turn of a replica, and of those it writes to, until all is said.
    fn let_talk(&mut self, group: usize, me: usize) {
        let mut on_their_way: Vec<OnItsWay<N>> = Vec::new();
        self.groups[group][me].turn(|to, message| on_their_way.push((group, me, to, message)));
        while !on_their_way.is_empty() {
            for (group, from, to, message) in std::mem::take(&mut on_their_way) {
                self.messages += 1;
                let node = &mut self.groups[group][to];
                node.set_time(self.now);
                node.step(from, message);
                node.turn(|next, message| on_their_way.push((group, to, next, message)));
            }
        }
    }
}
