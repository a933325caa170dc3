//! Membership and ownership: the one machine that makes new layouts.
//!
//! Changes are commands ([`change`], pure functions). The founding node puts them in order, writes each
//! new layout to its log and sends it to all members; every other member forwards commands to it and
//! adopts what comes back. Replacing the founder by a replicated log replaces only who puts commands in
//! order.
//!
//! A node that is in no cluster yet founds one or asks around to be taken in ([`joining`]). Requests
//! that change the cluster wait as wishes until a layout fulfils them.
//!
//! Left out: a founder that fails for good. Its cluster keeps serving data, but its membership is frozen.

pub mod change;
mod joining;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::RequestError;
use crate::id::{Epoch, LogPosition, NodeId, RequestId};
use crate::io::Founding;
use crate::message::{ClusterCommand, Hello, Message};
use crate::outbox::Outbox;
use crate::request::Reply;
use crate::ring::layout::{Layout, Stage};
use crate::time::{Micros, Mono, Now};
use crate::timers::TimerTable;

/// How often whatever has not come about yet is asked for again.
const RETRY: Micros = Micros::from_millis(300);

/// Where the retry timer sits in the table.
const RETRY_TIMER: usize = 0;

/// How long a change of the cluster may take before the client is told that it is unknown.
const PATIENCE: Micros = Micros::from_millis(10_000);

/// The cluster machine of one node.
#[derive(Clone, Debug)]
pub struct Cluster {
    me: Hello,
    /// Into how many partitions this node's data is cut, or would be if it founded a cluster.
    partitions: u16,
    layout: Option<Layout>,
    /// The layout is revealed only once the log is durable up to here.
    layout_at: LogPosition,
    joining: joining::Joining,
    linked: BTreeMap<NodeId, Hello>,
    wishes: BTreeMap<RequestId, (Wish, Mono)>,
    /// The stage of a move that this node has done its part of.
    done: Option<Epoch>,
    timers: TimerTable<1>,
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// This node and another are members of one cluster.
    Together(NodeId),
    /// A node is no member.
    Without(NodeId),
    /// N is so.
    Replicas(u64),
}

/// A layout that the node shall now live by. The node makes it durable, then calls
/// [`Cluster::adopted`].
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The layout.
    pub layout: Layout,
    /// Whether it is that of another cluster, or the first of all.
    pub switched: bool,
}

impl Cluster {
    /// The machine of a node that has just been opened, with the layout found in its folder.
    #[must_use]
    pub fn new(
        now: Now,
        me: Hello,
        partitions: u16,
        founding: Founding,
        layout: Option<Layout>,
    ) -> Self {
        let partitions = layout.as_ref().map_or(partitions, |layout| layout.ring.partitions());
        let mut timers = TimerTable::default();
        timers.set(RETRY_TIMER, now.mono + RETRY);
        Self {
            me,
            partitions,
            layout,
            layout_at: LogPosition::START,
            joining: joining::Joining::new(now.mono, founding),
            linked: BTreeMap::new(),
            wishes: BTreeMap::new(),
            done: None,
            timers,
        }
    }

    /// The layout, if this node is a member of it.
    #[must_use]
    pub fn membership(&self) -> Option<&Layout> {
        self.layout.as_ref().filter(|layout| layout.is_member(self.me.node, self.me.incarnation))
    }

    /// The layout this node knows, even if it is no longer a member.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// The layout that was found in the folder is durable from this log position on.
    pub fn layout_read(&mut self, at: LogPosition) {
        self.layout_at = at;
    }

    /// The peers a link is up to.
    #[must_use]
    pub fn linked(&self) -> &BTreeMap<NodeId, Hello> {
        &self.linked
    }

    /// A link came up or went down.
    pub fn link(&mut self, peer: Hello, up: bool) {
        if up {
            self.linked.insert(peer.node, peer);
        } else {
            self.linked.remove(&peer.node);
        }
    }

    /// When [`Self::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Asks again for what has not come about, and gives up on wishes that took too long.
    pub fn on_timer(
        &mut self,
        now: Now,
        entropy: u64,
        replicas: u64,
        out: &mut Outbox,
    ) -> Option<Adoption> {
        if !self.timers.take_due(RETRY_TIMER, now.mono) {
            return None;
        }
        let late = self.wishes.extract_if(.., |_, (_, deadline)| *deadline <= now.mono);
        for (id, (wish, _)) in late.collect::<Vec<_>>() {
            if self.layout.as_ref().is_some_and(|layout| self.fulfils(layout, &wish)) {
                out.reply(id, self.layout_at, Ok(Reply::Done));
                continue;
            }
            let words = String::from("the cluster did not confirm the change in time");
            out.reply(id, LogPosition::START, Err(RequestError::Unknown(words)));
        }
        let adoption = match self.membership() {
            None => self.seek_membership(now, entropy, replicas, out),
            Some(_) => self.repeat_proposals(now, out),
        };
        self.arm(now.mono);
        adoption
    }

    /// Proposes a change: in the founder's hands it happens, else it goes to the founder.
    /// Fails, and changes nothing, if the layout known here already speaks against it.
    pub fn propose(
        &mut self,
        command: ClusterCommand,
        out: &mut Outbox,
    ) -> Result<Option<Adoption>, RequestError> {
        let (founder, next) = self.check(&command)?;
        if founder != self.me.node {
            let epoch = self.layout.as_ref().map_or(Epoch(0), |layout| layout.epoch);
            out.send(founder, None, self.layout_at, Message::Propose { epoch, command });
            return Ok(None);
        }
        if self.layout.as_ref().is_some_and(|layout| layout.epoch == next.epoch) {
            self.layout = Some(next);
            return Ok(None);
        }
        Ok(Some(Adoption { layout: next, switched: false }))
    }

    /// Whether a change can be proposed now: to whom, and the layout that would come of it here.
    pub fn check(&self, command: &ClusterCommand) -> Result<(NodeId, Layout), RequestError> {
        let Some(layout) = &self.layout else {
            return Err(not_a_member());
        };
        let founder = layout.founder;
        if founder != self.me.node && !self.linked.contains_key(&founder) {
            return Err(RequestError::Unavailable(alloc::format!(
                "the founding node {} cannot be reached and only it changes the cluster; nothing was changed, start it again",
                layout.name_of(founder)
            )));
        }
        Ok((founder, change::apply(layout, command)?))
    }

    /// Proposes a change for a client, who is answered once a layout fulfils the wish.
    pub fn wish(
        &mut self,
        now: Now,
        id: RequestId,
        wish: Wish,
        out: &mut Outbox,
    ) -> Option<Adoption> {
        let command = match wish {
            Wish::Together(peer) => {
                self.wish_together(now, id, peer, out);
                return None;
            }
            Wish::Without(node) => ClusterCommand::RemoveMember(node),
            Wish::Replicas(replicas) => ClusterCommand::SetReplicas(replicas),
        };
        match self.propose(command, out) {
            Ok(adoption) => {
                self.wishes.insert(id, (wish, now.mono + PATIENCE));
                if adoption.is_none() {
                    self.grant_wishes(out);
                }
                self.arm(now.mono);
                adoption
            }
            Err(error) => {
                out.reply(id, LogPosition::START, Err(error));
                None
            }
        }
    }

    /// A client no longer waits for its wish; the change may still happen.
    pub fn forget_wish(&mut self, id: RequestId) {
        self.wishes.remove(&id);
    }

    /// A layout arrived. Says whether it is to be adopted.
    #[must_use]
    pub fn consider(&self, layout: Layout) -> Option<Adoption> {
        if !layout.is_sound() {
            return None;
        }
        let mine = self.layout.as_ref();
        if mine.is_some_and(|mine| mine.ring.partitions() != layout.ring.partitions()) {
            return None; // What is stored here would no longer be found.
        }
        if mine.is_some_and(|mine| mine.cluster == layout.cluster) {
            let newer = mine.is_some_and(|mine| layout.epoch > mine.epoch);
            return newer.then_some(Adoption { layout, switched: false });
        }
        // Whoever has taken this node in was asked to, maybe before a restart that made it forget.
        let free = self.membership().is_none_or(|mine| mine.members.len() == 1);
        let wanted = free && layout.is_member(self.me.node, self.me.incarnation);
        wanted.then_some(Adoption { layout, switched: true })
    }

    /// The layout is in the log, up to this position. The founder sends it to all members, and clients
    /// whose wish it fulfils are answered.
    pub fn adopted(&mut self, now: Now, adoption: Adoption, at: LogPosition, out: &mut Outbox) {
        let Adoption { layout, switched } = adoption;
        self.me.cluster = Some(layout.cluster);
        self.partitions = layout.ring.partitions();
        self.layout_at = at;
        if switched {
            self.joining.reached();
            self.done = None; // Epochs of another cluster.
        }
        if layout.founder == self.me.node {
            for (&node, member) in layout.members.iter().filter(|(node, _)| **node != self.me.node)
            {
                let linked = self.linked.get(&node);
                if linked.is_some_and(|hello| hello.incarnation == member.incarnation) {
                    out.send(node, None, at, Message::Adopt(Box::new(layout.clone())));
                }
            }
        }
        self.layout = Some(layout);
        self.grant_wishes(out);
        self.arm(now.mono);
    }

    /// This node has done its part of the stage of a move that began in this epoch.
    pub fn done_with_stage(
        &mut self,
        now: Now,
        since: Epoch,
        out: &mut Outbox,
    ) -> Option<Adoption> {
        if self.done == Some(since) {
            return None; // Reported already; the retry timer repeats it.
        }
        self.done = Some(since);
        self.arm(now.mono);
        self.report_done(out)
    }

    /// What the first words of this node on a link are.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.me
    }

    fn grant_wishes(&mut self, out: &mut Outbox) {
        let Some(layout) = &self.layout else { return };
        // Two are together when reads find what either has stored.
        let copying = layout.moving.as_ref().is_some_and(|moving| moving.stage == Stage::Copy);
        let waits = |wish: &Wish| copying && matches!(wish, Wish::Together(_));
        let granted: Vec<RequestId> = self
            .wishes
            .iter()
            .filter(|(_, (wish, _))| self.fulfils(layout, wish) && !waits(wish))
            .map(|(&id, _)| id)
            .collect();
        for id in granted {
            self.wishes.remove(&id);
            out.reply(id, self.layout_at, Ok(Reply::Done));
        }
    }

    fn fulfils(&self, layout: &Layout, wish: &Wish) -> bool {
        match wish {
            Wish::Together(peer) => {
                layout.members.contains_key(peer) && layout.members.contains_key(&self.me.node)
            }
            Wish::Without(node) => !layout.members.contains_key(node),
            Wish::Replicas(replicas) => layout.replicas == *replicas,
        }
    }

    fn repeat_proposals(&mut self, now: Now, out: &mut Outbox) -> Option<Adoption> {
        self.repeat_merge(now, out);
        if let Some(adoption) = self.report_address(out) {
            return Some(adoption);
        }
        for (wish, _) in self.wishes.clone().into_values() {
            let command = match wish {
                Wish::Together(_) => continue,
                Wish::Without(node) => ClusterCommand::RemoveMember(node),
                Wish::Replicas(replicas) => ClusterCommand::SetReplicas(replicas),
            };
            // A refusal now means that the layout on the way will answer the wish.
            if let Ok(Some(adoption)) = self.propose(command, out) {
                return Some(adoption);
            }
        }
        self.report_done(out)
    }

    fn report_done(&mut self, out: &mut Outbox) -> Option<Adoption> {
        let since = self.done?;
        let moving = self.layout.as_ref()?.moving.as_ref()?;
        if moving.since != since {
            return None;
        }
        let command = ClusterCommand::MoveDone { node: self.me.node, since };
        // The founder may be away; this is repeated until the stage is over.
        self.propose(command, out).ok().flatten()
    }

    /// A member that is reached elsewhere since its restart says so.
    fn report_address(&mut self, out: &mut Outbox) -> Option<Adoption> {
        let member = self.membership()?.members.get(&self.me.node)?;
        if member.address == self.me.address {
            return None;
        }
        let command =
            ClusterCommand::SetAddress { node: self.me.node, address: self.me.address.clone() };
        self.propose(command, out).ok().flatten()
    }

    /// Keeps the retry timer running as long as there is something to repeat.
    fn arm(&mut self, now: Mono) {
        let restless = match self.membership() {
            None => true,
            Some(layout) => {
                layout.moving.is_some()
                    || self.joining.is_merging()
                    || !self.wishes.is_empty()
                    || layout
                        .members
                        .get(&self.me.node)
                        .is_some_and(|member| member.address != self.me.address)
            }
        };
        if !restless {
            self.timers.stop(RETRY_TIMER);
        } else if !self.timers.is_set(RETRY_TIMER) {
            self.timers.set(RETRY_TIMER, now + RETRY);
        }
    }
}

fn not_a_member() -> RequestError {
    RequestError::Unavailable(String::from(
        "this node is not a member of a cluster yet; nothing was changed, try again shortly",
    ))
}
