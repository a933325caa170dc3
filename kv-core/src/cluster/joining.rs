//! How a node comes into a cluster: by founding it, by being taken in, or by two clusters becoming one.
//!
//! A newcomer asks every node it is linked to, again and again, until one of them answers with a layout
//! that has it in. The first node of a listed membership founds the cluster once all others have said
//! that they are in none, or have been silent for [`FOUNDING_WAIT`]. Two clusters become one only if one
//! of them has a single member: that one joins the other; of two single ones, the one with the greater
//! cluster id joins. What it stores comes along.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::{Adoption, Cluster, PATIENCE, Wish, change};
use crate::error::RequestError;
use crate::event::EventKind;
use crate::id::{ClusterId, Epoch, LogPosition, NodeId, RequestId};
use crate::io::Founding;
use crate::message::{ClusterCommand, ClusterSize, Hello, Message};
use crate::ordered::Set;
use crate::outbox::Outbox;
use crate::ring::layout::Member;
use crate::time::{Micros, Mono, Now};

/// How long the first of a listed membership waits for the others before it founds the cluster.
const FOUNDING_WAIT: Micros = Micros::from_millis(2_000);

/// How far a node has come on its way into a cluster.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    founding: Founding,
    opened: Mono,
    /// Listed nodes that said they are in no cluster.
    unattached: Set<NodeId>,
    /// Whether a node that is in one answered: then there is one to join and none to found.
    found_one: bool,
    /// The node through which this cluster of one joins another, and until when it tries.
    merging: Option<(NodeId, Mono)>,
    /// The last refusal, so that it is told once and not at every try.
    refusal: Option<String>,
}

impl Joining {
    pub(super) fn new(opened: Mono, founding: Founding) -> Self {
        let unattached = Set::new();
        Self { founding, opened, unattached, found_one: false, merging: None, refusal: None }
    }

    pub(super) fn is_merging(&self) -> bool {
        self.merging.is_some()
    }

    pub(super) fn reached(&mut self) {
        self.merging = None;
        self.refusal = None;
    }

    /// Whether this node shall found a cluster now.
    fn founds(&self, me: NodeId, now: Mono) -> bool {
        match &self.founding {
            Founding::Alone => true,
            Founding::Join => false,
            Founding::Listed { nodes } => {
                let others = || nodes.iter().filter(|node| **node != me);
                nodes.first() == Some(&me)
                    && !self.found_one
                    && (others().all(|node| self.unattached.contains(node))
                        || now >= self.opened + FOUNDING_WAIT)
            }
        }
    }
}

/// Why a node with such keys is not taken in.
const KEEPS: &str = "the node that would have to join holds keys of the strong keyspace, which it would lose: delete them, or start it with an empty data folder";

impl Cluster {
    /// What a node that is in no cluster does: found one, or ask around.
    pub fn seek_membership(
        &mut self,
        now: Now,
        entropy: u64,
        replicas: u64,
        out: &mut Outbox,
    ) -> Option<Adoption> {
        if self.layout.is_some() {
            return None; // It was removed; its folder stays as it is until someone decides.
        }
        if self.joining.founds(self.me.node, now.mono) {
            let member = Member {
                name: self.me.name.clone(),
                incarnation: self.me.incarnation,
                address: self.me.address.clone(),
                since: Epoch(1),
            };
            let cluster = ClusterId(entropy.max(1));
            let layout = change::found(
                cluster,
                self.me.node,
                member,
                self.partitions,
                replicas,
                self.shards,
            );
            out.event(EventKind::Founded(cluster));
            return Some(Adoption { layout, switched: true });
        }
        for &node in self.linked.keys() {
            self.ask_to_join(node, out);
        }
        None
    }

    /// A node asks to be taken in.
    pub fn on_join(
        &mut self,
        who: &Hello,
        size: ClusterSize,
        reachable: &Set<NodeId>,
        out: &mut Outbox,
    ) {
        let refuse = |later: bool, reason: String, out: &mut Outbox| {
            out.send(who.node, None, LogPosition::START, Message::JoinRefused { later, reason });
        };
        let Some(layout) = self.membership() else {
            refuse(true, String::from("it is in no cluster yet itself"), out);
            return;
        };
        if layout.is_member(who.node, who.incarnation) {
            let layout = Box::new(layout.clone());
            out.send(who.node, None, self.layout_at, Message::Adopt(layout));
            return;
        }
        if let Some(reason) = self.objection(who, size, reachable) {
            refuse(false, reason, out);
            return;
        }
        if self.joining.is_merging() {
            refuse(true, String::from("it is just joining another cluster itself"), out);
            return;
        }
        let command = ClusterCommand::AddMember {
            name: who.name.clone(),
            incarnation: who.incarnation,
            address: who.address.clone(),
        };
        if let Err(error) = self.propose(command, out) {
            refuse(error.is_retryable(), format!("{error}"), out);
        }
    }

    /// Why a node can never be taken in as it is.
    fn objection(&self, who: &Hello, size: ClusterSize, reachable: &Set<NodeId>) -> Option<String> {
        let layout = self.membership()?;
        let namesake = layout.members.get(&who.node);
        if namesake.is_some() && reachable.contains(&who.node) && {
            let linked = self.linked.get(&who.node).map(|hello| hello.incarnation);
            linked != Some(who.incarnation)
        } {
            return Some(format!(
                "a member named {} is running already: start the new one with another --name",
                who.name
            ));
        }
        if size.members > 1 {
            return Some(String::from(
                "both nodes belong to clusters of several members, which cannot become one: start the new node with an empty data folder",
            ));
        }
        if size.members > 0 && size.keeps {
            return Some(String::from(KEEPS));
        }
        if who.cluster.is_some() && size.partitions != self.partitions {
            return Some(format!(
                "its data is cut into {} partitions and this cluster's into {}: start it with an empty data folder",
                size.partitions, self.partitions
            ));
        }
        None
    }

    /// A node did not take this one in.
    pub fn on_join_refused(
        &mut self,
        from: NodeId,
        theirs: Option<ClusterId>,
        later: bool,
        reason: String,
        out: &mut Outbox,
    ) {
        match theirs {
            Some(_) => self.joining.found_one = true,
            None if self.layout.is_none() => {
                self.joining.unattached.insert(from);
            }
            None => {}
        }
        if later {
            return;
        }
        if self.joining.merging.is_some_and(|(via, _)| via == from) {
            self.joining.merging = None;
        }
        for (id, _) in self.wishes.extract(|_, (wish, _)| *wish == Wish::Together(from)) {
            let error = RequestError::Conflict(reason.clone());
            out.reply(id, LogPosition::START, Err(error));
        }
        if self.joining.refusal.as_ref() != Some(&reason) {
            self.joining.refusal = Some(reason.clone());
            out.event(EventKind::JoinRefused { by: from, reason });
        }
    }

    /// A node wants its cluster and this node's to become one.
    pub fn on_invite(
        &mut self,
        now: Now,
        from: NodeId,
        theirs: Option<ClusterId>,
        size: ClusterSize,
        out: &mut Outbox,
    ) {
        let mine = self.size();
        let refuse = |reason: &str, out: &mut Outbox| {
            let reason = String::from(reason);
            let message = Message::JoinRefused { later: false, reason };
            out.send(from, None, LogPosition::START, message);
        };
        let (Some(theirs), true) = (theirs, size.members > 0) else {
            refuse("a node that is in no cluster cannot invite others", out);
            return;
        };
        if self.layout.is_some() && mine.partitions != size.partitions {
            refuse(
                "the data of the two nodes is cut into different numbers of partitions: start one of them with an empty data folder",
                out,
            );
        } else if mine.members > 1 && size.members > 1 {
            refuse(
                "both nodes belong to clusters of several members, which cannot become one",
                out,
            );
        } else if self.yields_to(mine.members, theirs, size.members) && self.keeps {
            refuse(KEEPS, out);
        } else if self.yields_to(mine.members, theirs, size.members) {
            self.joining.merging = Some((from, now.mono + PATIENCE));
            self.ask_to_join(from, out);
            self.arm(now.mono);
        } else {
            out.send(from, None, self.layout_at, Message::Invite { size: mine });
        }
    }

    /// Whether this node's cluster joins the other, not the other way round.
    fn yields_to(&self, mine: u64, theirs: ClusterId, their_members: u64) -> bool {
        match mine {
            0 => true,
            1 => their_members > 1 || self.me.cluster.is_some_and(|own| theirs < own),
            _ => false,
        }
    }

    pub(super) fn wish_together(
        &mut self,
        now: Now,
        id: RequestId,
        peer: NodeId,
        out: &mut Outbox,
    ) {
        let refuse = |error: RequestError, out: &mut Outbox| {
            out.reply(id, LogPosition::START, Err(error));
        };
        let Some(layout) = self.membership() else {
            refuse(super::not_a_member(), out);
            return;
        };
        let Some(hello) = self.linked.get(&peer) else {
            let words = "the peer cannot be reached; nothing was changed, check its address";
            refuse(RequestError::Unavailable(String::from(words)), out);
            return;
        };
        if layout.is_member(peer, hello.incarnation) {
            let words = "the peer is a member already; nothing was changed";
            refuse(RequestError::Conflict(String::from(words)), out);
            return;
        }
        let invite = Message::Invite { size: self.size() };
        out.send(peer, None, self.layout_at, invite);
        self.wishes.insert(id, (Wish::Together(peer), now.mono + PATIENCE));
        self.arm(now.mono);
    }

    pub(super) fn repeat_merge(&mut self, now: Now, out: &mut Outbox) {
        match self.joining.merging {
            Some((_, until)) if until <= now.mono => self.joining.merging = None,
            Some((via, _)) => self.ask_to_join(via, out),
            None => {}
        }
    }

    fn ask_to_join(&self, node: NodeId, out: &mut Outbox) {
        let join = Message::Join { who: self.me.clone(), size: self.size() };
        out.send(node, None, LogPosition::START, join);
    }

    fn size(&self) -> ClusterSize {
        let members = self.membership().map_or(0, |layout| layout.members.len() as u64);
        ClusterSize { members, partitions: self.partitions, keeps: self.keeps }
    }
}
