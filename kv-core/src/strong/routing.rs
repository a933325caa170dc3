//! Who does a request: this node, or another that is asked.
//!
//! A node that can do a request does it. One that cannot asks one that can, and a node that was asked
//! never passes the question on: it says that it cannot, and who perhaps can. Whoever has the client tries
//! again, as long as there is time and nothing can happen twice.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::held::Held;
use super::operation::{self, Need, Operation, Origin, Phase, lost};
use super::{BYTES_MAX, Ground, OPERATIONS_MAX, Strong};
use crate::bugs::{Bug, planted};
use crate::disk::Disk;
use crate::error::RequestError;
use crate::id::{Index, LogPosition, NodeId, ShardId};
use crate::message::strong::{StrongMessage, StrongRefusal};
use crate::message::{Message, Token};
use crate::outbox::Outbox;
use crate::request::Reply;
use crate::request::strong::{StrongReply, StrongRequest};
use crate::time::{Micros, Mono};

/// How long until a request is tried again at first; each time in vain doubles it, up to four times.
const PAUSE: Micros = Micros::from_millis(10);

/// How long another node is waited for, if it may be asked again: a quarter of the time that is left, and
/// at most so long.
const ANSWER_WAIT: Micros = Micros::from_millis(500);

/// About how many bytes of values are said in one message.
const MESSAGE_BYTES: u64 = 256 << 10;

/// What one takes beside that, about.
const MESSAGE_HEAD: u64 = 32;

impl Strong {
    pub(super) fn start<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        origin: Origin,
        request: StrongRequest,
        timeout: Option<Micros>,
    ) {
        let operation = match Operation::new(ground, origin, request, timeout) {
            Ok(operation) if self.has_room(&operation) => operation,
            Ok(_) => {
                self.answer(ground, origin, Err(StrongRefusal::Error(RequestError::Busy)));
                return;
            }
            Err(error) => {
                self.answer(ground, origin, Err(StrongRefusal::Error(error)));
                return;
            }
        };
        self.last_token += 1;
        let token = self.last_token;
        if let Origin::Client(id) = origin {
            self.clients.insert(id, token);
        }
        self.deadlines.insert((operation.deadline, token));
        self.bytes += operation.bytes;
        self.operations.insert(token, Box::new(operation));
        self.route(ground, token);
    }

    /// Whether one more operation can be open. A single one always can.
    fn has_room(&self, operation: &Operation) -> bool {
        let fits = self.bytes == 0 || self.bytes + operation.bytes <= BYTES_MAX;
        self.operations.len() < OPERATIONS_MAX && fits
    }

    /// Does what can be done here now, asks another node, or waits.
    pub(super) fn route<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let held = self.held.get_mut(&operation.shard);
        let need = match operation.need() {
            Need::Fresh if planted(Bug::ReadWithoutRound) => Need::Replica,
            need => need,
        };
        match (need, held) {
            (Need::Leader, Some(held)) if held.leader == Some(self.me) && !held.damaged => {
                operation.phase = Phase::Here;
                held.entering.push(token);
                self.gathered.insert(operation.shard);
                self.due = true;
            }
            (Need::Fresh, Some(held)) if held.leader.is_some() && !held.damaged => {
                operation.phase = Phase::Here;
                held.reading.push(token);
                self.gathered.insert(operation.shard);
                self.due = true;
            }
            (Need::Follower, Some(Held { leader: Some(leader), .. })) => {
                let reply = StrongReply::Leader(*leader);
                self.finish(ground, token, Ok(reply));
            }
            // One that has just been placed here knows nothing yet.
            (Need::Replica, Some(held))
                if !held.damaged
                    && !held.transfer.is_half_way()
                    && Index(0) < held.state.applied() =>
            {
                operation.phase = Phase::Here;
                self.read(ground, token);
            }
            (_, held) => {
                let leader = held.and_then(|held| held.leader);
                self.ask_another(ground, token, leader);
            }
        }
    }

    fn ask_another<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        leader: Option<NodeId>,
    ) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        if let Origin::Peer(..) = operation.origin {
            let refusal = StrongRefusal::NotHere(leader);
            self.finish(ground, token, Err(refusal));
            return;
        }
        let able = |node: &NodeId| *node != self.me && ground.reachable.contains(node);
        let named = operation.hint.take().or(leader);
        let holders: Vec<NodeId> = ground.layout.holders(operation.shard).filter(able).collect();
        let others = holders.get(operation.tries as usize % holders.len().max(1)).copied();
        // Who has the shard itself and knows no leader only disturbs the others by asking around.
        let others = others.filter(|_| leader.is_none());
        let Some(to) = named.filter(able).or(others) else {
            self.wait(ground.now.mono, token);
            return;
        };
        let left = operation.deadline - ground.now.mono;
        let wait = Micros(left.0 / 4).min(ANSWER_WAIT);
        let again = operation.can_be_repeated() && !operation.is_watch();
        let again = again.then_some(ground.now.mono + wait);
        // A number of its own, for whoever is asked twice under one takes it for the same question.
        self.last_token += 1;
        let asked = self.last_token;
        operation.phase = Phase::Asked(to, asked, again);
        self.asked.insert(asked, token);
        if let Some(at) = again {
            self.retries.insert((at, token));
        }
        let request = Box::new(operation.request.clone());
        let timeout = left;
        self.say(to, StrongMessage::Ask { token: asked, request, timeout });
    }

    /// Tries again after a pause.
    fn wait(&mut self, now: Mono, token: Token) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        let at = now + Micros(PAUSE.0 << operation.tries.min(4));
        operation.tries = operation.tries.saturating_add(1);
        operation.phase = Phase::Waiting(at);
        self.retries.insert((at, token));
    }

    /// A pause is over, or a node has not answered for long.
    pub(super) fn try_again<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let now = ground.now.mono;
        match self.operations.get(&token).map(|operation| operation.phase) {
            Some(Phase::Waiting(at)) if at <= now => self.route(ground, token),
            Some(Phase::Asked(.., Some(at))) if at <= now => self.failed(ground, token, true, None),
            _ => {}
        }
    }

    /// Whoever waits for a leader of a shard tries again.
    pub(super) fn wake<D: Disk>(&mut self, ground: &mut Ground<'_, D>, shard: ShardId) {
        let waits = self.operations.iter().filter(|(_, operation)| {
            operation.shard == shard && matches!(operation.phase, Phase::Waiting(_))
        });
        for token in waits.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.route(ground, token);
        }
    }

    /// An attempt came to nothing, or nobody knows to what.
    pub(super) fn failed<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        unknown: bool,
        hint: Option<NodeId>,
    ) {
        let Some(operation) = self.operations.get_mut(&token) else { return };
        operation.hint = hint.filter(|node| *node != self.me);
        operation.in_doubt |= unknown;
        if let Phase::Asked(_, asked, _) = operation.phase {
            self.asked.remove(&asked);
        }
        operation.phase = Phase::Here;
        let may_repeat = operation.can_be_repeated();
        match operation.origin {
            _ if unknown && !may_repeat => {
                self.finish(ground, token, Err(StrongRefusal::Error(lost())));
            }
            Origin::Peer(..) => {
                let refusal = match unknown {
                    true if operation.may_take_effect() => StrongRefusal::Error(lost()),
                    _ => StrongRefusal::NotHere(hint),
                };
                self.finish(ground, token, Err(refusal));
            }
            // Who was just told of another leader asks that one at once, but not for ever.
            _ if hint.is_some() && operation.tries.is_multiple_of(2) => {
                operation.tries += 1;
                self.route(ground, token);
            }
            _ => self.wait(ground.now.mono, token),
        }
    }

    pub(super) fn on_answer<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        from: NodeId,
        token: Token,
        result: Result<StrongReply, StrongRefusal>,
    ) {
        // One that comes late finds that somebody else was asked meanwhile.
        let Some(&token) = self.asked.get(&token) else { return };
        let operation = self.operations.get(&token);
        if !operation.is_some_and(|one| matches!(one.phase, Phase::Asked(to, ..) if to == from)) {
            return;
        }
        match result {
            Err(StrongRefusal::NotHere(hint)) => self.failed(ground, token, false, hint),
            Err(StrongRefusal::Error(RequestError::Unknown(_))) => {
                self.failed(ground, token, true, None);
            }
            result => self.finish(ground, token, result),
        }
    }

    /// A link went down: what was asked over it has an unknown outcome.
    pub fn on_link_down<D: Disk>(&mut self, ground: &mut Ground<'_, D>, peer: NodeId) {
        self.now = ground.now.mono;
        let asked = self
            .operations
            .iter()
            .filter(|(_, operation)| matches!(operation.phase, Phase::Asked(to, ..) if to == peer));
        for token in asked.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.failed(ground, token, true, None);
        }
    }

    pub(super) fn expire<D: Disk>(&mut self, ground: &mut Ground<'_, D>, token: Token) {
        let Some(operation) = self.operations.get(&token) else { return };
        if operation.is_watch() && operation.phase == Phase::Here {
            self.end_watch(ground, token);
            return;
        }
        let error = operation.timed_out();
        self.finish(ground, token, Err(StrongRefusal::Error(error)));
    }

    /// Gives the answer and forgets the operation.
    pub(super) fn finish<D: Disk>(
        &mut self,
        ground: &mut Ground<'_, D>,
        token: Token,
        result: Result<StrongReply, StrongRefusal>,
    ) {
        let Some(operation) = self.operations.get(&token) else { return };
        let in_doubt =
            operation.in_doubt && matches!(operation.request, StrongRequest::Write { .. });
        // That the last attempt changed nothing says nothing of those before.
        let result = result.map_err(|refusal| match refusal {
            StrongRefusal::Error(_) if in_doubt => StrongRefusal::Error(lost()),
            refusal => refusal,
        });
        let origin = operation.origin;
        self.forget(token);
        self.answer(ground, origin, result);
    }

    pub(super) fn forget(&mut self, token: Token) {
        let Some(operation) = self.operations.remove(&token) else { return };
        self.deadlines.remove(&(operation.deadline, token));
        self.bytes -= operation.bytes;
        if let Phase::Asked(_, asked, _) = operation.phase {
            self.asked.remove(&asked);
        }
        if let Phase::Waiting(at) | Phase::Asked(.., Some(at)) = operation.phase {
            self.retries.remove(&(at, token));
        }
        if let Origin::Client(id) = operation.origin {
            self.clients.remove(&id);
        }
    }

    fn answer<D>(
        &mut self,
        ground: &mut Ground<'_, D>,
        origin: Origin,
        result: Result<StrongReply, StrongRefusal>,
    ) {
        match origin {
            Origin::Nobody => {}
            Origin::Client(id) => {
                let result = result.map(Reply::Strong).map_err(|refusal| match refusal {
                    StrongRefusal::Error(error) => error,
                    StrongRefusal::NotHere(_) => RequestError::Busy,
                });
                // What is applied is durable here, so nothing has to be waited for.
                ground.out.reply(id, LogPosition::START, result);
            }
            Origin::Peer(node, token) => {
                self.say(node, StrongMessage::Answer { token, result: result.map(Box::new) });
            }
        }
    }

    /// Says something at the end of the turn.
    fn say(&mut self, to: NodeId, message: StrongMessage) {
        self.speaking.entry(to).or_default().push(message);
        self.due = true;
    }

    /// Sends what has gathered, in as few messages as is reasonable.
    pub(super) fn speak(&mut self, out: &mut Outbox) {
        for (to, messages) in core::mem::take(&mut self.speaking) {
            let (mut together, mut bytes) = (Vec::new(), 0);
            for message in messages {
                bytes += bytes_of(&message);
                together.push(message);
                if MESSAGE_BYTES <= bytes {
                    let full = core::mem::take(&mut together);
                    out.send_unordered(to, LogPosition::START, Message::Strong(full));
                    bytes = 0;
                }
            }
            if !together.is_empty() {
                out.send_unordered(to, LogPosition::START, Message::Strong(together));
            }
        }
    }
}

/// About how long a message is.
fn bytes_of(message: &StrongMessage) -> u64 {
    let bytes = match message {
        StrongMessage::Ask { request, .. } => return operation::bytes_of(request) + MESSAGE_HEAD,
        StrongMessage::Answer { result: Ok(reply), .. } => match &**reply {
            StrongReply::Value { record: Some(record), .. } => record.value.len(),
            StrongReply::Page { records, .. } => {
                records.iter().map(|(key, record)| key.len() + record.value.len()).sum()
            }
            StrongReply::Changes { changes, .. } => changes
                .iter()
                .map(|change| {
                    let value = change.record.as_ref().map_or(0, |record| record.value.len());
                    change.key.len() + value
                })
                .sum(),
            _ => 0,
        },
        StrongMessage::Answer { .. } => 0,
    };
    bytes as u64 + MESSAGE_HEAD
}
