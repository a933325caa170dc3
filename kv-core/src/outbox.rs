//! The one outbox of a node: what machines want to happen, held until the disk covers it.
//!
//! A machine pushes an output together with the log position it depends on. Outputs leave by position,
//! then by order of emission. Within one flow (the messages of one lane to one peer about one
//! partition, the answers to one request) nothing overtakes: an output never leaves before one that was pushed earlier
//! into its flow. So whatever [`Outbox::poll`] returns may leave at once.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::{Discriminant, discriminant};

use crate::bugs::{Bug, planted};
use crate::error::RequestError;
use crate::event::{Cause, DropReason, Event, EventKind};
use crate::id::{
    ClusterId, EventId, Incarnation, JobId, LogPosition, MessageId, NodeId, PartitionId, RequestId,
};
use crate::io::Output;
use crate::message::{Envelope, Lane, Message};
use crate::ordered::Map;
use crate::request::Reply;
use crate::storage::Job;
use crate::time::Now;

/// Outputs of one node, ready or held.
#[derive(Clone, Debug)]
pub struct Outbox {
    from: NodeId,
    incarnation: Incarnation,
    cluster: Option<ClusterId>,
    /// The log position of the identity and the membership that every message speaks of.
    floor: LogPosition,
    now: Now,
    cause: Cause,
    durable: LogPosition,
    ready: VecDeque<Output>,
    held: Map<(LogPosition, u64), Output>,
    flows: Map<Flow, LogPosition>,
    emitted: u64,
    messages: u64,
    events: u64,
    /// How often each kind of event has happened, with its name.
    counters: Vec<(Discriminant<EventKind>, &'static str, u64)>,
}

/// What keeps its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flow {
    Peer(NodeId, Lane, Option<PartitionId>),
    Request(RequestId),
}

impl Outbox {
    /// An empty outbox of this node.
    #[must_use]
    pub fn new(from: NodeId, incarnation: Incarnation, now: Now) -> Self {
        Self {
            from,
            incarnation,
            cluster: None,
            floor: LogPosition::START,
            now,
            cause: Cause::Boot,
            durable: LogPosition::START,
            ready: VecDeque::new(),
            held: Map::new(),
            flows: Map::new(),
            emitted: 0,
            messages: 0,
            events: 0,
            counters: Vec::new(),
        }
    }

    /// Names the input whose effects follow.
    pub fn begin(&mut self, now: Now, cause: Cause) {
        self.now = now;
        self.cause = cause;
    }

    /// No message leaves before the log is durable up to here, for it names the sender.
    pub fn speak_after(&mut self, at: LogPosition) {
        self.floor = self.floor.max(at);
    }

    /// From now on every message is sent as a member of this cluster, which is durable from `at` on.
    pub fn speak_for(&mut self, cluster: ClusterId, at: LogPosition) {
        self.cluster = Some(cluster);
        self.speak_after(at);
    }

    /// Sends a message once the log is durable up to `after`. Messages about one partition keep their
    /// order towards one peer, and so do those about none.
    pub fn send(
        &mut self,
        to: NodeId,
        about: Option<PartitionId>,
        after: LogPosition,
        message: Message,
    ) {
        let lane = message.lane();
        let output = self.envelop(to, message);
        let after = after.max(self.floor);
        self.push(Flow::Peer(to, lane, about), after, output);
    }

    /// Sends a message once the log is durable up to `after`, whatever was sent before it: for machines
    /// that live with messages out of order.
    pub fn send_unordered(&mut self, to: NodeId, after: LogPosition, message: Message) {
        let output = self.envelop(to, message);
        let after = after.max(self.floor);
        self.hold(after, output);
    }

    /// Gives a client its only or last answer, and tells so in an event.
    pub fn reply(
        &mut self,
        id: RequestId,
        after: LogPosition,
        result: Result<Reply, RequestError>,
    ) {
        let error = result.as_ref().err().cloned();
        self.push(Flow::Request(id), after, Output::Reply { id, result, more: false });
        self.event(EventKind::Answered { request: id, error });
    }

    /// Gives a client a part of a long answer.
    pub fn reply_part(&mut self, id: RequestId, after: LogPosition, part: Reply) {
        let output = Output::Reply { id, result: Ok(part), more: true };
        self.push(Flow::Request(id), after, output);
    }

    /// Tells that something happened.
    pub fn event(&mut self, kind: EventKind) {
        self.count(&kind);
        self.events += 1;
        let event = Event { id: EventId(self.events), at: self.now, cause: self.cause, kind };
        self.ready.push_back(Output::Event(event));
    }

    /// Tells that an input was dropped, and why.
    pub fn dropped(&mut self, from: NodeId, reason: DropReason) {
        self.event(EventKind::Dropped { from, reason });
    }

    /// Starts a job.
    pub fn job(&mut self, id: JobId, job: Job) {
        self.ready.push_back(Output::Job { id, job: Box::new(job) });
    }

    /// Asks for a sync. The caller sees to it that only one is outstanding.
    pub fn sync(&mut self, upto: LogPosition) {
        self.ready.push_back(Output::Sync { upto });
    }

    /// The log is durable up to here: what waited for it may leave.
    pub fn release(&mut self, durable: LogPosition) {
        self.durable = self.durable.max(durable);
        let early = planted(Bug::HeldReleasedEarly);
        while let Some(((position, _), _)) = self.held.first_key_value()
            && (*position <= self.durable || early)
        {
            self.ready.extend(self.held.pop_first().map(|(_, output)| output));
        }
        let durable = self.durable;
        self.flows.retain(|_, position| *position > durable);
    }

    /// The next output that may leave.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.ready.pop_front();
        if self.ready.is_empty() {
            // From the front again: the few places that most turns need stay in the processor's cache.
            self.ready.clear();
        }
        output
    }

    /// Whether everything that may leave has left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.ready.is_empty()
    }

    /// Forgets everything that waits: the log will never be durable.
    pub fn abandon_held(&mut self) {
        self.held.clear();
        self.flows.clear();
    }

    /// How many outputs wait for a sync.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// How often each kind of event has happened.
    #[must_use]
    pub fn counters(&self) -> Map<&'static str, u64> {
        self.counters.iter().map(|(_, name, count)| (*name, *count)).collect()
    }

    fn count(&mut self, kind: &EventKind) {
        // Almost always the kind alone tells; the name tells what happened in a group.
        let (this, name) = (discriminant(kind), kind.name());
        let same = |(other, known, _): &&mut (_, &str, _)| *other == this && *known == name;
        match self.counters.iter_mut().find(same) {
            Some((.., count)) => *count += 1,
            None => self.counters.push((this, name, 1)),
        }
    }

    fn envelop(&mut self, to: NodeId, message: Message) -> Output {
        debug_assert!(to != self.from, "a node does not write to itself");
        self.messages += 1;
        let envelope = Box::new(Envelope {
            id: MessageId(self.messages),
            cluster: self.cluster,
            from: self.from,
            incarnation: self.incarnation,
            to,
            message,
        });
        Output::Send { lane: envelope.message.lane(), envelope }
    }

    fn push(&mut self, flow: Flow, after: LogPosition, output: Output) {
        let after = self.flows.get(&flow).copied().unwrap_or_default().max(after);
        if self.durable < after {
            self.flows.insert(flow, after);
        }
        self.hold(after, output);
    }

    /// Keeps an output until the log is durable up to `after`.
    fn hold(&mut self, after: LogPosition, output: Output) {
        if after <= self.durable {
            self.ready.push_back(output);
        } else {
            self.emitted += 1;
            self.held.insert((after, self.emitted), output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FileId;

    fn at(offset: u64) -> LogPosition {
        LogPosition { segment: FileId(1), offset }
    }

    fn finished(outbox: &mut Outbox) -> Vec<u64> {
        core::iter::from_fn(|| outbox.poll())
            .filter_map(|output| match output {
                Output::Reply { id, .. } => Some(id.0),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn outputs_leave_by_position_then_by_order_of_emission() {
        let mut outbox = Outbox::new(NodeId(1), Incarnation(1), Now::default());
        for (id, offset) in [(1, 30), (2, 10), (3, 20), (4, 10), (5, 0)] {
            outbox.reply(RequestId(id), at(offset), Ok(Reply::Done));
        }
        assert_eq!(finished(&mut outbox), []);
        outbox.release(at(20));
        assert_eq!(finished(&mut outbox), [5, 2, 4, 3]);
        outbox.release(at(30));
        assert_eq!(finished(&mut outbox), [1]);
        assert_eq!(outbox.held(), 0);
    }

    #[test]
    fn nothing_overtakes_within_a_flow() {
        let mut outbox = Outbox::new(NodeId(1), Incarnation(1), Now::default());
        outbox.release(at(5));
        outbox.reply_part(RequestId(1), at(10), Reply::Keys(Vec::new()));
        outbox.reply(RequestId(1), LogPosition::START, Ok(Reply::Done));
        outbox.reply(RequestId(2), LogPosition::START, Ok(Reply::Done));
        assert_eq!(finished(&mut outbox), [2]);
        outbox.release(at(10));
        assert_eq!(finished(&mut outbox), [1, 1]);
    }
}
